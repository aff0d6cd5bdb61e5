package bars

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/hungfs"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// accessTimes returns those of everything below a folder.
func accessTimes(t *testing.T, root string) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	check(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		times[path] = time.Time{}
		return err
	}))
	// Afterwards: listing a folder moves its own.
	for path := range times {
		times[path] = accessTime(t, path)
	}
	return times
}

func accessTime(t *testing.T, path string) time.Time {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	return time.Unix(st.Atim.Unix())
}

// Whatever a mount's options say of access times, collecting moves none, of
// files, of folders and of links that are read or lead to what is read; the
// sample in the record of the run says what is true.
func TestAccessTimesOfTenThousandFilesStay(t *testing.T) {
	name := collector(t)
	if hungfs.Elsewhere(t) {
		return
	}
	root := folder(t) // with the options of a real file system
	long := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, m := range []struct {
		at      string
		options uintptr
		files   int
	}{{"var/log/strict", unix.MS_STRICTATIME, 8000}, {"var/log/relative", unix.MS_RELATIME, 1500}, {"var/log/plain", 0, 500}} {
		dir := filepath.Join(root, m.at)
		check(t, os.MkdirAll(dir, 0o755))
		if m.options != 0 {
			check(t, unix.Mount("tmpfs", dir, "tmpfs", m.options, ""))
		}
		for i := range m.files {
			path := filepath.Join(dir, fmt.Sprintf("d%d/f%04d.log", i%20, i))
			put(t, path, fmt.Appendf(nil, "file %d\n", i))
			check(t, os.Chtimes(path, long, time.Time{})) // before its change: relatime moves it at the next reading
		}
	}
	for _, dir := range []string{"strict", "relative", "plain"} {
		check(t, os.Symlink("d0/f0000.log", filepath.Join(root, "var/log", dir, "link")))
		check(t, os.Symlink("d0", filepath.Join(root, "var/log", dir, "folder")))
		check(t, os.Symlink("nowhere", filepath.Join(root, "var/log", dir, "dangling")))
	}
	check(t, os.MkdirAll(filepath.Join(root, "run"), 0o755))
	check(t, os.Symlink("../run", filepath.Join(root, "var/run")))
	put(t, filepath.Join(root, "run/utmp"), make([]byte, 384))
	check(t, os.MkdirAll(filepath.Join(root, "usr/lib/systemd"), 0o755))
	check(t, os.Symlink("usr/lib", filepath.Join(root, "lib")))
	before := accessTimes(t, root)
	r := stream(t, exec.Command(name, "--quiet", "-o", "-", "--root", root, "-c", "linux_logs,linux_persistence,filesystem_walk"))
	moved := 0
	for path, was := range before {
		if now := accessTime(t, path); !now.Equal(was) {
			if moved++; moved < 5 {
				t.Errorf("%s: %v, before %v", path, now, was)
			}
		}
	}
	if moved > 0 || len(before) < 10_000 {
		t.Errorf("%d access times of %d moved", moved, len(before))
	}
	f := r.footprint(t)
	if f.FilesOpened < 10_000 || f.OpenedAtime != 0 || f.LinksRead != 0 {
		t.Errorf("%d files opened, %d of them and %d links without care", f.FilesOpened, f.OpenedAtime, f.LinksRead)
	}
	if it := r.Find("/var/log/strict/link"); it.Link != "d0/f0000.log" {
		t.Errorf("%+v", it)
	}
	if a := f.Atimes; a.Of < 10_000 || len(a.Files) != 64 || a.Moved != 0 || a.Lost != 0 {
		t.Errorf("%d of %d sampled, %d moved, %d lost", len(a.Files), a.Of, a.Moved, a.Lost)
	}
	for _, s := range f.Atimes.Files {
		if was := before[filepath.Join(root, string(s.Path))].UnixNano(); s.Before != was || s.After != was {
			t.Errorf("%s: the record says %d and %d, it was %d", s.Path, s.Before, s.After, was)
		}
	}
	// These mounts would have told.
	for _, path := range []string{"strict/d0/f0000.log", "relative/d0/f0000.log", "strict/link", "relative/folder", "strict/dangling"} {
		path = filepath.Join(root, "var/log", path)
		if _, err := os.Readlink(path); err != nil {
			_, err = os.ReadFile(path)
			check(t, err)
		}
		if now := accessTime(t, path); now.Equal(before[path]) {
			t.Errorf("%s: reading it does not move its access time: the test shows nothing", path)
		}
	}
}

// A running host whose file systems take no write at all is collected whole,
// into a pipe, and no page of any was made to be written. Its idle processes
// are all there with the hashes of their executables.
func TestNothingIsWrittenWhileStreaming(t *testing.T) {
	name, sleep := collector(t), testenv.Tool(t, "sleep")
	if hungfs.Elsewhere(t) {
		return
	}
	few := filepath.Join(t.TempDir(), "pid_max") // see above
	check(t, os.WriteFile(few, []byte("32768\n"), 0o644))
	check(t, unix.Mount(few, "/proc/sys/kernel/pid_max", "", unix.MS_BIND, ""))
	const idle = 20
	for range idle {
		cmd := exec.Command(sleep, "1000")
		check(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // its end is not the test's
		})
	}
	args := []string{"--quiet", "--profile", "network"}
	file := filepath.Join(t.TempDir(), "b.exhibit.tar.zst")
	toFile := exec.Command(name, append(args, "--allow-evidence-volume", "-o", file)...)
	if out, err := toFile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if pages(toFile.ProcessState) == 0 {
		t.Log("the temporary folder is in memory: only that no write is possible is shown")
	}
	// Every mount of this namespace, read-only (mount_setattr(2)).
	err := unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err == unix.ENOSYS {
		t.Skip("skipped: mount_setattr(2) is of Linux 5.12")
	}
	check(t, err)
	t.Cleanup(func() { // for the temporary folder, which goes away behind this
		check(t, unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}))
	})
	if err := os.WriteFile(file+".2", nil, 0o600); err == nil {
		t.Fatal("a file could be written: the test shows nothing")
	}
	r := stream(t, exec.Command(name, append(args, "-o", "-")...))
	if n := pages(r.state); n != 0 {
		t.Errorf("%d blocks were written", n)
	}
	f := r.footprint(t)
	if f.BlocksOut != 0 || f.Children != 0 || f.PeakRSS > 64<<20 {
		t.Errorf("it says %d blocks, %d children, %d bytes of memory", f.BlocksOut, f.Children, f.PeakRSS)
	}
	hashed := 0
	for _, p := range collecttest.Lines[record.Process](t, r.Collected, record.Processes) {
		if string(p.Comm) == "sleep" && len(p.ExeSHA256) == 64 {
			hashed++
		}
	}
	if hashed != idle {
		t.Errorf("%d processes of %d are there with the hash of their executable", hashed, idle)
	}
	for _, w := range f.Writing {
		if !strings.HasPrefix(string(w), "pipe:") {
			t.Errorf("open for writing: %s", w)
		}
	}
}

// pages counts blocks of 512 bytes that an ended process made a device write.
func pages(st *os.ProcessState) int64 { return st.SysUsage().(*syscall.Rusage).Oublock }
