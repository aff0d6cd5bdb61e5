// Package e2e runs the programs as a user would, on the data of a host that
// was really broken into.
package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
)

// lab is a case with the laboratory's host collected into EX-001.
type lab struct {
	t       *testing.T
	program string
	dir     string
	env     []string
}

// run runs the program inside the case; any of the codes is right.
func (l *lab) run(codes []int, args ...string) []byte {
	l.t.Helper()
	cmd := exec.Command(l.program, args...)
	cmd.Dir, cmd.Env = l.dir, l.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		l.t.Fatalf("%v: %v", args, err)
	}
	if code := cmd.ProcessState.ExitCode(); !slices.Contains(codes, code) {
		l.t.Fatalf("%v: exit code %d, want one of %v: %s", args, code, codes, stderr.Bytes())
	}
	return out
}

var complete = []int{0, 3} // all of it, or all but what is listed

func newLab(t *testing.T) *lab {
	t.Helper()
	data := testenv.Lab(t)
	zstd, tar, golang := testenv.Tool(t, "zstd"), testenv.Tool(t, "tar"), testenv.Tool(t, "go")
	work := t.TempDir()
	l := &lab{t: t, program: filepath.Join(work, "exhibit"), dir: work, env: append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(work, "config"))}
	build := exec.Command(golang, "build", "-o", l.program, "./cmd/exhibit")
	build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	root := filepath.Join(work, "root")
	if err := os.MkdirAll(filepath.Join(root, "var/log"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := `"$1" -dqc "$3/trees.tar.zst" | "$2" x -C "$4" --no-same-owner; "$1" -dqc "$3/veth.pcap.zst" > "$4/var/log/veth.pcap"`
	if out, err := exec.Command("sh", "-c", script, "sh", zstd, tar, data, root).CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	l.run([]int{0}, "key", "new", "examiner", "--id", "examiner@lab")
	l.run([]int{0}, "case", "init", "case")
	l.dir = filepath.Join(work, "case")
	l.run(complete, "collect", "--root", root)
	return l
}

// TestChainOnACompromisedHost collects once and asks everything of it.
func TestChainOnACompromisedHost(t *testing.T) {
	l := newLab(t)
	l.run([]int{0}, "verify", "EX-001")
	one := filepath.Join(l.dir, "one-worker")
	l.run(complete, "timeline", "build", "--workers", "1")
	if err := os.Rename(filepath.Join(l.dir, "timeline"), one); err != nil {
		t.Fatal(err)
	}
	l.run(complete, "timeline", "build", "--workers", "8")
	t.Run("the timeline is the same for any number of workers", func(t *testing.T) { sameFolders(t, one, filepath.Join(l.dir, "timeline")) })
	t.Run("every row resolves to sealed bytes", func(t *testing.T) { everyRowResolves(t, l) })
	t.Run("why names the initial access", func(t *testing.T) { whyNamesTheWayIn(t, l) })
	t.Run("papers", func(t *testing.T) {
		l.run([]int{0}, "timeline", "verify")
		l.run([]int{0}, "report", "EX-001")
		l.run([]int{0}, "custody", "verify")
	})
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		m[rel] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sameFolders(t *testing.T, a, b string) {
	x, y := files(t, a), files(t, b)
	if names, others := slices.Sorted(maps.Keys(x)), slices.Sorted(maps.Keys(y)); !slices.Equal(names, others) || len(names) < 5 {
		t.Fatalf("files %v and %v", names, others)
	}
	for name := range x {
		if !bytes.Equal(x[name], y[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// perParser is how many events of each parser are resolved, spread evenly.
const perParser = 1000

func everyRowResolves(t *testing.T, l *lab) {
	names, err := filepath.Glob(filepath.Join(l.dir, "exhibits/EX-001/*.exhibit.tar.zst"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	eng, err := local.Open(filepath.Join(l.dir, "timeline"), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	totals, err := eng.Top(t.Context(), timeline.Query{}, "parser", 1000)
	if err != nil {
		t.Fatal(err)
	}
	step := map[string]int64{}
	for _, v := range totals {
		step[v.Value] = max(v.Count/perParser, 1)
	}
	seen, checked := map[string]int64{}, map[string]int{}
	items, proven := map[string][]byte{}, map[int64]bool{}
	for ev, err := range eng.Events(t.Context(), timeline.Query{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		seen[ev.Parser]++
		if seen[ev.Parser]%step[ev.Parser] != 0 || checked[ev.Parser] >= perParser {
			continue
		}
		checked[ev.Parser]++
		resolve(t, r, ev, items, proven)
	}
	for _, v := range totals {
		t.Logf("%-18s %6d events, %4d resolved", v.Value, v.Count, checked[v.Value])
		if checked[v.Value] == 0 {
			t.Errorf("no event of %s was checked", v.Value)
		}
	}
	if len(totals) < 9 {
		t.Errorf("only %d parsers gave events", len(totals))
	}
}

// resolve reads an event's bytes out of the bundle and proves their item.
func resolve(t *testing.T, r *bundle.Reader, ev *timeline.Event, items map[string][]byte, proven map[int64]bool) {
	t.Helper()
	ref := ev.Ref()
	data, ok := items[ref.Member]
	if !ok {
		data = decoded(t, r, ref)
		items[ref.Member] = data
	}
	if ref.Offset < 0 || ref.Length <= 0 || ref.Offset+ref.Length > int64(len(data)) {
		t.Errorf("%s: %s points at %d+%d of %d bytes", ev.Parser, ev.ID, ref.Offset, ref.Length, len(data))
		return
	}
	record := data[ref.Offset : ref.Offset+ref.Length]
	if ev.Parser == "linux_syslog" || ev.Parser == "bash_history" || ev.Parser == "dpkg_log" {
		if word := longestWord(ev.Message); !bytes.Contains(record, []byte(word)) {
			t.Errorf("%s: the bytes of %s do not hold %q of its message", ev.Parser, ev.ID, word)
		}
	}
	leaf, err := r.LeafAt(ref.Member, ref.Offset)
	if err != nil {
		t.Errorf("%s: %v", ev.Parser, err)
		return
	}
	if proven[leaf] {
		return
	}
	proven[leaf] = true
	proof, err := r.Prove(leaf)
	if err == nil {
		err = proof.Verify(r.Seal())
	}
	if err != nil {
		t.Errorf("%s: leaf %d: %v", ev.Parser, leaf, err)
	}
}

func decoded(t *testing.T, r *bundle.Reader, ref evidence.Ref) []byte {
	t.Helper()
	c, err := r.Open(ref.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var in io.Reader = c
	if ref.Chain != "" {
		var chain string
		if in, chain, err = analyze.Decode(c, c.Size()); err != nil || chain != ref.Chain {
			t.Fatalf("%s: %q, %v", ref.Member, chain, err)
		}
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// longestWord is a part of a message that its record must hold as it is.
func longestWord(s string) string {
	best := ""
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r > 0x7e || r <= ' ' || r == '\\' }) {
		if len(w) > len(best) {
			best = w
		}
	}
	return best
}

func whyNamesTheWayIn(t *testing.T, l *lab) {
	for _, question := range []string{
		`file:"/etc/cron.d/sysupd"`, `listen 31337`, `cmdline:*w.tgz* AND cmdline:*curl*`, `cmdline:*wt.py*`,
		`user:root AND src_ip:198.51.100.23 AND action:user-login`, `file:"/root/.ssh/authorized_keys" AND has:action`,
	} {
		var g struct {
			Entries []struct{ Address, Account string } `json:"entries"`
		}
		if err := json.Unmarshal(l.run([]int{0}, "why", "--json", question), &g); err != nil {
			t.Fatal(err)
		}
		if len(g.Entries) == 0 || g.Entries[0].Address != "203.0.113.45" || g.Entries[0].Account != "deploy" {
			t.Errorf("why %s: entries %+v", question, g.Entries)
		}
		for _, e := range g.Entries {
			if e.Address == "198.51.100.99" || e.Account == "alice" || e.Account == "bob" {
				t.Errorf("why %s: names the harmless %+v", question, e)
			}
		}
	}
}
