package parsers

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// criLog reads the output of containers as containerd, CRI-O and Podman's
// k8s-file driver keep it: "TIME STREAM TAG TEXT". Tag P says that the line
// goes on in the stream's next one, F that it is whole: one event for all of
// it, at the time of its first part. rec_off/len is from the first to the last
// part; attr spans has the parts where lines of the other stream lie between.
// What never ends, or goes on more than an hour later, has attr partial. Pod, namespace and container are from the
// item's path.
//
// Format: Kubernetes, "CRI: Log management".
var criLog = register(analyze.Parser{
	Name:    "cri_log",
	Doc:     "output of containers, from containerd, CRI-O and Podman",
	Version: 1,
	Family:  "text",
	Types:   []string{"cri:container:log:entry"},
	Match:   matchCRI,
	Parse:   parseCRI,
})

// matchCRI wants half of the first lines to be of the form.
func matchCRI(_ *evidence.Item, head []byte) bool {
	if bytes.IndexByte(head[:min(len(head), 16)], 0) >= 0 {
		return false
	}
	lines := textline.Of(head)
	total, good := 0, 0
	var l criLine
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if l.read(lines.Line) {
			good++
		}
	}
	return good > 0 && 2*good >= total
}

// criLine is one line of such a log.
type criLine struct {
	stamp  logtime.Stamp
	raw    []byte // the time as written
	stderr bool
	part   bool
	text   []byte
}

// read takes a line apart and reports whether it is one.
func (c *criLine) read(line []byte) bool {
	n := logtime.Parse(line, &c.stamp)
	if n == 0 || c.stamp.Year == 0 || !c.stamp.Zoned || n >= len(line) || line[n] != ' ' {
		return false
	}
	c.raw = line[:n]
	stream, rest, _ := bytes.Cut(line[n+1:], []byte(" "))
	switch string(stream) {
	case "stdout", "stderr":
		c.stderr = string(stream) == "stderr"
	default:
		return false
	}
	tags, text, _ := bytes.Cut(rest, []byte(" "))
	tag, _, _ := bytes.Cut(tags, []byte(":")) // more tags may follow
	switch string(tag) {
	case "P", "F":
		c.part = string(tag) == "P"
	default:
		return false
	}
	c.text = text
	return true
}

func parseCRI(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	p := criEvents{out: out, times: newLogTimes(src.Host), where: criWhere(src.Item.Path)}
	bad := badLines{out: out, code: evidence.Corrupt, what: "no stream and tag of a container"}
	damage := newTextRecords(out)
	lines := textline.NewReader(src)
	var l criLine
	for lines.Next() {
		damage.damage(lines)
		switch {
		case len(lines.Line) == 0:
		case l.read(lines.Line):
			p.line(lines, &l)
		default:
			bad.add(lines)
		}
		if out.Err() != nil {
			return nil
		}
	}
	for i := range p.open {
		p.end(&p.open[i], true)
	}
	bad.end()
	return lines.Err()
}

// criText bounds the parts that are joined, criParts their number, and criGap
// the seconds between them.
const (
	criText  = 1 << 20
	criParts = 256
	criGap   = 3600
)

// criMessage is what of a stream is open.
type criMessage struct {
	open   bool
	first  criLine
	raw    []byte
	text   []byte
	last   int64 // time of the last part, s
	line   int64
	offset int64
	end    int64
	parts  [][2]int64
}

type criEvents struct {
	out   *timeline.Appender
	times *logTimes
	where []timeline.Attr
	open  [2]criMessage // of stdout and stderr
}

func (p *criEvents) line(l *textline.Reader, c *criLine) {
	m := &p.open[0]
	if c.stderr {
		m = &p.open[1]
	}
	sec, _ := c.stamp.Wall(c.stamp.Year)
	sec -= int64(c.stamp.Offset)
	if m.open && (len(m.text) >= criText || len(m.parts) >= criParts || sec-m.last > criGap) {
		p.end(m, true)
	}
	m.last = sec
	if !m.open {
		m.open, m.first, m.line, m.offset = true, *c, l.Number, l.Offset
		m.raw, m.text, m.parts = append(m.raw[:0], c.raw...), m.text[:0], m.parts[:0]
	}
	m.text = append(m.text, c.text...)
	m.end = l.Offset + l.Length
	m.parts = append(m.parts, [2]int64{l.Offset, l.Length})
	if !c.part {
		p.end(m, false)
	}
}

// end writes the event of what is open.
func (p *criEvents) end(m *criMessage, partial bool) {
	if !m.open {
		return
	}
	m.open = false
	out := p.out
	ev := out.Event(m.offset, m.end-m.offset)
	ev.Line = m.line
	ev.DataType, ev.SourceShort, ev.SourceLong = "cri:container:log:entry", "LOG", "container log"
	ev.TSDesc, ev.TSKind = "Event Logged", timeline.Recorded
	p.times.set(ev, out, &m.first.stamp, m.raw, m.offset)
	ev.Channel = "stdout"
	if m.first.stderr {
		ev.Channel = "stderr"
	}
	if ev.Message = out.Text(cutText(m.text)); ev.Message == "" {
		ev.Message = "empty line"
	}
	for _, a := range p.where {
		if a.Key == "container_id" {
			ev.ContainerID = a.Value
			continue
		}
		out.AttrRaw(a.Key, a.Value, 's')
	}
	if len(m.text) > valueMax {
		out.AttrStr("cut", "message "+strconv.Itoa(len(m.text)))
	}
	if partial {
		out.AttrStr("partial", "the line goes on and was not seen to end")
	}
	if len(m.parts) > 1 {
		out.AttrInt("joined_lines", int64(len(m.parts)-1))
		if own := m.spans(); own != "" {
			out.AttrStr("spans", own)
		}
	}
}

// spans lists the parts, "" where they follow each other.
func (m *criMessage) spans() string {
	apart := false
	var b []byte
	at := m.offset
	for i, p := range m.parts {
		apart = apart || p[0] != at
		at = p[0] + p[1]
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, p[0], 10)
		b = append(b, '+')
		b = strconv.AppendInt(b, p[1], 10)
	}
	if !apart {
		return ""
	}
	return string(b)
}

// criWhere reads what a path says of the container: kubelet's
// /var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log and
// /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log, and Podman's
// overlay-containers/ID/userdata/ctr.log.
func criWhere(path string) []timeline.Attr {
	var found []timeline.Attr
	add := func(key, value string) {
		if value != "" {
			found = append(found, timeline.Attr{Key: key, Value: strings.ToValidUTF8(value, "\uFFFD"), Type: 's'})
		}
	}
	if rest, ok := below(path, "/pods/"); ok {
		pod, file, _ := strings.Cut(rest, "/")
		container, _, ok := strings.Cut(file, "/")
		if names := strings.SplitN(pod, "_", 3); ok && len(names) == 3 {
			add("namespace", names[0])
			add("pod", names[1])
			add("pod_uid", names[2])
			add("container", container)
		}
	} else if rest, ok := below(path, "/log/containers/"); ok {
		names := strings.SplitN(strings.TrimSuffix(rest, ".log"), "_", 3)
		if dash := strings.LastIndexByte(names[len(names)-1], '-'); len(names) == 3 && dash > 0 {
			add("pod", names[0])
			add("namespace", names[1])
			add("container", names[2][:dash])
			add("container_id", names[2][dash+1:])
		}
	} else if rest, ok := below(path, "/overlay-containers/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		add("container_id", id)
	}
	return found
}
