package term

import (
	"bytes"
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
