package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func statsCommand() *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "what is in the timeline", ArgsUsage: "[QUERY]",
		Description: "Example:\n   exhibit timeline stats\n   exhibit timeline stats 'outcome:failure' --top src_ip\n   exhibit timeline stats --hist 1h\n   exhibit timeline stats --problems",
		Flags: append(rangeFlags(),
			&cli.StringFlag{Name: "top", Usage: "most frequent values of `FIELD`"},
			&cli.IntFlag{Name: "n", Value: 20, Usage: "at most `N` of them"},
			&cli.StringFlag{Name: "hist", Usage: "events per `WIDTH`, for example 1h"},
			&cli.BoolFlag{Name: "problems", Usage: "list what was lost or damaged"},
			&cli.BoolFlag{Name: "sources", Usage: "list what was read and by which parser"},
		),
		Action: timelineStats,
	}
}

func timelineStats(c *cli.Context) error {
	_, eng, err := openTimeline(c)
	if err != nil {
		return err
	}
	defer eng.Close()
	q, err := parseQuery(c, eng)
	if err != nil {
		return err
	}
	switch {
	case c.Bool("problems"):
		return printProblems(c, eng)
	case c.Bool("sources"):
		return printSources(c, eng)
	case c.String("top") != "":
		values, err := eng.Top(c.Context, q, c.String("top"), c.Int("n"))
		if err != nil {
			return err
		}
		return printValues(c, values)
	case c.String("hist") != "":
		return printHist(c, eng, q)
	}
	return printOverview(c, eng, q)
}

// printOverview says how much there is of what, from when to when.
func printOverview(c *cli.Context, eng timeline.Engine, q timeline.Query) error {
	st, err := timeline.Summarize(c.Context, eng, q)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		out := map[string]any{
			"events": st.Events, "undated": st.Undated, "hosts": valueRows(st.Hosts), "data_types": valueRows(st.DataTypes), "parsers": valueRows(st.Parsers),
			"sources": st.Sources, "unparsed": st.Unparsed, "problems": st.Problems, "problem_codes": st.ProblemCodes,
		}
		if st.Undated < st.Events {
			out["first"], out["last"] = timeline.FormatTime(st.First), timeline.FormatTime(st.Last)
		}
		return command.JSON(c.App.Writer, out)
	}
	w := c.App.Writer
	fmt.Fprintf(w, "%d events, %d of them undated, %d problems\n", st.Events, st.Undated, st.Problems)
	if st.Undated < st.Events {
		fmt.Fprintf(w, "from %s to %s\n", timeline.FormatTime(st.First), timeline.FormatTime(st.Last))
	}
	for _, list := range []struct {
		name   string
		values []timeline.Value
	}{{"host", st.Hosts}, {"data type", st.DataTypes}, {"parser", st.Parsers}} {
		fmt.Fprintf(w, "by %s\n", list.name)
		for _, v := range list.values {
			fmt.Fprintf(w, "%10d  %s\n", v.Count, term.Escape(v.Value))
		}
	}
	return nil
}

// valueRow is a value and how often it occurs, as JSON shows it.
type valueRow struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

func valueRows(values []timeline.Value) []valueRow {
	rows := make([]valueRow, len(values))
	for i, v := range values {
		rows[i] = valueRow{v.Value, v.Count}
	}
	return rows
}

func printValues(c *cli.Context, values []timeline.Value) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, valueRows(values))
	}
	for _, v := range values {
		fmt.Fprintf(c.App.Writer, "%10d  %s\n", v.Count, term.Escape(v.Value))
	}
	return nil
}

func printHist(c *cli.Context, eng timeline.Engine, q timeline.Query) error {
	width, err := time.ParseDuration(c.String("hist"))
	if err != nil || width <= 0 {
		return command.Failf(command.Usage, "write a width such as 10m, 1h or 24h", "bad width %q", c.String("hist"))
	}
	buckets, err := eng.Hist(c.Context, q, int64(width))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		type row struct {
			Start string `json:"start"`
			Count int64  `json:"count"`
		}
		rows := make([]row, len(buckets))
		for i, b := range buckets {
			rows[i] = row{timeline.FormatTime(b.Start), b.Count}
		}
		return command.JSON(c.App.Writer, rows)
	}
	most := int64(1)
	for _, b := range buckets {
		most = max(most, b.Count)
	}
	for _, b := range buckets {
		fmt.Fprintf(c.App.Writer, "%s %10d  %s\n", time.Unix(0, b.Start).UTC().Format("2006-01-02T15:04:05Z"), b.Count,
			strings.Repeat("█", int(max(b.Count*50/most, 1))))
	}
	return nil
}

func printProblems(c *cli.Context, eng timeline.Engine) error {
	for p, err := range eng.Problems(c.Context) {
		if err != nil {
			return err
		}
		if c.Bool("json") {
			err = command.JSON(c.App.Writer, map[string]any{
				"stage": p.Stage, "code": p.Code, "path": timeline.Printable(p.Path), "member": p.Ref.Member,
				"offset": p.Ref.Offset, "length": p.Ref.Length, "detail": timeline.Printable(p.Detail),
			})
		} else {
			where := ""
			if p.Ref.Offset >= 0 {
				where = " at " + strconv.FormatInt(p.Ref.Offset, 10)
			}
			_, err = fmt.Fprintf(c.App.Writer, "%-12s %-16s %s%s: %s\n", p.Code, p.Stage, term.Escape(p.Path), where, term.Escape(p.Detail))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func printSources(c *cli.Context, eng timeline.Engine) error {
	for s, err := range eng.Sources(c.Context) {
		if err != nil {
			return err
		}
		if c.Bool("json") {
			err = command.JSON(c.App.Writer, map[string]any{
				"path": timeline.Printable(s.Source.Path), "member": s.Source.Member, "sha256": s.Source.SHA256.String(), "chain": s.Source.Chain,
				"parser": s.Parser, "events": s.Events, "problems": s.Problems, "bundle": s.Source.Bundle.String(),
			})
		} else {
			_, err = fmt.Fprintf(c.App.Writer, "%10d %6d  %-22s %s\n", s.Events, s.Problems, s.Parser, term.Escape(s.Source.Path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
