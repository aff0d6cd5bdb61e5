package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsers"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
)

func timelineCommand() *cli.Command {
	return &cli.Command{
		Name: "timeline", Usage: "one unified timeline of all exhibits", Category: catAnalyze,
		Subcommands: []*cli.Command{
			{
				Name: "build", Usage: "read bundles into the timeline", ArgsUsage: "[EXHIBIT|BUNDLE...]",
				Description: "Example:\n   exhibit timeline build            (every exhibit of the case)\n   exhibit timeline build EX-002 --tz Europe/Berlin\n\n" +
					"What was built before is not built again. The result does not depend on --workers.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "tz", Usage: "`ZONE` of records that state none (default: the host's own)"},
					&cli.IntFlag{Name: "year", Usage: "`YEAR` of logs that state none", DefaultText: "inferred"},
					&cli.IntFlag{Name: "workers", Usage: "`N` items are read at the same time", DefaultText: "one per processor"},
				},
				Action: timelineBuild,
			},
			queryCommand(), statsCommand(), exportCommand(), pushCommand(),
			{
				Name: "verify", Usage: "check the timeline's own files against its manifest", Action: timelineVerify,
				Description: "Example:\n   exhibit timeline verify",
			},
			{
				Name: "parsers", Usage: "what can be read", Action: timelineParsers,
				Description: "Example:\n   exhibit timeline parsers --json",
			},
		},
	}
}

