package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// kept is a Sink that holds what it is given.
type kept struct {
	items   []evidence.Item
	content map[string]string // by source and path
}

func (k *kept) Add(_ context.Context, it evidence.Item, r io.Reader) (evidence.Item, error) {
	b, err := io.ReadAll(r)
	if err != nil && it.Size >= 0 {
		return it, err
	}
	if it.Size >= 0 && it.Size != int64(len(b)) {
		return it, errors.New("size stated and content differ")
	}
	it.Size, it.SHA256, it.Index = int64(len(b)), evidence.Sum(b), int64(len(k.items))
	it.Member = bundle.MemberName(it.Source, it.Path)
	for _, other := range k.items {
		if other.Member == it.Member {
			it.Member += "~1"
		}
	}
	k.items = append(k.items, it)
	k.content[it.Source+" "+it.Path] = string(b)
	return it, nil
}

func (k *kept) Note(it evidence.Item) error {
	k.items = append(k.items, it)
	return nil
}

// item returns an item by source and path.
func (k *kept) item(source, path string) *evidence.Item {
	for i := range k.items {
		if k.items[i].Source == source && k.items[i].Path == path && !k.items[i].Kind.Negative() {
			return &k.items[i]
		}
	}
	return nil
}

func (k *kept) members(t *testing.T) map[string]Member {
	t.Helper()
	out := map[string]Member{}
	for line := range strings.Lines(k.content["tool "+MembersPath]) {
		var m Member
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		out[string(m.Path)] = m
	}
	return out
}

func take(t *testing.T, name string, b []byte, opt Options) (*kept, *Report, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return takeSource(t, Source{Name: name, File: f, Size: int64(len(b))}, opt)
}

func takeSource(t *testing.T, src Source, opt Options) (*kept, *Report, error) {
	t.Helper()
	opt.TempDir = t.TempDir()
	k := &kept{content: map[string]string{}}
	rep, err := Take(t.Context(), src, k, opt)
	if left, _ := os.ReadDir(opt.TempDir); len(left) > 0 { //nolint:errcheck // there is nothing when it is gone
		t.Errorf("left behind: %v", left)
	}
	return k, rep, err
}

