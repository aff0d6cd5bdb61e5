package chainofcustody

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Companion files lie beside an event (docs/format/custody.md, section 4).
const (
	countersigSuffix = ".countersig"
	tokenSuffix      = ".tsr"
	maxToken         = 64 << 10
	maxCompanions    = 64 // of one kind beside one event
)

// companion is one such file.
type companion struct {
	name string // of the file
	who  string // counter-signature: as the name states it
	data []byte
	err  error
}

// companionName is the part of a counter-signature's name that says whose it
// is: the id with what file systems do not like as _.
func companionName(id string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || r < 0x20 {
			return '_'
		}
		return r
	}, id)
}

// readCompanion files a companion with its event.
func (n *node) readCompanion(root *os.Root, dir, name string) {
	rest := strings.TrimPrefix(name, n.file)
	c := companion{name: name}
	switch {
	case strings.HasSuffix(rest, countersigSuffix) && len(n.countersigs) < maxCompanions:
		c.who = strings.TrimPrefix(strings.TrimSuffix(rest, countersigSuffix), ".")
		c.data, c.err = readBounded(root, path.Join(dir, name), maxSigFile)
		n.countersigs = append(n.countersigs, c)
	case strings.HasSuffix(rest, tokenSuffix) && len(n.tokens) < maxCompanions:
		c.data, c.err = readBounded(root, path.Join(dir, name), maxToken)
		n.tokens = append(n.tokens, c)
	}
}

// Countersign signs an event that somebody else wrote, on the same bytes, and
// puts the signature beside it. Signing twice changes nothing.
func (c *Case) Countersign(exhibit string, event evidence.Digest, id *Identity) error {
	fail := func(err error) error { return fmt.Errorf("counter-sign %.12s… of %s: %w", event, exhibit, err) }
	if err := id.check(); err != nil {
		return fail(err)
	}
	root, unlock, err := c.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	l, err := readLog(root, exhibit)
	if err != nil {
		return fail(err)
	}
	n := l.byDigest(event)
	if n == nil || n.err != nil {
		return fail(errors.New("no such event in the log"))
	}
	if n.event.Actor.ID == id.ID {
		return fail(errors.New("it is your own event"))
	}
	name := path.Join(CustodyDir, exhibit, n.file+"."+companionName(id.ID)+countersigSuffix)
	if _, err := root.Lstat(name); err == nil {
		return nil
	}
	sig, err := id.Key.Sign(NamespaceCustody, n.data)
	if err != nil {
		return fail(err)
	}
	if err := writeAtomic(root, name, sig, 0o444); err != nil {
		return fail(err)
	}
	return nil
}

func (l *logFiles) byDigest(d evidence.Digest) *node {
	for _, n := range l.nodes {
		if n.digest == d {
			return n
		}
	}
	return nil
}

// EventBytes returns the exact bytes of an event, for a time stamp over them.
func (c *Case) EventBytes(exhibit string, event evidence.Digest) ([]byte, error) {
	l, err := c.readLog(exhibit)
	if err != nil {
		return nil, err
	}
	if n := l.byDigest(event); n != nil {
		return n.data, nil
	}
	return nil, fmt.Errorf("event %.12s… of %s: no such event in the log", event, exhibit)
}

// AddToken puts a time stamp response beside an event. A second authority's
// goes beside the first; the same bytes twice change nothing.
func (c *Case) AddToken(exhibit string, event evidence.Digest, token []byte) (file string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("keep time stamp of %.12s… of %s: %w", event, exhibit, err)
	}
	if len(token) > maxToken {
		return fail(errTooBig)
	}
	root, unlock, err := c.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	l, err := readLog(root, exhibit)
	if err != nil {
		return fail(err)
	}
	n := l.byDigest(event)
	if n == nil {
		return fail(errors.New("no such event in the log"))
	}
	for _, t := range n.tokens {
		if string(t.data) == string(token) {
			return t.name, nil
		}
	}
	if len(n.tokens) >= maxCompanions {
		return fail(errors.New("it has as many as there may be"))
	}
	name := n.file + tokenSuffix
	if len(n.tokens) > 0 {
		name = fmt.Sprintf("%s.%.12s%s", n.file, evidence.Sum(token), tokenSuffix)
	}
	if err := writeAtomic(root, path.Join(CustodyDir, exhibit, name), token, 0o444); err != nil {
		return fail(err)
	}
	return name, nil
}

