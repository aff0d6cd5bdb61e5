package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

const queryHelp = `The query language (docs/query.md):
   words and "phrases"          anywhere in the event
   user:root  exe:*/bash  cmdline:/wget|curl/  pid:[100 TO 200]  ip:203.0.113.0/24  ts:[2026-11-23 TO 2026-11-24]
   AND OR NOT -  parentheses    put -- before a query that begins with a dash`

func rangeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "from", Usage: "events at or after `TIME` (RFC 3339 or a date, UTC)"},
		&cli.StringFlag{Name: "to", Usage: "events before `TIME`"},
	}
}

func queryCommand() *cli.Command {
	return &cli.Command{
		Name: "query", Usage: "show the events that match", ArgsUsage: "[QUERY]",
		Description: "Example:\n   exhibit timeline query 'action:user-login AND outcome:success' --from 2026-11-23\n\n" + queryHelp,
		Flags: append(rangeFlags(),
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "at most this many events, 0 for all"},
			&cli.IntFlag{Name: "last", Usage: "the last `N` dated events instead of the first"},
			&cli.StringFlag{Name: "around", Usage: "events within 5 minutes of the event `ID`, or of `ID±10m`"},
			&cli.StringFlag{Name: "fields", Usage: "show these columns, comma separated"},
			&cli.StringFlag{Name: "tz", Value: "UTC", Usage: "show times in `ZONE`"},
			&cli.BoolFlag{Name: "explain", Usage: "say how the query would run instead of running it"},
		),
		Action: timelineQuery,
	}
}

// parseQuery joins the arguments and the flags that narrow them.
func parseQuery(c *cli.Context, eng timeline.Engine) (timeline.Query, error) {
	q, err := timeline.Parse(strings.Join(c.Args().Slice(), " "))
	if err != nil {
		return q, queryError(err)
	}
	from, to := c.String("from"), c.String("to")
	if around := c.String("around"); around != "" {
		if from, to, err = aroundEvent(c, eng, around); err != nil {
			return q, err
		}
	}
	if from != "" || to != "" {
		span, err := between(from, to)
		if err != nil {
			return q, err
		}
		if q.Where == nil {
			q.Where = span
		} else {
			q.Where = timeline.And{span, q.Where}
		}
	}
	return q, nil
}

// queryError is a usage error; the error itself names the character.
func queryError(err error) error {
	return command.Fail(command.Usage, "see: exhibit timeline query --help", err)
}

// between is the condition on ts that --from and --to stand for.
func between(from, to string) (timeline.Expr, error) {
	m := timeline.Match{Field: "ts", Op: timeline.OpRange, HiExc: true}
	for _, b := range []struct {
		text  string
		bound *string
	}{{from, &m.Lo}, {to, &m.Hi}} {
		if b.text == "" {
			continue
		}
		first, _, ok := timeline.ParseTime(b.text)
		if !ok {
			return nil, command.Failf(command.Usage, "write 2026-11-23 or 2026-11-23T09:10:00Z", "%q is not a time", b.text)
		}
		*b.bound = strconv.FormatInt(first, 10)
	}
	return m, nil
}

// aroundEvent returns the bounds of the time around an event.
func aroundEvent(c *cli.Context, eng timeline.Engine, arg string) (from, to string, err error) {
	width := 5 * time.Minute
	name, w, ok := strings.Cut(arg, "±")
	if ok {
		if width, err = time.ParseDuration(w); err != nil {
			return "", "", command.Fail(command.Usage, "write ID±10m", err)
		}
	}
	ev, err := findEvent(c, eng, name)
	if err != nil {
		return "", "", err
	}
	t, dated := ev.Time()
	if !dated {
		return "", "", command.Failf(command.Usage, "choose a dated event", "event %s has no time", name)
	}
	return t.Add(-width).Format(time.RFC3339Nano), t.Add(width).Format(time.RFC3339Nano), nil
}

// findEvent returns the event of an id, which may be shortened to what is
// unique.
func findEvent(c *cli.Context, eng timeline.Engine, id string) (*timeline.Event, error) {
	if full, ok := timeline.ParseID(id); ok {
		ev, err := eng.Get(c.Context, full)
		if errors.Is(err, timeline.ErrNoEvent) {
			return nil, command.Fail(command.Failure, idHint, fmt.Errorf("%s: %w", id, err))
		}
		return ev, err
	}
	if !isEventID(id) {
		return nil, command.Failf(command.Usage, idHint, "%q is no event id, nor the first 8 digits or more of one", id)
	}
	q := timeline.Query{Where: timeline.Match{Field: "event_id", Op: timeline.OpWildcard, Value: id + "*"}, Limit: 2}
	var found *timeline.Event
	for ev, err := range eng.Events(c.Context, q, nil) {
		if err != nil {
			return nil, err
		}
		if found != nil {
			return nil, command.Failf(command.Usage, "give more digits", "several events begin with %s", id)
		}
		found = ev.Clone()
	}
	if found == nil {
		return nil, command.Fail(command.Failure, idHint, fmt.Errorf("%s: %w", id, timeline.ErrNoEvent))
	}
	return found, nil
}

