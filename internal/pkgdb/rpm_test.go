package pkgdb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// told is what a reader tells, in the words of rpmSays, sorted. rpm tells of
// folders too, and digests of what is as its package has it by intention.
func told(t testing.TB, read func(each func([]byte)) (int, error)) (lines []string) {
	t.Helper()
	bad, err := read(func(blob []byte) {
		h, err := ParseRpmHeader(blob)
		if err != nil {
			t.Error(err)
			return
		}
		bad, foreign := h.Files(func(f File) {
			lines = append(lines, fmt.Sprintf("%s %s %d %s |%x| config=%v optional=%v varies=%v", h.Name, h.Version, h.Installed.Unix(), f.Path, f.Digest, f.Config, f.Optional, f.Varies))
		})
		if bad+foreign > 0 {
			t.Errorf("%s: %d bad, %d foreign", h.Name, bad, foreign)
		}
	})
	if bad != 0 || err != nil {
		t.Errorf("%d bad, %v", bad, err)
	}
	slices.Sort(lines)
	return lines
}

func saidByRpm(t *testing.T, dir, backend string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(rpmSays(t, dir, backend)) {
		f := strings.Fields(strings.ReplaceAll(line, "sp ace", "sp\x00ace"))
		mode, _ := strconv.ParseUint(f[3], 8, 32)
		flags, _ := strconv.Atoi(f[6])
		verify, _ := strconv.ParseInt(f[7], 10, 64)
		if mode&0o170000 == 0o040000 {
			continue
		}
		lines = append(lines, strings.ReplaceAll(fmt.Sprintf("%s %s %s %s %s config=%v optional=%v varies=%v", f[0], f[1], f[2], f[4], f[5],
			flags&rpmFlagConfig != 0, flags&(rpmFlagGhost|rpmFlagMissingOK) != 0, verify&rpmVerifyDigest == 0), "\x00", " "))
	}
	slices.Sort(lines)
	return lines
}

func differ(t *testing.T, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d lines, want %d; first other:\n%q\n%q", len(got), len(want), at(got, i), at(want, i))
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "-"
}

func TestDatabasesOfRpmAreReadAsRpmReadsThem(t *testing.T) {
	dir := rpmDB(t, 4)
	all := blobs(t, filepath.Join(dir, "rpmdb.sqlite"))
	want := saidByRpm(t, dir, "sqlite")
	if len(want) < 2010 || len(all) != 6 {
		t.Fatalf("%d files of %d packages", len(want), len(all))
	}
	t.Run("sqlite", func(t *testing.T) {
		db := openSized(t, filepath.Join(dir, "rpmdb.sqlite"))
		differ(t, told(t, func(each func([]byte)) (int, error) { return RpmSQLite(db, db.size, nil, 0, each) }), want)
	})
	t.Run("bdb", func(t *testing.T) {
		dir := bdbOf(t, all)
		db := openSized(t, filepath.Join(dir, "Packages"))
		got := told(t, func(each func([]byte)) (int, error) { return RpmBDB(db, db.size, each) })
		differ(t, got, want)
		differ(t, got, saidByRpm(t, dir, "bdb_ro"))
	})
	t.Run("ndb", func(t *testing.T) {
		db := ndbOf(all)
		differ(t, told(t, func(each func([]byte)) (int, error) { return RpmNDB(bytes.NewReader(db), int64(len(db)), each) }), want)
	})
}

type sized struct {
	*os.File
	size int64
}

func openSized(t testing.TB, name string) sized {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return sized{f, info.Size()}
}

