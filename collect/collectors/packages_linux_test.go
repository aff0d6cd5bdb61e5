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
	program(t, root, "usr/bin/from-rpm", "x")
	program(t, root, "var/lib/rpm/rpmdb.sqlite", "SQLite format 3\x00")
	found, out := compared(t, openHost(t, root))
	if len(found) != 0 || len(out.problems) != 1 || out.problems[0].Code != evidence.Unsupported {
		t.Errorf("%v, problems %+v", keysOf(found), out.problems)
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