const idHint = "exhibit timeline query 'words' shows ids in its first column"

func timelineQuery(c *cli.Context) error {
	_, eng, err := openTimeline(c)
	if err != nil {
		return err
	}
	defer eng.Close()
	q, err := parseQuery(c, eng)
	if err != nil {
		return err
	}
	if c.Bool("explain") {
		text, err := eng.Explain(c.Context, q)
		if err == nil {
			fmt.Fprintln(c.App.Writer, text)
		}
		return err
	}
	zone, err := time.LoadLocation(c.String("tz"))
	if err != nil {
		return command.Fail(command.Usage, "use a name such as Europe/Berlin or UTC", err)
	}
	q.Limit = max(c.Int("limit"), 0)
	if n := c.Int("last"); n > 0 {
		return lastEvents(c, eng, q, n, zone)
	}
	return firstEvents(c, eng, q, zone)
}

// firstEvents shows the events up to the limit and says on standard error
// when there are more. How many more it does not say: to count them is to
// look at the whole timeline for a page of it.
func firstEvents(c *cli.Context, eng timeline.Engine, q timeline.Query, zone *time.Location) error {
	limit, more := int64(q.Limit), false
	if limit > 0 {
		q.Limit++
	}
	_, err := printEvents(c, func(yield func(*timeline.Event, error) bool) {
		n := int64(0)
		for ev, err := range eng.Events(c.Context, q, nil) {
			if n++; err == nil && limit > 0 && n > limit {
				more = true
				return
			}
			if !yield(ev, err) {
				return
			}
		}
	}, zone)
	if err == nil && more && !c.Bool("quiet") {
		fmt.Fprintf(c.App.ErrWriter, "%d events shown, more match: --limit 0 shows all, timeline stats counts them\n", limit)
	}
	return err
}

// lastEvents shows the newest n dated events. It keeps only those while it
// reads, so that any number may match.
func lastEvents(c *cli.Context, eng timeline.Engine, q timeline.Query, n int, zone *time.Location) error {
	q.Limit = 0
	from, err := timeline.Tail(c.Context, eng, q, int64(n))
	if err != nil {
		return err
	}
	q.Where = timeline.Since(q.Where, from)
	var ring []*timeline.Event
	for ev, err := range eng.Events(c.Context, q, nil) {
		if err != nil {
			return err
		}
		if ring = append(ring, ev.Clone()); len(ring) > 2*n {
			ring = slices.Delete(ring, 0, len(ring)-n)
		}
	}
	_, err = printEvents(c, func(yield func(*timeline.Event, error) bool) {
		for _, ev := range ring[max(len(ring)-n, 0):] {
			if !yield(ev, nil) {
				return
			}
		}
	}, zone)
	return err
}

// printEvents writes events as JSON lines, chosen fields, or lines for people.
func printEvents(c *cli.Context, events iter.Seq2[*timeline.Event, error], zone *time.Location) (shown int64, err error) {
	if c.Bool("json") {
		return timeline.WriteJSONL(c.App.Writer, events)
	}
	for ev, err := range events {
		if err != nil {
			return shown, err
		}
		if err := printEvent(c, ev, zone); err != nil {
			return shown, err
		}
		shown++
	}
	return shown, nil
}

func printEvent(c *cli.Context, ev *timeline.Event, zone *time.Location) error {
	w := c.App.Writer
	if fields := c.String("fields"); fields != "" {
		var row []string
		for name := range strings.SplitSeq(fields, ",") {
			row = append(row, term.Escape(strings.Join(timeline.FieldOf(strings.TrimSpace(name)).Values(nil, ev), ",")))
		}
		_, err := fmt.Fprintln(w, strings.Join(row, "\t"))
		return err
	}
	return eventLine(w, ev, zone)
}

func eventLine(w io.Writer, ev *timeline.Event, zone *time.Location) error {
	when := "(undated)" + strings.Repeat(" ", 21)
	if t, ok := ev.Time(); ok {
		when = t.In(zone).Format("2006-01-02T15:04:05.000000Z07:00")
	}
	what := ev.DataType
	if ev.Action != "" {
		what += " " + ev.Action
	}
	if ev.Outcome == "failure" {
		what += " FAILED"
	}
	_, err := fmt.Fprintf(w, "%s  %s  %-12s %-36s %s\n", ev.ID.String()[:12], when, term.Escape(ev.Host), term.Escape(what), term.Escape(ev.Message))
	return err
}

