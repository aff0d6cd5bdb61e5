package collect

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf16"
)

func TestNamesOfWindowsHaveOneForm(t *testing.T) {
	for _, c := range []struct {
		units []uint16
		want  string
	}{
		{utf16.Encode([]rune("Größe😀")), "Größe😀"},
		{[]uint16{'a', 0xD83D}, "a\xed\xa0\xbd"},
		{[]uint16{0xDE00, 0xD83D, 'b'}, "\xed\xb8\x80\xed\xa0\xbdb"},
		{nil, ""},
	} {
		if got := wtf8(c.units); got != c.want {
			t.Errorf("%04x: %q, want %q", c.units, got, c.want)
		}
	}
	seen := map[string][]uint16{}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // names of a test
	for range 20000 {
		units := make([]uint16, r.IntN(4))
		for i := range units {
			units[i] = []uint16{0x41, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000}[r.IntN(6)]
		}
		name := wtf8(units)
		if other, ok := seen[name]; ok && !slices.Equal(other, units) {
			t.Fatalf("%04x and %04x are both %q", other, units, name)
		}
		seen[name] = units
	}
}

// utf16Bytes is text as Windows has it.
func utf16Bytes(text string) (b []byte) {
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// reparse makes the data of a mount point or symbolic link (MS-FSCC 2.1.2).
func reparse(tag uint32, target string) []byte {
	name := utf16Bytes(target)
	body := binary.LittleEndian.AppendUint16(nil, 0)
	body = binary.LittleEndian.AppendUint16(body, uint16(len(name)))
	body = binary.LittleEndian.AppendUint16(body, uint16(len(name)))
	body = binary.LittleEndian.AppendUint16(body, 0)
	if tag == tagSymlink {
		body = append(body, 0, 0, 0, 0)
	}
	body = append(body, name...)
	b := binary.LittleEndian.AppendUint32(nil, tag)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(body)))
	return append(append(b, 0, 0), body...)
}

