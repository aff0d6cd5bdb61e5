package bundle

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Proof shows that one record belongs to a sealed bundle. Either line may be
// withheld: its digest then stands for it.
type Proof struct {
	Index       int64
	Content     []byte          // content line with LF; nil: withheld
	Meta        []byte          // metadata line with LF; nil: withheld
	ContentHash evidence.Digest // SHA-256 of the content line
	MetaHash    evidence.Digest // SHA-256 of the metadata line
	Leaf        evidence.Digest
	Path        []evidence.Digest // RFC 6962 audit path, from the leaf up
	Note        []byte            // seal.note: what the path leads to
}

// ErrNotProven says that a proof does not lead from its lines to the seal.
var ErrNotProven = errors.New("proof does not hold")

// Prove builds the proof of one record. The leaves of the whole bundle are
// read once, 32 bytes each, and must lead to the sealed root.
func (r *Reader) Prove(index int64) (Proof, error) {
	content, meta, err := r.linesOf(index)
	if err != nil {
		return Proof{}, fmt.Errorf("prove record %d: %w", index, err)
	}
	leaves, err := r.allLeaves()
	if err != nil {
		return Proof{}, fmt.Errorf("prove record %d: %w", index, err)
	}
	p := r.lineProof(index, content, meta)
	p.Path = auditPath(leaves, int(index))
	return p, p.Verify(r.seal)
}

// lineProof is a proof without its path. Lines that were erased are withheld.
func (r *Reader) lineProof(index int64, content, meta []byte) Proof {
	p := Proof{Index: index, Note: r.seal.Note}
	p.ContentHash, p.MetaHash = r.lineHashes(index, content, meta)
	p.Leaf = leafOf(p.ContentHash, p.MetaHash)
	e, erased := r.erased[index]
	if !erased {
		p.Content = bytes.Clone(content)
	}
	if !erased || e.Meta.IsZero() {
		p.Meta = bytes.Clone(meta)
	}
	return p
}

// allLeaves reads leaves.txt once.
func (r *Reader) allLeaves() ([]evidence.Digest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaves != nil {
		return r.leaves, nil
	}
	if r.leafLoc.size != r.seal.Size*65 {
		return nil, fmt.Errorf("%w: leaves.txt does not have %d lines", ErrMismatch, r.seal.Size)
	}
	leaves := make([]evidence.Digest, 0, r.seal.Size)
	line := make([]byte, 65*1024)
	for off := int64(0); off < r.leafLoc.size; off += int64(len(line)) {
		line = line[:min(int64(len(line)), r.leafLoc.size-off)]
		if _, err := r.frames.ReadAt(line, r.leafLoc.off+off); err != nil {
			return nil, fmt.Errorf("read leaves: %w", err)
		}
		var err error
		if leaves, err = parseLeaves(leaves, line); err != nil {
			return nil, err
		}
	}
	if rootOf(leaves) != r.seal.Root {
		return nil, fmt.Errorf("%w: leaves do not lead to the sealed root", ErrNotProven)
	}
	r.leaves = leaves
	return leaves, nil
}

// parseLeaves reads whole lines of leaves.txt.
func parseLeaves(dst []evidence.Digest, b []byte) ([]evidence.Digest, error) {
	for ; len(b) >= 65; b = b[65:] {
		d, err := evidence.ParseDigest(string(b[:64]))
		if err != nil || b[64] != '\n' {
			return dst, fmt.Errorf("%w: bad line %d in leaves.txt", ErrMismatch, len(dst)+1)
		}
		dst = append(dst, d)
	}
	if len(b) != 0 {
		return dst, fmt.Errorf("%w: leaves.txt ends in the middle of a line", ErrMismatch)
	}
	return dst, nil
}

// Verify checks the proof against a seal that the caller trusts: the lines
// that are there against their digests, those against the leaf, and the path
// from there to the root.
func (p Proof) Verify(seal Seal) error {
	if p.Content != nil && evidence.Sum(p.Content) != p.ContentHash {
		return fmt.Errorf("%w: content line of record %d was changed", ErrNotProven, p.Index)
	}
	if p.Meta != nil && evidence.Sum(p.Meta) != p.MetaHash {
		return fmt.Errorf("%w: metadata line of record %d was changed", ErrNotProven, p.Index)
	}
	if leafOf(p.ContentHash, p.MetaHash) != p.Leaf {
		return fmt.Errorf("%w: lines of record %d do not make its leaf", ErrNotProven, p.Index)
	}
	root, err := rootFromPath(p.Leaf, p.Index, seal.Size, p.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotProven, err)
	}
	if root != seal.Root {
		return fmt.Errorf("%w: record %d does not lead to the sealed root", ErrNotProven, p.Index)
	}
	return nil
}

const proofMagic = "c2sp.org/tlog-proof@v1\n"

// Text is the proof in the form of c2sp.org/tlog-proof, for a .tlog-proof file
// beside the two lines.
func (p Proof) Text() []byte {
	out := fmt.Appendf([]byte(proofMagic), "index %d\n", p.Index)
	for _, d := range p.Path {
		out = append(base64.StdEncoding.AppendEncode(out, d[:]), '\n')
	}
	return append(append(out, '\n'), p.Note...)
}

// maxPath is the longest audit path: a tree of 2^24 leaves has 24 levels.
const maxPath = 24

// ParseProof reads a .tlog-proof and joins it with the lines it is about.
// Either may be nil: then its digest must be filled in before Verify.
func ParseProof(text, content, meta []byte) (Proof, error) {
	rest, ok := bytes.CutPrefix(text, []byte(proofMagic))
	head, note, ok2 := bytes.Cut(rest, []byte("\n\n"))
	if !ok || !ok2 {
		return Proof{}, errors.New("read proof: not a C2SP tlog-proof")
	}
	lines := strings.Split(string(head), "\n")
	digits, ok := strings.CutPrefix(lines[0], "index ")
	index, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || index < 0 || len(lines)-1 > maxPath {
		return Proof{}, errors.New("read proof: no index, or a path too long")
	}
	p := Proof{Index: index, Content: content, Meta: meta, Note: note}
	for _, line := range lines[1:] {
		b, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(b) != len(evidence.Digest{}) || base64.StdEncoding.EncodeToString(b) != line {
			return Proof{}, errors.New("read proof: path holds no SHA-256 digest")
		}
		p.Path = append(p.Path, evidence.Digest(b))
	}
	p.ContentHash, p.MetaHash = evidence.Sum(content), evidence.Sum(meta)
	p.Leaf = leafOf(p.ContentHash, p.MetaHash)
	return p, nil
}
