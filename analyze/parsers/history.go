package parsers

import (
	"io"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// historyEvents makes events of the commands in a shell's history. A command
// without a time is placed by its order (attr order) and the interval between
// the dated commands around it, or the last write of the file.
type historyEvents struct {
	out      *timeline.Appender
	dataType string
	shell    string
	user     string
	uid      int64
	owner    string // of the file, where it is somebody else

	order    int64
	previous int64 // time of the last dated command, ns; None: none yet
	modified int64 // last write of the file, ns; None when unknown
	next     *datedAhead
}

func newHistoryEvents(src *analyze.Source, out *timeline.Appender, dataType, shell string) *historyEvents {
	h := &historyEvents{out: out, dataType: dataType, shell: shell, uid: timeline.None, previous: timeline.None, modified: timeline.None}
	h.user = homeOwner(src.Item.Path)
	if st := src.Item.Stat; st != nil {
		owner := st.Owner
		if owner == "" {
			owner = src.Host.Users[st.UID]
		}
		if h.user == "" {
			h.user = owner
		}
		if owner == h.user && owner != "" {
			h.uid = int64(st.UID)
		} else {
			h.owner = owner
		}
		if !st.Modified.IsZero() {
			h.modified = st.Modified.UnixNano()
		}
	}
	return h
}

// homeOwner returns the account whose home directory a path is in, by the
// usual layout: /home/NAME/..., /Users/NAME/..., /root/...
func homeOwner(path string) string {
	path = "/" + strings.TrimPrefix(path, "/")
	for _, root := range [...]string{"/home/", "/Users/", "/var/home/"} {
		if i := strings.LastIndex(path, root); i >= 0 {
			if name, _, ok := strings.Cut(path[i+len(root):], "/"); ok {
				return name
			}
		}
	}
	if strings.Contains(path, "/root/") {
		return "root"
	}
	return ""
}

// plausible bounds the seconds that are taken for a time: from 1973 to 2242.
func plausible(sec int64) bool { return sec >= 100_000_000 && sec < 8_600_000_000 }

// command opens the event of one command. sec is None for a command without a
// time.
func (h *historyEvents) command(offset, length, line, sec int64, text []byte) *timeline.Event {
	h.order++
	out := h.out
	ev := out.Event(offset, length)
	ev.Line = line
	ev.DataType, ev.SourceShort, ev.SourceLong = h.dataType, "HIST", h.shell
	ev.TSDesc, ev.TSKind = "Command Issued", timeline.Recorded
	ev.Action, ev.Category = "command-entered", authmsg.Process
	ev.User, ev.UID = out.Str(h.user), h.uid
	if sec != timeline.None {
		ev.SetNanos(sec * int64(time.Second))
		ev.TSPrec, ev.TZSrc = timeline.Second, timeline.ZoneFormat
		h.previous = ev.TS
	} else {
		ev.TSLo, ev.TSHi = h.interval(offset)
	}
	ev.Cmdline = out.Text(text)
	ev.Message = ev.Cmdline
	out.AttrInt("order", h.order)
	if h.owner != "" {
		out.AttrStr("file_owner", h.owner)
	}
	return ev
}

// interval returns the times between which the command at offset was given.
func (h *historyEvents) interval(offset int64) (lo, hi int64) {
	lo, hi = h.previous, h.modified
	if h.next != nil {
		if sec, ok := h.next.after(offset); ok {
			hi = sec * int64(time.Second)
		}
	}
	if lo != timeline.None && hi != timeline.None && hi < lo {
		return timeline.None, timeline.None // the file contradicts itself
	}
	return lo, hi
}

// datedAhead reads ahead in a history to find the next time in it.
type datedAhead struct {
	lines *textline.Reader
	time  func(line []byte) (sec int64, ok bool)
	at    int64
	sec   int64
	found bool
}

func newDatedAhead(r io.Reader, find func([]byte) (int64, bool)) *datedAhead {
	return &datedAhead{lines: textline.NewReader(r), time: find, at: -1, found: true}
}

// after returns the first time behind offset. Offsets must not decrease.
func (d *datedAhead) after(offset int64) (int64, bool) {
	for d.found && d.at <= offset {
		d.found = false
		for d.lines.Next() {
			if sec, ok := d.time(d.lines.Line); ok {
				d.at, d.sec, d.found = d.lines.Offset, sec, true
				break
			}
		}
	}
	return d.sec, d.found
}

// openHistory returns the content for reading at offsets.
func openHistory(src *analyze.Source, out *timeline.Appender) (io.ReaderAt, int64, error) {
	at, size, err := src.RandomAccess()
	if at == nil {
		return nil, 0, err
	}
	if err != nil {
		out.Problem(evidence.Truncated, -1, -1, "content ends in an error: "+err.Error())
	}
	return at, size, nil
}
