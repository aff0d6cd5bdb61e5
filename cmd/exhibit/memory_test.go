package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
)

// limeOf makes one range of memory in which each byte says where it is.
func limeOf(start, size uint64) []byte {
	b := kcore.AppendLimeHeader(nil, kcore.Range{Start: start, End: start + size})
	for i := range size {
		b = append(b, byte((start+i)/4096+1))
	}
	return b
}

// memoryBundle seals items into a bundle and returns its path.
func memoryBundle(t *testing.T, items map[string][]byte, order ...string) string {
	t.Helper()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := bundle.NewWriter(&b, bundle.Header{Tool: bundle.Tool{Name: "test"}}, key, bundle.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range order {
		it := evidence.Item{Kind: evidence.KindStream, Source: "memory", Path: path, Size: -1}
		if _, err := w.Add(context.Background(), it, bundle.Input{R: bytes.NewReader(items[path])}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Seal(bundle.Trailer{Reason: "completed", Complete: true}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.exhibit.tar.zst")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func memoryLines(t *testing.T, lines ...collectors.MemoryRecord) (text []byte) {
	t.Helper()
	for _, l := range lines {
		line, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	return text
}

func TestRAMBecomesOneFile(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	const high, low = "memory/ram-0000000000010000.lime", "memory/ram-0000000000001000.lime"
	first := memoryBundle(t, map[string][]byte{
		low: append(limeOf(0x1000, 0x1000), limeOf(0x2000, 0x800)...), high: limeOf(0x10000, 0x2000),
		collectors.MemoryMap: memoryLines(t,
			collectors.MemoryRecord{What: "source", Source: "/proc/kcore", Used: true},
			collectors.MemoryRecord{What: "unread", Path: low, Start: 0x1800, End: 0x1900, Why: "input/output error"},
			collectors.MemoryRecord{What: "left", Start: 0x12000, End: 0x14000, Why: "stopped"}),
	}, high, low, collectors.MemoryMap) // not in the order of their addresses
	want := bytes.Join([][]byte{limeOf(0x1000, 0x1000), limeOf(0x2000, 0x800), limeOf(0x10000, 0x2000)}, nil)

	r := call(t, newApp(), "--json", "memory", "lime", first, "-o", "one.lime")
	got, err := os.ReadFile("one.lime")
	if r.code != command.Partial || err != nil || !bytes.Equal(got, want) {
		t.Fatalf("exit code %d, %s, %v; %d bytes, want %d", r.code, r.stderr, err, len(got), len(want))
	}
	var w writtenMemory
	if err := json.Unmarshal([]byte(r.stdout), &w); err != nil {
		t.Fatal(err)
	}
	if w.SHA256 != evidence.Sum(want).String() || w.RAM.Chunks != 2 || w.RAM.Bytes != 0x3800 || fmt.Sprint(w.RAM.Gaps) != fmt.Sprint([]memorySpan{{Start: 0x2800, End: 0x10000}}) ||
		len(w.RAM.Unread) != 1 || len(w.RAM.Left) != 1 || w.RAM.Source != "/proc/kcore" {
		t.Errorf("got %s", r.stdout)
	}

	// The run that went on where the first was stopped; it has one page again.
	rest := "memory/ram-0000000000011000.lime"
	second := memoryBundle(t, map[string][]byte{rest: limeOf(0x11000, 0x3000)}, rest)
	r = call(t, newApp(), "memory", "lime", first, second, "-o", "both.lime")
	want = append(want, limeOf(0x12000, 0x2000)...)
	if got, err = os.ReadFile("both.lime"); r.code != command.OK || err != nil || !bytes.Equal(got, want) {
		t.Errorf("exit code %d, %s, %v; %d bytes, want %d", r.code, r.stderr, err, len(got), len(want))
	}
	if !strings.Contains(r.stdout, "are in two chunks") || !strings.Contains(r.stdout, "between the ranges: 0x2800-0x10000") || strings.Contains(r.stdout, "left by") {
		t.Errorf("said %s", r.stdout)
	}

	r = call(t, newApp(), "memory", "lime", first, second, "--padded", "-o", "flat.raw")
	flat := make([]byte, 0x14000)
	for _, span := range [][2]uint64{{0x1000, 0x1800}, {0x10000, 0x4000}} {
		copy(flat[span[0]:], limeOf(span[0], span[1])[kcore.LimeHeaderSize:])
	}
	if got, err = os.ReadFile("flat.raw"); r.code != command.OK || err != nil || !bytes.Equal(got, flat) {
		t.Errorf("exit code %d, %s, %v; %d bytes, want %d", r.code, r.stderr, err, len(got), len(flat))
	}

	r = call(t, newApp(), "memory", "list", first)
	if r.code != command.OK || !strings.Contains(r.stdout, "in 2 chunks from /proc/kcore") || !strings.Contains(r.stdout, "could not be read: 0x1800-0x1900") ||
		!strings.Contains(r.stdout, "left by a run that was stopped: 0x12000-0x14000") || !strings.Contains(r.stdout, "no memory of processes") {
		t.Errorf("exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

func TestRAMThatIsNotAsItShouldBe(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	const name = "memory/ram-0000000000001000.lime"
	for _, c := range []struct {
		what    string
		content []byte
		padded  bool
		code    int
		says    string
	}{
		{"cut in the middle of a range", limeOf(0x1000, 0x2000)[:0x1020], false, command.Partial, "ends in the middle of a range"},
		{"another format", bytes.Repeat([]byte("x"), 64), false, command.Integrity, "not in LiME format"},
		{"an address far away", limeOf(1<<60, 0x1000), true, command.Failure, "of nothing before address"},
	} {
		t.Run(c.what, func(t *testing.T) {
			args := []string{"memory", "lime", memoryBundle(t, map[string][]byte{name: c.content}, name), "-o", filepath.Join(t.TempDir(), "x")}
			if c.padded {
				args = append(args, "--padded")
			}
			r := call(t, newApp(), args...)
			if r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.says) {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			if _, err := os.Stat(args[len(args)-1]); c.code == command.Integrity && err == nil {
				t.Error("a file was left")
			}
		})
	}
}
