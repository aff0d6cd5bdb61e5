package collect

import (
	"runtime"
	"slices"
	"strings"
)

// Systems are the operating systems that collectors are made for, as Go names
// them.
var Systems = []string{"linux", "windows", "darwin", "freebsd"}

// System returns the system a collector is made for, which its name begins
// with (windows_files), and "" for one that is made for all.
func (c Collector) System() string {
	system, _, _ := strings.Cut(c.Name, "_")
	if slices.Contains(Systems, system) {
		return system
	}
	return ""
}

// System returns the operating system of the host: that of this program for
// the running one; else it is told by folders that only one has. A folder that
// looks like none counts as Linux, which has the fewest marks.
func (h *Host) System() string {
	h.detect.Do(func() { h.system = h.tellSystem() })
	return h.system
}

func (h *Host) tellSystem() string {
	if h.Live {
		return runtime.GOOS
	}
	for _, mark := range []struct {
		system string
		path   []string
	}{
		{"windows", []string{"windows", "system32"}},
		{"windows", []string{"winnt", "system32"}},
		{"darwin", []string{"system", "library", "coreservices"}},
		{"freebsd", []string{"bin", "freebsd-version"}},
		// The other volumes of a Windows host.
		{"windows", []string{"system volume information"}},
		{"windows", []string{"$recycle.bin"}},
	} {
		if h.has("", mark.path) {
			return mark.system
		}
	}
	return "linux"
}

// has looks for a path in whatever case its names are spelt. Of folders that
// differ in case only, each is looked into.
func (h *Host) has(dir string, names []string) bool {
	if len(names) == 0 {
		return true
	}
	list := "/"
	if dir != "" {
		list = dir
	}
	entries, err := h.ReadDir(list)
	if err != nil {
		return false // told by what can be read
	}
	return slices.ContainsFunc(entries, func(e DirEntry) bool {
		return strings.EqualFold(e.Name, names[0]) && h.has(dir+"/"+e.Name, names[1:])
	})
}

// suits parts collectors into those for a system and the others.
func suits(list []Collector, system string) (ours, others []Collector) {
	for _, c := range list {
		if s := c.System(); s == "" || s == system {
			ours = append(ours, c)
		} else {
			others = append(others, c)
		}
	}
	return ours, others
}
