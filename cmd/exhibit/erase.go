package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func eraseCommand() *cli.Command {
	return &cli.Command{
		Name: "erase", Usage: "write a bundle without some items, on a legal order, all other proofs staying valid", ArgsUsage: "EXHIBIT|BUNDLE ITEM...", Category: catEvidence,
		Description: "Example:\n   exhibit erase EX-001 /home/bob/letter.txt --order 'Bonn court, 7 Gs 12/26' --reason 'letter to a lawyer' -o kept.exhibit.tar.zst\n\n" +
			"ITEM is a path as ls shows it, or the number of a record (index of ls --json). Content, hashes and salts\n" +
			"of the items go, with --metadata also name, owner and times. Your signature stands for it: verify says\n" +
			"what was erased, by whom and on what order, and never calls the new file whole. What other records say\n" +
			"of the same things stays. The bundle itself is only read: to destroy it is another act, custody destroy.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "order", Usage: "on whose order: authority and `REFERENCE`"},
			&cli.StringFlag{Name: "reason", Usage: "`WHY`, in words that may stay"},
			&cli.BoolFlag{Name: "metadata", Usage: "also what they were called and everything else the host said of them"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
			&cli.BoolFlag{Name: "plain", Usage: "write the new file of an encrypted bundle unencrypted"},
		}, gathering.RecipientFlags()...),
		Action: runErase,
	}
}

// erasure is what erase did, for people and for JSON.
type erasure struct {
	File     string             `json:"file"`
	SHA256   string             `json:"sha256"`
	Size     int64              `json:"size"`
	Source   string             `json:"source"`
	SealID   string             `json:"seal_id"`
	SealCode string             `json:"seal_code"`
	Order    string             `json:"order"`
	Reason   string             `json:"reason"`
	Erased   []erasedRow        `json:"erased"`
	Bytes    int64              `json:"bytes"` // of content that is gone
	Kin      []bundle.ErasedKin `json:"still_there,omitempty"`
}

type erasedRow struct {
	Leaf     int64  `json:"leaf"`
	Path     string `json:"path,omitempty"` // none where the name was erased
	Metadata bool   `json:"metadata"`
}

// maxRefs bounds the records that a custody event names one by one: it has
// 64 KiB. The statement, whose digest it holds, names all.
const maxRefs = 1000

func runErase(c *cli.Context) error {
	for _, flag := range []string{"order", "reason", "output"} {
		if c.String(flag) == "" {
			return command.Failf(command.Usage, "see: exhibit erase --help", "erase needs --%s", flag)
		}
	}
	if c.NArg() < 2 {
		return command.Failf(command.Usage, "exhibit ls shows the paths", "erase needs a bundle and the items to erase from it")
	}
	o, err := openArgument(c, c.NArg(), "a bundle and items")
	if err != nil {
		return err
	}
	defer o.file.Close()
	id := o.id
	if id == nil {
		if id, err = identity(c); err != nil {
			return err // nothing is erased that nobody stands for
		}
	}
	to, err := outward(c, o.file)
	if err != nil {
		return err
	}
	leaves, err := leavesOf(o.Reader, c.Args().Slice()[1:])
	if err != nil {
		return err
	}
	progress, err := frame.Progress(c, "verifying "+filepath.Base(o.path))
	if err != nil {
		return err
	}
	defer progress.Done()
	opt, err := o.eraseOptions(c, id, leaves)
	if err != nil {
		return err
	}
	opt.Progress = func(done, total, records int64) {
		progress.Set(term.Status{Bytes: done, BytesTotal: total, Items: records})
	}
	out, res, err := o.erase(c, opt, to)
	progress.Done()
	if err != nil {
		return eraseError(err)
	}
	e := &erasure{
		File: out.path, SHA256: out.digest().String(), Size: out.size, Source: o.path, Bytes: res.Bytes, Kin: res.Kin,
		SealID: o.Seal().ID.String(), SealCode: o.Seal().Code(), Order: res.Erasure.Order, Reason: res.Erasure.Reason,
	}
	for _, it := range res.Erasure.Items {
		row := erasedRow{Leaf: it.Leaf, Metadata: !it.Meta.IsZero()}
		if item, err := o.Item(it.Leaf); err == nil && !row.Metadata {
			row.Path = timeline.Printable(item.Path)
		}
		e.Erased = append(e.Erased, row)
	}
	if err := o.erased(id, out, res); err != nil {
		return err
	}
	return e.print(c)
}