// TokenTime reads a time stamp response over data: the time it proves and the
// name of the authority. The error says why it proves nothing.
type TokenTime func(token, data []byte) (at time.Time, by string, err error)

// countersigned checks the counter-signatures of an event and returns the ids
// of known people who signed the same bytes.
func (v *verifier) countersigned(l *layer, n *node) []string {
	var who []string
	for _, c := range n.countersigs {
		if c.err != nil {
			l.find(n, VerdictDamaged, "%s cannot be read: %v", c.name, c.err)
			continue
		}
		key, err := Verify(NamespaceCustody, n.data, c.data)
		if err != nil {
			l.find(n, VerdictAltered, "%s: %v", c.name, err)
			continue
		}
		id, err := v.signers.Lookup(key, NamespaceCustody, n.event.Time.UTC)
		if err != nil {
			id, err = v.signers.Lookup(key, NamespaceCustody, v.opt.Now)
		}
		switch {
		case err != nil:
			l.find(n, VerdictVerified, "counter-signed by %s, who is not known here", Fingerprint(key))
		case companionName(id) != c.who:
			l.find(n, VerdictAltered, "%s is a signature of %s", c.name, id)
		case id != n.event.Actor.ID:
			who = append(who, id)
		}
	}
	return who
}

// stamp is an outside proof that something existed before a time.
type stamp struct {
	at time.Time
	by string
}

// stampsAgree is how far authorities may be apart on one event before it is
// said: they are asked one after the other, on the same day.
const stampsAgree = 24 * time.Hour

// agreed is the time that all authorities who stamped an event stand for: each
// by its earliest stamp, together by the latest of these. One that lies or
// fails cannot make an event older as long as another was asked.
func (v *verifier) agreed(l *layer, n *node, by map[string]time.Time) (s stamp, ok bool) {
	var first stamp
	for who, at := range by {
		if !ok || at.After(s.at) || at.Equal(s.at) && who < s.by {
			s = stamp{at, who}
		}
		if !ok || at.Before(first.at) || at.Equal(first.at) && who < first.by {
			first = stamp{at, who}
		}
		ok = true
	}
	if s.at.Sub(first.at) > stampsAgree {
		l.find(n, VerdictVerified, "time authorities disagree: %s says %s, %s says %s; the later counts",
			first.by, first.at.Format(time.RFC3339), s.by, s.at.Format(time.RFC3339))
	}
	return s, ok
}

// stamps reads the time stamps of all events and works out for each event the
// earliest proven time by which it existed: its own, or that of any event
// after it, which names it by its hash.
func (v *verifier) stamps(l *layer) map[*node]stamp {
	best := map[*node]stamp{}
	if v.opt.TokenTime == nil {
		return best
	}
	for i := len(v.nodes) - 1; i >= 0; i-- { // children before parents
		n := v.nodes[i]
		each := map[string]time.Time{}
		for _, t := range n.tokens {
			if t.err != nil {
				l.find(n, VerdictDamaged, "%s cannot be read: %v", t.name, t.err)
				continue
			}
			at, by, err := v.opt.TokenTime(t.data, n.data)
			if err != nil {
				l.find(n, VerdictVerified, "%s proves nothing: %v", t.name, err)
				continue
			}
			v.stamped++
			if had, ok := each[by]; !ok || at.Before(had) {
				each[by] = at
			}
		}
		if own, ok := v.agreed(l, n, each); ok {
			if s, ok := best[n]; !ok || own.at.Before(s.at) {
				best[n] = own
			}
		}
		s, ok := best[n]
		if !ok {
			continue
		}
		for _, d := range n.event.Prev {
			parent := v.known[d]
			if parent == nil || parent.err != nil {
				continue
			}
			if p, ok := best[parent]; !ok || s.at.Before(p.at) {
				best[parent] = s
			}
		}
	}
	return best
}
