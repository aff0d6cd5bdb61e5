package main

import (
	"fmt"
	"io"
	"iter"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write events for other tools", ArgsUsage: "[QUERY]",
		Description: "Example:\n   exhibit timeline export --format timesketch -o web01.jsonl\n   exhibit timeline export 'user:root' --format csv -o root.csv\n\n" +
			"An export into a FILE is recorded in the custody log of the case's exhibits.",
		Flags: append(rangeFlags(),
			&cli.StringFlag{Name: "format", Value: "jsonl", Usage: "`FORMAT`: jsonl, csv or timesketch"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` (default: standard output)"},
			&cli.BoolFlag{Name: "force", Usage: "overwrite FILE"},
		),
		Action: timelineExport,
	}
}

func timelineExport(c *cli.Context) error {
	cs, eng, err := openTimeline(c)
	if err != nil {
		return err
	}
	defer eng.Close()
	q, err := parseQuery(c, eng)
	if err != nil {
		return err
	}
	write, err := exporter(c.String("format"))
	if err != nil {
		return err
	}
	path := c.String("output")
	if path == "" || path == "-" {
		if c.Bool("json") && c.String("format") == "csv" {
			return command.Failf(command.Usage, "leave --json away, or write the CSV into a file: -o FILE", "--json and CSV cannot both go to standard output")
		}
		rows, undated, err := write(c.App.Writer, eng.Events(c.Context, q, nil))
		if err == nil && !c.Bool("quiet") {
			fmt.Fprintln(c.App.ErrWriter, exported(rows, undated))
		}
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	progress, err := frame.Progress(c, "exporting")
	if err != nil {
		return err
	}
	defer progress.Done()
	var rows, undated int64
	err = writeFile(path, c.Bool("force"), func(w io.Writer) error {
		rows, undated, err = write(w, counted(eng.Events(c.Context, q, nil), progress))
		return err
	})
	progress.Done()
	if err != nil {
		return err
	}
	if err := recordExport(cs, id, path, fmt.Sprintf("%d events as %s", rows, c.String("format"))); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]any{"file": path, "format": c.String("format"), "events": rows, "undated_left_out": undated})
	}
	fmt.Fprintln(c.App.ErrWriter, exported(rows, undated))
	return nil
}

func exported(rows, undated int64) string {
	s := fmt.Sprintf("%d events exported", rows)
	if undated > 0 {
		s += fmt.Sprintf(", %d undated ones left out: the format needs a time", undated)
	}
	return s
}

// counted shows how many events have gone by.
func counted(events iter.Seq2[*timeline.Event, error], progress *term.Progress) iter.Seq2[*timeline.Event, error] {
	return func(yield func(*timeline.Event, error) bool) {
		var s term.Status
		for ev, err := range events {
			if s.Items++; s.Items%1024 == 1 { // looking at the clock for each would show in the time it takes
				progress.Set(s)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// exporter returns the writer of a format and how many undated events it has
// no place for.
func exporter(format string) (func(io.Writer, iter.Seq2[*timeline.Event, error]) (rows, undated int64, err error), error) {
	type events = iter.Seq2[*timeline.Event, error]
	switch format {
	case "jsonl":
		return func(w io.Writer, e events) (n, _ int64, err error) {
			err = command.InertJSON(w, func(w io.Writer) error {
				n, err = timeline.WriteJSONL(w, e)
				return err
			})
			return n, 0, err
		}, nil
	case "csv":
		return func(w io.Writer, e events) (int64, int64, error) {
			n, err := timeline.WriteCSV(w, e, nil)
			return n, 0, err
		}, nil
	case "timesketch":
		return func(w io.Writer, e events) (rows, undated int64, err error) {
			err = command.InertJSON(w, func(w io.Writer) error {
				res, err := timeline.WriteTimesketch(w, e)
				rows, undated = res.Rows, res.Undated
				return err
			})
			return rows, undated, err
		}, nil
	}
	return nil, command.Failf(command.Usage, "choose jsonl, csv or timesketch", "unknown format %q", format)
}
