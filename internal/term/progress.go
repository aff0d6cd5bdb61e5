package term

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Mode says how progress is shown.
type Mode string

// The modes. Auto is Bar on a terminal and None elsewhere.
const (
	Auto  Mode = "auto"
	Bar   Mode = "bar"   // one line, rewritten
	Plain Mode = "plain" // a line every ten seconds
	Lines Mode = "json"  // a line of JSON a second
	None  Mode = "none"
)

// IsTerminal reports whether f is a terminal that can be drawn on.
func IsTerminal(f *os.File) bool {
	return os.Getenv("TERM") != "dumb" && isTerminal(f)
}

// Status is one state of long work. Totals of 0 are unknown.
type Status struct {
	Bytes, BytesTotal int64
	Items, ItemsTotal int64
	Problems          int64
	Stage             string        // part of the work; it and the next two are escaped before they are shown
	Doing             string        // to Current
	Current           string        // what is being worked on
	Since             time.Duration // how long on Current
	Reading           int64         // bytes of Current so far
}

// Progress shows the Status of long work: rate, time left, bytes, items. It
// is safe for concurrent use; its zero value shows nothing.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	mode  Mode
	what  string
	start time.Time
	last  time.Time
	shown bool
}

// NewProgress starts showing what on f in the given mode.
func NewProgress(f *os.File, mode Mode, what string) *Progress {
	if mode == Auto || mode == "" {
		mode = None
		if IsTerminal(f) {
			mode = Bar
		}
	}
	return &Progress{w: f, mode: mode, what: what, start: time.Now()}
}

// Set shows s, at most five times a second.
func (p *Progress) Set(s Status) {
	if p == nil || p.mode == None || p.mode == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	every := 200 * time.Millisecond
	switch p.mode {
	case Plain:
		every = 10 * time.Second
	case Lines:
		every = 900 * time.Millisecond
	}
	now := time.Now()
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	if p.mode == Lines {
		_, _ = p.w.Write(p.event(s, now))
		return
	}
	line := p.line(s, now)
	if p.mode == Plain {
		fmt.Fprintln(p.w, line)
		return
	}
	p.shown = true
	fmt.Fprintf(p.w, "\r\x1b[K%s", Clip(line, 118))
}

// Done removes the line.
func (p *Progress) Done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

func (p *Progress) line(s Status, now time.Time) string {
	var b strings.Builder
	b.WriteString(p.what)
	elapsed := now.Sub(p.start)
	done := 0.0
	switch {
	case s.BytesTotal > 0:
		fmt.Fprintf(&b, "  %s of %s", Size(s.Bytes), Size(s.BytesTotal))
		done = float64(s.Bytes) / float64(s.BytesTotal)
	default:
		fmt.Fprintf(&b, "  %s", Size(s.Bytes))
	}
	if s.ItemsTotal > 0 {
		fmt.Fprintf(&b, "  %d/%d items", s.Items, s.ItemsTotal)
	} else {
		fmt.Fprintf(&b, "  %d items", s.Items)
	}
	if sec := elapsed.Seconds(); sec > 0.5 {
		fmt.Fprintf(&b, "  %s/s", Size(int64(float64(s.Bytes)/sec)))
		if done > 0.01 && done < 1 {
			left := time.Duration(float64(elapsed) * (1 - done) / done)
			fmt.Fprintf(&b, "  %s left", left.Round(time.Second))
		}
	}
	if s.Problems > 0 {
		fmt.Fprintf(&b, "  %d problems", s.Problems)
	}
	for _, text := range []string{s.Stage, s.Doing, s.Current} {
		if text != "" {
			fmt.Fprintf(&b, "  %s", Escape(text))
		}
	}
	if s.Reading > 0 {
		fmt.Fprintf(&b, "  %s of it", Size(s.Reading))
	}
	if s.Since >= longAt {
		fmt.Fprintf(&b, "  for %s", s.Since.Round(time.Second))
	}
	return b.String()
}

// longAt is how long one thing takes before that is said.
const longAt = 3 * time.Second

// event is s as a line of JSON, for programs.
func (p *Progress) event(s Status, now time.Time) []byte {
	line, err := json.Marshal(struct {
		Event   string  `json:"event"` // always progress
		What    string  `json:"what"`
		Elapsed float64 `json:"elapsed_s"`
		Bytes   int64   `json:"bytes"`
		Items   int64   `json:"items"`
		Stage   string  `json:"stage,omitempty"`
		Doing   string  `json:"doing,omitempty"`
		Current string  `json:"current,omitempty"` // raw bytes that are no text are escaped as on a terminal
		Since   float64 `json:"since_s"`
		Reading int64   `json:"reading_bytes,omitempty"`
	}{
		"progress", p.what, now.Sub(p.start).Seconds(), s.Bytes, s.Items, Escape(s.Stage), Escape(s.Doing), Escape(s.Current),
		s.Since.Seconds(), s.Reading,
	})
	if err != nil { // only a value JSON has no form for, which these are not
		return nil
	}
	return append(line, '\n')
}

// Size writes n bytes for people: 1.5 MiB.
func Size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
