package sink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
)

func TestAPlainFolderProtectsOnlyItself(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "tree")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(root, "etc"), link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		filepath.Join(root, "etc", "x"): true,
		filepath.Join(link, "x"):        true,
		filepath.Join(root, "x"):        true,
		filepath.Join(dir, "x"):         false,
		filepath.Join(dir, "treeless"):  false,
	} {
		p, err := Look(root, path)
		if err != nil || p.Evidence != want || (p.Why != "") != want {
			t.Errorf("%s: %+v, %v; want evidence %v", path, p, err, want)
		}
	}
	if _, err := Look(root, filepath.Join(dir, "nowhere", "x")); err == nil {
		t.Error("a folder that is not there has a place")
	}
}

func TestTheSystemsOwnFileSystemIsEvidence(t *testing.T) {
	for _, path := range []string{"/x", "/etc/x", "/var/log/x"} {
		p, err := Look("/", path)
		if err != nil || !p.Evidence || p.Free < 0 {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
}

// TestAMountedMediumIsNoEvidence mounts a medium of its own in the mount
// namespace of this test, where it may.
func TestAMountedMediumIsNoEvidence(t *testing.T) {
	medium := t.TempDir()
	if err := unix.Mount("none", medium, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("skipped: no file system can be mounted here: %v", err)
	}
	defer unix.Unmount(medium, unix.MNT_DETACH)
	p, err := Look("/", filepath.Join(medium, "host.exhibit.tar.zst"))
	if err != nil || p.Evidence {
		t.Errorf("a medium of its own: %+v, %v", p, err)
	}
	p, err = Look(medium, filepath.Join(medium, "x"))
	if err != nil || !p.Evidence {
		t.Errorf("inside of the mounted evidence: %+v, %v", p, err)
	}
	again := t.TempDir()
	if err := unix.Mount(medium, again, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(again, unix.MNT_DETACH)
	p, err = Look(medium, filepath.Join(again, "x"))
	if err != nil || !p.Evidence || !strings.Contains(p.Why, medium) {
		t.Errorf("the same volume by another way: %+v, %v", p, err)
	}
}

func TestSubvolumesAreOneVolume(t *testing.T) {
	a := collect.MountPoint{Dev: "0:30", Source: "/dev/sda2"}
	for _, c := range []struct {
		b    collect.MountPoint
		want bool
	}{
		{collect.MountPoint{Dev: "0:31", Source: "/dev/sda2"}, true},
		{collect.MountPoint{Dev: "0:31", Source: "/dev/sdb1"}, false},
		{collect.MountPoint{Dev: "0:30", Source: "tmpfs"}, true},
	} {
		if sameVolume(a, c.b) != c.want {
			t.Errorf("%+v and %+v: want %v", a, c.b, c.want)
		}
	}
	if sameVolume(collect.MountPoint{Dev: "0:1", Source: "tmpfs"}, collect.MountPoint{Dev: "0:2", Source: "tmpfs"}) {
		t.Error("two file systems in memory are not one")
	}
}
