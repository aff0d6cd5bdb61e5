package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// ledgerLimit is how long a ledger may be inside the trailer.
const ledgerLimit = 256 << 10

// Seal ends the bundle: it writes the trailer as the last leaf, the last
// checkpoint, the leaves, the indexes, the signed seal and the seek table.
// Items still being added are ended where they are, the rest of them unread.
// Counts, Bytes and, where zero, Finished and Clock of t are filled in. After
// an error the bundle is given up, verifiable up to its last checkpoint.
func (w *Writer) Seal(t Trailer) (Seal, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return Seal{}, ErrSealed
	}
	w.endOpenItems()
	w.end()
	s, err := w.seal(t)
	if err != nil {
		_ = w.frames.wait()
		w.frames.stop()
		return Seal{}, fmt.Errorf("seal bundle: %w", err)
	}
	if err := w.frames.finish(); err != nil {
		return Seal{}, fmt.Errorf("seal bundle: %w", err)
	}
	return s, nil
}

// endOpenItems records the items that are still being read, with what is there.
func (w *Writer) endOpenItems() {
	if w.open != nil {
		w.open.abandon("unfinished")
	}
	var rest []*adding
	for a := range w.segmented {
		rest = append(rest, a)
	}
	slices.SortFunc(rest, func(a, b *adding) int { return int(a.serial - b.serial) })
	for _, a := range rest {
		a.abandon("unfinished")
	}
}

func (w *Writer) seal(t Trailer) (Seal, error) {
	if err := w.trailer(&t); err != nil {
		return Seal{}, err
	}
	s := newSeal(w.origin, w.tree.size, w.tree.root())
	signNote(&s, w.key.Private)
	var err error
	if s.SSHSig, err = w.key.Sign(chainofcustody.NamespaceSeal, s.Text); err != nil {
		return Seal{}, err
	}
	statement := []fixedMember{{sealMember, s.Text}, {sshsigMember, s.SSHSig}, {noteMember, s.Note}}
	if len(w.opt.Mandate.Certificate) > 0 {
		if s.CertSig, err = w.certifiedSeal(s.Text); err != nil {
			return Seal{}, err
		}
		statement = append(statement, fixedMember{certSigMember, s.CertSig})
	}
	tail := &tailWriter{w: w, leaves: w.leaves, rows: w.rows, names: &w.names}
	tail.indexes()
	tail.statement("seal", statement)
	return s, w.frames.failure()
}

// certifiedSeal signs the seal once more, with the certificate in place of the
// bare key, so that ssh-keygen follows it to the examiner.
func (w *Writer) certifiedSeal(text []byte) ([]byte, error) {
	signer, err := chainofcustody.CertifiedSigner(w.key, w.opt.Mandate.Certificate)
	if err != nil {
		return nil, err
	}
	return signer.Sign(chainofcustody.NamespaceSeal, text)
}

// trailer records the last leaf and the last checkpoint.
func (w *Writer) trailer(t *Trailer) error {
	if t.Finished.IsZero() {
		t.Finished = w.opt.Now()
	}
	t.Finished = t.Finished.UTC()
	if t.Clock.Wall.IsZero() {
		t.Clock.Wall = t.Finished
	}
	t.Note = plainText(t.Note)
	if err := w.spillLedger(t); err != nil {
		return err
	}
	w.counts[string(evidence.KindTrailer)]++
	t.Counts, t.Bytes = w.counts, w.bytes
	body, err := marshal(t)
	if err != nil {
		return err
	}
	w.counts = map[string]int64{}
	r := &record{off: -1, item: evidence.Item{Kind: evidence.KindTrailer, Started: t.Finished}, body: body}
	if err := w.record(r); err != nil {
		return err
	}
	w.checkpoint()
	return nil
}

// spillLedger makes an item of a ledger that is too long for a line.
func (w *Writer) spillLedger(t *Trailer) error {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	enc.SetEscapeHTML(false)
	for _, o := range t.Ledger {
		if err := enc.Encode(o); err != nil {
			return fmt.Errorf("encode ledger: %w", err)
		}
	}
	if lines.Len() <= ledgerLimit {
		return nil
	}
	a := &adding{w: w, src: &source{}, r: record{off: -1, item: evidence.Item{
		Kind: evidence.KindLog, Source: "exhibit", Path: "ledger.jsonl", Size: int64(lines.Len()),
		Started: t.Finished, Finished: t.Finished,
	}}}
	a.sums = newDigests(w.opt.MD5, w.opt.SHA1, lines.Len() >= BlockMin)
	a.sums.write(lines.Bytes())
	a.name()
	a.begin()
	w.put(lines.Bytes())
	a.pos = a.r.item.Size
	a.finish()
	t.Ledger, t.LedgerMember = nil, a.r.item.Member
	return a.err
}

