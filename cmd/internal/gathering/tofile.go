package gathering

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/sink"
)

// Sealed is one bundle of a run that went on in another.
type Sealed struct {
	Bundle  string `json:"bundle"`
	Seal    string `json:"seal"`
	Code    string `json:"seal_code"`
	Written int64  `json:"bundle_bytes"`
}

// minSplit is the least size of bundles that continue each other: each has
// records of its own.
const minSplit = 16 << 20

// splitSize reads --split.
func splitSize(c *cli.Context) (int64, error) {
	n, err := ParseSize(c.String("split"))
	switch {
	case err != nil || !c.IsSet("split") || n == 0 && resuming(c):
		return 0, err
	case n < minSplit:
		return 0, command.Failf(command.Usage, "give --split 16M or more", "bundles of %d bytes would hold little but their own records", n)
	case c.Duration("capture") > 0:
		return 0, command.Failf(command.Usage, "collect the traffic by itself: -c packet_capture", "a capture is one stream for as long as the run, and no item is cut in two: --split and --capture cannot be together")
	}
	return n, nil
}

// mayContinue refuses --split where a run has one bundle only.
func mayContinue(c *cli.Context, who Who, path string) error {
	n, err := splitSize(c)
	switch {
	case err != nil || n == 0:
		return err
	case path == "-":
		return command.Failf(command.Usage, "name a file: -o FILE", "standard output takes one bundle")
	case sink.IsURL(path):
		return command.Failf(command.Usage, "name a file: -o FILE", "another machine takes one bundle")
	case who.Order != nil:
		return command.Failf(command.Usage, "leave --split out, or collect without --order", "an order is good for one bundle")
	case who.inCase():
		return command.Failf(command.Usage, "write outside of the case with -o FILE, then: exhibit custody receive", "an exhibit is one bundle")
	}
	return nil
}

// inCase reports whether the bundle becomes an exhibit as it is made.
func (w *Who) inCase() bool { return w.Identity != nil && w.Exhibit != "" }

// output is the file of a bundle while it is written.
type output struct {
	path string // when it is sealed
	f    *os.File
	out  *counted
	end  func() error // of the envelope
	key  *chainofcustody.RunKey
	to   []envelope.Recipient
	done bool // sealed
}

// openOutput makes the file of a bundle under its unfinished name.
func openOutput(path string, recipients []envelope.Recipient, key *chainofcustody.RunKey) (*output, error) {
	beside := []string{path}
	if len(recipients) > 0 {
		beside = append(beside, path+bundle.SealFolder)
	}
	for _, p := range beside {
		if _, err := os.Lstat(p); err == nil {
			return nil, command.Failf(command.Failure, "choose another name: evidence is never overwritten", "%s exists", p)
		}
	}
	f, err := os.OpenFile(path+Unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, command.Fail(command.Failure, "an earlier run left it: exhibit resume goes on from it, exhibit recover saves what it holds", err)
	}
	if err != nil {
		return nil, fileError(err)
	}
	return &output{path: path, f: f, out: &counted{w: f}, key: key, to: recipients}, nil
}

// finish gives a sealed bundle its name, durably, and writes its seal beside
// an encrypted one: files are those of the seal then.
func (o *output) finish(seal bundle.Seal) (files []bundle.SealFile, err error) {
	o.done = true
	if err := errors.Join(o.end(), o.f.Sync(), o.f.Close()); err != nil {
		return nil, kept(err, o.path+Unfinished)
	}
	if err := os.Rename(o.path+Unfinished, o.path); err != nil {
		return nil, err
	}
	if err := os.Chmod(o.path, 0o400); err != nil {
		return nil, err
	}
	if len(o.to) > 0 {
		if files, err = bundle.SealFiles(seal, o.key.PublicKey()); err != nil {
			return nil, err
		}
		if err := WriteSealFolder(o.path, files); err != nil {
			return nil, err
		}
	}
	syncFolder(filepath.Dir(o.path))
	return files, nil
}

// toFile writes the bundle durably and gives it its name when it is sealed.
// What does not fit into one goes on in others beside it.
func toFile(ctx context.Context, opt collect.Options, who Who, path string) (*Summary, error) {
	now, err := openOutput(path, who.Recipients, opt.Key)
	if err != nil {
		return nil, err
	}
	if opt.Out, now.end, err = Sealing(now.out, who.Recipients); err != nil {
		return nil, errors.Join(err, now.f.Close(), os.Remove(path+Unfinished))
	}
	opt.Sync, opt.OwnFiles = now.f.Sync, append(opt.OwnFiles, now.f)
	var before []Sealed
	if who.Order == nil && !who.inCase() {
		opt.NextPart = func(last collect.Part) (*collect.Next, error) {
			if _, err := now.finish(last.Seal); err != nil {
				return nil, err
			}
			before = append(before, Sealed{now.path, last.Seal.ID.String(), last.Seal.Code(), now.out.n})
			next, n, err := nextOutput(path, last.Number+1, who.Recipients)
			if err != nil {
				return nil, err
			}
			now = next
			return n, nil
		}
	}
	res, err := collect.Run(ctx, opt)
	if err != nil && now.done {
		return nil, command.Fail(command.Failure, fmt.Sprintf("%d bundles of this run are sealed: exhibit resume goes on from the last", len(before)), err)
	}
	if err != nil {
		// The last chunk of an envelope is what a recovery would miss.
		_ = now.end() //nolint:errcheck // the first error is the one that matters
		now.f.Close()
		return nil, kept(err, now.path+Unfinished)
	}
	files, err := now.finish(res.Seal)
	if err != nil {
		return nil, err
	}
	sum := summarise(now.path, res)
	sum.Written, sum.Before = now.out.n, before
	if len(files) > 0 {
		sum.SealFiles = sealTexts(files)
	}
	return sum, nil
}

// nextOutput opens the file of a further bundle of a run.
func nextOutput(first string, number int, recipients []envelope.Recipient) (*output, *collect.Next, error) {
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		return nil, nil, err
	}
	o, err := openOutput(partName(first, number), recipients, key)
	if err != nil {
		return nil, nil, err
	}
	out, end, err := Sealing(o.out, recipients)
	if err != nil {
		return nil, nil, errors.Join(err, o.f.Close(), os.Remove(o.path+Unfinished))
	}
	o.end = end
	return o, &collect.Next{Out: out, Sync: o.f.Sync, Own: []*os.File{o.f}, Key: key}, nil
}

// partName is the name of a further bundle: host.exhibit.tar.zst is followed
// by host.part2.exhibit.tar.zst.
func partName(first string, number int) string {
	for _, suffix := range []string{Suffix + envelope.Suffix, Suffix, envelope.Suffix} {
		if name, ok := strings.CutSuffix(first, suffix); ok {
			return fmt.Sprintf("%s.part%d%s", name, number, suffix)
		}
	}
	return fmt.Sprintf("%s.part%d", first, number)
}
