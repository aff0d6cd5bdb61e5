package parsers

import (
	"path"

	"github.com/exhibit-dfir/exhibit/analyze/format/audit"
)

// files sets File and File2 from the PATH records and lists the others.
func (p *auditEvents) files(call string) {
	main, second := p.choose(call)
	for i := range p.paths {
		switch i {
		case main:
			p.ev.File = p.absolute(i, call)
			p.fileAttrs(&p.paths[i])
		case second:
			p.ev.File2 = p.absolute(i, call)
		default:
			if text := p.absolute(i, call); text != "" && text != p.ev.File {
				p.out.AttrRaw("path", p.out.Join(p.out.Intern(p.paths[i].kind), " ", text), 's')
			}
		}
	}
}

// choose finds the PATH records of the file and of its counterpart. A rename
// has DELETE for the old name and CREATE for the new, a link CREATE for the
// link and NORMAL for what it names.
func (p *auditEvents) choose(call string) (main, second int) {
	find := func(kind string) int {
		for i := range p.paths {
			if string(p.paths[i].kind) == kind {
				return i
			}
		}
		return -1
	}
	switch classOf(call).kind {
	case callRename:
		// The last DELETE is a file that was replaced; the first the source.
		return find("DELETE"), find("CREATE")
	case callLink:
		if main, second = find("CREATE"), find("NORMAL"); second < 0 {
			second = find("UNKNOWN")
		}
		return main, second
	case callExec:
		if len(p.paths) > 0 {
			return 0, -1
		}
		return -1, -1
	}
	for _, kind := range [...]string{"CREATE", "DELETE", "NORMAL", "UNKNOWN"} {
		if i := find(kind); i >= 0 {
			return i, -1
		}
	}
	for i := range p.paths {
		if !p.paths[i].isParent {
			return i, -1
		}
	}
	return -1, -1
}

// absolute returns the name of a path, joined with the working directory
// where the call resolves it against that.
func (p *auditEvents) absolute(i int, call string) string {
	f := &p.paths[i]
	p.scratch = audit.Decode(p.scratch[:0], f.name, f.quoted)
	name := p.scratch
	if len(name) == 0 || name[0] == '/' || len(p.cwd) == 0 {
		return p.out.Text(name)
	}
	if !fromCWD(call, p.call.args) {
		p.out.AttrRaw("relative_to", "directory descriptor", 's')
		return p.out.Text(name)
	}
	return p.out.Str(path.Clean(string(p.cwd) + "/" + string(name)))
}

// fromCWD reports whether a call resolves relative names against the working
// directory: the *at calls do when their descriptor is AT_FDCWD, -100.
func fromCWD(call string, args [4][]byte) bool {
	at := func(i int) bool {
		a := args[i]
		return len(a) == 0 || string(a) == "ffffff9c" || string(a) == "ffffffffffffff9c"
	}
	switch call {
	case "openat", "openat2", "unlinkat", "mkdirat", "mknodat", "fchmodat", "fchmodat2", "fchownat", "utimensat",
		"futimesat", "execveat", "faccessat", "faccessat2", "readlinkat", "newfstatat", "statx", "name_to_handle_at":
		return at(0)
	case "renameat", "renameat2", "linkat":
		return at(0) && at(2)
	case "symlinkat":
		return at(1)
	}
	return true
}

func (p *auditEvents) fileAttrs(f *auditPath) {
	out := p.out
	if len(f.inode) > 0 {
		out.AttrRaw("inode", out.Text(f.inode), 'i')
	}
	if len(f.mode) > 0 {
		out.AttrRaw("mode", out.Intern(f.mode), 's')
	}
	if len(f.owner) > 0 {
		out.AttrRaw("owner_uid", out.Intern(f.owner), 'i')
	}
	if len(f.ownerName) > 0 && string(f.ownerName) != "unset" {
		out.AttrRaw("owner", out.Intern(f.ownerName), 's')
	}
}
