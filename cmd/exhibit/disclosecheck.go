package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// disclosureOptions says whom the caller trusts: a list that is named, that of
// the case, or the code on paper.
func disclosureOptions(c *cli.Context) (bundle.VerifyOptions, error) {
	var opt bundle.VerifyOptions
	var signers chainofcustody.AllowedSigners
	if path := c.String("signers"); path != "" {
		list, err := verifying.ReadSigners(path)
		if err != nil {
			return opt, err
		}
		signers = list
	} else if cs, err := openCase(c); err == nil {
		if signers, err = cs.Signers(); err != nil {
			return opt, err
		}
	} else if !errors.Is(err, chainofcustody.ErrNoCase) || c.String("case") != "" {
		return opt, err
	}
	opt.Trusted = func(key ssh.PublicKey, at time.Time) (string, bool) {
		for _, namespace := range []string{chainofcustody.NamespaceCustody, chainofcustody.NamespaceSeal} {
			if who, err := signers.Lookup(key, namespace, at); err == nil {
				return who, true
			}
		}
		return "", false
	}
	opt.People = func(key ssh.PublicKey, at time.Time) (string, bool) {
		who, err := signers.Lookup(key, chainofcustody.NamespaceCustody, at)
		return who, err == nil
	}
	if typed := c.String("code"); typed != "" {
		want := bundle.NormalCode(typed)
		if want == "" {
			return opt, command.Failf(command.Usage, "a code is 20 letters and digits, for example MDP48-QJ7NK-DSMC4-9XZD5", "%q is no seal code", typed)
		}
		opt.Confirmed = func(s bundle.Seal) (string, bool) { return "the seal code given", s.Code() == want }
	}
	return opt, nil
}

func printDisclosure(c *cli.Context, path string, rep *bundle.DisclosureReport) error {
	w := c.App.Writer
	if c.Bool("json") {
		return command.JSON(w, struct {
			Path string `json:"file"`
			*bundle.DisclosureReport
		}{path, rep})
	}
	pal := term.NewPalette(os.Stdout)
	word := pal.Bad(string(rep.Verdict))
	switch rep.ExitCode() {
	case command.OK:
		word = pal.Good(string(rep.Verdict))
	case command.Partial, command.Trust:
		word = pal.Warn(string(rep.Verdict))
	}
	fmt.Fprintf(w, "%s  %s\n", word, term.Escape(path))
	for _, s := range rep.Sentences {
		fmt.Fprintf(w, "  %s\n", term.Escape(s))
	}
	for _, s := range rep.Problems {
		fmt.Fprintf(w, "  - %s\n", term.Escape(s))
	}
	if rep.SealCode != "" {
		fmt.Fprintf(w, "  seal code %s, signed by the run's key %s\n", rep.SealCode, rep.Key)
	}
	for i := range rep.Records {
		r := &rep.Records[i]
		fmt.Fprintf(w, "  record %-8d %s\n", r.Leaf, describeDisclosed(r))
	}
	return nil
}

// describeDisclosed is one line about what is proven of a record.
func describeDisclosed(r *bundle.DisclosedRecord) string {
	if r.Problem != "" {
		return "proves NOTHING: " + term.Escape(r.Problem)
	}
	line := "proven: " + strings.Join(r.Proven, ", ")
	if r.Kind != "" {
		line += ", " + term.Escape(string(r.Kind))
	}
	if r.Path != "" {
		line += " " + term.Escape(r.Path)
	} else {
		line += ", name withheld"
	}
	if r.Length > 0 {
		line += fmt.Sprintf(", bytes %d to %d of %d", r.Offset, r.Offset+r.Length, r.Size)
	} else if r.File != "" {
		line += fmt.Sprintf(", %d bytes", r.Size)
	}
	if r.Detail != "" {
		line += " (" + term.Escape(r.Detail) + ")"
	}
	return line
}
