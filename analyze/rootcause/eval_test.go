package rootcause_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// question is an alert of the laboratory's scenario.
type question struct {
	name string
	pick func(ev *timeline.Event) bool
}

func statOf(path string) func(*timeline.Event) bool {
	return func(ev *timeline.Event) bool {
		return ev.DataType == "fs:stat" && ev.File == path && strings.Contains(ev.TSDesc, "Metadata")
	}
}

var questions = []question{
	{"implant file", statOf("/usr/local/lib/.sysupd/sysupd")},
	{"cron table", statOf("/etc/cron.d/sysupd")},
	{"key list of root", statOf("/root/.ssh/authorized_keys")},
	{"archive", statOf("/var/tmp/.d/w.tgz")},
	{"cron run", func(ev *timeline.Event) bool {
		return ev.Action == "scheduled-command-run" && strings.Contains(ev.Cmdline, "sysupd")
	}},
	{"service start", func(ev *timeline.Event) bool {
		return ev.Action == "service-started" && strings.HasPrefix(ev.Unit, "sysupd")
	}},
	{"upload by curl", func(ev *timeline.Event) bool {
		return ev.Action == "process-started" && strings.Contains(ev.Cmdline, "-T /var/tmp/.d/w.tgz")
	}},
	{"auth.log replaced", func(ev *timeline.Event) bool {
		return ev.Action == "file-renamed" && (ev.File2 == "/var/log/auth.log" || ev.File == "/var/log/auth.log")
	}},
	{"wtmp rewritten", func(ev *timeline.Event) bool {
		return ev.Action == "file-opened-for-write" && ev.File == "/var/log/wtmp" && strings.Contains(ev.Exe, "python")
	}},
	{"login of root", func(ev *timeline.Event) bool {
		return ev.Action == "user-login" && ev.User == "root" && ev.SrcIP == "198.51.100.23" && ev.Outcome != "failure"
	}},
	{"beacon", func(ev *timeline.Event) bool {
		return ev.Action == "connection" && ev.DstIP == "198.51.100.23" && ev.DstPort == 4444
	}},
	{"listener", func(ev *timeline.Event) bool {
		return ev.Action == "process-started" && strings.HasSuffix(ev.Cmdline, "sysupd listen 31337")
	}},
	{"implant in memory", func(ev *timeline.Event) bool {
		return ev.Action == "process-started" && strings.HasSuffix(ev.Exe, "/.kworkd")
	}},
}

// pick returns the first event that answers to a question.
func pick(t *testing.T, eng *memory.Engine, q question) (timeline.ID, bool) {
	t.Helper()
	for ev, err := range eng.Events(t.Context(), timeline.Query{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if q.pick(ev) {
			return ev.ID, true
		}
	}
	return timeline.ID{}, false
}

// askLab asks every question that the evidence can pose and returns how many
// named the true way in first.
func askLab(t *testing.T, l *labEvidence, content, strict bool) (asked, right int, graphs map[string]*rootcause.Graph) {
	t.Helper()
	eng := labTimeline(t, l)
	opt := rootcause.Options{}
	if content {
		opt.Evidence = []analyze.Evidence{l}
	}
	graphs = make(map[string]*rootcause.Graph)
	for _, q := range questions {
		if only := os.Getenv("EXHIBIT_WHY_ONLY"); only != "" && q.name != only {
			continue
		}
		id, ok := pick(t, eng, q)
		if !ok {
			t.Logf("%-20s not in this evidence", q.name)
			continue
		}
		asked++
		g, err := rootcause.Why(t.Context(), eng, []timeline.ID{id}, opt)
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
			continue
		}
		graphs[q.name] = g
		if dir := os.Getenv("EXHIBIT_WHY_OUT"); dir != "" {
			dump(t, filepath.Join(dir, strings.ReplaceAll(q.name, " ", "-")), g)
		}
		if err := judge(g); err != nil {
			if strict {
				t.Errorf("%s: %v", q.name, err)
			} else {
				t.Logf("%-20s %v", q.name, err)
			}
			continue
		}
		right++
		t.Logf("%-20s %.2f %s: %s", q.name, g.Entries[0].Score, g.Entries[0].Confidence, g.Entries[0].Title)
	}
	return asked, right, graphs
}

// judge compares an answer with the truth: the guessed login of deploy first,
// and no entry or shown node of those who did nothing.
func judge(g *rootcause.Graph) error {
	if len(g.Entries) == 0 {
		return fmt.Errorf("no entry: %v", g.Gaps)
	}
	e := g.Entries[0]
	if e.Kind != "password guessing" || e.Address != "203.0.113.45" || e.Account != "deploy" {
		return fmt.Errorf("first entry is %s %s (%.2f), account %q address %q: %s", e.Kind, e.Title, e.Score, e.Account, e.Address, e.Reason)
	}
	for _, e := range g.Entries {
		if e.Account == "alice" || e.Account == "bob" || e.Address == "198.51.100.99" || strings.HasPrefix(e.Address, "10.66.") {
			return fmt.Errorf("names somebody harmless as entry: %s (%.3f)", e.Title, e.Score)
		}
	}
	for _, n := range g.Nodes {
		for _, who := range []string{"of alice", "of bob", "198.51.100.99", "10.66.0.1"} {
			if strings.Contains(n.Label+" ", who+" ") {
				return fmt.Errorf("shows somebody harmless: %s", n.Label)
			}
		}
	}
	return nil
}

