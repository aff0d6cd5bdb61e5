package collectors

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// compared runs the collector and returns what differs, as "what path", by
// that and sorted.
func compared(t *testing.T, h *collect.Host) (map[string]record.PackageFile, *memoryTaker) {
	t.Helper()
	out := newMemoryTaker(h)
	check(t, linuxPackages.Run(context.Background(), h, out))
	found := map[string]record.PackageFile{}
	for line := range bytes.Lines(out.streams[record.PackageFiles]) {
		var f record.PackageFile
		check(t, json.Unmarshal(line, &f))
		found[f.What+" "+string(f.Path)] = f
	}
	return found, out
}

func keysOf[V any](m map[string]V) []string {
	keys := []string{}
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func program(t *testing.T, root, name, text string) {
	t.Helper()
	full := filepath.Join(root, name)
	check(t, os.MkdirAll(filepath.Dir(full), 0o755))
	check(t, os.WriteFile(full, []byte(text), 0o755))
}

// debRoot is a root with merged /usr into which dpkg itself installed packages.
func debRoot(t *testing.T) (root string, dpkg func(args string) string) {
	t.Helper()
	tool, deb := testenv.Tool(t, "dpkg"), testenv.Tool(t, "dpkg-deb")
	root = t.TempDir()
	for _, dir := range []string{"usr/bin", "usr/lib", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		check(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	check(t, os.Symlink("usr/bin", filepath.Join(root, "bin")))
	check(t, os.Symlink("usr/lib", filepath.Join(root, "lib")))
	check(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
	for _, p := range []struct {
		name  string
		files map[string]string
	}{
		{"alpha", map[string]string{
			"bin/kept": "kept", "bin/changed": "as shipped", "usr/bin/missing": "m", "usr/lib/libx.so.1": "library", "usr/lib/data": "not run",
			"etc/alpha.conf": "shipped", "etc/alpha-same.conf": "same", "usr/bin/sp ace": "odd", "usr/bin/turned": "program",
		}},
		{"beta", map[string]string{"usr/bin/tool": "beta's", "usr/share/beta/text": "t"}},
	} {
		dir := t.TempDir()
		var sums, conf strings.Builder
		for _, name := range keysOf(p.files) {
			program(t, dir, name, p.files[name])
			if strings.HasPrefix(name, "etc/") {
				fmt.Fprintf(&conf, "/%s\n", name)
			} else {
				fmt.Fprintf(&sums, "%x  %s\n", md5.Sum([]byte(p.files[name])), name)
			}
		}
		check(t, os.Chmod(filepath.Join(dir), 0o755))
		program(t, dir, "DEBIAN/control", "Package: "+p.name+"\nVersion: 1.0-1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n")
		check(t, os.WriteFile(filepath.Join(dir, "DEBIAN/md5sums"), []byte(sums.String()), 0o644))
		if conf.Len() > 0 {
			check(t, os.WriteFile(filepath.Join(dir, "DEBIAN/conffiles"), []byte(conf.String()), 0o644))
		}
		shell(t, deb+" --root-owner-group -b "+dir+" "+root+"/"+p.name+".deb")
	}
	dpkg = func(args string) string {
		return shell(t, tool+" --root="+root+" --force-not-root --force-script-chrootless --log=/dev/null "+args+" 2>&1 || true")
	}
	if text := dpkg("-i " + root + "/alpha.deb " + root + "/beta.deb"); !strings.Contains(text, "Setting up beta") {
		t.Skipf("skipped: dpkg installs no package below a folder here: %s", text)
	}
	return root, dpkg
}

func TestWhatDiffersFromDpkgIsWhatDpkgSays(t *testing.T) {
	root, dpkg := debRoot(t)
	h := openHost(t, root)
	if found, out := compared(t, h); len(found) != 0 || len(out.problems) != 0 {
		t.Fatalf("untouched: %v, problems %+v", keysOf(found), out.problems)
	}
	program(t, root, "usr/bin/changed", "by an intruder")
	check(t, os.Remove(filepath.Join(root, "usr/bin/missing")))
	program(t, root, "usr/lib/libx.so.1", "another library")
	check(t, os.Chmod(filepath.Join(root, "usr/lib/libx.so.1"), 0o644))
	program(t, root, "etc/alpha.conf", "edited")
	found, out := compared(t, h)
	// dpkg's lines: "??5?????? c /etc/alpha.conf", "missing     /usr/bin/missing".
	var said []string
	for line := range strings.Lines(dpkg("--verify")) {
		f := strings.Fields(line)
		name := strings.Replace(f[len(f)-1], "/bin/", "/usr/bin/", 1)
		name = strings.Replace(name, "/usr/usr/", "/usr/", 1)
		what := "changed "
		if f[0] == "missing" {
			what = "missing "
		}
		said = append(said, what+name)
	}
	slices.Sort(said)
	if got := keysOf(found); !slices.Equal(got, said) || len(said) != 4 {
		t.Errorf("ours\n%q, dpkg's\n%q", got, said)
	}
	c := found["changed /usr/bin/changed"]
	if c.Manager != "dpkg" || string(c.Package) != "alpha" || c.Algorithm != "md5" || c.Config || c.Mtime == 0 || c.Size != 14 ||
		c.Want != fmt.Sprintf("%x", md5.Sum([]byte("as shipped"))) || c.Have != fmt.Sprintf("%x", md5.Sum([]byte("by an intruder"))) ||
		c.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("by an intruder"))) {
		t.Errorf("record %+v", c)
	}
	if !found["changed /etc/alpha.conf"].Config {
		t.Error("a configuration file is not marked as one")
	}
	if !bytes.Contains(out.streams[record.Packages], []byte(`"listed":1`)) || bytes.Contains(out.streams[record.Packages], []byte(`"installed":`)) {
		t.Errorf("dpkg knows when lists were written, and no more: %s", out.streams[record.Packages])
	}
	if n := bytes.Count(out.streams[record.Packages], []byte("\n")); n != 2 || out.seen["dpkg database"] != 2 || out.seen["files of packages"] == 0 {
		t.Errorf("%d packages, ledger %v", n, out.seen)
	}
}

func TestUnownedDivertedAndLinkedPrograms(t *testing.T) {
	root, _ := debRoot(t)
	program(t, root, "usr/bin/back\ndoor", "own")
	program(t, root, "usr/lib/.hidden/m.ko", "module")
	check(t, os.WriteFile(filepath.Join(root, "usr/lib/cache"), []byte("no program"), 0o644))
	// A diversion moves what beta has away; what is there instead is alpha's.
	check(t, os.Rename(filepath.Join(root, "usr/bin/tool"), filepath.Join(root, "usr/bin/tool.distrib")))
	program(t, root, "usr/bin/tool", "instead")
	check(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/diversions"), []byte("/usr/bin/tool\n/usr/bin/tool.distrib\nalpha\n"), 0o644))
	check(t, os.Remove(filepath.Join(root, "usr/bin/turned")))
	check(t, os.Symlink("kept", filepath.Join(root, "usr/bin/turned")))
	h := openHost(t, root)
	found, _ := compared(t, h)
	want := []string{"type /usr/bin/turned", "unowned /usr/bin/back\ndoor", "unowned /usr/bin/tool", "unowned /usr/lib/.hidden/m.ko"}
	if got := keysOf(found); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if f := found["unowned /usr/bin/back\ndoor"]; f.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("own"))) {
		t.Errorf("record %+v", f)
	}
	// The walk does not read again what was read here.
	st, err := h.Stat("/usr/bin/kept")
	check(t, err)
	if sum, ok := h.RememberedHash(st); !ok || sum != evidence.Sum([]byte("kept")) {
		t.Errorf("digest remembered: %v %s", ok, sum)
	}
	opened, _ := h.Opened()
	files, _ := walked(t, h)
	if after, _ := h.Opened(); files["/usr/bin/kept"].SHA256 != evidence.Sum([]byte("kept")).String() || after-opened > int64(len(files)) {
		t.Errorf("walk: %+v, %d opened for %d names", files["/usr/bin/kept"], after-opened, len(files))
	}
}

func TestDifferencesFromApkAndPacman(t *testing.T) {
	type plantDatabase func(t *testing.T, root string)
	q1 := func(text string) string {
		s := sha1.Sum([]byte(text))
		return "Q1" + base64.StdEncoding.EncodeToString(s[:])
	}
	for name, database := range map[string]plantDatabase{
		"apk": func(t *testing.T, root string) {
			program(t, root, "lib/apk/db/installed", "P:tools\nV:1-r0\nA:x86_64\nF:usr\nF:usr/bin\nR:good\nZ:"+q1("good")+"\nR:bad\nZ:"+q1("shipped")+
				"\nR:gone\nZ:"+q1("gone")+"\nR:link\nZ:"+q1("good")+"\n\n")
			check(t, os.Chmod(filepath.Join(root, "lib/apk/db/installed"), 0o644))
		},
		"pacman": func(t *testing.T, root string) {
			dir := "var/lib/pacman/local/tools-1-1/"
			program(t, root, "var/lib/pacman/local/ALPM_DB_VERSION", "9\n")
			program(t, root, dir+"desc", "%NAME%\ntools\n\n%VERSION%\n1-1\n\n%ARCH%\nx86_64\n")
			program(t, root, dir+"files", "%FILES%\nusr/\n")
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			fmt.Fprintf(z, "#mtree\n/set type=file\n./usr/bin/good sha256digest=%x\n./usr/bin/bad sha256digest=%x\n./usr/bin/gone sha256digest=%x\n./usr/bin/link type=link link=good\n",
				sha256.Sum256([]byte("good")), sha256.Sum256([]byte("shipped")), sha256.Sum256([]byte("gone")))
			check(t, z.Close())
			program(t, root, dir+"mtree", b.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			database(t, root)
			program(t, root, "usr/bin/good", "good")
			program(t, root, "usr/bin/bad", "bad")
			program(t, root, "usr/bin/own", "own")
			check(t, os.Symlink("good", filepath.Join(root, "usr/bin/link")))
			found, out := compared(t, openHost(t, root))
			if got, want := keysOf(found), []string{"changed /usr/bin/bad", "missing /usr/bin/gone", "unowned /usr/bin/own"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q; problems %+v", got, want, out.problems)
			}
			var p record.Package
			check(t, json.Unmarshal(out.streams[record.Packages], &p))
			if p.Manager != name || string(p.Name) != "tools" || string(p.Arch) != "x86_64" {
				t.Errorf("package %+v", p)
			}
			if f := found["changed /usr/bin/bad"]; f.Manager != name || f.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("bad"))) {
				t.Errorf("record %+v", f)
			}
		})
	}
}

