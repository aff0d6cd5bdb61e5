package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
)

// killedIsSaved takes what a killed collector left through the whole chain: it
// verifies up to its last checkpoint, and what recover makes of it is a bundle
// like any other.
func killedIsSaved(t *testing.T, path string, r *ran) {
	if r.Signal != "killed" {
		t.Fatalf("the run ended with %d %q before it was killed: %s", r.Code, r.Signal, r.Stderr)
	}
	l := newLab(t)
	rep := ask[bundle.Report](l, []int{5}, "verify", path)
	want(t, "verdict of the prefix", rep.Verdict == bundle.SignerUnknown && rep.Prefix && !rep.Sealed && !rep.Complete, rep)
	// A checkpoint comes after 4096 items or, on a slow machine, after ten seconds.
	want(t, "something is proven", rep.Proven > 100 && rep.AlteredItems == 0, rep)
	want(t, "it does not say that it was sealed", !strings.Contains(strings.Join(rep.Sentences, " "), "since it was sealed"), rep.Sentences)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(l.work, "saved.exhibit.tar.zst")
	l.run(complete, "recover", path, "-o", saved)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("recover changed the original (%v)", err)
	}
	rep = ask[bundle.Report](l, []int{5}, "verify", saved)
	want(t, "verdict of what was saved", rep.Verdict == bundle.SignerUnknown && rep.Proven > 100 && rep.AlteredItems == 0 && rep.DamagedItems == 0, rep)
	// What arrived is an exhibit, and what was saved of it is another one.
	l.run([]int{3}, "custody", "receive", path)
	l.run([]int{3}, "custody", "receive", saved)
	for _, exhibit := range []string{"EX-001", "EX-002"} {
		rep = ask[bundle.Report](l, []int{3}, "verify", exhibit)
		want(t, exhibit, rep.Verdict == bundle.VerifiedPrefix, rep)
	}
	l.run([]int{1}, "timeline", "build", "EX-001")
	l.run([]int{3}, "timeline", "build")
	rows := l.query(`parser:linux_syslog AND message:"entry 7"`)
	if len(rows) != 1 {
		t.Fatalf("%d rows of a log that was collected", len(rows))
	}
	p := ask[proofOf](l, []int{0}, "prove", rows[0].ID)
	want(t, "proof", p.Holds && strings.Contains(string(p.Bytes), "app[8]: entry 7 "), p)
	l.run([]int{0}, "why", rows[0].ID)
	l.run([]int{0}, "timeline", "verify")
	l.run([]int{3}, "report", "EX-001")
	l.run([]int{3}, "report", "EX-002")
	l.run([]int{0}, "custody", "verify")
}
