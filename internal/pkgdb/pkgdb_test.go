package pkgdb

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const sum = "d41d8cd98f00b204e9800998ecf8427e"

func describe(f File) string {
	return fmt.Sprintf("%s %s %x config=%v", f.Path, f.Algo, f.Digest, f.Config)
}

func TestDpkgStatusTellsPackagesAndTheirConfiguration(t *testing.T) {
	const text = "Package: base\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: amd64\nDescription: short\n long: text\n .\nConffiles:\n" +
		" /etc/a b " + sum + "\n /etc/old " + sum + " obsolete\n /etc/new newconffile\n /etc/gone " + sum + " remove-on-upgrade\n\n" +
		"Status: no name\n\n\nPackage: last\nbroken\n"
	var got []Package
	bad, err := DpkgStatus(strings.NewReader(text), func(p Package) { got = append(got, p) })
	if err != nil || bad != 2 || len(got) != 2 || got[1].Name != "last" {
		t.Fatalf("%+v, %d bad, %v", got, bad, err)
	}
	var configs []string
	for _, f := range got[0].Configs {
		configs = append(configs, describe(f))
	}
	want := []string{"/etc/a b md5 " + sum + " config=true", "/etc/old md5 " + sum + " config=true", "/etc/new   config=true", "/etc/gone md5 " + sum + " config=true"}
	if got[0].Configs = nil; !reflect.DeepEqual(got[0], Package{Name: "base", Version: "1:2-3", Arch: "amd64", State: "install ok installed"}) {
		t.Errorf("package %+v", got[0])
	}
	if !reflect.DeepEqual(configs, want) {
		t.Errorf("configuration\n%q, want\n%q", configs, want)
	}
}

func TestFilesOfEveryDatabase(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		read       func(text string, each func(File)) (int, error)
		want       []string
		bad        int
	}{
		{
			"dpkg sums", sum + "  usr/bin/a b\n" + sum + "  usr/../etc/x\nshort\n" + strings.Repeat("x", 40) + "\n",
			func(text string, each func(File)) (int, error) { return DpkgSums(strings.NewReader(text), each) },
			[]string{"/usr/bin/a b md5 " + sum + " config=false", "/etc/x md5 " + sum + " config=false"},
			2,
		},
		{
			"apk", "C:Q1x=\nP:busybox\nV:1\nF:bin\nR:busybox\na:0:0:755\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nF:etc\nR:conf\nZ:bad\nF:empty\n\nno field\n",
			func(text string, each func(File)) (int, error) {
				return Apk(strings.NewReader(text), each, func(Package) {})
			},
			[]string{"/bin/busybox sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709 config=false", "/etc/conf   config=true"},
			2,
		},
		{
			"pacman", "#mtree\n/set type=file uid=0 gid=0 mode=644\n./.PKGINFO time=1 size=2 sha256digest=00\n./usr time=1 type=dir\n" +
				"./usr/bin/a\\040b\\134 mode=755 size=0 md5digest=" + sum + "\n./usr/bin/l type=link link=a\n./usr/lib/x size=0 sha256digest=zz\n",
			func(text string, each func(File)) (int, error) { return Mtree(strings.NewReader(text), each) },
			[]string{"/usr/bin/a b\\ md5 " + sum + " config=false"},
			1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			bad, err := tc.read(tc.text, func(f File) { got = append(got, describe(f)) })
			if err != nil || bad != tc.bad || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%q, %d bad, %v; want %q, %d bad", got, bad, err, tc.want, tc.bad)
			}
		})
	}
}

func TestPacmanDescAndBackup(t *testing.T) {
	p, _, err := PacmanDesc(strings.NewReader("%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%ARCH%\nx86_64\n\n%INSTALLDATE%\n1700000000\n\n%DEPENDS%\nglibc\nreadline\n"))
	if err != nil || !reflect.DeepEqual(p, Package{Name: "bash", Version: "5.2-1", Arch: "x86_64", Installed: time.Unix(1_700_000_000, 0)}) {
		t.Errorf("%+v, %v", p, err)
	}
	configs, _, err := PacmanFiles(strings.NewReader("%FILES%\netc/\netc/bash.bashrc\n\n%BACKUP%\netc/bash.bashrc\t" + sum + "\n"))
	if err != nil || !reflect.DeepEqual(configs, map[string]bool{"/etc/bash.bashrc": true}) {
		t.Errorf("%v, %v", configs, err)
	}
}

func TestDiversions(t *testing.T) {
	got, bad, err := Diversions(strings.NewReader("/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n/half\n"))
	if err != nil || bad != 1 || !reflect.DeepEqual(got, []Diversion{{"/bin/sh", "/bin/sh.distrib", "dash"}, {"/a", "/b", ":"}}) {
		t.Errorf("%+v, %d bad, %v", got, bad, err)
	}
}

func TestALineWithoutEndIsLeftOut(t *testing.T) {
	text := strings.Repeat("x", 3*maxLine) + "\n/usr/bin/a\n" + strings.Repeat("/y", 50_000)
	var got []string
	bad, err := DpkgList(strings.NewReader(text), func(name string) { got = append(got, name) })
	if err != nil || bad != 1 || len(got) != 2 || got[0] != "/usr/bin/a" || len(got[1]) != 100_000 {
		t.Errorf("%d paths, %d bad, %v", len(got), bad, err)
	}
}

func FuzzDatabasesAreReadWithoutPanic(f *testing.F) {
	f.Add([]byte("Package: a\nConffiles:\n /etc/a " + sum + "\n\n"))
	f.Add([]byte(sum + "  usr/bin/a\n"))
	f.Add([]byte("P:a\nF:bin\nR:b\nZ:Q1AAAA\n\n"))
	f.Add([]byte("/set type=file\n./a\\040b md5digest=" + sum + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		check := func(file File) {
			if file.Path == "" || file.Path[0] != '/' || strings.Contains(file.Path+"/", "/../") || strings.IndexByte(file.Path, 0) >= 0 {
				t.Fatalf("path %q", file.Path)
			}
			if file.Digest != nil && len(file.Digest) != file.Algo.Size() {
				t.Fatalf("digest of %d bytes for %s", len(file.Digest), file.Algo)
			}
		}
		r := func() *bytes.Reader { return bytes.NewReader(text) }
		_, _ = DpkgStatus(r(), func(p Package) {
			for _, f := range p.Configs {
				check(f)
			}
		})
		_, _ = DpkgSums(r(), check)
		_, _ = Apk(r(), check, func(Package) {})
		_, _ = Mtree(r(), check)
		_, _, _ = PacmanDesc(r())
		_, _, _ = PacmanFiles(r())
		_, _, _ = Diversions(r())
	})
}