// tailWriter writes what follows the last checkpoint.
type tailWriter struct {
	w      tarSink
	leaves leafList
	rows   []row
	names  *nameTable
	places []place
}

// tarSink is what a tail is written to.
type tarSink interface {
	member(name string, data []byte) int64
	put(p []byte)
	putPad(n int64)
	cut(sync bool)
	entry(name string, size int64) *entry
	offset() int64
}

func (w *Writer) offset() int64 { return w.off }

// place is one line of the locator: where a member's data is.
type place struct {
	what      string
	off, size int64
}

// recovery notes the statement of a recovery in the locator.
func (t *tailWriter) recovery(text []byte) {
	t.w.cut(false)
	at := t.w.member(recoveryMember, text)
	t.places = append(t.places, place{"recovery", at, int64(len(text))})
}

// indexes writes the leaves and the two indexes, each from a fresh frame.
func (t *tailWriter) indexes() {
	t.long("leaves", leavesMember, t.leaves.count()*65, MaxFrame, func(put func([]byte)) {
		line := make([]byte, 0, 65)
		for l := range t.leaves.all() {
			put(leafLine(line[:0], l))
		}
	})
	var rows []byte
	for _, r := range t.rows {
		rows = appendRow(rows, r)
	}
	t.long("manifest-index", rowsMember, int64(len(rows)), indexFrame, func(put func([]byte)) { put(rows) })
	keys := t.names.sorted()
	t.long("member-index", namesMember, int64(len(keys))*nameLine, indexFrame, func(put func([]byte)) {
		for _, k := range keys {
			put(fmt.Appendf(nil, "%010x %06x\n", k>>24, k&(1<<24-1)-1))
		}
	})
}

// nameLine is the length of a line of the member index.
const nameLine = 18

// appendRow writes one line of the manifest index.
func appendRow(dst []byte, r row) []byte {
	return fmt.Appendf(dst, "%d %d %d %d %d\n", r.leaf, r.count, r.off, r.size, r.batch)
}

// long writes a member of size bytes piece by piece, in frames of its own that
// hold at most frame bytes.
func (t *tailWriter) long(what, name string, size int64, frame int, fill func(put func([]byte))) {
	t.w.cut(false)
	t.w.put(appendHeader(nil, t.w.entry(name, size)))
	t.places = append(t.places, place{what, t.w.offset(), size})
	inFrame := 0
	fill(func(p []byte) {
		for len(p) > 0 {
			n := min(len(p), frame-inFrame)
			t.w.put(p[:n])
			p = p[n:]
			if inFrame += n; inFrame == frame {
				t.w.cut(false)
				inFrame = 0
			}
		}
	})
	t.w.putPad(size)
}

// statement writes the last frame: the signed statement, the locator and the
// end of the tar.
func (t *tailWriter) statement(what string, members []fixedMember) {
	t.w.cut(false)
	for i, m := range members {
		at := t.w.member(m.name, m.data)
		if i == 0 {
			t.places = append(t.places, place{what, at, int64(len(m.data))})
		}
	}
	text := []byte("exhibit-locator 1\n")
	for _, p := range t.places {
		text = fmt.Appendf(text, "%s %d %d\n", p.what, p.off, p.size)
	}
	t.w.member(locatorMember, text)
	t.w.put(zeros[:2*tarBlock])
	t.w.cut(true)
}

// sorted returns the members of the table in the order of the member index.
// The table cannot be used afterwards.
func (t *nameTable) sorted() []uint64 {
	keep := t.slots[:0]
	for _, s := range t.slots {
		if leaf := uint32(s&(1<<24-1)) - 1; s != 0 && leaf < leafLimit {
			keep = append(keep, s)
		}
	}
	t.slots, t.used = nil, 0
	slices.Sort(keep)
	return keep
}