func timelineParsers(c *cli.Context) error {
	type row struct {
		Name    string   `json:"name"`
		Version int      `json:"version"`
		Types   []string `json:"data_types"`
		Doc     string   `json:"doc"`
	}
	for _, p := range parsers.All() {
		r := row{p.Name, p.Version, p.Types, p.Doc}
		if c.Bool("json") {
			if err := command.JSON(c.App.Writer, r); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(c.App.Writer, "%-20s %s\n", r.Name, r.Doc); err != nil {
			return err
		}
	}
	return nil
}

// buildSummary is what `timeline build` reports of one bundle.
type buildSummary struct {
	Exhibit  string                         `json:"exhibit,omitempty"`
	Bundle   string                         `json:"bundle"`
	Seal     string                         `json:"seal"`
	Host     string                         `json:"host"`
	Zone     string                         `json:"zone"`
	ZoneSrc  string                         `json:"zone_source"`
	Items    int64                          `json:"items"`
	Parsed   int64                          `json:"parsed"`
	Reused   int64                          `json:"reused"`
	Unparsed int64                          `json:"unparsed"`
	Events   int64                          `json:"events"`
	Problems int64                          `json:"problems"`
	Bytes    int64                          `json:"bytes"`
	Seconds  float64                        `json:"seconds"`
	Parsers  map[string]analyze.ParserCount `json:"parsers"`
}

func timelineBuild(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	args, left := c.Args().Slice(), 0
	if len(args) == 0 {
		if args, left, err = readable(c, cs); err != nil {
			return err
		}
	}
	opt := analyze.Options{Parsers: parsers.All(), Workers: c.Int("workers"), Year: c.Int("year")}
	if tz := c.String("tz"); tz != "" {
		if opt.Zone, err = time.LoadLocation(tz); err != nil {
			return command.Fail(command.Usage, "use a name such as Europe/Berlin or UTC", err)
		}
	}
	// Every argument is looked at before anything is made.
	for _, arg := range args {
		if err := mayBuild(c, cs, arg); err != nil {
			return err
		}
	}
	store, err := local.Create(cs.Path(chainofcustody.TimelineDir))
	if err != nil {
		return timelineError(err)
	}
	var sums []*buildSummary
	for _, arg := range args {
		sum, err := buildOne(c, cs, store, arg, opt)
		if err != nil && c.Context.Err() != nil {
			err = command.Fail(command.Interrupted, "what is finished stays: exhibit timeline build goes on from there", err)
		}
		if err != nil {
			return errors.Join(err, store.Close())
		}
		sums = append(sums, sum)
	}
	if err := store.Close(); err != nil {
		return err
	}
	if err := reportBuild(c, cs, id, sums); err != nil || left == 0 {
		return err
	}
	return command.Exit(command.Partial)
}

// readable returns the exhibits of the case whose bundles can be opened, and
// how many cannot: one that was cut short must not keep the others from being
// read, be it that what recover saved of it is among them.
func readable(c *cli.Context, cs *chainofcustody.Case) (exhibits []string, left int, err error) {
	all, err := cs.Exhibits()
	if err != nil {
		return nil, 0, err
	}
	var last error
	for _, exhibit := range all {
		path, _, err := bundlePath(cs, exhibit)
		if err == nil {
			var f *bundleFile
			if f, _, err = openBundle(c, path); err == nil {
				f.Close()
				exhibits = append(exhibits, exhibit)
				continue
			}
		}
		if errors.Is(err, verifying.ErrNotCollected) {
			fmt.Fprintf(c.App.ErrWriter, "%s is ordered and not collected yet\n", exhibit)
			continue
		}
		left, last = left+1, err
		fmt.Fprintf(c.App.ErrWriter, "%s is left out: %s\n", exhibit, term.Escape(err.Error()))
	}
	switch {
	case len(exhibits) > 0:
		return exhibits, left, nil
	case last != nil:
		return nil, left, last
	}
	return nil, 0, command.Failf(command.Failure, "collect first: exhibit collect", "the case has no exhibit to build from")
}

// reportBuild records and prints what was built, once it is durable.
func reportBuild(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, sums []*buildSummary) error {
	var problems int64
	for _, sum := range sums {
		problems += sum.Problems
		if sum.Exhibit != "" {
			ev := chainofcustody.Event{
				Kind: chainofcustody.EventAnalysed, Tool: tool(), Seal: mustDigest(sum.Seal),
				Purpose: "build the timeline",
				Note: fmt.Sprintf("%d items read, %d events, %d problems, %d items no parser knows, zone %s (%s)",
					sum.Parsed, sum.Events, sum.Problems, sum.Unparsed, timeline.Printable(sum.Zone), sum.ZoneSrc),
			}
			if _, err := cs.Append(sum.Exhibit, ev, id); err != nil {
				return caseError(err)
			}
		}
		if err := printBuild(c, sum); err != nil {
			return err
		}
	}
	if problems > 0 {
		return command.Exit(command.Partial)
	}
	return nil
}

func mayBuild(c *cli.Context, cs *chainofcustody.Case, arg string) error {
	path, _, err := bundlePath(cs, arg)
	if err != nil {
		return err
	}
	f, _, err := openBundle(c, path)
	if err != nil {
		return err
	}
	return f.Close()
}

func buildOne(c *cli.Context, cs *chainofcustody.Case, store *local.Builder, arg string, opt analyze.Options) (*buildSummary, error) {
	path, exhibit, err := bundlePath(cs, arg)
	if err != nil {
		return nil, err
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	seal := r.Seal()
	opt.Bundle = seal.ID
	progress, err := frame.Progress(c, "building from "+filepath.Base(path))
	if err != nil {
		return nil, err
	}
	defer progress.Done()
	opt.Progress = func(p analyze.Progress) {
		progress.Set(term.Status{
			Bytes: p.Bytes, BytesTotal: max(p.BytesTotal, p.Bytes), Items: p.Items, ItemsTotal: p.ItemsTotal,
			Problems: p.Problems, Current: p.Current,
		})
	}
	start := time.Now()
	res, err := analyze.Run(c.Context, r.Evidence(), store, opt)
	progress.Done()
	if err != nil {
		return nil, fmt.Errorf("build from %s: %w", path, err)
	}
	return &buildSummary{
		Exhibit: exhibit, Bundle: path, Seal: seal.ID.String(), Host: res.Host.Name, Zone: res.Host.Zone.String(), ZoneSrc: res.Host.ZoneSrc,
		Items: res.Items, Parsed: res.Parsed, Reused: res.Reused, Unparsed: res.Unparsed,
		Events: res.Events, Problems: res.Problems, Bytes: res.Bytes, Seconds: time.Since(start).Seconds(), Parsers: res.PerParser,
	}, nil
}

func printBuild(c *cli.Context, s *buildSummary) error {
	w := c.App.Writer
	if c.Bool("json") {
		return command.JSON(w, s)
	}
	fmt.Fprintf(w, "%s: %d events from %d of %d items in %.1f s (%s read), host %s, zone %s (%s)\n",
		filepath.Base(s.Bundle), s.Events, s.Parsed, s.Items, s.Seconds, term.Size(s.Bytes), term.Escape(s.Host), term.Escape(s.Zone), s.ZoneSrc)
	if s.Reused > 0 {
		fmt.Fprintf(w, "  %d items were built before\n", s.Reused)
	}
	names := make([]string, 0, len(s.Parsers))
	for name := range s.Parsers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n := s.Parsers[name]
		fmt.Fprintf(w, "  %-20s %6d items %10d events", name, n.Items, n.Events)
		if n.Problems > 0 {
			fmt.Fprintf(w, " %8d problems", n.Problems)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "  %-20s %6d items\n", "(no parser)", s.Unparsed)
	if s.Problems > 0 {
		fmt.Fprintf(c.App.ErrWriter, "%d problems: exhibit timeline stats --problems lists them\n", s.Problems)
	}
	return nil
}

func timelineVerify(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	eng, err := local.Open(cs.Path(chainofcustody.TimelineDir), local.Options{})
	if err != nil {
		return timelineError(err)
	}
	defer eng.Close()
	damage := []string{}
	res, err := eng.Verify(c.Context, func(err error) { damage = append(damage, err.Error()) })
	if err != nil {
		return err
	}
	verdict := "INTACT"
	if len(damage) > 0 {
		verdict = "DAMAGED"
	}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, map[string]any{"verdict": verdict, "files": res.Files, "bytes": res.Bytes, "damage": damage})
	} else {
		fmt.Fprintf(c.App.Writer, "%s  %d files, %s\n", verdict, res.Files, term.Size(res.Bytes))
		for _, d := range damage {
			fmt.Fprintf(c.App.Writer, "  - %s\n", term.Escape(d))
		}
	}
	if err == nil && len(damage) > 0 {
		return command.Failf(command.Integrity, "delete the timeline folder and build it again: it is derived from the bundles", "%d files of the timeline are missing or changed", len(damage))
	}
	return err
}

func openTimeline(c *cli.Context) (*chainofcustody.Case, *local.Engine, error) {
	cs, err := openCase(c)
	if err != nil {
		return nil, nil, err
	}
	eng, err := local.Open(cs.Path(chainofcustody.TimelineDir), local.Options{})
	return cs, eng, timelineError(err)
}

func timelineError(err error) error {
	switch {
	case errors.Is(err, local.ErrNoTimeline):
		return command.Fail(command.NoCase, "build it first: exhibit timeline build", err)
	case errors.Is(err, local.ErrNewer):
		return command.Fail(command.NoCase, "use the newer exhibit that wrote it, or delete the timeline folder and build again", err)
	case errors.Is(err, local.ErrBusy):
		return command.Fail(command.NoCase, "wait for the other command to end", err)
	}
	return err
}

// exhibitNumber is how an exhibit of a case is named.
var exhibitNumber = regexp.MustCompile(`^EX-[0-9]{3,}$`)