// A database that is not read must not make everything belong to nobody.
func TestNothingIsUnownedWhereADatabaseIsNotRead(t *testing.T) {
	root, _ := debRoot(t)
	program(t, root, "usr/bin/from-nix", "x")
	program(t, root, "nix/var/nix/db/db.sqlite", "SQLite format 3\x00")
	found, out := compared(t, openHost(t, root))
	if len(found) != 0 || len(out.problems) != 1 || out.problems[0].Code != evidence.Unsupported {
		t.Errorf("%v, problems %+v", keysOf(found), out.problems)
	}
}

// rpmRoot is a root into which rpm itself installed a package.
func rpmRoot(t *testing.T) (root string, rpm func(args string) string) {
	t.Helper()
	tool, build := testenv.Tool(t, "rpm"), testenv.Tool(t, "rpmbuild")
	if os.Geteuid() != 0 {
		t.Skip("skipped: rpm installs below another root as root only")
	}
	top, root := t.TempDir(), t.TempDir()
	program(t, top, "p.spec", `Name: alpha
Version: 1.0
Release: 1
Summary: t
License: none
BuildArch: noarch
%description
t
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib %{buildroot}/etc
for f in kept changed missing turned "sp ace" optional; do echo "$f" > "%{buildroot}/usr/bin/$f"; done
echo library > %{buildroot}/usr/lib/libx.so.1
ln -s kept %{buildroot}/usr/bin/link
for f in alpha.conf same.conf loose.conf; do echo "$f" > %{buildroot}/etc/$f; done
%files
%defattr(755,root,root)
/usr/bin/kept
/usr/bin/changed
/usr/bin/missing
/usr/bin/turned
"/usr/bin/sp ace"
/usr/bin/link
%config(missingok) /usr/bin/optional
%ghost /usr/bin/ghost
/usr/lib/libx.so.1
%config(noreplace) /etc/alpha.conf
%config /etc/same.conf
%config %verify(not md5 size mtime) /etc/loose.conf
`)
	shell(t, build+" --define '_topdir "+top+"' --define '_build_id_links none' -bb "+top+"/p.spec 2>&1")
	rpm = func(args string) string {
		return shell(t, tool+" --root="+root+" --dbpath=/var/lib/rpm --nosignature "+args+" 2>/dev/null || true")
	}
	rpm("-i --nodeps " + top + "/RPMS/noarch/alpha-1.0-1.noarch.rpm")
	for _, dir := range [][2]string{{"usr/bin", "bin"}, {"usr/lib", "lib"}} {
		check(t, os.Symlink(dir[0], filepath.Join(root, dir[1])))
	}
	return root, rpm
}