func dump(t *testing.T, base string, g *rootcause.Graph) {
	t.Helper()
	for ext, write := range map[string]func(*bytes.Buffer) error{
		".json": func(b *bytes.Buffer) error { return g.WriteJSON(b) },
		".dot":  func(b *bytes.Buffer) error { return g.WriteDOT(b) },
		".svg":  func(b *bytes.Buffer) error { return g.WriteSVG(b) },
		".md":   func(b *bytes.Buffer) error { return g.WriteMarkdown(b) },
		".txt":  func(b *bytes.Buffer) error { return g.WriteText(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(base+ext, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLabEntryIsNamedFirstForEveryAlert(t *testing.T) {
	asked, right, graphs := askLab(t, loadLab(t), true, true)
	t.Logf("%d of %d alerts name the true entry first", right, asked)
	if asked < 8 {
		t.Errorf("only %d alerts could be asked about", asked)
	}
	recall(t, graphs)
}

// recall prints how much of the truth each graph shows: a step counts when a
// node names one of its processes, files or addresses, an edge when both of its
// steps do and a path leads from the one to the other.
func recall(t *testing.T, graphs map[string]*rootcause.Graph) {
	t.Helper()
	var steps, edges []truth
	for _, v := range readTruth(t) {
		switch v.Type {
		case "step":
			steps = append(steps, v)
		case "edge":
			edges = append(edges, v)
		}
	}
	all := make(map[string]bool)
	for _, q := range questions {
		g := graphs[q.name]
		if g == nil {
			continue
		}
		nodes := make(map[string][]int)
		for _, st := range steps {
			if nodes[st.ID] = showing(g, st); len(nodes[st.ID]) > 0 {
				all[st.ID] = true
			}
		}
		found, linked := 0, 0
		for _, st := range steps {
			if len(nodes[st.ID]) > 0 {
				found++
			}
		}
		for _, e := range edges {
			if joined(g, nodes[e.From], nodes[e.To]) {
				linked++
			}
		}
		t.Logf("%-20s shows %2d of %d steps, %2d of %d edges of the truth, with %d nodes and %d edges", q.name, found, len(steps), linked, len(edges), len(g.Nodes), len(g.Edges))
	}
	var missed []string
	for _, st := range steps {
		if !all[st.ID] {
			missed = append(missed, st.ID+" "+st.Name)
		}
	}
	t.Logf("all graphs together: %d of %d steps; never shown: %s", len(steps)-len(missed), len(steps), strings.Join(missed, ", "))
	if len(missed) > 3 {
		t.Errorf("%d steps of the truth are in no graph", len(missed))
	}
}

func showing(g *rootcause.Graph, st truth) []int {
	var out []int
	for i, n := range g.Nodes {
		hit := st.ID == "A02" && n.Kind == rootcause.KindAttempts
		hit = hit || n.Kind == rootcause.KindSession && st.Remote != "" && strings.HasSuffix(n.Label, "from "+st.Remote) && strings.Contains(st.Name, " as ")
		hit = hit || st.Remote != "" && n.Kind == rootcause.KindFlow && strings.Contains(st.Remote, strings.ReplaceAll(n.Label, " port ", ":"))
		for _, f := range st.Files {
			hit = hit || n.Label == f || strings.Contains(n.Detail, f) && n.Kind == rootcause.KindProcess && within(n, st)
		}
		for _, p := range st.Processes {
			hit = hit || n.Kind == rootcause.KindProcess && strings.HasSuffix(n.Label, fmt.Sprintf("(pid %d)", p.PID)) && within(n, st)
		}
		if hit {
			out = append(out, i)
		}
	}
	return out
}

func within(n rootcause.Node, st truth) bool {
	t := n.Time.UnixNano()
	return t >= st.Start-2e9 && t <= st.End+2e9
}

// joined reports whether a path leads from one of some nodes to one of others.
func joined(g *rootcause.Graph, from, to []int) bool {
	seen := make(map[int]bool)
	queue := append([]int(nil), from...)
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, k := range to {
			if n == k {
				return true
			}
		}
		for _, e := range g.Edges {
			if e.From == n && !seen[e.To] {
				seen[e.To] = true
				queue = append(queue, e.To)
			}
		}
	}
	return false
}

func TestLabWithoutSomeSourcesStillNamesTheEntry(t *testing.T) {
	for name, without := range map[string][]string{
		"no audit": {"audit"}, "no capture": {"pcap"}, "no file times": {"fs"}, "no audit, no capture": {"audit", "pcap"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, right, _ := askLab(t, loadLab(t, without...), true, false)
			t.Logf("%d of %d", right, asked)
			if right*4 < asked*3 {
				t.Errorf("only %d of %d alerts name the true entry first", right, asked)
			}
		})
	}
	t.Run("content of definitions not read", func(t *testing.T) {
		askLab(t, loadLab(t), false, true)
	})
}
