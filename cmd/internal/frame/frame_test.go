package frame

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// run runs a program of one command that returns err.
func run(t *testing.T, ctx context.Context, err error, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	app := &cli.App{Name: "prog", Flags: GlobalFlags(), Commands: []*cli.Command{{
		Name: "do", Action: func(c *cli.Context) error {
			fmt.Fprintln(c.App.Writer, "result")
			return err
		},
	}, {
		Name: "crash", Action: func(*cli.Context) error { panic("boom \x1b[31m") },
	}}}
	code = Run(ctx, app, append([]string{"prog"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestErrorsBecomeOneLineAndTheRightCode(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, command.OK, ""},
		{errors.New("open x: no such file"), command.Failure, "prog: open x: no such file\n"},
		{command.Failf(command.NoCase, "make one", "no case\nhere"), command.NoCase, "prog: no case here\nhint: make one\n"},
		{fmt.Errorf("verify: %w", command.Fail(command.Integrity, "", errors.New("hash differs"))), command.Integrity, "prog: verify: hash differs\n"},
		{command.Exit(command.Partial), command.Partial, ""},
		{command.Exit(command.OK), command.OK, ""},
		{fmt.Errorf("write: %w", syscall.EPIPE), command.OK, ""},
		{fmt.Errorf("write out: %w", syscall.ENOSPC), command.Failure, "prog: write out: no space left on device\nhint: free some space"},
		{errors.New("evil \x1b[2J name"), command.Failure, `prog: evil \u{1b}[2J name`},
	} {
		code, out, stderr := run(t, t.Context(), c.err, "do")
		if code != c.code || !strings.HasPrefix(stderr, c.stderr) || out != "result\n" || c.stderr == "" && stderr != "" {
			t.Errorf("%v: code %d, stderr %q; want %d, %q", c.err, code, stderr, c.code, c.stderr)
		}
	}
}

func TestUsageErrorsNeverReachTheCommand(t *testing.T) {
	for _, args := range [][]string{{"do", "--nope"}, {"dо"}, {"do", "x", "--jsn"}} {
		code, out, stderr := run(t, t.Context(), nil, args...)
		if code != command.Usage || out != "" || strings.Count(stderr, "\n") > 2 || !strings.HasPrefix(stderr, "prog: ") {
			t.Errorf("%q: code %d, stdout %q, stderr %q", args, code, out, stderr)
		}
	}
}

func TestPanicsAreReportedInert(t *testing.T) {
	code, _, stderr := run(t, t.Context(), nil, "crash")
	if code != command.Failure || !strings.Contains(stderr, `boom \u{1b}[31m`) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}
