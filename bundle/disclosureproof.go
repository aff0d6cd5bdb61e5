package bundle

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// What is proven of a disclosed record.
const (
	ProvenExistence = "existence" // that the bundle has such a record, always
	ProvenContent   = "content"   // all bytes
	ProvenNothing   = "no bytes"  // the content line of a record that has none
	ProvenRange     = "range"     // some blocks of the bytes
	ProvenMetadata  = "metadata"  // name, times, owner
)

// DisclosedRecord is what a package proves of one record.
type DisclosedRecord struct {
	Leaf    int64         `json:"leaf"`
	Proven  []string      `json:"proven"`            // existence, content, no bytes, range, metadata; empty: nothing
	Problem string        `json:"problem,omitempty"` // why nothing is
	File    string        `json:"file,omitempty"`    // member that holds the bytes
	Kind    evidence.Kind `json:"kind,omitempty"`    // where the content line is there
	Size    int64         `json:"size"`              // of the whole content; with the content line only
	SHA256  string        `json:"sha256,omitempty"`  // of the whole content
	Offset  int64         `json:"offset"`            // of a range
	Length  int64         `json:"length"`            // of a range
	Path    string        `json:"path,omitempty"`    // where the metadata line is there
	Detail  string        `json:"detail,omitempty"`  // reason of a record without content

	content, meta []byte // the lines that are there
	body          *record
}

// zeroBudget is how many bytes of holes one verification sums.
const zeroBudget = 64 << 30

// proofs judges the records of a package.
type proofs struct {
	*disclosureReader
	seal    Seal
	digests map[string]evidence.Digest // of members that were hashed on the way
	holes   int64
}

// judge says what is proven of one record.
func (p *proofs) judge(s *statedRecord) DisclosedRecord {
	out := DisclosedRecord{Leaf: s.leaf}
	if err := p.prove(s, &out); err != nil {
		return DisclosedRecord{Leaf: s.leaf, Proven: []string{}, Problem: plainText(err.Error())}
	}
	if s.leaf != 0 && s.leaf != p.seal.Size-1 {
		out.content, out.meta, out.body = nil, nil, nil // a package may hold gigabytes of lines
	}
	return out
}

func (p *proofs) prove(s *statedRecord, out *DisclosedRecord) error {
	text, err := p.need(s.proofName(), maxDisclosedFile)
	if err != nil {
		return err
	}
	var contentHash, metaHash evidence.Digest
	if s.content == contentWithheld {
		contentHash, err = p.digest(s.contentName())
	} else {
		out.content, err = p.need(s.contentName(), maxLine)
		contentHash = evidence.Sum(out.content)
	}
	if err != nil {
		return err
	}
	if s.meta {
		out.meta, err = p.need(s.metaName(), maxLine)
		metaHash = evidence.Sum(out.meta)
	} else {
		metaHash, err = p.digest(s.metaName())
	}
	if err != nil {
		return err
	}
	proof, err := ParseProof(text, nil, nil)
	if err != nil {
		return err
	}
	proof.ContentHash, proof.MetaHash, proof.Leaf = contentHash, metaHash, leafOf(contentHash, metaHash)
	switch {
	case !bytes.Equal(proof.Text(), text):
		return errors.New("proof is not in its one valid spelling")
	case !bytes.Equal(proof.Note, p.seal.Note):
		return errors.New("proof is for another seal")
	case proof.Index != s.leaf:
		return fmt.Errorf("proof is of record %d", proof.Index)
	}
	if err := proof.Verify(p.seal); err != nil {
		return err
	}
	out.Proven = []string{ProvenExistence}
	return p.lines(s, out)
}

// lines reads the lines that are there, and the bytes.
func (p *proofs) lines(s *statedRecord, out *DisclosedRecord) error {
	rec := &record{off: -1, item: evidence.Item{Index: -1}}
	out.body = rec
	if s.content != contentWithheld {
		if err := parseContentLine(out.content, rec); err != nil {
			return fmt.Errorf("content line: %w", err)
		}
		if rec.item.Index != s.leaf {
			return errors.New("content line is of another record")
		}
		if err := checkContentLine(rec); err != nil {
			return err
		}
		kind, sealed := rec.item.Kind, p.byName[disclosedSSHSig] != nil
		if (kind == evidence.KindHeader) != (s.leaf == 0) || sealed && (kind == evidence.KindTrailer) != (s.leaf == p.seal.Size-1) {
			return fmt.Errorf("a record of kind %s cannot stand here", kind)
		}
		out.Kind, out.Size = rec.item.Kind, rec.item.Size
		if !rec.item.SHA256.IsZero() {
			out.SHA256 = rec.item.SHA256.String()
		}
		if err := p.bytes(s, rec, out); err != nil {
			return err
		}
	}
	if !s.meta {
		return nil
	}
	meta := &record{off: -1, item: evidence.Item{Index: -1}}
	if s.content != contentWithheld {
		whole, err := parseRecord(out.content, out.meta)
		if err != nil {
			return err
		}
		meta, out.body = whole, whole
	} else if err := parseMetaLine(out.meta, meta); err != nil {
		return fmt.Errorf("metadata line: %w", err)
	}
	if meta.item.Index != s.leaf {
		return errors.New("metadata line is of another record")
	}
	out.Path, out.Detail = shownText(meta.item.Path), shownText(meta.item.Detail)
	out.Proven = append(out.Proven, ProvenMetadata)
	return nil
}

