package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// walked runs the walk collector and returns its lines by path.
func walked(t testing.TB, h *collect.Host) (map[string]record.File, *memoryTaker) {
	t.Helper()
	out := newMemoryTaker(h)
	check(t, filesystemWalk.Run(context.Background(), h, out))
	files := map[string]record.File{}
	lines := json.NewDecoder(bytes.NewReader(out.streams[record.Files]))
	for {
		var f record.File
		err := lines.Decode(&f)
		if err == io.EOF {
			return files, out
		}
		check(t, err)
		if _, again := files[string(f.Path)]; again {
			t.Errorf("%q is there twice", f.Path)
		}
		files[string(f.Path)] = f
	}
}

// hostile are names that break tools which work with lines, shells or UTF-8.
var hostile = []string{
	"new\nline", "trailing space ", " leading", "\ttab", "quote\"s'`", `back\slash`, "$(touch x)", "-rf", "*", "[a", "{b,c}",
	"inv\xff\xfealid", "\x01\x7f\x1b[31m", "ünïcode", "\u202etxt.exe", "leaves.txt", "seal.txt", "manifest.jsonl", "case-host-20260101T000000Z.exhibit.tar.zst",
	"uac-data.tmp", "exhibit-collector", ".exhibit.tmp", strings.Repeat("n", 255),
}

func plantHostile(t testing.TB, dirs ...string) *collect.Host {
	t.Helper()
	h := plant(t, "etc/passwd")
	for _, dir := range dirs {
		full := filepath.Join(h.Root, dir)
		check(t, os.MkdirAll(full, 0o755))
		for _, name := range hostile {
			check(t, os.WriteFile(filepath.Join(full, name), []byte(name), 0o644))
			check(t, os.MkdirAll(filepath.Join(full, "d", name), 0o755))
			check(t, os.WriteFile(filepath.Join(full, "d", name, "in"), []byte(name), 0o644))
		}
		check(t, os.WriteFile(filepath.Join(full, "mode000"), []byte("x"), 0))
		check(t, os.Chmod(filepath.Join(full, "mode000"), 0))
		check(t, os.Symlink("/nowhere\nat all", filepath.Join(full, "dangling")))
		check(t, os.Symlink("dangling loop", filepath.Join(full, "dangling loop")))
		check(t, syscall.Mkfifo(filepath.Join(full, "fifo"), 0o644))
	}
	return h
}

// everything lists what is below a folder of the host, by the standard library.
func everything(t testing.TB, h *collect.Host, dir string) []string {
	t.Helper()
	var all []string
	check(t, filepath.WalkDir(filepath.Join(h.Root, dir), func(path string, _ os.DirEntry, err error) error {
		all = append(all, strings.TrimPrefix(path, h.Root))
		return err
	}))
	return all[1:]
}

func TestNoHostileNameEscapesTheLogs(t *testing.T) {
	h := plantHostile(t, "/var/log", "/tmp", "/dev/shm")
	out := newMemoryTaker(h)
	done := make(chan error, 1)
	go func() { done <- linuxLogs.Run(context.Background(), h, out) }()
	select {
	case err := <-done:
		check(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the collector hangs")
	}
	for _, dir := range []string{"/var/log", "/tmp", "/dev/shm"} {
		for _, path := range everything(t, h, dir) {
			it, taken := out.file(path)
			if !taken {
				t.Errorf("%q was neither taken nor listed", path)
				continue
			}
			if want := filepath.Base(path); it.Kind == evidence.KindFile && want != "in" && want != "mode000" && string(out.content[path]) != want {
				t.Errorf("%q has the content of another: %q", path, out.content[path])
			}
		}
	}
}

func TestNoHostileNameEscapesTheWalk(t *testing.T) {
	h := plantHostile(t, "/srv/a")
	files, out := walked(t, h)
	for _, path := range everything(t, h, "/") {
		if _, ok := files[path]; !ok {
			t.Errorf("%q was not listed", path)
		}
	}
	if f := files["/srv/a/dangling"]; string(f.Link) != "/nowhere\nat all" {
		t.Errorf("link target %q", f.Link)
	}
	if len(out.problems) != 0 {
		t.Errorf("problems %+v", out.problems)
	}
	if n := out.seen["file system walk"]; n != len(files) {
		t.Errorf("ledger says %d names, the record set has %d", n, len(files))
	}
}

func TestWalkStatesWhatTheKernelStates(t *testing.T) {
	h := plant(t, "a/file", "a/link -> file", "a/dir/")
	check(t, os.Chmod(filepath.Join(h.Root, "a/file"), 0o4755))
	// Asked before the walk: reading a link moves its access time.
	stated := map[string]syscall.Stat_t{}
	for _, path := range []string{"/", "/a", "/a/file", "/a/link", "/a/dir"} {
		var st syscall.Stat_t
		check(t, syscall.Lstat(filepath.Join(h.Root, path), &st))
		stated[path] = st
	}
	files, _ := walked(t, h)
	for path, st := range stated {
		f := files[path]
		var sx unix.Statx_t
		check(t, unix.Statx(unix.AT_FDCWD, filepath.Join(h.Root, path), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &sx))
		want := record.File{
			MountID: sx.Mnt_id,
			Path:    record.Bytes(path), Mode: st.Mode, UID: st.Uid, GID: st.Gid, Size: st.Size, Inode: st.Ino,
			Dev: fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), Nlink: uint32(st.Nlink),
			Atime: st.Atim.Nano(), Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
			Owner: f.Owner, Btime: f.Btime, Attributes: f.Attributes, Link: f.Link, SHA256: f.SHA256, HashNote: f.HashNote,
		}
		if !reflect.DeepEqual(f, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", path, f, want)
		}
	}
	content, err := os.ReadFile(filepath.Join(h.Root, "a/file"))
	check(t, err)
	if files["/a/file"].SHA256 != evidence.Sum(content).String() {
		t.Errorf("hash %q", files["/a/file"].SHA256)
	}
}

