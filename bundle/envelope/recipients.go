package envelope

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
)

// Errors of recipients.
var (
	ErrRecipient = errors.New("not a recipient")
	ErrPlugin    = errors.New("recipient needs a plugin, which is another program")
	ErrMixed     = errors.New("post-quantum and classic recipients cannot be mixed")
)

// Recipient is a public key that an envelope is encrypted to.
type Recipient struct {
	Text string // as the bundle's header states it: without a comment
	Key  age.Recipient
}

// ParseRecipient reads a public key: age1pq1… (hybrid post-quantum), age1…
// (X25519), ssh-ed25519 or ssh-rsa. What needs a plugin is ErrPlugin.
func ParseRecipient(s string) (Recipient, error) {
	s = strings.TrimSpace(s)
	var key age.Recipient
	var err error
	switch {
	case strings.HasPrefix(s, "age1pq1"):
		key, err = age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, "age1") && strings.LastIndexByte(s, '1') > len("age"):
		return Recipient{}, fmt.Errorf("%w: %s", ErrPlugin, clip(s))
	case strings.HasPrefix(s, "age1"):
		key, err = age.ParseX25519Recipient(s)
	case strings.HasPrefix(s, "sk-ssh-"), strings.HasPrefix(s, "sk-ecdsa-"), strings.HasPrefix(s, "ecdsa-"):
		return Recipient{}, fmt.Errorf("%w: SSH keys of type %s can sign but not decrypt", ErrRecipient, strings.Fields(s)[0])
	case strings.HasPrefix(s, "ssh-"):
		key, err = agessh.ParseRecipient(s)
		// The comment often names a person or a machine.
		s = strings.Join(firstWords(s, 2), " ")
	default:
		// Not quoted: a private key pasted by mistake would stand in logs.
		return Recipient{}, fmt.Errorf("%w: it begins neither with age1 nor with ssh-", ErrRecipient)
	}
	if err != nil {
		return Recipient{}, fmt.Errorf("%w: %s: %w", ErrRecipient, clip(s), err)
	}
	return Recipient{s, key}, nil
}

func firstWords(s string, n int) []string {
	words := strings.Fields(s)
	return words[:min(n, len(words))]
}

// clip keeps messages short: post-quantum recipients have 2000 characters.
func clip(s string) string {
	if len(s) > 40 {
		return s[:37] + "…"
	}
	return s
}

// Limits of a recipients file.
const (
	listLimit = 1 << 20
	maxKeys   = 1000 // below what a header may hold
)

// ParseRecipients reads one recipient a line with the given function, nil for
// ParseRecipient. Empty lines and those that begin with # are passed over.
func ParseRecipients(r io.Reader, parse func(string) (Recipient, error)) ([]Recipient, error) {
	if parse == nil {
		parse = ParseRecipient
	}
	limited := &io.LimitedReader{R: r, N: listLimit + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, 64<<10)
	var out []Recipient
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		one, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if out = append(out, one); len(out) > maxKeys {
			return nil, fmt.Errorf("%w: more than %d in one file", ErrRecipient, maxKeys)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read recipients: %w", err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("%w: file is longer than 1 MiB", ErrRecipient)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: file names none", ErrRecipient)
	}
	return out, nil
}

// Check says whether an envelope can be made for these recipients together,
// before anything is collected or written.
func Check(recipients []Recipient) error {
	_, err := age.Encrypt(io.Discard, keysOf(recipients)...)
	return explain(err)
}

// explain turns age's refusal of mixed recipients into ours.
func explain(err error) error {
	if err != nil && strings.Contains(err.Error(), "post-quantum") {
		return ErrMixed
	}
	return err
}

func keysOf(recipients []Recipient) []age.Recipient {
	keys := make([]age.Recipient, len(recipients))
	for i, r := range recipients {
		keys[i] = r.Key
	}
	return keys
}

// Texts returns the recipients as the bundle's header states them.
func Texts(recipients []Recipient) []string {
	var out []string
	for _, r := range recipients {
		out = append(out, r.Text)
	}
	return out
}
