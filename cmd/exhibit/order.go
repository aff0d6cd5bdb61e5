package main

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func orderCommand() *cli.Command {
	return &cli.Command{
		Name: "order", Usage: "signed orders: what may be collected, by what right, until when", Category: catCustody,
		Subcommands: []*cli.Command{
			{
				Name: "new", Usage: "number an exhibit and order its collection",
				Description: "Example:\n   exhibit order new --for 48h --scope 'logs of web01' --tool ./exhibit-collector --out /media/usb/order\n" +
					"   exhibit order new --delegate --for 48h --out kit       (a one-time key travels with it)\n\n" +
					"The folder goes to the host: exhibit-collector --order FOLDER. An order is good for one bundle.\n" +
					"With --delegate whoever holds the folder can seal one bundle in your name until it ends: guard it.",
				Flags: append(gathering.SelectionFlags(), []cli.Flag{
					&cli.StringFlag{Name: "out", Usage: "write the order's files into the new folder `DIR`"},
					&cli.DurationFlag{Name: "for", Usage: "how long the order holds", Value: 48 * time.Hour},
					&cli.StringFlag{Name: "from", Usage: "from `TIME` on, RFC 3339 (default: now)"},
					&cli.StringFlag{Name: "authority", Usage: "warrant, consent or policy: its reference (default: the case's)"},
					&cli.StringFlag{Name: "purpose", Usage: "why (default: the case's)"},
					&cli.StringFlag{Name: "scope", Usage: "what may be looked at, in words"},
					&cli.StringSliceFlag{Name: "tool", Usage: "only with this executable `FILE` (repeatable; default: any)"},
					&cli.BoolFlag{Name: "delegate", Usage: "put a one-time key into the folder, certified for this order"},
				}...),
				Action: orderNew,
			},
			{
				Name: "show", Usage: "say what an order allows, and whether its signature holds", ArgsUsage: "DIR|order.json",
				Description: "Example:\n   exhibit order show /media/usb/order",
				Action:      orderShow,
			},
			{
				Name: "sign", Usage: "sign an order that somebody else prepared", ArgsUsage: "order.json",
				Description: "Example:\n   exhibit order sign order.json        (writes order.json.sig beside it)\n\n" +
					"The order must name you as its examiner. Read it first: exhibit order show.",
				Action: orderSign,
			},
		},
	}
}

func orderNew(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	if err := given(c, "out", "/media/usb/order"); err != nil {
		return err
	}
	selection, err := gathering.Select(c)
	if err != nil {
		return err
	}
	o, err := orderFromFlags(c, cs, selection)
	if err != nil {
		return err
	}
	dir := c.String("out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return command.Failf(command.Failure, "name a folder that is not there yet", "%s exists", dir)
		}
		return err
	}
	issued, err := cs.IssueOrder(o, c.Bool("delegate"), id, tool())
	if err != nil {
		_ = os.Remove(dir) // empty
		return caseError(err)
	}
	if err := writeOrder(dir, issued); err != nil {
		return err
	}
	if err := writeDefinitions(dir, selection.Set); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, orderJSON{issued.File, o.Digest.String(), "holds, by " + id.ID, dir})
	}
	fmt.Fprintf(c.App.Writer, "%s ordered: %s\n", o.Exhibit, term.Escape(dir))
	printOrder(c, o)
	if o.Key != "" {
		fmt.Fprintln(c.App.ErrWriter, "The folder holds a one-time key: until the order ends, whoever has it can seal one bundle in your name.")
	}
	return nil
}

func orderFromFlags(c *cli.Context, cs *chainofcustody.Case, selection *gathering.Selection) (*chainofcustody.Order, error) {
	now := time.Now().UTC().Truncate(time.Second)
	o := &chainofcustody.Order{
		Issued: now, NotBefore: now, Authority: c.String("authority"), Purpose: c.String("purpose"), Scope: c.String("scope"),
	}
	if from := c.String("from"); from != "" {
		t, err := time.Parse(time.RFC3339, from)
		if err != nil {
			return nil, command.Failf(command.Usage, "for example: --from 2026-03-01T08:00:00Z", "bad time %q", from)
		}
		o.NotBefore = t.UTC().Truncate(time.Second)
	}
	o.NotAfter = o.NotBefore.Add(c.Duration("for"))
	if o.Authority == "" {
		o.Authority = cs.Info.Authority
	}
	if o.Purpose == "" {
		o.Purpose = cs.Info.Purpose
	}
	for _, path := range c.StringSlice("tool") {
		d, err := command.FileDigest(path)
		if err != nil {
			return nil, err
		}
		o.Tools = append(o.Tools, d)
	}
	slices.SortFunc(o.Tools, func(a, b evidence.Digest) int { return strings.Compare(a.String(), b.String()) })
	o.Tools = slices.Compact(o.Tools)
	o.Profile, o.ProfileSHA256 = gathering.OrderText(c, selection)
	var err error
	o.Nonce, err = chainofcustody.NewNonce()
	return o, err
}

