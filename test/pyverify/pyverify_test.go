// Package pyverify holds a second verifier of our evidence, in Python, written
// from the specifications alone. Its tests hold the two against each other, and
// both against what the vectors state.
package pyverify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// now is the moment of every verification here.
const now = "2026-06-01T00:00:00Z"

func moment(t testing.TB) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// theirs runs the Python verifier. It returns the verdict, the exit code and
// all that was printed.
func theirs(t *testing.T, args ...string) (verdict string, code int, out string) {
	t.Helper()
	args = append([]string{filepath.Join(testenv.Root(t), "test/pyverify/exhibit_verify.py")}, args...)
	cmd := exec.Command(testenv.Tool(t, "python3"), append(args, "--now", now)...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "TZ=UTC")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1], cmd.ProcessState.ExitCode(), string(b) + stderr.String()
}

func vectors(t testing.TB, name ...string) string {
	return filepath.Join(append([]string{testenv.Root(t), "testdata/vectors"}, name...)...)
}

func tools(t *testing.T) {
	for _, name := range []string{"python3", "zstd", "ssh-keygen", "openssl"} {
		testenv.Tool(t, name)
	}
}

// ours is the verdict of this program about a bundle.
func ours(t *testing.T, b []byte, signers chainofcustody.AllowedSigners) *bundle.Report {
	t.Helper()
	r, err := bundle.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), bundle.VerifyOptions{
		Workers: 1, Now: func() time.Time { return moment(t) },
		Trusted: func(key ssh.PublicKey, at time.Time) (string, bool) {
			for _, namespace := range []string{chainofcustody.NamespaceSeal, chainofcustody.NamespaceCustody} {
				if who, err := signers.Lookup(key, namespace, at); err == nil {
					return who, true
				}
			}
			return "", false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBundlesGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	list, signers := known(t)
	want := verdicts(t, vectors(t, "bundle", "bad", "verdicts.json"))
	files, err := filepath.Glob(vectors(t, "bundle", "bad", "*.zst"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, %d verdicts, %v", len(files), len(want), err)
	}
	for name, verdict := range want {
		check(t, list, signers, vectors(t, "bundle", "bad", name+".exhibit.tar.zst"), verdict)
	}
	for _, name := range []string{"minimal", "everything"} {
		check(t, list, signers, vectors(t, "bundle", name+".exhibit.tar.zst"), "VERIFIED")
	}
}

// known is the list of the vectors: its file, and what it says.
func known(t *testing.T) (string, chainofcustody.AllowedSigners) {
	t.Helper()
	list := vectors(t, "bundle", "allowed_signers")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := chainofcustody.ParseAllowedSigners(text)
	if err != nil {
		t.Fatal(err)
	}
	return list, signers
}

func check(t *testing.T, list string, signers chainofcustody.AllowedSigners, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := ours(t, b, signers)
	verdict, code, out := theirs(t, "bundle", path, "--signers", list)
	if string(r.Verdict) != want || verdict != want || code != r.ExitCode() {
		t.Errorf("%s: ours %s (%d), theirs %s (%d), want %s\n%s", filepath.Base(path), r.Verdict, r.ExitCode(), verdict, code, want, out)
	}
}

func verdicts(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEventsAreRefusedByBoth(t *testing.T) {
	tools(t)
	files, err := filepath.Glob(vectors(t, "custody", "bad", "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = chainofcustody.ParseEvent(b)
		verdict, _, out := theirs(t, "event", path)
		if !errors.Is(err, chainofcustody.ErrEvent) || verdict != "ALTERED" {
			t.Errorf("%s: ours %v, theirs %s\n%s", filepath.Base(path), err, verdict, out)
		}
	}
}

// badLog is a change to the log of the vectors, as logs.json states it.
type badLog struct {
	Verdict string            `json:"verdict"`
	Remove  []string          `json:"remove"`
	Write   map[string]string `json:"write"`
	Heads   []string          `json:"heads"`
}

func TestLogsGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	b, err := os.ReadFile(vectors(t, "custody", "logs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var logs map[string]badLog
	if err := json.Unmarshal(b, &logs); err != nil {
		t.Fatal(err)
	}
	logs["whole"] = badLog{Verdict: "VERIFIED"}
	for name, bad := range logs {
		dir := filepath.Join(t.TempDir(), "case")
		if err := os.CopyFS(dir, os.DirFS(vectors(t, "custody", "case"))); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(dir, chainofcustody.CustodyDir, "EX-001")
		for _, n := range bad.Remove {
			if err := os.Remove(filepath.Join(folder, n)); err != nil {
				t.Fatal(err)
			}
		}
		for n, text := range bad.Write {
			_ = os.Remove(filepath.Join(folder, n))
			if err := os.WriteFile(filepath.Join(folder, n), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := chainofcustody.OpenCase(dir)
		if err != nil {
			t.Fatal(err)
		}
		opt, args := chainofcustody.VerifyOptions{Now: moment(t)}, []string{"custody", dir, "EX-001"}
		for _, h := range bad.Heads {
			d, err := evidence.ParseDigest(h)
			if err != nil {
				t.Fatal(err)
			}
			opt.KnownHeads, args = append(opt.KnownHeads, d), append(args, "--head", h)
		}
		r, err := c.VerifyCustody("EX-001", opt)
		verdict, code := string(r.Verdict), r.Verdict.ExitCode()
		if errors.Is(err, chainofcustody.ErrNewerSchema) {
			verdict, code = "NEWER", 7
		} else if err != nil {
			t.Fatal(err)
		}
		got, exit, out := theirs(t, args...)
		if verdict != bad.Verdict || got != bad.Verdict || exit != code {
			t.Errorf("%s: ours %s (%d), theirs %s (%d), want %s\n%s", name, verdict, code, got, exit, bad.Verdict, out)
		}
	}
}

// Keys of runs that are bound to an examiner in every way of the format, and
// in ways that do not hold.
func TestCertifiedKeysGetTheSameVerdictFromBoth(t *testing.T) {
	tools(t)
	list := vectors(t, "mandate", "allowed_signers")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := chainofcustody.ParseAllowedSigners(text)
	if err != nil {
		t.Fatal(err)
	}
	want := verdicts(t, vectors(t, "mandate", "verdicts.json"))
	if len(want) < 14 {
		t.Fatalf("%d verdicts", len(want))
	}
	for name, verdict := range want {
		check(t, list, signers, vectors(t, "mandate", name+".exhibit.tar.zst"), verdict)
	}
}
