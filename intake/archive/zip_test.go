package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// rawEntry is a local header with content, and its record in a directory.
type rawEntry struct {
	name          string
	flags, method uint16
	mode          uint32 // of Unix
	content       []byte
	packed, size  uint32 // as stated
	behind        []byte // what follows the content
}

// rawZip writes entries as they are, with a directory or without one.
func rawZip(directory bool, entries ...rawEntry) []byte {
	le := binary.LittleEndian
	var b, dir []byte
	for _, e := range entries {
		at := len(b)
		fields := le.AppendUint16(nil, 20)
		fields = le.AppendUint16(le.AppendUint16(fields, e.flags), e.method)
		fields = le.AppendUint32(fields, 0x5c6e792d) // time and date
		fields = le.AppendUint32(fields, crc32.ChecksumIEEE(e.content))
		fields = le.AppendUint32(le.AppendUint32(fields, e.packed), e.size)
		fields = le.AppendUint32(fields, uint32(len(e.name)))
		b = append(append(append(append(b, sigLocal...), fields...), e.name...), e.content...)
		b = append(b, e.behind...)
		dir = append(append(append(dir, sigCentral...), 20, madeByUnix), fields...)
		dir = le.AppendUint16(append(dir, 0, 0, 0, 0), 0) // comment, disk, attributes
		dir = append(le.AppendUint32(le.AppendUint32(dir, e.mode<<16), uint32(at)), e.name...)
	}
	if !directory {
		return b
	}
	at := len(b)
	b = append(append(append(b, dir...), sigEnd...), 0, 0, 0, 0)
	b = le.AppendUint16(le.AppendUint16(b, uint16(len(entries))), uint16(len(entries)))
	return append(le.AppendUint32(le.AppendUint32(b, uint32(len(dir))), uint32(at)), 0, 0)
}

func TestWhatAZipEntryLosesIsSaid(t *testing.T) {
	for _, c := range []struct {
		name, damage string
		entry        rawEntry
	}{
		{"a folder with content", "5 bytes of content", rawEntry{name: "tmp/", content: []byte("x=1;y"), packed: 5, size: 5}},
		{"a link that is encrypted", "no password", rawEntry{name: "l", flags: flagSealed, mode: 0o120777, content: make([]byte, 20), packed: 20, size: 8}},
		{"a link whose checksum is wrong", "states 9", rawEntry{name: "l", mode: 0o120777, content: []byte("/etc"), packed: 4, size: 9}},
		{"a link that is too long", "more than 4096", rawEntry{name: "l", mode: 0o120777, content: make([]byte, 5000), packed: 5000, size: 5000}},
		{"an honest link", "", rawEntry{name: "l", mode: 0o120777, content: []byte("/etc"), packed: 4, size: 4}},
	} {
		b := rawZip(true, c.entry)
		g := read(t, Zip(bytes.NewReader(b), int64(len(b)), nil))
		if len(g.names) != 1 || c.damage == "" && len(g.damage) > 0 || !strings.Contains(strings.Join(g.damage, ""), c.damage) {
			t.Errorf("%s: entries %v, damage %q, want %q", c.name, g.names, g.damage, c.damage)
		}
	}
}

func TestDescriptorsOf64BitsAreToldFromThoseOf32(t *testing.T) {
	le := binary.LittleEndian
	content := []byte("what was streamed")
	sum := le.AppendUint32([]byte(sigDescriptor), crc32.ChecksumIEEE(content))
	n := uint64(len(content))
	for name, behind := range map[string][]byte{
		"32 bits": le.AppendUint32(le.AppendUint32(sum, uint32(n)), uint32(n)),
		"64 bits": le.AppendUint64(le.AppendUint64(sum, n), n),
	} {
		e := rawEntry{name: "a", flags: flagDescriptor, content: content, behind: behind}
		second := e
		second.name = "b"
		b := rawZip(false, e, second)
		g := read(t, Zip(bytes.NewReader(b), int64(len(b)), nil))
		for _, n := range []string{"a", "b"} {
			if g.content[n] != string(content) || g.ends[n] != nil || g.entries[n].Size != int64(len(content)) {
				t.Errorf("%s: %s has %q, %v", name, n, g.content[n], g.ends[n])
			}
		}
	}
}

// reading counts what is read.
type reading struct {
	io.ReaderAt
	n int64
}

func (r *reading) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.n += int64(n)
	return n, err
}

func TestEntriesWithoutAnEndCostNoSquareOfTheArchive(t *testing.T) {
	entries := make([]rawEntry, 20_000)
	for i := range entries {
		entries[i] = rawEntry{name: "a", flags: flagDescriptor, method: methodDeflate, content: []byte{3, 0}} // a deflate stream of nothing
	}
	b := rawZip(false, entries...)
	r := &reading{ReaderAt: bytes.NewReader(b)}
	names := 0
	for e := range Zip(r, int64(len(b)), nil) {
		if e == nil {
			continue
		}
		names++
		if in, err := e.Open(); err == nil {
			if _, err := io.Copy(io.Discard, in); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Each look reads a buffer at least.
	if limit := int64(seekRatio*len(b)+seekFloor) + int64(len(entries))*4*bufSize; names != len(entries) || r.n > limit {
		t.Errorf("%d entries, %d bytes read of %d, at most %d", names, r.n, len(b), limit)
	}
}

func TestAnXZInAZipGetsNoMoreMemoryThanIsGranted(t *testing.T) {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	stream := b.Bytes()
	for bits, want := range map[byte]string{22: "", 38: "at most 64 MiB"} { // 8 MiB, 2 GiB
		at := 12 + bytes.Index(stream[12:], []byte{0x21, 1})
		stream[at+2] = bits
		header := stream[12 : 12+4*(int(stream[12])+1)]
		binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
		z := rawZip(true, rawEntry{name: "a", method: methodXZ, content: stream, packed: uint32(len(stream)), size: 7})
		g := read(t, Zip(bytes.NewReader(z), int64(len(z)), nil))
		if want == "" && g.content["a"] != "content" || want != "" && !strings.Contains(fmt.Sprint(g.ends["a"]), want) {
			t.Errorf("dictionary %d: %q, %v", bits, g.content["a"], g.ends["a"])
		}
	}
}
