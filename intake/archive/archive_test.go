package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// got is what a reader made of a container.
type got struct {
	names   []string
	content map[string]string // by name; what could be read
	ends    map[string]error  // how content ended, where not well
	entries map[string]*Entry
	damage  []string
}

func read(t testing.TB, entries Entries) *got {
	t.Helper()
	g := &got{content: map[string]string{}, ends: map[string]error{}, entries: map[string]*Entry{}}
	for e, d := range entries {
		if d != nil {
			g.damage = append(g.damage, d.Text)
			continue
		}
		g.names = append(g.names, e.Name)
		g.entries[e.Name] = e
		if e.Open == nil {
			continue
		}
		r, err := e.Open()
		if err != nil {
			g.ends[e.Name] = err
			continue
		}
		b, err := io.ReadAll(io.LimitReader(r, 32<<20))
		g.content[e.Name] = string(b)
		if err != nil {
			g.ends[e.Name] = err
		}
	}
	return g
}

var stampOf = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// sampleTar has n files of 600 bytes each.
func sampleTar(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range n {
		body := strings.Repeat(fmt.Sprint(i%10), 600)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("var/log/%02d.log", i), Mode: 0o640, Uid: 7, Gid: 9, Uname: "syslog", Size: 600, ModTime: stampOf, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestATarGivesWhatLiesAroundItsDamage(t *testing.T) {
	whole := sampleTar(t, 5) // each takes three blocks
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   []string
		damage string
	}{
		{"whole", func(b []byte) []byte { return b }, []string{"00", "01", "02", "03", "04"}, ""},
		{"a header", func(b []byte) []byte { b[3*512+10] ^= 0xff; return b }, []string{"00", "02", "03", "04"}, "a header is damaged"},
		{"a header that is all zeros", func(b []byte) []byte { clear(b[3*512 : 5*512]); return b }, []string{"00", "02", "03", "04"}, "entries follow behind the end"},
		{"the last cut", func(b []byte) []byte { return b[:13*512+100] }, []string{"00", "01", "02", "03", "04"}, "ends before it should"},
		{"two behind each other", func(b []byte) []byte { return append(b, b...) }, []string{"00", "01", "02", "03", "04", "00", "01", "02", "03", "04"}, "entries follow behind the end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.change(slices.Clone(whole))
			g := read(t, Tar(bytes.NewReader(b), int64(len(b))))
			var names []string
			for _, n := range g.names {
				names = append(names, strings.TrimSuffix(strings.TrimPrefix(n, "var/log/"), ".log"))
			}
			if !slices.Equal(names, c.want) {
				t.Errorf("entries %v, want %v", names, c.want)
			}
			if c.damage == "" && len(g.damage) > 0 || c.damage != "" && !strings.Contains(strings.Join(g.damage, "\n"), c.damage) {
				t.Errorf("damage %q, want %q", g.damage, c.damage)
			}
			if g.content["var/log/03.log"] != strings.Repeat("3", 600) {
				t.Error("content behind the damage differs")
			}
		})
	}
}

func TestATarEntryBehindABlockOfZerosIsRead(t *testing.T) {
	whole := sampleTar(t, 3)
	const entry = 3 * tarBlock
	for name, b := range map[string][]byte{
		"a block of zeros between entries": slices.Concat(whole[:entry], make([]byte, tarBlock), whole[entry:]),
		"and its header is no good":        slices.Concat(whole[:entry], make([]byte, tarBlock), badNumber(whole[entry:entry+tarBlock]), whole[entry:]),
	} {
		g := read(t, Tar(bytes.NewReader(b), int64(len(b))))
		if len(g.names) != 3 || len(g.damage) == 0 {
			t.Errorf("%s: entries %v, damage %v", name, g.names, g.damage)
		}
		for i, n := range []string{"var/log/00.log", "var/log/01.log", "var/log/02.log"} {
			if g.content[n] != strings.Repeat(fmt.Sprint(i), 600) {
				t.Errorf("%s: %s has %d bytes", name, n, len(g.content[n]))
			}
		}
	}
}

