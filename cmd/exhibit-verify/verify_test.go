package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// verdictOf runs the program on its arguments and returns the verdict of its
// one line of JSON, with which its exit code must agree.
func verdictOf(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), append([]string{"--json"}, args...), &stdout, &stderr)
	code := command.Guard(t.Context(), program, &stderr, func(context.Context) error { return err })
	var out struct{ Verdict chainofcustody.Verdict }
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("%q: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	if code != out.Verdict.ExitCode() {
		t.Errorf("%q: exit code %d for %s", args, code, out.Verdict)
	}
	return string(out.Verdict)
}

func vectors(t *testing.T, name string, into any) string {
	t.Helper()
	path := filepath.Join(testenv.Root(t), "testdata", "vectors", filepath.FromSlash(name))
	if into != nil {
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestEveryBrokenBundleGetsItsVerdict(t *testing.T) {
	var want map[string]string
	dir := filepath.Dir(vectors(t, "bundle/bad/verdicts.json", &want))
	signers := filepath.Join(filepath.Dir(dir), "allowed_signers")
	seen := map[string]bool{}
	for name, verdict := range want {
		if got := verdictOf(t, filepath.Join(dir, name+".exhibit.tar.zst"), "--signers", signers); got != verdict {
			t.Errorf("%s: %s, want %s", name, got, verdict)
		}
		seen[verdict] = true
	}
	for _, verdict := range []string{"VERIFIED-PREFIX", "DAMAGED", "ALTERED", "UNREADABLE"} {
		if !seen[verdict] {
			t.Errorf("no vector is %s", verdict)
		}
	}
}

func TestEveryChangedLogGetsItsVerdict(t *testing.T) {
	var logs map[string]struct {
		Verdict string
		Remove  []string
		Write   map[string]string
		Heads   []string
	}
	source := vectors(t, "custody/case", nil)
	vectors(t, "custody/logs.json", &logs)
	for name, l := range logs {
		dir := filepath.Join(t.TempDir(), "case")
		if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
			t.Fatal(err)
		}
		log := filepath.Join(dir, "custody", "EX-001")
		for _, file := range l.Remove {
			if err := os.Remove(filepath.Join(log, file)); err != nil {
				t.Fatal(err)
			}
		}
		for file, text := range l.Write {
			path := filepath.Join(log, file)
			_ = os.Remove(path) //nolint:errcheck // a copy of a read-only file, or none
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{log}
		for _, h := range l.Heads {
			args = append(args, "--head", h)
		}
		if l.Verdict == "NEWER" {
			var stdout, stderr bytes.Buffer
			if err := run(t.Context(), args, &stdout, &stderr); err == nil || stdout.Len() > 0 {
				t.Errorf("%s: %v, %s", name, err, stdout.String())
			}
			continue
		}
		if got := verdictOf(t, args...); got != l.Verdict {
			t.Errorf("%s: %s, want %s", name, got, l.Verdict)
		}
	}
}
