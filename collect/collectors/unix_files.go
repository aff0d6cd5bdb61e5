package collectors

import (
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// unixHomes are the homes of a system whose accounts may be nowhere in a file:
// macOS keeps them in a directory of its own. dirs hold one folder each; more
// are named as they are.
func unixHomes(h *collect.Host, dirs []string, more ...string) []string {
	text, _ := h.ReadFile("/etc/passwd", maxPasswd) // taken as a file, which records why it cannot be read
	homes := append(passwdHomes(string(text)), more...)
	for _, dir := range dirs {
		entries, _ := h.ReadDir(dir) // the walk records why it cannot be read
		for _, e := range entries {
			homes = append(homes, dir+"/"+e.Name)
		}
	}
	slices.Sort(homes)
	return slices.DeleteFunc(slices.Compact(homes), func(dir string) bool {
		st, err := h.Stat(dir)
		return err != nil || st.Mode&modeType != modeDir || dir == "/"
	})
}

// belowHomes turns ~/ into the homes, where the patterns of a table know no
// upper and lower case.
func belowHomes(defs []definition, homes []string) []definition {
	for i := range defs {
		var patterns []string
		for _, p := range defs[i].patterns {
			below, ok := strings.CutPrefix(p, "~/")
			if !ok {
				patterns = append(patterns, p)
				continue
			}
			for _, home := range homes {
				patterns = append(patterns, quoteGlob(home)+"/"+below)
			}
		}
		defs[i].patterns, defs[i].foldCase, defs[i].quiet = patterns, true, true
	}
	return slices.DeleteFunc(defs, func(d definition) bool { return len(d.patterns) == 0 })
}
