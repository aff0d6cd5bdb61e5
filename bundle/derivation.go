package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Paths of the items by which a derived bundle says where it comes from, and
// the source they are read through.
const (
	DerivationPath    = "derivation.json"
	DerivationSigPath = "derivation.json.sig"
	DerivationSource  = "exhibit"
)

// Derivation says how the one file of a derived exhibit came about: what was
// done to which sealed content. Who can see both can check it.
type Derivation struct {
	SourceExhibit string
	SourceSeal    evidence.Digest // seal id of the bundle that was derived from
	SourceLeaf    int64
	SourceSHA256  evidence.Digest // of the content as it was sealed
	SourceSize    int64
	Exhibit       string          // the new one
	Path          string          // of the derived file in the new bundle
	SHA256        evidence.Digest // of the derived file
	Size          int64
	Rule          string // what was done, by which rule
	Operator      string // who did it and signs
	Reviewer      string // who compared both
}

// Encode is derivation.json: one line, one spelling.
func (d *Derivation) Encode() []byte {
	l := lineWriter{[]byte{'{'}}
	l.int("v", 1)
	l.text("source_exhibit", plainText(d.SourceExhibit))
	l.text("source_seal", d.SourceSeal.String())
	l.int("source_leaf", d.SourceLeaf)
	l.text("source_sha256", d.SourceSHA256.String())
	l.int("source_size", d.SourceSize)
	l.text("exhibit", plainText(d.Exhibit))
	l.text("path", plainText(d.Path))
	l.text("sha256", d.SHA256.String())
	l.int("size", d.Size)
	l.text("rule", plainText(d.Rule))
	l.text("operator", plainText(d.Operator))
	l.text("reviewer", plainText(d.Reviewer))
	return append(l.b, '}', '\n')
}

// maxDerivation bounds derivation.json and its signature.
const maxDerivation = 64 << 10

// ParseDerivation reads what Encode writes, and nothing else.
func ParseDerivation(b []byte) (*Derivation, error) {
	if len(b) == 0 || len(b) > maxDerivation || b[len(b)-1] != '\n' {
		return nil, errors.New("read derivation: not one line")
	}
	s := scanner{b: b[:len(b)-1]}
	d := &Derivation{}
	version := int64(0)
	texts := map[string]*string{
		"source_exhibit": &d.SourceExhibit, "exhibit": &d.Exhibit, "path": &d.Path,
		"rule": &d.Rule, "operator": &d.Operator, "reviewer": &d.Reviewer,
	}
	digests := map[string]*evidence.Digest{"source_seal": &d.SourceSeal, "source_sha256": &d.SourceSHA256, "sha256": &d.SHA256}
	numbers := map[string]*int64{"v": &version, "source_leaf": &d.SourceLeaf, "source_size": &d.SourceSize, "size": &d.Size}
	s.object(maxKeys, func(key string) {
		switch {
		case texts[key] != nil:
			*texts[key] = s.text()
		case digests[key] != nil:
			*digests[key] = s.digest()
		case numbers[key] != nil:
			*numbers[key] = s.int64()
		default:
			s.fail("unknown key")
		}
	})
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("read derivation: %w", err)
	}
	if version != 1 || !bytes.Equal(d.Encode(), b) {
		return nil, errors.New("read derivation: not in its one valid spelling")
	}
	return d, nil
}

// Derivation returns what a derived bundle says of its origin, and whose
// signature over it holds. It is ErrNoMember for any other bundle. That the
// derived file is the one it speaks of is checked against the records, which
// Verify checks.
func (r *Reader) Derivation() (*Derivation, ssh.PublicKey, error) {
	text, err := r.smallItem(DerivationPath)
	if err != nil {
		return nil, nil, err
	}
	d, err := ParseDerivation(text)
	if err != nil {
		return nil, nil, err
	}
	sig, err := r.smallItem(DerivationSigPath)
	if err != nil {
		return nil, nil, fmt.Errorf("signature of the derivation: %w", err)
	}
	key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, text, sig)
	if err != nil {
		return nil, nil, fmt.Errorf("signature of the derivation: %w", err)
	}
	rec, err := r.find(MemberName(DerivationSource, d.Path))
	if err != nil {
		return nil, nil, fmt.Errorf("derived file: %w", err)
	}
	if rec.item.SHA256 != d.SHA256 || rec.item.Size != d.Size || r.header.Exhibit != d.Exhibit {
		return nil, nil, fmt.Errorf("%w: the derivation speaks of another file or exhibit", ErrMismatch)
	}
	return d, key, nil
}

// smallItem reads one item of the derivation.
func (r *Reader) smallItem(path string) ([]byte, error) {
	c, err := r.Open(MemberName(DerivationSource, path))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if c.Size() > maxDerivation {
		return nil, fmt.Errorf("%w: %s is too long", ErrMismatch, path)
	}
	return io.ReadAll(c)
}
