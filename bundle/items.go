package bundle

import (
	"errors"
	"fmt"
	"iter"
	"sort"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Items yields every record in order, failed looks, header and trailer
// included. An error ends the sequence.
func (r *Reader) Items() iter.Seq2[evidence.Item, error] {
	return func(yield func(evidence.Item, error) bool) {
		for _, w := range r.rows {
			if !r.yieldRow(w, yield) {
				return
			}
		}
	}
}

func (r *Reader) yieldRow(w row, yield func(evidence.Item, error) bool) bool {
	lines, err := r.lines(w)
	if err != nil {
		yield(evidence.Item{Index: -1}, err)
		return false
	}
	for i := int64(0); i < w.count; i++ {
		rec, err := r.parse(w.leaf+i, lines[2*i], lines[2*i+1])
		if err == nil && rec.item.Index != w.leaf+i {
			err = fmt.Errorf("%w: record %d found in its place", ErrMismatch, rec.item.Index)
		}
		if err != nil {
			yield(evidence.Item{Index: w.leaf + i}, fmt.Errorf("read record %d: %w", w.leaf+i, err))
			return false
		}
		if !yield(rec.item, nil) {
			return false
		}
	}
	return true
}

// Item returns the record of a leaf.
func (r *Reader) Item(leaf int64) (evidence.Item, error) {
	rec, err := r.record(leaf)
	if err != nil {
		return evidence.Item{Index: -1}, err
	}
	return rec.item, nil
}

// Leaf returns the leaf index of a member. For a manifest batch, which many
// leaves share, use LeafAt. The error is ErrNoMember when there is none.
func (r *Reader) Leaf(member string) (int64, error) {
	rec, err := r.find(member)
	if err != nil {
		return -1, err
	}
	return rec.item.Index, nil
}

// find looks a member up in the member index.
func (r *Reader) find(member string) (*record, error) {
	key := nameKey(member)
	n := r.names.size / nameLine
	var failure error
	at := sort.Search(int(n), func(i int) bool {
		k, _, err := r.nameLine(int64(i))
		failure = errors.Join(failure, err)
		return err != nil || k >= key
	})
	for i := int64(at); i < n && failure == nil; i++ {
		k, leaf, err := r.nameLine(i)
		if err != nil || k != key {
			failure = err
			break
		}
		rec, err := r.record(leaf)
		if err != nil {
			return nil, err
		}
		if rec.item.Member == member {
			return rec, nil
		}
	}
	if failure != nil {
		return nil, fmt.Errorf("find member %.80q: %w", member, failure)
	}
	return nil, fmt.Errorf("%w: %.80q", ErrNoMember, member)
}

// nameLine reads one line of the member index: key and leaf.
func (r *Reader) nameLine(i int64) (key uint64, leaf int64, err error) {
	var b [nameLine]byte
	if _, err := r.frames.ReadAt(b[:], r.names.off+i*nameLine); err != nil {
		return 0, 0, fmt.Errorf("read member index: %w", err)
	}
	return parseNameLine(b[:])
}

func parseNameLine(b []byte) (key uint64, leaf int64, err error) {
	key, err1 := strconv.ParseUint(string(b[:10]), 16, 64)
	leaf, err2 := strconv.ParseInt(string(b[11:17]), 16, 64)
	if err1 != nil || err2 != nil || b[10] != ' ' || b[17] != '\n' {
		return 0, 0, fmt.Errorf("%w: bad line in member index", ErrMismatch)
	}
	return key, leaf, nil
}

// batchRows returns the rows of one manifest batch.
func (r *Reader) batchRows(batch int) []row {
	from := sort.Search(len(r.rows), func(i int) bool { return r.rows[i].batch >= batch })
	to := sort.Search(len(r.rows), func(i int) bool { return r.rows[i].batch > batch })
	return r.rows[from:to]
}

// batchOf reads the number in the name of a manifest batch.
func batchOf(member string) (int, bool) {
	digits, ok := strings.CutPrefix(member, manifestPrefix)
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, ".jsonl")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && member == manifestMember(n)
}

// LeafAt returns the leaf whose manifest line is at an offset of a manifest
// batch: an event that was read from the manifest points there. For a content
// member it returns the leaf of the member, whatever the offset.
func (r *Reader) LeafAt(member string, offset int64) (int64, error) {
	batch, ok := batchOf(member)
	if !ok {
		return r.Leaf(member)
	}
	rows := r.batchRows(batch)
	if len(rows) == 0 {
		return -1, fmt.Errorf("%w: %.80q", ErrNoMember, member)
	}
	for _, w := range rows {
		start := w.off - rows[0].off
		if offset < start || offset >= start+w.size {
			continue
		}
		lines, err := r.lines(w)
		if err != nil {
			return -1, err
		}
		for i, line := range lines {
			if start += int64(len(line)); offset < start {
				return w.leaf + int64(i/2), nil
			}
		}
	}
	return -1, fmt.Errorf("offset %d is outside of %s", offset, member)
}

// Evidence offers a bundle for analysis: every item, and behind each stretch
// of them the manifest batch that describes them.
type Evidence struct{ r *Reader }

// Evidence returns the bundle as analysis sees it.
func (r *Reader) Evidence() Evidence { return Evidence{r} }

// Items yields every item in order and each manifest batch, as an item of kind
// manifest, behind the items it describes.
func (e Evidence) Items() iter.Seq2[evidence.Item, error] {
	return func(yield func(evidence.Item, error) bool) {
		rows := e.r.rows
		for i, w := range rows {
			if !e.r.yieldRow(w, yield) {
				return
			}
			if i+1 < len(rows) && rows[i+1].batch == w.batch {
				continue
			}
			if !yield(e.r.manifestItem(w.batch), nil) {
				return
			}
		}
	}
}

// Open returns the content of an item or of a manifest batch.
func (e Evidence) Open(member string) (evidence.Content, error) { return e.r.Open(member) }

func (r *Reader) manifestItem(batch int) evidence.Item {
	rows := r.batchRows(batch)
	last := rows[len(rows)-1]
	size := last.off + last.size - rows[0].off
	name := manifestMember(batch)
	return evidence.Item{
		Index: -1, Kind: evidence.KindManifest, Member: name, Path: name, Source: "exhibit",
		Size: size, Stored: size, Started: r.header.Started,
	}
}
