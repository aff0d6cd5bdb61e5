package parsers

import (
	"bytes"
	"slices"

	"github.com/exhibit-dfir/exhibit/analyze/format/linepattern"
	"github.com/exhibit-dfir/exhibit/analyze/format/sysmon"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// lineTarget is where a field of a pattern goes.
type lineTarget struct {
	name         string
	column       *timeline.Column // nil: an attribute
	withPort     bool             // an address whose port stands behind the last colon
	message      bool
	source, dest bool // src_ip, dst_ip
}

func lineTargets(p *linepattern.Pattern) []lineTarget {
	targets := make([]lineTarget, len(p.Names()))
	for i, name := range p.Names() {
		targets[i] = lineTargetOf(name)
		targets[i].withPort = p.WithPort(i)
	}
	return targets
}

// notFromLines are columns that the engine and the run fill.
var notFromLines = []string{"host", "host_id", "data_type", "parser", "ts", "seq", "line", "source_short", "source_long", "boot_id"}

func lineTargetOf(name string) lineTarget {
	if slices.Contains(notFromLines, name) {
		panic("a field of a line is named like the column " + name)
	}
	return lineTarget{
		name: name, column: columnNamed[name], message: name == "message",
		source: name == "src_ip", dest: name == "dst_ip",
	}
}

// lineValues puts fields of lines into the open event.
type lineValues struct {
	out     *timeline.Appender
	fields  linepattern.Fields
	scratch []byte
	event   sysmon.Event
	peers   map[string]string // addresses by how they were written; "": it is none
}

// peersMax bounds the addresses that are kept.
const peersMax = 4096

func newLineValues(out *timeline.Appender) lineValues {
	return lineValues{out: out, peers: map[string]string{}}
}

// apply reads the message by the first of the rules that fits.
func (w *lineValues) apply(ev *timeline.Event, rules []readyRule, message []byte) bool {
	for i := range rules {
		r := &rules[i]
		if r.where != nil && !r.applies(ev) {
			continue
		}
		in := message
		if r.in != "" {
			if in = w.valueOf(ev, r); in == nil {
				continue
			}
		}
		if !r.pattern.Match(in, &w.fields) {
			continue
		}
		if slices.ContainsFunc(r.once, func(s string) bool { return bytes.Count(in, []byte(s)) > 1 }) {
			w.out.AttrStr("ambiguous", "the message imitates its own format")
			return false
		}
		setMeaning(ev, r.dataType, r.action, r.category, r.outcome)
		for k := range r.targets {
			w.set(ev, &r.targets[k], w.fields.Values[k])
		}
		return true
	}
	return false
}

// applies reports whether an attribute has the value that the rule asks for.
func (r *lineRule) applies(ev *timeline.Event) bool {
	return slices.ContainsFunc(r.where, func(name string) bool {
		v, _ := ev.Attr(name)
		return slices.Contains(r.is, v)
	})
}

// valueOf returns the text of the field that a rule reads; nil where the event
// has none.
func (w *lineValues) valueOf(ev *timeline.Event, r *readyRule) []byte {
	var s string
	if r.column != nil {
		s = *r.column.Str(ev)
	} else {
		s, _ = ev.Attr(r.in)
	}
	if s == "" {
		return nil
	}
	w.scratch = append(w.scratch[:0], s...)
	return w.scratch
}

// applyAll reads fields by all of the rules that fit.
func (w *lineValues) applyAll(ev *timeline.Event, rules []readyRule) {
	for i := range rules {
		w.apply(ev, rules[i:i+1], nil)
	}
}

// set puts one field where it belongs. What was in the column before goes to
// an attribute.
func (w *lineValues) set(ev *timeline.Event, t *lineTarget, v []byte) {
	c := t.column
	if c == nil {
		v = bytes.TrimRight(v, " ")
	}
	if len(v) == 0 || len(v) == 1 && v[0] == '-' {
		return
	}
	switch {
	case t.source:
		w.peer(&ev.SrcIP, &ev.SrcPort, v, t.withPort, "src")
	case t.dest:
		w.peer(&ev.DstIP, &ev.DstPort, v, t.withPort, "dst")
	case c == nil && len(v) <= 64:
		w.out.AttrRaw(t.name, w.out.Intern(v), 's')
	case c == nil:
		w.out.Attr(t.name, cutText(v))
	case c.Int != nil:
		if n, ok := parseInt(v); ok && n >= 0 {
			if was := *c.Int(ev); was != timeline.None && was != n {
				w.out.AttrInt(w.out.Join("writer_", t.name), was)
				if t.name == "uid" && ev.User != "" {
					w.out.AttrRaw("writer_user", ev.User, 's')
					ev.User = "" // that of the other number
				}
			}
			*c.Int(ev) = n
		} else {
			w.out.Attr(t.name+"_text", cutText(v))
		}
	default:
		w.text(ev, c.Str(ev), t.name, v)
	}
}

func (w *lineValues) text(ev *timeline.Event, column *string, name string, v []byte) {
	if name == "user" {
		// The domain stays in an attribute.
		if i := bytes.LastIndexByte(v, '\\'); i >= 0 && i+1 < len(v) {
			w.out.Attr("account", cutText(v))
			v = v[i+1:]
		}
	}
	if name == "sha256" {
		if v = digestOf(v); v == nil {
			return
		}
	}
	text := w.out.Intern(cutText(v))
	if *column != "" && *column != text {
		w.out.AttrRaw(w.out.Join("writer_", name), *column, 's')
	}
	if name == "user" && *column != text && ev.UID != timeline.None {
		w.out.AttrInt("writer_uid", ev.UID) // that of the other name
		ev.UID = timeline.None
	}
	*column = text
}

// peer reads an address, with or without a port, of the side src or dst. What
// is none goes to the attribute src_host or dst_host, what was there before to
// writer_src_ip or writer_dst_ip. Where the format has a port behind the last
// colon, that of IPv6 stands there without brackets, too.
func (w *lineValues) peer(ip *string, port *int64, v []byte, withPort bool, side string) {
	a, n := w.split(bytes.TrimPrefix(v, []byte("IPv6:")), withPort) // RFC 5321, 4.1.3
	if a == "" {
		w.out.Attr(w.out.Join(side, "_host"), cutText(v))
		return
	}
	if *ip != "" && *ip != a {
		w.out.AttrRaw(w.out.Join("writer_", side, "_ip"), *ip, 's')
	}
	*ip = a
	if n != timeline.None {
		*port = n
	}
}

func (w *lineValues) split(v []byte, withPort bool) (ip string, port int64) {
	if !withPort {
		if a := w.address(v); a != "" {
			return a, timeline.None
		}
	}
	if i := bytes.LastIndexByte(v, ':'); i > 0 && (withPort || v[i-1] == ']' || bytes.IndexByte(v, ':') == i) {
		n, ok := parseInt(v[i+1:])
		if a := w.address(bytes.Trim(v[:i], "[]")); ok && n >= 0 && n <= 65535 && a != "" {
			return a, n
		}
	}
	return w.address(bytes.Trim(v, "[]")), timeline.None
}

// address returns the lasting form of an address, "" where v is none.
func (w *lineValues) address(v []byte) string {
	a, ok := w.peers[string(v)]
	if !ok {
		a = canonicalAddress(v)
		if len(w.peers) < peersMax && len(v) <= 64 {
			w.peers[string(v)] = a
		}
	}
	return a
}
