package main

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/argv"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
)

// walk calls visit for every command of a new program, with its full name.
func walk(t *testing.T, visit func(t *testing.T, path []string, c *cli.Command)) {
	t.Helper()
	var down func(path []string, commands []*cli.Command)
	seen := 0
	down = func(path []string, commands []*cli.Command) {
		for _, c := range commands {
			full := append(slices.Clone(path), c.Name)
			seen++
			t.Run(strings.Join(full, "_"), func(t *testing.T) { visit(t, full, c) })
			down(full, c.Subcommands)
		}
	}
	down(nil, newApp().Commands)
	if seen < 20 {
		t.Fatalf("the program has %d commands, the walk does not see them all", seen)
	}
}

// found returns the command with a full name in a program.
func found(app *cli.App, path []string) *cli.Command {
	var c *cli.Command
	commands := app.Commands
	for _, name := range path {
		i := slices.IndexFunc(commands, func(k *cli.Command) bool { return k.HasName(name) })
		if i < 0 {
			return nil
		}
		c, commands = commands[i], commands[i].Subcommands
	}
	return c
}

// ran is what one call of the program left behind.
type ran struct {
	code           int
	stdout, stderr string
}

func call(t *testing.T, app *cli.App, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := frame.Run(context.Background(), app, append([]string{"exhibit"}, args...), &stdout, &stderr)
	return ran{code, stdout.String(), stderr.String()}
}

// mustRefuse checks the form of every refusal: exit code 2, one line that
// says what is wrong, at most one that helps, nothing where results go.
func mustRefuse(t *testing.T, r ran, names string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	switch {
	case r.code != command.Usage:
		t.Errorf("exit code %d, want %d; standard error:\n%s", r.code, command.Usage, r.stderr)
	case r.stdout != "":
		t.Errorf("a refusal must leave standard output alone, it holds:\n%s", r.stdout)
	case !strings.HasPrefix(lines[0], "exhibit: ") || !strings.Contains(lines[0], names):
		t.Errorf("the first line must name %q: %s", names, lines[0])
	case len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: "):
		t.Errorf("want one line and at most one hint, have:\n%s", r.stderr)
	}
}

// valueFor returns a value that a flag accepts.
func valueFor(f cli.Flag) string {
	switch f.(type) {
	case *cli.IntFlag, *cli.Int64Flag, *cli.IntSliceFlag:
		return "7"
	case *cli.DurationFlag:
		return "7s"
	}
	return "seven"
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return !ok || d.TakesValue()
}

// withRequired returns the flags that a command insists on, but those of
// the same name as skip.
func withRequired(c *cli.Command, skip string) []string {
	var out []string
	for _, f := range c.Flags {
		if r, ok := f.(cli.RequiredFlag); ok && r.IsRequired() && f.Names()[0] != skip {
			out = append(out, "--"+f.Names()[0], valueFor(f))
		}
	}
	return out
}

func TestEveryFlagOfEveryCommandWorksBehindArguments(t *testing.T) {
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		if len(c.Subcommands) > 0 {
			t.Skip("a group runs nothing itself")
		}
		for _, f := range append(slices.Clone(c.Flags), newApp().Flags...) {
			for _, name := range f.Names() {
				tryFlag(t, path, c, f, name)
			}
		}
	})
}

// tryFlag calls a command with one flag behind its argument, in each way of
// writing it, and looks at what the command's action is given.
func tryFlag(t *testing.T, path []string, c *cli.Command, f cli.Flag, name string) {
	t.Helper()
	dash, value := "--", valueFor(f)
	if len(name) == 1 {
		dash = "-"
	}
	forms := [][]string{{dash + name}}
	if takesValue(f) {
		forms = [][]string{{dash + name, value}, {dash + name + "=" + value}}
	}
	for _, form := range forms {
		args := append(slices.Clone(path), "argument")
		args = append(append(args, form...), withRequired(c, f.Names()[0])...)
		app := newApp()
		given := false
		found(app, path).Action = func(ctx *cli.Context) error {
			given = true
			if !ctx.IsSet(name) {
				t.Errorf("%q: the command does not see --%s", args, name)
			}
			if got := ctx.Value(name); takesValue(f) && !strings.Contains(strings.ToLower(toText(got)), strings.ToLower(value)) {
				t.Errorf("%q: the command sees --%s as %v", args, name, got)
			}
			if got := ctx.Args().Slice(); !reflect.DeepEqual(got, []string{"argument"}) {
				t.Errorf("%q: the command sees the arguments %q", args, got)
			}
			return nil
		}
		if r := call(t, app, args...); r.code != 0 || !given {
			t.Errorf("%q: exit code %d, ran: %v\n%s", args, r.code, given, r.stderr)
		}
	}
}

func toText(v any) string {
	if s, ok := v.(cli.StringSlice); ok {
		return strings.Join(s.Value(), ",")
	}
	return fmt.Sprint(v)
}

