package bundle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Errors of Erase.
var (
	ErrNoContent   = errors.New("record has no content to erase")
	ErrNotErasable = errors.New("header and trailer say what the run was: they are not erased")
	ErrNotSealed   = errors.New("bundle is not whole and as it was sealed")
)

// EraseOptions say what is taken out of a bundle, by whom and on what order.
type EraseOptions struct {
	Leaves     []int64
	Metadata   bool      // also what the host said of the items: name, times, owner
	By         string    // who erases
	Order      string    // authority and reference
	Reason     string    //
	At         time.Time //
	FromSHA256 evidence.Digest
	FromSize   int64 // of the file as it lies, envelope included
	// Sign signs the statement, in namespace exhibit-custody.
	Sign func(statement []byte) ([]byte, error)
	// Progress is that of VerifyOptions, for the verification before.
	Progress func(done, total, records int64)
}

// Erased is what Erase took out.
type Erased struct {
	Original  *Report // verification of the bundle before, nobody being trusted
	Erasure   *Erasure
	Statement []byte
	Bytes     int64       // of content that is gone
	Size      int64       // of the new file
	Kin       []ErasedKin // records that stay, and may say the same
}

// ErasedKin is a record that was not erased, and has the content or the path
// of one that was.
type ErasedKin struct {
	Leaf    int64  `json:"leaf"`
	Of      int64  `json:"of"` // the erased one
	Content bool   `json:"content"`
	Path    string `json:"path"`
}

// Erase writes a bundle anew without the content of some items, and without
// their metadata lines where that is asked for. Everything else keeps its
// place in the tar, so that every other record and every proof goes on leading
// to the seal. The bundle is verified before: one that is cut, damaged or
// altered is ErrNotSealed. What is written is verified like any bundle.
func Erase(ctx context.Context, r io.ReaderAt, size int64, w io.Writer, o EraseOptions) (*Erased, error) {
	out, err := erase(ctx, r, size, w, o)
	if err != nil {
		return out, fmt.Errorf("erase from bundle: %w", err)
	}
	return out, nil
}

