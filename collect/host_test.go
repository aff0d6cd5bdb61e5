//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// hosts opens a root twice: with openat2(2) and with the component walk.
func hosts(t *testing.T, root string) map[string]*Host {
	t.Helper()
	all := map[string]*Host{}
	for _, name := range []string{"openat2", "components"} {
		h, err := OpenHost(root, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		if name == "components" {
			h.sys.noOpenat2 = true
		} else if h.sys.noOpenat2 {
			continue
		}
		all[name] = h
	}
	return all
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestPathsAndLinksStayInsideTheRoot(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	write(t, filepath.Join(dir, "etc/passwd"), "outside")
	write(t, filepath.Join(root, "etc/passwd"), "inside")
	write(t, filepath.Join(root, "a/b/c"), "c")
	link(t, "/etc", filepath.Join(root, "abs"))
	link(t, "../../../../etc", filepath.Join(root, "a/b/up"))
	link(t, "loop", filepath.Join(root, "loop"))
	for name, h := range hosts(t, root) {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{
				"/etc/passwd", "/abs/passwd", "/a/b/up/passwd", "/../../etc/passwd", "//etc/./passwd", "/a/../../etc/passwd",
			} {
				got, err := h.ReadFile(path, 100)
				if err != nil || string(got) != "inside" {
					t.Errorf("ReadFile(%q) = %q, %v; want the file inside", path, got, err)
				}
			}
			if _, err := h.ReadFile("/loop/x", 100); !errors.Is(err, unix.ELOOP) {
				t.Errorf("a link to itself: %v, want ELOOP", err)
			}
			if _, err := h.Open("/abs"); !errors.Is(err, ErrNotRegular) {
				t.Errorf("Open of a link: %v, want ErrNotRegular", err)
			}
			if _, err := h.Open("/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Open of nothing: %v", err)
			}
			if _, err := h.Open("/etc\x00/passwd"); err == nil {
				t.Error("a path with a zero byte was opened")
			}
			if got, err := h.Readlink("/a/b/up"); err != nil || got != "../../../../etc" {
				t.Errorf("Readlink = %q, %v", got, err)
			}
			st, err := h.Stat("/abs")
			if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
				t.Errorf("Stat followed the last link: %+v, %v", st, err)
			}
		})
	}
}

func TestStatSaysWhatTheSystemSays(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "f")
	write(t, path, "hello")
	write(t, filepath.Join(root, "etc/passwd"), "toor:x:0:0::/root:/bin/sh\nroot:x:0:0::/root:/bin/sh\n")
	want := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	if err := os.Chtimes(path, want, want.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(path, "user.note", []byte{0, 0xff}, 0); err != nil {
		t.Skipf("skipped: %s has no user xattrs: %v", root, err)
	}
	h := hosts(t, root)["components"]
	st, err := h.Stat("/f")
	if err != nil {
		t.Fatal(err)
	}
	var sys unix.Stat_t
	if err := unix.Stat(path, &sys); err != nil {
		t.Fatal(err)
	}
	if st.Inode != sys.Ino || st.Size != 5 || st.Mode != sys.Mode || st.Nlink != 1 ||
		st.Dev != device(unix.Major(sys.Dev), unix.Minor(sys.Dev)) {
		t.Errorf("got %+v, stat(2) says %+v", st, sys)
	}
	if !st.Accessed.Equal(want) || !st.Modified.Equal(want.Add(time.Hour)) || st.Changed.IsZero() || st.MountID == 0 {
		t.Errorf("times or mount: %+v", st)
	}
	if os.Getuid() == 0 && st.Owner != "toor" {
		t.Errorf("owner %q, want the name of the root's own passwd", st.Owner)
	}
	attrs, err := h.Xattrs("/f")
	if err != nil || string(attrs["user.note"]) != "\x00\xff" {
		t.Errorf("xattrs %q, %v", attrs, err)
	}
}

