package bundle

import (
	"errors"
	"fmt"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrUnbound says that no examiner vouches for the run's key inside the
// bundle: grade C.
var ErrUnbound = errors.New("no examiner vouches for the collector's key in this bundle")

// Binding returns the examiner's SSHSIG over CollectorPub(r.Key()), checked
// against the digest that the sealed header states for it. The error is
// ErrUnbound for a bundle of grade C.
func (r *Reader) Binding() ([]byte, error) {
	want, ok := r.header.Members[bindingMember]
	if !ok {
		return nil, ErrUnbound
	}
	head := make([]byte, min(headLimit, r.frames.size()))
	if _, err := r.frames.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read binding: %w", err)
	}
	for b := head; len(b) > tarBlock; {
		e, n, err := parseHeader(b)
		if err != nil || n > len(b) || e.size > int64(len(b)-n) {
			break
		}
		data := b[n : n+int(e.size)]
		if e.name == bindingMember {
			if evidence.Sum(data).String() != want {
				return nil, fmt.Errorf("%w: %s is not the one the header names", ErrMismatch, bindingMember)
			}
			return data, nil
		}
		b = b[min(n+int(e.size+tarBlock-1)&^(tarBlock-1), len(b)):]
	}
	return nil, fmt.Errorf("%w: the header names %s, the bundle lacks it", ErrMismatch, bindingMember)
}

// headLimit is how much of the front is searched: the fixed members are small.
const headLimit = 256 << 10
