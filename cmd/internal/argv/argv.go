// Package argv puts a command line into the order urfave/cli/v2 reads: flags
// before arguments. That library silently takes a flag behind an argument for
// another argument, so that `verify bundle --json` would run without --json;
// for a tool whose answers are evidence that is not acceptable.
package argv

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// UsageError says what is wrong with a command line, in one line.
type UsageError struct {
	Message string
	Hint    string // what to do instead; "" for none
}

func (e *UsageError) Error() string { return e.Message }

// Arrange returns args in the order the library reads: program, global flags,
// then for each command of the path its name and flags, then the arguments
// behind "--". Flags may stand anywhere; what belongs to whom is decided by
// the command tree. Unknown flags and commands are a *UsageError.
func Arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	a := arranger{program: app.Name, levels: []level{{flags: flagsOf(app.Flags), commands: app.Commands}}}
	if err := a.read(args[1:]); err != nil {
		return nil, err
	}
	out := []string{args[0]}
	for _, l := range a.levels {
		if l.name != "" {
			out = append(out, l.name)
		}
		out = append(out, l.given...)
	}
	// The library would take an argument behind --help for a topic.
	if len(a.rest) > 0 && !a.asked {
		out = append(append(out, "--"), a.rest...)
	}
	return out, nil
}

// level is the program or one command with the flags given to it.
type level struct {
	name     string
	flags    map[string]bool // name to "takes a value"
	commands []*cli.Command
	given    []string
}

type arranger struct {
	program string
	levels  []level
	rest    []string
	asked   bool // for help
}

func flagsOf(flags []cli.Flag) map[string]bool {
	m := map[string]bool{"help": false, "h": false}
	for _, f := range flags {
		takes := true
		if d, ok := f.(cli.DocGenerationFlag); ok {
			takes = d.TakesValue()
		}
		for _, n := range f.Names() {
			m[n] = takes
		}
	}
	return m
}

func (a *arranger) read(args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			a.rest = append(a.rest, args[i+1:]...)
			return a.complete()
		case len(arg) > 1 && arg[0] == '-':
			used, err := a.flag(arg, args[i+1:])
			if err != nil {
				return err
			}
			i += used
		case len(a.rest) == 0 && len(a.last().commands) > 0:
			if err := a.enter(arg); err != nil {
				return err
			}
		default:
			a.rest = append(a.rest, arg)
		}
	}
	return a.complete()
}

func (a *arranger) last() *level { return &a.levels[len(a.levels)-1] }

// flag gives one flag to the innermost command that knows it and returns how
// many of the following words are its value.
func (a *arranger) flag(arg string, following []string) (used int, err error) {
	name := strings.TrimLeft(arg, "-")
	name, _, hasValue := strings.Cut(name, "=")
	for i := len(a.levels) - 1; i >= 0; i-- {
		takes, known := a.levels[i].flags[name]
		if !known {
			continue
		}
		given := []string{arg}
		if takes && !hasValue {
			if len(following) == 0 {
				return 0, &UsageError{fmt.Sprintf("flag %s needs a value", arg), a.help()}
			}
			given, used = append(given, following[0]), 1
		}
		if name == "help" || name == "h" {
			i, a.asked = len(a.levels)-1, true
		}
		a.levels[i].given = append(a.levels[i].given, given...)
		return used, nil
	}
	return 0, &UsageError{fmt.Sprintf("unknown flag %s for %q", quoteFlag(arg), a.path()), a.suggestFlag(name)}
}

// enter takes arg as the name of a command of the innermost level.
func (a *arranger) enter(arg string) error {
	for _, c := range a.last().commands {
		if c.HasName(arg) {
			a.levels = append(a.levels, level{name: c.Name, flags: flagsOf(c.Flags), commands: c.Subcommands})
			return nil
		}
	}
	if arg == "help" || arg == "h" {
		a.rest = append(a.rest, arg)
		return nil
	}
	return &UsageError{fmt.Sprintf("unknown command %q", arg), a.suggestCommand(arg)}
}

// complete checks that a group of commands was not called without one.
func (a *arranger) complete() error {
	l := a.last()
	if len(l.commands) == 0 || l.name == "" || len(l.given) > 0 {
		return nil
	}
	names := make([]string, 0, len(l.commands))
	for _, c := range l.commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return &UsageError{fmt.Sprintf("%q needs one of: %s", a.path(), strings.Join(names, ", ")), a.help()}
}

func (a *arranger) path() string {
	names := make([]string, 0, len(a.levels))
	for _, l := range a.levels {
		if l.name != "" {
			names = append(names, l.name)
		}
	}
	if len(names) == 0 {
		return a.program
	}
	return strings.Join(names, " ")
}

func (a *arranger) help() string {
	if p := a.path(); p != a.program {
		return fmt.Sprintf("see: %s %s --help", a.program, p)
	}
	return fmt.Sprintf("see: %s --help", a.program)
}

func (a *arranger) suggestFlag(name string) string {
	for _, c := range a.levels[0].commands {
		if c.HasName(name) {
			return fmt.Sprintf("did you mean the command %q?", c.Name)
		}
	}
	best, dist := "", 3
	for i := len(a.levels) - 1; i >= 0 && len(name) > 1; i-- {
		for known := range a.levels[i].flags {
			if d := distance(name, known); len(known) > 1 && (d < dist || d == dist && known < best) {
				best, dist = known, d
			}
		}
	}
	if best != "" {
		return "did you mean --" + best + "?"
	}
	return "put -- before arguments that begin with a dash; " + a.help()
}

func (a *arranger) suggestCommand(name string) string {
	best, dist := "", 3
	for _, c := range a.last().commands {
		if c.Hidden {
			continue
		}
		if d := distance(name, c.Name); d < dist {
			best, dist = c.Name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return a.help()
}

func quoteFlag(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return fmt.Sprintf("%q", name)
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
