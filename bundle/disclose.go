package bundle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrNoBlocks says that a range was asked of an item whose blocks were not
// hashed one by one: it can be disclosed whole or not at all.
var ErrNoBlocks = errors.New("item has no block hashes")

// Disclosed is what Disclose wrote.
type Disclosed struct {
	Sums    evidence.Digest // SHA-256 of the list of members: what names the package
	Records []DisclosedSpan
	Size    int64 // bytes of the package
}

// DisclosedSpan is one record of a package and the bytes of it that are there.
type DisclosedSpan struct {
	Leaf   int64 `json:"leaf"`
	Offset int64 `json:"offset"` // of a range of blocks
	Length int64 `json:"length"` // of it; 0 where none was asked for
	Stored int64 `json:"stored"` // bytes in the package
}

// disclosing writes one package.
type disclosing struct {
	ctx  context.Context
	r    *Reader
	out  io.Writer
	size int64
	sums []byte
	open hash.Hash // of the member being written
	buf  []byte
	tree [][]evidence.Digest // all nodes, leaves first: made once for all proofs
}

// Disclose writes a package of chosen records with proof that they belong to
// the bundle's seal. Contents are compared with their records on the way:
// ErrChanged when one is not what was sealed.
func Disclose(ctx context.Context, w io.Writer, r *Reader, d Disclosure) (*Disclosed, error) {
	p := &disclosing{ctx: ctx, r: r, out: w, buf: make([]byte, 256<<10)}
	st := &statement{
		origin: r.seal.Origin, seal: r.seal.ID, size: r.seal.Size,
		by: plainText(d.By), to: plainText(d.To), basis: plainText(d.Basis),
	}
	records, err := p.choose(d.Parts, st)
	if err != nil {
		return nil, fmt.Errorf("disclose: %w", err)
	}
	if err := p.write(st, records, d); err != nil {
		return nil, fmt.Errorf("disclose: %w", err)
	}
	out := &Disclosed{Sums: evidence.Sum(p.sums), Size: p.size}
	for i, s := range st.records {
		span := DisclosedSpan{Leaf: s.leaf}
		switch s.content {
		case contentWhole:
			span.Stored = records[i].item.Stored
		case contentBlocks:
			x := blockRange(&s, records[i].item.Size)
			span.Offset, span.Length, span.Stored = x.Offset, x.Length, x.Length
		}
		out.Records = append(out.Records, span)
	}
	return out, nil
}

// choose reads the records and settles what the statement says of each.
func (p *disclosing) choose(parts []DisclosedPart, st *statement) ([]*record, error) {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b DisclosedPart) int { return cmp.Compare(a.Leaf, b.Leaf) })
	var records []*record
	holes := int64(0)
	for _, part := range parts {
		rec, err := p.r.record(part.Leaf)
		if err != nil {
			return nil, err
		}
		s := statedRecord{leaf: part.Leaf, content: contentWithheld, meta: part.Meta}
		if e, ok := p.r.erased[part.Leaf]; ok && (part.Content || part.Range != nil || part.Meta && !e.Meta.IsZero()) {
			return nil, fmt.Errorf("record %d: %w: %s", part.Leaf, ErrErased, e.why())
		}
		switch {
		case part.Range != nil:
			if err := s.blocksOf(rec, *part.Range); err != nil {
				return nil, fmt.Errorf("record %d: %w", part.Leaf, err)
			}
		case part.Content && rec.item.Kind.HasContent():
			s.content = contentWhole
			if !rec.item.SumsStored {
				holes += rec.item.Size - rec.item.Stored
			}
		case part.Content:
			s.content = contentLine
		}
		if s.content == contentWhole || s.content == contentBlocks {
			if err := p.r.checkPlace(rec); err != nil {
				return nil, err
			}
		}
		st.records, records = append(st.records, s), append(records, rec)
	}
	if holes > zeroBudget {
		return nil, fmt.Errorf("%d bytes of holes, more than a package may have: make two packages", holes)
	}
	return records, st.check()
}

// blocksOf widens a range to the blocks that hold it.
func (s *statedRecord) blocksOf(rec *record, x evidence.Extent) error {
	size := rec.item.Size
	switch {
	case rec.blkRoot.IsZero():
		return ErrNoBlocks
	case x.Offset < 0 || x.Length < 1 || x.Offset >= size || x.Length > size-x.Offset:
		return fmt.Errorf("range %d+%d is outside of its %d bytes", x.Offset, x.Length, size)
	}
	s.content, s.first = contentBlocks, x.Offset/BlockSize
	s.count = (x.Offset+x.Length-1)/BlockSize - s.first + 1
	return nil
}