// shownText is text of the host for a report, of bounded length.
func shownText(s string) string { return plainText(s[:min(len(s), maxShown)]) }

// checkContentLine is what record.check asks of the content line alone.
func checkContentLine(rec *record) error {
	it := &rec.item
	if it.Size < 0 || it.Stored < 0 {
		return errors.New("record has a negative size")
	}
	if !it.Kind.HasContent() {
		return nil
	}
	if err := checkRanges(it.Holes, it.Size); err != nil {
		return fmt.Errorf("holes: %w", err)
	}
	stored := it.Size
	for _, h := range it.Holes {
		stored -= h.Length
	}
	if stored != it.Stored || it.SumsStored != sumsStored(it.Holes) {
		return errors.New("sizes and holes do not add up")
	}
	return nil
}

// bytes compares the bytes that are there with the content line.
func (p *proofs) bytes(s *statedRecord, rec *record, out *DisclosedRecord) error {
	has := rec.item.Kind.HasContent()
	switch {
	case s.content == contentLine && !has:
		out.Proven = append(out.Proven, ProvenNothing)
		return nil
	case s.content == contentWhole && has:
		return p.whole(s, rec, out)
	case s.content == contentBlocks && has:
		return p.blocks(s, rec, out)
	}
	return errors.New("statement and record disagree on whether there are bytes")
}

func (p *proofs) whole(s *statedRecord, rec *record, out *DisclosedRecord) error {
	m := p.byName[s.wholeName()]
	want, _ := wholeEntry(s, &rec.item)
	if m.entry != *want {
		return errors.New("the bytes are not as many as the record says")
	}
	if m.sparse {
		if p.holes += rec.item.Size - rec.item.Stored; p.holes > zeroBudget {
			return errors.New("more holes than a package may have")
		}
	}
	d, err := p.hash(m, rec.item.Holes)
	if err != nil {
		return err
	}
	p.digests[m.name] = d
	if d != rec.item.SHA256 {
		return ErrChanged
	}
	out.File = m.name
	out.Proven = append(out.Proven, ProvenContent)
	return nil
}

// blocks checks the list of blocks against the record, and the blocks that
// are there against the list.
func (p *proofs) blocks(s *statedRecord, rec *record, out *DisclosedRecord) error {
	text, err := p.need(s.blockListName(), maxBlockList)
	if err != nil {
		return err
	}
	list, err := parseLeaves(make([]evidence.Digest, 0, len(text)/65), text)
	if err != nil || !bytes.Equal(blockList(list), text) {
		return errors.Join(err, errors.New("list of blocks is not in its one valid spelling"))
	}
	n := (rec.item.Size + BlockSize - 1) / BlockSize
	m := p.byName[s.blocksName()]
	switch {
	case rec.blkRoot.IsZero() || int64(len(list)) != n || blockRoot(list) != rec.blkRoot:
		return errors.New("list of blocks is not the one the record names")
	case s.first >= n || s.count > n-s.first:
		return errors.New("blocks are outside of the item")
	}
	x := blockRange(s, rec.item.Size)
	if m.sparse || m.size != x.Length {
		return errors.New("the bytes are not as many as the blocks have")
	}
	all := evidence.NewHash()
	for at := int64(0); at < m.size; at += BlockSize {
		h := evidence.NewHash()
		if err := p.copy(h, m.off+at, min(BlockSize, m.size-at)); err != nil {
			return err
		}
		if evidence.DigestOf(h) != list[s.first+at/BlockSize] {
			return fmt.Errorf("block %d is not the one that was sealed", s.first+at/BlockSize)
		}
	}
	if err := p.copy(all, m.off, m.size); err != nil {
		return err
	}
	p.digests[m.name] = evidence.DigestOf(all)
	out.File, out.Offset, out.Length = m.name, x.Offset, x.Length
	out.Proven = append(out.Proven, ProvenRange)
	return nil
}