func erase(ctx context.Context, r io.ReaderAt, size int64, w io.Writer, o EraseOptions) (*Erased, error) {
	a, walk, tar, err := inspect(ctx, r, size, VerifyOptions{Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	c := conclusion{audit: a, walk: walk, tar: tar}
	c.draw()
	out := &Erased{Original: a.report}
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case a.report.Verdict != SignerUnknown || !a.report.Sealed || a.report.Prefix || a.recovery:
		return out, fmt.Errorf("%w: %s", ErrNotSealed, a.report.Verdict)
	case len(c.removals) >= maxErasures:
		return out, fmt.Errorf("%d erasures are in it already: as many as there may be", len(c.removals))
	}
	rd, err := Open(r, size)
	if err != nil {
		return out, err
	}
	e := &eraser{c: &c, rd: rd, out: out, members: map[string]int64{}, blocks: map[string]int64{}, pieces: map[int64]int{}, nameless: map[int64]bool{}}
	out.Erasure = &Erasure{
		Seal: rd.seal.ID, FromSHA256: o.FromSHA256, FromSize: o.FromSize, At: o.At.UTC(),
		By: plainText(o.By), Order: plainText(o.Order), Reason: plainText(o.Reason),
	}
	if err := e.choose(o.Leaves, o.Metadata); err != nil {
		return out, err
	}
	if err := out.Erasure.check(); err != nil {
		return out, err
	}
	if e.frames, err = newFrameWriter(w, MaxFrame, 2, nil); err != nil {
		return out, err
	}
	e.buf, e.stamp, e.sum = e.frames.buffer(), c.stamp, evidence.NewHash()
	if err := e.run(ctx, r, size, o.Sign); err != nil {
		_ = e.frames.wait()
		e.frames.stop()
		return out, err
	}
	err = e.frames.finish()
	out.Size = e.frames.packed
	return out, err
}

// eraser copies a tar without what is taken out.
type eraser struct {
	tarCopy
	c   *conclusion
	rd  *Reader
	out *Erased

	members  map[string]int64  // names of content that goes, without .seg, and whose it is
	blocks   map[string]int64  // names of lists of blocks that go
	blanks   []evidence.Extent // of the tar: lines that go, but for their LF
	nameless map[int64]bool    // records whose names leave the member index
	pieces   map[int64]int     // members written in the place of content

	cur   entry
	skip  bool // the member is one that goes
	ended bool // at the tail, which is made anew
	err   error
}

// choose settles what goes, record by record.
func (e *eraser) choose(leaves []int64, metadata bool) error {
	leaves = slices.Clone(leaves)
	slices.Sort(leaves)
	sums, paths := map[evidence.Digest]int64{}, map[string]int64{}
	for _, leaf := range slices.Compact(leaves) {
		if err := e.take(leaf, metadata, sums, paths); err != nil {
			return fmt.Errorf("record %d: %w", leaf, err)
		}
	}
	slices.SortFunc(e.blanks, func(a, b evidence.Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	return e.kin(sums, paths)
}

func (e *eraser) take(leaf int64, metadata bool, sums map[evidence.Digest]int64, paths map[string]int64) error {
	if leaf <= 0 || leaf >= e.rd.seal.Size-1 {
		return ErrNotErasable
	}
	content, meta, err := e.rd.linesOf(leaf)
	if err != nil {
		return err
	}
	rec, err := e.rd.record(leaf)
	if err != nil {
		return err
	}
	contentHash, metaHash := e.rd.lineHashes(leaf, content, meta)
	it := ErasedItem{Leaf: leaf, Content: contentHash}
	had, before := e.rd.erased[leaf]
	switch {
	case before && (!metadata || !had.Meta.IsZero()):
		return fmt.Errorf("%w already: %s", ErrErased, had.why())
	case !before && !rec.item.Kind.HasContent() && !metadata:
		return ErrNoContent
	}
	at := e.c.lineAt[leaf]
	if !before {
		e.blank(at, content)
		if rec.item.Kind.HasContent() {
			e.members[rec.item.Member] = leaf
			e.blocks[blocksMember(leaf)] = leaf
			e.out.Bytes += rec.item.Size
			if rec.item.Size > 0 {
				sums[rec.item.SHA256] = leaf
			}
		}
	}
	if metadata {
		it.Meta = metaHash
		e.blank(at+int64(len(content)), meta)
		e.nameless[leaf] = true
		if rec.item.Path != "" {
			paths[rec.item.Path] = leaf
		}
	}
	e.out.Erasure.Items = append(e.out.Erasure.Items, it)
	return nil
}

// blank takes a line out: its LF stays.
func (e *eraser) blank(at int64, line []byte) {
	e.blanks = append(e.blanks, evidence.Extent{Offset: at, Length: int64(len(line)) - 1})
}

// kin finds records that stay and have the content or the path of one that
// goes: an order seldom means one copy of two.
func (e *eraser) kin(sums map[evidence.Digest]int64, paths map[string]int64) error {
	gone := map[int64]bool{}
	for _, it := range e.out.Erasure.Items {
		gone[it.Leaf] = true
	}
	for it, err := range e.rd.Items() {
		if err != nil {
			return err
		}
		if gone[it.Index] || len(e.out.Kin) >= listLimit {
			continue
		}
		of, content := sums[it.SHA256]
		if !content || it.SHA256.IsZero() {
			content = false
			if of = paths[it.Path]; of == 0 {
				continue
			}
		}
		e.out.Kin = append(e.out.Kin, ErasedKin{Leaf: it.Index, Of: of, Content: content, Path: plainText(it.Path)})
	}
	return nil
}

func (e *eraser) run(ctx context.Context, r io.ReaderAt, size int64, sign func([]byte) ([]byte, error)) error {
	walk := newFrameWalk(r, size, 2)
	tar := &tarWalk{v: e}
	err := walk.run(ctx, func(w walked) error {
		if w.data == nil {
			return fmt.Errorf("%w: it changed while it was read", ErrNotSealed)
		}
		tar.feed(w.data)
		if !e.ended {
			e.cut(false) // frames stay as fine as the writer made them
		}
		return errors.Join(e.err, e.frames.failure())
	})
	if err != nil {
		return err
	}
	if !e.ended {
		return fmt.Errorf("%w: it changed while it was read", ErrNotSealed)
	}
	return e.tail(sign)
}

// goes tells whose a member is that is taken out.
func (e *eraser) goes(name string) (leaf int64, ok bool) {
	if leaf, ok = e.blocks[name]; ok {
		return leaf, true
	}
	base, _, _ := cutSegment(name)
	leaf, ok = e.members[base]
	return leaf, ok
}

// begin implements tarVisitor.
func (e *eraser) begin(m entry, at, data int64) {
	if _, tail := tailNames[m.name]; tail || e.ended {
		e.ended = true
		return
	}
	if at != e.off {
		e.err = cmp.Or(e.err, fmt.Errorf("%w: it changed while it was read", ErrNotSealed))
	}
	e.cur = m
	leaf, ok := e.goes(m.name)
	if e.skip = ok; !ok {
		e.put(appendHeader(nil, &m))
		return
	}
	e.fill(leaf, data+(m.size+tarBlock-1)&^(tarBlock-1))
}

// fill writes zeros up to a place of the tar, as members.
func (e *eraser) fill(leaf, to int64) {
	const most = 1 << 32 // so that the size stands in the header
	for e.off < to {
		n := min(to-e.off, most)
		m := e.entry(erasedMember(leaf, e.pieces[leaf]), 0)
		head := int64(len(appendHeader(nil, m)))
		if n < head { // members of no bytes, and a run that began before 1970
			e.err = cmp.Or(e.err, errors.New("no room for a member in the place of one: the clock of the run was too far off"))
			return
		}
		m.size = n - head
		e.put(appendHeader(nil, m))
		e.putZeros(m.size)
		e.pieces[leaf]++
	}
}

// data implements tarVisitor.
func (e *eraser) data(p []byte) {
	if e.ended || e.skip {
		return
	}
	at, end := e.off, e.off+int64(len(p))
	i, _ := slices.BinarySearchFunc(e.blanks, at, func(x evidence.Extent, at int64) int { return cmp.Compare(x.Offset+x.Length, at+1) })
	copied := false
	for ; i < len(e.blanks) && e.blanks[i].Offset < end; i++ {
		if !copied {
			p, copied = bytes.Clone(p), true
		}
		from, to := max(e.blanks[i].Offset, at), min(e.blanks[i].Offset+e.blanks[i].Length, end)
		for j := from; j < to; j++ {
			p[j-at] = ' '
		}
	}
	e.put(p)
}

// finish implements tarVisitor.
func (e *eraser) finish() {
	if !e.ended && !e.skip {
		e.putPad(e.cur.size)
	}
}

// lost implements tarVisitor: a bundle that was verified has no lost bytes.
func (e *eraser) lost(int64) { e.err = ErrNotSealed }

// gap implements tarVisitor, as lost.
func (e *eraser) gap(int64, int64) { e.err = ErrNotSealed }

// stray implements tarVisitor, as lost.
func (e *eraser) stray(int64, string) { e.err = ErrNotSealed }

// tail writes the leaves, which are as they were, the indexes without the
// names that went, the seal as it was, and the statement.
func (e *eraser) tail(sign func([]byte) ([]byte, error)) error {
	c := e.c
	names := new(nameTable)
	for _, k := range c.keys {
		if leaf := int64(k&(1<<24-1)) - 1; !e.nameless[leaf] {
			names.put(k>>24, uint32(leaf))
		}
	}
	t := &tailWriter{w: e, leaves: leafList{c.leaves}, rows: e.rd.rows, names: names}
	t.indexes()
	e.out.Erasure.Kept, e.out.Erasure.KeptSize = evidence.DigestOf(e.sum), e.off
	e.out.Statement = e.out.Erasure.Encode()
	sig, err := sign(e.out.Statement)
	if err != nil {
		return fmt.Errorf("sign the erasure: %w", err)
	}
	var members []fixedMember
	for _, name := range []string{sealMember, sshsigMember, noteMember, certSigMember} {
		if b := c.members[name]; b != nil {
			members = append(members, fixedMember{name, b})
		}
	}
	name := erasureMember(len(c.removals))
	members = append(append(members, c.erasureMembers()...), fixedMember{name, e.out.Statement}, fixedMember{name + ".sig", sig})
	if err := checkErasures(members); err != nil {
		return err
	}
	t.statement("seal", members)
	if e.off-e.out.Erasure.KeptSize > tailLimit {
		return errors.New("the statements are longer than a bundle may hold: erase fewer items")
	}
	return e.frames.failure()
}

// checkErasures reads statements as a verifier will.
func checkErasures(members []fixedMember) error {
	files := map[string][]byte{}
	for _, m := range members {
		if strings.HasPrefix(m.name, erasurePrefix) {
			files[m.name] = m.data
		}
	}
	list, err := readErasures(files)
	if err != nil {
		return err
	}
	_, err = erasedItems(list)
	return err
}