func TestNothingBlocksOrOpensWhatIsNoFile(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := hosts(t, root)["components"]
	if _, err := h.ReadFile("/fifo", 10); !errors.Is(err, ErrNotRegular) {
		t.Errorf("ReadFile of a FIFO: %v", err)
	}
	if _, err := h.ReadFile("/", 10); err == nil {
		t.Error("ReadFile of a folder succeeded")
	}
}

func TestReadFileKeepsItsLimit(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), "0123456789")
	h := hosts(t, root)["components"]
	for max, want := range map[int64]string{0: "", 1: "0", 9: "012345678", 10: "0123456789", 11: "0123456789"} {
		got, err := h.ReadFile("/f", max)
		if string(got) != want || (errors.Is(err, ErrTooBig) != (max < 10)) {
			t.Errorf("ReadFile(max %d) = %q, %v", max, got, err)
		}
	}
}

func TestReadingLeavesTheAccessTimeAlone(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "f")
	write(t, path, "x")
	old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, old, old.Add(time.Hour)); err != nil { // relatime would move it
		t.Fatal(err)
	}
	h := hosts(t, root)["components"]
	if _, err := h.ReadFile("/f", 10); err != nil {
		t.Fatal(err)
	}
	st, err := h.Stat("/f")
	if err != nil || !st.Accessed.Equal(old) {
		t.Errorf("access time %v after reading, was %v (%v)", st.Accessed, old, err)
	}
}

