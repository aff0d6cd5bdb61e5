package chainofcustody

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// startAgent runs a real ssh-agent for the test and points SSH_AUTH_SOCK at
// it.
func startAgent(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // t.TempDir() may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(testenv.Tool(t, "ssh-agent"), "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			t.Setenv("SSH_AUTH_SOCK", socket)
			return
		}
	}
	t.Fatal("ssh-agent did not open its socket")
}

func TestAgentKeysSignByFingerprintAndComment(t *testing.T) {
	startAgent(t)
	if _, err := KeyFromAgent(""); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("empty agent: %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"alice", "bob"} {
		kind := map[string]string{"alice": "ed25519", "bob": "rsa"}[name]
		path := filepath.Join(dir, name)
		if out, err := tool(t, "", "ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", path); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := tool(t, "", "ssh-add", path); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if _, err := KeyFromAgent(""); !errors.Is(err, ErrAmbiguousKey) {
		t.Errorf("two keys: %v", err)
	}
	if _, err := KeyFromAgent("carol"); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("no such key: %v", err)
	}
	keys, err := AgentKeys()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	c := testCase(t)
	ex, _ := c.NextExhibit()
	for _, k := range keys {
		for _, which := range []string{k.Comment, Fingerprint(k.Key)} {
			signer, err := KeyFromAgent(which)
			if err != nil {
				t.Fatal(err)
			}
			id := &Identity{ID: k.Comment + "@lab", Key: signer}
			if err := c.Enroll(id, time.Time{}, time.Time{}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Append(ex, Event{Kind: EventVerified}, id); err != nil {
				t.Errorf("sign with %s: %v", which, err)
			}
		}
	}
	if r := verify(t, c, ex, VerifyOptions{}); r.Verdict != VerdictVerified || len(r.Events) != 4 {
		t.Errorf("verdict %s, %d events", r.Verdict, len(r.Events))
	}
	signer, err := KeyFromAgent("alice")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "", "ssh-add", "-D"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := signer.Sign(NamespaceCustody, nil); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("key taken out of the agent: %v", err)
	}
}

func TestMissingAgentIsSaidSo(t *testing.T) {
	for _, socket := range []string{"", filepath.Join(t.TempDir(), "none")} {
		t.Setenv("SSH_AUTH_SOCK", socket)
		if _, err := KeyFromAgent(""); !errors.Is(err, ErrNoAgent) {
			t.Errorf("socket %q: %v", socket, err)
		}
	}
}
