package parsers

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// stateRow makes the event of one record, and others where the record states
// times of its own.
type stateRow[T any] func(s *stateSet, rec *T) error

// stateSet is the reading of one record set: what was so when the collector
// looked.
type stateSet struct {
	attrs
	src         *analyze.Source
	off, length int64
	dataType    string
	disk        bool // it was read from files, of a running system or not
}

// ofSet matches a record set of the collector.
func ofSet(name string) func(*evidence.Item, []byte) bool {
	return func(it *evidence.Item, head []byte) bool {
		return len(head) > 0 && head[0] == '{' && isRecordSet(it, name)
	}
}

// liveSet reads a record set of the running system, diskSet one of its files.
func liveSet[T any](dataType string, row stateRow[T]) func(context.Context, *analyze.Source, *timeline.Appender) error {
	return readSet(dataType, false, row)
}

func diskSet[T any](dataType string, row stateRow[T]) func(context.Context, *analyze.Source, *timeline.Appender) error {
	return readSet(dataType, true, row)
}

func readSet[T any](dataType string, disk bool, row stateRow[T]) func(context.Context, *analyze.Source, *timeline.Appender) error {
	return func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return eachRecord(src, out, func(rec *T, off, length int64) error {
			return row(&stateSet{attrs{out}, src, off, length, dataType, disk}, rec)
		})
	}
}

// at begins an event of the record, dated by the look: at taken, where the
// record says, else when reading the set began.
func (s *stateSet) at(taken int64, action, category string) *timeline.Event {
	ev := stateEvent(s.src, s.out, s.off, s.length, taken, s.dataType)
	ev.Action, ev.Category = action, category
	if s.disk {
		ev.SourceShort, ev.SourceLong, ev.BootID = "STATE", "state of the host's files", ""
	}
	return ev
}

// dated begins an event at a time that the record states, in ns since 1970.
func (s *stateSet) dated(at int64, action, category, desc string) *timeline.Event {
	ev := s.at(at, action, category)
	ev.TSDesc, ev.TSKind = desc, timeline.Recorded
	return ev
}

// bytes makes bytes of the host text of the timeline.
func (s *stateSet) bytes(b record.Bytes) string { return s.out.Text(cutText(b)) }

// list adds one attribute for each text, up to listMax.
func (s *stateSet) list(key string, list []record.Bytes) {
	for _, v := range list[:min(len(list), listMax)] {
		s.text(key, v)
	}
}

// joinedBytes is a list in one text.
func (s *stateSet) joinedBytes(list []record.Bytes) string {
	texts := make([]string, 0, min(len(list), listMax))
	for _, v := range list[:min(len(list), listMax)] {
		texts = append(texts, string(cutText(v)))
	}
	return s.out.Text(cutText([]byte(strings.Join(texts, ","))))
}

const dayNS = 24 * 3600 * 1e9

// time adds a time in ns since 1970, which 0 is none of.
func (s *stateSet) time(key string, ns int64) {
	if ns != 0 {
		s.out.AttrRaw(key, s.out.Str(time.Unix(0, ns).UTC().Format(time.RFC3339Nano)), 't')
	}
}

// day adds a day of UTC.
func (s *stateSet) day(key string, ns int64) {
	if ns > 0 {
		s.str(key, time.Unix(0, ns).UTC().Format(time.DateOnly))
	}
}

// mode adds the permissions of a file, in octal.
func (s *stateSet) mode(mode uint32) {
	if mode != 0 {
		s.str("mode", strconv.FormatUint(uint64(mode&0o7777), 8))
	}
}

// file adds what a file system says of a file.
func (s *stateSet) file(mode, uid, gid uint32, size, mtime, ctime, btime int64) {
	s.mode(mode)
	s.out.AttrInt("uid", int64(uid))
	s.out.AttrInt("gid", int64(gid))
	s.out.AttrInt("size", size)
	s.time("mtime", mtime)
	s.time("ctime", ctime)
	s.time("btime", btime)
}