// eraseOptions are what the flags say, and the file as it lies there.
func (o *opened) eraseOptions(c *cli.Context, id *chainofcustody.Identity, leaves []int64) (bundle.EraseOptions, error) {
	digest, err := command.DigestOf(c.Context, o.file.file, o.file.outer)
	return bundle.EraseOptions{
		Leaves: leaves, Metadata: c.Bool("metadata"), By: id.ID, At: time.Now(),
		Order: timeline.Printable(c.String("order")), Reason: timeline.Printable(c.String("reason")),
		FromSHA256: digest, FromSize: o.file.outer,
		Sign: func(text []byte) ([]byte, error) { return id.Key.Sign(chainofcustody.NamespaceCustody, text) },
	}, err
}

// erase writes the new file and reads it back before it has its name.
func (o *opened) erase(c *cli.Context, opt bundle.EraseOptions, to []envelope.Recipient) (*outFile, *bundle.Erased, error) {
	out, err := createOut(gathering.EncryptedName(c.String("output"), to), to)
	if err != nil {
		return nil, nil, err
	}
	res, err := bundle.Erase(c.Context, o.file, o.file.size, out, opt)
	var check func(path string) error
	if len(to) == 0 {
		check = func(path string) error { return readErased(c.Context, path, res) }
	}
	return out, res, out.finish(err, check)
}

// readErased verifies what was written: the original may be destroyed for it.
func readErased(ctx context.Context, path string, res *bundle.Erased) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	rep, err := bundle.Verify(ctx, f, st.Size(), bundle.VerifyOptions{})
	if err != nil {
		return err
	}
	if rep.Verdict != bundle.SignerUnknown || !rep.Sealed || rep.SealID != res.Original.SealID || rep.ErasedItems < int64(len(res.Erasure.Items)) {
		return command.Failf(command.Integrity, "write to another medium", "what was written does not read back as the bundle without the items: %s", rep.Verdict)
	}
	return nil
}

// erased records the act in the custody log of the exhibit.
func (o *opened) erased(id *chainofcustody.Identity, out *outFile, res *bundle.Erased) error {
	if o.exhibit == "" {
		return nil
	}
	ev := chainofcustody.Event{
		Kind: chainofcustody.EventDerived, Tool: tool(), Seal: o.Seal().ID, Authority: res.Erasure.Order, Purpose: res.Erasure.Reason,
		Note: fmt.Sprintf("%s: the bundle without %d items, which were erased on order; the bundle itself is as it was", filepath.Base(out.path), len(res.Erasure.Items)),
		Attach: []chainofcustody.Attachment{
			{Name: bundle.ErasureName, SHA256: evidence.Sum(res.Statement)},
			{Name: filepath.Base(out.path), SHA256: out.digest()},
		},
	}
	for _, it := range res.Erasure.Items[:min(len(res.Erasure.Items), maxRefs)] {
		ev.Refs = append(ev.Refs, fmt.Sprintf("leaf:%d", it.Leaf))
	}
	_, err := o.cs.Append(o.exhibit, ev, id)
	return caseError(err)
}

func eraseError(err error) error {
	switch {
	case errors.Is(err, bundle.ErrNoContent):
		return command.Fail(command.Usage, "--metadata erases what is said of it", err)
	case errors.Is(err, bundle.ErrNotErasable):
		return command.Fail(command.Failure, "exhibit ls --json shows the index of each record", err)
	case errors.Is(err, bundle.ErrErased):
		return command.Fail(command.Failure, "exhibit verify says what was erased; --metadata takes out the rest of a record", err)
	case errors.Is(err, bundle.ErrNotSealed):
		return command.Fail(command.Integrity, "exhibit verify --explain says what is wrong with the bundle", err)
	}
	return err
}

func (e *erasure) print(c *cli.Context) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, e)
	}
	w := c.App.Writer
	fmt.Fprintf(w, "%d items erased in %s (%s), on order %s\n  SHA-256    %s\n  seal code  %s, as before\n",
		len(e.Erased), term.Escape(e.File), term.Size(e.Size), term.Escape(e.Order), e.SHA256, e.SealCode)
	for _, r := range e.Erased {
		what := "content of " + term.Escape(r.Path)
		if r.Metadata {
			what = "content, name and all else that was said of it"
		}
		fmt.Fprintf(w, "  record %-8d %s\n", r.Leaf, what)
	}
	err := c.App.ErrWriter
	fmt.Fprintf(err, "%s is as it was, the erased items in it: destroying it is another act, custody destroy.\n", term.Escape(e.Source))
	for _, k := range e.Kin {
		same := "is of the same path"
		if k.Content {
			same = "has the same content"
		}
		fmt.Fprintf(err, "Record %d, %s, %s as record %d and was not erased.\n", k.Leaf, term.Escape(k.Path), same, k.Of)
	}
	return nil
}
