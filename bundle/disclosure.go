package bundle

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Members of a disclosure (docs/format/disclosure.md).
const (
	disclosedFormat    = "disclosure/format"
	disclosedReadme    = "disclosure/README.txt"
	disclosedScript    = "disclosure/check.sh"
	disclosedStatement = "disclosure/statement.json"
	disclosedSums      = "disclosure/members.sha256"
	disclosedSumsSig   = "disclosure/members.sha256.sig"
	disclosedKey       = "seal/collector.pub"
	disclosedPEM       = "seal/collector.pem"
	disclosedBinding   = "seal/collector-key.sig"
	disclosedCert      = "seal/collector-cert.pub"
	disclosedSeal      = "seal/seal.txt"
	disclosedSSHSig    = "seal/seal.txt.sig"
	disclosedNote      = "seal/seal.note"
	disclosedCertSig   = "seal/seal.cert.sig"
	disclosedCustody   = "custody/"
)

const disclosureText = "exhibit-disclosure 1\n"

// Bounds of a disclosure.
const (
	maxDisclosed     = 4096     // records
	maxDisclosedLog  = 8192     // files of the custody log
	maxDisclosedFile = 64 << 10 // one of them, and each small member
	maxDisclosedText = 4096     // recipient, basis
	maxStatement     = 1 << 20
	maxBlockList     = blockLimit / BlockSize * 65
	maxSumsList      = 4 << 20
)

// What a disclosure holds of the content side of a record.
const (
	contentWithheld = "withheld" // the digest of the line
	contentLine     = "line"     // the line: there are no bytes
	contentWhole    = "whole"    // the line and all bytes
	contentBlocks   = "blocks"   // the line, the list of blocks, and some of them
)

// SumsName is what a disclosure's list of members is called where a custody
// event names its SHA-256.
const SumsName = "members.sha256"

// DisclosedPart is what is disclosed of one record.
type DisclosedPart struct {
	Leaf    int64
	Content bool             // the content line and the bytes, where there are any
	Meta    bool             // the metadata line
	Range   *evidence.Extent // of the bytes, only these, widened to whole blocks
}

// Disclosure says what Disclose gives to whom. With the same values it writes
// the same bytes.
type Disclosure struct {
	To    string // recipient
	Basis string // by what right
	By    string // who discloses; may be empty
	Parts []DisclosedPart

	// Sign signs the list of all members; nil: nobody does.
	Sign func(sums []byte) ([]byte, error)
	// Custody returns the files of the custody log, by name, when the list of
	// members is known: its last event names that list. nil: no log.
	Custody func(sums evidence.Digest) (map[string][]byte, error)
}

//go:embed disclosure
var disclosureFiles embed.FS

// disclosureFile returns a file that travels in every disclosure.
func disclosureFile(name string) []byte {
	b, err := disclosureFiles.ReadFile("disclosure/" + name)
	if err != nil {
		panic(err) // compiled in
	}
	return b
}

// disclosureTime is the time of every member: when a package was made is for
// the custody log to say.
var disclosureTime = time.Unix(0, 0).UTC()

// statement is disclosure/statement.json.
type statement struct {
	origin  string
	seal    evidence.Digest
	size    int64
	by, to  string
	basis   string
	records []statedRecord
}

// statedRecord is what the statement says of one record.
type statedRecord struct {
	leaf         int64
	content      string
	meta         bool
	first, count int64 // blocks
}

func (s *statement) encode() []byte {
	l := lineWriter{[]byte{'{'}}
	l.int("v", 1)
	l.text("origin", s.origin)
	l.text("seal", s.seal.String())
	l.int("size", s.size)
	l.text("by", s.by)
	l.text("to", s.to)
	l.text("basis", s.basis)
	l.key("records")
	l.b = append(l.b, '[')
	for i, r := range s.records {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = append(l.b, '{')
		l.int("leaf", r.leaf)
		l.text("content", r.content)
		if r.content == contentBlocks {
			l.int("first", r.first)
			l.int("count", r.count)
		}
		l.text("metadata", metaWord(r.meta))
		l.b = append(l.b, '}')
	}
	return append(l.b, ']', '}', '\n')
}

