package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// Bounds of configuration and modules.
const (
	maxAuthConfig  = 1 << 20 // bytes of one file
	maxAuthConfigs = 2000    // files of one folder
	maxAuthModules = 20_000
	maxAuthUses    = 100 // lines listed of one module
	maxAuthRules   = 20_000
	maxLibraryDirs = 200
	maxLoaderDirs  = 5_000 // that ld.so.conf may name, there or not
)

// pamDirs are where rules lie, the administrator's first.
var pamDirs = []string{"/etc/pam.d", "/usr/etc/pam.d", "/usr/lib/pam.d"}

// libraryDirs are where the dynamic loader looks without being told.
var libraryDirs = []string{"/lib", "/lib64", "/lib32", "/libx32", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/libx32", "/usr/local/lib", "/usr/local/lib64"}

// builtinNSS are services that libc has itself, since glibc 2.34 without a
// file.
var builtinNSS = []string{"files", "dns"}

// authLook resolves what configuration names to files.
type authLook struct {
	c       *comparison
	libs    []string // folders of libraries, links resolved
	modules []*record.AuthModule
	seen    map[string]*record.AuthModule // by kind and path
	left    int                           // modules that found no room
}

// authModules writes which modules of PAM and of the name service switch
// configuration names, where they are, and whether their package knows them so.
func (c *comparison) authModules(ctx context.Context) error {
	a := &authLook{c: c, seen: map[string]*record.AuthModule{}}
	a.findLibs()
	a.pam(ctx)
	a.nss()
	if a.left > 0 {
		c.out.Problem(problemAt(evidence.TooBig, record.AuthModules, fmt.Sprintf("%d more modules than the %d that are listed", a.left, maxAuthModules)))
	}
	lines := collect.NewRecords(ctx, c.out, evidence.Item{Path: record.AuthModules, Source: "file"})
	err := error(nil)
	for _, m := range a.modules {
		if m.Path != nil {
			m.OwnedFile = c.owned(ctx, string(m.Path))
		}
		if err = errors.Join(ctx.Err(), lines.Write(m)); err != nil {
			break
		}
	}
	c.out.Seen("PAM and NSS modules of the configuration", len(a.modules))
	return errors.Join(err, lines.Close())
}

// findLibs lists the folders of libraries: those of the loader, of
// architectures below them, and of ld.so.conf.
func (a *authLook) findLibs() {
	h := a.c.host
	dirs := slices.Clone(libraryDirs)
	for _, dir := range []string{"/lib", "/usr/lib", "/usr/local/lib"} {
		entries, _ := h.ReadDir(dir) // not every host has each
		for _, e := range entries {
			if strings.Contains(e.Name, "-linux-") {
				dirs = append(dirs, dir+"/"+e.Name)
			}
		}
	}
	configs := []string{"/etc/ld.so.conf"}
	entries, _ := h.ReadDir("/etc/ld.so.conf.d") // musl has none
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".conf") {
			configs = append(configs, "/etc/ld.so.conf.d/"+e.Name)
		}
	}
	for _, name := range configs[:min(len(configs), maxAuthConfigs)] {
		dirs = append(dirs, loaderDirs(a.read(name))...)
		if len(dirs) > maxLoaderDirs {
			a.c.out.Problem(problemAt(evidence.TooBig, name, fmt.Sprintf("more than %d folders of libraries; the rest was not looked into", maxLoaderDirs)))
			dirs = dirs[:maxLoaderDirs]
			break
		}
	}
	for _, dir := range dirs {
		real, st := a.c.follow(dir)
		if st != nil && st.Mode&modeType == modeDir && !slices.Contains(a.libs, real) && len(a.libs) < maxLibraryDirs {
			a.libs = append(a.libs, real)
		}
	}
}

// read returns a file of configuration, nil for one that is not there.
func (a *authLook) read(name string) []byte {
	text, err := a.c.host.ReadFile(name, maxAuthConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.c.out.Problem(problemAt(codeOf(err), name, "read configuration: "+err.Error()))
	}
	return text
}

func (a *authLook) broken(name string, bad int) {
	if bad > 0 {
		a.c.out.Problem(problemAt(evidence.Corrupt, name, fmt.Sprintf("%d lines are no configuration and were left out", bad)))
	}
}

func (a *authLook) tooMany(name string) {
	a.c.out.Problem(problemAt(evidence.TooBig, name, fmt.Sprintf("more than %d rules; the rest was not looked up", maxAuthRules)))
}

