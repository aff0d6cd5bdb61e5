package bars

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// hostile are names on which tools break that work with lines, shells or text,
// or that look like this program's own files.
var hostile = []string{
	"new\nline", " leading", "trailing ", "\ttab", `quo"te`, "it's", `back\slash`, "`id`", "$(id)", "-rf", "*", "[a", "{b,c}", "~", "#", "%s",
	"inv\xff\xfealid", "\x01\x7f\x1b[31m", "\u202etxt.exe", strings.Repeat("n", 255),
	"web01.exhibit.tar.zst", "web01.exhibit.tar.zst.partial", "manifest.jsonl", "seal.txt", "leaves.txt", ".exhibit.tmp", "uac-data.tmp",
}

// Whatever a name is made of, its file is collected with its content, or is
// listed with the reason; as root, and as an account that may not read all.
func TestHostileNamesAreCollectedOrExplained(t *testing.T) {
	name := collector(t)
	root := folder(t)
	log := filepath.Join(root, "var/log")
	content := map[string][]byte{}
	for _, n := range hostile {
		for _, path := range []string{n, filepath.Join("in", n, n)} {
			put(t, filepath.Join(log, path), []byte(path))
			content["/var/log/"+path] = []byte(path)
		}
	}
	for link, to := range map[string]string{"dangling": "/nowhere\nat all", "loop": "loop"} {
		check(t, os.Symlink(to, filepath.Join(log, link)))
	}
	put(t, filepath.Join(log, "mode000"), []byte("x"))
	check(t, os.Chmod(filepath.Join(log, "mode000"), 0))
	check(t, os.Mkdir(filepath.Join(log, "locked"), 0))
	t.Cleanup(func() { check(t, os.Chmod(filepath.Join(log, "locked"), 0o700)) }) // so that it can be removed
	check(t, unix.Mkfifo(filepath.Join(log, "fifo"), 0o644))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	check(t, err)
	defer unix.Close(socket)
	check(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(log, "socket")}))
	kinds := map[string]evidence.Kind{
		"dangling": evidence.KindSymlink, "loop": evidence.KindSymlink, "fifo": evidence.KindDevice, "socket": evidence.KindDevice,
	}
	accounts := map[string]*syscall.SysProcAttr{"self": nil}
	if os.Geteuid() == 0 {
		accounts["nobody"] = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	for account, attr := range accounts {
		t.Run(account, func(t *testing.T) {
			cmd := exec.Command(name, "--quiet", "-o", "-", "--root", root, "-c", "linux_logs")
			cmd.SysProcAttr = attr
			r := stream(t, cmd)
			may := os.Geteuid() == 0 && attr == nil
			check(t, filepath.WalkDir(log, func(path string, _ fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrPermission) {
					return nil
				}
				path = strings.TrimPrefix(path, root)
				if path == "/var/log" {
					return err
				}
				it, base := r.Find(path), filepath.Base(path)
				switch want := kinds[base]; {
				case content[path] != nil:
					if it.Kind != evidence.KindFile || !bytes.Equal(r.Content(t, path), content[path]) {
						t.Errorf("%q: %+v", path, it)
					}
				case want != "":
					if it.Kind != want {
						t.Errorf("%q: %+v", path, it)
					}
				case base == "mode000" && !may:
					if it.Kind != evidence.KindDenied || it.Detail == "" {
						t.Errorf("%q: %+v", path, it)
					}
				case it.Kind == "":
					t.Errorf("%q is neither there nor explained", path)
				}
				return err
			}))
			problems := collecttest.Lines[map[string]any](t, r.Collected, "collection/problems.jsonl")
			if told := strings.Contains(fmt.Sprint(problems), "/var/log/locked"); told == may {
				t.Errorf("a folder that may not be listed: %v", problems)
			}
		})
	}
}

