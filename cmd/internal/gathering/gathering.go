// Package gathering is the collect command that both programs have: its
// flags, its progress and its summary.
package gathering

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Suffix ends the name of a sealed bundle, Unfinished that of one that is
// being written.
const (
	Suffix     = ".exhibit.tar.zst"
	Unfinished = ".partial"
)

// Flags are the flags of collecting.
func Flags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "root", Value: "/", Usage: "collect the system mounted below `DIR` instead of the running one"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the bundle to `FILE`, - for standard output, or send it to sftp://USER@HOST/PATH, s3://BUCKET/KEY, https://HOST/PATH, exhibit://HOST:PORT"},
		&cli.BoolFlag{Name: "memory", Usage: "also take main memory, in LiME format"},
		&cli.StringFlag{Name: "memory-from", Usage: "take main memory from this physical `ADDRESS` on, where an earlier run stopped"},
		&cli.StringFlag{Name: "max-file-size", Usage: "record files over this `SIZE` as skipped, for example 256M"},
		&cli.DurationFlag{Name: "deadline", Usage: "`TIME` for each collector", DefaultText: "15m, for logs 2h, for the walk 6h"},
		&cli.BoolFlag{Name: "all-hashes", Usage: "MD5 and SHA-1 beside SHA-256 for every item"},
		&cli.BoolFlag{Name: "no-walk-hashes", Usage: "the walk of the file system opens no file: metadata alone"},
		&cli.StringFlag{Name: "authority", Usage: "warrant, consent or policy: its `REFERENCE`"},
		&cli.StringFlag{Name: "order", Usage: "collect under the signed order in `DIR`: its case, exhibit, collectors and one-time key"},
		&cli.BoolFlag{Name: "outside-order", Usage: "collect although the run departs from its order; the verdict will say so"},
		&cli.StringFlag{Name: "continues", Usage: "this run continues `BUNDLE`, its .seal folder or its seal id"},
	}, SelectionFlags(), captureFlags(), budgetFlags(), placeFlags(), sendFlags(), StoreFlags(), RecipientFlags())
}

// Who says in whose name a collection runs.
type Who struct {
	Case, Exhibit, Examiner string
	Authority               string
	Version                 string
	Origin                  string                   // what is mounted at the root, and how
	Identity                *chainofcustody.Identity // who attends; nil: nobody
	Order                   *Order                   // nil: none
	Job                     *Job                     // nil: the flags alone say what is done
	Resumed                 *Resumed                 // what an interrupted run left; nil: this is none's rest
	Recipients              []envelope.Recipient     // whom the bundle is encrypted to; none: not encrypted

	Began func() // called when the first thing is looked at, if not nil

	selection *Selection // what is collected, read once

	// Attend asks somebody elsewhere for the mandate; nil: Identity and Order make it.
	Attend func(ssh.PublicKey) (bundle.Mandate, error)
}

func (w *Who) bind() func(ssh.PublicKey) (bundle.Mandate, error) {
	if w.Attend != nil {
		return w.Attend
	}
	return Mandate(w.Identity, w.Exhibit, w.Order)
}

// withCapture adds the packet capture where the flags ask for it.
func withCapture(c *cli.Context, all []collect.Collector) ([]collect.Collector, error) {
	capture, err := captureOptions(c)
	if err != nil || capture == nil {
		return all, err
	}
	return append(slices.Clone(all), collectors.Capture(*capture)), nil
}

// memoryNamed reports whether the list of collectors names main memory, as
// that of an order does.
func memoryNamed(c *cli.Context) bool {
	for name := range strings.SplitSeq(c.String("collectors"), ",") {
		if strings.TrimSpace(name) == collectors.MemoryName {
			return true
		}
	}
	return false
}

// withMemory adds the acquisition of main memory when it was asked for.
func withMemory(c *cli.Context, all []collect.Collector) ([]collect.Collector, error) {
	from := c.String("memory-from")
	if from == "" {
		if c.Bool("memory") || memoryNamed(c) {
			all = append(all, collectors.Memory(collectors.MemoryOptions{}))
		}
		return all, nil
	}
	address, err := strconv.ParseUint(from, 0, 64)
	if err != nil || address%4096 != 0 {
		return nil, command.Failf(command.Usage, "write for example 0x40000000, as the earlier run said", "bad address %q: not a multiple of 4096", from)
	}
	return append(all, collectors.Memory(collectors.MemoryOptions{From: address})), nil
}