// module returns the record of a module, a new one where there is none yet.
func (a *authLook) module(kind, name, file, state string) *record.AuthModule {
	key := kind + "\x00" + file
	if file == "" {
		key += "\x00" + name
	}
	if m := a.seen[key]; m != nil {
		return m
	}
	m := &record.AuthModule{Kind: kind, Name: record.Bytes(name), State: state}
	if file != "" {
		m.Path = record.Bytes(file)
	}
	a.seen[key] = m
	if len(a.modules) >= maxAuthModules {
		a.left++
		return m
	}
	a.modules = append(a.modules, m)
	return m
}

func use(m *record.AuthModule, u record.AuthUse) {
	if len(m.Uses) >= maxAuthUses {
		m.Omitted++
		return
	}
	m.Uses = append(m.Uses, u)
}

func (a *authLook) pam(ctx context.Context) {
	text := a.read("/etc/pam.conf")
	rules, bad := parsePAM("/etc/pam.conf", text, true)
	a.broken("/etc/pam.conf", bad)
	for _, dir := range pamDirs {
		entries, err := a.c.host.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.c.out.Problem(problemAt(codeOf(err), dir, err.Error()))
		}
		if len(entries) > maxAuthConfigs {
			a.c.out.Problem(problemAt(evidence.TooBig, dir, fmt.Sprintf("%d files; %d were read", len(entries), maxAuthConfigs)))
			entries = entries[:maxAuthConfigs]
		}
		for _, e := range entries {
			if e.Type == modeDir {
				continue
			}
			more, bad := parsePAM(dir+"/"+e.Name, a.read(dir+"/"+e.Name), false)
			a.broken(dir+"/"+e.Name, bad)
			if rules = append(rules, more...); len(rules) > maxAuthRules {
				break
			}
		}
	}
	if len(rules) > maxAuthRules {
		a.tooMany(pamDirs[0])
		rules = rules[:maxAuthRules]
	}
	if len(rules) == 0 {
		return // no PAM: files of that name are somebody else's
	}
	var dirs []string
	for _, lib := range a.libs {
		if real, st := a.c.follow(lib + "/security"); st != nil && st.Mode&modeType == modeDir && !slices.Contains(dirs, real) {
			dirs = append(dirs, real)
		}
	}
	for _, rule := range rules {
		if ctx.Err() != nil {
			return // authModules says so
		}
		absolute, base := pamFile(rule.module)
		files := []string{absolute}
		if absolute == "" {
			files = nil
			for _, dir := range dirs {
				files = append(files, dir+"/"+base)
			}
		}
		found := false
		for _, file := range files {
			if real, _ := a.c.follow(path.Dir(file)); real != "" {
				file = path.Join(real, path.Base(file))
			}
			if _, err := a.c.host.Stat(file); err == nil {
				found = true
				use(a.module("pam", rule.module, file, "named"), rule.use)
			}
		}
		if !found {
			use(a.module("pam", rule.module, "", "missing"), rule.use)
		}
	}
	a.unnamed("pam", dirs, func(name string) (string, bool) { return name, strings.HasSuffix(name, ".so") })
}

func (a *authLook) nss() {
	const name = "/etc/nsswitch.conf"
	uses, bad := parseNSS(name, a.read(name))
	a.broken(name, bad)
	if len(uses) == 0 {
		return
	}
	if len(uses) > maxAuthRules {
		a.tooMany(name)
		uses = uses[:maxAuthRules]
	}
	files := map[string][]string{}
	for _, dir := range a.libs {
		entries, _ := a.c.host.ReadDir(dir) // was there a moment ago
		for _, e := range entries {
			if service, ok := nssService(e.Name); ok && e.Type != modeDir {
				files[service] = append(files[service], dir+"/"+e.Name)
			}
		}
	}
	for _, u := range uses {
		for _, file := range files[u.service] {
			use(a.module("nss", u.service, file, "named"), u.use)
		}
		if len(files[u.service]) == 0 {
			state := "missing"
			if slices.Contains(builtinNSS, u.service) {
				state = "builtin"
			}
			use(a.module("nss", u.service, "", state), u.use)
		}
	}
	a.unnamed("nss", a.libs, nssService)
}

// unnamed adds the files in folders of modules that nothing names.
func (a *authLook) unnamed(kind string, dirs []string, is func(base string) (name string, ok bool)) {
	for _, dir := range dirs {
		entries, err := a.c.host.ReadDir(dir)
		if err != nil {
			a.c.out.Problem(problemAt(codeOf(err), dir, err.Error()))
		}
		for _, e := range entries {
			if name, ok := is(e.Name); ok && e.Type != modeDir {
				a.module(kind, name, dir+"/"+e.Name, "unnamed")
			}
		}
	}
}