var when = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// file is one member of an archive for a test.
type file struct{ name, text string }

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o640, Uid: 3, Gid: 4, Uname: "sys", Size: int64(len(f.text)), ModTime: when, Typeflag: tar.TypeReg}
		if target, ok := strings.CutPrefix(f.text, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, f.text = tar.TypeSymlink, target, 0, ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		//lint:ignore SA1019 only these fields give a time without a zone
		out, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, ModifiedDate: 26<<9 | 3<<5 | 14, ModifiedTime: 15<<11 | 9<<5 | 13})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEachLayoutGivesFilesThePathOfTheirHost(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  []string
		layout string
		tool   string
		want   map[string]string // name → source and path
	}{
		{
			"UAC",
			[]string{"uac.log", "[root]/etc/passwd", "live_response/network/hostname.txt"},
			LayoutUAC, "UAC",
			map[string]string{"[root]/etc/passwd": "import /etc/passwd", "uac.log": "tool uac.log", "live_response/network/hostname.txt": "tool live_response/network/hostname.txt"},
		},
		{
			"UAC in a folder",
			[]string{"uac-web01-linux-1/[root]/var/log/auth.log", "uac-web01-linux-1/uac.log"},
			LayoutUAC, "UAC",
			map[string]string{"uac-web01-linux-1/[root]/var/log/auth.log": "import /var/log/auth.log", "uac-web01-linux-1/uac.log": "tool uac.log"},
		},
		{
			"Velociraptor",
			[]string{"uploads/auto/C%3A/Windows/a%2Bb.log", "uploads/ntfs/%5C%5C.%5CC%3A/$MFT", "uploads/ntfs/%5C%5C.%5CC%3A/$J.idx", "uploads/auto/var/log/syslog", "results/Windows.KapeFiles.Targets%2FUploads.json", "uploads/auto/C%3A/..%2F..%2Fetc"},
			LayoutVelociraptor, "Velociraptor",
			map[string]string{
				"uploads/auto/C%3A/Windows/a%2Bb.log": "import /C:/Windows/a+b.log", "uploads/ntfs/%5C%5C.%5CC%3A/$MFT": "import /C:/$MFT", "uploads/ntfs/%5C%5C.%5CC%3A/$J.idx": "tool uploads/ntfs/C:/$J.idx",
				"uploads/auto/var/log/syslog": "import /var/log/syslog", "results/Windows.KapeFiles.Targets%2FUploads.json": "tool results/Windows.KapeFiles.Targets/Uploads.json",
				"uploads/auto/C%3A/..%2F..%2Fetc": "tool uploads/auto/C%3A/..%2F..%2Fetc",
			},
		},
		{
			"KAPE",
			[]string{"tout/2026-11-25T18_00_00_ConsoleLog.txt", "tout/C/Windows/System32/winevt/Logs/System.evtx", "tout/D/$MFT"},
			LayoutDrives, "KAPE",
			map[string]string{"tout/C/Windows/System32/winevt/Logs/System.evtx": "import /C:/Windows/System32/winevt/Logs/System.evtx", "tout/D/$MFT": "import /D:/$MFT", "tout/2026-11-25T18_00_00_ConsoleLog.txt": "tool 2026-11-25T18_00_00_ConsoleLog.txt"},
		},
		{
			"CyLR",
			[]string{"C/Windows/System32/config/SYSTEM", "C/$MFT"},
			LayoutDrives, "",
			map[string]string{"C/Windows/System32/config/SYSTEM": "import /C:/Windows/System32/config/SYSTEM", "C/$MFT": "import /C:/$MFT"},
		},
		{
			"acquire",
			[]string{"fs/$rootfs$/etc/hostname", "$metadata$/command-output/x"},
			LayoutAcquire, "acquire",
			map[string]string{"fs/$rootfs$/etc/hostname": "import /etc/hostname", "$metadata$/command-output/x": "tool $metadata$/command-output/x"},
		},
		{
			"acquire of Windows",
			[]string{"fs/C:/Windows/win.ini", "fs/C:/$MFT"},
			LayoutAcquire, "acquire",
			map[string]string{"fs/C:/Windows/win.ini": "import /C:/Windows/win.ini", "fs/C:/$MFT": "import /C:/$MFT"},
		},
		{
			"root",
			[]string{"./etc/passwd", "./var/log/auth.log"},
			LayoutRoot, "",
			map[string]string{"./etc/passwd": "import /etc/passwd", "./var/log/auth.log": "import /var/log/auth.log"},
		},
		{
			"root in a folder",
			[]string{"web01/etc/passwd", "web01/var/log/auth.log"},
			LayoutRoot, "",
			map[string]string{"web01/etc/passwd": "import /etc/passwd", "web01/var/log/auth.log": "import /var/log/auth.log"},
		},
		{
			"part of a file system",
			[]string{"usr/lib/a", "usr/share/b", "usr/local/bin/c"},
			LayoutPlain, "",
			map[string]string{"usr/lib/a": "import usr/lib/a", "usr/local/bin/c": "import usr/local/bin/c"},
		},
		{
			"plain",
			[]string{"auth.log", "../../etc/passwd", "/etc/shadow"},
			LayoutPlain, "",
			map[string]string{"auth.log": "import auth.log", "../../etc/passwd": "tool ../../etc/passwd", "/etc/shadow": "import /etc/shadow"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []file
			for _, n := range c.files {
				files = append(files, file{n, "text of " + n})
			}
			for form, b := range map[string][]byte{"a.tar": tarOf(t, files...), "a.zip": zipOf(t, files...)} {
				k, rep, err := take(t, form, b, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if rep.Layout != c.layout || rep.Tool != c.tool || rep.Members != int64(len(files)) {
					t.Errorf("%s: layout %s, tool %q, %d members", form, rep.Layout, rep.Tool, rep.Members)
				}
				for name, at := range c.want {
					if k.content[at] != "text of "+name {
						t.Errorf("%s: %s is not %s: %v", form, name, at, k.content)
					}
				}
			}
		})
	}
}

