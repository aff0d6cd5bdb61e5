package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/agentless"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// row is what is known of one host.
type row struct {
	Target  string `json:"target"`
	Exhibit string `json:"exhibit,omitempty"`
	Bundle  string `json:"bundle,omitempty"`
	Host    string `json:"hostname,omitempty"` // as the bundle's header has it
	State   string `json:"state"`              // "collected", "partial", "failed"
	Verdict string `json:"verdict,omitempty"`
	SealID  string `json:"seal_id,omitempty"`
	Code    string `json:"seal_code,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Items   int64  `json:"items"`
	Size    int64  `json:"bundle_bytes"` // atomic while it is collected
	Seconds int64  `json:"seconds"`
	Peer    string `json:"peer,omitempty"`
	HostKey string `json:"host_key,omitempty"`
	Place   string `json:"place,omitempty"`
	Remark  string `json:"remark,omitempty"`
	Left    string `json:"unfinished,omitempty"` // what came of a bundle that is not whole
	Error   string `json:"error,omitempty"`

	mu    sync.Mutex
	last  string // line of the host
	err   error
	began time.Time
	over  bool
}

// set says how far the host is.
func (r *row) set(state string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.State = state; r.began.IsZero() {
		r.began = time.Now()
	}
}

// said keeps the last line of a host, for errors. It is evidence: whoever
// prints it escapes it.
func (r *row) said(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = line[:min(len(line), 500)]
}

func (r *row) lastSaid() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *row) begun(exhibit, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Exhibit, r.Bundle = exhibit, path
}

func (r *row) connected(res *agentless.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Peer, r.HostKey, r.Place = res.Peer, res.HostKey, term.Escape(res.Place)
}

func (r *row) kept(sum *gathering.Summary, seal, digest evidence.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.State, r.Items, r.SealID, r.Code, r.SHA256 = "collected", sum.Items, seal.String(), bundle.CodeOf(seal), digest.String()
	if sum.Partial || sum.Problems > 0 {
		r.State = "partial"
	}
}

func (r *row) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.State, r.err, r.Error = "failed", err, term.Escape(err.Error())
	if r.Left == "" {
		r.Bundle = ""
	}
}

// board shows the hosts while they are collected, on a terminal, and what
// became of them.
type board struct {
	c     *cli.Context
	rows  []*row
	mu    sync.Mutex
	drawn int // lines on the terminal
	live  bool
	stop  chan struct{}
	done  chan struct{}
}

func newBoard(c *cli.Context, hosts []agentless.Target) *board {
	b := &board{c: c, stop: make(chan struct{}), done: make(chan struct{})}
	for _, t := range hosts {
		b.rows = append(b.rows, &row{Target: t.String(), State: "waiting"})
	}
	b.live = frame.Draws(c)
	go func() {
		defer close(b.done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-b.stop:
				return
			case <-tick.C:
				b.draw()
			}
		}
	}()
	return b
}

// maxDrawn bounds the table: what does not fit is counted.
const maxDrawn = 16

// draw writes the hosts that are being collected over the lines drawn before.
func (b *board) draw() {
	if !b.live {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	lines, waiting, over := []string{}, 0, 0
	for _, r := range b.rows {
		r.mu.Lock()
		switch {
		case r.over:
			over++
		case r.State == "waiting":
			waiting++
		case len(lines) < maxDrawn:
			lines = append(lines, fmt.Sprintf("%-32s %-9s %-24s %9s %6s", term.Clip(r.Target, 32), r.Exhibit, term.Clip(r.State, 24),
				term.Size(atomic.LoadInt64(&r.Size)), time.Since(r.began).Truncate(time.Second)))
		}
		r.mu.Unlock()
	}
	lines = append(lines, fmt.Sprintf("%d of %d hosts done, %d waiting", over, len(b.rows), waiting))
	b.erase()
	fmt.Fprint(b.c.App.ErrWriter, strings.Join(lines, "\n")+"\n")
	b.drawn = len(lines)
}

// erase takes the table away.
func (b *board) erase() {
	if b.drawn > 0 {
		fmt.Fprintf(b.c.App.ErrWriter, "\x1b[%dA\x1b[J", b.drawn)
		b.drawn = 0
	}
}

// settled prints what became of a host.
func (b *board) settled(r *row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over, r.Seconds = true, int64(time.Since(r.began).Seconds())
	b.erase()
	if b.c.Bool("json") {
		_ = command.JSON(b.c.App.Writer, r) //nolint:errcheck // the exit code says that standard output failed
		return
	}
	pal := term.NewPalette(os.Stdout)
	switch r.State {
	case "failed":
		fmt.Fprintf(b.c.App.Writer, "%s  %s: %s\n", pal.Bad("failed   "), r.Target, r.Error)
		if r.Left != "" {
			fmt.Fprintf(b.c.App.Writer, "           what came is kept: exhibit recover %s\n", term.Escape(r.Left))
		}
	default:
		word := pal.Good("collected")
		if r.State == "partial" {
			word = pal.Warn("partial  ")
		}
		name := r.Exhibit
		if name == "" {
			name = term.Escape(r.Bundle)
		}
		fmt.Fprintf(b.c.App.Writer, "%s  %s  %s  %s  %s, %d items, %s, %d s, seal code %s\n", word, r.Target, term.Escape(r.Host), name, r.Verdict, r.Items, term.Size(r.Size), r.Seconds, r.Code)
		if r.Remark != "" {
			fmt.Fprintf(b.c.App.Writer, "           %s\n", r.Remark)
		}
	}
}

// end sums up, and chooses the exit code.
func (b *board) end() error {
	close(b.stop)
	<-b.done
	b.mu.Lock()
	b.erase()
	b.mu.Unlock()
	failed, partial := 0, 0
	var last error
	for _, r := range b.rows {
		switch r.State {
		case "failed":
			failed++
			last = r.err
		case "partial":
			partial++
		}
	}
	if len(b.rows) > 1 && !b.c.Bool("json") {
		fmt.Fprintf(b.c.App.ErrWriter, "%d hosts: %d collected, %d of them in part, %d failed. Write the seal codes on paper.\n", len(b.rows), len(b.rows)-failed, partial, failed)
	}
	switch {
	case b.c.Context.Err() != nil:
		return command.Exit(command.Interrupted)
	case failed == 1 && len(b.rows) == 1:
		var own *command.Error
		if errors.As(last, &own) {
			return command.Exit(own.Code)
		}
		return command.Exit(command.Failure)
	case failed == len(b.rows):
		return command.Exit(command.Failure)
	case failed > 0 || partial > 0:
		return command.Exit(command.Partial)
	}
	return nil
}
