// Command exhibit-collector collects evidence from the host it runs on into
// one sealed bundle. It installs nothing, starts no other program, and with
// -o - or a URL writes nothing to the host's disks.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(frame.Main(newApp(), os.Args, os.Stdout, os.Stderr)) }

func newApp() *cli.App {
	flags := append(frame.GlobalFlags(), gathering.Flags()...)
	flags = append(flags,
		&cli.StringFlag{Name: "case-number", Usage: "case `ID` for the bundle's header"},
		&cli.StringFlag{Name: "exhibit", Usage: "exhibit `NUMBER` for the bundle's header"},
		&cli.StringFlag{Name: "examiner", Usage: "`WHO` collects, for the bundle's header"},
		&cli.BoolFlag{Name: "attended", Usage: "ask whoever is at the other end of standard error and input to sign for the run's key (exhibit collect ssh://HOST)"},
		&cli.BoolFlag{Name: "list", Usage: "list the collectors and end"},
		&cli.BoolFlag{Name: "version", Usage: "print the version and end"},
	)
	return &cli.App{
		Name: "exhibit-collector", Usage: "collect this host into one sealed bundle",
		UsageText: "exhibit-collector [flags]\n   exhibit-collector plan [flags]\n   exhibit-collector resume BUNDLE [flags]\n\nExamples:\n   ./exhibit-collector -o /mnt/usb/host.exhibit.tar.zst\n" +
			"   ./exhibit-collector --order /mnt/usb/EX-007 -o /mnt/usb/host.exhibit.tar.zst\n" +
			"   ./exhibit-collector -o - | ssh lab 'cat > host.exhibit.tar.zst'     (nothing is written on this host)\n" +
			"   ./exhibit-collector -o sftp://me@lab/in/host.exhibit.tar.zst --known-hosts lab.key   (nor here, and it may break)\n" +
			"   ./exhibit-collector -o exhibit://lab:7443 --server-key SHA256:… --client-key kit     (exhibit receive signs for it)\n" +
			"   ./exhibit-collector plan                     (what it would read and write, without doing it)\n" +
			"   ./exhibit-collector --recipient age1pq1… -o /mnt/usb/host.exhibit.tar.zst.age  (only the recipient can read it)\n\n" +
			"The first Ctrl-C ends the collection and seals what there is. Write the seal code on paper.",
		Flags: flags, Action: run,
		Commands: []*cli.Command{{
			Name: "plan", Usage: gathering.PlanUsage, ArgsUsage: " ",
			Action: func(c *cli.Context) error {
				recipients, err := gathering.Recipients(c, nil)
				if err != nil {
					return err
				}
				return gathering.Plan(c, recipients, outOf(c, c.String("case-number")))
			},
		}, {
			Name: "resume", Usage: gathering.ResumeUsage, ArgsUsage: "BUNDLE [EARLIER…]", Action: resume,
			Description: "Example:\n   ./exhibit-collector resume host.exhibit.tar.zst.partial -o rest.exhibit.tar.zst\n\n" + gathering.ResumeText,
		}},
	}
}

// errLeft ends a run that the other end of the connection wants to end.
var errLeft = errors.New("whoever attends ended the run")

// outOf is where the bundle goes.
func outOf(c *cli.Context, caseID string) string {
	if out := c.String("output"); out != "" {
		return out
	}
	return gathering.FileName(caseID, gathering.HostName(c.String("root")), time.Now())
}

func run(c *cli.Context) error {
	switch {
	case c.Bool("version"):
		if c.Bool("json") {
			return command.JSON(c.App.Writer, map[string]string{"version": version, "sha256": command.OwnDigest().String()})
		}
		_, err := fmt.Fprintln(c.App.Writer, "exhibit-collector", version)
		return err
	case c.Bool("list"):
		return gathering.List(c, collectors.All())
	case c.NArg() > 0:
		return command.Failf(command.Usage, "see: exhibit-collector --help", "unexpected argument %q", c.Args().First())
	}
	return collectHost(c, nil)
}

// resume finishes a collection that was interrupted.
func resume(c *cli.Context) error {
	list, done, err := gathering.OpenInterrupted(c.Args().Slice())
	if err != nil {
		return err
	}
	defer done()
	resumed, err := gathering.Resume(c, list)
	if err != nil {
		return err
	}
	return collectHost(c, resumed)
}

func collectHost(c *cli.Context, resumed *gathering.Resumed) error {
	recipients, err := gathering.Recipients(c, nil)
	if err != nil {
		return err
	}
	who := gathering.Who{
		Resumed: resumed,
		Case:    c.String("case-number"), Exhibit: c.String("exhibit"), Examiner: c.String("examiner"),
		Authority: c.String("authority"), Version: version, Recipients: recipients,
	}
	if err := who.TakeOrder(c); err != nil {
		return err
	}
	if c.Bool("attended") {
		ctx, cancel := context.WithCancelCause(c.Context)
		defer cancel(nil)
		c.Context = ctx
		who.Attend = gathering.AskToAttend(os.Stdin, c.App.ErrWriter, func() { cancel(errLeft) })
	}
	out := outOf(c, who.Case)
	sum, err := gathering.Run(c, who, out)
	if err != nil {
		return err
	}
	w, f := c.App.Writer, os.Stdout
	if out == "-" {
		w, f = c.App.ErrWriter, os.Stderr
	}
	if c.Bool("json") {
		if err := command.JSON(w, sum); err != nil {
			return err
		}
	} else {
		sum.Print(w, term.NewPalette(f))
	}
	return sum.Exit(c.Context)
}
