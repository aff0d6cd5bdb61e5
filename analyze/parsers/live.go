package parsers

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveLineMax bounds a line of a live record set. A process with a hundred
// thousand open files needs some 10 MiB.
const liveLineMax = 64 << 20

// listMax bounds how many of a record's open files, mappings or arguments
// become attributes. The record has the rest.
const listMax = 64

// errNoSubject says that a record does not name what it is about.
var errNoSubject = errors.New("it does not say what it is about")

// eachRecord decodes every line of a record set into a T and calls event,
// which refuses a record by its error.
func eachRecord[T any](src *analyze.Source, out *timeline.Appender, event func(rec *T, off, length int64) error) error {
	return eachLine(src, out, liveLineMax, func(line []byte, off int64) error {
		var rec T
		if err := json.Unmarshal(line, &rec); err != nil {
			return err
		}
		return event(&rec, off, int64(len(line)))
	})
}

// stateEvent begins the event of something that was so when the collector
// looked: at taken, ns since 1970, else when reading the item began.
func stateEvent(src *analyze.Source, out *timeline.Appender, off, length, taken int64, dataType string) *timeline.Event {
	ev := out.Event(off, length)
	ev.DataType, ev.SourceShort, ev.SourceLong = dataType, "LIVE", "state of the running system"
	ev.TSDesc, ev.TSKind = "Collected", timeline.Collected
	ev.BootID = plainBootID(src.Host.BootID)
	switch {
	case taken != 0:
		ev.SetNanos(taken)
	case !src.Item.Started.IsZero():
		ev.SetTime(src.Item.Started)
	default:
		ev.SetTime(src.Host.Collected)
	}
	if ev.TSState == timeline.TimeOK {
		ev.TSPrec, ev.TZSrc = timeline.Nanosecond, timeline.ZoneFormat
	}
	return ev
}

// plainBootID writes a boot id as the journal does: 32 digits, no dashes.
func plainBootID(id string) string { return strings.ReplaceAll(id, "-", "") }

// attrs adds attributes to the open event; empty ones are left out.
type attrs struct{ out *timeline.Appender }

func (a attrs) text(key string, value []byte) {
	if len(value) > 0 {
		a.out.Attr(key, cutText(value))
	}
}

func (a attrs) str(key, value string) {
	if value != "" {
		a.text(key, []byte(value))
	}
}

func (a attrs) num(key string, n int64) {
	if n != 0 {
		a.out.AttrInt(key, n)
	}
}

func (a attrs) unum(key string, n uint64) {
	if n > math.MaxInt64 {
		a.str(key, fmt.Sprint(n))
		return
	}
	a.num(key, int64(n))
}

func (a attrs) yes(key string, set bool) {
	if set {
		a.out.AttrRaw(key, "true", 's')
	}
}

// joined writes arguments as one line, as ps does: separated by spaces.
func joined(out *timeline.Appender, args []record.Bytes) string {
	if len(args) == 0 {
		return ""
	}
	n := 0
	for _, a := range args {
		n += len(a) + 1
	}
	line := make([]byte, 0, min(n, valueMax+1))
	for i, a := range args {
		if i > 0 {
			line = append(line, ' ')
		}
		if line = append(line, a...); len(line) > valueMax {
			break
		}
	}
	return out.Text(cutText(line))
}
