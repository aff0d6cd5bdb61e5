package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/bundle/envelope/agekeys"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
)

// bundleFile is a bundle as it lies in a file, in an envelope or not. What it
// reads are the bundle's own bytes.
type bundleFile struct {
	io.ReaderAt
	file  *os.File
	path  string
	size  int64            // bytes of the bundle
	outer int64            // bytes of the file
	env   *envelope.Reader // nil: not encrypted
}

// Close closes the file.
func (b *bundleFile) Close() error { return b.file.Close() }

// errUnopened says that a bundle is encrypted and no identity was given.
var errUnopened = errors.New("bundle is encrypted")

// openFile opens the file of a bundle. It is the one place that knows of
// envelopes: every command that looks into a bundle comes through here.
func openFile(c *cli.Context, path string) (*bundleFile, error) {
	f, err := openPlainFile(path)
	if err != nil {
		return nil, err
	}
	b := &bundleFile{file: f, path: path}
	if err := b.open(c); err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

// openPlainFile opens a file of evidence as it lies there.
func openPlainFile(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(err, path)
	}
	st, err := f.Stat()
	switch {
	case err != nil:
	case st.IsDir():
		err = command.Failf(command.Failure, "give the path of a bundle file, *"+verifying.BundleSuffix, "%s is a folder", path)
	case !st.Mode().IsRegular():
		err = command.Failf(command.Failure, "give the path of a bundle file, *"+verifying.BundleSuffix, "%s is not a file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (b *bundleFile) open(c *cli.Context) error {
	st, err := b.file.Stat()
	if err != nil {
		return err
	}
	b.ReaderAt, b.size, b.outer = b.file, st.Size(), st.Size()
	if !envelope.Is(b.file, b.outer) {
		return otherForm(b.file, b.outer, b.path)
	}
	ids, err := identities(c)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return command.Fail(command.WrongKey, "give the key that opens it: --identity FILE (an age identity or an SSH private key)",
			fmt.Errorf("%w: %s", errUnopened, b.path))
	}
	b.env, err = envelope.Open(b.file, b.outer, ids...)
	if err != nil {
		return envelopeError(err, b.path)
	}
	b.ReaderAt, b.size = b.env, b.env.Size()
	return otherForm(b, b.size, b.path)
}

// otherForm tells of files that hold a bundle in a form that is not read here.
func otherForm(r io.ReaderAt, size int64, path string) error {
	var head [4]byte
	if n, _ := r.ReadAt(head[:], 0); n < len(head) {
		return nil
	}
	switch {
	case string(head[:]) == "PK\x03\x04":
		return command.Failf(command.Failure, "unzip it and run: python3 exhibit/verify.py", "%s is a zip", path)
	case string(head[:2]) == "\x1f\x8b" && bundle.FormOf(r, size) == "":
		return command.Failf(command.Failure, "gunzip it: exhibit reads the tar inside, and tar.gz files of exhibit convert", "%s is a gzip file", path)
	}
	return nil
}

// envelopeError gives what goes wrong with an envelope its exit code.
func envelopeError(err error, path string) error {
	err = fmt.Errorf("open %s: %w", path, err)
	switch {
	case errors.Is(err, envelope.ErrNoKey):
		return command.Fail(command.WrongKey, "only the recipients of the collection can open it: --identity FILE", err)
	case errors.Is(err, envelope.ErrHeader):
		return command.Fail(command.Integrity, "compare its SHA-256 with the custody log; use another copy", err)
	case errors.Is(err, envelope.ErrArmored):
		return command.Fail(command.Failure, "turn it into a binary age file first: age -d and encrypt again, or remove the armor", err)
	}
	return command.Fail(command.Failure, "use another copy of the file", err)
}

// openBundle opens a bundle and gives what goes wrong its exit code.
func openBundle(c *cli.Context, path string) (*bundleFile, *bundle.Reader, error) {
	b, err := openFile(c, path)
	if err != nil {
		return nil, nil, err
	}
	r, err := bundle.Open(b, b.size)
	if err != nil {
		b.Close()
		hint := "exhibit verify " + path + " says how much of it is proven; exhibit recover saves it"
		if errors.Is(err, bundle.ErrNotBundle) {
			hint = "give the path of a bundle file, *" + verifying.BundleSuffix
		}
		return nil, nil, command.Fail(command.Failure, hint, fmt.Errorf("open %s: %w", path, err))
	}
	return b, r, nil
}

func openError(err error, path string) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return command.Fail(command.Privilege, "run this as a user who may read "+path, err)
	case errors.Is(err, os.ErrNotExist) && exhibitNumber.MatchString(path):
		return command.Fail(command.NoCase, "exhibit numbers work inside a case: pass --case DIR or the bundle's path", err)
	}
	return err
}

// identitiesKey is where a run of the program keeps what it has read, so that
// a passphrase is asked for once.
const identitiesKey = "identities"

// identities reads the keys that --identity names.
func identities(c *cli.Context) ([]age.Identity, error) {
	if ids, ok := c.App.Metadata[identitiesKey].([]age.Identity); ok {
		return ids, nil
	}
	var all []age.Identity
	answers := map[string][]byte{}
	ask := func(what string) ([]byte, error) {
		if secret, ok := answers[what]; ok {
			return secret, nil
		}
		secret, err := identityPassphrase(c, what)
		answers[what] = secret
		return secret, err
	}
	for _, path := range c.StringSlice("identity") {
		ids, err := agekeys.ReadFile(path, ask, c.App.ErrWriter)
		if err != nil {
			return nil, identityError(err)
		}
		all = append(all, ids...)
	}
	if c.App.Metadata == nil {
		c.App.Metadata = map[string]any{}
	}
	c.App.Metadata[identitiesKey] = all
	return all, nil
}

func identityError(err error) error {
	switch {
	case errors.Is(err, agekeys.ErrPassphrase):
		return command.Fail(command.WrongKey, "give the right passphrase at the prompt or with --identity-passphrase-file", err)
	case errors.Is(err, agekeys.ErrIdentity), errors.Is(err, fs.ErrNotExist):
		return command.Fail(command.WrongKey, "--identity names a file made by exhibit key age or age-keygen, or an OpenSSH private key", err)
	case errors.Is(err, fs.ErrPermission):
		return command.Fail(command.WrongKey, "run this as the owner of the key", err)
	}
	return err
}

// identityPassphrase reads the passphrase of an identity from a file or the
// terminal. It is another secret than that of the signing key.
func identityPassphrase(c *cli.Context, what string) ([]byte, error) {
	if path := c.String("identity-passphrase-file"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return []byte(strings.TrimRight(string(b), "\r\n")), nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, errors.New("there is no terminal to ask for it")
	}
	fmt.Fprintf(os.Stderr, "Passphrase of %s: ", what)
	secret, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	return secret, err
}
