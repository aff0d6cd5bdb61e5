package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/bundle/envelope/agekeys"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func collectCommand() *cli.Command {
	return &cli.Command{
		Name: "collect", Usage: "collect this machine, one mounted below a folder, or others over SSH", ArgsUsage: "[ssh://[USER@]HOST[:PORT]...]", Category: catCollect,
		Description: "Example:\n   sudo exhibit collect                      (inside a case: a new exhibit, recorded in its custody log)\n" +
			"   sudo exhibit collect --root /mnt/image\n   sudo exhibit collect --capture 30s -o host.exhibit.tar.zst   (without a case)\n" +
			"   sudo exhibit collect -o exhibit://lab:7443 --server-key SHA256:… --client-key kit   (or sftp://, s3://, https://)\n" +
			"   sudo exhibit collect --recipient age1pq1…       (only the holder of that key can read the bundle)\n" +
			"   sudo exhibit collect --image disk.E01\n" +
			"   exhibit collect ssh://root@web01          (nothing is installed there, and nothing stays)\n" +
			"   exhibit collect --hosts hosts.txt --parallel 20 --sudo --jump bastion\n\n" +
			"A case on a disk of the machine itself is refused, since writing there overwrites what was deleted: keep the case\n" +
			"on a medium, or say --allow-evidence-volume. The first Ctrl-C ends the collection and seals what there is; the\n" +
			"second ends the program.",
		Flags: slices.Concat(gathering.Flags(), imageFlags(), remoteFlags()), Action: runCollect,
	}
}

// imageFlags are those of collecting a disk image.
func imageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image", Usage: "collect the system on the disk image `FILE`: raw, qcow2, VMDK, VHDX, VDI or E01"},
		&cli.StringFlag{Name: "volume", Usage: "image: its root is on volume `NUMBER`", DefaultText: "the first that looks like one"},
	}
}

func collectorsCommand() *cli.Command {
	return &cli.Command{
		Name: "collectors", Usage: "what can be collected", Category: catCollect,
		Description: "Example:\n   exhibit collectors",
		Action:      func(c *cli.Context) error { return gathering.List(c, collectors.All()) },
	}
}

func runCollect(c *cli.Context) error {
	if hosts, err := targets(c); err != nil {
		return err
	} else if len(hosts) > 0 {
		return collectHosts(c, hosts)
	}
	if c.String("image") != "" {
		return collectImage(c, func(origin string) error { return collectHere(c, origin) })
	}
	return collectHere(c, "")
}