// A file of 42 GB of which two blocks hold data, as lastlog of a large account
// number is, is restored byte for byte.
func TestASparseFileIsRestoredByteForByte(t *testing.T) {
	name := collector(t)
	root := folder(t)
	const size = 292 * 145_000_001
	first, last := bytes.Repeat([]byte("first"), 58), bytes.Repeat([]byte("last"), 73)
	path := filepath.Join(root, "var/log/lastlog")
	put(t, path, first)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt(last, size-int64(len(last)))
	check(t, errors.Join(err, f.Close()))
	r := stream(t, exec.Command(name, "--quiet", "-o", "-", "--root", root, "-c", "linux_logs"))
	if r.size > 1<<20 {
		t.Errorf("the bundle has %d bytes", r.size)
	}
	out, err := os.OpenRoot(t.TempDir())
	check(t, err)
	defer out.Close()
	it := r.Find("/var/log/lastlog")
	check(t, bundle.Extract(t.Context(), r.Reader, out, func(i evidence.Item) bool { return i.Path == it.Path }, bundle.ExtractOptions{}))
	got, err := out.Open(it.Member)
	check(t, err)
	defer got.Close()
	if st, err := got.Stat(); err != nil || st.Size() != size {
		t.Fatalf("%v, %v", st, err)
	}
	data := map[int64][]byte{}
	for at := int64(0); ; { // everything but holes, which are zeros by lseek(2)
		begin, err := unix.Seek(int(got.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		check(t, err)
		at, err = unix.Seek(int(got.Fd()), begin, unix.SEEK_HOLE)
		check(t, err)
		if at-begin > 1<<20 {
			t.Fatalf("data from %d to %d: the hole was filled", begin, at)
		}
		text := make([]byte, at-begin)
		_, err = io.ReadFull(io.NewSectionReader(got, begin, at-begin), text)
		check(t, err)
		data[begin] = text
	}
	seen := 0
	for begin, text := range data {
		want := make([]byte, len(text))
		for at, part := range map[int64][]byte{0: first, size - int64(len(last)): last} {
			if at >= begin && at < begin+int64(len(text)) {
				copy(want[at-begin:], part)
				seen++
			}
		}
		if !bytes.Equal(text, want) {
			t.Errorf("other bytes from %d on", begin)
		}
	}
	if seen != 2 {
		t.Errorf("%d blocks of data of two", seen)
	}
}

// What happens to a file while it is read is recorded with it, and the bundle
// is whole all the same.
func TestAFileThatChangesWhileItIsReadSaysSo(t *testing.T) {
	const size = 4 << 20
	name := collector(t)
	for _, tc := range []struct {
		what   string
		change func(path string) error
		unread bool
	}{
		{"shrinks", func(path string) error { return os.Truncate(path, size/2) }, true},
		{"grows", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}, false},
		{"is written over", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("other"), size-100)
			return errors.Join(err, f.Close())
		}, false},
		{"is replaced", func(path string) error {
			if err := os.WriteFile(path+".new", []byte("another"), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, false},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			root := folder(t)
			path := filepath.Join(root, "var/log/app.log")
			put(t, path, bytes.Repeat([]byte("a line\n"), size/7+1)[:size])
			cmd := exec.Command(name, "--quiet", "-o", "-", "--root", root, "-c", "linux_logs", "--io-rate", "2M")
			r := stream(t, cmd, func(pid int) error { return amidst(pid, path, size, tc.change) })
			it := r.Find("/var/log/app.log")
			if !it.Changed || it.Size != size || (len(it.Unread) > 0) != tc.unread {
				t.Errorf("%+v", it)
			}
			if tc.unread && (it.Unread[0].Offset < 0 || it.Unread[0].Offset+it.Unread[0].Length != size) {
				t.Errorf("unread %+v", it.Unread)
			}
		})
	}
}

// amidst waits until a process has read a part of a file, and changes that
// while the process stands still.
func amidst(pid int, path string, size int64, change func(string) error) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if at := position(pid, path); at == 0 || at >= size {
			continue
		}
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			return err
		}
		at := position(pid, path) // it may have gone on until now
		err := change(path)
		if at == 0 || at >= size {
			err = errors.Join(err, errors.New("it was read before it could be changed"))
		}
		return errors.Join(err, unix.Kill(pid, unix.SIGCONT))
	}
	return errors.New("nobody read the file")
}

// position is how far a process has read a file that it has open, 0 where it
// has not.
func position(pid int, path string) (at int64) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) //nolint:errcheck // the pattern is a good one
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != path {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, filepath.Base(link)))
		if err != nil {
			continue
		}
		if _, err := fmt.Sscanf(string(text), "pos: %d", &at); err == nil && at > 0 {
			return at
		}
	}
	return 0
}
