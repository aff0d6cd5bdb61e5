package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	counsel "github.com/exhibit-dfir/exhibit/chainofcustody/report"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/html"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/pdf"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// paperFlags choose how a paper is written.
func paperFlags(output string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: output},
		&cli.BoolFlag{Name: "force", Usage: "overwrite FILE"},
		&cli.StringFlag{Name: "format", Usage: "html, pdf or both (default: by the suffix of -o, else html)"},
		&cli.StringFlag{Name: "paper", Value: "a4", Usage: "size of PDF pages: a4 or letter"},
	}
}

var signersFlag = &cli.StringFlag{Name: "signers", Usage: "trust the keys of this allowed_signers `FILE` instead of the case's"}

func reportCommand() *cli.Command {
	return &cli.Command{
		Name: "report", Usage: "the custody report for counsel, as HTML or PDF", ArgsUsage: "[EXHIBIT...]", Category: catCustody,
		Description: "Example:\n   exhibit report EX-001\n   exhibit report EX-001 EX-002 -o case.pdf\n   exhibit report EX-001 --why 'file:\"/etc/cron.d/sysupd\"' --format both\n\n" +
			"Verifies the bundle and the custody log anew; says what is and is not proven, and how to check it without Exhibit.\n" +
			"Several exhibits make one report behind a page that sums them up.",
		Flags: append(paperFlags("write to `FILE`, .html or .pdf (default: reports/<exhibit>.html in the case)"),
			&cli.StringFlag{Name: "why", Usage: "include the answer to this event id or `QUERY`"}, signersFlag),
		Action: runReport,
	}
}

func runReport(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	names, err := exhibitArgs(c, cs)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return command.Failf(command.Failure, "collect first: exhibit collect", "the case has no exhibit to report on")
	}
	name := names[0]
	if len(names) > 1 {
		name = "case"
	}
	files, err := paperFiles(c, cs.Path(chainofcustody.ReportsDir, name))
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	var all []counsel.Data
	for i, exhibit := range names {
		d, err := gather(c, cs, exhibit)
		if err != nil {
			return err
		}
		if i == 0 {
			if err := addTimeline(c, cs, d); err != nil {
				return err
			}
		}
		all = append(all, *d)
	}
	doc, err := counsel.New(all...)
	if err != nil {
		return err
	}
	attached, err := files.write(doc)
	if err != nil {
		return err
	}
	worst := 0
	for i, exhibit := range names {
		if err := recordPaper(cs, id, exhibit, "custody report: "+string(all[i].Verdict), attached); err != nil {
			return err
		}
		if err := printPaper(c, exhibit, all[i].Verdict, files.paths, attached); err != nil {
			return err
		}
		worst = verifying.WorseCode(worst, all[i].Verdict.ExitCode())
	}
	return command.Exit(worst)
}

// outputs are the files a paper is written into.
type outputs struct {
	paths []string
	size  pdf.Size
	force bool // take the place of an earlier paper
}

// paperFiles decides from the flags which files a paper becomes. base is the
// path without suffix that is used where none is given.
func paperFiles(c *cli.Context, base string) (outputs, error) {
	out := outputs{size: pdf.A4, force: c.Bool("force") || c.String("output") == ""} // without -o it is ours: the newest of its kind
	switch strings.ToLower(c.String("paper")) {
	case "", "a4":
	case "letter":
		out.size = pdf.Letter
	default:
		return out, command.Failf(command.Usage, "choose a4 or letter", "no paper size %q", c.String("paper"))
	}
	path, format := c.String("output"), strings.ToLower(c.String("format"))
	suffix := strings.ToLower(filepath.Ext(path))
	known := suffix == ".html" || suffix == ".pdf"
	if format == "" {
		format = "html"
		if known {
			format = suffix[1:]
		}
	}
	if !slices.Contains([]string{"html", "pdf", "both"}, format) {
		return out, command.Failf(command.Usage, "choose html, pdf or both", "no format %q", format)
	}
	if path != "" {
		base = path
		if known {
			base = path[:len(path)-len(suffix)]
		}
	}
	switch {
	case format == "both":
		out.paths = []string{base + ".html", base + ".pdf"}
	case known && suffix[1:] != format:
		return out, command.Failf(command.Usage, "leave out --format, or name the file *."+format, "--format %s does not fit the file name %s", format, path)
	case path != "":
		out.paths = []string{path}
	default:
		out.paths = []string{base + "." + format}
	}
	if path != "" && !known && format != "both" && suffix != "" {
		return out, command.Failf(command.Usage, "name the file *.html or *.pdf", "%s says not which format it should have", path)
	}
	if !out.force {
		for _, path := range out.paths {
			if err := mustNotExist(path, "choose another file, or overwrite it with --force"); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// write writes the paper into its files and returns their hashes.
func (o outputs) write(doc paper.Document) ([]chainofcustody.Attachment, error) {
	var attached []chainofcustody.Attachment
	for _, path := range o.paths {
		render := func(w io.Writer) error { return html.Render(w, doc) }
		if o.isPDF(path) {
			render = func(w io.Writer) error { return pdf.Render(w, doc, o.size) }
		}
		if err := writeFile(path, o.force, render); err != nil {
			return nil, err
		}
		digest, err := command.FileDigest(path)
		if err != nil {
			return nil, err
		}
		attached = append(attached, chainofcustody.Attachment{Name: filepath.Base(path), SHA256: digest})
	}
	return attached, nil
}

func (o outputs) isPDF(path string) bool { return strings.EqualFold(filepath.Ext(path), ".pdf") }

// recordPaper signs into the custody log which paper was written.
func recordPaper(cs *chainofcustody.Case, id *chainofcustody.Identity, exhibit, note string, attached []chainofcustody.Attachment) error {
	_, err := cs.Append(exhibit, chainofcustody.Event{Kind: chainofcustody.EventExported, Tool: tool(), Note: note, Attach: attached}, id)
	return caseError(err)
}

func printPaper(c *cli.Context, exhibit string, verdict chainofcustody.Verdict, paths []string, attached []chainofcustody.Attachment) error {
	for i, path := range paths {
		var digest evidence.Digest
		if i < len(attached) {
			digest = attached[i].SHA256
		}
		if c.Bool("json") {
			if err := command.JSON(c.App.Writer, map[string]string{"exhibit": exhibit, "report": path, "verdict": string(verdict), "sha256": digest.String()}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(c.App.Writer, "%s  %s  %s\n", exhibit, verifying.PaintVerdict(term.NewPalette(os.Stdout), verdict), term.Escape(path))
	}
	return nil
}
