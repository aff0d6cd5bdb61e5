package definition

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func open(t testing.TB, name string) *Set {
	t.Helper()
	s, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDialects writes down everything that was understood of the test data.
func TestDialects(t *testing.T) {
	for _, dialect := range []string{"artifacts", "kape", "uac"} {
		t.Run(dialect, func(t *testing.T) {
			s := open(t, filepath.Join("testdata", dialect))
			var out strings.Builder
			for _, d := range s.Definitions {
				fmt.Fprintf(&out, "%s %q aliases %q os %q labels %q doc %q\n", d.ID, d.File, d.Aliases, d.OS, d.Labels, d.Doc)
				for _, src := range d.Sources {
					fmt.Fprintf(&out, "  %s os %q fold %v login %v members %q text %q why %q\n", src.Kind, src.OS, src.FoldCase, src.Login, src.Members, src.Text, src.Why)
					for _, p := range src.Patterns {
						fmt.Fprintf(&out, "    %s\n", p)
					}
					fmt.Fprintf(&out, "    filter %+v\n", src.Filter)
				}
			}
			for _, i := range s.Issues {
				fmt.Fprintf(&out, "issue error %v: %s\n", i.Error, i)
			}
			fmt.Fprintf(&out, "%d files, %d others\n", len(s.Files), s.Profiles)
			testenv.Golden(t, filepath.Join("testdata", dialect+".golden"), []byte(out.String()))
		})
	}
}

// TestStrict gives each mistake to its reader, which has to name it and its
// line, and has to keep the good definition beside it.
func TestStrict(t *testing.T) {
	const good = "name: Good\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: ['/x']}\n"
	source := func(typ, attributes string) string {
		return "name: Bad\ndoc: d\nsources:\n- type: " + typ + "\n  attributes: " + attributes + "\n"
	}
	tests := []struct {
		text, want string
		line       int // within the text
	}{
		{"name: Bad\ndoc: d\nsources: []\n", "no list of sources", 1},
		{"name: Bad\nsources: []\n", "no doc", 1},
		{"name: Bad\ndoc: d\nurl: x\nsources:\n- type: FILE\n  attributes: {paths: ['/x']}\n", `"url"`, 3},
		{"name: Bad\nname: Bad\ndoc: d\nsources: []\n", "twice", 2},
		{"name: Bad name\ndoc: d\nsources: []\n", "characters", 1},
		{"name: Bad\ndoc: d\nsupported_os: [Beos]\nsources: []\n", "Beos", 1},
		{source("FILE", "{paths: []}"), "no paths", 5},
		{source("FILE", "{paths: ['x']}"), "begins neither", 5},
		{source("FILE", "{paths: ['/**x']}"), "neither **", 5},
		{source("FILE", "{paths: ['/x'], separator: ':'}"), "separator", 5},
		{source("FILE", "{paths: ['/x'], other: 1}"), `"other"`, 5},
		{source("FILE", "{paths: [{a: b}]}"), "no text", 5},
		{source("FILE", "[a]"), "no mapping", 5},
		{source("FOO", "{a: b}"), "unknown type", 4},
		{source("COMMAND", "{cmd: x}"), "no args", 5},
		{source("REGISTRY_KEY", `{keys: ['HKEY_CURRENT_USER\x']}`), `HKEY_USERS\%%users.sid%%`, 5},
		{source("REGISTRY_KEY", `{keys: ['HKEY_FOO\x']}`), "no hive", 5},
		{source("REGISTRY_VALUE", `{key_value_pairs: [{key: 'HKEY_USERS\x'}]}`), "no value", 5},
		{"name: Bad\ndoc: d\nsupported_os: [Linux]\nsources:\n- type: FILE\n  supported_os: [Windows]\n  attributes: {paths: ['/x']}\n", "its definition is not", 5},
		{"name: Bad\ndoc: &a [x]\nsources: [*a]\n", "anchors", 2},
		{"name: [Bad\n", "yaml", 1},
		{"name: Bad\ndoc: " + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "\n", "deep", 2},
		{"name: Good\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: ['/x']}\n", "taken", -6},
	}
	for _, tt := range tests {
		s, err := Parse([]File{{"a.yaml", []byte("---\n" + good + "---\n" + tt.text)}})
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if len(s.Definitions) != 1 || s.Definitions[0].ID != "Good" {
			t.Errorf("%q: kept %v", tt.text, s.Definitions)
		}
		i := slices.IndexFunc(s.Issues, func(i Issue) bool { return i.Error && strings.Contains(i.Text, tt.want) })
		if i < 0 {
			t.Errorf("%q: no issue says %q: %v", tt.text, tt.want, s.Issues)
			continue
		}
		if want := max(tt.line+7-1, 0); s.Issues[i].Line < want || s.Issues[i].Line > want+1 {
			t.Errorf("%q: line %d, want %d: %s", tt.text, s.Issues[i].Line, want, s.Issues[i])
		}
		if strings.Contains(s.Issues[i].String(), "\n") {
			t.Errorf("issue of more than a line: %q", s.Issues[i])
		}
	}
}

func TestStrictUAC(t *testing.T) {
	entry := func(lines ...string) string {
		return "version: 1\nartifacts:\n  -\n    description: d\n    supported_os: [linux]\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	for text, want := range map[string]string{
		entry("collector: file"):                                                  "no path",
		entry("collector: file", "path: x"):                                       "does not begin at the root",
		entry("collector: spoon", "path: /x"):                                     "unknown collector",
		entry("collector: file", "path: /x", "colour: red"):                       "no key that UAC knows",
		entry("collector: file", "path: /x", "path: /y"):                          "twice",
		entry("collector: file", "path: /\"x"):                                    "does not end",
		entry("collector: file", "path: /x", "max_depth: deep"):                   "max_depth",
		entry("collector: file", "path: /x", "max_file_size: 1G"):                 "no number of bytes",
		entry("collector: file", "path: /x", "name_pattern: [\"a"):                "does not end",
		entry("collector: file", "path: /x", "name_pattern: [a"):                  "does not end",
		entry("collector: file", "path: /x", "file_type: [q]"):                    "file_type",
		entry("collector: file", "path: /x", "permissions: [rwx]"):                "permissions",
		entry("collector: command"):                                               "no command",
		"artifacts:\n\t- collector: file\n":                                       "tab",
		"artifacts:\n    collector: file\n":                                       "belongs to no entry",
		"artifacts:\n# collector:\n":                                              "no entry",
		strings.Replace(entry("collector: file", "path: /x"), "linux", "beos", 1): "beos",
	} {
		list, issues := parseUAC("x.yaml", text)
		if !slices.ContainsFunc(issues, func(i Issue) bool { return i.Error && strings.Contains(i.Text, want) }) {
			t.Errorf("%q: no issue says %q: %v", text, want, issues)
		}
		for _, d := range list {
			for _, s := range d.Sources {
				if s.Why == "" {
					t.Errorf("%q: its source would be run", text)
				}
			}
		}
	}
}

func TestDigestIsThatOfTheCanonicalTar(t *testing.T) {
	s := open(t, "testdata/kape")
	var b bytes.Buffer
	if err := s.WriteTar(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, file)
	if again.Digest != s.Digest || len(again.Definitions) != len(s.Definitions) {
		t.Errorf("folder %s, tar %s", s.Digest, again.Digest)
	}
	s.Files[0].Data = append(s.Files[0].Data, '\n')
	other, err := Parse(s.Files)
	if err != nil || other.Digest == s.Digest {
		t.Errorf("one byte more, and the digest is still %s (%v)", s.Digest, err)
	}
}

func TestHostileSets(t *testing.T) {
	tarOf := func(name string, typ byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		text := "name: A\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: ['/x']}\n"
		h := &tar.Header{Name: name, Typeflag: typ, Mode: 0o644, Linkname: "/etc/passwd"}
		if typ == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if err := errors.Join(w.WriteHeader(h)); err != nil {
			t.Fatal(err)
		}
		if typ == tar.TypeReg {
			_, _ = w.Write([]byte(text)) //nolint:errcheck // a buffer takes all
		}
		w.Close()
		return b.Bytes()
	}
	for name, data := range map[string][]byte{
		"climbs.tar": tarOf("../../a.yaml", tar.TypeReg), "link.tar": tarOf("a.yaml", tar.TypeSymlink),
		"noise": []byte("no tar"), "empty.yaml": {}, "big.yaml": bytes.Repeat([]byte("# x\n"), 2<<20),
		"bomb.yaml": []byte("name: A\na: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nsources: [*c]\n"),
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(file); !errors.Is(err, ErrSet) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestSelectFollowsGroups(t *testing.T) {
	s := open(t, "testdata/artifacts")
	list, err := s.Select([]string{"TESTGROUP"})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	if got := strings.Join(ids, " "); got != "TestGroup TestShellFiles TestWindows" {
		t.Errorf("selected %s", got)
	}
	if _, err := s.Select([]string{"back"}); err == nil || !strings.Contains(err.Error(), "TestBackslash") {
		t.Errorf("a name that is not there: %v", err)
	}
}

func TestExpand(t *testing.T) {
	linux := &Knowledge{OS: "linux", Users: []User{
		{Name: "a[b", ID: "1000", Home: "/home/a[b", Login: true}, {Name: "daemon", ID: "1", Home: "/usr/sbin"}, {Home: "/home/gone"},
	}}
	windows := &Knowledge{OS: "windows", Users: []User{{Name: "Ann", Home: "/Users/Ann"}, {Name: "Bob", Home: "/Users/Bob", SID: "S-1"}}}
	tests := []struct {
		src     Source
		k       *Knowledge
		want    string
		unknown string
	}{
		{Source{Patterns: []string{"%%users.homedir%%/.x"}}, linux, "~/.x", ""},
		{Source{Patterns: []string{"%%users.homedir%%/.x"}, Login: true}, linux, `/home/a\[b/.x /home/gone/.x`, ""},
		{Source{Patterns: []string{"/tmp/u-%%Users.Username%%.log"}}, linux, `/tmp/u-a\[b.log /tmp/u-daemon.log`, "%%Users.Username%% is not known of this host"},
		{Source{Patterns: []string{"%%users.localappdata%%/x"}, FoldCase: true}, windows, "/Users/Ann/AppData/Local/x /Users/Ann/Local Settings/Application Data/x /Users/Bob/AppData/Local/x /Users/Bob/Local Settings/Application Data/x", ""},
		{Source{Patterns: []string{"%%environ_systemdrive%%/$MFT", "%%environ_windir%%/x"}}, windows, "/$MFT /Windows/x /WINNT/x", ""},
		{Source{Patterns: []string{"%%environ_foo%%/x"}}, windows, "", "%%environ_foo%% is not known of this host"},
		{Source{Patterns: []string{"/x/%%users.sid%%/y"}}, windows, "/x/S-1/y", "%%users.sid%% is not known of this host"},
		{Source{Patterns: []string{"%%users.username%%%%users.username%%/y"}}, &Knowledge{}, "", "no user is known for %%users.username%%%%users.username%%/y"},
	}
	for _, tt := range tests {
		got, unknown := tt.src.Expand(tt.k)
		if strings.Join(got, " ") != tt.want || strings.Join(unknown, "; ") != tt.unknown {
			t.Errorf("%q: got %q, unknown %q; want %q, %q", tt.src.Patterns, got, unknown, tt.want, tt.unknown)
		}
	}
}

func TestExpandIsBounded(t *testing.T) {
	k := &Knowledge{OS: "linux"}
	for i := range 1000 {
		k.Users = append(k.Users, User{Name: fmt.Sprint("u", i), Home: fmt.Sprint("/home/u", i)})
	}
	src := Source{Patterns: slices.Repeat([]string{"/x/%%users.username%%"}, 1000)}
	got, unknown := src.Expand(k)
	if len(got) > maxExpanded || len(unknown) != 1 {
		t.Errorf("%d patterns, %q", len(got), unknown)
	}
}

func TestPermission(t *testing.T) {
	for _, tt := range []struct {
		p    Permission
		mode uint32
		want bool
	}{
		{Permission{Bits: 0o4000}, 0o104755, true},
		{Permission{Bits: 0o4000}, 0o100755, false},
		{Permission{Bits: 0o022}, 0o100020, false},
		{Permission{Bits: 0o022, Any: true}, 0o100020, true},
		{Permission{Bits: 0o644, Same: true}, 0o100644, true},
		{Permission{Bits: 0o644, Same: true}, 0o100645, false},
	} {
		if got := tt.p.Holds(tt.mode); got != tt.want {
			t.Errorf("%+v of %o: %v", tt.p, tt.mode, got)
		}
	}
}

// TestOthersLoad reads the definitions of the other projects, every one.
func TestOthersLoad(t *testing.T) {
	dir := os.Getenv("EXHIBIT_DEFINITIONS")
	for _, tt := range []struct {
		folder        string
		files, least  int
		sourcesBroken int // whose entry has a mistake of its author
	}{
		{"artifacts", 32, 731, 0}, {"kape", 377, 377, 1}, {"uac", 421, 421, 1},
	} {
		t.Run(tt.folder, func(t *testing.T) {
			set := filepath.Join(dir, tt.folder)
			if dir == "" {
				set = inOracles(t, tt.folder)
			}
			if _, err := os.Stat(set); err != nil {
				t.Skipf("skipped: no %s (set EXHIBIT_DEFINITIONS to a folder with artifacts, kape and uac, the definitions of these projects)", set)
			}
			s := open(t, set)
			broken := 0
			for _, i := range s.Issues {
				if i.Error {
					broken++
					t.Log(i)
				}
			}
			if len(s.Definitions) < tt.least || len(s.Files) < tt.files || broken > tt.sourcesBroken {
				t.Errorf("%d definitions in %d files, %d errors; want at least %d in %d, at most %d", len(s.Definitions), len(s.Files), broken, tt.least, tt.files, tt.sourcesBroken)
			}
		})
	}
}

// inOracles returns where `make oracles` put the definitions of a project: of
// ForensicArtifacts, which are on the Python package index.
func inOracles(t *testing.T, folder string) string {
	t.Helper()
	for _, pattern := range []string{"lib/python3*/site-packages/artifacts/data", "share/artifacts"} {
		found, err := filepath.Glob(filepath.Join(testenv.Root(t), ".oracles", pattern))
		if err == nil && folder == "artifacts" && len(found) > 0 {
			return found[0]
		}
	}
	if folder == "artifacts" && os.Getenv("CI") != "" {
		t.Fatal("the definitions of ForensicArtifacts are not in .oracles, and CI must have them: make oracles")
	}
	t.Skip("skipped: set EXHIBIT_DEFINITIONS to a folder with artifacts, kape and uac, the definitions of these projects")
	return ""
}

func FuzzParse(f *testing.F) {
	for _, dialect := range []string{"artifacts", "kape", "uac"} {
		for _, file := range open(f, filepath.Join("testdata", dialect)).Files {
			f.Add(file.Name, file.Data)
		}
	}
	users := []User{{Name: "a", ID: "1", Home: "/home/a", Login: true}}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		s, err := Parse([]File{{name, data}})
		if err != nil {
			return
		}
		for _, i := range s.Issues {
			if strings.Contains(i.Text, "\n") {
				t.Errorf("issue of more than a line: %q", i.Text)
			}
		}
		for _, d := range s.Definitions {
			for _, src := range d.Sources {
				for _, os := range []string{"linux", "windows"} {
					src.Expand(&Knowledge{OS: os, Users: users})
				}
			}
		}
	})
}
