package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

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
			&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "at most `N` events, 0 for all"},
			&cli.IntFlag{Name: "last", Usage: "the last `N` dated events instead of the first", DefaultText: "off"},
			&cli.StringFlag{Name: "around", Usage: "events within 5 minutes of the event `ID`; ID±10m for other widths"},
			&cli.StringFlag{Name: "fields", Usage: "show these `COLUMNS`, comma separated, for example ts,user,cmdline"},
			&cli.StringFlag{Name: "tz", Value: "UTC", Usage: "show times in `ZONE`"},
			&cli.BoolFlag{Name: "explain", Usage: "say how the query would run instead of running it"},
		),
		Action: timelineQuery,
	}
}

// parseQuery joins the arguments and the flags that narrow them.
func parseQuery(c *cli.Context, eng timeline.Engine) (timeline.Query, error) {
	return parseQueryOf(c, eng, c.Args().Slice())
}

// parseQueryOf is parseQuery where the query is not all of the arguments.
func parseQueryOf(c *cli.Context, eng timeline.Engine, words []string) (timeline.Query, error) {
	q, err := timeline.Parse(strings.Join(words, " "))
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
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return command.JSON(c.App.Writer, map[string]string{"explain": text})
		}
		_, err = fmt.Fprintln(c.App.Writer, text)
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
		err = command.InertJSON(c.App.Writer, func(w io.Writer) error {
			shown, err = timeline.WriteJSONL(w, events)
			return err
		})
		return shown, err
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

// isEventID reports whether s is an event id or the start of one.
func isEventID(s string) bool {
	if len(s) < 8 || len(s) > 32 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
