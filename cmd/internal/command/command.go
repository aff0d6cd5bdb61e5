// Package command is what all our programs have in common: results on standard
// output and the rest on standard error, one line for an error with a hint,
// and one table of exit codes. It knows no library for command lines: the
// verifier, which must stay small, has none.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Exit codes: one table for every command.
const (
	OK          = 0
	Failure     = 1
	Usage       = 2
	Partial     = 3
	Integrity   = 4
	Trust       = 5
	Findings    = 6
	NoCase      = 7
	WrongKey    = 8
	Privilege   = 9
	Limit       = 10
	Interrupted = 130
	Terminated  = 143
)

// Error is an error with an exit code and, where there is one, what to do.
type Error struct {
	Code int
	Err  error
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Fail returns an Error.
func Fail(code int, hint string, err error) error { return &Error{code, err, hint} }

// Failf returns an Error with a formatted message.
func Failf(code int, hint, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...), hint}
}

// Exit ends a command with a code and nothing more to say: what there was to
// say is in its results.
func Exit(code int) error {
	if code == OK {
		return nil
	}
	return &Error{Code: code, Err: errQuiet}
}

var errQuiet = errors.New("")

// ExitHelp is the table as every help text shows it.
const ExitHelp = `EXIT CODES:
   0 success · 1 failure · 2 usage · 3 partial: something was unreadable or lost (listed)
   4 integrity failure · 5 integrity fine, trust incomplete (unknown signer, time unproven)
   6 findings at or above --fail-on · 7 case missing, locked or of a newer schema
   8 wrong key or passphrase · 9 privilege missing · 10 limit reached, resumable · 130/143 interrupted
`

// Guard runs a program's work under the context of Signals, reports a panic in
// one line, and returns the exit code.
func Guard(ctx context.Context, name string, stderr io.Writer, work func(context.Context) error) (code int) {
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(stderr, "%s: internal error: %s (please report it)\n", name, term.Escape(fmt.Sprint(v)))
			if os.Getenv("EXHIBIT_DEBUG") != "" {
				stderr.Write(debug.Stack())
			}
			code = Failure
		}
	}()
	return finish(ctx, name, work(ctx), stderr)
}

// finish prints an error in one line and chooses the exit code.
func finish(ctx context.Context, name string, err error, stderr io.Writer) int {
	if err == nil {
		return OK
	}
	var own *Error
	if errors.Is(err, syscall.EPIPE) && !errors.As(err, &own) {
		return OK // the reader had enough; a command to which that is a loss says so
	}
	code, hint := explain(err)
	if ctx.Err() != nil {
		code = Interrupted
		var sig *signalError
		if errors.As(context.Cause(ctx), &sig) {
			if sig.signal == syscall.SIGTERM {
				code = Terminated
			}
			// What broke off where is of no use to who broke it off.
			if errors.Is(err, context.Canceled) || errors.As(err, &sig) {
				err = sig
			}
		}
	}
	say(name, err, hint, stderr)
	return code
}

// say prints an error in one line, and in one more what to do about it.
func say(name string, err error, hint string, stderr io.Writer) {
	if errors.Is(err, errQuiet) {
		return
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err.Error()))
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", oneLine(hint))
	}
}

// Complain prints an error that does not end the program, and returns its
// exit code.
func Complain(name string, err error, stderr io.Writer) int {
	code, hint := explain(err)
	say(name, err, hint, stderr)
	return code
}

// explain chooses the exit code of an error and what to do about it: what the
// command says, or else what the system's error stands for.
func explain(err error) (code int, hint string) {
	var own *Error
	if errors.As(err, &own) && own.Hint != "" {
		return own.Code, own.Hint
	}
	code, hint = systemError(err)
	if own != nil {
		code = own.Code
	}
	return code, hint
}

// systemError explains what the operating system refuses.
func systemError(err error) (code int, hint string) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Privilege, "run this as a user who may, or choose a place of your own"
	case errors.Is(err, syscall.EROFS):
		return Failure, "that place is read-only: choose another one"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Failure, "free some space or choose another place, then run the command again"
	case errors.Is(err, fs.ErrNotExist):
		return Failure, "look for a slip in the path"
	case errors.Is(err, fs.ErrExist):
		return Failure, "choose another name: what exists is never overwritten"
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		return Failure, "give the path of a file, and folders only where folders are asked for"
	}
	return Failure, ""
}

func oneLine(s string) string {
	return term.Escape(strings.Join(strings.Fields(strings.ReplaceAll(s, "\n", " ")), " "))
}

// signalError is the cause of a context that a signal cancelled.
type signalError struct{ signal os.Signal }

func (s *signalError) Error() string {
	if s.signal == syscall.SIGTERM {
		return "interrupted by SIGTERM"
	}
	return "interrupted by Ctrl-C"
}

// Signals returns a context that SIGINT and SIGTERM cancel; the second signal
// ends the process at once.
func Signals() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	// A reader that has had enough must not end a command before it has
	// recorded what it showed: the write fails instead.
	ignoreBrokenPipe()
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		s, ok := <-ch
		if !ok {
			return
		}
		cancel(&signalError{s})
		if s, ok = <-ch; ok {
			code := Interrupted
			if s == syscall.SIGTERM {
				code = Terminated
			}
			os.Exit(code)
		}
	}()
	return ctx, func() { signal.Stop(ch); close(ch); cancel(nil) }
}

// JSON writes v as one line of JSON without HTML escapes, in which nothing
// can act on a terminal.
func JSON(w io.Writer, v any) error {
	return InertJSON(w, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	})
}

// InertJSON calls write with a writer for JSON that makes it inert.
func InertJSON(w io.Writer, write func(io.Writer) error) error {
	safe := term.NewJSON(w)
	return errors.Join(write(safe), safe.Flush())
}
