package export

import (
	"io"

	"github.com/exhibit-dfir/exhibit/timeline/store/local"
)

// Parquet writes one file with the columns of the timeline's own segments
// (docs/format/timeline.md). It loses nothing.
func Parquet(w io.Writer, events Events) (Result, error) {
	n, err := local.WriteParquet(w, events)
	return Result{Rows: n}, err
}
