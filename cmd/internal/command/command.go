// Package command is the frame both programs share: flags that mean the same
// everywhere, results on standard output and the rest on standard error, one
// line for an error with a hint, and one table of exit codes.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/argv"
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

// ExitHelp is the table as every help text shows it.
const ExitHelp = `EXIT CODES:
   0 success · 1 failure · 2 usage · 3 partial: something was unreadable or lost (listed)
   4 integrity failure · 5 integrity fine, trust incomplete (unknown signer, time unproven)
   6 findings at or above --fail-on · 7 case missing, locked or of a newer schema
   8 wrong key or passphrase · 9 privilege missing · 10 limit reached, resumable · 130/143 interrupted
`

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

// GlobalFlags are the flags of every command of both programs.
func GlobalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "results as JSON on standard output"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "auto, bar, plain or none", EnvVars: []string{"EXHIBIT_PROGRESS"}},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "results and errors only"},
	}
}

// helpTemplateTail is appended to the library's help texts.
const helpTemplateTail = "\n" + ExitHelp

// Main runs app with args and returns the exit code. The first interrupt
// cancels the context of the commands, the second ends the process.
func Main(app *cli.App, args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := signals()
	defer stop()
	return Run(ctx, app, args, stdout, stderr)
}

// Run is Main under the caller's context.
func Run(ctx context.Context, app *cli.App, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(stderr, "%s: internal error: %s (please report it)\n", app.Name, term.Escape(fmt.Sprint(v)))
			if os.Getenv("EXHIBIT_DEBUG") != "" {
				stderr.Write(debug.Stack())
			}
			code = Failure
		}
	}()
	app.Writer, app.ErrWriter = stdout, stderr
	app.HideVersion = true
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = usageError
	setUsageError(app.Commands)
	app.CustomAppHelpTemplate = cli.AppHelpTemplate + helpTemplateTail
	ordered, err := argv.Arrange(app, args)
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	return finish(ctx, app.Name, err, stderr)
}

func usageError(_ *cli.Context, err error, _ bool) error {
	return &Error{Usage, err, ""}
}

// setUsageError makes every command report usage errors in one line.
func setUsageError(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageError
		c.CustomHelpTemplate = cli.CommandHelpTemplate + helpTemplateTail
		if len(c.Subcommands) > 0 {
			c.CustomHelpTemplate = cli.SubcommandHelpTemplate + helpTemplateTail
		}
		setUsageError(c.Subcommands)
	}
}

// finish prints an error in one line and chooses the exit code.
func finish(ctx context.Context, name string, err error, stderr io.Writer) int {
	if err == nil {
		return OK
	}
	if errors.Is(err, syscall.EPIPE) {
		return OK // the reader had enough
	}
	var usage *argv.UsageError
	var own *Error
	code, hint := Failure, ""
	switch {
	case errors.As(err, &usage):
		code, hint = Usage, usage.Hint
	case errors.As(err, &own):
		code, hint = own.Code, own.Hint
	case strings.HasPrefix(err.Error(), "Required flag"): // the library has no type for it
		code, hint = Usage, "see: "+name+" COMMAND --help"
		err = errors.New(strings.Replace(err.Error(), "Required flag", "required flag", 1))
	case errors.Is(err, syscall.ENOSPC):
		hint = "free some space or choose another place, then run the command again"
	}
	if ctx.Err() != nil {
		code = Interrupted
		var sig *signalError
		if errors.As(context.Cause(ctx), &sig) && sig.signal == syscall.SIGTERM {
			code = Terminated
		}
	}
	if !errors.Is(err, errQuiet) {
		fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err.Error()))
		if hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", oneLine(hint))
		}
	}
	return code
}

func oneLine(s string) string {
	return term.Escape(strings.Join(strings.Fields(strings.ReplaceAll(s, "\n", " ")), " "))
}

// signalError is the cause of a context that a signal cancelled.
type signalError struct{ signal os.Signal }

func (s *signalError) Error() string { return "interrupted by " + s.signal.String() }

// signals returns a context that SIGINT and SIGTERM cancel; the second signal
// ends the process at once.
func signals() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
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

// JSON writes v as one line of JSON without HTML escapes.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Progress starts the progress display that the global flags ask for.
func Progress(c *cli.Context, what string) (*term.Progress, error) {
	mode := term.Mode(c.String("progress"))
	switch mode {
	case term.Auto, term.Bar, term.Plain, term.None:
	default:
		return nil, Failf(Usage, "use auto, bar, plain or none", "unknown progress mode %q", string(mode))
	}
	if c.Bool("quiet") {
		mode = term.None
	}
	return term.NewProgress(os.Stderr, mode, what), nil
}
