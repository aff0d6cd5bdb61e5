package collectors

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	definitions "github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestLevelsAndCase(t *testing.T) {
	files := []string{"a/x", "a/b/x", "a/b/c/x", "a/b/c/d/x", "Users/Ann/NTUSER.DAT", "Users/ann2/ntuser.dat", "users/É/Ntuser.dat"}
	for _, tc := range []struct {
		patterns []string
		fold     bool
		want     string
	}{
		{[]string{"/a/**1"}, false, "/a/b /a/x"},
		{[]string{"/a/**2"}, false, "/a/b /a/b/c /a/b/x /a/x"},
		{[]string{"/a/**2/x"}, false, "/a/b/c/x /a/b/x"},
		{[]string{"/a/**1/**1/x"}, false, "/a/b/c/x"},
		{[]string{"/a/**2/x", "/a/**3/d", "/a/*"}, false, "/a/b /a/b/c/d /a/b/c/x /a/b/x /a/x"},
		{[]string{"/a/b/**9/x"}, false, "/a/b/c/d/x /a/b/c/x"},
		{[]string{"/users/*/ntuser.dat"}, true, "/Users/Ann/NTUSER.DAT /Users/ann2/ntuser.dat /users/É/Ntuser.dat"},
		{[]string{"/USERS/é/**/NTUSER*"}, true, "/users/É/Ntuser.dat"},
		{[]string{"/users/*/ntuser.dat"}, false, ""},
	} {
		out, _ := walkTable(t, plant(t, files...), []definition{{rule: "r", patterns: tc.patterns, quiet: true, foldCase: tc.fold}})
		if got := strings.Join(out.paths(), " "); got != tc.want {
			t.Errorf("%q took %q, want %q", tc.patterns, got, tc.want)
		}
	}
}

// TestLevelsEndInLoops gives `**N` links that lead upwards and to each other.
func TestLevelsEndInLoops(t *testing.T) {
	h := plant(t, "a/x", "a/up -> ..", "a/b/up -> ../..", "a/b/c/self -> .", "a/b/c/x", "a/l -> b")
	out, counted := walkTable(t, h, []definition{{rule: "r", patterns: []string{"/a/**10", "/**10/x"}, quiet: true}})
	for dir, n := range counted.reads {
		if n > 12 {
			t.Errorf("%s was read %d times", dir, n)
		}
	}
	if paths := out.paths(); !slices.Contains(paths, "/a/b/c/x") || len(paths) > 40 {
		t.Errorf("took %q", paths)
	}
}

func parseSet(t testing.TB, name, text string) *definitions.Set {
	t.Helper()
	s, err := definitions.Parse([]definitions.File{{Name: name, Data: []byte(text)}})
	check(t, err)
	for _, i := range s.Issues {
		if i.Error {
			t.Fatal(i)
		}
	}
	return s
}

func runSet(t testing.TB, h *collect.Host, s *definitions.Set) *memoryTaker {
	t.Helper()
	chosen, err := s.Select(nil)
	check(t, err)
	out := newMemoryTaker(h)
	check(t, Definitions(s, chosen, LeaveSecrets).Run(context.Background(), h, out))
	return out
}

const linuxSet = `
name: Homes
doc: d
sources:
- type: FILE
  attributes: {paths: ['%%users.homedir%%/.histfile', '/var/log/**']}
supported_os: [Linux]
---
name: Log
doc: Also takes what Homes takes.
sources:
- type: FILE
  attributes: {paths: ['/var/log/x.log', '/var/log/link']}
- type: COMMAND
  attributes: {cmd: ps, args: [-ef]}
---
name: Nothing
doc: d
sources:
- type: FILE
  attributes: {paths: ['/nowhere/*']}
---
name: Elsewhere
doc: d
sources:
- type: FILE
  attributes: {paths: ['C:\x'], separator: '\'}
supported_os: [Windows]
---
name: Unknown
doc: d
sources:
- type: FILE
  attributes: {paths: ['%%users.sid%%/x', '/bad[/x']}
---
name: Secret
doc: d
sources:
- type: FILE
  attributes: {paths: ['/etc/shadow']}
---
name: Place
doc: d
sources:
- type: PATH
  attributes: {paths: ['/var/log']}
---
name: All
doc: d
sources:
- type: ARTIFACT_GROUP
  attributes: {names: [Log, Place]}
`

