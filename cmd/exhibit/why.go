package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func whyCommand() *cli.Command {
	return &cli.Command{
		Name: "why", Usage: "walk back from an event to where it began", ArgsUsage: "EVENT|QUERY", Category: catAnalyze,
		Description: "Example:\n   exhibit why 0f3a5c…\n   exhibit why 'file:\"/etc/cron.d/sysupd\"' --svg why.svg --markdown why.md\n\n" +
			"EVENT is an id of timeline query or the start of one; QUERY is any query that matches the act in question.\n" +
			"Every sentence cites the events it rests on; exhibit prove EVENT shows their bytes.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "svg", Usage: "draw the graph into `FILE`"},
			&cli.StringFlag{Name: "dot", Usage: "write the graph for Graphviz into `FILE`"},
			&cli.StringFlag{Name: "graph", Usage: "write the graph as JSON into `FILE`"},
			&cli.StringFlag{Name: "markdown", Usage: "write the narrative into `FILE`"},
			&cli.BoolFlag{Name: "force", Usage: "overwrite those files"},
			&cli.DurationFlag{Name: "horizon", Usage: "look back at most this `TIME`, for example 720h", DefaultText: "no limit"},
			&cli.StringSliceFlag{Name: "internal", Usage: "addresses of your own, `CIDR` (repeatable; default: private ranges)"},
			&cli.IntFlag{Name: "max-edges", Value: 50, Usage: "show at most `N` edges"},
			&cli.IntFlag{Name: "max-events", Value: 100, Usage: "a QUERY may match at most `N` events"},
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
	id, err := graphSigner(c, cs)
	if err != nil {
		return err
	}
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
	if err := writeGraph(c, cs, id, g); err != nil {
		return err
	}
	if c.Bool("json") {
		var b bytes.Buffer
		if err := g.WriteJSON(&b); err != nil {
			return err
		}
		return command.JSON(c.App.Writer, json.RawMessage(b.Bytes())) // on one line, as all commands write it
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
		return nil, command.Failf(command.Failure, "exhibit timeline query 'words' finds events to ask about", "no event matches %q", text)
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
		path, err := verifying.BundleOf(cs, name)
		if err != nil {
			continue // an exhibit whose collection failed
		}
		f, r, err := openBundle(c, path)
		if err != nil {
			continue // cut short: no event came from it
		}
		files = append(files, f)
		*list = append(*list, r.Evidence())
	}
	return done, nil
}

// graphFiles are the flags of why that name a file, in the order in which the
// files are written.
var graphFiles = []string{"svg", "dot", "graph", "markdown"}

// graphSigner returns who signs for the files that are asked for, and refuses
// names that are taken before the walk and not after it.
func graphSigner(c *cli.Context, cs *chainofcustody.Case) (id *chainofcustody.Identity, err error) {
	for _, flag := range graphFiles {
		path := c.String(flag)
		if path == "" {
			continue
		}
		if !c.Bool("force") {
			if err := mustNotExist(path, "choose another file, or overwrite it with --force"); err != nil {
				return nil, err
			}
		}
		if id == nil {
			if id, err = signerFor(c, cs); err != nil {
				return nil, err
			}
		}
	}
	return id, nil
}

// writeGraph writes the files that the flags ask for.
func writeGraph(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, g *rootcause.Graph) error {
	write := map[string]func(io.Writer) error{"svg": g.WriteSVG, "dot": g.WriteDOT, "graph": func(w io.Writer) error { return command.InertJSON(w, g.WriteJSON) }, "markdown": g.WriteMarkdown}
	for _, flag := range graphFiles {
		path := c.String(flag)
		if path == "" {
			continue
		}
		if err := writeFile(path, c.Bool("force"), write[flag]); err != nil {
			return err
		}
		if err := recordExport(cs, id, path, "answer to: why "+timeline.Printable(strings.Join(c.Args().Slice(), " "))); err != nil {
			return err
		}
		if !c.Bool("quiet") {
			fmt.Fprintf(c.App.ErrWriter, "%s written\n", term.Escape(path))
		}
	}
	return nil
}