func TestHashPolicySaysWhyThereIsNoHash(t *testing.T) {
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	old, late := now.AddDate(-1, 0, 0), now.AddDate(0, 0, -1)
	for _, tc := range []struct {
		name, path string
		st         evidence.Stat
		want       string
	}{
		{"old data", "/srv/a", evidence.Stat{Mode: 0o100644, Changed: old}, "not asked for by policy"},
		{"late data", "/srv/a", evidence.Stat{Mode: 0o100644, Changed: late}, ""},
		{"program", "/usr/bin/a", evidence.Stat{Mode: 0o100755, Changed: old, Size: 100 << 20}, ""},
		{"setuid", "/usr/bin/a", evidence.Stat{Mode: 0o104644, Changed: old}, ""},
		{"temporary", "/tmp/a", evidence.Stat{Mode: 0o100644, Changed: old}, ""},
		{"device folder", "/dev/a", evidence.Stat{Mode: 0o100644, Changed: old}, ""},
		{"hidden", "/srv/.x/a", evidence.Stat{Mode: 0o100644, Changed: old}, ""},
		{"large late data", "/srv/a", evidence.Stat{Mode: 0o100644, Changed: late, Size: 65 << 20}, "larger than 67108864 bytes"},
		{"large program", "/srv/a", evidence.Stat{Mode: 0o100755, Changed: late, Size: 1 << 30}, "larger than 536870912 bytes"},
	} {
		p := defaultHashPolicy(now)
		if got := p.leaveOut(tc.path, &tc.st); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	none := defaultHashPolicy(now)
	none.none = true
	if got := none.leaveOut("/tmp/a", &evidence.Stat{Mode: 0o104755, Changed: late}); got != "not asked for" {
		t.Errorf("without hashes: %q", got)
	}
	p := defaultHashPolicy(now)
	p.others = 10
	late10 := evidence.Stat{Mode: 0o100644, Changed: late, Size: 8}
	if first, second := p.leaveOut("/a", &late10), p.leaveOut("/b", &late10); first != "" || second == "" {
		t.Errorf("budget: first %q, second %q", first, second)
	}
}

func TestPrivilegedFilesAreTold(t *testing.T) {
	h := plant(t, "bin/plain", "bin/setuid", "bin/setgid", "bin/caps", "bin/fixed", "bin/labelled", "shared/in")
	at := func(name string) string { return filepath.Join(h.Root, name) }
	check(t, os.Chmod(at("bin/setuid"), 0o755|os.ModeSetuid))
	check(t, os.Chmod(at("bin/setgid"), 0o755|os.ModeSetgid))
	check(t, os.Chmod(at("shared"), 0o755|os.ModeSetgid))
	want := []string{"/bin/setgid", "/bin/setuid"}
	labelled := unix.Setxattr(at("bin/labelled"), "user.origin", []byte("a\xffb"), 0) == nil // not every file system has them
	if os.Getuid() == 0 && exec.Command(testenv.Tool(t, "setcap"), "cap_net_raw,cap_bpf=ep", at("bin/caps")).Run() == nil {
		want = append(want, "/bin/caps")
	}
	if os.Getuid() == 0 && exec.Command(testenv.Tool(t, "chattr"), "+i", at("bin/fixed")).Run() == nil {
		t.Cleanup(func() { check(t, exec.Command(testenv.Tool(t, "chattr"), "-i", at("bin/fixed")).Run()) })
		want = append(want, "/bin/fixed")
	}
	files, out := walked(t, h)
	told := map[string]record.File{}
	for line := range bytes.Lines(out.streams[record.Privileged]) {
		var f record.File
		check(t, json.Unmarshal(line, &f))
		told[string(f.Path)] = f
		if !reflect.DeepEqual(f, files[string(f.Path)]) && f.SHA256 == "" {
			t.Errorf("%+v, the walk has %+v", f, files[string(f.Path)])
		}
	}
	slices.Sort(want)
	if got := keysOf(told); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if f, ok := told["/bin/caps"]; ok && !reflect.DeepEqual(f.Capabilities, &record.Capabilities{Revision: 2, Effective: true, Permitted: []string{"cap_net_raw", "cap_bpf"}}) {
		t.Errorf("capabilities %+v", f.Capabilities)
	}
	if f := files["/bin/labelled"]; labelled && !slices.ContainsFunc(f.Xattrs, func(x record.Xattr) bool {
		return string(x.Name) == "user.origin" && string(x.Value) == "a\xffb"
	}) {
		t.Errorf("attributes %+v", f.Xattrs)
	}
	if len(out.problems) != 0 {
		t.Errorf("problems %+v", out.problems)
	}
}

func TestFileLineReadsBackAsItWas(t *testing.T) {
	full := record.File{}
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("text " + v.Type().Field(i).Name)
		case reflect.Pointer:
			f.Set(reflect.ValueOf(&record.Capabilities{Revision: 3, Effective: true, Permitted: []string{"cap_bpf"}, RootID: 7}))
		case reflect.Slice:
			if f.Type() == reflect.TypeFor[[]record.Xattr]() {
				f.Set(reflect.ValueOf([]record.Xattr{{Name: record.Bytes("user.\xff"), Value: []byte("\x00\xff")}}))
				break
			}
			f.SetBytes([]byte("bytes\xff " + v.Type().Field(i).Name))
		case reflect.Int64:
			f.SetInt(-1 << 62)
		default:
			f.SetUint(1 << 31)
		}
	}
	for _, want := range []record.File{full, {Path: record.Bytes("/")}} {
		var got record.File
		line := appendFileLine(nil, &want)
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func FuzzFileLineKeepsEveryByteOfAPath(f *testing.F) {
	for _, name := range hostile {
		f.Add([]byte(name), name)
	}
	f.Fuzz(func(t *testing.T, path []byte, text string) {
		line := appendFileLine(nil, &record.File{Path: path, HashNote: text})
		var got record.File
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !bytes.Equal(got.Path, path) || got.HashNote != strings.ToValidUTF8(text, "\ufffd") && len(text) < 2 {
			t.Fatalf("%q became %q", path, got.Path)
		}
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("line breaks in %q", line)
		}
	})
}

// BenchmarkWalk walks a tree of small files without hashing; entries/s is per
// wall second of one thread.
func BenchmarkWalk(b *testing.B) {
	root := b.TempDir()
	for i := range 100 {
		dir := filepath.Join(root, fmt.Sprint("d", i))
		check(b, os.Mkdir(dir, 0o755))
		for j := range 100 {
			check(b, os.WriteFile(filepath.Join(dir, fmt.Sprint("file", j)), nil, 0o644))
		}
	}
	h := openHost(b, root)
	out := newMemoryTaker(h)
	names := 0
	b.ReportAllocs()
	for b.Loop() {
		w := &fileWalk{host: h, out: out, privileged: collect.NewRecords(context.Background(), out, evidence.Item{Path: record.Privileged}), hashes: hashPolicy{since: time.Now().AddDate(1, 0, 0)}}
		check(b, w.run(context.Background(), io.Discard))
		check(b, w.privileged.Close())
		names += w.names
	}
	b.ReportMetric(float64(names)/b.Elapsed().Seconds(), "entries/s")
}
