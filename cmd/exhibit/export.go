package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write events for other tools", ArgsUsage: "[QUERY]",
		Description: "Example:\n   exhibit timeline export --format timesketch -o web01.jsonl\n   exhibit timeline export 'user:root' --format csv -o root.csv\n\nFormats:\n" +
			formatHelp() + "\nAn export into a FILE is recorded in the custody log of the case's exhibits. docs/timeline-exports.md says what goes where\n" +
			"and what each format has no place for.",
		Flags: append(rangeFlags(),
			&cli.StringFlag{Name: "format", Value: "jsonl", Usage: "`FORMAT`, one of those above"},
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
	format, err := exporter(c.String("format"))
	if err != nil {
		return err
	}
	path := c.String("output")
	if path == "" || path == "-" {
		if c.Bool("json") && format.Text != export.JSONLines {
			return command.Failf(command.Usage, "leave --json away, or write into a file: -o FILE", "--json and %s cannot both go to standard output", format.Name)
		}
		if format.Text == export.Binary && term.IsTerminal(os.Stdout) {
			return command.Failf(command.Usage, "write into a file: -o FILE", "%s is not for a terminal", format.Name)
		}
		res, err := format.Write(c.App.Writer, eng.Events(c.Context, q, nil))
		if err == nil && !c.Bool("quiet") {
			fmt.Fprintln(c.App.ErrWriter, exported(res))
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
	var res export.Result
	err = writeFile(path, c.Bool("force"), func(w io.Writer) error {
		res, err = format.Write(w, counted(eng.Events(c.Context, q, nil), progress))
		return err
	})
	progress.Done()
	if err != nil {
		return err
	}
	if err := recordExport(cs, id, path, fmt.Sprintf("%d events as %s", res.Rows, format.Name)); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, struct {
			File   string `json:"file"`
			Format string `json:"format"`
			export.Result
		}{path, format.Name, res})
	}
	fmt.Fprintln(c.App.ErrWriter, exported(res))
	return nil
}

func exported(res export.Result) string {
	s := fmt.Sprintf("%d events exported", res.Rows)
	if res.Undated > 0 {
		s += fmt.Sprintf(", %d undated ones left out: the format needs a time", res.Undated)
	}
	if res.Others > 0 {
		s += fmt.Sprintf(", %d left out: the format is for other kinds of events", res.Others)
	}
	if res.Cut > 0 {
		s += fmt.Sprintf(", %d texts cut to what the format allows", res.Cut)
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

// exporter returns how a format is written. What this program writes as JSON
// is inert on a terminal.
func exporter(name string) (export.Format, error) {
	var names []string
	for _, f := range export.Formats {
		if f.Name != name {
			names = append(names, f.Name)
			continue
		}
		if f.Text == export.JSONLines {
			write := f.Write
			f.Write = func(w io.Writer, events export.Events) (res export.Result, err error) {
				err = command.InertJSON(w, func(w io.Writer) error {
					res, err = write(w, events)
					return err
				})
				return res, err
			}
		}
		return f, nil
	}
	return export.Format{}, command.Failf(command.Usage, "choose one of: "+strings.Join(names, ", "), "unknown format %q", name)
}

func formatHelp() string {
	var b strings.Builder
	for _, f := range export.Formats {
		fmt.Fprintf(&b, "   %-15s %s\n", f.Name, f.Doc)
	}
	return b.String()
}
