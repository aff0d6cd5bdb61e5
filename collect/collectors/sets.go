package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// sets holds the lines of several record sets, compressed, while the kernel
// is asked: the asking must not wait for the bundle, and what belongs together
// should be as of one moment.
type sets struct {
	order  []string
	lines  map[string]*collect.Spool
	bad    error            // a record without a JSON form
	absent map[string]error // why the kernel has nothing to fill a set with
}

func newSets(paths ...string) *sets {
	s := &sets{order: paths, lines: map[string]*collect.Spool{}, absent: map[string]error{}}
	for _, path := range paths {
		s.lines[path] = &collect.Spool{}
	}
	return s
}

// put adds a record to one of the sets.
func (s *sets) put(path string, v any) {
	line, err := json.Marshal(v)
	if err != nil {
		s.bad = errors.Join(s.bad, fmt.Errorf("encode record of %s: %w", path, err))
		return
	}
	_, _ = s.lines[path].Write(append(line, '\n')) // never fails
}

// write takes all sets into the bundle, the empty ones too: nothing is there.
// Of what the kernel does not have it says so. An error means that the run
// ends.
func (s *sets) write(ctx context.Context, out collect.Taker, source string) error {
	for _, path := range s.order {
		if lost := s.lines[path].Lost(); lost > 0 {
			out.Problem(problemAt(evidence.TooBig, path, fmt.Sprintf("%d records found no room in memory", lost)))
		}
		text, size := s.lines[path].Take()
		if why := s.absent[path]; why != nil && size == 0 {
			it := evidence.Item{Kind: evidence.KindAbsent, Path: path, Source: source, Detail: why.Error()}
			if err := out.Note(ctx, it); err != nil {
				return err
			}
			continue
		}
		it := evidence.Item{Kind: evidence.KindStream, Path: path, Source: source, Size: -1}
		if err := out.Stream(ctx, it, text); err != nil {
			return err
		}
	}
	return s.bad
}

func problemAt(code evidence.Code, path, detail string) evidence.Problem {
	return evidence.Problem{Code: code, Path: path, Detail: detail, Ref: evidence.Ref{Offset: -1, Length: -1}}
}