func TestWhatDiffersFromRpmIsWhatRpmSays(t *testing.T) {
	root, rpm := rpmRoot(t)
	h := openHost(t, root)
	if found, out := compared(t, h); len(found) != 0 || len(out.problems) != 0 || out.seen["rpm database"] != 1 {
		t.Fatalf("untouched: %v, problems %+v, ledger %v", keysOf(found), out.problems, out.seen)
	}
	program(t, root, "usr/bin/changed", "by an intruder")
	check(t, os.Remove(filepath.Join(root, "usr/bin/missing")))
	check(t, os.Remove(filepath.Join(root, "usr/bin/optional")))
	check(t, os.Remove(filepath.Join(root, "usr/bin/turned")))
	check(t, os.Symlink("kept", filepath.Join(root, "usr/bin/turned")))
	program(t, root, "usr/lib/libx.so.1", "another library")
	program(t, root, "usr/bin/sp ace", "sp ice")
	program(t, root, "usr/bin/ghost", "made later")
	program(t, root, "etc/alpha.conf", "edited")
	program(t, root, "etc/loose.conf", "edited")
	found, out := compared(t, h)
	var p record.Package
	check(t, json.Unmarshal(out.streams[record.Packages], &p))
	if said := strings.TrimSpace(rpm("-q --qf '%{INSTALLTIME}000000000 %{EVR}' alpha")); said != fmt.Sprintf("%d %s", p.Installed, p.Version) || p.Listed != 0 {
		t.Errorf("%+v, rpm says %s", p, said)
	}
	// rpm's lines: "S.5....T.  c /etc/alpha.conf", "missing     /usr/bin/missing".
	var said []string
	for line := range strings.Lines(rpm("-Va")) {
		verdict, name := strings.Fields(line)[0], line[strings.IndexByte(line, '/'):len(line)-1]
		switch {
		case verdict == "missing":
			said = append(said, "missing "+name)
		case verdict[4] == 'L': // where a link is, or should be
			said = append(said, "type "+name)
		case verdict[2] == '5':
			said = append(said, "changed "+name)
		}
	}
	said = append(said, "changed /etc/loose.conf") // which rpm was told not to tell
	slices.Sort(said)
	if got := keysOf(found); !slices.Equal(got, said) || len(said) != 7 {
		t.Errorf("ours\n%q, rpm's\n%q", got, said)
	}
	c := found["changed /usr/bin/changed"]
	if c.Manager != "rpm" || string(c.Package) != "alpha" || c.Algorithm != "sha256" || c.Config || c.Want != fmt.Sprintf("%x", sha256.Sum256([]byte("changed\n"))) || c.SHA256 != c.Have {
		t.Errorf("record %+v", c)
	}
	if loose := found["changed /etc/loose.conf"]; !loose.Config || !strings.Contains(loose.Detail, "may change") {
		t.Errorf("record %+v", loose)
	}
}

