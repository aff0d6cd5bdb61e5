package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrChanged says that an extracted item's bytes are not those of its record.
var ErrChanged = errors.New("content is not the recorded one")

// ExtractOptions tune Extract.
type ExtractOptions struct {
	// Done is called after each item, with nil or what went wrong with it. It
	// returns an error to stop.
	Done func(it evidence.Item, err error) error
	// Manifest also writes the manifest batches.
	Manifest bool
	// Seal is the id of the seal that the bundle must have: of the one that was
	// verified, where the file may have been replaced since. Zero: whatever seal
	// was opened.
	Seal evidence.Digest
}

// Extract writes the contents of the selected items below root, under their
// member names. Nothing but regular files of mode 0444 and folders comes into
// being, existing files are not replaced, holes stay holes where the file
// system can. Each record is proven by the seal that was opened (whose is for
// Verify to say) and each content hashed on the way and compared with its
// record: an item that differs is written and reported as ErrChanged, one
// whose record does not lead to the seal as ErrNotProven. Without opt.Done the
// first error ends the extraction.
func Extract(ctx context.Context, r *Reader, root *os.Root, selected func(evidence.Item) bool, opt ExtractOptions) error {
	if !opt.Seal.IsZero() && opt.Seal != r.seal.ID {
		return fmt.Errorf("extract: %w: its seal is %s, not %s", ErrMismatch, r.seal.ID, opt.Seal)
	}
	leaves, noLeaves := r.allLeaves()
	for it, err := range r.Evidence().Items() {
		if err != nil {
			return fmt.Errorf("extract: %w", err)
		}
		manifest := it.Kind == evidence.KindManifest
		switch {
		case !it.Kind.HasContent(), manifest && !opt.Manifest, !manifest && selected != nil && !selected(it):
			continue
		}
		it, unproven := r.proven(it, leaves)
		// What kept the item from being written is the graver thing to say.
		if err = r.extract(ctx, root, it); unproven != nil && (err == nil || errors.Is(err, ErrChanged)) {
			err = errors.Join(err, unproven, noLeaves)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if opt.Done != nil {
			err = opt.Done(it, err)
		}
		if err != nil {
			return fmt.Errorf("extract %s: %w", it.Member, err)
		}
	}
	return nil
}

// proven is the item as lines say that lead to the seal; the item as it was
// given where they do not. For a manifest batch, it has the sum that the lines
// of its records have.
func (r *Reader) proven(it evidence.Item, leaves []evidence.Digest) (evidence.Item, error) {
	if it.Kind != evidence.KindManifest {
		content, meta, err := r.provenLines(it.Index, leaves)
		if err != nil {
			return it, err
		}
		rec, err := r.parse(it.Index, content, meta)
		if err != nil || rec.item.Index != it.Index {
			return it, fmt.Errorf("%w: record %d: %w", ErrNotProven, it.Index, err)
		}
		return rec.item, nil
	}
	batch, _ := batchOf(it.Member)
	h := evidence.NewHash()
	for _, w := range r.batchRows(batch) {
		for i := range w.count {
			content, meta, err := r.provenLines(w.leaf+i, leaves)
			if err != nil {
				return it, err
			}
			h.Write(content)
			h.Write(meta)
		}
	}
	it.SHA256 = evidence.DigestOf(h)
	return it, nil
}

// provenLines returns the two lines of a leaf, checked against the leaves that
// lead to the seal.
func (r *Reader) provenLines(leaf int64, leaves []evidence.Digest) (content, meta []byte, err error) {
	if content, meta, err = r.linesOf(leaf); err != nil {
		return nil, nil, err
	}
	contentHash, metaHash := r.lineHashes(leaf, content, meta)
	if leaf >= int64(len(leaves)) || leafOf(contentHash, metaHash) != leaves[leaf] {
		return nil, nil, fmt.Errorf("%w: record %d does not lead to the seal", ErrNotProven, leaf)
	}
	return content, meta, nil
}

func (r *Reader) extract(ctx context.Context, root *os.Root, it evidence.Item) (err error) {
	c, err := r.Open(it.Member)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := root.MkdirAll(path.Dir(it.Member), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(it.Member, os.O_WRONLY|largeFile|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := evidence.NewHash()
	pos := int64(0)
	buf := make([]byte, len(zeros))
	for pos < it.Size {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rec := record{item: it}
		hole, n := rec.next(pos)
		if hole && it.SumsStored {
			pos += n
			continue
		}
		n = min(n, int64(len(buf)))
		part := buf[:n]
		if hole {
			part = zeros[:n]
		} else if m, err := c.ReadAt(part, pos); m < len(part) {
			return fmt.Errorf("read at %d: %w", pos+int64(m), noEOF(err))
		} else if _, err := f.WriteAt(part, pos); err != nil {
			return err
		}
		h.Write(part)
		pos += n
	}
	if err := f.Truncate(it.Size); err != nil {
		return err
	}
	if !it.SHA256.IsZero() && evidence.DigestOf(h) != it.SHA256 {
		return ErrChanged
	}
	if it.Stat != nil && !it.Stat.Modified.IsZero() {
		// A file system that cannot hold the time is no reason to fail.
		if err := root.Chtimes(it.Member, it.Stat.Modified, it.Stat.Modified); err != nil && errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
