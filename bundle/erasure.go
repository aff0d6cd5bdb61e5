package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Members of a bundle that items were erased from (docs/format/disclosure.md,
// section 10).
const (
	erasedPrefix  = "exhibit/erased/"  // zeros in the place of what was erased
	erasurePrefix = "exhibit/erasure/" // statements, and the signatures over them
)

// ErasureName is what the statement of an erasure is called where a custody
// event names its SHA-256.
const ErasureName = "erasure.json"

// Bounds of the erasures of one bundle.
const (
	maxErased      = 4096 // records
	maxErasures    = 32   // statements
	maxErasureText = 1024 // bytes of order, reason, person
	maxErasure     = maxErased*192 + 16<<10
)

// ErrErased says that an item was erased on a legal order: its bytes are gone,
// and its record still leads to the seal.
var ErrErased = errors.New("item was erased")

func erasedMember(leaf int64, n int) string { return fmt.Sprintf("%s%d.%d", erasedPrefix, leaf, n) }

func erasureMember(n int) string { return fmt.Sprintf("%s%02d.json", erasurePrefix, n) }

// Erasure states that items were taken out of a sealed bundle, by whom and on
// what order. Whoever signs it stands for it.
type Erasure struct {
	Seal       evidence.Digest // seal id of the bundle, which the erasure leaves as it is
	FromSHA256 evidence.Digest // of the file that was erased from
	FromSize   int64
	At         time.Time
	By         string // who erased and signs
	Order      string // authority and reference
	Reason     string
	Items      []ErasedItem    // ascending by leaf
	Kept       evidence.Digest // SHA-256 of the tar up to the seal, as it is now
	KeptSize   int64
}

// ErasedItem is one record that was taken out. The digests of its lines stay:
// the lines hold 16 random bytes each, so that nobody can guess them.
type ErasedItem struct {
	Leaf    int64
	Content evidence.Digest // SHA-256 of the content line
	Meta    evidence.Digest // of the metadata line; zero: the line is kept
}

// Encode is the statement: one line, one spelling.
func (e *Erasure) Encode() []byte {
	l := lineWriter{[]byte(`{"v":1`)}
	for _, f := range [...][2]string{{"seal", e.Seal.String()}, {"from_sha256", e.FromSHA256.String()}} {
		l.text(f[0], f[1])
	}
	l.int("from_size", e.FromSize)
	for _, f := range [...][2]string{
		{"at", formatTime(e.At)}, {"by", plainText(e.By)}, {"order", plainText(e.Order)}, {"reason", plainText(e.Reason)},
	} {
		l.text(f[0], f[1])
	}
	l.key("items")
	l.b = append(l.b, '[')
	for i, it := range e.Items {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = append(l.b, '{')
		l.int("leaf", it.Leaf)
		l.text("content", it.Content.String())
		if !it.Meta.IsZero() {
			l.text("metadata", it.Meta.String())
		}
		l.b = append(l.b, '}')
	}
	l.b = append(l.b, ']')
	l.text("kept_sha256", e.Kept.String())
	l.int("kept_size", e.KeptSize)
	return append(l.b, '}', '\n')
}

// ParseErasure reads what Encode writes, and nothing else.
func ParseErasure(b []byte) (*Erasure, error) {
	if len(b) == 0 || len(b) > maxErasure || b[len(b)-1] != '\n' {
		return nil, errors.New("read erasure: not one line, or too long")
	}
	s := scanner{b: b[:len(b)-1]}
	e := &Erasure{}
	version := int64(0)
	s.object(maxKeys, func(key string) {
		switch key {
		case "v":
			version = s.int64()
		case "seal":
			e.Seal = s.digest()
		case "from_sha256":
			e.FromSHA256 = s.digest()
		case "from_size":
			e.FromSize = s.int64()
		case "at":
			e.At = s.time()
		case "by":
			e.By = s.text()
		case "order":
			e.Order = s.text()
		case "reason":
			e.Reason = s.text()
		case "items":
			s.array(func() { e.Items = append(e.Items, s.erased()) })
		case "kept_sha256":
			e.Kept = s.digest()
		case "kept_size":
			e.KeptSize = s.int64()
		default:
			s.fail("unknown key")
		}
	})
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("read erasure: %w", err)
	}
	if version != 1 || !bytes.Equal(e.Encode(), b) {
		return nil, errors.New("read erasure: not in its one valid spelling, or of a later version")
	}
	return e, e.check()
}

func (s *scanner) erased() (it ErasedItem) {
	s.object(maxKeys, func(key string) {
		switch key {
		case "leaf":
			it.Leaf = s.int64()
		case "content":
			it.Content = s.digest()
		case "metadata":
			it.Meta = s.digest()
		default:
			s.fail("unknown key")
		}
	})
	return it
}

