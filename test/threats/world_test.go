// Package threats plays the adversaries of docs/threat-model.md against the
// real packages and, where a command is what an examiner has, the program.
package threats

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

var started = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// person is an examiner whose key is the same in every run.
func person(t testing.TB, id string) *chainofcustody.Identity {
	t.Helper()
	return &chainofcustody.Identity{ID: id, Name: id, Key: runKey(t, id).Signer}
}

// runKey is a key made of a name.
func runKey(t testing.TB, name string) *chainofcustody.RunKey {
	t.Helper()
	sum := evidence.Sum([]byte(name))
	key, err := chainofcustody.RunKeyOf(ed25519.NewKeyFromSeed(sum[:]))
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// host is what a run finds.
type host map[string]string

var truth = host{"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/etc/cron.d/sysupd": "* * * * * root /tmp/.x\n", "/var/log/auth.log": "Accepted password for root\n"}

// run writes a bundle as a collector does, with a checkpoint after each file.
type run struct {
	key     *chainofcustody.RunKey
	mandate bundle.Mandate
	exhibit string
	started time.Time
	// stop ends the run after so many files, unsealed.
	stop int
}

// bundleID is the same for all runs: an adversary copies it.
const bundleID = "0195a1c4-1f70-7abc-8def-0123456789ab"

func (r run) collect(t testing.TB, h host, out io.Writer) bundle.Seal {
	t.Helper()
	at := r.started
	if at.IsZero() {
		at = started
	}
	head := bundle.Header{
		Bundle: bundleID, Case: "CASE-7", Exhibit: r.exhibit, Started: at,
		Host: bundle.Host{Hostname: "web01", OS: "linux"}, Tool: bundle.Tool{Name: "exhibit-collector", Version: "1"},
	}
	w, err := bundle.NewWriter(out, head, r.key, bundle.WriterOptions{
		CheckpointInterval: -1, Mandate: r.mandate, Now: func() time.Time { return at },
	})
	must(t, err)
	defer w.Close()
	for i, path := range sortedPaths(h) {
		it := evidence.Item{Kind: evidence.KindFile, Path: path, Size: int64(len(h[path]))}
		_, err := w.Add(context.Background(), it, bundle.Input{R: strings.NewReader(h[path])})
		must(t, err)
		must(t, w.Checkpoint())
		if i+1 == r.stop {
			return bundle.Seal{}
		}
	}
	seal, err := w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: at})
	must(t, err)
	return seal
}

func sortedPaths(h host) []string {
	var list []string
	for p := range h {
		list = append(list, p)
	}
	for i := range list {
		for j := i; j > 0 && list[j] < list[j-1]; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

// trusting knows one person.
func trusting(id *chainofcustody.Identity) func(ssh.PublicKey, time.Time) (string, bool) {
	return func(key ssh.PublicKey, _ time.Time) (string, bool) {
		return id.ID, chainofcustody.Fingerprint(key) == id.Fingerprint()
	}
}

func verify(t testing.TB, file []byte, opt bundle.VerifyOptions) *bundle.Report {
	t.Helper()
	rep, err := bundle.Verify(t.Context(), bytes.NewReader(file), int64(len(file)), opt)
	must(t, err)
	return rep
}

// attended is a run whose key the examiner signed for.
func attended(t testing.TB, id *chainofcustody.Identity, key *chainofcustody.RunKey) bundle.Mandate {
	t.Helper()
	sig, err := id.Key.Sign(chainofcustody.NamespaceCustody, bundle.CollectorPub(key.PublicKey()))
	must(t, err)
	return bundle.Mandate{Statement: sig}
}

// want checks a verdict.
func want(t testing.TB, what string, got, wanted bundle.Verdict) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: %s, want %s", what, got, wanted)
	}
}

// folder is a case with one exhibit and some people who may sign.
func folder(t testing.TB, people ...*chainofcustody.Identity) (*chainofcustody.Case, string) {
	t.Helper()
	c, err := chainofcustody.InitCase(filepath.Join(t.TempDir(), "case"), chainofcustody.CaseInfo{ID: "CASE-7"})
	must(t, err)
	for _, p := range people {
		must(t, c.Enroll(p, time.Time{}, time.Time{}))
	}
	ex, err := c.NextExhibit()
	must(t, err)
	return c, ex
}

func add(t testing.TB, c *chainofcustody.Case, ex string, ev chainofcustody.Event, id *chainofcustody.Identity) chainofcustody.Event {
	t.Helper()
	ev, err := c.Append(ex, ev, id)
	must(t, err)
	return ev
}

func custody(t testing.TB, c *chainofcustody.Case, ex string, opt chainofcustody.VerifyOptions) chainofcustody.Report {
	t.Helper()
	rep, err := c.VerifyCustody(ex, opt)
	must(t, err)
	return rep
}

// said is everything that a report says of one layer.
func said(rep chainofcustody.Report, layer string) string {
	for _, l := range rep.Layers {
		if l.Name == layer {
			return l.Sentence + " " + strings.Join(l.Details, " ")
		}
	}
	return ""
}

var program struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.dir != "" {
		os.RemoveAll(program.dir)
	}
	os.Exit(code)
}

// exhibit runs the program as an examiner would and returns what it said.
func exhibit(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	return runProgram(t, "exhibit", args...)
}

// runProgram runs one of the programs, built once for all tests.
func runProgram(t *testing.T, name string, args ...string) (code int, output string) {
	t.Helper()
	golang := testenv.Tool(t, "go")
	program.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "exhibit-threats-"); program.err != nil {
			return
		}
		build := exec.Command(golang, "build", "-o", program.dir, "./cmd/exhibit", "./cmd/exhibit-verify")
		build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("build: %w: %s", err, out)
		}
	})
	must(t, program.err)
	cmd := exec.Command(filepath.Join(program.dir, name), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "XDG_CONFIG_HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// put writes a file for the program to read.
func put(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, b, 0o600))
	return path
}