func TestAMemberListLeadsToTheBytesOfTheArchive(t *testing.T) {
	b := tarOf(t, file{"[root]/etc/passwd", "root:x:0:0"}, file{"[root]/etc/localtime", "-> /usr/share/zoneinfo/Europe/Berlin"}, file{"uac.log", "log"})
	k, _, err := take(t, "u.tar", b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := k.members(t)["/etc/passwd"]
	if got := string(b[m.Offset : m.Offset+m.Packed]); got != "root:x:0:0" || string(m.Name) != "[root]/etc/passwd" || m.SHA256 != evidence.Sum([]byte(got)).String() {
		t.Errorf("%+v leads to %q", m, got)
	}
	st := k.item("import", "/etc/passwd").Stat
	if st.Mode != 0o100640 || st.UID != 3 || st.Owner != "sys" || !st.Modified.Equal(when) || st.Unknown&evidence.StatIDs != 0 || st.Unknown&evidence.StatInode == 0 {
		t.Errorf("stat %+v", st)
	}
	if l := k.item("import", "/etc/localtime"); l == nil || l.Kind != evidence.KindSymlink || l.Link != "/usr/share/zoneinfo/Europe/Berlin" {
		t.Errorf("link %+v", l)
	}
}

func TestATimeWithoutAZoneIsUsedOnlyWithOne(t *testing.T) {
	b := zipOf(t, file{"C/Windows/win.ini", "x"})
	k, _, err := take(t, "c.zip", b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if st := k.item("import", "/C:/Windows/win.ini").Stat; !st.Modified.IsZero() || st.Unknown&evidence.StatMode == 0 {
		t.Errorf("stat %+v", st)
	}
	if m := k.members(t)["/C:/Windows/win.ini"]; m.Local != "2006-03-14T15:09:26" {
		t.Errorf("stated time %q", m.Local)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if k, _, err = take(t, "c.zip", b, Options{Zone: berlin}); err != nil {
		t.Fatal(err)
	}
	if st := k.item("import", "/C:/Windows/win.ini").Stat; !st.Modified.Equal(time.Date(2006, 3, 14, 14, 9, 26, 0, time.UTC)) {
		t.Errorf("modified %s", st.Modified)
	}
}

func TestArchivesInArchivesAreOpenedWithinBounds(t *testing.T) {
	uac := tarOf(t, file{"[root]/etc/hostname", "web01\n"}, file{"[root]/opt/app.zip", string(zipOf(t, file{"inside", "x"}))}, file{"uac.log", "l"})
	outer := zipOf(t, file{"readme.txt", "see"}, file{"uac-web01.tar", string(uac)})
	k, rep, err := take(t, "o.zip", outer, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if k.content["import /etc/hostname"] != "web01\n" || rep.Layout != LayoutUAC || k.content["original uac-web01.tar"] != string(uac) {
		t.Errorf("layout %s, items %v", rep.Layout, k.items)
	}
	if m := k.members(t)["/etc/hostname"]; string(m.In) != "uac-web01.tar" {
		t.Errorf("member %+v", m)
	}
	if k.item("import", "/opt/app.zip") == nil || k.content["import inside"] != "" || k.content["import /opt/app.zip/inside"] != "" {
		t.Error("an archive of the host was opened")
	}

	two := zipOf(t, file{"a.tar", string(uac)}, file{"b.tar", string(uac)})
	if k, rep, err = take(t, "two.zip", two, Options{}); err != nil {
		t.Fatal(err)
	}
	if k.content["original b.tar"] == "" || rep.Lost != 1 || !strings.Contains(rep.Problems[0].Detail, "another collection") {
		t.Errorf("problems %v", rep.Problems)
	}

	deep := []byte("text")
	for i := range 6 {
		deep = zipOf(t, file{[]string{"a.txt", "1.zip", "2.zip", "3.zip", "4.zip", "5.zip"}[i], string(deep)})
	}
	if k, rep, err = take(t, "d.zip", deep, Options{Limits: Limits{Depth: 2}}); err != nil {
		t.Fatal(err)
	}
	if rep.Lost != 1 || !strings.Contains(rep.Problems[0].Detail, "its members are not taken") || k.item("import", "5.zip/4.zip/3.zip") == nil {
		t.Errorf("problems %v, items %v", rep.Problems, k.items)
	}
}

func TestLimitsEndAnImportAndAreSaid(t *testing.T) {
	b := zipOf(t, file{"a", strings.Repeat("0", 3<<20)}, file{"b", "second"}, file{"c", "third"})
	k, rep, err := take(t, "b.zip", b, Options{Limits: Limits{Bytes: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	if n := k.item("import", "a").Size; n != 1<<20 || k.item("import", "b") != nil || rep.Lost != 2 {
		t.Errorf("%d bytes of the first, problems %v", n, rep.Problems)
	}
	if _, rep, err = take(t, "b.zip", b, Options{Limits: Limits{Entries: 2}}); err != nil || rep.Members != 2 || rep.Lost != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestWhatIsNoArchiveIsTakenAsItIs(t *testing.T) {
	k, rep, err := take(t, "auth.log", []byte("line\n"), Options{As: "/var/log/auth.log"})
	if err != nil || rep.Form != FormFile || k.content["import /var/log/auth.log"] != "line\n" {
		t.Errorf("%+v, %v, %v", rep, k.content, err)
	}
	// A name alone makes no archive, and hides nothing.
	k, rep, err = take(t, "log.zip", []byte("line\n"), Options{})
	if err != nil || rep.Lost == 0 || k.content["import log.zip"] != "line\n" {
		t.Errorf("%+v, %v, %v", rep, k.content, err)
	}
	k, _, err = take(t, "o.tar", tarOf(t, file{"x.zip", "Nov 25 no zip"}), Options{})
	if err != nil || k.item("import", "x.zip") == nil {
		t.Errorf("%v, %v", k.items, err)
	}
}

func TestAZipWithBackslashesIsReadAsOneWithSlashes(t *testing.T) {
	k, rep, err := take(t, "w.zip", zipOf(t, file{`C\Windows\win.ini`, "x"}, file{`C\..\up`, "y"}), Options{})
	if err != nil || rep.Layout != LayoutDrives || k.content["import /C:/Windows/win.ini"] != "x" || k.content[`tool C\..\up`] != "y" {
		t.Errorf("%+v, %v, %v", rep, k.content, err)
	}
	if m := k.members(t)["/C:/Windows/win.ini"]; string(m.Name) != `C\Windows\win.ini` {
		t.Errorf("member %+v", m)
	}
}

func TestCollectionsOfTwoHostsAreRefused(t *testing.T) {
	b := tarOf(t, file{"web01/etc/passwd", "a"}, file{"web01/var/log/x", "a"}, file{"web02/etc/passwd", "b"}, file{"web02/var/log/x", "b"})
	if _, _, err := take(t, "two.tar", b, Options{}); !errors.Is(err, ErrManyHosts) {
		t.Errorf("error %v", err)
	}
	k, _, err := take(t, "two.tar", b, Options{Layout: LayoutPlain})
	if err != nil || k.content["import web02/etc/passwd"] != "b" {
		t.Errorf("%v, %v", k.content, err)
	}
}

func TestTwoEntriesOfOneNameAreBothKeptAndSaid(t *testing.T) {
	k, rep, err := take(t, "t.tar", tarOf(t, file{"a.log", "1"}, file{"a.log", "2"}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, it := range k.items {
		if it.Path == "a.log" && it.Kind == evidence.KindFile {
			n++
		}
	}
	if n != 2 || rep.Lost != 1 || !strings.Contains(rep.Problems[0].Detail, "another entry has this name") {
		t.Errorf("%d items, problems %v", n, rep.Problems)
	}
}

func TestAFolderSaysWhatItsTimesAreWorth(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"etc", "var/log"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, trust := range []bool{false, true} {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		k, rep, err := takeSource(t, Source{Name: "dir", Root: root}, Options{TrustTimes: trust})
		root.Close()
		if err != nil || rep.Layout != LayoutRoot {
			t.Fatalf("%+v, %v", rep, err)
		}
		st := k.item("import", "/etc/passwd").Stat
		if st.Modified.IsZero() == trust || st.Unknown&evidence.StatIDs == 0 || st.Unknown&evidence.StatMode == 0 {
			t.Errorf("trust %v: %+v", trust, st)
		}
	}
}

// TestVelociraptorCollections compares with Velociraptor's own test: the
// times that its artifact Windows.KapeFiles.Extract gives to these files.
func TestVelociraptorCollections(t *testing.T) {
	root := filepath.Join(testenv.Corpus(t), "collections/velociraptor_zip/velociraptor")
	b, err := os.ReadFile(filepath.Join(root, "Collection-WIN-E5K9RC5GU23-2021-11-21T18_05_56-08_00.zip"))
	if err != nil {
		t.Fatal(err)
	}
	k, rep, err := take(t, "Collection.zip", b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Layout != LayoutVelociraptor || rep.Members != 16 || rep.Lost != 0 {
		t.Errorf("%+v", rep)
	}
	at := time.Date(2021, 8, 21, 20, 4, 11, 326060000, time.UTC)
	for path, sum := range map[string]string{
		"/C:/$Extend/$UsnJrnl:$Max":          "40828efda6190ba2f6b511b776d98fcf707996b3caa24623983be37db6cd2462",
		"/C:/$Extend/$UsnJrnl:$J":            "3e9ba2c3610ea0a87889ffe7f36babff9b3524e29690fc4e25ec93858b567abc",
		"/C:/Users/Administrator/ntuser.dat": "72892da885c6a4c64d8a1e5f2369f20f5a1dd4d16fda1d2ed7fb459b96f3ca1a",
	} {
		it := k.item("import", path)
		if it == nil || it.SHA256.String() != sum || !it.Stat.Modified.Equal(at) || !it.Stat.Accessed.Equal(at) || !it.Stat.Born.Equal(at) {
			t.Errorf("%s: %+v", path, it)
		}
	}
}

func TestVelociraptorTimesAreThoseOfTheFileThatBearsTheName(t *testing.T) {
	rows := `{"SourceFile":"/tmp/A","Modified":"2020-01-01T00:00:00Z"}` + "\n" +
		`{"SourceFile":"/tmp/a","Modified":"2021-01-01T00:00:00Z"}` + "\n" +
		`{"SourceFile":"C:\\Windows\\X.log","Modified":"2022-01-01T00:00:00Z"}` + "\n"
	b := zipOf(t, file{"client_info.json", "{}"}, file{"results/All File Metadata.json", rows},
		file{"uploads/auto/tmp/A", "1"}, file{"uploads/auto/tmp/a", "2"}, file{"uploads/auto/C%3A/WINDOWS/x.log", "3"})
	k, _, err := take(t, "c.zip", b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for path, year := range map[string]int{"/tmp/A": 2020, "/tmp/a": 2021, "/C:/WINDOWS/x.log": 2022} {
		if it := k.item("import", path); it == nil || it.Stat.Modified.Year() != year {
			t.Errorf("%s: %+v", path, it)
		}
	}
}

func TestANameThatDecodesToAWayOutIsSaid(t *testing.T) {
	b := zipOf(t, file{"client_info.json", "{}"}, file{"results/%2e%2e/%2e%2e/x.json", "{}"})
	_, rep, err := take(t, "c.zip", b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Lost != 1 || !strings.Contains(rep.Problems[0].Detail, "leads out of its folder") {
		t.Errorf("%+v", rep)
	}
}

func TestDamagedContentIsKeptUpToTheDamage(t *testing.T) {
	b := tarOf(t, file{"a.log", strings.Repeat("a", 4000)}, file{"b.log", strings.Repeat("b", 4000)})
	k, rep, err := take(t, "t.tar", b[:6*1024], Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(k.content["import a.log"]) != 4000 || len(k.content["import b.log"]) == 0 || rep.Lost == 0 {
		t.Errorf("%d and %d bytes, problems %v", len(k.content["import a.log"]), len(k.content["import b.log"]), rep.Problems)
	}
	m := k.members(t)["b.log"]
	if !strings.Contains(m.Note, "unexpected EOF") || m.Size != int64(len(k.content["import b.log"])) {
		t.Errorf("member %+v", m)
	}
	if !slices.ContainsFunc(rep.Problems, func(p Problem) bool { return p.Path == "b.log" }) {
		t.Errorf("problems %v", rep.Problems)
	}
}

// TestNamesOfAnySizeFitABundle gives the texts of an archive to a bundle,
// whose records have a limit.
func TestNamesOfAnySizeFitABundle(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	long := strings.Repeat("\x01", 200_000)
	if err := w.WriteHeader(&tar.Header{Name: "etc/x" + long, Uname: long, Gname: long, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "etc/y", Linkname: long, Uname: long, Mode: 0o600, Typeflag: tar.TypeLink}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "in.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	out, err := bundle.NewWriter(io.Discard, bundle.Header{Case: "c", Exhibit: "E1", Examiner: "a@example.org", Profile: bundle.ProfileReceived}, key, bundle.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Take(t.Context(), Source{Name: "in.tar", File: f, Size: int64(b.Len())}, bundleSink{out}, Options{TempDir: t.TempDir()})
	if err != nil || rep.Members != 1 {
		t.Errorf("%+v, %.200v", rep, err)
	}
}

type bundleSink struct{ w *bundle.Writer }

func (s bundleSink) Add(ctx context.Context, it evidence.Item, r io.Reader) (evidence.Item, error) {
	return s.w.Add(ctx, it, bundle.Input{R: r})
}

func (s bundleSink) Note(it evidence.Item) error { return s.w.Note(it) }
