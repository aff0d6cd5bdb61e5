package parsers

import (
	"errors"
	"io"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/jsonl"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

var errNoPath = errors.New("no path")

// eachLine calls read for every line of a record set. A line that read
// refuses is a problem, and so is one of more than longest bytes; an empty
// line is nothing.
func eachLine(src *analyze.Source, out *timeline.Appender, longest int, read func(line []byte, off int64) error) error {
	lines := jsonl.NewLines(src, longest)
	for {
		line, off, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF) || err == nil && out.Err() != nil:
			return nil
		case errors.Is(err, jsonl.ErrLong):
			out.Problem(evidence.TooBig, off, -1, "a line is longer than the limit")
			continue
		case err != nil:
			return err
		}
		if len(line) == 1 && line[0] == '\n' {
			continue
		}
		if err := read(line, off); err != nil {
			code := evidence.Corrupt
			if line[len(line)-1] != '\n' {
				code = evidence.Truncated
			}
			out.Problem(code, off, int64(len(line)), "no record: "+err.Error())
		}
	}
}
