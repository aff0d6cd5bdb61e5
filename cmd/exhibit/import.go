package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/intake"
	"github.com/exhibit-dfir/exhibit/intake/archive"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "take in what another tool collected, as a new exhibit", ArgsUsage: "PATH|-", Category: catEvidence,
		Description: "Example:\n   exhibit import uac-web01-linux-20261120.tar.gz --from 'admin of the client'\n" +
			"   exhibit import Collection-WS7.zip --password-file secret\n   exhibit import /mnt/stick/triage\n" +
			"   exhibit import auth.log --as /var/log/auth.log\n   ssh host tar c /var/log | exhibit import - --name web01-logs.tar\n\n" +
			"Folders, tar archives (gzip, bzip2, xz, zstd, lz4), zip archives, single files; what UAC, Velociraptor, KAPE,\n" +
			"CyLR and acquire write is known by its content, and each file gets the path it had on its host. The archive\n" +
			"itself is kept beside them byte for byte, unless --no-original says that it is kept elsewhere. A signed\n" +
			"statement says that all this was received and not collected.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`WHO` gave it"},
			&cli.StringFlag{Name: "host", Usage: "it is of the host `NAME`, where the evidence itself does not say"},
			&cli.StringFlag{Name: "note", Usage: "circumstances, in one `LINE`"},
			&cli.StringFlag{Name: "authority", Usage: "warrant, consent or policy: its `REFERENCE`"},
			&cli.StringFlag{Name: "name", Usage: "what is read from standard input is called `NAME`", Value: "stdin"},
			&cli.StringFlag{Name: "as", Usage: "a single file lay at `PATH` of its host"},
			&cli.StringFlag{Name: "layout", Usage: "how members are named: " + strings.Join(intake.Layouts(), ", "), DefaultText: "by what is in it"},
			&cli.BoolFlag{Name: "no-original", Usage: "do not keep the archive: only its members and its SHA-256"},
			&cli.StringFlag{Name: "password-file", Usage: "open an encrypted zip with the password in `FILE`", EnvVars: []string{"EXHIBIT_IMPORT_PASSWORD_FILE"}},
			&cli.BoolFlag{Name: "locked", Usage: "without a password: take in what is not encrypted, and the archive"},
			&cli.StringFlag{Name: "zone", Usage: "`ZONE` of times that a zip states without one (default: such times are not used)"},
			&cli.BoolFlag{Name: "trust-times", Usage: "folder or file: take its times for the host's, also where they look like those of a copy"},
			&cli.IntFlag{Name: "max-depth", Usage: "open archives in at most `N` archives", DefaultText: "3"},
			&cli.Int64Flag{Name: "max-entries", Usage: "take at most `N` entries", DefaultText: "4194304"},
			&cli.StringFlag{Name: "max-size", Usage: "take at most `SIZE` of content", DefaultText: "16G, or 1000 times the archive"},
		},
		Action: takeForeign,
	}
}

func takeForeign(c *cli.Context) error {
	if c.NArg() != 1 {
		return command.Failf(command.Usage, "see: exhibit import --help", "import takes one file or folder, or - for standard input")
	}
	opt, err := importOptions(c)
	if err != nil {
		return err
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	src, err := openReceived(c.Args().First())
	if err != nil {
		return err
	}
	defer src.close()
	if c.Args().First() == "-" {
		src.Name = filepath.Base(timeline.Printable(c.String("name")))
	}
	exhibit, err := cs.NextExhibit()
	if err != nil {
		return caseError(err)
	}
	im := &importing{c: c, cs: cs, id: id, src: src, opt: opt, exhibit: exhibit, dir: cs.Path(chainofcustody.ExhibitsDir, exhibit)}
	if err := im.run(); err != nil {
		_ = os.Remove(im.dir)                                      //nolint:errcheck // not empty: not ours to remove
		_ = os.Remove(cs.Path(chainofcustody.CustodyDir, exhibit)) //nolint:errcheck // as above
		return importError(c, err)
	}
	return im.report()
}

func importOptions(c *cli.Context) (opt intake.Options, err error) {
	opt = intake.Options{
		Layout: c.String("layout"), As: c.String("as"), TrustTimes: c.Bool("trust-times"), Locked: c.Bool("locked"),
		Limits: intake.Limits{Depth: c.Int("max-depth"), Entries: c.Int64("max-entries")},
	}
	if opt.Limits.Bytes, err = gathering.ParseSize(c.String("max-size")); err != nil {
		return opt, command.Fail(command.Usage, "write it as 500M or 20G", err)
	}
	if zone := c.String("zone"); zone != "" {
		if opt.Zone, err = time.LoadLocation(zone); err != nil {
			return opt, command.Fail(command.Usage, "use a name such as Europe/Berlin or UTC", err)
		}
	}
	if file := c.String("password-file"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return opt, err
		}
		opt.Password = []byte(strings.TrimRight(string(b), "\r\n"))
	}
	return opt, nil
}