func choose(all []collect.Collector, list string) ([]collect.Collector, error) {
	wanted, without := map[string]bool{}, map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if rest, ok := strings.CutPrefix(name, "!"); ok {
			without[rest] = true
		} else if name != "" {
			wanted[name] = true
		}
	}
	var out []collect.Collector
	known := map[string]bool{collectors.MemoryName: true} // not on the shelf
	for _, k := range all {
		known[k.Name] = true
		if !without[k.Name] && (len(wanted) == 0 || wanted[k.Name]) {
			out = append(out, k)
		}
	}
	for _, set := range []map[string]bool{wanted, without} {
		for name := range set {
			if !known[name] {
				return nil, command.Failf(command.Usage, "exhibit collectors, or exhibit-collector --list, shows the names", "no collector named %q", name)
			}
		}
	}
	return out, nil
}

// ParseSize reads a number of bytes with an optional K, M, G or T.
func ParseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	unit := int64(1)
	digits := strings.TrimRight(strings.ToUpper(s), "IB")
	if n := len(digits); n > 0 {
		if i := strings.IndexByte("KMGT", digits[n-1]); i >= 0 {
			unit, digits = 1<<(10*(i+1)), digits[:n-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, command.Failf(command.Usage, "write for example 256M or 2G", "bad size %q", s)
	}
	return n * unit, nil
}

// Check refuses flags that no collection can begin with.
func Check(c *cli.Context) error {
	all, err := chosenCollectors(c)
	if err == nil {
		_, err = withCapture(c, all)
	}
	if err != nil {
		return err
	}
	if _, err := ParseSize(c.String("max-file-size")); err != nil {
		return err
	}
	if err := checkSending(c); err != nil {
		return err
	}
	if _, err := budget(c); err != nil {
		return err
	}
	if _, err := splitSize(c); err != nil {
		return err
	}
	root := c.String("root")
	st, err := os.Stat(root)
	if err == nil && !st.IsDir() {
		err = fmt.Errorf("%s is not a folder", root)
	}
	if err != nil && !errors.Is(err, os.ErrPermission) {
		return command.Fail(command.Failure, "--root wants the folder below which the system is mounted", fmt.Errorf("collect: %w", err))
	}
	if f, ok := c.App.Writer.(*os.File); ok && c.String("output") == "-" && term.IsTerminal(f) {
		return command.Failf(command.Usage, "pipe it: -o - | ssh lab 'cat > host"+Suffix+"', or name a file: -o FILE", "a bundle does not go to a terminal")
	}
	return err
}

// factInherited lists in the options of a header the flags of the budget that
// hold because they did in the interrupted run.
const factInherited = "inherited"

// factNoWalkHashes is in the options of a header where the walk opened no file.
const factNoWalkHashes = "no_walk_hashes"

// what says what the flags ask to be collected, and at what cost.
func what(c *cli.Context, s *Selection) (collect.Options, error) {
	chosen, err := withCapture(c, s.Collectors)
	if err != nil {
		return collect.Options{}, err
	}
	limit, err := ParseSize(c.String("max-file-size"))
	if err != nil {
		return collect.Options{}, err
	}
	spend, err := budget(c)
	if err != nil {
		return collect.Options{}, err
	}
	split, err := splitSize(c)
	if err != nil {
		return collect.Options{}, err
	}
	root, err := absoluteRoot(c.String("root")) // a later resume may run elsewhere
	opt := collect.Options{
		Split: split,
		Root:  root, Collectors: chosen, Profile: s.Text, SelectionSHA256: s.Digest(), Deadline: c.Duration("deadline"), MaxFileSize: limit, Budget: spend,
		HashMD5SHA1: c.Bool("all-hashes"), CaptureFor: c.Duration("capture"), CaptureInterfaces: c.StringSlice("interface"), CaptureOptions: captureRecord(c),
	}
	if c.Bool("no-walk-hashes") {
		addFacts(&opt, map[string]string{factNoWalkHashes: "true"})
	}
	return opt, err
}

// Run collects into path, or to standard output where it is "-". The bundle
// lies under an unfinished name until it is sealed.
func Run(c *cli.Context, who Who, path string) (*Summary, error) {
	if err := who.TakeOrder(c); err != nil {
		return nil, err
	}
	if err := Check(c); err != nil {
		return nil, err
	}
	opt, err := what(c, who.selection)
	if err != nil {
		return nil, err
	}
	continues, err := Continues(c.String("continues"))
	if err != nil {
		return nil, err
	}
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		return nil, err
	}
	progress, err := frame.Progress(c, "collecting")
	if err != nil {
		return nil, err
	}
	defer progress.Done()
	opt.Case, opt.Exhibit, opt.Examiner, opt.Authority, opt.Version = who.Case, who.Exhibit, who.Examiner, who.Authority, who.Version
	opt.Bind = who.bind()
	if who.Job != nil {
		who.Job.describe(&opt)
	}
	opt.Recipients, opt.Continues, opt.Origin, opt.Key = envelope.Texts(who.Recipients), continues, who.Origin, key
	if r := who.Resumed; r != nil {
		opt.Held, opt.Continues = r.Held, r.Continues
		if len(r.Inherited) > 0 {
			addFacts(&opt, map[string]string{factInherited: strings.Join(r.Inherited, ",")})
		}
		opt.OwnFiles = append(opt.OwnFiles, r.Files...)
	}
	begin := sync.OnceFunc(func() {
		if who.Began != nil {
			who.Began()
		}
	})
	opt.Progress = func(p collect.Progress) {
		begin()
		progress.Set(status(p))
	}
	// What this run itself writes would grow for as long as it is read.
	opt.OwnFiles = append(opt.OwnFiles, regular(os.Stdout, os.Stderr)...)
	ctx, done := untilHangup(c.Context)
	defer done()
	if who.Order != nil && who.Order.Key != nil {
		opt.Key = who.Order.Key
	}
	var sum *Summary
	if err := mayContinue(c, who, path); err != nil {
		return nil, err
	}
	switch {
	case path == "-":
		sum, err = toStream(ctx, opt, who.Recipients, c.App.Writer)
	case sink.IsURL(path):
		sum, err = toSink(ctx, c, opt, who, path)
	default:
		path = EncryptedName(path, who.Recipients)
		if err := place(c, &opt, path); err != nil {
			return nil, err
		}
		sum, err = toFile(ctx, opt, who, path)
	}
	if sum != nil {
		sum.Place = opt.Facts[factVolume]
		sum.Recipients, sum.Continues = opt.Recipients, opt.Continues
		if n := len(sum.Before); n > 0 {
			sum.Continues = sum.Before[n-1].Seal
		}
	}
	return sum, err
}

