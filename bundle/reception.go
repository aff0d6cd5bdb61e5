package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Paths of the items by which a bundle says that its content was received and
// not collected. They are read through DerivationSource.
const (
	ReceptionPath    = "reception.json"
	ReceptionSigPath = "reception.json.sig"
)

// ProfileReceived is the profile of a bundle whose content was received.
const ProfileReceived = "received"

// Reception says what the items of a bundle were taken out of: something that
// another program made and somebody gave to the person who signs this.
type Reception struct {
	Exhibit  string
	Name     string          // of what was received
	Form     string          // "zip", "tar.gz", "folder", "file", …
	SHA256   evidence.Digest // of its bytes; zero for a folder
	Size     int64           // of its bytes; 0 for a folder
	Kept     bool            // it is an item of the bundle, byte for byte
	Layout   string          // how its members are named
	Tool     string          // program that made it, by its own account; "" when not known
	Host     string          // of which host, by the operator's word; "" when nobody said
	From     string          // who gave it; "" when nobody said
	Operator string          // who took it in and signs
	Received time.Time       // when, by the operator's clock
	Members  int64           // items that were taken out of it
	Lost     int64           // what was left out, damaged or doubtful
	Note     string          // circumstances
}

// Encode is reception.json: one line, one spelling.
func (d *Reception) Encode() []byte {
	l := lineWriter{[]byte{'{'}}
	l.int("v", 1)
	l.text("exhibit", plainText(d.Exhibit))
	l.text("name", plainText(d.Name))
	l.text("form", plainText(d.Form))
	if !d.SHA256.IsZero() {
		l.text("sha256", d.SHA256.String())
	}
	l.int("size", d.Size)
	kept := int64(0)
	if d.Kept {
		kept = 1
	}
	l.int("kept", kept)
	l.text("layout", plainText(d.Layout))
	l.text("tool", plainText(d.Tool))
	l.text("host", plainText(d.Host))
	l.text("from", plainText(d.From))
	l.text("operator", plainText(d.Operator))
	l.time("received", d.Received)
	l.int("members", d.Members)
	l.int("lost", d.Lost)
	l.text("note", plainText(d.Note))
	return append(l.b, '}', '\n')
}

// ParseReception reads what Encode writes, and nothing else.
func ParseReception(b []byte) (*Reception, error) {
	if len(b) == 0 || len(b) > maxDerivation || b[len(b)-1] != '\n' {
		return nil, errors.New("read reception: not one line")
	}
	s := scanner{b: b[:len(b)-1]}
	d := &Reception{}
	version, kept := int64(0), int64(0)
	texts := map[string]*string{
		"exhibit": &d.Exhibit, "name": &d.Name, "form": &d.Form, "layout": &d.Layout, "tool": &d.Tool,
		"host": &d.Host, "from": &d.From, "operator": &d.Operator, "note": &d.Note,
	}
	numbers := map[string]*int64{"v": &version, "size": &d.Size, "kept": &kept, "members": &d.Members, "lost": &d.Lost}
	s.object(maxKeys, func(key string) {
		switch {
		case texts[key] != nil:
			*texts[key] = s.text()
		case numbers[key] != nil:
			*numbers[key] = s.int64()
		case key == "sha256":
			d.SHA256 = s.digest()
		case key == "received":
			d.Received = s.time()
		default:
			s.fail("unknown key")
		}
	})
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("read reception: %w", err)
	}
	d.Kept = kept == 1
	if version != 1 || !bytes.Equal(d.Encode(), b) {
		return nil, errors.New("read reception: not in its one valid spelling")
	}
	return d, nil
}

// Reception returns what a bundle says of the reception of its content, and
// whose signature over it holds. It is ErrNoMember for a bundle that was
// collected. A kept original must be the one it speaks of.
func (r *Reader) Reception() (*Reception, ssh.PublicKey, error) {
	text, err := r.smallItem(ReceptionPath)
	if err != nil {
		return nil, nil, err
	}
	d, err := ParseReception(text)
	if err != nil {
		return nil, nil, err
	}
	sig, err := r.smallItem(ReceptionSigPath)
	if err != nil {
		return nil, nil, fmt.Errorf("signature of the reception: %w", err)
	}
	key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, text, sig)
	if err != nil {
		return nil, nil, fmt.Errorf("signature of the reception: %w", err)
	}
	if r.header.Exhibit != d.Exhibit {
		return nil, nil, fmt.Errorf("%w: the reception speaks of another exhibit", ErrMismatch)
	}
	if !d.Kept {
		return d, key, nil
	}
	if d.Form == "file" {
		return d, key, r.keptFile(d)
	}
	rec, err := r.find(MemberName(evidence.SourceOriginal, d.Name))
	if err != nil {
		return nil, nil, fmt.Errorf("original: %w", err)
	}
	if rec.item.SHA256 != d.SHA256 || rec.item.Size != d.Size {
		return nil, nil, fmt.Errorf("%w: the reception speaks of another original", ErrMismatch)
	}
	return d, key, nil
}

// keptFile finds a file that was received as it is and taken for an item under
// the path it had on its host.
func (r *Reader) keptFile(d *Reception) error {
	for it, err := range r.Items() {
		if err != nil {
			return err
		}
		if it.Source == evidence.SourceImport && it.SHA256 == d.SHA256 && it.Size == d.Size {
			return nil
		}
	}
	return fmt.Errorf("%w: the file that the reception speaks of is not in the bundle", ErrMismatch)
}