// check tests what must hold of every statement. Header and trailer say what
// the run was: they are not erased.
func (e *Erasure) check() error {
	for what, text := range map[string]string{"person": e.By, "order": e.Order, "reason": e.Reason} {
		if text == "" || len(text) > maxErasureText || !utf8.ValidString(text) {
			return fmt.Errorf("erasure names no %s, or one of over %d bytes", what, maxErasureText)
		}
	}
	if len(e.Items) == 0 || len(e.Items) > maxErased || e.At.IsZero() || e.FromSize < 0 || e.KeptSize < 0 {
		return errors.New("erasure names no item, or too many, or no time")
	}
	last := int64(0)
	for _, it := range e.Items {
		if it.Leaf <= last || it.Leaf >= leafLimit || it.Content.IsZero() {
			return errors.New("items of the erasure are out of order")
		}
		last = it.Leaf
	}
	return nil
}

// signedErasure is a statement whose signature holds; whose key it is, is
// another matter.
type signedErasure struct {
	*Erasure
	key ssh.PublicKey
}

// readErasures reads the statements of a bundle in order and checks that the
// signature over each holds.
func readErasures(members map[string][]byte) ([]signedErasure, error) {
	var list []signedErasure
	for n := 0; ; n++ {
		name := erasureMember(n)
		text, sig := members[name], members[name+".sig"]
		if text == nil && sig == nil {
			return list, nil
		}
		if text == nil || sig == nil || n == maxErasures {
			return list, fmt.Errorf("%s stands without its signature, or the reverse", name)
		}
		e, err := ParseErasure(text)
		if err != nil {
			return list, fmt.Errorf("%s: %w", name, err)
		}
		key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, text, sig)
		if err != nil {
			return list, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, signedErasure{e, key})
	}
}

// erasedItems is what several erasures took out together. A later one may take
// the metadata line of an item whose content went before, and nothing else twice.
func erasedItems(list []signedErasure) (map[int64]*erasedRecord, error) {
	all := map[int64]*erasedRecord{}
	for _, e := range list {
		for _, it := range e.Items {
			had := all[it.Leaf]
			if had != nil && (had.Content != it.Content || !had.Meta.IsZero() || it.Meta.IsZero()) {
				return all, fmt.Errorf("record %d is erased twice", it.Leaf)
			}
			all[it.Leaf] = &erasedRecord{it, e.Erasure}
		}
	}
	if len(all) > maxErased {
		return all, errors.New("too many records are erased")
	}
	return all, nil
}

// erasedRecord is an item that was taken out, and the statement that says so.
type erasedRecord struct {
	ErasedItem
	by *Erasure
}

// why says in words why an item is not there.
func (e *erasedRecord) why() string {
	return fmt.Sprintf("erased on order %s, by %s, %s", e.by.Order, e.by.By, e.by.At.Format(time.DateOnly))
}

// hashes are the digests of the two lines, of which meta may be kept.
func (e *erasedRecord) hashes(meta []byte) (content, metadata evidence.Digest) {
	if e.Meta.IsZero() {
		return e.Content, evidence.Sum(meta)
	}
	return e.Content, e.Meta
}

// record is what is left of an erased item.
func (e *erasedRecord) record(content, meta []byte) (*record, error) {
	r, err := parseErased(e.Leaf, content, meta)
	if err == nil && blankLine(meta) == e.Meta.IsZero() {
		err = errors.New("statement and record disagree on what was erased")
	}
	if err == nil {
		r.item.Detail = e.why()
	}
	return r, err
}

// blankLine reports whether a manifest line was erased: spaces stand in its
// place, so that everything behind it keeps its offset.
func blankLine(line []byte) bool {
	return len(line) > 1 && len(bytes.TrimLeft(line, " ")) == 1 && line[len(line)-1] == '\n'
}

// parseErased reads a record whose content line is blank. Its member is named
// where the metadata line is kept; there are no bytes.
func parseErased(leaf int64, content, meta []byte) (*record, error) {
	r := &record{off: -1, item: evidence.Item{Index: leaf}}
	if !blankLine(content) {
		return nil, errors.New("content line of an erased item is still there")
	}
	if !blankLine(meta) {
		if err := parseMetaLine(meta, r); err != nil {
			return nil, fmt.Errorf("metadata line: %w", err)
		}
		if r.item.Index != leaf || r.item.Member != "" && !inertName(r.item.Member) {
			return nil, errors.New("metadata line is of another record, or names no member that may be")
		}
	}
	r.off, r.segs, r.item.Kind = -1, nil, evidence.KindErased
	return r, nil
}

// erasedLeaf reads the name of a member that fills a place.
func erasedLeaf(name string) (leaf int64, n int, ok bool) {
	_, err := fmt.Sscanf(strings.TrimPrefix(name, erasedPrefix), "%d.%d", &leaf, &n)
	return leaf, n, err == nil && erasedMember(leaf, n) == name
}