func TestUnknownFlagsAndCommandsAreRefusedInOneLine(t *testing.T) {
	mustRefuse(t, call(t, newApp(), "--no-such-flag"), "--no-such-flag")
	mustRefuse(t, call(t, newApp(), "nosuchcommand"), "nosuchcommand")
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		for _, args := range [][]string{{"--no-such-flag"}, {"--no-such-flag=1", "argument"}, {"argument", "-Z"}} {
			names := "--no-such-flag"
			if len(c.Subcommands) > 0 && args[0] == "argument" {
				names = "argument" // a group takes it for a command's name
			} else if args[0] == "argument" {
				names = "-Z"
			}
			mustRefuse(t, call(t, newApp(), append(slices.Clone(path), args...)...), names)
		}
		if len(c.Subcommands) > 0 {
			mustRefuse(t, call(t, newApp(), append(slices.Clone(path), "nosuchcommand")...), "nosuchcommand")
			mustRefuse(t, call(t, newApp(), path...), c.Subcommands[0].Name)
			mustRefuse(t, call(t, newApp(), append(slices.Clone(path), "--json")...), c.Subcommands[0].Name)
		}
	})
}

func TestMissingAndMalformedFlagValuesAreRefusedInOneLine(t *testing.T) {
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		for _, f := range c.Flags {
			name := f.Names()[0]
			if takesValue(f) {
				mustRefuse(t, call(t, newApp(), append(slices.Clone(path), "argument", "--"+name)...), name)
			}
			switch f.(type) {
			case *cli.IntFlag, *cli.Int64Flag, *cli.DurationFlag:
				args := append(append(slices.Clone(path), "argument", "--"+name, "seven"), withRequired(c, name)...)
				mustRefuse(t, call(t, newApp(), args...), name)
			}
			if r, ok := f.(cli.RequiredFlag); ok && r.IsRequired() {
				args := append(append(slices.Clone(path), "argument"), withRequired(c, name)...)
				mustRefuse(t, call(t, newApp(), args...), name)
			}
		}
	})
}

func TestHelpOfEveryCommandShowsAnExampleAndTheExitCodes(t *testing.T) {
	isHelp := func(t *testing.T, r ran, want ...string) {
		t.Helper()
		if r.code != 0 || r.stderr != "" {
			t.Errorf("exit code %d, standard error %q", r.code, r.stderr)
		}
		for _, w := range want {
			if !strings.Contains(r.stdout, w) {
				t.Errorf("the help does not contain %q:\n%s", w, r.stdout)
			}
		}
	}
	for _, flag := range []string{"--help", "-h"} {
		isHelp(t, call(t, newApp(), flag), "COMMANDS:", command.ExitHelp)
	}
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		want := []string{c.Usage, command.ExitHelp}
		if len(c.Subcommands) == 0 {
			want = append(want, "Example", "exhibit "+strings.Join(path, " "))
		}
		for _, sub := range c.Subcommands {
			want = append(want, sub.Name, sub.Usage)
		}
		isHelp(t, call(t, newApp(), append(slices.Clone(path), "--help")...), want...)
		isHelp(t, call(t, newApp(), append(slices.Clone(path), "-h")...), want...)
		if len(c.Subcommands) == 0 {
			isHelp(t, call(t, newApp(), append(slices.Clone(path), "argument", "--help")...), want...)
		}
	})
}

func TestArgumentsBehindTwoDashesAreNoFlags(t *testing.T) {
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		if len(c.Subcommands) > 0 {
			t.Skip("a group runs nothing itself")
		}
		app := newApp()
		var got []string
		asJSON := false
		found(app, path).Action = func(ctx *cli.Context) error {
			got, asJSON = ctx.Args().Slice(), ctx.Bool("json")
			return nil
		}
		args := append(append(slices.Clone(path), withRequired(c, "")...), "--", "--json", "-x", "--")
		if r := call(t, app, args...); r.code != 0 || asJSON || !slices.Equal(got, []string{"--json", "-x", "--"}) {
			t.Errorf("%q: exit code %d, json %v, arguments %q\n%s", args, r.code, asJSON, got, r.stderr)
		}
	})
}

func TestArrangedLinesAreArrangedAlready(t *testing.T) {
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		args := append(append([]string{"exhibit"}, path...), "--json")
		if len(c.Subcommands) == 0 {
			args = append(append(args, "argument", "--case", "dir", "other"), withRequired(c, "")...)
		} else {
			args = append(args, c.Subcommands[0].Name)
		}
		once, err := argv.Arrange(newApp(), args)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := argv.Arrange(newApp(), once)
		if err != nil || !slices.Equal(once, twice) {
			t.Errorf("%q becomes %q and then %q (%v)", args, once, twice, err)
		}
	})
}