// collectHere collects what is below --root. origin says what is mounted
// there, and how, where that is known.
func collectHere(c *cli.Context, origin string) error {
	if err := gathering.Check(c); err != nil {
		return err
	}
	out := c.String("output")
	if out != "" {
		return collectAlone(c, out, gathering.Who{Origin: origin})
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	return collectExhibit(c, cs, id, gathering.Who{Origin: origin})
}

// collectAlone writes a bundle outside of any case. who says what is known of
// the run beforehand.
func collectAlone(c *cli.Context, out string, who gathering.Who) error {
	recipients, err := recipients(c)
	if err != nil {
		return err
	}
	who.Authority, who.Version, who.Recipients = c.String("authority"), version, recipients
	if id, err := identity(c); err == nil {
		who.Examiner, who.Identity = id.ID, id
	}
	sum, err := gathering.Run(c, who, out)
	if err != nil {
		return err
	}
	return report(c, sum, out == "-")
}

// recipients reads whom to encrypt to; plugins are started where one needs it.
func recipients(c *cli.Context) ([]envelope.Recipient, error) {
	return gathering.Recipients(c, func(s string) (envelope.Recipient, error) { return agekeys.Recipient(s, c.App.ErrWriter) })
}

// report prints a summary where the bundle does not go.
func report(c *cli.Context, sum *gathering.Summary, toErr bool) error {
	w, f := c.App.Writer, os.Stdout
	if toErr {
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

// collectExhibit makes a new exhibit of the case and records each step in its
// custody log.
func collectExhibit(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, who gathering.Who) error {
	recipients, err := recipients(c) // before a number is spent
	if err != nil {
		return err
	}
	who.Version, who.Identity, who.Examiner, who.Recipients = version, id, id.ID, recipients
	if err := who.TakeOrder(c); err != nil {
		return err
	}
	if err := gathering.MayWrite(c, cs.Path(chainofcustody.ExhibitsDir)); err != nil {
		return err
	}
	exhibit, err := exhibitFor(cs, who.Order)
	if err != nil {
		return err
	}
	authority := c.String("authority")
	if authority == "" {
		authority = cs.Info.Authority
	}
	record := func(ev chainofcustody.Event) error {
		ev.Tool, ev.Authority = tool(), authority
		_, err := cs.Append(exhibit, ev, id)
		return caseError(err)
	}
	if who.Order == nil {
		of := c.String("root")
		if who.Origin != "" {
			of = term.Escape(who.Origin)
		}
		if err := record(chainofcustody.Event{Kind: chainofcustody.EventOrdered, Purpose: cs.Info.Purpose, Note: "collection of " + of}); err != nil {
			return err
		}
	}
	dir := cs.Path(chainofcustody.ExhibitsDir, exhibit)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, gathering.FileName(cs.Info.ID, gathering.HostName(c.String("root")), time.Now()))
	who.Case, who.Exhibit, who.Authority = cs.Info.ID, exhibit, authority
	sum, err := gathering.Run(c, who, path)
	if err != nil {
		if e := record(chainofcustody.Event{Kind: chainofcustody.EventException, Note: "the collection failed: " + term.Escape(err.Error())}); e != nil {
			return e
		}
		return err
	}
	var refs []string
	if who.Order != nil {
		refs = gathering.OrderRef(who.Order.File)
	}
	if err := recordCollected(sum, refs, record); err != nil {
		return err
	}
	if !c.Bool("json") {
		fmt.Fprintf(c.App.Writer, "exhibit    %s of case %s\n", exhibit, term.Escape(cs.Info.ID))
	}
	return report(c, sum, false)
}

// recordCollected writes the events that a sealed bundle stands for.
func recordCollected(sum *gathering.Summary, refs []string, record func(chainofcustody.Event) error) error {
	digest, err := command.FileDigest(sum.Bundle)
	if err != nil {
		return err
	}
	st, err := os.Stat(sum.Bundle)
	if err != nil {
		return err
	}
	collected := chainofcustody.Event{
		Kind: chainofcustody.EventCollected, Seal: sum.Result.Seal.ID,
		Note: fmt.Sprintf("%d items, %s of content, %d problems; no other program was started", sum.Items, term.Size(sum.Content), sum.Problems),
	}
	if sum.Place != "" {
		collected.Note += "; the bundle lies on evidence, " + sum.Place
	}
	if err := record(collected); err != nil {
		return err
	}
	if sum.Partial {
		ev := chainofcustody.Event{Kind: chainofcustody.EventInterrupted, Seal: sum.Result.Seal.ID, Note: "the collection ended early: " + sum.Reason}
		if err := record(ev); err != nil {
			return err
		}
	}
	note := "seal code " + bundle.CodeOf(sum.Result.Seal.ID)
	if n := len(sum.Recipients); n > 0 {
		note += fmt.Sprintf("; encrypted to %d recipients", n)
	}
	return record(chainofcustody.Event{
		Kind: chainofcustody.EventSealed, Seal: sum.Result.Seal.ID, OuterSHA256: digest, Size: st.Size(),
		Refs:   refs,
		Note:   note,
		Attach: []chainofcustody.Attachment{{Name: filepath.Base(sum.Bundle), SHA256: digest}},
	})
}

// exhibitFor returns the number that a collection gets: that of its order, or
// the next one. An order is good for one bundle.
func exhibitFor(cs *chainofcustody.Case, o *gathering.Order) (string, error) {
	if o == nil {
		exhibit, err := cs.NextExhibit()
		return exhibit, caseError(err)
	}
	if o.Case != cs.Info.ID {
		return "", command.Failf(command.Failure, "go into the case that issued it", "the order is for case %s, this is case %s", o.Case, cs.Info.ID)
	}
	return o.Exhibit, orderUnused(cs, o.Exhibit, gathering.OrderRef(o.File)[0])
}

// orderUnused refuses a second bundle for one order.
func orderUnused(cs *chainofcustody.Case, exhibit, order string) error {
	used, issued, err := cs.OrderUse(exhibit, order)
	switch {
	case err != nil:
		return caseError(err)
	case !issued:
		return command.Failf(command.Integrity, "only an order that this case issued can be used in it: exhibit order new",
			"the custody log of %s does not name this order", exhibit)
	case used:
		return command.Failf(command.Integrity, "an order is good for one bundle: find out where the other one came from, then issue a new order",
			"a bundle was collected under this order already: %s", exhibit)
	}
	return nil
}
