// Package frame is the frame of the programs that are made of commands: flags
// that mean the same everywhere, and one way of refusing what is no command.
package frame

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/argv"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// GlobalFlags are the flags of every command of these programs.
func GlobalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "results as JSON on standard output"},
		&cli.StringFlag{Name: "progress", Value: "auto", Usage: "`MODE`: auto, bar, plain, json or none", EnvVars: []string{"EXHIBIT_PROGRESS"}},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "results and errors only"},
	}
}

// Main runs app with args and returns the exit code. The first interrupt
// cancels the context of the commands, the second ends the process.
func Main(app *cli.App, args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := command.Signals()
	defer stop()
	return Run(ctx, app, args, stdout, stderr)
}

// Run is Main under the caller's context.
func Run(ctx context.Context, app *cli.App, args []string, stdout, stderr io.Writer) (code int) {
	return command.Guard(ctx, app.Name, stderr, func(ctx context.Context) error { return dispatch(ctx, app, args, stdout, stderr) })
}

func dispatch(ctx context.Context, app *cli.App, args []string, stdout, stderr io.Writer) error {
	app.Writer, app.ErrWriter = stdout, stderr
	app.HideVersion = true
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = usageError
	setUsageError(app.Commands)
	setHelp(app)
	ordered, err := argv.Arrange(app, args)
	var usage *argv.UsageError
	if errors.As(err, &usage) {
		return command.Fail(command.Usage, usage.Hint, err)
	}
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	if err != nil && strings.HasPrefix(err.Error(), requiredFlag) {
		err = missingFlag(app, ordered, err)
	}
	return err
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName
	}
	// The library writes every flag with one dash.
	text := err.Error()
	if before, after, ok := strings.Cut(text, " for flag -"); ok && strings.IndexByte(after, ':') > 1 {
		text = before + " for flag --" + after
	}
	return command.Fail(command.Usage, "see: "+name+" --help", errors.New(text))
}

// setUsageError makes every command report usage errors in one line.
func setUsageError(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = usageError
		setUsageError(c.Subcommands)
	}
}

// requiredFlag begins the library's message about a missing flag, for which
// it has no type.
const requiredFlag = "Required flag"

// missingFlag puts that message into our form, with the command that args
// call: args are in the library's order.
func missingFlag(app *cli.App, args []string, err error) error {
	path, commands := app.Name, app.Commands
	for _, arg := range args[1:] {
		for _, c := range commands {
			if c.HasName(arg) {
				path, commands = path+" "+c.Name, c.Subcommands
				break
			}
		}
	}
	return command.Failf(command.Usage, "see: "+path+" --help", "required flag%s", strings.TrimPrefix(err.Error(), requiredFlag))
}

// Draws reports whether progress is shown as something that is drawn over.
func Draws(c *cli.Context) bool {
	switch mode := term.Mode(c.String("progress")); {
	case c.Bool("quiet"), c.Bool("json"):
		return false
	case mode == term.Auto || mode == "":
		return term.IsTerminal(os.Stderr)
	default:
		return mode == term.Bar
	}
}

// Progress starts the progress display that the global flags ask for.
func Progress(c *cli.Context, what string) (*term.Progress, error) {
	mode := term.Mode(c.String("progress"))
	switch mode {
	case term.Auto, term.Bar, term.Plain, term.Lines, term.None:
	default:
		return nil, command.Failf(command.Usage, "use auto, bar, plain, json or none", "unknown progress mode %q", string(mode))
	}
	if c.Bool("quiet") {
		mode = term.None
	}
	return term.NewProgress(os.Stderr, mode, what), nil
}
