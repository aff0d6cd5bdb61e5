package collectors

import "github.com/exhibit-dfir/exhibit/collect"

// fences are the paths a path walk must not touch, each with the reason:
// mount points of file systems that have no files of their own or whose
// server may never answer. Even asking for the metadata of such a point can
// hang, so they are told by the mount table alone.
type fences map[string]string

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
