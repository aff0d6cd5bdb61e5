package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func artifactCommand() *cli.Command {
	definitions := &cli.StringSliceFlag{Name: "definitions", Usage: "the definitions in `PATH`: a folder, tar or file of ForensicArtifacts, KAPE or UAC (repeatable)"}
	return &cli.Command{
		Name: "artifact", Usage: "definitions of what to collect: our own, and those of other projects", Category: catCollect,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "what is defined, one a line", ArgsUsage: "[TEXT...]",
				Description: "Example:\n   exhibit artifact list ssh                      (our own, with ssh in their name or paths)\n" +
					"   exhibit artifact list --definitions artifacts/data --os linux",
				Flags:  []cli.Flag{definitions, &cli.StringFlag{Name: "os", Usage: "only those for this `SYSTEM`: linux, windows, darwin, esxi …"}},
				Action: artifactList,
			},
			{
				Name: "show", Usage: "one definition: what it takes, and what of it is never run", ArgsUsage: "NAME",
				Description: "Example:\n   exhibit artifact show 'command histories'\n   exhibit artifact show --definitions definitions.tar kape:EventLogs",
				Flags:       []cli.Flag{definitions},
				Action:      artifactShow,
			},
			{
				Name: "lint", Usage: "what is wrong with definitions, with file and line", ArgsUsage: "PATH...",
				Description: "Example:\n   exhibit artifact lint my.yaml\n\nExit code 3 where a definition, or a part of one, would be left out.",
				Action:      artifactLint,
			},
			{
				Name: "import", Usage: "check definitions and make one file of them, for --definitions and orders", ArgsUsage: "PATH...",
				Description: "Example:\n   exhibit artifact import -o definitions.tar artifacts/data KapeFiles/Targets uac/artifacts\n\n" +
					"The same definitions give the same bytes: the SHA-256 of the file pins them.",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the new `FILE`", Value: gathering.DefinitionsFile}},
				Action: artifactImport,
			},
		},
	}
}

// artifactRow is a definition as list shows it.
type artifactRow struct {
	ID    string   `json:"id"`
	OS    []string `json:"os"`
	Kinds []string `json:"kinds"`
	Doc   string   `json:"doc"`
	From  string   `json:"from"` // file, or collector of our own
}

func artifactList(c *cli.Context) error {
	rows, footer, err := artifactRows(c.StringSlice("definitions"))
	if err != nil {
		return err
	}
	shown := 0
	for _, r := range rows {
		if !r.matches(c.String("os"), c.Args().Slice()) {
			continue
		}
		shown++
		if c.Bool("json") {
			if err := command.JSON(c.App.Writer, r); err != nil {
				return err
			}
			continue
		}
		doc, _, _ := strings.Cut(r.Doc, "\n")
		fmt.Fprintf(c.App.Writer, "%-40s %-16s %-20s %s\n", term.Escape(r.ID), orAny(r.OS), strings.Join(r.Kinds, ","), term.Escape(doc))
	}
	if !c.Bool("json") {
		fmt.Fprintf(c.App.Writer, "%d of %d definitions%s\n", shown, len(rows), footer)
	}
	return nil
}

func orAny(list []string) string {
	if len(list) == 0 {
		return "any"
	}
	return strings.Join(list, ",")
}

func (r *artifactRow) matches(os string, texts []string) bool {
	if os != "" && len(r.OS) > 0 && !strings.Contains(","+strings.Join(r.OS, ",")+",", ","+strings.ToLower(os)+",") {
		return false
	}
	for _, text := range texts {
		if !strings.Contains(strings.ToLower(r.ID+"\n"+r.Doc+"\n"+r.From), strings.ToLower(text)) {
			return false
		}
	}
	return true
}

// artifactRows lists definitions that are named, or else our own.
func artifactRows(paths []string) (rows []artifactRow, footer string, err error) {
	if len(paths) == 0 {
		for _, d := range collectors.BuiltIn() {
			rows = append(rows, artifactRow{d.Name, []string{"linux"}, []string{"file"}, strings.Join(d.Patterns, " "), d.Collector})
		}
		return rows, " of our own; --definitions PATH shows those of others", nil
	}
	set, err := gathering.ReadDefinitions(paths)
	if err != nil {
		return nil, "", err
	}
	for i := range set.Definitions {
		d := &set.Definitions[i]
		r := artifactRow{d.ID, append([]string{}, d.OS...), []string{}, d.Doc, d.File}
		for _, s := range d.Sources {
			if kind := string(s.Kind); kind != "" && !strings.Contains(strings.Join(r.Kinds, ","), kind) {
				r.Kinds = append(r.Kinds, kind)
			}
		}
		rows = append(rows, r)
	}
	return rows, "; SHA-256 " + set.Digest.String(), nil
}

// artifactView is a definition as show shows it.
type artifactView struct {
	ID      string         `json:"id"`
	Doc     string         `json:"doc,omitempty"`
	From    string         `json:"from"`
	Aliases []string       `json:"aliases,omitempty"`
	OS      []string       `json:"os,omitempty"`
	Labels  []string       `json:"labels,omitempty"`
	URLs    []string       `json:"urls,omitempty"`
	Sources []artifactPart `json:"sources"`
}

