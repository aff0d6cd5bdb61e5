package bundle

import (
	"fmt"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// loadErasures reads what was taken out of the bundle. That the signatures
// hold is checked, whose they are is for Verify to say.
func (r *Reader) loadErasures(members map[string][]byte) error {
	var err error
	if r.erasures, err = readErasures(members); err != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	for _, e := range r.erasures {
		if r.sealed && e.Seal != r.seal.ID {
			return fmt.Errorf("%w: erasure is of another bundle", ErrMismatch)
		}
	}
	if r.erased, err = erasedItems(r.erasures); err != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return nil
}

// Erasures returns the statements of what was taken out of the bundle, in
// order; none where it is as it was sealed. Their signatures hold; Verify says
// whose they are.
func (r *Reader) Erasures() []*Erasure {
	var list []*Erasure
	for _, e := range r.erasures {
		list = append(list, e.Erasure)
	}
	return list
}

// parse reads the lines of a record, or what is left of them.
func (r *Reader) parse(leaf int64, content, meta []byte) (*record, error) {
	if e := r.erased[leaf]; e != nil {
		return e.record(content, meta)
	}
	return parseRecord(content, meta)
}

// lineHashes are the digests of the two lines of a record, those of erased
// ones by the statement.
func (r *Reader) lineHashes(leaf int64, content, meta []byte) (contentHash, metaHash evidence.Digest) {
	if e := r.erased[leaf]; e != nil {
		return e.hashes(meta)
	}
	return evidence.Sum(content), evidence.Sum(meta)
}