// badNumber is a header with a checksum that holds and a size that is none.
func badNumber(header []byte) []byte {
	b := slices.Clone(header)
	copy(b[124:136], "zzzzzzzzzzz\x00")
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestATarOwnerBeyondLinuxIsNotKnown(t *testing.T) {
	for uid, known := range map[int]bool{0: true, 1<<32 - 1: true, 1 << 32: false} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "a", Uid: uid, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		e := read(t, Tar(&b, int64(b.Len()))).entries["a"]
		if e == nil || e.Known&KnowsIDs != 0 != known || known && e.UID != uint32(uid) {
			t.Errorf("uid %d: %+v", uid, e)
		}
	}
}

func TestATarEntryLeadsToItsBytes(t *testing.T) {
	b := sampleTar(t, 3)
	g := read(t, Tar(bytes.NewReader(b), int64(len(b))))
	for name, e := range g.entries {
		if string(b[e.Offset:e.Offset+e.Packed]) != g.content[name] {
			t.Errorf("%s: offset %d does not lead to its content", name, e.Offset)
		}
		if e.Mode != 0o100640 || e.UID != 7 || e.GID != 9 || e.Owner != "syslog" || !e.Modified.Equal(stampOf) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// sampleZip has three files: stored, deflated, and deflated with a descriptor.
func sampleZip(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, name := range []string{"a.log", "b/c.log", "d.log"} {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: stampOf}
		if i == 0 {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(strings.Repeat(name, 100))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAZipGivesWhatIsLeftOfIt(t *testing.T) {
	whole := sampleZip(t)
	end := bytes.LastIndex(whole, []byte(sigEnd))
	dir := bytes.Index(whole, []byte(sigCentral))
	second := dir + 1 + bytes.Index(whole[dir+1:], []byte(sigCentral))
	all := []string{"a.log", "b/c.log", "d.log"}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   []string
		damage string
	}{
		{"whole", func(b []byte) []byte { return b }, all, ""},
		{"junk in front", func(b []byte) []byte { return append([]byte("MZ junk"), b...) }, all, ""},
		{"junk behind", func(b []byte) []byte { return append(b, bytes.Repeat([]byte("junk"), 30000)...) }, all, ""},
		{"no end record", func(b []byte) []byte { return b[:end] }, all, "no directory"},
		{"no directory", func(b []byte) []byte { return b[:dir] }, all, "no directory"},
		{"directory broken behind its first entry", func(b []byte) []byte { b[second] = 'X'; return b }, all, "ends after 1 entries"},
		{"first header overwritten", func(b []byte) []byte { clear(b[:4]); return b }, all[1:], "there is no entry where"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.change(slices.Clone(whole))
			g := read(t, Zip(bytes.NewReader(b), int64(len(b)), nil))
			if !slices.Equal(g.names, c.want) {
				t.Errorf("entries %v, want %v (%v)", g.names, c.want, g.damage)
			}
			for _, n := range g.names {
				if g.content[n] != strings.Repeat(n, 100) || g.ends[n] != nil {
					t.Errorf("%s has %d bytes, %v", n, len(g.content[n]), g.ends[n])
				}
				if e := g.entries[n]; !e.Modified.Equal(stampOf) {
					t.Errorf("%s: modified %s", n, e.Modified)
				}
			}
			if c.damage == "" && len(g.damage) > 0 || !strings.Contains(strings.Join(g.damage, "\n"), c.damage) {
				t.Errorf("damage %q, want %q", g.damage, c.damage)
			}
		})
	}
}

func TestBytesOfTwoZipEntriesAreReadOnce(t *testing.T) {
	b := sampleZip(t)
	dir := bytes.Index(b, []byte(sigCentral))
	second := dir + 1 + bytes.Index(b[dir+1:], []byte(sigCentral))
	copy(b[second+42:], []byte{10, 0, 0, 0}) // its local header is said to lie in the first entry
	g := read(t, Zip(bytes.NewReader(b), int64(len(b)), nil))
	if !slices.Equal(g.names, []string{"a.log", "d.log"}) || !strings.Contains(strings.Join(g.damage, ""), "bytes of another entry") {
		t.Errorf("entries %v, damage %v", g.names, g.damage)
	}
}

func TestAnEntryThatTwoNamesShareIsReadOnce(t *testing.T) {
	b := sampleZip(t)
	dir := bytes.Index(b, []byte(sigCentral))
	second := dir + 1 + bytes.Index(b[dir+1:], []byte(sigCentral))
	copy(b[second+42:], []byte{0, 0, 0, 0}) // the first entry's place
	g := read(t, Zip(bytes.NewReader(b), int64(len(b)), nil))
	if !slices.Equal(g.names, []string{"a.log", "d.log"}) || len(g.damage) != 1 {
		t.Errorf("entries %v, damage %v", g.names, g.damage)
	}
	// One that claims more than there is costs only itself.
	b = sampleZip(t)
	copy(b[dir+20:], []byte{0xff, 0xff, 0xff, 0x7f})
	if g = read(t, Zip(bytes.NewReader(b), int64(len(b)), nil)); len(g.names) != 3 || g.content["d.log"] != strings.Repeat("d.log", 100) {
		t.Errorf("entries %v, damage %v", g.names, g.damage)
	}
}

// outside makes an archive with a program that is not ours.
func outside(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, program), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func TestEncryptedZipsOfOtherProgramsAreOpened(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("Nov 25 18:00:00 web01 sshd[1]: Accepted password\n", 2000)
	if err := os.WriteFile(filepath.Join(dir, "auth.log"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"ZipCrypto", "AES128", "AES192", "AES256"} {
		t.Run(method, func(t *testing.T) {
			file := filepath.Join(dir, method+".zip")
			outside(t, "7z", "a", "-tzip", "-psecret", "-mem="+method, file, filepath.Join(dir, "auth.log"))
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			open := func(b []byte, password string) *got {
				return read(t, Zip(bytes.NewReader(b), int64(len(b)), []byte(password)))
			}
			if g := open(b, "secret"); g.content["auth.log"] != text || g.ends["auth.log"] != nil {
				t.Errorf("%d bytes, %v", len(g.content["auth.log"]), g.ends["auth.log"])
			}
			if g := open(b, ""); !errors.Is(g.ends["auth.log"], ErrSealed) {
				t.Errorf("without a password: %v", g.ends["auth.log"])
			}
			// ZipCrypto lets one wrong password in 256 pass: its content is not the file's.
			if g := open(b, "wrong"); g.ends["auth.log"] == nil {
				t.Error("a wrong password opened it")
			}
			flipped := slices.Clone(b)
			flipped[100] ^= 1
			if g := open(flipped, "secret"); g.ends["auth.log"] == nil {
				t.Error("a changed byte was not noticed")
			}
			cut := b[:len(b)*2/3]
			if g := open(cut, "secret"); !strings.HasPrefix(text, g.content["auth.log"]) || g.ends["auth.log"] == nil {
				t.Errorf("of a cut archive: %d bytes, %v", len(g.content["auth.log"]), g.ends["auth.log"])
			}
		})
	}
}

func TestArchivesOfOtherProgramsAreReadAsTheyReadThem(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(filepath.Join(tree, "var/log"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"tree/var/log/small": "x", "tree/var/log/empty": "", "tree/var/log/" + strings.Repeat("long", 45): strings.Repeat("0123456789", 20000)}
	for name, text := range want {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stampOf, stampOf); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(tree, "link")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, program string
		args          []string
	}{
		{"gnu.tar", "tar", []string{"--format=gnu", "-C", dir, "-cf"}},
		{"pax.tar", "tar", []string{"--format=pax", "-C", dir, "-cf"}},
		{"bsd.tar", "bsdtar", []string{"-C", dir, "-cf"}},
		{"bsd.zip", "bsdtar", []string{"--format=zip", "-C", dir, "-cf"}},
		{"zip64.zip", "bsdtar", []string{"--format=zip", "--options=zip:zip64", "-C", dir, "-cf"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			file := filepath.Join(dir, c.file)
			outside(t, c.program, append(append(c.args, file), "tree")...)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			entries := Tar(bytes.NewReader(b), int64(len(b)))
			if strings.HasSuffix(c.file, ".zip") {
				entries = Zip(bytes.NewReader(b), int64(len(b)), nil)
			}
			g := read(t, entries)
			if len(g.damage) > 0 || len(g.ends) > 0 {
				t.Errorf("damage %v, ends %v", g.damage, g.ends)
			}
			for name, text := range want {
				e := g.entries[name]
				if e == nil || g.content[name] != text || !e.Modified.Equal(stampOf) || e.Mode != 0o100640 {
					t.Errorf("%.30s: %d bytes of %d, %+v", name, len(g.content[name]), len(text), e)
				}
			}
			if e := g.entries["tree/link"]; e == nil || e.Type != Symlink || e.Link != "/etc/passwd" {
				t.Errorf("link: %+v", e)
			}
		})
	}
}

func TestWhatAZipTookFromAPipeIsContent(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "-", Method: zip.Deflate}
	h.SetMode(os.ModeNamedPipe | 0o600)
	out, err := w.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out, "text"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if g := read(t, Zip(bytes.NewReader(b.Bytes()), int64(b.Len()), nil)); g.content["-"] != "text" {
		t.Errorf("entries %+v, %v", g.entries, g.damage)
	}
}

func TestAFolderIsReadWithoutFollowingAnything(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.log")
	for _, name := range []string{old, filepath.Join(dir, "new.log")} {
		if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, stampOf, stampOf); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.TempDir(), filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	g := read(t, Folder(root))
	if !slices.Equal(g.names, []string{"new.log", "old.log", "out"}) {
		t.Errorf("entries %v", g.names)
	}
	if g.entries["out"].Type != Symlink || g.entries["out"].Link != os.TempDir() {
		t.Errorf("link %+v", g.entries["out"])
	}
	if !g.entries["new.log"].Copied {
		t.Error("a file that was written just now has the time of a copy")
	}
	if e := g.entries["old.log"]; runtime.GOOS == "linux" && (e.Copied || !e.Modified.Equal(stampOf)) {
		t.Errorf("a file with an older time: %+v", e)
	}
}

func TestCorpusArchives(t *testing.T) {
	root := testenv.Corpus(t)
	for _, c := range []struct {
		path    string
		entries int    // with content
		good    string // an entry that must be whole
		damage  string
	}{
		{"archives/hostile_tar/bad_checksum.tar", 1, "second.log", "a header is damaged"},
		{"archives/hostile_tar/negative_size.tar", 1, "logs/good.log", "a header is damaged"},
		{"archives/hostile_tar/pax_size.tar", 1, "logs/good.log", "states 99999999999 bytes"},
		{"archives/hostile_tar/sparse_claim.tar", 1, "logs/good.log", "ends before it should"},
		{"archives/hostile_tar/truncated.tar", 2, "logs/good.log", "ends before it should"},
		{"archives/hostile_zip/bad_crc.zip", 2, "logs/good.log", ""},
		{"archives/hostile_zip/duplicate_names.zip", 3, "logs/good.log", ""},
		{"archives/hostile_zip/header_mismatch.zip", 2, "logs/good.log", "is called"},
		{"archives/hostile_zip/prefix_junk.zip", 2, "", ""},
		{"archives/hostile_zip/trailing_junk.zip", 2, "", ""},
		{"archives/hostile_zip/truncated.zip", 2, "", "no directory"},
		{"archives/hostile_zip/wrong_count.zip", 2, "", "has 2 entries and says 65535"},
		{"archives/tar_odd/dfvfs/absolute_paths.tar", 2, "/folder/syslog", ""},
		{"collections/velociraptor_zip/velociraptor/Collection-WIN-E5K9RC5GU23-2021-11-21T18_05_56-08_00.zip", 16, "uploads.json", ""},
		{"collections/velociraptor_zip/velociraptor/import_hunt.zip", 13, "hunt_info.json", ""},
		{"collections/velociraptor_zip_damaged/truncated_80__Collection-WIN-E5K9RC5GU23-2021-11-21T18_05_56-08_00.zip", 12, "uploads.json~", "no directory"},
	} {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(root, c.path))
			if err != nil {
				t.Fatal(err)
			}
			entries := Tar(bytes.NewReader(b), int64(len(b)))
			if strings.HasSuffix(c.path, ".zip") {
				entries = Zip(bytes.NewReader(b), int64(len(b)), nil)
			}
			g := read(t, entries)
			n := 0
			for _, e := range g.entries {
				if e.Open != nil {
					n++
				}
			}
			if dup := len(g.names) - len(g.entries); n+dup != c.entries && !strings.Contains(c.path, "truncated_80") {
				t.Errorf("%d entries with content, want %d: %q %q", n+dup, c.entries, g.names, g.damage)
			}
			if c.good != "" && (g.entries[c.good] == nil || g.ends[c.good] != nil || g.content[c.good] == "") {
				t.Errorf("%s: %v", c.good, g.ends[c.good])
			}
			if !strings.Contains(strings.Join(g.damage, "\n"), c.damage) {
				t.Errorf("damage %q, want %q", g.damage, c.damage)
			}
		})
	}
}

