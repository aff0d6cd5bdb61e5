package sink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// Place is where a local output would lie, as far as the evidence is concerned.
type Place struct {
	Dir      string // resolved
	Evidence bool   // on a file system that is being collected
	Why      string // what makes it one
	Free     int64  // bytes free there; -1: not known
}

// evidencePlaces are the folders whose file systems are evidence on a running
// host (file-hierarchy(7)): to write there overwrites what was deleted there.
// A medium that was mounted for the collection holds none of them.
var evidencePlaces = []string{
	"/", "/boot", "/dev/shm", "/etc", "/home", "/opt", "/root", "/run", "/srv",
	"/tmp", "/usr", "/usr/local", "/var", "/var/lib", "/var/log", "/var/tmp",
}

// Look says whether the file path would lie on a file system that a
// collection of root reads. Of a running host these are the file systems of
// the system itself; of one mounted below a folder, the mounts there. A plain
// folder, which is a copy of evidence and not its volume, is only protected
// from files inside of itself. The decision is made by the mount table, which
// cannot hang, and not by asking file systems.
func Look(root, path string) (Place, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Place{}, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Place{}, err
	}
	p := Place{Dir: dir, Free: freeSpace(dir)}
	if root == "" {
		root = "/"
	}
	here, err := collect.OpenHost("/", true)
	if err != nil {
		return p, fmt.Errorf("look at %s: %w", dir, err)
	}
	defer here.Close()
	if root == "/" {
		p.Why = holdsSystem(here, dir)
	} else {
		real, err := filepath.Abs(root)
		if err == nil {
			real, err = filepath.EvalSymlinks(real)
		}
		if err != nil {
			return p, err
		}
		p.Why = holdsRoot(here, real, dir)
	}
	p.Evidence = p.Why != ""
	return p, nil
}

func holdsSystem(h *collect.Host, dir string) string {
	out, ok := h.MountOf(dir)
	if !ok { // no mount table, or the root of this process is no mount
		if sameDevice(dir, "/") {
			return "/ is on the same file system"
		}
		return ""
	}
	for _, name := range evidencePlaces {
		at := name
		if to, err := os.Readlink(name); err == nil && filepath.IsAbs(to) {
			at = to
		}
		if m, ok := h.MountOf(at); ok && sameVolume(m, out) {
			return name + " is on the same file system"
		}
	}
	return ""
}

func holdsRoot(h *collect.Host, root, dir string) string {
	if inside(dir, root) {
		return "it is inside of " + root
	}
	out, ok := h.MountOf(dir)
	if !ok {
		return ""
	}
	mounts, err := h.Mounts()
	if err != nil {
		return ""
	}
	for _, m := range mounts {
		if inside(m.Point, root) && sameVolume(m, out) {
			return m.Point + " is on the same file system"
		}
	}
	return ""
}

// sameVolume compares mounts by device, and by source for file systems that
// give each of their parts a number of its own (btrfs subvolumes).
func sameVolume(a, b collect.MountPoint) bool {
	return a.Dev == b.Dev || strings.HasPrefix(a.Source, "/dev/") && a.Source == b.Source
}

func inside(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
