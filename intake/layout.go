package intake

import (
	"slices"
	"strings"
)

// Layouts of what tools collect.
const (
	LayoutPlain        = "plain"        // nothing is known of it: names stay as they are
	LayoutRoot         = "root"         // a file system from its root on
	LayoutUAC          = "uac"          // [root]/…, live_response/…, uac.log
	LayoutVelociraptor = "velociraptor" // uploads/<accessor>/…, results/…, percent-encoded names
	LayoutDrives       = "drives"       // C/Windows/…, as KAPE and CyLR write
	LayoutAcquire      = "acquire"      // fs/$rootfs$/… or fs/C:/…, of dissect
)

// Layouts lists them.
func Layouts() []string {
	return []string{LayoutPlain, LayoutRoot, LayoutUAC, LayoutVelociraptor, LayoutDrives, LayoutAcquire}
}

func known(layout string) bool { return slices.Contains(Layouts(), layout) }

// layout is how one container names things.
type layout struct {
	name   string
	tool   string
	prefix string // folder in which everything lies, with its slash
	hosts  int    // how many collections there are
}

// place is where a member belongs.
type place struct {
	path string
	host bool   // the path is one of the host
	odd  string // what is wrong with the name
}

// Folders at the top of file systems, by which a root is known.
var (
	unixTop    = []string{"etc", "var", "usr", "home", "root", "proc", "boot", "opt", "bin", "sbin", "lib", "srv", "run", "dev", "sys", "tmp"}
	windowsTop = []string{"windows", "users", "programdata", "program files", "program files (x86)", "$recycle.bin", "$extend", "$mft", "$logfile", "$boot", "$secure", "documents and settings", "winnt", "perflogs"}
)

// rootPairs are enough by themselves.
var rootPairs = []string{"var/log", "etc/passwd", "etc/ssh", "usr/bin", "windows/system32"}

// accessors of Velociraptor under which uploads lie.
var accessors = []string{"auto", "file", "file_links", "fs", "lazy_ntfs", "lazy_raw_ntfs", "mft", "ntfs", "ntfs_vss", "raw_ext4", "raw_file", "raw_ntfs", "raw_reg", "registry", "vfs"}

// clues are the marks of one layout that were seen, by the folder they are in.
type clues map[string]int

// detector looks at names until it knows a layout.
type detector struct {
	uac, velo, acquire, drives clues
	roots                      map[string]map[string]bool
	veloHosts                  clues // folders with a file that is there once for each client
	kape                       bool
}

func newDetector() *detector {
	return &detector{uac: clues{}, velo: clues{}, acquire: clues{}, drives: clues{}, veloHosts: clues{}, roots: map[string]map[string]bool{}}
}

// markDepth is how many folders may be around a collection.
const markDepth = 3

// see takes in one name.
func (d *detector) see(name string) {
	if oddName(name) != "" {
		return
	}
	parts := strings.Split(strings.TrimPrefix(clean(name), "/"), "/")
	base := parts[len(parts)-1]
	lower := strings.ToLower(base)
	for _, log := range []string{"_copylog.csv", "_consolelog.txt", "_skiplog.csv"} {
		d.kape = d.kape || strings.HasSuffix(lower, log)
	}
	for i := 0; i < len(parts) && i < markDepth; i++ {
		d.part(parts, i)
	}
}

// part looks at one component of a name.
func (d *detector) part(parts []string, i int) {
	prefix, p := strings.Join(parts[:i], "/"), parts[i]
	next, last := "", i == len(parts)-1
	if !last {
		next = parts[i+1]
	}
	switch {
	case p == "[root]", last && p == "uac.log":
		d.uac.add(prefix)
	case p == "uploads" && slices.Contains(accessors, next), last && (p == "uploads.json" || p == "hunt_info.json"), p == "Generic.Client.Info":
		d.velo.add(prefix)
	case last && (p == "client_info.json" || p == "collection_context.json"):
		d.velo.add(prefix)
		d.veloHosts.add(prefix)
	case p == "fs" && (next == "$rootfs$" || isDrive(next)), p == "$metadata$":
		d.acquire.add(prefix)
	case len(p) == 1 && isLetter(p[0]) && slices.Contains(windowsTop, strings.ToLower(next)):
		d.drives.add(prefix)
	}
	if slices.Contains(unixTop, p) || slices.Contains(windowsTop, strings.ToLower(p)) {
		if d.roots[prefix] == nil && len(d.roots) < 1000 {
			d.roots[prefix] = map[string]bool{}
		}
		if tops := d.roots[prefix]; tops != nil && (i == 0 || !slices.Contains(unixTop, parts[i-1])) { // usr/lib and usr/bin are no root
			tops[strings.ToLower(p)] = true
			if slices.Contains(rootPairs, strings.ToLower(p+"/"+next)) {
				tops[strings.ToLower(p+"/"+next)] = true
			}
		}
	}
}

