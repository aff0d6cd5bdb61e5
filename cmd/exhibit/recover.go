package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func recoverCommand() *cli.Command {
	return &cli.Command{
		Name: "recover", Usage: "save what a cut or damaged bundle still proves into a new file", ArgsUsage: "BUNDLE", Category: catEvidence,
		Description: "Example:\n   exhibit recover host.exhibit.tar.zst.partial -o host-recovered.exhibit.tar.zst\n" +
			"   exhibit recover host.exhibit.tar.zst.age.partial --identity age.key --recipient age1pq1… -o saved.exhibit.tar.zst.age\n" +
			"   exhibit recover web01.exhibit.tar.zst.partial --tail fallback -o web01.exhibit.tar.zst\n" +
			"   exhibit recover s3://bucket/web01.exhibit.tar.zst -o saved.exhibit.tar.zst   (also of an upload that never ended)\n\n" +
			"The original is never changed. What was encrypted is encrypted again to the --recipient given, or, with\n" +
			"--plain, written so that anybody can read it.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
			&cli.StringFlag{Name: "tail", Usage: "BUNDLE is only the beginning, the rest is in the fallback `FILE` of its collection"},
			&cli.StringFlag{Name: "upload", Usage: "s3: the `ID` of one of several uploads that never ended"},
			&cli.BoolFlag{Name: "plain", Usage: "write an encrypted bundle unencrypted"},
		}, gathering.StoreFlags(), gathering.RecipientFlags()),
		Action: runRecover,
	}
}

// outward says whom a new file made from a bundle is encrypted to: what was
// encrypted is not written in clear unless somebody says so.
func outward(c *cli.Context, in *bundleFile) ([]envelope.Recipient, error) {
	to, err := recipients(c)
	switch {
	case err != nil:
		return nil, err
	case len(to) > 0 && c.Bool("plain"):
		return nil, command.Failf(command.Usage, "give one of the two", "--plain and --recipient contradict each other")
	case in.env != nil && len(to) == 0 && !c.Bool("plain"):
		return nil, command.Failf(command.Usage, "give --recipient KEY to encrypt the new file, or --plain to write it unencrypted",
			"%s is encrypted", in.path)
	}
	return to, nil
}

func runRecover(c *cli.Context) error {
	if err := given(c, "output", "saved.exhibit.tar.zst"); err != nil {
		return err
	}
	arg, err := oneArgument(c, "BUNDLE")
	if err != nil {
		return err
	}
	if err := mustNotExist(c.String("output"), "choose another name: evidence is never overwritten"); err != nil {
		return err
	}
	from := arg
	if sink.IsURL(arg) {
		got, err := fetch(c, arg)
		if err != nil {
			return err
		}
		defer got.remove()
		from = got.path
	}
	if tail := c.String("tail"); tail != "" {
		return runJoin(c, from, arg, tail)
	}
	path, record, err := recorder(c, from)
	if err != nil {
		return err
	}
	in, err := openFile(c, path)
	if err != nil {
		return err
	}
	defer in.Close()
	to, err := outward(c, in)
	if err != nil {
		return err
	}
	out, err := createOut(gathering.EncryptedName(c.String("output"), to), to)
	if err != nil {
		return err
	}
	rep, err := bundle.Recover(c.Context, in, in.size, out)
	err = out.finish(err, nil)
	switch {
	case errors.Is(err, bundle.ErrNotBundle), errors.Is(err, bundle.ErrNothing):
		return command.Fail(command.Failure, "exhibit verify "+arg+" --explain says what is wrong with it", fmt.Errorf("recover %s: %w", arg, err))
	case err != nil:
		return fmt.Errorf("recover %s: %w", arg, err)
	}
	if err := record(chainofcustody.EventRecovered, out, "what of the bundle is proven was written to a new file"); err != nil {
		return err
	}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, rep)
	} else {
		fmt.Fprintf(c.App.Writer, "%d records saved, %d of them proven by a signature; %s lost in the middle, %s of a cut member left behind\nwritten to %s (%s)\n",
			rep.Records, rep.Proven, term.Size(rep.LostSize), term.Size(rep.Left), term.Escape(out.path), term.Size(out.size))
	}
	return errors.Join(err, command.Exit(command.Partial))
}