func metaWord(shown bool) string {
	if shown {
		return contentLine
	}
	return contentWithheld
}

var errStatement = errors.New("statement is not in its one valid spelling")

// parseStatement reads a statement. Only what encode writes is accepted.
func parseStatement(b []byte) (*statement, error) {
	if len(b) > maxStatement || len(b) == 0 || b[len(b)-1] != '\n' {
		return nil, errStatement
	}
	s := scanner{b: b[:len(b)-1]}
	out := &statement{}
	version := int64(0)
	s.object(maxKeys, func(key string) {
		switch key {
		case "v":
			version = s.int64()
		case "origin":
			out.origin = s.text()
		case "seal":
			out.seal = s.digest()
		case "size":
			out.size = s.int64()
		case "by":
			out.by = s.text()
		case "to":
			out.to = s.text()
		case "basis":
			out.basis = s.text()
		case "records":
			s.array(func() { out.records = append(out.records, s.stated()) })
		default:
			s.fail("unknown key")
		}
	})
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	if version > 1 {
		return nil, fmt.Errorf("statement of version %d, this program reads 1", version)
	}
	if version != 1 || !bytes.Equal(out.encode(), b) {
		return nil, errStatement
	}
	return out, out.check()
}

func (s *scanner) stated() statedRecord {
	var r statedRecord
	s.object(maxKeys, func(key string) {
		switch key {
		case "leaf":
			r.leaf = s.int64()
		case "content":
			r.content = s.text()
		case "first":
			r.first = s.int64()
		case "count":
			r.count = s.int64()
		case "metadata":
			r.meta = s.text() == contentLine
		default:
			s.fail("unknown key")
		}
	})
	return r
}

// check demands what every reader relies on.
func (s *statement) check() error {
	if len(s.records) == 0 || len(s.records) > maxDisclosed {
		return fmt.Errorf("a disclosure is of 1 to %d records, not %d", maxDisclosed, len(s.records))
	}
	for _, text := range []string{s.by, s.to, s.basis} {
		if len(text) > maxDisclosedText || !utf8.ValidString(text) {
			return errors.New("recipient or basis is too long, or no text")
		}
	}
	if s.to == "" || s.basis == "" {
		return errors.New("a disclosure names its recipient and its basis")
	}
	last := int64(-1)
	for _, r := range s.records {
		if r.leaf <= last || r.leaf >= s.size {
			return errors.New("records of a disclosure ascend within the bundle")
		}
		last = r.leaf
		switch r.content {
		case contentWithheld, contentLine, contentWhole:
		case contentBlocks:
			if most := int64(blockLimit / BlockSize); r.first < 0 || r.count < 1 || r.first >= most || r.count > most-r.first {
				return errors.New("blocks out of bounds")
			}
		default:
			return errStatement
		}
	}
	return nil
}

// folder is where a record's members are. Its name says nothing of the item.
func (r *statedRecord) folder() string { return fmt.Sprintf("records/%d/", r.leaf) }

func (r *statedRecord) contentName() string {
	if r.content == contentWithheld {
		return r.folder() + "content.sha256"
	}
	return r.folder() + "content.jsonl"
}

func (r *statedRecord) metaName() string {
	if r.meta {
		return r.folder() + "meta.jsonl"
	}
	return r.folder() + "meta.sha256"
}

func (r *statedRecord) proofName() string     { return r.folder() + "record.tlog-proof" }
func (r *statedRecord) wholeName() string     { return r.folder() + "content" }
func (r *statedRecord) blockListName() string { return r.folder() + "blocks.sha256" }
func (r *statedRecord) blocksName() string    { return fmt.Sprintf("%sblocks-%d", r.folder(), r.first) }

// names lists the members of a record in order.
func (r *statedRecord) names() []string {
	list := []string{r.contentName(), r.metaName(), r.proofName()}
	switch r.content {
	case contentWhole:
		list = append(list, r.wholeName())
	case contentBlocks:
		list = append(list, r.blockListName(), r.blocksName())
	}
	return list
}

// plainName reports whether a file of a custody log may stand in a package.
func plainName(name string) bool {
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("._-+=@,", c) < 0 {
			return false
		}
	}
	return name != "" && len(name) <= 80 && name[0] != '.' && name[0] != '-'
}