func TestLinksOfWindowsLeadWhereTheySay(t *testing.T) {
	lx := append([]byte{0x1D, 0, 0, 0xA0, 9, 0, 0, 0, 2, 0, 0, 0}, "/home"...)
	for _, c := range []struct {
		name string
		data []byte
		want string
		ok   bool
	}{
		{"junction", reparse(tagMountPoint, `\??\C:\Users`), "/C:/Users", true},
		{"junction to a drive", reparse(tagMountPoint, `\??\D:\`), "/D:", true},
		{"volume without letter", reparse(tagMountPoint, `\??\Volume{1}\`), `\??\Volume{1}\`, true},
		{"relative", reparse(tagSymlink, `..\x`), "../x", true},
		{"of WSL", lx, "/home", true},
		{"of a cloud", []byte{0x1A, 0, 0, 0x90, 0, 0, 0, 0}, "", false},
		{"cut", reparse(tagSymlink, `..\x`)[:18], "", false},
		{"none", nil, "", false},
	} {
		if got, ok := linkTarget(c.data); got != c.want || ok != c.ok {
			t.Errorf("%s: %q %t, want %q %t", c.name, got, ok, c.want, c.ok)
		}
	}
}

// dirEntry makes one FILE_ID_BOTH_DIR_INFO.
func dirEntry(name string, attributes, tag, next uint32) []byte {
	b := make([]byte, 104)
	binary.LittleEndian.PutUint32(b, next)
	binary.LittleEndian.PutUint32(b[56:], attributes)
	text := utf16Bytes(name)
	binary.LittleEndian.PutUint32(b[60:], uint32(len(text)))
	binary.LittleEndian.PutUint32(b[64:], tag)
	b = append(b, text...)
	if next > 0 {
		b = append(b, make([]byte, int(next)-len(b))...)
	}
	return b
}

func TestListingsOfWindowsAreRead(t *testing.T) {
	buf := slices.Concat(dirEntry(".", 0x10, 0, 112), dirEntry("Users", 0x10, 0, 120), dirEntry("junction", 0x410, tagMountPoint, 128),
		dirEntry("deduplicated", 0x420, 0x80000013, 136), dirEntry("file", 0x20, 0, 0))
	var got []DirEntry
	if !dirInfo(buf, func(e DirEntry) { got = append(got, e) }) {
		t.Error("refused")
	}
	want := []DirEntry{{"Users", modeDir}, {"junction", modeLink}, {"deduplicated", modeRegular}, {"file", modeRegular}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i := range buf[:len(buf)-1] {
		if dirInfo(buf[:i], func(DirEntry) {}) {
			t.Errorf("%d of %d bytes count as whole", i, len(buf))
		}
	}
}

func TestStreamsOfWindowsAreRead(t *testing.T) {
	stream := func(name string, next uint32) []byte {
		b := make([]byte, 24)
		binary.LittleEndian.PutUint32(b, next)
		binary.LittleEndian.PutUint32(b[4:], uint32(len(utf16Bytes(name))))
		b = append(b, utf16Bytes(name)...)
		if next > 0 {
			b = append(b, make([]byte, int(next)-len(b))...)
		}
		return b
	}
	buf := slices.Concat(stream("::$DATA", 40), stream(":Zone.Identifier:$DATA", 72), stream(":i:$BITMAP", 48), stream(":$J:$DATA", 0))
	if names, ok := streamInfo(buf); !ok || !slices.Equal(names, []string{"Zone.Identifier", "$J"}) {
		t.Errorf("%q %t", names, ok)
	}
	if _, ok := streamInfo(buf[:60]); ok {
		t.Error("a list that was cut counts as whole")
	}
}

func TestRunsOfClustersAreRead(t *testing.T) {
	run := func(fields ...int64) []byte {
		b := make([]byte, 8)
		b[0] = byte((len(fields) - 1) / 2)
		for _, f := range fields {
			b = binary.LittleEndian.AppendUint64(b, uint64(f))
		}
		return b
	}
	runs, ok := retrievalPointers(run(0, 8, 1000, 16, -1, 20, 5))
	if want := []clusters{{0, 1000, 8}, {8, -1, 8}, {16, 5, 4}}; !ok || !slices.Equal(runs, want) {
		t.Errorf("%v %t, want %v", runs, ok, want)
	}
	for name, bad := range map[string][]byte{
		"backwards": run(8, 8, 1), "before the volume": run(0, 1, -2), "cut": run(0, 8, 1000)[:20], "none": nil, "negative": run(-1, 8, 1),
	} {
		if _, ok := retrievalPointers(bad); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The descriptor is made by hand after MS-DTYP 2.4.6: owner and group are the
// administrators, there are no lists. That of a real volume is compared in
// test/image.
func TestTheOwnerIsReadFromADescriptor(t *testing.T) {
	sd, err := hex.DecodeString("0100048014000000240000000000000034000000" + "01020000000000052000000020020000" + "01020000000000052000000020020000")
	if err != nil {
		t.Fatal(err)
	}
	if sid, ok := ownerOf(sd); !ok || sid != "S-1-5-32-544" {
		t.Errorf("%q %t", sid, ok)
	}
	for i := range sd[:36] {
		if sid, ok := ownerOf(sd[:i]); ok {
			t.Errorf("%d bytes: owner %s", i, sid)
		}
	}
	if sid, ok := SIDText([]byte{1, 1, 0x12, 0x34, 0, 0, 0, 1, 5, 0, 0, 0}); !ok || sid != "S-1-0x123400000001-5" {
		t.Errorf("large authority: %q", sid)
	}
}

// What a driver or a file system says may be anything.
func FuzzStructuresOfWindows(f *testing.F) {
	f.Add(reparse(tagSymlink, `..\x`))
	f.Add(dirEntry("file", 0x20, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		linkTarget(b)
		dirInfo(b, func(e DirEntry) {
			if e.Name == "." || e.Name == ".." {
				t.Error(e.Name)
			}
		})
		if names, _ := streamInfo(b); slices.Contains(names, "") || len(names) > maxStreams {
			t.Errorf("names %q", names)
		}
		runs, _ := retrievalPointers(b)
		for i, r := range runs {
			if r.count <= 0 || i > 0 && r.vcn != runs[i-1].vcn+runs[i-1].count {
				t.Errorf("runs %v", runs)
			}
		}
		ownerOf(b)
	})
}
