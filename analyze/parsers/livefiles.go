package parsers

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// statePackages reads the packages that the managers' databases have. One event
// per package, at the time it was installed where the database says so (rpm,
// pacman; of an upgrade, the last), action package-installed; of dpkg at the
// time the list of its files was written, action package-files-listed; else at
// the time of the look. unit is the package.
var statePackages = register(analyze.Parser{
	Name: "state_packages", Doc: "installed packages by the databases of their managers, at the time they were installed", Version: 1, Family: "state",
	Types: []string{"linux:package:state"}, Match: ofSet(record.Packages), Parse: diskSet("linux:package:state", packageRow),
})

func packageRow(s *stateSet, p *record.Package) error {
	if len(p.Name) == 0 {
		return errNoSubject
	}
	var ev *timeline.Event
	verb := "is known to "
	switch {
	case p.Installed > 0:
		ev, verb = s.dated(p.Installed, "package-installed", "package", "Installation Time"), "was installed by "
		ev.TSPrec = timeline.Second
	case p.Listed > 0:
		ev, verb = s.dated(p.Listed, "package-files-listed", "package", "Content Modification Time"), "had its files listed by "
	default:
		ev = s.at(0, "package-state", "package")
	}
	ev.Unit = s.bytes(p.Name)
	ev.Message = s.out.Join("package ", ev.Unit, " ", s.bytes(p.Version), " ", verb, s.out.Str(p.Manager))
	s.str("manager", p.Manager)
	s.text("version", p.Version)
	s.text("arch", p.Arch)
	s.text("state", p.State)
	return nil
}

// statePackageFiles reads what was not as a package manager left it. One event
// per file at the time of the look, because nothing says when it became so:
// action is package-file-changed, -missing, -unowned, -type or -unread, sha256
// that of what is there, attr want the digest that the package has. The times
// of the file are attributes; fs_records has them as events.
var statePackageFiles = register(analyze.Parser{
	Name: "state_package_files", Doc: "files that differed from their packages, or belonged to none", Version: 1, Family: "state",
	Types: []string{"linux:package_file:state"}, Match: ofSet(record.PackageFiles), Parse: diskSet("linux:package_file:state", packageFileRow),
})

var packageFileWords = map[string]string{
	"changed": " differs from what its package has", "missing": " is missing and belongs to a package", "unowned": " belongs to no package",
	"type": " is no regular file and was one in its package", "unread": " was not compared with its package",
}

func packageFileRow(s *stateSet, f *record.PackageFile) error {
	words, known := packageFileWords[f.What]
	if len(f.Path) == 0 || !known {
		return errNoSubject
	}
	ev := s.at(0, "package-file-"+f.What, "file")
	ev.File, ev.SHA256 = s.bytes(f.Path), s.out.Str(digestText(f.SHA256))
	ev.Message = s.out.Join(ev.File, words)
	if len(f.Package) > 0 {
		ev.Message = s.out.Join(ev.Message, ", ", s.bytes(f.Package))
	}
	s.str("manager", f.Manager)
	s.text("package", f.Package)
	s.yes("config", f.Config)
	s.str("algorithm", f.Algorithm)
	s.str("want", f.Want)
	s.str("have", f.Have)
	s.str("detail", f.Detail)
	if f.Inode != 0 {
		s.file(f.Mode, f.UID, f.GID, f.Size, f.Mtime, f.Ctime, f.Btime)
	}
	return nil
}

// stateAuthModules reads the modules of PAM and of the name service switch.
// One event per module and file at the time of the look: file is the module,
// attr state says whether configuration names it and it is there, attr check
// what its package knows of it, attr use each line that names it.
var stateAuthModules = register(analyze.Parser{
	Name: "state_auth_modules", Doc: "modules of PAM and NSS that configuration named, or that lay unnamed", Version: 1, Family: "state",
	Types: []string{"linux:auth_module:state"}, Match: ofSet(record.AuthModules), Parse: diskSet("linux:auth_module:state", authModuleRow),
})

