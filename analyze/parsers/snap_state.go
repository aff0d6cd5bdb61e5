package parsers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// snapState reads the state of snapd, /var/lib/snapd/state.json: one event per
// change, a span from when it was asked for to when it was ready. snapd
// forgets changes after some days. unit is the first snap that the change
// names; attributes: kind, change, snaps, status (snapd's number; 0 leaves it
// to the change's tasks).
//
// Format: snapd, overlord/state: change.go.
var snapState = register(analyze.Parser{
	Name:    "snap_state",
	Doc:     "state.json of snapd: snaps that were installed, refreshed and removed",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:snap:change"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return beginsLikeJSON(head) && bytes.Contains(head, []byte(`"data":`)) &&
			(bytes.Contains(head, []byte(`"spawn-time":`)) || bytes.Contains(head, []byte(`"last-change-id":`)) || bytes.Contains(head, []byte(`"patch-level":`)))
	},
	Parse: parseSnapState,
})

// snapChange is what is read of a change.
type snapChange struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Summary string `json:"summary"`
	Status  int64  `json:"status"`
	Data    struct {
		Names []string `json:"snap-names"`
	} `json:"data"`
	Spawned string `json:"spawn-time"`
	Ready   string `json:"ready-time"`
}

// snapMax bounds the state: it is one object and is read at once.
const snapMax = 64 << 20

func parseSnapState(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	b, err := io.ReadAll(io.LimitReader(src, snapMax+1))
	if err != nil && len(b) == 0 {
		return err
	}
	if len(b) > snapMax {
		out.Problem(evidence.TooBig, snapMax, -1, "the state is longer than is read")
		b = b[:snapMax]
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := snapChanges(d, b, out); err != nil && !errors.Is(err, io.EOF) {
		code := evidence.Corrupt
		if errors.Is(err, io.ErrUnexpectedEOF) {
			code = evidence.Truncated
		}
		out.Problem(code, min(d.InputOffset(), int64(len(b))), -1, "the state is broken here: "+err.Error())
	}
	return nil
}

// snapChanges walks to the member "changes" and makes an event of each of its
// members.
func snapChanges(d *json.Decoder, b []byte, out *timeline.Appender) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return firstError(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if key != "changes" {
			if err := d.Decode(&raw); err != nil {
				return unexpectedEnd(err)
			}
			continue
		}
		if t, err := d.Token(); err != nil || t != json.Delim('{') {
			return firstError(err)
		}
		for d.More() {
			if _, err := d.Token(); err != nil {
				return unexpectedEnd(err)
			}
			if err := d.Decode(&raw); err != nil {
				return unexpectedEnd(err)
			}
			end := d.InputOffset()
			snapEvent(out, raw, end-int64(len(raw)), int64(len(raw)))
		}
		if _, err := d.Token(); err != nil {
			return unexpectedEnd(err)
		}
	}
	_, err := d.Token()
	return unexpectedEnd(err)
}

func firstError(err error) error {
	if err == nil {
		err = errors.New("no object")
	}
	return unexpectedEnd(err)
}

// unexpectedEnd says that the end came inside of a value.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func snapEvent(out *timeline.Appender, raw []byte, off, length int64) {
	var c snapChange
	if err := json.Unmarshal(raw, &c); err != nil {
		out.Problem(evidence.Corrupt, off, length, "no change: "+err.Error())
		return
	}
	ev := out.Event(off, length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:snap:change", "PKG", "snapd"
	ev.TSDesc, ev.TSKind, ev.Category = "Package State", timeline.Recorded, packageCategory
	if ns, s, ok := zonedTime(c.Spawned); ok {
		ev.SetNanos(ns)
		ev.TSRaw, ev.TSPrec = out.Str(c.Spawned), precisionOf(s.Digits)
		ev.TZSrc, ev.TZOff = timeline.ZoneInRecord, int64(s.Offset/60)
		if end, _, ok := zonedTime(c.Ready); ok && end >= ns {
			ev.TSEnd = end
		}
	} else {
		out.Problem(evidence.Undated, off, length, "a change without a readable time")
	}
	switch kind, _, _ := strings.Cut(c.Kind, "-"); kind {
	case "install", "try":
		ev.Action = "package-installed"
	case "refresh", "auto", "revert":
		ev.Action = "package-upgraded"
	case "remove":
		ev.Action = "package-removed"
	}
	if len(c.Data.Names) > 0 {
		ev.Unit = out.Str(cutString(c.Data.Names[0]))
		out.AttrStr("snaps", cutString(strings.Join(c.Data.Names, " ")))
	}
	switch c.Status { // overlord/state: DoneStatus, ErrorStatus
	case 4:
		ev.Outcome = authmsg.Success
	case 9:
		ev.Outcome = authmsg.Failure
	}
	if ev.Message = out.Str(cutString(c.Summary)); ev.Message == "" {
		ev.Message = out.Join("change ", cutString(c.ID), " ", cutString(c.Kind))
	}
	out.AttrStr("change", cutString(c.ID))
	out.AttrStr("kind", cutString(c.Kind))
	out.AttrInt("status", c.Status)
}

// zonedTime reads a time that states its zone.
func zonedTime(text string) (ns int64, s logtime.Stamp, ok bool) {
	b := []byte(text)
	if n := logtime.Parse(b, &s); n != len(b) || n == 0 || s.Year == 0 || !s.Zoned {
		return 0, s, false
	}
	wall, ok := s.Wall(s.Year)
	if sec := wall - int64(s.Offset); ok && sec > -9_000_000_000 && sec < 9_000_000_000 && s.Year > 1 {
		return sec*1e9 + int64(s.Nanos), s, true
	}
	return 0, s, false
}