// A database that broke must not make everything belong to nobody, nor be
// passed over in silence.
func TestUnownedProgramsAndBrokenDatabasesOfRpm(t *testing.T) {
	root, _ := rpmRoot(t)
	program(t, root, "usr/bin/backdoor", "x")
	db := filepath.Join(root, "var/lib/rpm/rpmdb.sqlite")
	text, err := os.ReadFile(db)
	check(t, err)
	program(t, root, "usr/share/rpm/rpmdb.sqlite", "left behind")
	found, out := compared(t, openHost(t, root))
	if got := keysOf(found); !slices.Equal(got, []string{"unowned /usr/bin/backdoor"}) {
		t.Errorf("%q", got)
	}
	if len(out.problems) != 1 || out.problems[0].Code != evidence.Inconsistent || out.problems[0].Path != "/usr/share/rpm/rpmdb.sqlite" {
		t.Errorf("a second database: %+v", out.problems)
	}
	check(t, os.Remove(filepath.Join(root, "usr/share/rpm/rpmdb.sqlite")))
	for i := 4096; i < 8192; i++ {
		text[i] = 0xff // the page with the packages is one of the first
	}
	for i, cut := range [][]byte{text, text[:4096], []byte("no database")} {
		check(t, os.WriteFile(db, cut, 0o644))
		found, out := compared(t, openHost(t, root))
		if len(found) != 0 || len(out.problems) == 0 || out.problems[0].Code != evidence.Corrupt {
			t.Errorf("%d: %v, problems %+v", i, keysOf(found), out.problems)
		}
	}
}

func TestRememberedHashIsOfOneStateOfAFile(t *testing.T) {
	h := plant(t, "a")
	st, err := h.Stat("/a")
	check(t, err)
	h.RememberHash(st, evidence.Sum([]byte("x")))
	later := *st
	later.Changed = later.Changed.Add(1)
	if _, ok := h.RememberedHash(&later); ok {
		t.Error("a changed file has the digest of the old")
	}
	if sum, ok := h.RememberedHash(st); !ok || !reflect.DeepEqual(sum, evidence.Sum([]byte("x"))) {
		t.Error("not remembered")
	}
}
