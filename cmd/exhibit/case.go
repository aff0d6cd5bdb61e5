package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func caseCommand() *cli.Command {
	return &cli.Command{
		Name: "case", Usage: "the folder everything happens in", Category: catCustody,
		Subcommands: []*cli.Command{
			{
				Name: "init", Usage: "make a case folder and let your key sign in it", ArgsUsage: "DIR",
				Description: "Example:\n   exhibit case init CASE-7 --title 'web01 defaced' --authority 'engagement letter of 2026-11-20'",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "number", Usage: "the case's `ID` (default: the folder's name)"},
					&cli.StringFlag{Name: "title", Usage: "one `LINE` for people"},
					&cli.StringFlag{Name: "org", Usage: "`WHO` runs the case"},
					&cli.StringFlag{Name: "authority", Usage: "warrant, mandate or policy: its `REFERENCE`"},
					&cli.StringFlag{Name: "purpose", Usage: "`WHY` evidence is collected"},
				},
				Action: caseInit,
			},
			{
				Name: "show", Usage: "what is in the case", Action: caseShow,
				Description: "Example:\n   exhibit case show",
			},
		},
	}
}

func caseInit(c *cli.Context) error {
	dir, err := oneArgument(c, "DIR")
	if err != nil {
		return err
	}
	for _, flag := range []string{"number", "title", "org", "authority", "purpose"} {
		if !utf8.ValidString(c.String(flag)) {
			return command.Failf(command.Usage, "write it in UTF-8", "--%s %q is no text", flag, c.String(flag))
		}
	}
	id, err := identity(c)
	if err != nil {
		return err
	}
	number := c.String("number")
	if number == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		number = filepath.Base(abs)
	}
	cs, err := chainofcustody.InitCase(dir, chainofcustody.CaseInfo{
		ID: number, Title: c.String("title"), Org: c.String("org"),
		Authority: c.String("authority"), Purpose: c.String("purpose"),
	})
	if errors.Is(err, chainofcustody.ErrCaseExists) {
		return command.Fail(command.Failure, "choose another folder, or work in this one: exhibit --case "+dir+" case show", err)
	}
	if errors.Is(err, chainofcustody.ErrCaseID) {
		return command.Fail(command.Usage, "give the case a number of its own: --number CASE-7", err)
	}
	if err != nil {
		return err
	}
	if err := cs.Enroll(id, time.Time{}, time.Time{}); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"case": number, "dir": cs.Dir(), "signer": id.ID, "fingerprint": id.Fingerprint()})
	}
	fmt.Fprintf(c.App.Writer, "case %s in %s\n  signs  %s  %s\n", number, term.Escape(dir), term.Escape(id.ID), id.Fingerprint())
	if !c.Bool("quiet") {
		fmt.Fprintf(c.App.ErrWriter, "Next: cd %s, then exhibit collect (with sudo it sees more)\n", term.Escape(dir))
	}
	return nil
}

// exhibitRow is what `case show` says of one exhibit.
type exhibitRow struct {
	Exhibit string `json:"exhibit"`
	Bundle  string `json:"bundle,omitempty"`
	Events  int    `json:"events"`
	Last    string `json:"last_event,omitempty"`
}

func caseShow(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	names, err := cs.Exhibits()
	if err != nil {
		return err
	}
	rows := make([]exhibitRow, 0, len(names))
	for _, name := range names {
		row := exhibitRow{Exhibit: name}
		events, _, err := cs.Log(name)
		if err != nil {
			return err
		}
		row.Events = len(events)
		if n := len(events); n > 0 {
			row.Last = string(events[n-1].Kind)
		}
		if path, err := verifying.BundleOf(cs, name); err == nil {
			if row.Bundle, err = filepath.Rel(cs.Dir(), path); err != nil {
				row.Bundle = path
			}
		}
		rows = append(rows, row)
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]any{"case": cs.Info.ID, "title": cs.Info.Title, "dir": cs.Dir(), "exhibits": rows})
	}
	fmt.Fprintf(c.App.Writer, "case %s  %s\n", term.Escape(cs.Info.ID), term.Escape(cs.Info.Title))
	for _, r := range rows {
		fmt.Fprintf(c.App.Writer, "  %-8s %3d custody events, last: %-10s %s\n", r.Exhibit, r.Events, r.Last, term.Escape(r.Bundle))
	}
	return nil
}

// bundlePath turns an argument, a file or an exhibit number of the case, into
// the bundle's path. exhibit is the number where the file belongs to the case.
func bundlePath(cs *chainofcustody.Case, arg string) (path, exhibit string, err error) {
	if cs == nil {
		return arg, "", nil
	}
	names, err := cs.Exhibits()
	if err != nil {
		return "", "", err
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", "", err
	}
	for _, name := range names {
		if arg == name {
			path, err := verifying.BundleOf(cs, name)
			return path, name, err
		}
		if p, err := verifying.BundleOf(cs, name); err == nil && sameFile(p, abs) {
			return arg, name, nil
		}
	}
	if _, err := os.Lstat(arg); err != nil && exhibitNumber.MatchString(arg) {
		return "", "", noExhibit(cs, arg)
	}
	return arg, "", nil
}

func noExhibit(cs *chainofcustody.Case, name string) error {
	return command.Failf(command.NoCase, "exhibit case show lists the exhibits", "no exhibit %q in case %s", name, cs.Info.ID)
}

func parsePublicKey(line []byte) (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	return key, err
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
