package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// result is how a run went. Its last line is all that a console may keep that
// shows nothing but standard output, so every run ends with it, whatever
// became of the run.
type result struct {
	sum     *gathering.Summary // nil: no bundle was sealed
	stderr  io.Writer
	streams bool     // the bundle goes to standard output
	starter *os.File // who waits for a run in the background to begin; nil: nobody
	other   bool     // a command that collects nothing, or one that said its result itself

	mu   sync.Mutex
	said string // the last error that was printed
	hint string // and what it said to do
}

// What became of a run.
const (
	complete = "complete" // sealed, and all that was asked for was looked at and could be read
	partial  = "partial"  // sealed, and something is missing: the bundle says what
	failed   = "failed"   // no sealed bundle
)

// Write passes on what goes to standard error and remembers why a run failed.
func (r *result) Write(p []byte) (int, error) {
	r.mu.Lock()
	for line := range bytes.Lines(p) {
		if text, ok := strings.CutPrefix(string(line), "exhibit-collector: "); ok {
			r.said = strings.TrimSpace(text)
		} else if text, ok := strings.CutPrefix(string(line), "hint: "); ok {
			r.hint = strings.TrimSpace(text)
		}
	}
	r.mu.Unlock()
	return r.stderr.Write(p)
}

// resultJSON is the result with --json: that of a run that sealed nothing has
// no summary.
type resultJSON struct {
	*gathering.Summary
	Result string `json:"result"`
	Exit   int    `json:"exit"`
	Error  string `json:"error,omitempty"`
}

// began tells who started a run in the background that it collects.
func (r *result) began() { r.tell(began) }

func (r *result) tell(text string) {
	if r.starter == nil {
		return
	}
	_, _ = io.WriteString(r.starter, text) //nolint:errcheck // who started it may have gone
	_ = r.starter.Close()                  //nolint:errcheck // nothing is lost
	r.starter = nil
}

// print ends a run with its result, and returns the exit code.
func (r *result) print(args []string, code int, stdout *os.File) int {
	r.tell(r.said + "\n" + r.hint + "\n")
	if r.other || r.sum == nil && (code == command.OK || asksFor(args, "attended")) {
		return code // whoever attends reads the error itself
	}
	state := complete
	switch {
	case r.sum == nil:
		state = failed
	case code != command.OK:
		state = partial
	}
	var w io.Writer = stdout
	f := stdout
	if r.streams || toStdout(args) {
		w, f = r.stderr, os.Stderr
	}
	var err error
	if asksFor(args, "json") {
		err = command.JSON(w, resultJSON{r.sum, state, code, r.said})
	} else {
		var text bytes.Buffer
		if r.sum != nil {
			r.sum.Print(&text, term.NewPalette(f))
		}
		fmt.Fprintln(&text, r.line(state, code))
		_, err = w.Write(text.Bytes())
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) && code == command.OK {
		return command.Complain("exhibit-collector", err, r.stderr)
	}
	return code
}

// line is the result in one line: words of NAME=VALUE, a value in quotes where
// it has a space or what could act on a terminal.
func (r *result) line(state string, code int) string {
	text := "result: " + state
	word := func(name, value string) {
		text += " " + name + "=" + quoted(value)
	}
	if s := r.sum; s != nil {
		word("bundle", s.Bundle)
		word("root", s.Root)
		word("seal-code", s.Code)
	}
	text += " exit=" + strconv.Itoa(code)
	if r.said != "" {
		word("error", r.said)
	}
	return text
}

// quoted is a value as a line of result has it.
func quoted(value string) string {
	if term.Escape(value) != value || strings.ContainsAny(value, " \"\\=") {
		return strconv.QuoteToASCII(value)
	}
	return value
}

// asksFor reports whether a flag without a value is given; read before the
// flags are, which may be wrong.
func asksFor(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		name, value, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		return strings.HasPrefix(a, "-") && name == flag && value != "false"
	})
}

// toStdout reports whether the bundle itself goes to standard output: then
// nothing else does.
func toStdout(args []string) bool {
	for i, a := range args {
		name, value, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !strings.HasPrefix(a, "-") || name != "o" && name != "output" {
			continue
		}
		if has && value == "-" || !has && i+1 < len(args) && args[i+1] == "-" {
			return true
		}
	}
	return slices.Contains(args, "-o-")
}
