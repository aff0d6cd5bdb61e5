package bundle

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Errors that decide the verdict about a package.
var (
	errNotDisclosure = errors.New("this is no disclosure")
	errCutShort      = errors.New("the end of the package is missing")
)

// disclosedMember is one member of a package: its header and where its data is.
type disclosedMember struct {
	entry
	off int64
}

// disclosureReader holds a package whose frame was found in order.
type disclosureReader struct {
	ctx     context.Context
	in      io.ReaderAt
	size    int64
	members []disclosedMember
	byName  map[string]*disclosedMember
	failed  error // of the medium: no verdict may rest on it
}

// maxDisclosureMembers bounds a package: six members a record, the log, and
// what is always there.
const maxDisclosureMembers = 6*maxDisclosed + maxDisclosedLog + 32

// readDisclosure walks the tar: every header in its one spelling, no name
// twice, padding zero, nothing behind the end.
func readDisclosure(ctx context.Context, in io.ReaderAt, size int64) (r *disclosureReader, err error) {
	r = &disclosureReader{ctx: ctx, in: in, size: size, byName: map[string]*disclosedMember{}}
	first := appendHeader(nil, &entry{name: disclosedFormat, size: int64(len(disclosureText)), mtime: disclosureTime})
	first = append(first, disclosureText...)
	if b, err := r.at(0, int64(len(first))); err != nil || !bytes.Equal(b, first) {
		return r, errNotDisclosure
	}
	off := int64(0)
	for {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		b, err := r.at(off, tarBlock)
		if err != nil {
			return r, err
		}
		if allZero(b) {
			return r, r.end(off)
		}
		m, next, err := r.header(off, b)
		if err != nil {
			return r, err
		}
		if r.byName[m.name] != nil {
			return r, fmt.Errorf("member %.80q occurs twice", plainText(m.name))
		}
		if len(r.members) == maxDisclosureMembers {
			return r, fmt.Errorf("more than %d members", maxDisclosureMembers)
		}
		r.members = append(r.members, m)
		r.byName[m.name] = &m
		off = next
	}
}

// header reads the header at off and returns where the next member begins.
func (r *disclosureReader) header(off int64, b []byte) (m disclosedMember, next int64, err error) {
	e, n, err := parseHeader(b)
	if err == nil && n > len(b) {
		if b, err = r.at(off, int64(n)); err != nil {
			return m, 0, err
		}
		e, n, err = parseHeader(b)
		if err == nil && n > len(b) { // the extended header's own length is known now
			if b, err = r.at(off, int64(n)); err != nil {
				return m, 0, err
			}
			e, _, err = parseHeader(b)
		}
	}
	if err != nil {
		return m, 0, err
	}
	if !e.mtime.Equal(disclosureTime) {
		return m, 0, fmt.Errorf("member %.80q states a time", plainText(e.name))
	}
	m = disclosedMember{e, off + int64(n)}
	end := m.off + e.size
	next = (end + tarBlock - 1) &^ (tarBlock - 1)
	padding, err := r.at(end, next-end)
	if err == nil && !allZero(padding) {
		err = fmt.Errorf("bytes behind member %.80q", plainText(e.name))
	}
	return m, next, err
}

