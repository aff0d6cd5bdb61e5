// Command exhibit-collector collects evidence from the host it runs on into
// one sealed bundle. It installs nothing, starts no other program, and with
// -o - or a URL writes nothing to the host's disks.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// version is set by the linker.
var version = "unknown"

func main() {
	r := &result{stderr: os.Stderr, starter: starter()}
	code := frame.Main(newApp(r), os.Args, os.Stdout, r)
	os.Exit(r.print(os.Args, code, os.Stdout))
}

func newApp(r *result) *cli.App {
	flags := append(frame.GlobalFlags(), gathering.Flags()...)
	flags = append(flags,
		&cli.StringFlag{Name: "case-number", Usage: "case `ID` for the bundle's header"},
		&cli.StringFlag{Name: "exhibit", Usage: "exhibit `NUMBER` for the bundle's header"},
		&cli.StringFlag{Name: "examiner", Usage: "`WHO` collects, for the bundle's header"},
		&cli.BoolFlag{Name: "attended", Usage: "ask whoever is at the other end of standard error and input to sign for the run's key (exhibit collect ssh://HOST)"},
		&cli.StringFlag{Name: "job", Usage: "run as the signed job file in `DIR` says", DefaultText: "the one in the collector's own folder, or behind its own end"},
		&cli.BoolFlag{Name: "no-job", Usage: "take no notice of a job file in the collector's folder"},
		&cli.StringFlag{Name: "job-signer", Usage: "run only if the key `SHA256:…` signed the job file"},
		&cli.BoolFlag{Name: "detach", Usage: "go on in the background when the shell or connection ends; see --log"},
		&cli.StringFlag{Name: "log", Usage: "with --detach: write progress and result to `FILE`, - for nowhere", DefaultText: "BUNDLE.log where the bundle is a file of this host, else nowhere"},
		&cli.BoolFlag{Name: "list", Usage: "list the collectors and end"},
		&cli.BoolFlag{Name: "version", Usage: "print the version and end"},
	)
	return &cli.App{
		Name: "exhibit-collector", Usage: "collect this host into one sealed bundle",
		UsageText: "exhibit-collector [flags]\n   exhibit-collector plan [flags]\n   exhibit-collector resume BUNDLE [flags]\n   exhibit-collector status LOG\n\nExamples:\n" +
			"   ./exhibit-collector                      (in a kit: what its signed job file says)\n   ./exhibit-collector -o /mnt/usb/host.exhibit.tar.zst\n" +
			"   ./exhibit-collector --order /mnt/usb/EX-007 -o /mnt/usb/host.exhibit.tar.zst\n" +
			"   ./exhibit-collector -o - | ssh lab 'cat > host.exhibit.tar.zst'     (nothing is written on this host)\n" +
			"   ./exhibit-collector -o sftp://me@lab/in/host.exhibit.tar.zst --known-hosts lab.key   (nor here, and it may break)\n" +
			"   ./exhibit-collector -o exhibit://lab:7443 --server-key SHA256:… --client-key kit     (exhibit receive signs for it)\n" +
			"   ./exhibit-collector plan                     (what it would read and write, without doing it)\n" +
			"   ./exhibit-collector --recipient age1pq1… -o /mnt/usb/host.exhibit.tar.zst.age  (only the recipient can read it)\n\n" +
			"The first Ctrl-C ends the collection and seals what there is. Write the seal code on paper.",
		Flags: flags, Action: func(c *cli.Context) error { return run(c, r) },
		Commands: []*cli.Command{{
			Name: "plan", Usage: gathering.PlanUsage, ArgsUsage: " ",
			Action: func(c *cli.Context) error {
				r.other = true
				job, err := takeJob(c)
				if err != nil {
					return err
				}
				recipients, err := gathering.Recipients(c, nil)
				if err != nil {
					return err
				}
				return gathering.Plan(c, recipients, outOf(c, job, c.String("case-number"), recipients))
			},
		}, {
			Name: "resume", Usage: gathering.ResumeUsage, ArgsUsage: "BUNDLE [EARLIER…]", Action: func(c *cli.Context) error { return resume(c, r) },
			Description: "Example:\n   ./exhibit-collector resume host.exhibit.tar.zst.partial -o rest.exhibit.tar.zst\n\n" + gathering.ResumeText,
		}, statusCommand(r)},
	}
}

