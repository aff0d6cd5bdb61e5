package local

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// segmentInfo is what a manifest says about the rows of a segment.
type segmentInfo struct {
	rows, undated int64
	min, max      int64 // ts of the dated rows; None without any
}

// segmentWriter writes segments one after the other.
type segmentWriter struct {
	chunk   []parquet.Value
	words   []parquet.Value // of a dictionary
	digests []byte
}

func newSegmentWriter() *segmentWriter { return &segmentWriter{chunk: make([]parquet.Value, 0, 1024)} }

// newFile returns a writer for one segment. parquet-go's Reset is of no use:
// it forgets the columns' paths, and the second file has none.
func newFile(out io.Writer, r *rows) *parquet.GenericWriter[any] {
	filters := []parquet.BloomFilterColumn{parquet.SplitBlockFilter(10, "event_id")}
	for i := range schema {
		if schema[i].bloom {
			filters = append(filters, parquet.SplitBlockFilter(10, schema[i].name))
		}
	}
	schema := parquetSchema
	if slices.ContainsFunc(r.cols, column.varied) {
		schema = newSchema(func(i int) bool { return r.cols[i].varied() })
	}
	return parquet.NewGenericWriter[any](out, schema,
		parquet.CreatedBy("exhibit", "1", "0"),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}),
		parquet.PageBufferSize(pageBytes),
		parquet.DataPageStatistics(false),
		parquet.MaxRowsPerRowGroup(math.MaxInt64),
		parquet.BloomFilters(filters...),
	)
}

// write writes the rows of r in the order given.
func (w *segmentWriter) write(out io.Writer, r *rows, order []rowKey) (segmentInfo, error) {
	info := segmentInfo{rows: int64(len(order)), min: timeline.None, max: timeline.None}
	for i := range order {
		if !order[i].old {
			info.undated++
			continue
		}
		if info.min == timeline.None {
			info.min = order[i].ts
		}
		info.max = order[i].ts
	}
	file := newFile(out, r)
	if err := w.group(file, r, order); err != nil {
		return info, err
	}
	if err := file.Close(); err != nil {
		return info, fmt.Errorf("finish segment: %w", err)
	}
	return info, nil
}

// group writes the rows of r in the order given as columns of file.
func (w *segmentWriter) group(file *parquet.GenericWriter[any], r *rows, order []rowKey) error {
	leaves := file.ColumnWriters()
	for leaf, ids := range [][]timeline.ID{idLeaf: r.ids, contentLeaf: r.cids} {
		err := w.column(leaves[leaf], order, textPageRows, func(row uint32) parquet.Value {
			return parquet.FixedLenByteArrayValue(ids[row][:])
		})
		if err != nil {
			return fmt.Errorf("write identities: %w", err)
		}
	}
	for i := range schema {
		c := &r.cols[i]
		perPage := pageRows
		if c.empty() {
			if err := w.nulls(leaves[leavesBefore+i], len(order)); err != nil {
				return fmt.Errorf("write column %s: %w", schema[i].name, err)
			}
			continue
		}
		if c.kind == kindText || c.varied() {
			perPage = textPageRows
		}
		if err := w.column(leaves[leavesBefore+i], order, perPage, w.value(r, i)); err != nil {
			return fmt.Errorf("write column %s: %w", schema[i].name, err)
		}
	}
	clear(w.words[:cap(w.words)]) // they would keep the texts of r
	return nil
}

// value returns how column i of a row is said in Parquet. What repeats is made
// once: the value of a column that never changes and the words of a dictionary.
func (w *segmentWriter) value(r *rows, i int) func(uint32) parquet.Value {
	c := &r.cols[i]
	switch {
	case !c.filled && c.kind == kindInt:
		return constant(intValue(c.firstInt))
	case !c.filled && !schema[i].digest:
		return constant(textValue(c.firstText))
	case c.kind == kindInt:
		return func(row uint32) parquet.Value { return intValue(c.ints[row]) }
	case c.kind == kindDict:
		w.words = w.words[:0]
		for _, s := range c.values {
			w.words = append(w.words, textValue(s))
		}
		return func(row uint32) parquet.Value { return w.words[c.codes[row]] }
	case schema[i].digest:
		// The values of one chunk share one buffer until they are written.
		return func(row uint32) parquet.Value {
			s := c.text(row)
			if s == "" {
				return parquet.NullValue()
			}
			from := len(w.digests)
			w.digests, _ = hex.AppendDecode(w.digests, stringAsBytes(s))
			return present(parquet.FixedLenByteArrayValue(w.digests[from:len(w.digests):len(w.digests)]))
		}
	}
	return func(row uint32) parquet.Value { return textValue(c.text(row)) }
}

func constant(v parquet.Value) func(uint32) parquet.Value {
	return func(uint32) parquet.Value { return v }
}

// present marks the value of an optional column as being there.
func present(v parquet.Value) parquet.Value {
	v.SetDefinitionLevel(1)
	return v
}

func intValue(n int64) parquet.Value {
	if n == timeline.None {
		return parquet.NullValue()
	}
	return present(parquet.Int64Value(n))
}

func textValue(s string) parquet.Value {
	if s == "" {
		return parquet.NullValue()
	}
	return present(parquet.ByteArrayValue(stringAsBytes(s)))
}

// nulls writes a column without values as one page.
func (w *segmentWriter) nulls(out *parquet.ColumnWriter, n int) error {
	w.chunk = w.chunk[:min(n, cap(w.chunk))]
	clear(w.chunk)
	for n > 0 {
		k := min(n, len(w.chunk))
		if _, err := out.WriteRowValues(w.chunk[:k]); err != nil {
			return err
		}
		n -= k
	}
	w.chunk = w.chunk[:0]
	return out.Flush()
}

// column writes one column with page ends at multiples of perPage.
func (w *segmentWriter) column(out *parquet.ColumnWriter, order []rowKey, perPage int, value func(uint32) parquet.Value) error {
	inPage, size := 0, 0
	flush := func() error {
		_, err := out.WriteRowValues(w.chunk)
		w.chunk, w.digests, size = w.chunk[:0], w.digests[:0], 0
		return err
	}
	for i := range order {
		v := value(order[i].row)
		w.chunk = append(w.chunk, v)
		inPage++
		if v.Kind() == parquet.ByteArray {
			size += len(v.ByteArray())
		}
		if len(w.chunk) < cap(w.chunk) && inPage < perPage && size < pageBytes {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if inPage >= perPage {
			if err := out.Flush(); err != nil {
				return err
			}
			inPage = 0
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return out.Flush()
}