// end checks that two zero blocks end the file.
func (r *disclosureReader) end(off int64) error {
	if r.size > off+2*tarBlock {
		return errors.New("bytes behind the end of the package")
	}
	b, err := r.at(off, 2*tarBlock)
	if err == nil && !allZero(b) {
		err = errors.New("the package has no end")
	}
	return err
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// at reads a small range of the file.
func (r *disclosureReader) at(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || n > r.size-off {
		return nil, errCutShort
	}
	b := make([]byte, n)
	return b, r.read(b, off)
}

// read fills b from the file.
func (r *disclosureReader) read(b []byte, off int64) error {
	if m, err := r.in.ReadAt(b, off); m < len(b) {
		r.failed = fmt.Errorf("read package: %w", noEOF(err))
		return r.failed
	}
	return nil
}

// small reads a whole member of bounded size; nil without error where there
// is none.
func (r *disclosureReader) small(name string, limit int64) ([]byte, error) {
	m := r.byName[name]
	if m == nil {
		return nil, nil
	}
	if m.sparse || m.size > limit {
		return nil, fmt.Errorf("%s is too long", name)
	}
	return r.at(m.off, m.size)
}

// need is small for a member that must be there.
func (r *disclosureReader) need(name string, limit int64) ([]byte, error) {
	b, err := r.small(name, limit)
	if err == nil && r.byName[name] == nil {
		err = fmt.Errorf("%s is missing", name)
	}
	return b, err
}

// digest reads one line that stands for a withheld one.
func (r *disclosureReader) digest(name string) (evidence.Digest, error) {
	b, err := r.need(name, 65)
	if err != nil {
		return evidence.Digest{}, err
	}
	if len(b) == 65 && b[64] == '\n' {
		if d, err := evidence.ParseDigest(string(b[:64])); err == nil && string(digestLine(d)) == string(b) {
			return d, nil
		}
	}
	return evidence.Digest{}, fmt.Errorf("%s holds no SHA-256", name)
}

// hash sums a member as tar unpacks it: the holes of a sparse one as zeros.
// holes are those of the record that the member belongs to.
func (r *disclosureReader) hash(m *disclosedMember, holes []evidence.Extent) (evidence.Digest, error) {
	h := evidence.NewHash()
	if !m.sparse {
		err := r.copy(h, m.off, m.size)
		return evidence.DigestOf(h), err
	}
	ranges := dataRanges(m.real, holes)
	want := sparseMap(ranges)
	off, at := m.off+int64(len(want)), int64(0)
	if got, err := r.at(m.off, min(int64(len(want)), m.size)); err != nil || !bytes.Equal(got, want) {
		return evidence.Digest{}, errors.Join(err, fmt.Errorf("%s has other holes than its record", m.name))
	}
	for _, x := range ranges {
		if err := hashZeros(r.ctx, h, x.Offset-at); err != nil {
			return evidence.Digest{}, err
		}
		if err := r.copy(h, off, x.Length); err != nil {
			return evidence.Digest{}, err
		}
		at, off = x.Offset+x.Length, off+x.Length
	}
	return evidence.DigestOf(h), nil
}

// copy hashes a range of the file.
func (r *disclosureReader) copy(h hash.Hash, off, n int64) error {
	buf := make([]byte, min(n, int64(len(zeros))))
	for n > 0 {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		part := buf[:min(n, int64(len(buf)))]
		if err := r.read(part, off); err != nil {
			return err
		}
		h.Write(part)
		off, n = off+int64(len(part)), n-int64(len(part))
	}
	return nil
}

// statement reads the statement and checks that the package holds exactly the
// members that follow from it, in order.
func (r *disclosureReader) statement() (*statement, error) {
	b, err := r.need(disclosedStatement, maxStatement)
	if err != nil {
		return nil, err
	}
	st, err := parseStatement(b)
	if err != nil {
		return nil, err
	}
	want := []string{disclosedFormat, disclosedReadme, disclosedScript, disclosedStatement, disclosedKey, disclosedPEM}
	optional := func(names ...string) {
		for _, name := range names {
			if r.byName[name] != nil {
				want = append(want, name)
			}
		}
	}
	optional(disclosedBinding, disclosedCert)
	want = append(want, disclosedSeal)
	optional(disclosedSSHSig)
	want = append(want, disclosedNote)
	optional(disclosedCertSig)
	for i := range st.records {
		want = append(want, st.records[i].names()...)
	}
	want = append(want, disclosedSums)
	optional(disclosedSumsSig)
	for i, name := range want {
		if i >= len(r.members) {
			return nil, fmt.Errorf("%s is missing", name)
		}
		if got := r.members[i].name; got != name {
			return nil, fmt.Errorf("%.80q stands where %s belongs", plainText(got), name)
		}
	}
	last := ""
	for _, m := range r.members[len(want):] {
		name, ok := strings.CutPrefix(m.name, disclosedCustody)
		if !ok || !plainName(name) || name <= last {
			return nil, fmt.Errorf("member %.80q does not belong into a disclosure", plainText(m.name))
		}
		last = name
	}
	return st, nil
}

// checkSums compares the list of members with what is there.
func (r *disclosureReader) checkSums(list []byte, digests map[string]evidence.Digest) error {
	var want []byte
	for i := range r.members {
		m := &r.members[i]
		if m.name == disclosedSums {
			break
		}
		d, ok := digests[m.name]
		if !ok {
			if m.sparse {
				return fmt.Errorf("%s has holes", m.name)
			}
			var err error
			if d, err = r.hash(m, nil); err != nil {
				return err
			}
		}
		want = append(append(hex.AppendEncode(want, d[:]), "  "...), m.name...)
		want = append(want, '\n')
	}
	if !bytes.Equal(want, list) {
		return fmt.Errorf("%s does not agree with the members", disclosedSums)
	}
	return nil
}
