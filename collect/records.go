package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Records writes a record set line by line into the bundle while the
// collector goes on, so that no more than a buffer of it is ever in memory.
type Records struct {
	pipe *io.PipeWriter
	buf  []byte
	done chan error
	n    int64
}

// recordBuffer is how many bytes of lines are handed on at once.
const recordBuffer = 64 << 10

// NewRecords begins the record set it.Path (evidence/record names them). The
// caller must Close it, also after an error.
func NewRecords(ctx context.Context, out Taker, it evidence.Item) *Records {
	r, w := io.Pipe()
	it.Kind, it.Size = evidence.KindStream, -1
	s := &Records{pipe: w, done: make(chan error, 1)}
	go func() {
		err := out.Stream(ctx, it, r)
		if err != nil {
			r.CloseWithError(err)
		} else {
			r.Close()
		}
		s.done <- err
	}()
	return s
}

// Write adds one record as a line of JSON. An error means that the run ends.
func (s *Records) Write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	s.n++
	s.buf = append(append(s.buf, line...), '\n')
	if len(s.buf) < recordBuffer {
		return nil
	}
	return s.flush()
}

func (s *Records) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	_, err := s.pipe.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// Count returns how many records were written.
func (s *Records) Count() int64 { return s.n }

// Close ends the record set and waits until it is in the bundle.
func (s *Records) Close() error {
	err := s.flush()
	s.pipe.Close()
	if stream := <-s.done; stream != nil {
		return stream
	}
	return err
}
