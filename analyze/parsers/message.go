package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// applyMessage puts what a message of a known program states into the open
// event. What the message states about an account, an address or a command
// goes before what the log's own fields say about the process that wrote it.
func applyMessage(ev *timeline.Event, out *timeline.Appender, f *authmsg.Fields) {
	ev.Action, ev.Outcome, ev.Category = f.Action, f.Outcome, f.Category
	if len(f.User) > 0 {
		user := out.Intern(f.User)
		if user != ev.User {
			if ev.UID != timeline.None {
				out.AttrInt("writer_uid", ev.UID)
			}
			ev.User, ev.UID = user, timeline.None
		}
	}
	if f.UID != authmsg.None {
		ev.UID = f.UID
	}
	setText(out, &ev.SrcIP, f.SrcIP, "writer_src_ip")
	setText(out, &ev.DstIP, f.DstIP, "writer_dst_ip")
	setText(out, &ev.Cmdline, f.Cmdline, "writer_cmdline")
	setText(out, &ev.CWD, f.CWD, "writer_cwd")
	setText(out, &ev.Session, f.Session, "writer_session")
	setText(out, &ev.Unit, f.Unit, "writer_unit")
	setText(out, &ev.File, f.File, "writer_file")
	if f.SrcPort != authmsg.None {
		ev.SrcPort = f.SrcPort
	}
	if f.DstPort != authmsg.None {
		ev.DstPort = f.DstPort
	}
	messageAttrs(out, f)
}

// setText sets a column. What the log said there about the writing process
// moves to the attribute named displaced.
func setText(out *timeline.Appender, column *string, b []byte, displaced string) {
	if len(b) == 0 {
		return
	}
	text := out.Intern(b)
	if *column != "" && *column != text {
		out.AttrRaw(displaced, *column, 's')
	}
	*column = text
}

// messageAttrs adds what has no column.
func messageAttrs(out *timeline.Appender, f *authmsg.Fields) {
	for _, a := range [...]struct {
		key   string
		value []byte
	}{
		{"target_user", f.TargetUser},
		{"src_host", f.SrcHost},
		{"method", f.Method},
		{"key_type", f.KeyType},
		{"key_fingerprint", f.Fingerprint},
		{"tty", f.TTY},
		{"session_name", f.SessionName},
		{"group", f.Group},
		{"device", f.Device},
		{"module", f.Module},
		{"process", f.Process},
		{"pam_service", f.Service},
		{"reason", f.Reason},
	} {
		if len(a.value) > 0 {
			out.Attr(a.key, a.value)
		}
	}
	if f.TargetUID != authmsg.None {
		out.AttrInt("target_uid", f.TargetUID)
	}
	if f.PID != authmsg.None {
		out.AttrInt("target_pid", f.PID)
	}
	if f.Ambiguous {
		out.AttrStr("ambiguous", "the message imitates its own format")
	}
}
