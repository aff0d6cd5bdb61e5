package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestTheSameArgumentsGiveTheSameBytes(t *testing.T) {
	for _, args := range [][]string{{"syslog", "5000"}, {"journal", "50"}, {"audit", "60"}, {"wtmp", "20"}, {"pcap", "50"}} {
		var first, second bytes.Buffer
		for _, out := range []*bytes.Buffer{&first, &second} {
			if err := run(t.Context(), args, out); err != nil {
				t.Fatal(err)
			}
		}
		if first.Len() == 0 || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%v: %d and %d bytes", args, first.Len(), second.Len())
		}
	}
}

func TestABundleHoldsTheFilesNamed(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), []string{"walk", "30", dir}, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "b.exhibit.tar.zst")
	args := []string{"bundle", path, "filesystem/walk.jsonl=" + filepath.Join(dir, "walk.jsonl"), "/tmp/body=" + filepath.Join(dir, "body")}
	if err := run(t.Context(), args, nil); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	report, err := bundle.Verify(t.Context(), f, st.Size(), bundle.VerifyOptions{})
	if err != nil || report.Verdict != bundle.SignerUnknown {
		t.Fatalf("%+v, %v", report, err)
	}
	r, err := bundle.Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		found[it.Path] = string(it.Kind)
	}
	if found["filesystem/walk.jsonl"] != "stream" || found["/tmp/body"] != "file" {
		t.Errorf("%v", found)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{nil, {"audit"}, {"audit", "x"}, {"audit", "-1"}, {"walk", "3"}, {"nothing", "3"}, {"measure", "x"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestParseCountsWhatABundleHolds(t *testing.T) {
	dir := t.TempDir()
	log, path := filepath.Join(dir, "wtmp"), filepath.Join(dir, "b.exhibit.tar.zst")
	var records, counts bytes.Buffer
	if err := run(t.Context(), []string{"wtmp", "20"}, &records); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, records.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"bundle", path, "/var/log/wtmp=" + log}, nil); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"parse", path}, &counts); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(counts.String(), "linux_utmp 20 events 0 problems\n") {
		t.Errorf("%q", counts.String())
	}
}

func TestMeasureRecordsEveryRunAndPassesTheExitCodeOn(t *testing.T) {
	shell := testenv.Tool(t, "sh")
	record := filepath.Join(t.TempDir(), "record")
	if err := run(t.Context(), []string{"measure", record, shell, "-c", "exit 0"}, nil); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := run(t.Context(), []string{"measure", record, shell, "-c", "exit 3"}, nil); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
	lines, err := os.ReadFile(record)
	if err != nil || bytes.Count(lines, []byte("\n")) != 2 || len(bytes.Fields(lines)) != 10 {
		t.Errorf("%q, %v", lines, err)
	}
}
