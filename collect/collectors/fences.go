package collectors

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// fences are the paths a path walk must not touch, each with the reason:
// mount points of file systems that have no files of their own or whose
// server may never answer. Even asking for the metadata of such a point can
// hang, so they are told by the mount table alone.
type fences map[string]string

// kernelMounts are the fences behind which the kernel makes the files: they
// answer, so that a pattern which leads there by name may be followed.
func kernelMounts(h *collect.Host) map[string]bool {
	mounts, _ := h.Mounts() // readFences has none either then
	kernel := map[string]bool{}
	for _, m := range mounts {
		kernel[m.Point] = m.Storage() == collect.Pseudo && m.FSType != "autofs"
	}
	return kernel
}

// readFences returns none where the mount table cannot be read.
func readFences(h *collect.Host) fences {
	mounts, err := h.Mounts()
	if err != nil {
		return nil
	}
	return fencesOf(mounts)
}

func fencesOf(mounts []collect.MountPoint) fences {
	f := fences{}
	for _, m := range mounts {
		delete(f, m.Point) // a later mount covers an earlier one
		if m.Point == "/" || m.Storage() == collect.Local {
			continue
		}
		f[m.Point] = "on a " + m.FSType + " file system, which is not entered"
	}
	return f
}

// binds keep a walk for `**` from going round in circles: a folder may be
// mounted a second time below itself, or a hundred times beside itself.
type binds struct {
	points  map[string]collect.MountPoint
	entered map[string][]string // device → folders of it that were entered
}

func readBinds(h *collect.Host) binds {
	mounts, err := h.Mounts()
	if err != nil {
		return binds{}
	}
	return bindsOf(mounts)
}

func bindsOf(mounts []collect.MountPoint) binds {
	b := binds{points: map[string]collect.MountPoint{}, entered: map[string][]string{}}
	for _, m := range mounts {
		b.points[m.Point] = m // a later mount covers an earlier one
	}
	return b
}

// again says why a mount is not entered, "" when it is or when nothing is
// mounted there: it shows a folder that the walk is in, or has been in.
func (b binds) again(path string) string {
	m, ok := b.points[path]
	if !ok || path == "/" {
		return ""
	}
	for up := path; up != "/"; {
		up = up[:max(strings.LastIndexByte(up, '/'), 1)]
		over, ok := b.points[up]
		if !ok || over.Dev != m.Dev {
			continue
		}
		// The place of the mount within the device, by the mount above it.
		place := strings.TrimSuffix(over.Root, "/") + "/" + strings.TrimPrefix(strings.TrimPrefix(path, up), "/")
		if within(place, m.Root) {
			return "a second mount of a folder it lies in"
		}
	}
	for _, root := range b.entered[m.Dev] {
		if within(m.Root, root) {
			return "a second mount of a folder of device " + m.Dev
		}
	}
	b.entered[m.Dev] = append(b.entered[m.Dev], m.Root)
	return ""
}

// within reports whether a path is a folder or lies in it.
func within(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}