// toStream writes the bundle where nothing can be named or synced. Its seal
// goes into the summary: nobody can read it from the stream without a key.
func toStream(ctx context.Context, opt collect.Options, recipients []envelope.Recipient, w io.Writer) (*Summary, error) {
	out := &counted{w: w}
	var end func() error
	var err error
	if opt.Out, end, err = Sealing(out, recipients); err != nil {
		return nil, err
	}
	res, err := collect.Run(ctx, opt)
	if ended := end(); err == nil {
		err = ended
	}
	if err != nil {
		return nil, sinkError(err)
	}
	files, err := bundle.SealFiles(res.Seal, opt.Key.PublicKey())
	if err != nil {
		return nil, err
	}
	sum := summarise("-", res)
	sum.Written, sum.SealFiles = out.n, sealTexts(files)
	return sum, nil
}

// counted counts what one goroutine writes.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// regular returns those of the files that are regular ones: a standard output
// that was redirected into a file.
func regular(files ...*os.File) []*os.File {
	var own []*os.File
	for _, f := range files {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			own = append(own, f)
		}
	}
	return own
}

// kept says where a run that failed left what it had.
func kept(err error, path string) error {
	return command.Fail(command.Failure, "what was collected until then is in "+path+": exhibit recover saves it", err)
}

func fileError(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return command.Fail(command.Privilege, "write to a folder of your own: -o FILE", err)
	}
	return err
}

func sinkError(err error) error {
	if err == nil {
		return nil
	}
	return command.Fail(command.Failure, "what left until then verifies up to its last checkpoint: exhibit recover saves it", err)
}

// syncFolder makes a rename durable where the system can.
func syncFolder(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync() //nolint:errcheck // some file systems refuse; the file itself is synced
}
