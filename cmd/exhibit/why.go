package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func whyCommand() *cli.Command {
	return &cli.Command{
		Name: "why", Usage: "walk back from an event to where it began", ArgsUsage: "EVENT|QUERY", Category: catAnalyze,
		Description: "Example:\n   exhibit why 0f3a5c…\n   exhibit why 'file:\"/etc/cron.d/sysupd\"' --svg why.svg --markdown why.md\n\n" +
			"Every sentence cites the events it rests on; exhibit prove EVENT shows their bytes.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "svg", Usage: "draw the graph into `FILE`"},
			&cli.StringFlag{Name: "dot", Usage: "write the graph for Graphviz into `FILE`"},
			&cli.StringFlag{Name: "graph", Usage: "write the graph as JSON into `FILE`"},
			&cli.StringFlag{Name: "markdown", Usage: "write the narrative into `FILE`"},
			&cli.DurationFlag{Name: "horizon", Usage: "look back at most this far (default: no limit)"},
			&cli.StringSliceFlag{Name: "internal", Usage: "addresses of your own, `CIDR` (repeatable; default: private ranges)"},
			&cli.IntFlag{Name: "max-edges", Value: 50, Usage: "show at most this many edges"},
			&cli.IntFlag{Name: "max-events", Value: 100, Usage: "a QUERY may match at most this many events"},
		},
		Action: runWhy,
	}
}

func runWhy(c *cli.Context) error {
	if c.NArg() == 0 {
		return command.Failf(command.Usage, "see: exhibit why --help", "why needs an event id or a query")
	}
	cs, eng, err := openTimeline(c)
	if err != nil {
		return err
	}
	defer eng.Close()
	start, err := startOf(c, eng)
	if err != nil {
		return err
	}
	opt := rootcause.Options{Horizon: c.Duration("horizon"), MaxEdges: c.Int("max-edges")}
	for _, s := range c.StringSlice("internal") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return command.Fail(command.Usage, "write for example 203.0.113.0/24", err)
		}
		opt.Internal = append(opt.Internal, p)
	}
	done, err := allEvidence(c, cs, &opt.Evidence)
	defer done()
	if err != nil {
		return err
	}
	began := time.Now()
	g, err := rootcause.Why(c.Context, eng, start, opt)
	if err != nil {
		return err
	}
	if err := writeGraph(c, cs, g); err != nil {
		return err
	}
	if c.Bool("json") {
		return g.WriteJSON(c.App.Writer)
	}
	if err := g.WriteText(c.App.Writer); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		fmt.Fprintf(c.App.ErrWriter, "%d events read in %.1f s\n", g.Counts.Events, time.Since(began).Seconds())
	}
	return nil
}

// startOf returns the events that are asked about.
func startOf(c *cli.Context, eng timeline.Engine) ([]timeline.ID, error) {
	return startFrom(c, eng, strings.Join(c.Args().Slice(), " "))
}

// startFrom is startOf for a question that is not the arguments.
func startFrom(c *cli.Context, eng timeline.Engine, text string) ([]timeline.ID, error) {
	if isEventID(text) {
		ev, err := findEvent(c, eng, text)
		if err != nil {
			return nil, err
		}
		return []timeline.ID{ev.ID}, nil
	}
	q, err := timeline.Parse(text)
	if err != nil {
		return nil, queryError(err)
	}
	limit := c.Int("max-events")
	if limit <= 0 {
		limit = 100
	}
	q.Limit = limit + 1
	var ids []timeline.ID
	for ev, err := range eng.Events(c.Context, q, nil) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, ev.ID)
	}
	switch {
	case len(ids) == 0:
		return nil, command.Failf(command.Failure, "try it first: exhibit timeline query "+text, "no event matches %q", text)
	case len(ids) > limit:
		return nil, command.Failf(command.Usage, "narrow the query, or raise --max-events", "more than %d events match: why needs one act to explain", limit)
	}
	return ids, nil
}

// allEvidence opens the bundles of the case, for the contents that the walk
// may ask for.
func allEvidence(c *cli.Context, cs *chainofcustody.Case, list *[]analyze.Evidence) (done func(), err error) {
	var files []*bundleFile
	done = func() {
		for _, f := range files {
			f.Close()
		}
	}
	names, err := cs.Exhibits()
	if err != nil {
		return done, err
	}
	for _, name := range names {
		path, err := bundleOf(cs, name)
		if err != nil {
			continue // an exhibit whose collection failed
		}
		f, r, err := openBundle(c, path)
		if err != nil {
			return done, err
		}
		files = append(files, f)
		*list = append(*list, r.Evidence())
	}
	return done, nil
}

// writeGraph writes the files that the flags ask for.
func writeGraph(c *cli.Context, cs *chainofcustody.Case, g *rootcause.Graph) error {
	for flag, write := range map[string]func(io.Writer) error{
		"svg": g.WriteSVG, "dot": g.WriteDOT, "graph": g.WriteJSON, "markdown": g.WriteMarkdown,
	} {
		path := c.String(flag)
		if path == "" {
			continue
		}
		if err := writeFile(path, write); err != nil {
			return err
		}
		if err := recordExport(c, cs, path, "answer to: why "+timeline.Printable(strings.Join(c.Args().Slice(), " "))); err != nil {
			return err
		}
		fmt.Fprintf(c.App.ErrWriter, "%s written\n", path)
	}
	return nil
}

// writeFile writes a result into a file, replacing an earlier result whole.
func writeFile(path string, write func(io.Writer) error) error {
	temp, err := os.CreateTemp(dirOf(path), ".exhibit-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := write(temp); err != nil {
		temp.Close()
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