// writeOrder writes the files of an order into its new folder.
func writeOrder(dir string, issued *chainofcustody.Issued) error {
	files := map[string][]byte{gathering.OrderFile: issued.File, gathering.OrderSigFile: issued.Sig}
	if issued.Key != nil {
		block, err := ssh.MarshalPrivateKey(issued.Key.Private, "one-time key of an order")
		if err != nil {
			return err
		}
		files[gathering.RunKeyFile] = pem.EncodeToMemory(block)
		files[gathering.RunCertFile] = issued.Certificate
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeDefinitions puts the definitions that an order pins beside it.
func writeDefinitions(dir string, set *definition.Set) error {
	if set == nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, gathering.DefinitionsFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(set.WriteTar(f), f.Close())
}

// orderJSON is an order as --json shows it: the file itself, and what is known
// of its signature.
type orderJSON struct {
	Order     json.RawMessage `json:"order"`
	SHA256    string          `json:"sha256"`
	Signature string          `json:"signature"`
	Folder    string          `json:"folder,omitempty"`
}

func printOrder(c *cli.Context, o *chainofcustody.Order) {
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(c.App.Writer, "  %-11s %s\n", what, term.Escape(text))
		}
	}
	line("exhibit", o.Exhibit+" of case "+o.Case)
	line("ordered by", o.Examiner.ID+"  "+o.Examiner.Key)
	line("holds", o.NotBefore.Format(time.RFC3339)+" to "+o.NotAfter.Format(time.RFC3339))
	line("authority", o.Authority)
	line("purpose", o.Purpose)
	line("scope", o.Scope)
	line("collectors", o.Profile)
	if !o.ProfileSHA256.IsZero() {
		line("pinned", o.ProfileSHA256.String()+"  (collectors and definitions)")
	}
	for _, d := range o.Tools {
		line("program", d.String())
	}
	for _, r := range o.Recipients {
		line("encrypt for", r)
	}
	if o.Key != "" {
		line("delegated", "sealed with the one-time key "+o.Key)
	}
	line("nonce", o.NonceText())
	line("SHA-256", o.Digest.String())
}

func orderShow(c *cli.Context) error {
	path, err := oneArgument(c, "DIR or order.json")
	if err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, gathering.OrderFile)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	o, err := chainofcustody.ParseOrder(file)
	if err != nil {
		return command.Fail(command.Failure, "an order is one line of JSON that exhibit order new wrote", err)
	}
	signer, code := orderSigner(c, path, file, o)
	if c.Bool("json") {
		if err := command.JSON(c.App.Writer, orderJSON{file, o.Digest.String(), signer, ""}); err != nil {
			return err
		}
		return command.Exit(code)
	}
	printOrder(c, o)
	fmt.Fprintf(c.App.Writer, "  %-11s %s\n", "signature", term.Escape(signer))
	return command.Exit(code)
}

// orderSigner says in words whose signature an order has, and the exit code of
// that.
func orderSigner(c *cli.Context, path string, file []byte, o *chainofcustody.Order) (string, int) {
	sig, err := os.ReadFile(path + ".sig")
	if errors.Is(err, fs.ErrNotExist) {
		return "none: " + filepath.Base(path) + ".sig is not there", command.Trust
	}
	if err != nil {
		return "cannot be read: " + err.Error(), command.Failure
	}
	_, key, err := chainofcustody.VerifyOrder(file, sig)
	if err != nil {
		return "does not hold: " + err.Error(), command.Integrity
	}
	cs, err := openCase(c)
	if err != nil {
		return "holds, by " + chainofcustody.Fingerprint(key) + "; no case here to say whose key that is", command.Trust
	}
	signers, err := cs.Signers()
	if err != nil {
		return "holds; " + err.Error(), command.Trust
	}
	who, err := signers.Lookup(key, chainofcustody.NamespaceOrder, o.Issued)
	if err != nil {
		return "holds, by " + chainofcustody.Fingerprint(key) + ": " + err.Error(), command.Trust
	}
	return "holds, by " + who, command.OK
}

func orderSign(c *cli.Context) error {
	path, err := oneArgument(c, "order.json")
	if err != nil {
		return err
	}
	id, err := identity(c)
	if err != nil {
		return err
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	o, err := chainofcustody.ParseOrder(file)
	if err != nil {
		return command.Fail(command.Failure, "an order is one line of JSON that exhibit order new wrote", err)
	}
	if o.Examiner.Key != id.Fingerprint() || o.Examiner.ID != id.ID {
		return command.Failf(command.WrongKey, "sign as the person it names: --id "+o.Examiner.ID+" --key FILE",
			"the order is for the signature of %s with key %s, you are %s with %s", o.Examiner.ID, o.Examiner.Key, id.ID, id.Fingerprint())
	}
	sig, err := id.Key.Sign(chainofcustody.NamespaceOrder, file)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(path+".sig", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return command.Failf(command.Failure, "remove it first if it is not wanted any more", "%s.sig exists", path)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(sig)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, orderJSON{file, o.Digest.String(), "holds, by " + id.ID, ""})
	}
	fmt.Fprintf(c.App.Writer, "%s.sig written: signed by %s\n", term.Escape(path), term.Escape(id.ID))
	return nil
}