type artifactPart struct {
	Kind    string   `json:"kind"`
	OS      []string `json:"os,omitempty"`
	Paths   []string `json:"paths,omitempty"`
	Members []string `json:"members,omitempty"`
	Text    []string `json:"text,omitempty"`
	Not     string   `json:"not_run,omitempty"` // why
}

func artifactShow(c *cli.Context) error {
	name, err := oneArgument(c, "NAME")
	if err != nil {
		return err
	}
	v, err := findArtifact(c, name)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, v)
	}
	w := c.App.Writer
	fmt.Fprintf(w, "%s\n", term.Escape(v.ID))
	for _, line := range []struct{ what, text string }{
		{"doc", v.Doc}, {"from", v.From}, {"also", strings.Join(v.Aliases, " ")}, {"systems", orAny(v.OS)}, {"labels", strings.Join(v.Labels, " ")}, {"see", strings.Join(v.URLs, " ")},
	} {
		if line.text != "" {
			fmt.Fprintf(w, "  %-8s %s\n", line.what, term.Escape(line.text))
		}
	}
	for _, p := range v.Sources {
		fmt.Fprintf(w, "  %s", p.Kind)
		if len(p.OS) > 0 {
			fmt.Fprintf(w, " (%s)", strings.Join(p.OS, ", "))
		}
		if p.Not != "" {
			fmt.Fprintf(w, ", not run: %s", term.Escape(p.Not))
		}
		fmt.Fprintln(w)
		for _, list := range [][]string{p.Paths, p.Members, p.Text} {
			for _, text := range list {
				fmt.Fprintf(w, "    %s\n", term.Escape(text))
			}
		}
	}
	return nil
}

func findArtifact(c *cli.Context, name string) (*artifactView, error) {
	const hint = "exhibit artifact list shows the names"
	paths := c.StringSlice("definitions")
	if len(paths) == 0 {
		for _, d := range collectors.BuiltIn() {
			if strings.EqualFold(d.Name, name) {
				return &artifactView{ID: d.Name, From: d.Collector, OS: []string{"linux"}, Sources: []artifactPart{{Kind: "file", Paths: d.Patterns}}}, nil
			}
		}
		return nil, command.Failf(command.Usage, hint+"; those of others need --definitions PATH", "no definition of our own named %q", name)
	}
	set, err := gathering.ReadDefinitions(paths)
	if err != nil {
		return nil, err
	}
	if _, err := set.Select([]string{name}); err != nil {
		return nil, command.Fail(command.Usage, hint, err)
	}
	d, _ := set.Find(name)
	v := &artifactView{ID: d.ID, Doc: d.Doc, From: d.File, Aliases: d.Aliases, OS: d.OS, Labels: d.Labels, URLs: d.URLs, Sources: []artifactPart{}}
	for i := range d.Sources {
		s := &d.Sources[i]
		v.Sources = append(v.Sources, artifactPart{string(s.Kind), s.OS, s.Patterns, s.Members, s.Text, s.NotRun()})
	}
	return v, nil
}

// lintIssues are the issues of a set, and of patterns that no walk can match.
func lintIssues(set *definition.Set) []definition.Issue {
	issues := set.Issues
	for i := range set.Definitions {
		d := &set.Definitions[i]
		for k := range d.Sources {
			if err := collectors.CheckSource(&d.Sources[k]); err != nil {
				issues = append(issues, definition.Issue{File: d.File, ID: d.ID, Error: true, Text: err.Error()})
			}
		}
	}
	return issues
}

func artifactLint(c *cli.Context) error {
	if c.NArg() == 0 {
		return command.Failf(command.Usage, "for example: exhibit artifact lint my.yaml", "lint wants the PATH of definitions")
	}
	set, err := gathering.ReadDefinitions(c.Args().Slice())
	if err != nil {
		return err
	}
	errs := 0
	for _, i := range lintIssues(set) {
		word := "doubtful"
		if i.Error {
			errs++
			word = "error"
		}
		if c.Bool("json") {
			if err := command.JSON(c.App.Writer, i); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(c.App.Writer, "%s: %s\n", word, term.Escape(i.String()))
	}
	if !c.Bool("json") {
		fmt.Fprintf(c.App.Writer, "%d definitions in %d files: %d errors; SHA-256 %s\n", len(set.Definitions), len(set.Files), errs, set.Digest)
	}
	if errs > 0 {
		return command.Exit(command.Partial)
	}
	return nil
}

func artifactImport(c *cli.Context) error {
	if c.NArg() == 0 {
		return command.Failf(command.Usage, "for example: exhibit artifact import -o definitions.tar artifacts/data", "import wants the PATH of definitions")
	}
	set, err := gathering.ReadDefinitions(c.Args().Slice())
	if err != nil {
		return err
	}
	errs := 0
	for _, i := range lintIssues(set) {
		if i.Error {
			errs++
		}
	}
	out, err := createOut(c.String("output"), nil)
	if err != nil {
		return err
	}
	if err := out.finish(set.WriteTar(io.Writer(out)), nil); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]any{"file": out.path, "sha256": out.digest().String(), "definitions": len(set.Definitions), "files": len(set.Files), "errors": errs})
	}
	fmt.Fprintf(c.App.Writer, "%s: %d definitions of %d files, %d errors (exhibit artifact lint shows them)\nSHA-256 %s\n",
		term.Escape(out.path), len(set.Definitions), len(set.Files), errs, out.digest())
	return nil
}