func (c clues) add(prefix string) {
	if _, ok := c[prefix]; ok || len(c) < 1000 {
		c[prefix]++
	}
}

// outermost is the folder with a clue that is not in another one, and how many
// such folders there are.
func (c clues) outermost() (prefix string, n int) {
	var tops []string
	for p := range c {
		inside := false
		for q := range c {
			inside = inside || p != q && within(p, q)
		}
		if !inside {
			tops = append(tops, p)
		}
	}
	if len(tops) == 0 {
		return "", 0
	}
	return slices.Min(tops), len(tops)
}

func within(p, folder string) bool { return folder == "" || strings.HasPrefix(p, folder+"/") }

// layout decides. want is what the user says it is.
func (d *detector) layout(want string) layout {
	make := func(name, tool string, c clues) layout {
		prefix, n := c.outermost()
		if prefix != "" {
			prefix += "/"
		}
		return layout{name: name, tool: tool, prefix: prefix, hosts: n}
	}
	tool := ""
	if d.kape {
		tool = "KAPE"
	}
	switch {
	case want == LayoutUAC, want == "" && len(d.uac) > 0:
		return make(LayoutUAC, "UAC", d.uac)
	case want == LayoutVelociraptor, want == "" && len(d.velo) > 0:
		l := make(LayoutVelociraptor, "Velociraptor", d.velo)
		if n := len(d.veloHosts); n > 0 {
			_, l.hosts = d.veloHosts.outermost()
		}
		return l
	case want == LayoutAcquire, want == "" && len(d.acquire) > 0:
		return make(LayoutAcquire, "acquire", d.acquire)
	case want == LayoutDrives, want == "" && len(d.drives) > 0:
		return make(LayoutDrives, tool, d.drives)
	case want == LayoutRoot, want == "":
		c := clues{}
		for prefix, tops := range d.roots {
			if len(tops) > 1 || want != "" {
				c.add(prefix)
			}
		}
		if len(c) > 0 {
			return make(LayoutRoot, "", c)
		}
	}
	if want == LayoutRoot {
		return layout{name: LayoutRoot}
	}
	return layout{name: LayoutPlain}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isDrive reports whether a component is a drive: "C:".
func isDrive(p string) bool { return len(p) == 2 && isLetter(p[0]) && p[1] == ':' }

// clean takes "./" from the beginning of a name, and makes one slash of many.
func clean(name string) string {
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	return strings.TrimRight(name, "/")
}

// oddName says what is wrong with a name that is not to be taken for a path of
// a host; "" when nothing is.
func oddName(name string) string {
	if strings.IndexByte(name, 0) >= 0 {
		return "its name has a zero byte"
	}
	for p := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if p == ".." {
			return "its name leads out of its folder"
		}
	}
	return ""
}

// place says where a member of this layout belongs.
func (l *layout) place(name string) place {
	name = clean(name)
	if odd := oddName(name); odd != "" {
		return place{path: name, odd: odd}
	}
	rel, inside := strings.CutPrefix(name, l.prefix)
	if !inside {
		return place{path: name, host: l.name == LayoutRoot}
	}
	switch l.name {
	case LayoutRoot:
		return place{path: "/" + strings.TrimPrefix(rel, "/"), host: true}
	case LayoutUAC:
		if p, ok := strings.CutPrefix(rel, "[root]/"); ok {
			return place{path: "/" + p, host: true}
		}
	case LayoutVelociraptor:
		return velociraptorPlace(rel)
	case LayoutAcquire:
		if p, ok := strings.CutPrefix(rel, "fs/$rootfs$/"); ok {
			return place{path: "/" + p, host: true}
		}
		if p, ok := strings.CutPrefix(rel, "fs/"); ok {
			return place{path: "/" + p, host: true}
		}
	case LayoutDrives:
		if len(rel) > 1 && isLetter(rel[0]) && rel[1] == '/' {
			return place{path: "/" + strings.ToUpper(rel[:1]) + ":" + rel[1:], host: true}
		}
	case LayoutPlain:
		return place{path: name, host: true}
	}
	return place{path: rel}
}