func TestEachDefinitionHasAnOutcome(t *testing.T) {
	h := plant(t, "home/a/.histfile", "home/gone/.histfile", "srv/svc/.histfile", "var/log/x.log", "var/log/link -> x.log", "etc/shadow")
	check(t, os.WriteFile(filepath.Join(h.Root, "etc/passwd"), []byte("a:x:1:1::/home/a:/bin/sh\nsvc:x:2:2::/srv/svc:/usr/sbin/nologin\nbroken\n"), 0o644))
	out := runSet(t, h, parseSet(t, "a.yaml", linuxSet))
	want := []string{"/etc/passwd", "/home/a/.histfile", "/home/gone/.histfile", "/srv/svc/.histfile", "/var/log/link", "/var/log/x.log"}
	if got := slices.Compact(out.paths()); !slices.Equal(got, want[1:]) {
		t.Errorf("took %q, want %q", got, want[1:])
	}
	for id, want := range map[string]wentLine{
		"Homes": {5, "", ""}, "Log": {2, "", "command: commands are never run on a host: what they print is what an intruder lets them print"},
		"Nothing": {0, "", ""}, "Elsewhere": {0, collect.Skipped, "for windows, and this is linux"},
		"Unknown": {0, collect.Skipped, `%%users.sid%% is not known of this host; definition Unknown: bad pattern: class without end: "[/x"`},
		"Secret":  {1, "", ""}, "Place": {1, "", ""}, "All": {0, collect.Skipped, "a group: each of its members has a line of its own"},
	} {
		got := out.went[id]
		if id == "Unknown" {
			got.detail = strings.Split(got.detail, "class")[0]
			want.detail = strings.Split(want.detail, "class")[0]
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
	if it, ok := out.note("/etc/shadow"); !ok || !strings.Contains(it.Detail, "secrets") {
		t.Errorf("/etc/shadow: %+v", it)
	}
	for name, want := range map[string]string{
		record.Knowledge:     `{"name":"svc","id":"2","home":"/srv/svc","shell":"/usr/sbin/nologin"}`,
		record.Matches:       `{"definitions":["Place"],"path":"/var/log",`,
		record.DefinitionSet: "name: Homes",
	} {
		if !strings.Contains(string(out.streams[name]), want) {
			t.Errorf("%s lacks %s:\n%s", name, want, out.streams[name])
		}
	}
}

func TestWindowsImage(t *testing.T) {
	h := plant(t, "WINDOWS/system32/config/sam", "Users/Ann/AppData/Local/Foo/History.db", "Users/Bob/APPDATA/local/Foo/deep/er/HISTORY", "Users/Bob/notes.PDF", "$MFT")
	set, err := definitions.Parse([]definitions.File{
		{Name: "a.yaml", Data: []byte("name: Sam\ndoc: d\nsources:\n- type: FILE\n  attributes: {paths: ['%%environ_systemroot%%\\System32\\config\\SAM', '%%users.localappdata%%\\foo\\*'], separator: '\\'}\nsupported_os: [Windows]\n")},
		{Name: "b.tkape", Data: []byte("Description: d\nTargets:\n- Name: n\n  Category: c\n  Path: C:\\Users\\%user%\\AppData\\Local\\Foo\n  FileMask: history*\n  Recursive: true\n- Name: m\n  Category: c\n  Path: C:\\\n  FileMask: $mft\n- Name: r\n  Category: c\n  Path: C:\\Users\n  Recursive: true\n  FileMask: regex:.+\\.pdf\n")},
	})
	check(t, err)
	out := runSet(t, h, set)
	if sam := out.went["Sam"]; sam.matched != 3 {
		t.Errorf("Sam: %+v; took %q", sam, out.paths())
	}
	if b := out.went["kape:b"]; b.matched != 4 {
		t.Errorf("b: %+v; took %q", b, out.paths())
	}
	if _, ok := out.file("/Users/Bob/notes.PDF"); !ok {
		t.Errorf("took %q", out.paths())
	}
}

func TestFiltersOfUAC(t *testing.T) {
	h := plant(t, "etc/t/a.conf", "etc/t/a.bak", "etc/t/not/b.conf", "etc/t/d.conf/", "etc/t/deep/er/c.conf", "etc/t/suid", "opt/x")
	check(t, os.Chmod(filepath.Join(h.Root, "etc/t/suid"), 0o755|os.ModeSetuid))
	out := runSet(t, h, parseSet(t, "artifacts/u.yaml", `version: 1
artifacts:
  -
    supported_os: [linux]
    collector: file
    path: /etc/t
    name_pattern: ["*.conf", "a.*"]
    exclude_name_pattern: ["*.bak"]
    exclude_path_pattern: ["/etc/t/not"]
    max_depth: 2
    file_type: [f]
  -
    supported_os: [linux]
    collector: find
    path: /
    permissions: [-4000]
  -
    supported_os: [linux]
    collector: hash
    path: /opt
`))
	if got := out.paths(); !slices.Equal(got, []string{"/etc/t/a.conf"}) {
		t.Errorf("took %q", got)
	}
	lines := string(out.streams[record.Matches])
	if strings.Count(lines, "\n") != 2 || !strings.Contains(lines, `"path":"/etc/t/suid"`) || !strings.Contains(lines, evidence.Sum([]byte("content of opt/x\n")).String()) {
		t.Errorf("matches:\n%s", lines)
	}
}

// TestMetadataGoesIntoTheBundleInParts holds few lines at a time.
func TestMetadataGoesIntoTheBundleInParts(t *testing.T) {
	h := plant(t, "opt/a", "opt/b", "opt/c")
	set := parseSet(t, "a.yaml", "name: P\ndoc: d\nsources:\n- type: PATH\n  attributes: {paths: ['/opt/*']}\n")
	chosen, err := set.Select(nil)
	check(t, err)
	out := newMemoryTaker(h)
	r := &definitionRun{host: h, out: out, set: set, known: knowledgeOf(h, out), matches: &collect.Spool{}, mostHeld: 300}
	check(t, r.run(context.Background(), chosen))
	lines := 0
	for name, text := range out.streams {
		if strings.HasPrefix(name, "definitions/matches") {
			lines += strings.Count(string(text), "\n")
		}
	}
	if _, second := out.streams["definitions/matches-2.jsonl"]; lines != 3 || !second {
		t.Errorf("%d lines; streams %q", lines, slices.Sorted(maps.Keys(out.streams)))
	}
}

// TestDefinitionsInABundle runs a set through the engine.
func TestDefinitionsInABundle(t *testing.T) {
	h := plant(t, "home/a/.histfile", "var/log/x.log", "etc/shadow")
	set := parseSet(t, "a.yaml", linuxSet)
	chosen, err := set.Select([]string{"homes", "log", "nothing", "secret", "elsewhere"})
	check(t, err)
	c := collecttest.Collect(context.Background(), t, collect.Options{Root: h.Root, Collectors: []collect.Collector{Definitions(set, chosen, LeaveSecrets)}})
	if got := evidence.Sum(c.Content(t, record.DefinitionSet)); got != set.Digest {
		t.Errorf("the set in the bundle has digest %s, it was %s", got, set.Digest)
	}
	outcomes := map[string]collect.Outcome{}
	for _, line := range collecttest.Lines[collect.LedgerLine](t, c, collect.LedgerSet) {
		if line.What == "definition" {
			outcomes[line.Rule] = line.Outcome
		}
	}
	for id, want := range map[string]collect.Outcome{
		"Homes": collect.Collected, "Log": collect.Collected, "Nothing": collect.Empty, "Secret": collect.Skipped, "Elsewhere": collect.Skipped,
	} {
		if outcomes[id] != want {
			t.Errorf("%s went %q, want %q", id, outcomes[id], want)
		}
	}
	if it := c.Find("/var/log/x.log"); it.Rule != "Homes" || it.Kind != evidence.KindFile {
		t.Errorf("x.log: %+v", it)
	}
}

func TestDefinitionsAreACollector(t *testing.T) {
	set := parseSet(t, "a.yaml", linuxSet)
	chosen, err := set.Select(nil)
	check(t, err)
	collecttest.Run(t, Definitions(set, chosen, LeaveSecrets))
}

// others reads the definitions of the three projects, as far as they are here.
func others(t testing.TB) []*definitions.Set {
	t.Helper()
	dir := os.Getenv("EXHIBIT_DEFINITIONS")
	var sets []*definitions.Set
	for _, pattern := range []string{
		filepath.Join(dir, "artifacts"), filepath.Join(dir, "kape"), filepath.Join(dir, "uac"),
		filepath.Join(testenv.Root(t), ".oracles/lib/python3*/site-packages/artifacts/data"),
	} {
		found, err := filepath.Glob(pattern)
		if dir == "" && !strings.Contains(pattern, ".oracles") || len(sets) == 3 || err != nil || len(found) == 0 {
			continue
		}
		s, err := definitions.Open(found[0])
		check(t, err)
		sets = append(sets, s)
	}
	if len(sets) == 0 {
		t.Skip("skipped: set EXHIBIT_DEFINITIONS to a folder with artifacts, kape and uac, the definitions of these projects, or make oracles")
	}
	return sets
}

// TestEveryDefinitionOfOthersRunsOrSaysWhyNot runs them all on a small tree.
func TestEveryDefinitionOfOthersRunsOrSaysWhyNot(t *testing.T) {
	h := plant(t, "home/a/.bash_history", "var/log/syslog", "etc/hosts")
	check(t, os.WriteFile(filepath.Join(h.Root, "etc/passwd"), []byte("a:x:1:1::/home/a:/bin/sh\n"), 0o644))
	for _, set := range others(t) {
		out := runSet(t, h, set)
		run, skipped := 0, 0
		for _, d := range set.Definitions {
			line, ok := out.went[d.ID]
			if !ok || line.outcome == collect.Skipped && line.detail == "" {
				t.Errorf("%s: no outcome or no reason: %+v", d.ID, line)
			}
			if strings.Contains(line.detail, "bad pattern") {
				t.Errorf("%s: %s", d.ID, line.detail)
			}
			wanted := d.For("linux") && slices.ContainsFunc(d.Sources, func(s definitions.Source) bool {
				return s.For("linux") && len(s.Patterns) > 0 && s.Why == "" && !strings.HasPrefix(s.Patterns[0], "%%")
			})
			if wanted && line.outcome == collect.Skipped && !strings.Contains(line.detail, WalkName) {
				t.Errorf("%s is for Linux and was not run: %s", d.ID, line.detail)
			}
			if line.outcome == collect.Skipped {
				skipped++
			} else {
				run++
			}
		}
		t.Logf("%d definitions: %d run, %d say why not", len(set.Definitions), run, skipped)
	}
}

// BenchmarkDefinitions walks 95,000 names for every definition at hand.
func BenchmarkDefinitions(b *testing.B) {
	root := b.TempDir()
	for dir := range 950 {
		d := filepath.Join(root, fmt.Sprintf("usr/share/%02d/%02d/%02d", dir%10, dir/10%10, dir/100))
		check(b, os.MkdirAll(d, 0o755))
		for file := range 100 {
			check(b, os.WriteFile(filepath.Join(d, fmt.Sprintf("file-%d.txt", file)), nil, 0o644))
		}
	}
	check(b, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	check(b, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("a:x:1:1::/usr/share:/bin/sh\n"), 0o644))
	h := openHost(b, root)
	b.Run("plain", func(b *testing.B) {
		meter := testenv.StartCPU()
		for b.Loop() {
			check(b, h.Walk(context.Background(), "/", func(string, *evidence.Stat) error { return nil }))
		}
		meter.Report(b, 95000*float64(b.N), "names")
	})
	for _, set := range others(b) {
		b.Run(fmt.Sprint(len(set.Definitions)), func(b *testing.B) {
			meter := testenv.StartCPU()
			for b.Loop() {
				out := runSet(b, h, set)
				b.ReportMetric(float64(len(out.files)), "files")
			}
			meter.Report(b, 95000*float64(b.N), "names")
		})
	}
}