func statsCommand() *cli.Command {
	return &cli.Command{
		Name: "stats", Usage: "what is in the timeline", ArgsUsage: "[QUERY]",
		Description: "Example:\n   exhibit timeline stats\n   exhibit timeline stats 'outcome:failure' --top src_ip\n   exhibit timeline stats --hist 1h\n   exhibit timeline stats --problems",
		Flags: append(rangeFlags(),
			&cli.StringFlag{Name: "top", Usage: "most frequent values of `FIELD`"},
			&cli.IntFlag{Name: "n", Value: 20, Usage: "how many of them"},
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
		return command.JSON(c.App.Writer, st)
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

func printValues(c *cli.Context, values []timeline.Value) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, values)
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
		return command.JSON(c.App.Writer, buckets)
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
				"stage": p.Stage, "code": p.Code, "path": term.Escape(p.Path), "member": p.Ref.Member,
				"offset": p.Ref.Offset, "length": p.Ref.Length, "detail": p.Detail,
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
				"path": term.Escape(s.Source.Path), "member": s.Source.Member, "sha256": s.Source.SHA256.String(), "chain": s.Source.Chain,
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

func exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write events for other tools", ArgsUsage: "[QUERY]",
		Description: "Example:\n   exhibit timeline export --format timesketch -o web01.jsonl\n   exhibit timeline export 'user:root' --format csv -o root.csv\n\n" +
			"Inside a case the export is recorded in the custody log of its exhibits.",
		Flags: append(rangeFlags(),
			&cli.StringFlag{Name: "format", Value: "jsonl", Usage: "jsonl, csv or timesketch"},
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
	out, err := createOutput(c)
	if err != nil {
		return err
	}
	rows, undated, err := write(out, eng.Events(c.Context, q, nil))
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "%d events exported", rows)
	if undated > 0 {
		fmt.Fprintf(c.App.ErrWriter, ", %d undated ones left out: the format needs a time", undated)
	}
	fmt.Fprintln(c.App.ErrWriter)
	if path := c.String("output"); path != "" && path != "-" {
		return recordExport(c, cs, path, fmt.Sprintf("%d events as %s", rows, c.String("format")))
	}
	return nil
}

// exporter returns the writer of a format and how many undated events it has
// no place for.
func exporter(format string) (func(io.Writer, iter.Seq2[*timeline.Event, error]) (rows, undated int64, err error), error) {
	type events = iter.Seq2[*timeline.Event, error]
	switch format {
	case "jsonl":
		return func(w io.Writer, e events) (int64, int64, error) {
			n, err := timeline.WriteJSONL(w, e)
			return n, 0, err
		}, nil
	case "csv":
		return func(w io.Writer, e events) (int64, int64, error) {
			n, err := timeline.WriteCSV(w, e, nil)
			return n, 0, err
		}, nil
	case "timesketch":
		return func(w io.Writer, e events) (int64, int64, error) {
			res, err := timeline.WriteTimesketch(w, e)
			return res.Rows, res.Undated, err
		}, nil
	}
	return nil, command.Failf(command.Usage, "choose jsonl, csv or timesketch", "unknown format %q", format)
}

// createOutput opens the file of --output, or standard output.
func createOutput(c *cli.Context) (io.WriteCloser, error) {
	path := c.String("output")
	if path == "" || path == "-" {
		return nopCloser{c.App.Writer}, nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Bool("force") {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, command.Fail(command.Failure, "choose another file, or overwrite it with --force", err)
	}
	return f, err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// recordExport notes in the custody log of every exhibit that something was
// written out.
func recordExport(c *cli.Context, cs *chainofcustody.Case, path, note string) error {
	id, err := identity(c)
	if err != nil {
		return err
	}
	digest, err := command.FileDigest(path)
	if err != nil {
		return err
	}
	names, err := cs.Exhibits()
	if err != nil {
		return err
	}
	for _, name := range names {
		ev := chainofcustody.Event{
			Kind: chainofcustody.EventExported, Tool: tool(), Note: note,
			Attach: []chainofcustody.Attachment{{Name: attachName(path), SHA256: digest}},
		}
		if _, err := cs.Append(name, ev, id); err != nil {
			return caseError(err)
		}
	}
	return nil
}

// attachName is a file's name in a custody event: relative, with slashes.
func attachName(path string) string { return filepath.Base(path) }

func dirOf(path string) string { return filepath.Dir(path) }

// isEventID reports whether s is an event id or the start of one.
func isEventID(s string) bool {
	if len(s) < 8 || len(s) > 32 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
