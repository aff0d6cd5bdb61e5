package pkgdb

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

// headerOf is a header with a name, folders, and many files in the first.
func headerOf(name, dir string, files int) []byte {
	var index, data []byte
	add := func(tag, typ, count uint32, value []byte) {
		for _, v := range []uint32{tag, typ, uint32(len(data)), count} {
			index = binary.BigEndian.AppendUint32(index, v)
		}
		data = append(data, value...)
	}
	add(rpmDirIndexes, rpmInt32, uint32(files), make([]byte, 4*files))
	add(rpmName, rpmString, 1, []byte(name+"\x00"))
	add(rpmDirNames, rpmStringArray, 1, []byte(dir+"\x00"))
	add(rpmBaseNames, rpmStringArray, uint32(files), bytes.Repeat([]byte("a\x00"), files))
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 4), uint32(len(data)))
	return append(append(head, index...), data...)
}

// What is told of a header takes no more than some times its length, and a
// name that is remembered is no longer than one.
func TestHeadersOfRpmTellNoMoreThanTheyHold(t *testing.T) {
	if _, err := ParseRpmHeader(headerOf(strings.Repeat("n", 1<<20), "/", 1)); err == nil {
		t.Error("a name of a megabyte is one")
	}
	const files = 20_000
	for dir, most := range map[string]int{"/usr/share/" + strings.Repeat("d", 100): files, "/" + strings.Repeat("d", 4000): files - 1, "/" + strings.Repeat("d", 1<<20): 0} {
		blob := headerOf("n", dir, files)
		h, err := ParseRpmHeader(blob)
		if err != nil {
			t.Fatal(err)
		}
		n, length := 0, 0
		bad, _ := h.Files(func(f File) { n, length = n+1, length+len(f.Path) })
		if n > most || n+bad != files || length > rpmPaths*len(blob)+2*maxRpmPath {
			t.Errorf("folder of %d: %d files, %d bad, %d bytes from %d", len(dir), n, bad, length, len(blob))
		}
	}
}

// Items of a page may lie over each other: a page is not told a hundred times.
func TestPagesOfBerkeleyDBAreToldOnce(t *testing.T) {
	const page = 4096
	db := make([]byte, 2*page)
	for at, v := range map[int]uint32{12: bdbHash, 20: page, 96: 1, page + 8: 1, page + 20: 400} {
		binary.LittleEndian.PutUint32(db[at:], v)
	}
	db[25], db[page+25] = bdbHashMeta, bdbSorted
	for i := 0; i < 400; i += 4 {
		for j, from := range []uint16{page + 100, page, page - 5, 1000} {
			binary.LittleEndian.PutUint16(db[page+bdbPageHead+2*(i+j):], from)
		}
	}
	copy(db[page+page-5:], []byte{bdbItemHere, 7, 0, 0, 0})
	db[page+1000] = bdbItemHere
	told := 0
	bad, err := RpmBDB(bytes.NewReader(db), int64(len(db)), func(header []byte) { told += len(header) })
	if told == 0 || told > len(db) || bad == 0 || err != nil {
		t.Errorf("%d bytes told of %d, %d bad, %v", told, len(db), bad, err)
	}
}

// endlessLog is a log of SQLite with a commit in each frame, made as it is read.
type endlessLog struct {
	sum  [2]uint32
	page uint32
}

func (l *endlessLog) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	checked := b[:8]
	if off == 0 {
		binary.BigEndian.PutUint32(b, 0x377f0683)
		binary.BigEndian.PutUint32(b[8:], 512)
		sqliteSum(&l.sum, binary.BigEndian, b[:24])
		binary.BigEndian.PutUint32(b[24:], l.sum[0])
		binary.BigEndian.PutUint32(b[28:], l.sum[1])
		return len(b), nil
	}
	l.page++
	binary.BigEndian.PutUint32(b, l.page)
	binary.BigEndian.PutUint32(b[4:], l.page)
	sqliteSum(&l.sum, binary.BigEndian, checked)
	sqliteSum(&l.sum, binary.BigEndian, b[24:])
	binary.BigEndian.PutUint32(b[16:], l.sum[0])
	binary.BigEndian.PutUint32(b[20:], l.sum[1])
	return len(b), nil
}

// The pages of a log are bounded however many commits it has.
func TestTheLogOfSQLiteIsBounded(t *testing.T) {
	var wal io.ReaderAt = &endlessLog{}
	log, err := readWAL(wal, MaxRpmDatabase)
	if err == nil || len(log.pages) > maxLogPages || len(log.pages) < maxLogPages/2 {
		t.Errorf("%d pages, %v", len(log.pages), err)
	}
}
