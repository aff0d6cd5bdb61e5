package rootcause

import (
	"path"
	"strings"
)

// file is one path of one host with everything that is known to have acted on
// it. Its generations are told apart by the time a walk arrives with.
type file struct {
	host, path sym
	writes     []int32 // facts: opened for write, created, renamed, linked, attributes
	stats      []int32 // facts: file times
}

// findNames indexes command lines by the file names they contain.
func (x *index) findNames() {
	x.named = make(map[string][]int32)
	x.commons = make(map[string]int)
	cache := make(map[sym][]string)
	total := 0
	for i := range x.procs {
		c := x.procs[i].cmd
		if c == 0 || total > maxNamed {
			continue
		}
		names, ok := cache[c]
		if !ok {
			names = namesIn(x.text[c])
			cache[c] = names
		}
		for _, n := range names {
			x.commons[n]++
			if len(x.named[n]) < maxPerName {
				x.named[n] = append(x.named[n], int32(i))
				total++
			}
		}
	}
}

// maxNamed and maxPerName bound the index of names in command lines: a name
// that is everywhere tells nothing.
const (
	maxNamed   = 4 << 20
	maxPerName = 512
)

func (x *index) findFiles() {
	x.fileByID = make(map[hostPath]int32)
	x.byBase = make(map[string][]int32)
	for i := range x.facts {
		f := &x.facts[i]
		switch f.act {
		case actWrite, actCreate, actDelete, actRename, actLink, actAttr:
			for _, p := range [...]sym{f.file, f.file2} {
				if p != 0 && !x.uninteresting(p) {
					n := x.file(f.host, p)
					x.files[n].writes = append(x.files[n].writes, int32(i))
				}
			}
		case actStat:
			if f.file != 0 {
				n := x.file(f.host, f.file)
				x.files[n].stats = append(x.files[n].stats, int32(i))
			}
		case actCronLoad:
			x.cronLoad = append(x.cronLoad, int32(i))
		}
	}
}

func (x *index) uninteresting(p sym) bool {
	s := x.text[p]
	return s == "" || strings.HasPrefix(s, "/dev/pts/") || strings.HasPrefix(s, "/dev/null") || strings.HasPrefix(s, "/proc/")
}

// file returns the number of a path, a new one where needed.
func (x *index) file(host, p sym) int32 {
	k := hostPath{host, p}
	if n, ok := x.fileByID[k]; ok {
		return n
	}
	n := int32(len(x.files))
	x.files = append(x.files, file{host: host, path: p})
	x.fileByID[k] = n
	if persistent(x.text[p]) == "cron" {
		x.cronFiles = append(x.cronFiles, n)
	}
	if _, ok := accountOfKeyList(x.text[p]); ok {
		x.keyFiles = append(x.keyFiles, n)
	}
	b := path.Base(x.text[p])
	x.byBase[b] = append(x.byBase[b], n)
	return n
}

// lookFile returns a path's number if the case knows it on that host; files of
// sources without a host match any.
func (x *index) lookFile(host sym, p string) (int32, bool) {
	s, ok := x.ids[p]
	if !ok {
		return 0, false
	}
	if n, ok := x.fileByID[hostPath{host, s}]; ok {
		return n, true
	}
	n, ok := x.fileByID[hostPath{0, s}]
	return n, ok
}

// changed reports whether the case knows of a change of the file by anything
// but its installation: somebody was seen writing it, or its times lie within
// the span that the logs cover.
func (x *index) changed(n int32, until int64) bool {
	f := &x.files[n]
	for _, w := range f.writes {
		if a := &x.facts[w]; a.ts <= until && a.act != actDelete {
			return true
		}
	}
	if isSystem(x.text[f.path]) {
		return false
	}
	for _, s := range f.stats {
		if x.facts[s].ts <= until && changeTime(x.text[x.facts[s].note]) {
			return true
		}
	}
	return false
}

// changeTime reports whether the meaning of a file time is a change: anything
// but the last access.
func changeTime(desc string) bool {
	return strings.Contains(desc, "Modification") || strings.Contains(desc, "Creation") || strings.Contains(desc, "Change")
}