// A database whose writer was killed has its last packages in the log beside
// it only, and may have there what was never committed.
func TestTheLogOfSQLiteCountsAsFarAsItIsCommitted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	run(t, "", testenv.Tool(t, "python3"), "-c", `import sqlite3,sys,os
blob=bytes.fromhex(sys.argv[2])
db=sqlite3.connect(sys.argv[1],isolation_level=None)
db.execute("pragma page_size=512"); db.execute("pragma journal_mode=wal"); db.execute("pragma cache_size=1")
db.execute("create table Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)")
add=lambda n: [db.execute("insert into Packages(blob) values(?)",(blob.replace(b"small",b"p%04d"%i),)) for i in n]
add(range(10)); db.execute("pragma wal_checkpoint(truncate)"); db.execute("pragma wal_autocheckpoint=0")
db.execute("begin"); add(range(10,30)); db.execute("commit")
db.execute("delete from Packages where hnum=3")
db.execute("begin"); add(range(30,200))
os._exit(0)`, name, hex.EncodeToString(smallHeader()))
	db, wal := openSized(t, name), openSized(t, name+"-wal")
	names := func(wal io.ReaderAt, size int64) (names []string) {
		bad, err := RpmSQLite(db, db.size, wal, size, func(blob []byte) {
			h, err := ParseRpmHeader(blob)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, h.Name)
		})
		if bad != 0 || err != nil {
			t.Errorf("%d bad, %v", bad, err)
		}
		return names
	}
	var want []string
	for i := range 30 {
		if i != 2 {
			want = append(want, fmt.Sprintf("p%04d", i))
		}
	}
	if got := names(wal, wal.size); !slices.Equal(got, want) {
		t.Errorf("with its log %q", got)
	}
	if got := names(nil, 0); len(got) != 10 {
		t.Errorf("without it %q", got)
	}
	if wal.size < 170*512 {
		t.Errorf("the log has %d bytes: nothing that is not committed was written", wal.size)
	}
}

func TestBrokenDatabasesOfRpmAreToldAndDoNotEndTheRest(t *testing.T) {
	all := map[uint32][]byte{}
	for n := uint32(1); n <= 20; n++ {
		all[n] = smallHeader()
	}
	db := ndbOf(all)
	db[2*ndbPage+40] ^= 1    // in the first package: its checksum tells
	copy(db[32+32:], "Slut") // the second's slot
	n := 0
	if bad, err := RpmNDB(bytes.NewReader(db), int64(len(db)), func([]byte) { n++ }); bad != 2 || err != nil || n != 18 {
		t.Errorf("%d told, %d bad, %v", n, bad, err)
	}
	if _, err := RpmNDB(bytes.NewReader(db[:100]), 100, nil); err == nil {
		t.Error("slots beyond the end are none")
	}
	for name, text := range map[string][]byte{"empty": nil, "short": []byte("SQLite format 3\x00"), "zeros": make([]byte, 8192)} {
		r := bytes.NewReader(text)
		_, e1 := RpmSQLite(r, r.Size(), nil, 0, nil)
		_, e2 := RpmNDB(r, r.Size(), nil)
		_, e3 := RpmBDB(r, r.Size(), nil)
		if e1 == nil || e2 == nil || e3 == nil {
			t.Errorf("%s: %v, %v, %v", name, e1, e2, e3)
		}
	}
}

func TestHeaderOfRpm(t *testing.T) {
	h, err := ParseRpmHeader(smallHeader())
	if err != nil || h.Name != "small" || h.Version != "1" || !h.Installed.IsZero() {
		t.Fatalf("%+v, %v", h, err)
	}
	var got []string
	h.Files(func(f File) { got = append(got, describe(f)) })
	if want := "/usr/bin/tool sha256 " + strings.Repeat("ab", 32) + " config=false"; len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
	// A hash that is not compared is told, and so is a name without a folder.
	blob := bytes.Replace(smallHeader(), []byte{0, 0, 0, 8, 0x81}, []byte{0, 0, 0, 10, 0x81}, 1)
	if h, err = ParseRpmHeader(blob); err != nil {
		t.Fatal(err)
	}
	if bad, foreign := h.Files(func(f File) { got[0] = describe(f) }); bad != 0 || foreign != 1 || got[0] != "/usr/bin/tool   config=false" {
		t.Errorf("%d bad, %d foreign, %q", bad, foreign, got)
	}
	blob = smallHeader()
	binary.BigEndian.PutUint32(blob[8+9*16:], 7) // the first number: index of the folder
	if h, err = ParseRpmHeader(blob); err != nil {
		t.Fatal(err)
	}
	if bad, _ := h.Files(func(File) { t.Error("a file without a folder") }); bad != 1 {
		t.Errorf("%d bad", bad)
	}
	for i := range smallHeader() {
		if h, err := ParseRpmHeader(smallHeader()[:i]); err == nil {
			t.Errorf("cut at %d it is %+v", i, h.Package)
		}
	}
}

