package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestGlobMatchesOneComponentByteForByte(t *testing.T) {
	for _, tc := range []struct {
		glob, name string
		want       bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "", false},
		{"*", "", true},
		{"*", ".hidden", true},
		{"*.log", "a.log", true},
		{"*.log", "a.log.1", false},
		{"auth.log*", "auth.log.2.gz", true},
		{"?", "\xff", true},
		{"?", "é", false}, // two bytes
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{"[!a-c]x", "dx", true},
		{"[]]", "]", true},
		{"[a-]", "-", true},
		{"*a*b*c*", "xxaxxbxxcxx", true},
		{"*a*b*c*", "xxaxxcxxbxx", false},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{"a\nb", "a\nb", true},
		{"*", "line\nline", true},
		{"**", "a", true}, // inside one component runs collapse
	} {
		g, _, _, err := parseGlob(tc.glob)
		if err != nil {
			t.Fatalf("%q: %v", tc.glob, err)
		}
		if got := g.match(tc.name); got != tc.want {
			t.Errorf("%q on %q: %v, want %v", tc.glob, tc.name, got, tc.want)
		}
	}
}

func TestBadPatternsAreRefused(t *testing.T) {
	for _, pattern := range []string{"", "/", "relative", "/a/[", "/a/[b", `/a\`, "/{a,b", "/a//b", "/a/../b", "/a/./b", "/[z-a]"} {
		if _, err := compile([]definition{{rule: "r", patterns: []string{pattern}}}); err == nil {
			t.Errorf("%q was accepted", pattern)
		}
	}
}

func TestQuotedNameMatchesOnlyItself(t *testing.T) {
	for _, name := range []string{"*", "a{b,c}", "[x]", `back\slash`, "new\nline", "\xff\xfe", "?"} {
		table, err := compile([]definition{{rule: "r", patterns: []string{"/home/" + quoteGlob(name) + "/x"}}})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if !table.wants("/home/" + name + "/x") {
			t.Errorf("%q does not match itself", name)
		}
		if table.wants("/home/other/x") {
			t.Errorf("%q matches something else", name)
		}
	}
}

func FuzzGlobNeverMatchesBeyondItsDefinition(f *testing.F) {
	f.Add("auth.log*", "auth.log.1.gz")
	f.Add("[!a-c]*?", "zzz")
	f.Add("*a*a*a*b", strings.Repeat("a", 200))
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, literal, plain, err := parseGlob(pattern)
		if err != nil {
			return
		}
		if plain && g.match(name) != (literal == name) {
			t.Fatalf("%q on %q: literal and glob disagree", pattern, name)
		}
		if got, want := g.match(name), slowMatch(g, name); len(pattern) < 12 && len(name) < 12 && got != want {
			t.Fatalf("%q on %q: %v, by definition %v", pattern, name, got, want)
		}
		quoted, _, _, err := parseGlob(quoteGlob(name))
		if err != nil || !quoted.match(name) {
			t.Fatalf("quoted %q does not match itself: %v", name, err)
		}
	})
}

// slowMatch is the definition of match, exponential and plain.
func slowMatch(g glob, name string) bool {
	if len(g) == 0 {
		return name == ""
	}
	if g[0].kind == globRun {
		for i := range len(name) + 1 {
			if slowMatch(g[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	return name != "" && g[0].one(name[0]) && slowMatch(g[1:], name[1:])
}

// plant makes files below a new folder: "path" is a file, "path/" a
// directory, "path -> target" a link.
func plant(t testing.TB, specs ...string) *collect.Host {
	t.Helper()
	root := t.TempDir()
	for _, spec := range specs {
		path, target, link := strings.Cut(spec, " -> ")
		full := filepath.Join(root, path)
		if strings.HasSuffix(path, "/") {
			check(t, os.MkdirAll(full, 0o755))
			continue
		}
		check(t, os.MkdirAll(filepath.Dir(full), 0o755))
		if link {
			check(t, os.Symlink(target, full))
			continue
		}
		check(t, os.WriteFile(full, []byte("content of "+path+"\n"), 0o644))
	}
	return openHost(t, root)
}

func openHost(t testing.TB, root string) *collect.Host {
	t.Helper()
	h, err := collect.OpenHost(root, false)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// countingTree counts how often each directory is read.
type countingTree struct {
	tree
	reads map[string]int
}

func (c *countingTree) ListDir(path string, fn func([]collect.DirEntry) error) error {
	c.reads[path]++
	return c.tree.ListDir(path, fn)
}

// walkTable runs a table over a host and returns what was taken.
func walkTable(t testing.TB, h *collect.Host, defs []definition) (*memoryTaker, *countingTree) {
	t.Helper()
	table, err := compile(defs)
	check(t, err)
	out := newMemoryTaker(h)
	counted := &countingTree{h, map[string]int{}}
	w := &pathWalk{pathRun: pathRun{collector: "test", host: h, out: out}, tree: counted, table: table, fences: readFences(h)}
	check(t, w.run(context.Background()))
	return out, counted
}

func TestPatternsTakeWhatTheyName(t *testing.T) {
	files := []string{
		"var/log/auth.log", "var/log/auth.log.1.gz", "var/log/deep/er/x.log", "var/log/deep/x.txt",
		"etc/cron.d/job", "etc/passwd", "home/a/.bash_history", "home/b/.bash_history", "home/b/other",
	}
	for _, tc := range []struct {
		pattern string
		want    []string
	}{
		{"/etc/passwd", []string{"/etc/passwd"}},
		{"/var/log/auth.log*", []string{"/var/log/auth.log", "/var/log/auth.log.1.gz"}},
		{"/home/*/.bash_history", []string{"/home/a/.bash_history", "/home/b/.bash_history"}},
		{"/var/log/**/*.log", []string{"/var/log/auth.log", "/var/log/deep/er/x.log"}},
		{"/var/log/deep/**", []string{"/var/log/deep/er", "/var/log/deep/er/x.log", "/var/log/deep/x.txt"}},
		{"/**/x.*", []string{"/var/log/deep/er/x.log", "/var/log/deep/x.txt"}},
		{"/{etc,home/b}/{passwd,other}", []string{"/etc/passwd", "/home/b/other"}},
		{"/etc/*/**", []string{"/etc/cron.d/job"}},
	} {
		t.Run(tc.pattern, func(t *testing.T) {
			out, _ := walkTable(t, plant(t, files...), []definition{{rule: "r", patterns: []string{tc.pattern}, quiet: true}})
			if got := out.paths(); !slices.Equal(got, tc.want) {
				t.Errorf("took %q, want %q", got, tc.want)
			}
			if out.seen["r"] != len(tc.want) {
				t.Errorf("ledger says %d, want %d", out.seen["r"], len(tc.want))
			}
		})
	}
}

func TestEachDirectoryIsReadOnceWhateverTheNumberOfDefinitions(t *testing.T) {
	h := plant(t, "var/log/a/x", "var/log/b/y", "var/log/c", "etc/d", "etc/e/f")
	var defs []definition
	for i, p := range []string{"/var/log/**", "/var/log/*/x", "/var/*/b/*", "/**/f", "/etc/*", "/var/log/a/*"} {
		defs = append(defs, definition{rule: fmt.Sprint("r", i), patterns: []string{p}})
	}
	out, counted := walkTable(t, h, defs)
	for dir, n := range counted.reads {
		if n != 1 {
			t.Errorf("%s was read %d times", dir, n)
		}
	}
	paths := out.paths()
	if n := len(paths); n != len(slices.Compact(paths)) {
		t.Errorf("something was taken twice: %q", out.paths())
	}
}

func TestRestTakesOnlyWhatNoOtherDefinitionTook(t *testing.T) {
	h := plant(t, "var/log/auth.log", "var/log/odd")
	out, _ := walkTable(t, h, []definition{
		{rule: "rest", patterns: []string{"/var/log/**"}, rest: true},
		{rule: "auth", patterns: []string{"/var/log/auth*"}},
	})
	if out.rules["/var/log/auth.log"] != "auth" || out.rules["/var/log/odd"] != "rest" {
		t.Errorf("rules %v", out.rules)
	}
	if out.seen["auth"] != 1 || out.seen["rest"] != 1 {
		t.Errorf("ledger %v", out.seen)
	}
}

func TestExactNamesThatAreNotThereAreRecordedAsAbsent(t *testing.T) {
	h := plant(t, "etc/passwd")
	out, _ := walkTable(t, h, []definition{
		{rule: "loader", patterns: []string{"/etc/ld.so.preload", "/etc/passwd", "/etc/x/*"}},
		{rule: "quiet", patterns: []string{"/etc/nothing"}, quiet: true},
	})
	if got := out.absent(); !slices.Equal(got, []string{"/etc/ld.so.preload"}) {
		t.Errorf("absent %q", got)
	}
}

func TestLinksAreTakenAndFollowedOnceWithinTheHost(t *testing.T) {
	h := plant(t,
		"usr/lib/systemd/system/a.service", "lib -> usr/lib",
		"etc/systemd/system/evil.service -> /opt/.x/evil.service", "opt/.x/evil.service",
		"etc/systemd/system/gone.service -> /nowhere", "etc/systemd/system/loop.service -> loop.service",
		"etc/systemd/system/all -> /", "etc/secret", "outside -> ../../../../../../etc/hostname",
		"data/bob/.bashrc", "home/bob -> /data/bob",
	)
	out, counted := walkTable(t, h, []definition{
		{rule: "units", patterns: []string{"/{etc,lib,usr/lib}/systemd/system/**", "/outside"}},
		{rule: "rc", patterns: []string{"/home/*/.bashrc"}},
	})
	want := []string{
		"/data/bob/.bashrc", "/etc/systemd/system/all", "/etc/systemd/system/evil.service",
		"/etc/systemd/system/gone.service", "/etc/systemd/system/loop.service",
		"/opt/.x/evil.service", "/outside", "/usr/lib/systemd/system/a.service",
	}
	got := slices.DeleteFunc(out.paths(), func(p string) bool { return p == "/" })
	if !slices.Equal(got, want) {
		t.Errorf("took\n%q, want\n%q", got, want)
	}
	if counted.reads["/"] != 0 {
		t.Error("a link to / was walked")
	}
	if len(out.problems) != 0 {
		t.Errorf("problems %+v", out.problems)
	}
}

func TestLinksAreNotFollowedWhereTheDefinitionSaysSo(t *testing.T) {
	h := plant(t, "tmp/link -> /etc/hosts", "etc/hosts")
	out, _ := walkTable(t, h, []definition{{rule: "tmp", patterns: []string{"/tmp/**"}, asLinks: true}})
	if got := out.paths(); !slices.Equal(got, []string{"/tmp/link"}) {
		t.Errorf("took %q", got)
	}
}

func TestFilesOverALimitAreListedWithTheReason(t *testing.T) {
	h := plant(t, "tmp/a", "tmp/b", "tmp/c", "tmp/sparse")
	check(t, os.WriteFile(filepath.Join(h.Root, "tmp/big"), make([]byte, 100_000), 0o644))
	for _, name := range []string{"a", "b", "c"} {
		check(t, os.WriteFile(filepath.Join(h.Root, "tmp", name), make([]byte, 8192), 0o644))
	}
	check(t, os.Truncate(filepath.Join(h.Root, "tmp/sparse"), 1<<30))
	out, _ := walkTable(t, h, []definition{{rule: "tmp", patterns: []string{"/tmp/**"}, max: 50_000, total: 22_000}})
	if got, want := out.paths(), []string{"/tmp/a", "/tmp/b", "/tmp/sparse"}; !slices.Equal(got, want) {
		t.Errorf("took %q, want %q", got, want)
	}
	for _, path := range []string{"/tmp/big", "/tmp/c"} {
		it, ok := out.note(path)
		if !ok || it.Kind != evidence.KindSkipped || it.Detail == "" || it.Stat == nil {
			t.Errorf("%s: no record of why it was left out: %+v", path, it)
		}
	}
	if out.seen["tmp"] != 5 {
		t.Errorf("ledger says %d, want 5", out.seen["tmp"])
	}
}

func TestLargeFilesDoNotUseUpTheRoomOfSmallOnes(t *testing.T) {
	h := plant(t, "tmp/z-script")
	for _, name := range []string{"a", "b"} {
		check(t, os.WriteFile(filepath.Join(h.Root, "tmp", name), make([]byte, 100_000), 0o644))
	}
	out, _ := walkTable(t, h, []definition{{rule: "tmp", patterns: []string{"/tmp/**"}, total: 110_000}})
	if got, want := out.paths(), []string{"/tmp/a", "/tmp/z-script"}; !slices.Equal(got, want) {
		t.Errorf("took %q, want %q", got, want)
	}
}

// hidingTree leaves a name out of listings, as a rootkit does.
type hidingTree struct {
	tree
	name string
}

func (h hidingTree) ListDir(path string, fn func([]collect.DirEntry) error) error {
	return h.tree.ListDir(path, func(entries []collect.DirEntry) error {
		return fn(slices.DeleteFunc(entries, func(e collect.DirEntry) bool { return e.Name == h.name }))
	})
}

// brokenTree loses the rest of a listing behind some names.
type brokenTree struct {
	tree
	after int
}

func (b brokenTree) ListDir(path string, fn func([]collect.DirEntry) error) error {
	left := b.after
	err := b.tree.ListDir(path, func(entries []collect.DirEntry) error {
		some := entries[:min(left, len(entries))]
		left -= len(some)
		return fn(some)
	})
	return errors.Join(err, fs.ErrPermission)
}

// A folder with more names than are held at once is taken like any other: every
// name once, and those that a table asks for by name count as listed wherever
// they stand. Where the listing fails on the way, what came before is taken, and
// what is asked for by name is looked up.
func TestAFolderOfManyNamesIsTakenByTheChunk(t *testing.T) {
	const names = 20_000
	files := []string{"big/zz-last", "big/a-first", "big/other"}
	for i := range names {
		files = append(files, fmt.Sprintf("big/n%06d", i))
	}
	h := plant(t, files...)
	defs := []definition{{rule: "all", patterns: []string{"/big/n*"}}, {rule: "named", patterns: []string{"/big/zz-last", "/big/a-first"}}}
	table, err := compile(defs)
	check(t, err)
	out := newMemoryTaker(h)
	w := &pathWalk{pathRun: pathRun{collector: "test", host: h, out: out}, tree: h, table: table}
	check(t, w.run(context.Background()))
	got := out.paths()
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != len(got) || len(got) != names+2 || w.matched[0] != names || w.matched[1] != 2 {
		t.Errorf("%d taken of %d, matched %v", len(got), names+2, w.matched)
	}
	if len(out.problems) != 0 {
		t.Errorf("problems: %+v", out.problems)
	}

	table, err = compile(defs)
	check(t, err)
	out = newMemoryTaker(h)
	w = &pathWalk{pathRun: pathRun{collector: "test", host: h, out: out}, tree: brokenTree{h, 9000}, table: table}
	check(t, w.run(context.Background()))
	got = out.paths()
	if w.matched[0] < 8900 || w.matched[0] >= names || !slices.Contains(got, "/big/zz-last") || !slices.Contains(got, "/big/a-first") {
		t.Errorf("of a folder whose listing broke off %v matched", w.matched)
	}
	if !slices.ContainsFunc(out.problems, func(p evidence.Problem) bool { return p.Path == "/big" && p.Code == evidence.Denied }) {
		t.Errorf("problems: %+v", out.problems)
	}
}

func TestNameThatIsHiddenFromListingsIsTakenAndReported(t *testing.T) {
	h := plant(t, "etc/ld.so.preload", "etc/other")
	table, err := compile([]definition{{rule: "loader", patterns: []string{"/etc/ld.so.preload", "/etc/*"}}})
	check(t, err)
	out := newMemoryTaker(h)
	w := &pathWalk{pathRun: pathRun{collector: "test", host: h, out: out}, tree: hidingTree{h, "ld.so.preload"}, table: table}
	check(t, w.run(context.Background()))
	if !slices.Contains(out.paths(), "/etc/ld.so.preload") {
		t.Error("the hidden file was not taken")
	}
	if len(out.problems) != 1 || out.problems[0].Code != evidence.Inconsistent {
		t.Errorf("problems %+v", out.problems)
	}
}

func TestFileSystemsThatMayHangAreNotTouched(t *testing.T) {
	h := plant(t, "var/log/net/x", "var/log/a", "srv/link -> /var/log/net")
	table, err := compile([]definition{{rule: "logs", patterns: []string{"/var/log/**", "/var/log/net/x", "/srv/link/*"}}})
	check(t, err)
	out := newMemoryTaker(h)
	counted := &countingTree{h, map[string]int{}}
	w := &pathWalk{pathRun: pathRun{collector: "test", host: h, out: out}, tree: counted, table: table, fences: fencesOf([]collect.MountPoint{
		{Point: "/", FSType: "nfs4"},
		{Point: "/var/log/net", FSType: "nfs4", Source: "server:/x"},
		{Point: "/var/log/a", FSType: "proc"},
		{Point: "/var/log/a", FSType: "ext4", Source: "/dev/sda"},
	})}
	check(t, w.run(context.Background()))
	if got, want := out.paths(), []string{"/var/log/a"}; !slices.Equal(got, want) {
		t.Errorf("took %q, want %q", got, want)
	}
	it, ok := out.note("/var/log/net")
	if !ok || it.Kind != evidence.KindSkipped || !strings.Contains(it.Detail, "nfs4") || it.Rule != "logs" {
		t.Errorf("record %+v", it)
	}
	if counted.reads["/var/log/net"] != 0 {
		t.Error("the network file system was read")
	}
}

func TestCancelledWalkEnds(t *testing.T) {
	h := plant(t, "var/log/a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := takePaths(ctx, pathRun{collector: "test", host: h, out: newMemoryTaker(h)}, []definition{{rule: "r", patterns: []string{"/var/log/**"}}}); err == nil {
		t.Error("no error after cancellation")
	}
}