// blockRange is what the blocks of a statement cover of an item.
func blockRange(s *statedRecord, size int64) evidence.Extent {
	from := s.first * BlockSize
	return evidence.Extent{Offset: from, Length: min(s.count*BlockSize, size-from)}
}

func (p *disclosing) write(st *statement, records []*record, d Disclosure) error {
	seal, err := p.sealMembers()
	if err != nil {
		return err
	}
	small := append([]fixedMember{
		{disclosedFormat, []byte(disclosureText)},
		{disclosedReadme, disclosureFile("README.txt")},
		{disclosedScript, disclosureFile("check.sh")},
		{disclosedStatement, st.encode()},
	}, seal...)
	for _, m := range small {
		if err := p.member(m.name, m.data); err != nil {
			return err
		}
	}
	for i := range st.records {
		if err := p.record(&st.records[i], records[i]); err != nil {
			return fmt.Errorf("record %d: %w", st.records[i].leaf, err)
		}
	}
	return p.close(d)
}

// sealMembers are the seal and what tells whose it is. A run that was cut
// short has no signature over seal.txt but the one in its note.
func (p *disclosing) sealMembers() ([]fixedMember, error) {
	ed, err := ed25519Key(p.r.sshKey)
	if err != nil {
		return nil, err
	}
	pem, err := collectorPEM(ed)
	if err != nil {
		return nil, err
	}
	m, err := p.r.Mandate()
	switch {
	case errors.Is(err, ErrUnbound):
		m = &Mandate{}
	case err != nil:
		return nil, err
	}
	var list []fixedMember
	for _, f := range []fixedMember{
		{disclosedKey, CollectorPub(p.r.sshKey)},
		{disclosedPEM, pem},
		{disclosedBinding, m.Statement},
		{disclosedCert, m.Certificate},
		{disclosedSeal, p.r.seal.Text},
		{disclosedSSHSig, p.r.seal.SSHSig},
		{disclosedNote, p.r.seal.Note},
		{disclosedCertSig, p.r.seal.CertSig},
	} {
		if len(f.data) > 0 {
			list = append(list, f)
		}
	}
	return list, nil
}

// close writes what stands behind the records: the list of all members, its
// signature, the custody log, and the end of the tar.
func (p *disclosing) close(d Disclosure) error {
	sums := bytes.Clone(p.sums)
	if err := p.member(disclosedSums, sums); err != nil {
		return err
	}
	p.sums = sums
	if d.Sign != nil {
		sig, err := d.Sign(sums)
		if err != nil {
			return fmt.Errorf("sign the list of members: %w", err)
		}
		if err := p.member(disclosedSumsSig, sig); err != nil {
			return err
		}
	}
	if d.Custody != nil {
		files, err := d.Custody(evidence.Sum(sums))
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if !plainName(name) || len(files[name]) > maxDisclosedFile {
				return fmt.Errorf("custody log holds %.80q, which cannot travel", name)
			}
			if err := p.member(disclosedCustody+name, files[name]); err != nil {
				return err
			}
		}
	}
	p.sums = sums
	return p.put(make([]byte, 2*tarBlock))
}

// prove is Reader.Prove for many records of one bundle.
func (p *disclosing) prove(leaf int64) (Proof, error) {
	content, meta, err := p.r.linesOf(leaf)
	if err != nil {
		return Proof{}, err
	}
	if p.tree == nil {
		leaves, err := p.r.allLeaves()
		if err != nil {
			return Proof{}, err
		}
		p.tree = treeLevels(leaves)
	}
	proof := p.r.lineProof(leaf, content, meta)
	for i, level := leaf, 0; level < len(p.tree)-1; i, level = i/2, level+1 {
		if sibling := i ^ 1; sibling < int64(len(p.tree[level])) {
			proof.Path = append(proof.Path, p.tree[level][sibling])
		}
	}
	return proof, proof.Verify(p.r.seal)
}

// treeLevels computes all nodes of the tree over leaves, level by level: a
// node without a sibling stands for its parent, as in RFC 6962.
func treeLevels(leaves []evidence.Digest) [][]evidence.Digest {
	levels := [][]evidence.Digest{leaves}
	for low := leaves; len(low) > 1; low = levels[len(levels)-1] {
		up := make([]evidence.Digest, 0, (len(low)+1)/2)
		for i := 0; i+1 < len(low); i += 2 {
			up = append(up, nodeHash(low[i], low[i+1]))
		}
		if len(low)%2 == 1 {
			up = append(up, low[len(low)-1])
		}
		levels = append(levels, up)
	}
	return levels
}

