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

func recall(t *testing.T, graphs map[string]*rootcause.Graph) {}
