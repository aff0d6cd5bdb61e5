package gathering

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// RecipientFlags are the flags of every command that can encrypt.
func RecipientFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "recipient", Usage: "encrypt to this public `KEY`: age1pq1…, age1…, ssh-ed25519 or ssh-rsa (repeatable)"},
		&cli.StringSliceFlag{Name: "recipients-file", Usage: "encrypt to the keys in `FILE`, one a line (repeatable)"},
	}
}

const recipientHint = "give age1pq1…, age1…, 'ssh-ed25519 …' or 'ssh-rsa …'; exhibit key age FILE makes one"

// Recipients reads the keys that the flags name, and refuses what age would
// refuse once everything is collected. parse is envelope.ParseRecipient where
// it is nil.
func Recipients(c *cli.Context, parse func(string) (envelope.Recipient, error)) ([]envelope.Recipient, error) {
	if parse == nil {
		parse = envelope.ParseRecipient
	}
	var all []envelope.Recipient
	for _, text := range c.StringSlice("recipient") {
		one, err := parse(text)
		if err != nil {
			return nil, recipientError(err)
		}
		all = append(all, one)
	}
	for _, path := range c.StringSlice("recipients-file") {
		f, err := os.Open(path)
		if err != nil {
			return nil, command.Fail(command.Usage, "--recipients-file names a file with one public key a line", err)
		}
		list, err := envelope.ParseRecipients(f, parse)
		f.Close()
		if err != nil {
			return nil, recipientError(fmt.Errorf("%s: %w", path, err))
		}
		all = append(all, list...)
	}
	if len(all) == 0 {
		return nil, nil
	}
	if err := envelope.Check(all); err != nil {
		return nil, recipientError(mixed(err, all))
	}
	return all, nil
}

// mixed says which keys cannot be together.
func mixed(err error, all []envelope.Recipient) error {
	if !errors.Is(err, envelope.ErrMixed) {
		return err
	}
	strong := 0
	for _, r := range all {
		if envelope.Check([]envelope.Recipient{r, all[0]}) == nil {
			strong++
		}
	}
	kinds := [2]string{"classic", "post-quantum"}
	if strings.HasPrefix(all[0].Text, "age1pq1") {
		kinds[0], kinds[1] = kinds[1], kinds[0]
	}
	return fmt.Errorf("%w: %d of the keys are %s, %d are %s", err, strong, kinds[0], len(all)-strong, kinds[1])
}

func recipientError(err error) error {
	hint := recipientHint
	switch {
	case errors.Is(err, envelope.ErrMixed):
		hint = "whoever breaks the classic key later could read everything, so age refuses the mix: give every recipient an age1pq1… key " +
			"(exhibit key age), or leave the age1pq1… keys out"
	case errors.Is(err, envelope.ErrPlugin):
		hint = "exhibit collect can start plugins, exhibit-collector starts no other program: give it an age1… or ssh-… key"
	}
	return command.Fail(command.Usage, hint, err)
}

// Sealing wraps the sink of a bundle in an envelope for the recipients, and
// returns how to end it. Without recipients it is the sink itself.
func Sealing(sink io.Writer, recipients []envelope.Recipient) (w io.Writer, end func() error, err error) {
	if len(recipients) == 0 {
		return sink, func() error { return nil }, nil
	}
	env, err := envelope.NewWriter(sink, recipients)
	if err != nil {
		return nil, nil, err
	}
	return env, env.Close, nil
}

// EncryptedName is the name of a file that will be encrypted.
func EncryptedName(path string, recipients []envelope.Recipient) string {
	if len(recipients) == 0 || path == "-" || strings.HasSuffix(path, envelope.Suffix) {
		return path
	}
	return path + envelope.Suffix
}

// WriteSealFolder writes the seal beside an encrypted bundle, for those who
// keep it and cannot open it.
func WriteSealFolder(path string, files []bundle.SealFile) error {
	dir := path + bundle.SealFolder
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err := writeSealFile(filepath.Join(dir, f.Name), f.Data); err != nil {
			return err
		}
	}
	syncFolder(dir)
	return nil
}

func writeSealFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// sealTexts are the files of the seal as a summary shows them.
func sealTexts(files []bundle.SealFile) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		if f.Name != "README.txt" {
			out[f.Name] = string(f.Data)
		}
	}
	return out
}