func TestNamesAreRawBytesInOrder(t *testing.T) {
	root := t.TempDir()
	names := []string{"-rf", "\x01\x1b[2J", "\xff\xfe", "a\nb", "ü"}
	for _, name := range names {
		write(t, filepath.Join(root, "d", name), name)
	}
	h := hosts(t, root)["components"]
	entries, err := h.ReadDir("/d")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name)
		if e.Type != unix.S_IFREG && e.Type != 0 {
			t.Errorf("%q has type %o", e.Name, e.Type)
		}
	}
	want := []string{"\x01\x1b[2J", "-rf", "a\nb", "ü", "\xff\xfe"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWalkVisitsEachNameOnceAndLeavesOutItsOwn(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a/one"), "1")
	write(t, filepath.Join(root, "a/own"), "own")
	write(t, filepath.Join(root, "b/\xff"), "2")
	link(t, "/a", filepath.Join(root, "b/link"))
	h := hosts(t, root)["components"]
	st, err := h.Stat("/a/own")
	if err != nil {
		t.Fatal(err)
	}
	h.Exclude(st.Dev, st.Inode)
	var got, left []string
	err = h.WalkWith(context.Background(), "/", Walker{
		Visit:   func(path string, _ *evidence.Stat) error { got = append(got, path); return nil },
		Failed:  func(path string, err error) { t.Errorf("%q: %v", path, err) },
		LeftOut: func(path, _ string) { left = append(left, path) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/", "/a", "/a/one", "/b", "/b/link", "/b/\xff"}; !reflect.DeepEqual(got, want) {
		t.Errorf("visited %q, want %q", got, want)
	}
	if want := []string{"/a/own"}; !reflect.DeepEqual(left, want) {
		t.Errorf("left out %q, want %q", left, want)
	}
	stop := errors.New("stop")
	if err := h.Walk(context.Background(), "/", func(string, *evidence.Stat) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the callback became %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Walk(ctx, "/", func(string, *evidence.Stat) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled walk returned %v", err)
	}
}

func TestWalkLeavesPseudoFileSystemsOut(t *testing.T) {
	h, err := OpenHost("/", true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	left := false
	err = h.WalkWith(context.Background(), "/", Walker{
		Visit: func(path string, st *evidence.Stat) error {
			if strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/sys/kernel/") {
				t.Errorf("visited %q", path)
			}
			if path != "/" && path != "/proc" && path != "/sys" {
				return ErrSkipFolder
			}
			return nil
		},
		LeftOut: func(path, _ string) { left = left || path == "/proc" },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !left {
		t.Error("/proc was not reported as left out")
	}
	for path, want := range map[string]bool{"/proc/1": true, "/etc": false} {
		if got, fstype, err := h.IsNetworkOrPseudo(path); got != want || err != nil {
			t.Errorf("IsNetworkOrPseudo(%q) = %v, %q, %v", path, got, fstype, err)
		}
	}
}

func TestDeepFoldersEndTheDescentNotTheWalk(t *testing.T) {
	root := t.TempDir()
	fd, err := unix.Open(root, unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range maxDepth + 5 {
		if err := unix.Mkdirat(fd, "d", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, "d", unix.O_DIRECTORY, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	unix.Close(fd)
	h := hosts(t, root)["components"]
	var failed error
	visited := 0
	err = h.WalkWith(context.Background(), "/", Walker{
		Visit:  func(string, *evidence.Stat) error { visited++; return nil },
		Failed: func(_ string, err error) { failed = err },
	})
	if err != nil || !errors.Is(failed, ErrTooBig) || visited != maxDepth+2 {
		t.Errorf("walk: %v, failed: %v, visited %d", err, failed, visited)
	}
}

// Names of folders above are held while those below are walked: however deep
// and wide a tree is, together they are bounded, and no name is lost by it.
func TestAWalkHoldsFewNames(t *testing.T) {
	root := t.TempDir()
	fd, err := unix.Open(root, unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const levels, each = 25, 600
	long := strings.Repeat("n", 240)
	for range levels {
		for i := range each {
			if err := unix.Mknodat(fd, fmt.Sprintf("%s%04d", long, i), unix.S_IFREG|0o644, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Mkdirat(fd, "a", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, "a", unix.O_DIRECTORY, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	unix.Close(fd)
	h := hosts(t, root)["components"]
	seen := map[string]int{}
	most := int64(0)
	err = h.WalkWith(context.Background(), "/", Walker{Visit: func(path string, _ *evidence.Stat) error {
		seen[path]++
		most = max(most, h.held.Load())
		return nil
	}})
	if err != nil || len(seen) != levels*(each+1)+1 {
		t.Errorf("%d of %d names, %v", len(seen), levels*(each+1)+1, err)
	}
	for path, n := range seen {
		if n != 1 {
			t.Errorf("%q was visited %d times", path, n)
		}
	}
	if most > maxNames+maxNames/4 || h.held.Load() != 0 {
		t.Errorf("%d bytes of names held at once, %d for good", most, h.held.Load())
	}
}

func TestMountInfoKeepsRawBytesAndCountsDamage(t *testing.T) {
	text := "36 35 98:0 / /mnt/a\\040b\\134\\012 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n" +
		"37 35 0:5 /sub /n rw - nfs4 host:/x rw\nbroken line\n38 35 x\n"
	mounts, bad := ParseMountInfo([]byte(text))
	if bad != 2 || len(mounts) != 2 {
		t.Fatalf("%d mounts, %d bad", len(mounts), bad)
	}
	if mounts[0].Point != "/mnt/a b\\\n" || mounts[0].SuperOpts != "rw,errors=continue" || mounts[0].Storage() != Local {
		t.Errorf("got %+v", mounts[0])
	}
	if mounts[1].Root != "/sub" || mounts[1].Storage() != Remote {
		t.Errorf("got %+v", mounts[1])
	}
	if m, ok := mountOf(mounts, "/n/deep/er"); !ok || m.ID != 37 {
		t.Errorf("mount of /n/deep/er is %+v", m)
	}
	if _, ok := mountOf(mounts, "/nn"); ok {
		t.Error("/nn was found in /n")
	}
}

func FuzzParseMountInfo(f *testing.F) {
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		f.Add(text)
	}
	f.Add([]byte("1 2 3:4 / /\\04 rw - a b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mounts, _ := ParseMountInfo(text)
		for _, m := range mounts {
			_ = m.Storage()
		}
		mountOf(mounts, string(text))
	})
}
