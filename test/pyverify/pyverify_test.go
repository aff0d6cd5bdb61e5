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
func ours(t *testing.T, path string, signers chainofcustody.AllowedSigners) *bundle.Report {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
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
	list := vectors(t, "bundle", "allowed_signers")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := chainofcustody.ParseAllowedSigners(text)
	if err != nil {
		t.Fatal(err)
	}
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

func check(t *testing.T, list string, signers chainofcustody.AllowedSigners, path, want string) {
	t.Helper()
	r := ours(t, path, signers)
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

// Erasure (disclosure.md, section 10) is a form the second program does not
// know. It must say so, and neither verify such a bundle nor call it altered.
func TestErasedBundlesAreNotJudged(t *testing.T) {
	tools(t)
	for _, name := range []string{"content", "metadata", "later"} {
		verdict, code, out := theirs(t, "bundle", vectors(t, "erasure", name+".exhibit.tar.zst"))
		if verdict != "NEWER" || code != 7 {
			t.Errorf("%s: %s (%d)\n%s", name, verdict, code, out)
		}
	}
}

// The vectors of RFC 8032, section 7.1, and what must not hold. The first one is
// left out: its message is empty, which openssl pkeyutl refuses; no note is.
func TestTheirEd25519IsThatOfTheRFC(t *testing.T) {
	tools(t)
	script := `
import sys
sys.path.insert(0, sys.argv[1])
from primitives import ed25519
L = 2**252 + 27742317777372353535851937790883648493
h = bytes.fromhex
vectors = [
 ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
 ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]
for key, message, signature in vectors:
    key, message, signature = h(key), h(message), h(signature)
    assert ed25519(key, message, signature)
    assert not ed25519(key, message + b"x", signature)
    for i in range(0, 64, 7):
        assert not ed25519(key, message, signature[:i] + bytes([signature[i] ^ 1]) + signature[i + 1:])
    s = int.from_bytes(signature[32:], "little") + L
    assert not ed25519(key, message, signature[:32] + s.to_bytes(32, "little"))
`
	cmd := exec.Command(testenv.Tool(t, "python3"), "-B", "-c", script, filepath.Join(testenv.Root(t), "test/pyverify"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