func FuzzDatabasesOfRpm(f *testing.F) {
	f.Add(byte(0), smallHeader(), []byte(nil))
	f.Add(byte(1), ndbOf(map[uint32][]byte{7: smallHeader()}), []byte(nil))
	f.Add(byte(2), tinySQLite(), []byte(nil))
	f.Add(byte(3), tinyBDB(), []byte(nil))
	f.Add(byte(2), []byte(nil), []byte("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, kind byte, db, wal []byte) {
		read := 0
		each := func(blob []byte) {
			if read += len(blob); read > len(db)+len(wal) {
				t.Fatalf("%d bytes of headers from %d", read, len(db)+len(wal))
			}
			h, err := ParseRpmHeader(blob)
			if err != nil {
				return
			}
			h.Files(func(file File) {
				if file.Path == "" || file.Path[0] != '/' || strings.IndexByte(file.Path, 0) >= 0 || len(file.Digest) != file.Algo.Size() {
					t.Fatalf("%+v", file)
				}
			})
		}
		r := bytes.NewReader(db)
		switch kind % 4 {
		case 0:
			each(db)
		case 1:
			_, _ = RpmNDB(r, r.Size(), each)
		case 2:
			_, _ = RpmSQLite(r, r.Size(), bytes.NewReader(wal), int64(len(wal)), each)
		case 3:
			_, _ = RpmBDB(r, r.Size(), each)
		}
	})
}

// tinySQLite is a database of two pages with one package.
func tinySQLite() []byte {
	cell := func(row byte, cols ...[]byte) []byte {
		head, body := []byte{0}, []byte(nil)
		for _, c := range cols {
			n := len(c)*2 + 13
			if n > 127 {
				head = append(head, byte(n>>7)|0x80)
			}
			head, body = append(head, byte(n&127)), append(body, c...)
		}
		head[0] = byte(len(head))
		body = append(head, body...)
		return append([]byte{byte(len(body)>>7) | 0x80, byte(len(body) & 127), row}, body...)
	}
	db := make([]byte, 1024)
	leaf := func(page []byte, head int, cell []byte) {
		copy(page[head:], []byte{sqliteLeaf, 0, 0, 0, 1, 0, 0, 0})
		at := 512 - len(cell)
		binary.BigEndian.PutUint16(page[head+8:], uint16(at))
		copy(page[at:], cell)
	}
	copy(db, "SQLite format 3\x00\x02\x00\x01\x01\x00\x40\x20\x20")
	leaf(db[:512], 100, cell(1, []byte("table"), []byte("Packages"), []byte("Packages"), []byte{2}))
	leaf(db[512:], 0, cell(1, nil, smallHeader()))
	return db
}

// tinyBDB is a table of one bucket with one package.
func tinyBDB() []byte {
	db := make([]byte, 1024)
	for at, v := range map[int]uint32{12: bdbHash, 20: 512, 96: 1, 512 + 8: 1, 512 + 20: 2} {
		binary.LittleEndian.PutUint32(db[at:], v)
	}
	db[25], db[512+25] = bdbHashMeta, bdbSorted
	header := append([]byte{bdbItemHere}, smallHeader()...)
	key := 512 - 5
	binary.LittleEndian.PutUint16(db[512+26:], uint16(key))
	binary.LittleEndian.PutUint16(db[512+28:], uint16(key-len(header)))
	copy(db[512+key:], []byte{bdbItemHere, 7, 0, 0, 0})
	copy(db[512+key-len(header):], header)
	return db
}

func TestTinyDatabasesHaveOnePackage(t *testing.T) {
	for name, read := range map[string]func(func([]byte)) (int, error){
		"sqlite": func(each func([]byte)) (int, error) {
			return RpmSQLite(bytes.NewReader(tinySQLite()), 1024, nil, 0, each)
		},
		"bdb": func(each func([]byte)) (int, error) { return RpmBDB(bytes.NewReader(tinyBDB()), 1024, each) },
	} {
		if got := told(t, read); len(got) != 1 || !strings.Contains(got[0], "small") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
