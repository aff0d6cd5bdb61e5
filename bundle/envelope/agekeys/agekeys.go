// Package agekeys reads and makes the secret keys that open an envelope: age
// identity files, also with a passphrase, OpenSSH private keys, and plugins,
// which are programs of their own. The collector must not contain it.
package agekeys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"filippo.io/age/plugin"
	"filippo.io/age/tag"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
)

// Errors of identities.
var (
	ErrIdentity   = errors.New("not a file of identities")
	ErrPassphrase = errors.New("passphrase is missing or wrong")
)

// fileLimit bounds an identity file.
const fileLimit = 1 << 20

// Asker asks somebody for the passphrase of a file.
type Asker func(what string) ([]byte, error)

// Recipient reads a public key as envelope.ParseRecipient does, and those of
// plugins and hardware keys besides. Messages of plugins go to say.
func Recipient(s string, say io.Writer) (envelope.Recipient, error) {
	s = strings.TrimSpace(s)
	r, err := envelope.ParseRecipient(s)
	if !errors.Is(err, envelope.ErrPlugin) {
		return r, err
	}
	if strings.HasPrefix(s, "age1tag1") || strings.HasPrefix(s, "age1tagpq1") {
		key, err := tag.ParseRecipient(s)
		if err != nil {
			return r, fmt.Errorf("%w: %w", envelope.ErrRecipient, err)
		}
		return envelope.Recipient{Text: s, Key: key}, nil
	}
	key, err := plugin.NewRecipient(s, terminal(say))
	if err != nil {
		return r, fmt.Errorf("%w: %w", envelope.ErrRecipient, err)
	}
	return envelope.Recipient{Text: s, Key: key}, nil
}

func terminal(say io.Writer) *plugin.ClientUI {
	print := func(format string, v ...any) { fmt.Fprintf(say, format+"\n", v...) }
	return plugin.NewTerminalUI(print, print)
}

// ReadFile reads the identities of a file: lines of secret keys, the same in an
// age file with a passphrase, or one OpenSSH private key.
func ReadFile(path string, ask Asker, say io.Writer) ([]age.Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return nil, err
	}
	if len(b) > fileLimit {
		return nil, fmt.Errorf("%w: %s is longer than 1 MiB", ErrIdentity, path)
	}
	ids, err := parse(b, path, ask, say)
	if err != nil {
		return nil, fmt.Errorf("read identities of %s: %w", path, err)
	}
	return ids, nil
}

// parse reads the identities in b; what names them when a passphrase is asked.
func parse(b []byte, what string, ask Asker, say io.Writer) ([]age.Identity, error) {
	text := bytes.TrimLeft(b, " \r\n\t")
	switch {
	case bytes.HasPrefix(text, []byte("age-encryption.org/")):
		return locked(bytes.NewReader(b), what, ask, say)
	case bytes.HasPrefix(text, []byte("-----BEGIN AGE ")):
		return locked(armor.NewReader(bytes.NewReader(text)), what, ask, say)
	case bytes.HasPrefix(text, []byte("-----BEGIN ")):
		id, err := openSSH(b, what, ask)
		if err != nil {
			return nil, err
		}
		return []age.Identity{id}, nil
	}
	return lines(b, say)
}

// lines reads one secret key a line. None of it is ever quoted.
func lines(b []byte, say io.Writer) ([]age.Identity, error) {
	var ids []age.Identity
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var id age.Identity
		var err error
		switch {
		case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
			id, err = age.ParseHybridIdentity(line)
		case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
			id, err = age.ParseX25519Identity(line)
		case strings.HasPrefix(line, "AGE-PLUGIN-"):
			id, err = plugin.NewIdentity(line, terminal(say))
		default:
			return nil, fmt.Errorf("%w: line %d is no secret key", ErrIdentity, n)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d is malformed", ErrIdentity, n)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: it holds none", ErrIdentity)
	}
	return ids, nil
}

// workLimit bounds what a passphrase may cost: 2^20 needs 1 GiB and seconds.
const workLimit = 20

// locked reads identities out of an age file with a passphrase.
func locked(r io.Reader, what string, ask Asker, say io.Writer) ([]age.Identity, error) {
	secret, err := ask(what)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	if len(secret) == 0 {
		return nil, ErrPassphrase
	}
	id, err := age.NewScryptIdentity(string(secret))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	id.SetMaxWorkFactor(workLimit)
	plain, err := age.Decrypt(r, id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	b, err := io.ReadAll(io.LimitReader(plain, fileLimit))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return lines(b, say)
}

// openSSH reads an OpenSSH private key. One with a passphrase is decrypted when
// an envelope is encrypted to it, and not before.
func openSSH(b []byte, what string, ask Asker) (age.Identity, error) {
	id, err := agessh.ParseIdentity(b)
	var missing *ssh.PassphraseMissingError
	if !errors.As(err, &missing) {
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
		}
		return id, nil
	}
	public := missing.PublicKey
	if public == nil {
		// The older PEM form does not hold the public key in clear.
		line, err := os.ReadFile(what + ".pub")
		if err == nil {
			public, _, _, _, err = ssh.ParseAuthorizedKey(line)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: its public key is needed beside it as %s.pub", ErrIdentity, what)
		}
	}
	id, err = agessh.NewEncryptedSSHIdentity(public, b, func() ([]byte, error) {
		secret, err := ask(what)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
		}
		return secret, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return id, nil
}

// New makes an identity and writes it into a file that must not exist yet,
// readable by its owner only; with a passphrase the file is an age file
// itself. It returns the recipient. Classic keys are X25519, others hybrid:
// both ML-KEM-768 and X25519 must be broken to read what they protect.
func New(path string, classic bool, passphrase []byte, now time.Time) (recipient string, err error) {
	var secret string
	if classic {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return "", err
		}
		secret, recipient = id.String(), id.Recipient().String()
	} else {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return "", err
		}
		secret, recipient = id.String(), id.Recipient().String()
	}
	text := fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", now.UTC().Format(time.RFC3339), recipient, secret)
	if len(passphrase) > 0 {
		if text, err = lock(text, passphrase); err != nil {
			return "", err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	return recipient, errors.Join(err, f.Sync(), f.Close())
}

// lock encrypts an identity file with a passphrase.
func lock(text, passphrase []byte) ([]byte, error) {
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
