package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/kit"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// kitJSON is a kit as --json shows it.
type kitJSON struct {
	Kit       string            `json:"kit"`
	Form      string            `json:"form"`
	Job       json.RawMessage   `json:"job"`
	SHA256    string            `json:"job_sha256"`
	Signature string            `json:"signature,omitempty"`
	Files     map[string]string `json:"files"` // SHA-256 as they are
	Problems  []string          `json:"problems,omitempty"`
}

func describeKit(l *kit.Loaded, signature string, problems []string) kitJSON {
	k := kitJSON{Kit: l.Where, Form: l.Form, Job: l.File, SHA256: l.Digest.String(), Signature: signature, Files: map[string]string{}, Problems: problems}
	for name, f := range l.Loaded() {
		k.Files[name] = evidence.Sum(f.Data).String()
	}
	return k
}

func printKit(w io.Writer, l *kit.Loaded) {
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-11s %s\n", what, term.Escape(text))
		}
	}
	line("signed by", l.Signer.ID+"  "+l.Signer.Key)
	line("case", l.Case)
	line("exhibit", l.Exhibit)
	line("holds", l.NotBefore.Format(time.RFC3339)+" to "+l.NotAfter.Format(time.RFC3339))
	line("authority", l.Authority)
	line("purpose", l.Purpose)
	if !l.OrderSHA256.IsZero() {
		line("order", l.OrderSHA256.String())
	}
	for _, s := range l.Run {
		line("runs with", "--"+s)
	}
	line("selection", l.Selection.String())
	for _, f := range slices.Concat(l.Programs, l.Job.Files) {
		line("file", f.SHA256.String()+"  "+f.Name)
	}
	line("job SHA-256", l.Digest.String())
}

// loadKit reads the kit that the argument names.
func loadKit(c *cli.Context) (*kit.Loaded, error) {
	path, err := oneArgument(c, "KIT")
	if err != nil {
		return nil, err
	}
	l, err := kit.Load(path)
	switch {
	case errors.Is(err, kit.ErrChanged):
		return nil, command.Fail(command.Integrity, "do not run it; copy the kit again from where it was built, and find out who had this one", fmt.Errorf("%s: %w", path, err))
	case errors.Is(err, chainofcustody.ErrNewerSchema):
		return nil, command.Fail(command.NoCase, "use the newer exhibit that built it", err)
	case errors.Is(err, kit.ErrShape), errors.Is(err, kit.ErrNone):
		return nil, command.Fail(command.Failure, "give what exhibit collector build wrote: a folder, NAME.zip, NAME.tar.zst or one file", fmt.Errorf("%s: %w", path, err))
	}
	return l, err
}

// kitTrust says in words whose signature a kit has, and the exit code of that.
func kitTrust(c *cli.Context, l *kit.Loaded) (string, int) {
	_, key, err := chainofcustody.VerifyJob(l.File, l.Sig)
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
	who, err := signers.Lookup(key, chainofcustody.NamespaceOrder, l.NotBefore)
	if err == nil {
		return "holds, by " + who, command.OK
	}
	o, by, bad := chainofcustody.VerifyOrder(l.Loaded()["order.json"].Data, l.Loaded()["order.json.sig"].Data)
	if bad == nil && o.Key == l.Signer.Key && o.Digest == l.OrderSHA256 {
		if who, bad = signers.Lookup(by, chainofcustody.NamespaceOrder, o.Issued); bad == nil {
			return "holds, by the one-time key of the order that " + who + " signed", command.OK
		}
	}
	return "holds, by " + chainofcustody.Fingerprint(key) + ": " + err.Error(), command.Trust
}

func collectorShow(c *cli.Context) error {
	l, err := loadKit(c)
	if err != nil {
		return err
	}
	signature, code := kitTrust(c, l)
	if c.Bool("json") {
		if err := command.JSON(c.App.Writer, describeKit(l, signature, nil)); err != nil {
			return err
		}
		return command.Exit(code)
	}
	fmt.Fprintf(c.App.Writer, "%s: a kit as %s, %d files; exhibit collector verify compares them\n", term.Escape(l.Where), l.Form, len(l.Loaded()))
	printKit(c.App.Writer, l)
	fmt.Fprintf(c.App.Writer, "  %-11s %s\n", "signature", term.Escape(signature))
	return command.Exit(code)
}

func collectorVerify(c *cli.Context) error {
	l, err := loadKit(c)
	if err != nil {
		return err
	}
	signature, code := kitTrust(c, l)
	problems := l.Problems()
	if len(problems) > 0 {
		code = command.Integrity
	}
	if c.Bool("json") {
		if err := command.JSON(c.App.Writer, describeKit(l, signature, problems)); err != nil {
			return err
		}
		return command.Exit(code)
	}
	for _, p := range problems {
		fmt.Fprintf(c.App.Writer, "CHANGED    %s\n", term.Escape(p))
	}
	if len(problems) == 0 {
		fmt.Fprintf(c.App.Writer, "UNCHANGED  %d files are as they were signed: %s\n", len(l.Loaded()), strings.Join(slices.Sorted(maps.Keys(l.Loaded())), ", "))
	}
	fmt.Fprintf(c.App.Writer, "signature  %s\n", term.Escape(signature))
	return command.Exit(code)
}
