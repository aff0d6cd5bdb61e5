package local

import (
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// exportRows is how many rows of WriteParquet's file make a row group.
const exportRows = 128 << 10

// WriteParquet writes events as one Parquet file with the columns of a segment
// (docs/format/timeline.md), in the order given, and returns how many. Rows
// are in groups of 131,072, or of fewer where texts are long.
func WriteParquet(out io.Writer, events iter.Seq2[*timeline.Event, error]) (int64, error) {
	var (
		n    int64
		file *parquet.GenericWriter[any]
		w    = newSegmentWriter()
		r    = newRows()
	)
	group := func() error {
		if file == nil {
			file = newFile(out, newRows()) // later groups may need what the first would not
		}
		if err := w.group(file, r, r.inOrder()); err != nil {
			return err
		}
		r = newRows()
		return file.Flush()
	}
	for e, err := range events {
		if err != nil {
			return n, err
		}
		r.add(e, e.ContentID)
		n++
		if r.full(limits{segmentRows: exportRows, segmentBytes: 64 << 20}) {
			if err := group(); err != nil {
				return n, fmt.Errorf("write events: %w", err)
			}
		}
	}
	if r.n > 0 || file == nil {
		if err := group(); err != nil {
			return n, fmt.Errorf("write events: %w", err)
		}
	}
	if err := file.Close(); err != nil {
		return n, fmt.Errorf("write events: %w", err)
	}
	return n, nil
}

// inOrder lists the rows as they were added.
func (r *rows) inOrder() []rowKey {
	r.order = r.order[:0]
	for i := range r.n {
		r.order = append(r.order, rowKey{row: uint32(i)})
	}
	return r.order
}
