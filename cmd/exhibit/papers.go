package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	counsel "github.com/exhibit-dfir/exhibit/chainofcustody/report"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// paperJob is a paper on one exhibit in the making.
type paperJob struct {
	cs      *chainofcustody.Case
	id      *chainofcustody.Identity
	exhibit string
	data    *counsel.Data
	files   outputs
}

// onPaper prepares a paper on one exhibit: the one named, or the only one
// of the case. suffix ends the name of the file where -o gives none.
func onPaper(c *cli.Context, exhibit, suffix string, write func(*paperJob) error) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	if exhibit, err = onlyExhibit(cs, exhibit); err != nil {
		return err
	}
	job := &paperJob{cs: cs, exhibit: exhibit}
	if job.files, err = paperFiles(c, cs.Path(chainofcustody.ReportsDir, exhibit+suffix)); err != nil {
		return err
	}
	if job.id, err = signerFor(c, cs); err != nil {
		return err
	}
	if job.data, err = gather(c, cs, exhibit); err != nil {
		return err
	}
	return write(job)
}

func onlyExhibit(cs *chainofcustody.Case, exhibit string) (string, error) {
	names, err := cs.Exhibits()
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if n == exhibit || exhibit == "" && len(names) == 1 {
			return n, nil
		}
	}
	switch {
	case exhibit != "":
		return "", command.Failf(command.NoCase, "exhibit case show lists the exhibits", "no exhibit %q in this case", exhibit)
	case len(names) == 0:
		return "", command.Failf(command.Failure, "collect first: exhibit collect", "the case has no exhibit")
	}
	return "", command.Failf(command.Usage, "exhibit case show lists the exhibits", "name one of the %d exhibits", len(names))
}

// write writes the paper, records it in the custody log and says where it is.
func (j *paperJob) write(c *cli.Context, doc paper.Document, note string) error {
	attached, err := j.files.write(doc)
	if err != nil {
		return err
	}
	if err := recordPaper(j.cs, j.id, j.exhibit, note, attached); err != nil {
		return err
	}
	if err := printPaper(c, j.exhibit, j.data.Verdict, j.files.paths, attached); err != nil {
		return err
	}
	return command.Exit(j.data.Verdict.ExitCode())
}

// modified is when the file was last changed, as the host stated it.
func modified(it evidence.Item) time.Time {
	if it.Stat == nil {
		return time.Time{}
	}
	return it.Stat.Modified
}

func formCommand() *cli.Command {
	return &cli.Command{
		Name: "form", Usage: "paper forms to be filled in by hand", Category: catCustody,
		Subcommands: []*cli.Command{{
			Name: "scene", Usage: "the form for the scene, one page", ArgsUsage: "[EXHIBIT]",
			Description: "Example:\n   exhibit form scene -o form.pdf\n   exhibit form scene EX-001 -o ex-001-form.pdf\n\n" +
				"Inside a case its number and authority are filled in; with an exhibit also what its bundle states.\n" +
				"The boxes for the seal code stay empty: the code is worth most when a hand has copied it.",
			Flags:  paperFlags("write to `FILE`, .pdf or .html (default: scene.pdf)"),
			Action: runScene,
		}},
	}
}

func runScene(c *cli.Context) error {
	files, err := sceneFiles(c)
	if err != nil {
		return err
	}
	d := counsel.Data{Generated: time.Now().UTC().Truncate(time.Second)}
	if c.NArg() > 0 {
		name, err := oneArgument(c, "EXHIBIT")
		if err != nil {
			return err
		}
		cs, err := openCase(c)
		if err != nil {
			return err
		}
		if name, err = onlyExhibit(cs, name); err != nil {
			return err
		}
		full, err := gather(c, cs, name)
		if err != nil {
			return err
		}
		d = *full
	} else if cs, err := openCase(c); err == nil { // a blank form needs no case
		d.Case = counsel.Case{ID: cs.Info.ID, Title: cs.Info.Title, Org: cs.Info.Org, Authority: cs.Info.Authority}
	}
	attached, err := files.write(counsel.Scene(d))
	if err != nil {
		return err
	}
	for i, path := range files.paths {
		if c.Bool("json") {
			err = command.JSON(c.App.Writer, map[string]string{"form": "scene", "file": path, "sha256": attached[i].SHA256.String()})
		} else {
			_, err = c.App.Writer.Write([]byte(path + "\n"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sceneFiles is paperFiles with PDF as the format where nothing else is said.
func sceneFiles(c *cli.Context) (outputs, error) {
	if c.String("output") == "" && c.String("format") == "" {
		if err := c.Set("output", "scene.pdf"); err != nil {
			return outputs{}, err
		}
	}
	return paperFiles(c, "scene")
}