func authModuleRow(s *stateSet, m *record.AuthModule) error {
	if len(m.Name) == 0 || m.Kind == "" {
		return errNoSubject
	}
	ev := s.at(0, "auth-module-state", "configuration")
	ev.Unit = s.bytes(m.Name)
	ev.Message = s.out.Join(s.out.Str(strings.ToUpper(m.Kind)), " module ", ev.Unit, ": ", s.out.Str(m.State))
	s.ownedFile(ev, &m.OwnedFile)
	s.str("kind", m.Kind)
	s.str("state", m.State)
	for _, u := range m.Uses[:min(len(m.Uses), listMax)] {
		line := append([]byte(nil), u.File...)
		for _, part := range append([]record.Bytes{u.Service, u.Type, u.Control}, u.Args...) {
			if len(part) > 0 && len(line) < valueMax {
				line = append(append(line, ' '), part...)
			}
		}
		s.text("use", line)
	}
	return nil
}

// stateBootFiles reads what the machine boots with: kernel, initramfs and boot
// loader. One event per file at the time of the look: sha256 is its hash, attr
// check what its package knows of it.
var stateBootFiles = register(analyze.Parser{
	Name: "state_boot_files", Doc: "kernel, initramfs and boot loader as they were during collection", Version: 1, Family: "state",
	Types: []string{"linux:boot_file:state"}, Match: ofSet(record.BootFiles), Parse: diskSet("linux:boot_file:state", bootFileRow),
})

func bootFileRow(s *stateSet, f *record.BootFile) error {
	if len(f.Path) == 0 {
		return errNoSubject
	}
	ev := s.at(0, "boot-file-state", "host")
	ev.Message = s.out.Join("boot file, ", s.out.Str(f.Kind))
	s.ownedFile(ev, &f.OwnedFile)
	s.str("kind", f.Kind)
	return nil
}

// ownedFile adds a file and what its package knows of it.
func (s *stateSet) ownedFile(ev *timeline.Event, f *record.OwnedFile) {
	ev.File, ev.File2, ev.SHA256 = s.bytes(f.Path), s.bytes(f.Target), s.out.Str(digestText(f.SHA256))
	if ev.File != "" {
		ev.Message = s.out.Join(ev.Message, ", ", ev.File)
	}
	switch f.Check {
	case "changed":
		ev.Message = s.out.Join(ev.Message, ", differs from what its package has")
	case "unowned":
		ev.Message = s.out.Join(ev.Message, ", belongs to no package")
	}
	s.str("check", f.Check)
	s.str("manager", f.Manager)
	s.text("package", f.Package)
	s.str("algorithm", f.Algorithm)
	s.str("want", f.Want)
	s.str("detail", f.Detail)
	if f.Inode != 0 {
		s.file(f.Mode, f.UID, f.GID, f.Size, f.Mtime, f.Ctime, f.Btime)
	}
}

// statePrivileged reads the files that give whoever runs them more than they
// have, or that nobody can change. One event per file at the time of the look:
// attr setuid, setgid, immutable and append_only say what it is, attr capability
// each of those it gives.
var statePrivileged = register(analyze.Parser{
	Name: "state_privileged", Doc: "files that were setuid, setgid, immutable, append only, or had capabilities", Version: 1, Family: "state",
	Types: []string{"linux:privileged_file:state"}, Match: ofSet(record.Privileged), Parse: diskSet("linux:privileged_file:state", privilegedRow),
})

func privilegedRow(s *stateSet, f *record.File) error {
	if len(f.Path) == 0 {
		return errNoSubject
	}
	ev := s.at(0, "privileged-file-state", "file")
	ev.File, ev.SHA256 = s.bytes(f.Path), s.out.Str(digestText(f.SHA256))
	var what []string
	for _, p := range []struct {
		is   bool
		name string
	}{{f.Mode&0o4000 != 0, "setuid"}, {f.Mode&0o2000 != 0, "setgid"}, {f.Attributes&0x10 != 0, "immutable"}, {f.Attributes&0x20 != 0, "append_only"}} {
		if p.is {
			what = append(what, p.name)
			s.yes(p.name, true)
		}
	}
	if c := f.Capabilities; c != nil {
		what = append(what, c.Permitted...)
		for _, name := range c.Permitted[:min(len(c.Permitted), listMax)] {
			s.str("capability", name)
		}
		for _, name := range c.Inheritable[:min(len(c.Inheritable), listMax)] {
			s.str("inheritable", name)
		}
		s.yes("effective", c.Effective)
		s.num("rootid", int64(c.RootID))
	}
	ev.Message = s.out.Join(ev.File, " is ", s.out.Str(strings.Join(what[:min(len(what), listMax)], ", ")))
	s.str("owner", f.Owner)
	s.file(f.Mode, f.UID, f.GID, f.Size, f.Mtime, f.Ctime, f.Btime)
	return nil
}
