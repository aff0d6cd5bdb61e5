package gathering

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// budgetFlags bound what a collection costs the host.
func budgetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "cpu", Usage: "at most this `PERCENT` of one processor core", DefaultText: "no bound"},
		&cli.StringFlag{Name: "io-rate", Usage: "read at most this `SIZE` of evidence a second, for example 20M"},
		&cli.StringFlag{Name: "max-size", Usage: "end the bundle before it is longer than this `SIZE`, for example 2G"},
		&cli.StringFlag{Name: "split", Usage: "go on in another bundle, which continues the first, after this `SIZE`, 16M or more"},
		&cli.DurationFlag{Name: "max-time", Usage: "end the collection after this `TIME` and seal what there is, for example 9m", DefaultText: "no bound"},
		&cli.StringFlag{Name: "max-memory", Usage: "use at most this `SIZE` of memory, 56M or more"},
		&cli.BoolFlag{Name: "polite", Usage: "give way to the host's own work once what is volatile is taken", DefaultText: "on a running host; --polite=false"},
	}
}

// status is a sign of life as it is shown.
func status(p collect.Progress) term.Status {
	s := term.Status{
		Bytes: p.Bytes, Items: p.Items, Stage: p.Collector, Doing: p.Doing, Current: p.Path, Since: p.Since, Reading: p.Reading,
	}
	if p.Waiting != "" {
		s.Doing = "waiting: " + p.Waiting + ", then " + p.Doing
	}
	return s
}

// resuming reports whether the flags may lift a bound of an interrupted run: a
// budget of 0, which is a mistake elsewhere, is none then.
func resuming(c *cli.Context) bool { return c.Command != nil && c.Command.Name == "resume" }

// budget reads these flags.
func budget(c *cli.Context) (collect.Budget, error) {
	b := collect.Budget{CPU: c.Int("cpu"), MaxTime: c.Duration("max-time"), Polite: c.String("root") == "/"}
	if c.IsSet("polite") {
		b.Polite = c.Bool("polite")
	}
	for _, f := range []struct {
		name string
		to   *int64
	}{{"io-rate", &b.IORate}, {"max-size", &b.MaxSize}, {"max-memory", &b.MaxMemory}} {
		n, err := ParseSize(strings.TrimSuffix(c.String(f.name), "/s"))
		if err != nil {
			return b, err
		}
		if n == 0 && c.IsSet(f.name) && !resuming(c) {
			return b, command.Failf(command.Usage, "leave the flag out for no bound", "--%s 0 leaves no room for anything", f.name)
		}
		*f.to = n
	}
	if (c.IsSet("cpu") && b.CPU == 0 || c.IsSet("max-time") && b.MaxTime == 0) && !resuming(c) {
		return b, command.Failf(command.Usage, "leave the flag out for no bound", "--cpu 0 and --max-time 0 leave no room for anything")
	}
	if err := b.Check(); err != nil {
		return b, command.Fail(command.Usage, "give more, or leave the flag out", errors.New(strings.TrimPrefix(err.Error(), collect.ErrBudget.Error()+": ")))
	}
	return b, nil
}
