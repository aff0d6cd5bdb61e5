package main

import (
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// keyCaseCommands are the key commands that change who may sign in a case.
func keyCaseCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "trust", Usage: "let somebody else's key sign in this case", ArgsUsage: "WHO PUBLICKEY.pub",
			Description: "Example:\n   exhibit key trust bob@firm bob.pub --name 'Bob Example' --fingerprint SHA256:abc…\n\n" +
				"Compare the fingerprint with the one on paper, by telephone or on a letterhead before you trust it.",
			Flags: append(personFlags(),
				&cli.StringFlag{Name: "fingerprint", Usage: "the fingerprint you were given elsewhere; another one is refused"},
				&cli.StringFlag{Name: "valid-after", Usage: "from `TIME` on, RFC 3339"},
				&cli.StringFlag{Name: "valid-before", Usage: "until `TIME`, RFC 3339"}),
			Action: keyTrust,
		},
		{
			Name: "rotate", Usage: "go on under a new key in this case; the old one signs no more", ArgsUsage: "NEWKEY|agent:FINGERPRINT",
			Description: "Example:\n   exhibit key rotate ~/.ssh/exhibit-2027 --reason 'yearly change'\n\n" +
				"The log of every exhibit says so, signed by the old key. What it signed before stands.",
			Flags:  []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "why, in words"}},
			Action: keyRotate,
		},
		{
			Name: "revoke", Usage: "trust a key no more from a time on", ArgsUsage: "FINGERPRINT",
			Description: "Example:\n   exhibit key revoke SHA256:abc… --from 2026-03-01T08:00:00Z --reason 'laptop stolen'\n\n" +
				"Sign with another key than the one that is revoked. Events it signed before that time stand as far as\n" +
				"their time is proven.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "from", Usage: "not trusted from `TIME` on, RFC 3339 (default: now)"},
				&cli.StringFlag{Name: "reason", Usage: "why, in words"},
			},
			Action: keyRevoke,
		},
	}
}

// timeFlag reads a flag that holds a time; zero where it is not given.
func timeFlag(c *cli.Context, name string) (time.Time, error) {
	text := c.String(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, command.Failf(command.Usage, "for example: --"+name+" 2026-03-01T08:00:00Z", "bad time %q", text)
	}
	return t, nil
}

func keyTrust(c *cli.Context) error {
	if c.NArg() != 2 {
		return command.Failf(command.Usage, "see: exhibit key trust --help", "key trust takes WHO and PUBLICKEY.pub")
	}
	who, path := c.Args().Get(0), c.Args().Get(1)
	after, err := timeFlag(c, "valid-after")
	if err != nil {
		return err
	}
	before, err := timeFlag(c, "valid-before")
	if err != nil {
		return err
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey(text)
	if err != nil || len(rest) > 0 {
		return command.Failf(command.Failure, "give the .pub file that ssh-keygen wrote beside the private key", "%s is not one public SSH key", path)
	}
	fingerprint := chainofcustody.Fingerprint(key)
	if want := c.String("fingerprint"); want != "" && want != fingerprint {
		return command.Failf(command.Integrity, "do not trust it; ask "+who+" again over another channel", "%s is %s, not %s", path, fingerprint, want)
	}
	p := chainofcustody.Person{ID: who, Name: c.String("name"), Org: c.String("org"), Role: c.String("role")}
	if err := cs.Trust(p, key, after, before); err != nil {
		return caseError(err)
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"id": who, "fingerprint": fingerprint})
	}
	fmt.Fprintf(c.App.Writer, "%s may sign in case %s\n  fingerprint  %s\n", term.Escape(who), term.Escape(cs.Info.ID), fingerprint)
	if c.String("fingerprint") == "" {
		fmt.Fprintln(c.App.ErrWriter, "Compare the fingerprint with one you were given elsewhere.")
	}
	return nil
}

func keyRotate(c *cli.Context) error {
	path, err := oneArgument(c, "NEWKEY")
	if err != nil {
		return err
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	old, err := identity(c)
	if err != nil {
		return err
	}
	signer, err := openKey(c, path)
	if err != nil {
		return keyError(err)
	}
	fresh := &chainofcustody.Identity{ID: old.ID, Name: old.Name, Org: old.Org, Role: old.Role, Key: signer}
	if fresh.Fingerprint() == old.Fingerprint() {
		return command.Failf(command.Usage, "make one: exhibit key new FILE --id "+old.ID, "%s is the key in use", path)
	}
	if err := cs.Rotate(old, fresh, tool(), c.String("reason")); err != nil {
		return caseError(err)
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"id": old.ID, "old": old.Fingerprint(), "new": fresh.Fingerprint()})
	}
	fmt.Fprintf(c.App.Writer, "%s signs in case %s with %s from now on\n", term.Escape(old.ID), term.Escape(cs.Info.ID), fresh.Fingerprint())
	fmt.Fprintf(c.App.ErrWriter, "Make it your default with: exhibit key use %s --id %s\n", term.Escape(path), term.Escape(old.ID))
	return nil
}

func keyRevoke(c *cli.Context) error {
	fingerprint, err := oneArgument(c, "FINGERPRINT")
	if err != nil {
		return err
	}
	from, err := timeFlag(c, "from")
	if err != nil {
		return err
	}
	if from.IsZero() {
		from = time.Now()
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := identity(c)
	if err != nil {
		return err
	}
	if id.Fingerprint() == fingerprint {
		return command.Failf(command.WrongKey, "let somebody else of the case revoke it, or change over first: exhibit key rotate NEWKEY", "this is the key you sign with")
	}
	who, err := cs.Revoke(fingerprint, from, id, tool(), c.String("reason"))
	if err != nil {
		return caseError(err)
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"id": who, "fingerprint": fingerprint, "from": from.UTC().Format(time.RFC3339)})
	}
	fmt.Fprintf(c.App.Writer, "%s of %s is not trusted from %s on\n", fingerprint, term.Escape(who), from.UTC().Format(time.RFC3339))
	return nil
}
