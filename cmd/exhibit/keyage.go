package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/exhibit-dfir/exhibit/bundle/envelope/agekeys"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

func keyAgeCommand() *cli.Command {
	return &cli.Command{
		Name: "age", Usage: "make a key that opens encrypted bundles", ArgsUsage: "FILE",
		Description: "Example:\n   exhibit key age ~/.config/exhibit/age.key --encrypt\n   exhibit collect --recipient age1pq1…      (the public key it prints)\n" +
			"   exhibit verify EX-001 --identity ~/.config/exhibit/age.key\n\n" +
			"The key is hybrid: to read a bundle somebody must break ML-KEM-768 and X25519 both, also with the\n" +
			"quantum computer of a later year, and evidence is kept for years. The stock age program opens it from\n" +
			"version 1.3 on. All recipients of one bundle must be of the same sort: --classic makes an X25519 key\n" +
			"(age1…) for use beside such keys, SSH keys, and older age programs.\n" +
			"Make it on the examiner's machine, never on the host: whoever has FILE can read the evidence, and\n" +
			"who loses it has lost the evidence.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "classic", Usage: "X25519 alone, not post-quantum"},
			&cli.BoolFlag{Name: "encrypt", Usage: "protect FILE with a passphrase"},
		},
		Action: keyAge,
	}
}

func keyAge(c *cli.Context) error {
	path, err := oneArgument(c, "FILE")
	if err != nil {
		return err
	}
	var secret []byte
	if c.Bool("encrypt") {
		if secret, err = newPassphrase(c, path); err != nil {
			return err
		}
	}
	recipient, err := agekeys.New(path, c.Bool("classic"), secret, time.Now())
	if errors.Is(err, fs.ErrExist) {
		return command.Fail(command.Failure, "choose another FILE: a key that is overwritten is evidence that is lost", err)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{"file": path, "recipient": recipient})
	}
	// The recipient alone on standard output: it has 2000 characters, and
	// belongs into a file for --recipients-file.
	_, err = fmt.Fprintln(c.App.Writer, recipient)
	fmt.Fprintf(c.App.ErrWriter, "The line above is the public key. %s is the secret one: keep a copy where it cannot be lost.\n", path)
	return err
}

// newPassphrase asks twice at a terminal.
func newPassphrase(c *cli.Context, what string) ([]byte, error) {
	secret, err := identityPassphrase(c, what)
	if err != nil {
		return nil, command.Fail(command.WrongKey, "give it at the prompt or with --identity-passphrase-file", err)
	}
	if c.String("identity-passphrase-file") == "" && term.IsTerminal(int(os.Stdin.Fd())) {
		again, err := identityPassphrase(c, what+" again")
		if err != nil {
			return nil, err
		}
		if string(again) != string(secret) {
			return nil, command.Failf(command.WrongKey, "nothing was written: run the command again", "the two passphrases differ")
		}
	}
	if len(secret) == 0 {
		return nil, command.Failf(command.WrongKey, "nothing was written: leave --encrypt out for a key without one", "the passphrase is empty")
	}
	return secret, nil
}
