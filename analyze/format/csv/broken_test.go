package csv_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/csv"
)

// handed counts the bytes that a reader was given.
type handed struct {
	io.Reader
	n int64
}

func (h *handed) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.n += int64(n)
	return n, err
}

// Of each of these rows the second field is open up to the end of the file,
// wherever one begins to read. They must not all be looked through up to there.
func TestFieldsWithoutEndAreNotLookedForAgainAndAgain(t *testing.T) {
	const line, limit = "x\",\"\n", 4 << 10
	h := &handed{Reader: strings.NewReader(strings.Repeat(line, 100_000))}
	r := csv.NewReader(h, ',', limit)
	rows, ahead := 0, 0
	for {
		err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if !errors.Is(err, csv.ErrBroken) || r.Length != int64(len(line)) || r.Offset != int64(rows*len(line)) || len(r.Fields) != 2 {
			t.Fatalf("row %d: %v at %d, %q", rows, err, r.Offset, r.Fields)
		}
		rows++
		if h.n > r.Offset+limit {
			t.Fatalf("row %d: %d bytes were read", rows, h.n)
		}
		if rows > 100 && h.n == r.Offset+limit {
			ahead++
		}
	}
	if rows != 100_000 || ahead > rows/2 {
		t.Errorf("%d rows; of %d all that is allowed was looked through", rows, ahead)
	}
}
