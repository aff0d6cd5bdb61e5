package term

import (
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
	Current           string // escaped before it is shown
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
	if p.mode == Plain {
		every = 10 * time.Second
	}
	now := time.Now()
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
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
	if s.Current != "" {
		fmt.Fprintf(&b, "  %s", Escape(s.Current))
	}
	return b.String()
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
