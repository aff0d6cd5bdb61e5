package chainofcustody

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrNotListed says that a key is in no line of allowed_signers.
var ErrNotListed = errors.New("key is in no line of the case's allowed_signers")

// Trust lets somebody's public key sign in this case under an id.
func (c *Case) Trust(p Person, key ssh.PublicKey, validAfter, validBefore time.Time) error {
	return c.Enroll(&Identity{ID: p.ID, Name: p.Name, Org: p.Org, Role: p.Role, Key: publicOnly{key}}, validAfter, validBefore)
}

// publicOnly is somebody else's key: it can be listed, not used.
type publicOnly struct{ key ssh.PublicKey }

func (p publicOnly) PublicKey() ssh.PublicKey { return p.key }

func (publicOnly) Sign(string, []byte) ([]byte, error) { return nil, ErrNotPrivateKey }

// Expire sets the end of validity of all lines of a key, named by its
// fingerprint, unless they end earlier already. It returns the principal of
// the key's owner. Signatures made before stay good as far as their time is
// proven.
func (c *Case) Expire(fingerprint string, end time.Time) (who string, err error) {
	root, unlock, err := c.lock()
	if err != nil {
		return "", fmt.Errorf("expire %s: %w", fingerprint, err)
	}
	defer unlock()
	who, err = expireKey(root, fingerprint, end.UTC().Truncate(time.Second))
	if err != nil {
		return "", fmt.Errorf("expire %s: %w", fingerprint, err)
	}
	return who, nil
}

func expireKey(root *os.Root, fingerprint string, end time.Time) (string, error) {
	data, err := readBounded(root, SignersFile, maxAllowedSigners)
	if err != nil {
		return "", err
	}
	if _, err := ParseAllowedSigners(data); err != nil {
		return "", err
	}
	who := ""
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		text := strings.TrimLeft(strings.TrimRight(line, "\r"), " \t")
		if text == "" || text[0] == '#' {
			continue
		}
		s, err := parseSignerLine(text)
		if err != nil {
			return "", err
		}
		if Fingerprint(s.Key) != fingerprint {
			continue
		}
		if !s.CertAuthority || who == "" {
			who = s.Principals
		}
		if s.ValidBefore.IsZero() || s.ValidBefore.After(end) {
			s.ValidBefore = end
			lines[i] = s.Line()
		}
	}
	if who == "" {
		return "", ErrNotListed
	}
	return who, writeAtomic(root, SignersFile, []byte(strings.Join(lines, "\n")), 0o600)
}

// Rotate lets an identity go on under another key: the new one may sign from
// now on, the old one no more, and the log of every exhibit says so, signed
// by the old key while it still may.
func (c *Case) Rotate(old, fresh *Identity, tool *ToolInfo, reason string) error {
	if old.ID != fresh.ID {
		return fmt.Errorf("rotate: %w: %s and %s are two people", ErrWrongPrincipal, old.ID, fresh.ID)
	}
	now := time.Now().UTC()
	note := "signs with " + fresh.Fingerprint() + " from here on, no more with " + old.Fingerprint()
	if reason != "" {
		note += "; " + reason
	}
	if err := c.inEveryLog(old, Event{Kind: EventKeyChanged, Tool: tool, Note: note}); err != nil {
		return err
	}
	if err := c.Enroll(fresh, now.Truncate(time.Second), time.Time{}); err != nil {
		return err
	}
	// One second later: the events just signed lie within the old key's time.
	_, err := c.Expire(old.Fingerprint(), now.Add(time.Second))
	return err
}

// Revoke ends the validity of a key at a time, and the log of every exhibit
// says so, signed by whoever revokes it.
func (c *Case) Revoke(fingerprint string, end time.Time, by *Identity, tool *ToolInfo, reason string) (who string, err error) {
	if by.Fingerprint() == fingerprint {
		return "", fmt.Errorf("revoke %s: sign with another key than the one that is revoked", fingerprint)
	}
	if who, err = c.Expire(fingerprint, end); err != nil {
		return "", err
	}
	note := fmt.Sprintf("the key %s of %s is not to be trusted from %s on", fingerprint, who, end.UTC().Format(time.RFC3339))
	if reason != "" {
		note += "; " + reason
	}
	return who, c.inEveryLog(by, Event{Kind: EventRevoked, Tool: tool, Note: note})
}

// inEveryLog appends the same event to the log of every exhibit.
func (c *Case) inEveryLog(id *Identity, ev Event) error {
	names, err := c.Exhibits()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := c.Append(name, ev, id); err != nil {
			return err
		}
	}
	return nil
}