// received is what was given to us, opened.
type received struct {
	intake.Source
	stat os.FileInfo
}

func (r *received) close() {
	if r.File != nil {
		r.File.Close()
	}
	if r.Root != nil {
		r.Root.Close()
	}
}

func openReceived(path string) (*received, error) {
	if path == "-" {
		return &received{}, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	r := &received{Source: intake.Source{Name: timeline.Printable(filepath.Base(abs))}}
	if r.stat, err = os.Stat(path); err != nil {
		return nil, openError(err, path)
	}
	if r.stat.IsDir() {
		r.Root, err = os.OpenRoot(path)
		return r, err
	}
	if r.File, err = openPlainFile(path); err != nil {
		return nil, err
	}
	r.Size = r.stat.Size()
	_, err = bundle.Open(r.File, r.Size)
	damaged := err != nil && !errors.Is(err, bundle.ErrNotBundle) && strings.HasSuffix(path, verifying.BundleSuffix)
	if err == nil || damaged || envelope.Is(r.File, r.Size) {
		r.close()
		return nil, command.Failf(command.Failure, "it is sealed already: exhibit custody import and receive take it into a case; timeline build takes its path", "%s is a bundle of exhibit", path)
	}
	return r, nil
}

func importError(c *cli.Context, err error) error {
	switch {
	case c.Context.Err() != nil:
		return command.Fail(command.Interrupted, "nothing was kept: import it again", err)
	case errors.Is(err, archive.ErrPassword):
		return command.Fail(command.WrongKey, "give the right password: --password-file FILE", err)
	case errors.Is(err, archive.ErrSealed):
		return command.Fail(command.WrongKey, "give its password with --password-file FILE, or say --locked to take it in as it is", err)
	case errors.Is(err, intake.ErrManyHosts):
		return command.Fail(command.Failure, "import each of them on its own, since an exhibit is of one host; or say --layout plain", err)
	case errors.Is(err, intake.ErrLayout):
		return command.Fail(command.Usage, "use one of: "+strings.Join(intake.Layouts(), ", "), err)
	}
	return err
}

// importing is one import.
type importing struct {
	c       *cli.Context
	cs      *chainofcustody.Case
	id      *chainofcustody.Identity
	src     *received
	opt     intake.Options
	exhibit string
	dir     string

	reception bundle.Reception
	rep       *intake.Report
	host      *analyze.Host
	path      string
	seal      bundle.Seal
	statement []byte
}

func (im *importing) run() error {
	if err := os.MkdirAll(im.dir, 0o700); err != nil {
		return err
	}
	im.opt.TempDir = im.dir
	if im.src.File == nil && im.src.Root == nil {
		remove, err := im.spool()
		if err != nil {
			return err
		}
		defer remove()
	}
	progress, err := frame.Progress(im.c, "importing "+im.src.Name)
	if err != nil {
		return err
	}
	defer progress.Done()
	im.opt.Progress = func(p intake.Progress) {
		progress.Set(term.Status{Bytes: p.Bytes, Items: p.Items, Problems: p.Problems, Current: p.Current})
	}
	temp, err := os.CreateTemp(im.dir, ".exhibit-*")
	if err != nil {
		return err
	}
	err = im.seals(im.c.Context, temp)
	if err == nil {
		err = im.facts(temp)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err == nil {
		err = temp.Chmod(0o400)
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		host := im.host.Name
		if host == "" {
			host = "received"
		}
		im.path = filepath.Join(im.dir, gathering.FileName(im.cs.Info.ID, host, time.Now()))
		err = os.Rename(temp.Name(), im.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	progress.Done()
	return im.record()
}

// spool puts standard input into a file, since archives are read more than
// once. It is nobody's but ours and gone afterwards.
func (im *importing) spool() (remove func(), err error) {
	f, err := os.CreateTemp(im.dir, ".exhibit-stdin-*")
	if err != nil {
		return nil, err
	}
	remove = func() { _ = os.Remove(f.Name()) } //nolint:errcheck // scratch
	im.src.Size, err = io.Copy(f, im.c.App.Reader)
	if err == nil {
		im.src.stat, err = f.Stat()
	}
	if err != nil {
		remove()
		return nil, errors.Join(err, f.Close())
	}
	im.src.File, im.opt.TrustTimes = f, false // its times are those of our file
	return remove, nil
}

// importSink gives the items of an import to a bundle.
type importSink struct{ w *bundle.Writer }

// Add implements intake.Sink.
func (s importSink) Add(ctx context.Context, it evidence.Item, content io.Reader) (evidence.Item, error) {
	return s.w.Add(ctx, it, bundle.Input{R: content})
}

// Note implements intake.Sink.
func (s importSink) Note(it evidence.Item) error { return s.w.Note(it) }
