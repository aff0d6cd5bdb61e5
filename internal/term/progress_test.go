package term

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProgressIsQuietInAPipe(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "pipe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewProgress(f, Auto, "work")
	p.Set(Status{Bytes: 1})
	p.Done()
	if st, err := f.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("%d bytes were written, error %v", st.Size(), err)
	}
	var none *Progress
	none.Set(Status{})
	none.Done()
}

func TestBarSaysHowFarAndIsTakenAway(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{w: &out, mode: Bar, what: "verifying", start: time.Now().Add(-10 * time.Second)}
	p.Set(Status{Bytes: 50 << 20, BytesTotal: 100 << 20, Items: 3, ItemsTotal: 9, Problems: 2, Current: "/a\x1b[31m"})
	line := out.String()
	for _, want := range []string{"verifying", "50.0 MiB of 100.0 MiB", "3/9 items", "/s", "10s left", "2 problems", `/a\u{1b}[31m`} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
	p.Done()
	if !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Error("the line was left standing")
	}
}

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 60: "1.0 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestColourIsOnlyWhereItIsWanted(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("NO_COLOR", "")
	t.Setenv("CLICOLOR_FORCE", "")
	if got := NewPalette(f).Bad("word"); got != "word" {
		t.Errorf("a file got %q", got)
	}
	t.Setenv("CLICOLOR_FORCE", "1")
	if got := NewPalette(f).Bad("word"); got == "word" {
		t.Error("CLICOLOR_FORCE was not heeded")
	}
	t.Setenv("NO_COLOR", "1")
	if got := NewPalette(f).Bad("word"); got != "word" {
		t.Errorf("NO_COLOR got %q", got)
	}
}

func TestEventsAreLinesForPrograms(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{w: &out, mode: Lines, what: "collecting", start: time.Now().Add(-2 * time.Second)}
	p.Set(Status{Bytes: 7, Stage: "logs", Doing: "read", Current: "/a\x1b\xff\"", Since: 90 * time.Second, Reading: 5})
	p.Set(Status{Bytes: 8}) // too soon
	p.Done()
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for key, want := range map[string]any{"event": "progress", "stage": "logs", "doing": "read", "since_s": 90.0, "reading_bytes": 5.0} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if s, _ := got["current"].(string); !strings.HasPrefix(s, "/a") || strings.ContainsAny(s, "\x1b\xff") {
		t.Errorf("current is %q", s)
	}
}

func TestBarSaysWhatTakesLong(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{w: &out, mode: Bar, what: "collecting", start: time.Now()}
	p.Set(Status{Stage: "logs", Doing: "read", Current: "/var/log/x", Since: 12 * time.Second, Reading: 1 << 20})
	for _, want := range []string{"logs  read  /var/log/x", "1.0 MiB of it", "for 12s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q lacks %q", out.String(), want)
		}
	}
}