// record writes the members of one record.
func (p *disclosing) record(s *statedRecord, rec *record) error {
	proof, err := p.prove(s.leaf)
	if err != nil {
		return err
	}
	content, meta := proof.Content, proof.Meta
	if s.content == contentWithheld {
		content = digestLine(proof.ContentHash)
	}
	if !s.meta {
		meta = digestLine(proof.MetaHash)
	}
	for _, m := range []fixedMember{{s.contentName(), content}, {s.metaName(), meta}, {s.proofName(), proof.Text()}} {
		if err := p.member(m.name, m.data); err != nil {
			return err
		}
	}
	switch s.content {
	case contentWhole:
		return p.whole(s, rec)
	case contentBlocks:
		return p.blocks(s, rec)
	}
	return nil
}

func digestLine(d evidence.Digest) []byte { return append(hex.AppendEncode(nil, d[:]), '\n') }

// wholeEntry is the member that holds an item's bytes. Holes are holes there,
// too, unless the record's digest leaves them out: then so does the member.
func wholeEntry(s *statedRecord, it *evidence.Item) (*entry, []byte) {
	e := &entry{name: s.wholeName(), size: it.Stored, mtime: disclosureTime}
	if len(it.Holes) == 0 || it.SumsStored {
		return e, nil
	}
	m := sparseMap(dataRanges(it.Size, it.Holes))
	e.sparse, e.real, e.size = true, it.Size, it.Stored+int64(len(m))
	return e, m
}

// whole writes all bytes of an item.
func (p *disclosing) whole(s *statedRecord, rec *record) error {
	it := &rec.item
	e, m := wholeEntry(s, it)
	if err := p.begin(e); err != nil {
		return err
	}
	if err := p.put(m); err != nil {
		return err
	}
	c, at := rec.content(p.r.frames), int64(0)
	for _, x := range dataRanges(it.Size, it.Holes) {
		if e.sparse {
			if err := hashZeros(p.ctx, p.open, x.Offset-at); err != nil {
				return err
			}
		}
		if err := p.copy(c, x.Offset, x.Length); err != nil {
			return err
		}
		at = x.Offset + x.Length
	}
	got, err := p.end(e)
	if err == nil && got != it.SHA256 {
		err = ErrChanged
	}
	return err
}

// hashZeros adds the zeros that a hole stands for.
func hashZeros(ctx context.Context, h hash.Hash, n int64) error {
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		part := min(n, int64(len(zeros)))
		h.Write(zeros[:part])
		n -= part
	}
	return nil
}

// blocks writes the list of an item's blocks and some of them. The bundle
// keeps the list where no index leads, so it is made again from the content:
// what does not agree with the record is noticed on the way.
func (p *disclosing) blocks(s *statedRecord, rec *record) error {
	c := rec.content(p.r.frames)
	var list []evidence.Digest
	block := make([]byte, BlockSize)
	for at := int64(0); at < rec.item.Size; at += BlockSize {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		b := block[:min(BlockSize, rec.item.Size-at)]
		if n, err := c.ReadAt(b, at); n < len(b) {
			return noEOF(err)
		}
		list = append(list, evidence.Sum(b))
	}
	if blockRoot(list) != rec.blkRoot {
		return ErrChanged
	}
	if err := p.member(s.blockListName(), blockList(list)); err != nil {
		return err
	}
	x := blockRange(s, rec.item.Size)
	e := &entry{name: s.blocksName(), size: x.Length, mtime: disclosureTime}
	if err := p.begin(e); err != nil {
		return err
	}
	if err := p.copy(c, x.Offset, x.Length); err != nil {
		return err
	}
	_, err := p.end(e)
	return err
}

// copy writes a range of an item into the open member.
func (p *disclosing) copy(c *content, at, n int64) error {
	for end := at + n; at < end; {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		b := p.buf[:min(int64(len(p.buf)), end-at)]
		if m, err := c.ReadAt(b, at); m < len(b) {
			return noEOF(err)
		}
		p.open.Write(b)
		if err := p.put(b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

func (p *disclosing) member(name string, data []byte) error {
	e := &entry{name: name, size: int64(len(data)), mtime: disclosureTime}
	if err := p.begin(e); err != nil {
		return err
	}
	p.open.Write(data)
	if err := p.put(data); err != nil {
		return err
	}
	_, err := p.end(e)
	return err
}

func (p *disclosing) begin(e *entry) error {
	p.open = evidence.NewHash()
	return p.put(appendHeader(nil, e))
}

// end pads a member and puts it on the list.
func (p *disclosing) end(e *entry) (evidence.Digest, error) {
	d := evidence.DigestOf(p.open)
	p.sums = fmt.Appendf(p.sums, "%s  %s\n", d, e.name)
	return d, p.put(zeros[:-e.size&(tarBlock-1)])
}

func (p *disclosing) put(b []byte) error {
	n, err := p.out.Write(b)
	p.size += int64(n)
	if err != nil {
		return fmt.Errorf("write package: %w", err)
	}
	return nil
}