// errLeft ends a run that the other end of the connection wants to end.
var errLeft = errors.New("whoever attends ended the run")

// outOf is where the bundle goes. A place that ends in a slash is a folder. Of
// a kit that names none, it is the kit's own folder: consoles from afar begin
// in places like / where nobody looks.
func outOf(c *cli.Context, job *gathering.Job, caseID string, to []envelope.Recipient) string {
	out := c.String("output")
	if out != "" && (!strings.HasSuffix(out, "/") || strings.HasPrefix(out, "exhibit://")) {
		return out
	}
	name := gathering.EncryptedName(gathering.FileName(caseID, gathering.HostName(c.String("root")), time.Now()), to)
	if out == "" && job != nil {
		return filepath.Join(job.Folder(), name)
	}
	return out + name
}

// takeJob reads the kit that the collector belongs to, where there is one, and
// sets the flags as it says.
func takeJob(c *cli.Context) (*gathering.Job, error) {
	job, err := gathering.FindJob(c)
	if err != nil || job == nil {
		return nil, err
	}
	if !c.Bool("quiet") {
		fmt.Fprintln(c.App.ErrWriter, term.Escape(job.Told()))
	}
	return job, job.Take(c)
}

func run(c *cli.Context, r *result) error {
	switch {
	case c.Bool("version"):
		r.other = true
		if c.Bool("json") {
			return command.JSON(c.App.Writer, map[string]string{"version": version, "sha256": command.OwnDigest().String()})
		}
		_, err := fmt.Fprintln(c.App.Writer, "exhibit-collector", version)
		return err
	case c.Bool("list"):
		r.other = true
		return gathering.List(c, collectors.All())
	case c.NArg() > 0:
		return command.Failf(command.Usage, "see: exhibit-collector --help", "unexpected argument %q", c.Args().First())
	}
	job, err := takeJob(c)
	if err != nil {
		return err
	}
	return collectHost(c, r, job, nil)
}

// resume finishes a collection that was interrupted.
func resume(c *cli.Context, r *result) error {
	list, done, err := gathering.OpenInterrupted(c.Args().Slice())
	if err != nil {
		return err
	}
	defer done()
	resumed, err := gathering.Resume(c, list)
	if err != nil {
		return err
	}
	if err := gathering.Check(c); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		fmt.Fprintln(c.App.ErrWriter, resumed.Told())
	}
	return collectHost(c, r, nil, resumed)
}

func collectHost(c *cli.Context, r *result, job *gathering.Job, resumed *gathering.Resumed) error {
	recipients, err := gathering.Recipients(c, nil)
	if err != nil {
		return err
	}
	who := gathering.Who{
		Resumed: resumed, Job: job,
		Case: c.String("case-number"), Exhibit: c.String("exhibit"), Examiner: c.String("examiner"),
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
	out := outOf(c, job, who.Case, who.Recipients)
	switch {
	case c.Bool("detach") && detached():
		out = os.Getenv(detachedOutput)
		who.Began = r.began
		if !c.IsSet("progress") {
			if err := c.Set("progress", "plain"); err != nil {
				return err
			}
		}
	case c.Bool("detach"):
		return detach(c, r, out)
	case c.IsSet("log"):
		return command.Failf(command.Usage, "give it with --detach, or redirect standard error", "--log is for a run in the background")
	}
	r.streams = out == "-"
	sum, err := gathering.Run(c, who, out)
	if err != nil {
		return err
	}
	r.sum = sum
	return sum.Exit(c.Context)
}
