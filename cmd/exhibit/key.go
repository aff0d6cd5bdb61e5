package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "signing keys of examiners", Category: catCustody,
		Subcommands: append([]*cli.Command{
			{
				Name: "new", Usage: "make an Ed25519 SSH key and sign with it from now on", ArgsUsage: "FILE",
				Description: "Example:\n   exhibit key new ~/.ssh/exhibit --id alice@lab --name 'Alice Example' --org 'Lab'\n\n" +
					"The fingerprint it prints belongs on paper: it is how others know your signature.\n" +
					"An existing SSH key serves as well: exhibit key use FILE (or agent:FINGERPRINT).",
				Flags:  append(personFlags(), &cli.BoolFlag{Name: "encrypt", Usage: "ask for a passphrase to encrypt the key with"}),
				Action: keyNew,
			},
			{
				Name: "use", Usage: "sign with an existing SSH key from now on", ArgsUsage: "FILE|agent:FINGERPRINT",
				Description: "Example:\n   exhibit key use agent:SHA256:abc… --id alice@lab",
				Flags:       personFlags(), Action: keyUse,
			},
			keyAgeCommand(),
			{
				Name: "list", Usage: "show the key in use and those of the agent", Action: keyList,
				Description: "Example:\n   exhibit key list",
			},
		}, keyCaseCommands()...),
	}
}

func personFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "your `NAME` as it should stand in court papers"},
		&cli.StringFlag{Name: "org", Usage: "your `ORGANISATION`"},
		&cli.StringFlag{Name: "role", Usage: "your `ROLE`", Value: "examiner"},
	}
}

func oneArgument(c *cli.Context, what string) (string, error) {
	if c.NArg() != 1 {
		return "", command.Failf(command.Usage, "see: exhibit "+commandPath(c)+" --help", "%s takes one %s", commandPath(c), what)
	}
	return c.Args().First(), nil
}

// commandPath is the command's full name without the program's.
func commandPath(c *cli.Context) string {
	name := c.Command.HelpName
	if rest, ok := cutWord(name); ok {
		return rest
	}
	return c.Command.Name
}

func cutWord(s string) (string, bool) {
	for i := range len(s) {
		if s[i] == ' ' {
			return s[i+1:], true
		}
	}
	return "", false
}

func keyNew(c *cli.Context) error {
	path, err := oneArgument(c, "FILE")
	if err != nil {
		return err
	}
	if c.String("id") == "" {
		return command.Failf(command.Usage, "for example: --id alice@lab", "key new needs --id: who signs")
	}
	var secret []byte
	if c.Bool("encrypt") {
		if secret, err = passphrase(c, path); err != nil {
			return keyError(err)
		}
	}
	if _, err := chainofcustody.NewKeyFile(path, c.String("id"), secret); err != nil {
		if errors.Is(err, chainofcustody.ErrKeyExists) {
			return command.Fail(command.Failure, "choose another FILE, or sign with the key that is there: exhibit key use "+path, err)
		}
		return err
	}
	return setProfile(c, path)
}

func keyUse(c *cli.Context) error {
	key, err := oneArgument(c, "FILE or agent:FINGERPRINT")
	if err != nil {
		return err
	}
	if c.String("id") == "" {
		return command.Failf(command.Usage, "for example: --id alice@lab", "key use needs --id: who signs")
	}
	return setProfile(c, key)
}

func setProfile(c *cli.Context, key string) error {
	signer, err := openKey(c, key)
	if err != nil {
		return keyError(err)
	}
	if !strings.HasPrefix(key, "agent:") {
		// The profile is used from any folder.
		if key, err = filepath.Abs(key); err != nil {
			return err
		}
	}
	p := profile{ID: c.String("id"), Name: c.String("name"), Org: c.String("org"), Role: c.String("role"), Key: key}
	path, err := p.write()
	if err != nil {
		return err
	}
	fingerprint := chainofcustody.Fingerprint(signer.PublicKey())
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"id": p.ID, "key": key, "fingerprint": fingerprint, "profile": path})
	}
	fmt.Fprintf(c.App.Writer, "%s signs from now on\n  key          %s\n  fingerprint  %s\n", term.Escape(p.ID), term.Escape(key), fingerprint)
	fmt.Fprintf(c.App.ErrWriter, "Write the fingerprint on paper. Remembered in %s\n", path)
	return nil
}

func keyList(c *cli.Context) error {
	type row struct {
		Use         string `json:"use"`
		ID          string `json:"id,omitempty"`
		Key         string `json:"key"`
		Fingerprint string `json:"fingerprint"`
	}
	rows := []row{}
	p, err := readProfile()
	if err != nil {
		return err
	}
	if p.Key != "" {
		r := row{Use: "current", ID: p.ID, Key: p.Key, Fingerprint: "(cannot be opened)"}
		if signer, err := openKey(c, p.Key); err == nil {
			r.Fingerprint = chainofcustody.Fingerprint(signer.PublicKey())
		}
		rows = append(rows, r)
	}
	if keys, err := chainofcustody.AgentKeys(); err == nil {
		for _, k := range keys {
			rows = append(rows, row{Use: "agent", Key: k.Comment, Fingerprint: chainofcustody.Fingerprint(k.Key)})
		}
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, rows)
	}
	if len(rows) == 0 {
		return command.Failf(command.WrongKey, identityHint, "no key is set up and no agent answers")
	}
	for _, r := range rows {
		fmt.Fprintf(c.App.Writer, "%-8s %-20s %s  %s\n", r.Use, term.Escape(r.ID), r.Fingerprint, term.Escape(r.Key))
	}
	return nil
}