// TestDamageCostsNoMoreThanWhatItHits changes and cuts archives everywhere.
// What a change hits may be lost; the rest must come whole, and a loss be said.
func TestDamageCostsNoMoreThanWhatItHits(t *testing.T) {
	for _, c := range []struct {
		name   string
		sample []byte
		files  int
		least  int // of the files that come whole whatever byte is changed
		open   func([]byte) Entries
	}{
		{"tar", sampleTar(t, 5), 5, 4, func(b []byte) Entries { return Tar(bytes.NewReader(b), int64(len(b))) }},
		{"tar of unknown length", sampleTar(t, 5), 5, 4, func(b []byte) Entries { return Tar(bytes.NewReader(b), -1) }},
		{"zip", sampleZip(t), 3, 1, func(b []byte) Entries { return Zip(bytes.NewReader(b), int64(len(b)), nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := read(t, c.open(c.sample))
			if len(whole.names) != c.files || len(whole.damage) > 0 {
				t.Fatalf("the sample has %v, %v", whole.names, whole.damage)
			}
			good := func(g *got) (n int) {
				for name, text := range whole.content {
					if e := g.entries[name]; e != nil && g.content[name] == text && g.ends[name] == nil {
						n++
					}
				}
				return n
			}
			for i := 0; i < len(c.sample); i += 1 + len(c.sample)/600 {
				b := slices.Clone(c.sample)
				b[i] ^= 1 << (i % 8)
				if g := read(t, c.open(b)); good(g) < c.least {
					t.Fatalf("byte %d changed: %d files of %d, %v", i, good(g), c.files, g.damage)
				}
			}
			for i := range 64 {
				cut := len(c.sample) * i / 64
				g := read(t, c.open(c.sample[:cut]))
				want := 0
				for _, e := range whole.entries {
					if e.Offset+e.Packed+24 <= int64(cut) { // with a zip's descriptor
						want++
					}
				}
				if good(g) < want {
					t.Fatalf("cut at %d: %d files, want %d: %v", cut, good(g), want, g.damage)
				}
			}
		})
	}
}
