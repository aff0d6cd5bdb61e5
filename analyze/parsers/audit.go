package parsers

import (
	"bytes"
	"context"
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/audit"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxAudit reads the logs of auditd. One event per audit event: all records
// of the same node, time and serial are merged.
//
//	rec_off/len  from the first to the last of the event's lines; where lines
//	             of other events lie between, attr spans lists the event's
//	             own as offset+length
//	rec_no       serial
//	user, uid    the account that acts: uid for system calls, the account that
//	             logs in for logins; attr auid is who logged in originally
//	event_code   name of the system call, or the record type
//
// Paths are made absolute with the CWD record. An execve's command line comes
// from its EXECVE records, quoted for a shell, or from PROCTITLE (attr
// cmdline_source) where the log has no EXECVE.
var linuxAudit = register(analyze.Parser{
	Name:    "linux_audit",
	Doc:     "auditd logs, the records of one event merged",
	Version: 1,
	Family:  "audit",
	Types:   []string{auditType},
	Match:   matchAudit,
	Parse:   parseAudit,
})

const auditType = "linux:audit:event"

func matchAudit(_ *evidence.Item, head []byte) bool {
	lines := textline.Of(head)
	total, good := 0, 0
	var h audit.Header
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if audit.ParseHeader(lines.Line, &h) {
			good++
		}
	}
	return good > 0 && 2*good >= total
}

func parseAudit(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	p := &auditEvents{out: out, host: src.Host, calls: audit.NewSyscalls()}
	records := audit.NewAssembler(p.event)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no audit record"}
	damage := newTextRecords(out)
	lines := textline.NewReader(src)
	var h audit.Header
	for lines.Next() {
		damage.damage(lines)
		switch {
		case len(lines.Line) == 0:
		case audit.ParseHeader(lines.Line, &h):
			records.Add(&h, lines.Offset, lines.Length, lines.Number)
		default:
			bad.add(lines)
		}
		if out.Err() != nil {
			return nil
		}
	}
	records.Flush()
	bad.end()
	return lines.Err()
}

// auditEvents makes a timeline event of each audit event.
type auditEvents struct {
	out   *timeline.Appender
	host  *analyze.Host
	calls *audit.Syscalls

	// Of the event at hand.
	ev      *timeline.Event
	call    auditCall
	paths   []auditPath
	cwd     []byte // decoded
	primary *audit.Record
	args    audit.Arguments
	execve  bool
	title   []byte // decoded PROCTITLE
	socket  audit.Sockaddr
	bound   bool // socket was read
	orphan  bool // has records of a system call without its SYSCALL

	scratch, message, sockbuf []byte
}

// auditPath is a PATH record.
type auditPath struct {
	name                []byte // as written
	quoted              bool
	kind                []byte // nametype
	inode, mode, owner  []byte
	ownerName           []byte
	item                int
	isParent, isCreated bool
}

// event is the Assembler's callback.
func (p *auditEvents) event(src *audit.Event) {
	p.reset()
	for i := range src.Records {
		p.record(&src.Records[i])
	}
	first, last := &src.Records[0], &src.Records[len(src.Records)-1]
	ev := p.out.Event(first.Offset, last.Offset+last.Length-first.Offset)
	p.ev = ev
	ev.Line, ev.RecNo = first.Line, int64(src.Serial&(1<<63-1))
	ev.DataType, ev.SourceShort, ev.SourceLong = auditType, "AUDIT", "Linux audit log"
	ev.TSDesc, ev.TSKind = "Event Observed", timeline.Observed
	if src.Sec < 9_000_000_000 {
		ev.SetNanos(src.Sec*1e9 + src.Millis*1e6)
		ev.TSPrec, ev.TZSrc = timeline.Millisecond, timeline.ZoneFormat
	}
	if len(src.Records) > 1 {
		ev.Flags |= timeline.Joined
	}
	if len(src.Node) > 0 && string(src.Node) != p.host.Name {
		p.out.AttrRaw("node", p.out.Intern(src.Node), 's')
	}
	p.message = p.message[:0]
	if p.call.present {
		p.systemCall()
	}
	if p.primary != nil {
		p.program(p.primary)
	}
	if p.orphan && !p.call.present {
		ev.Flags |= timeline.TruncatedRec
		p.remains(src)
	}
	p.recordTypes(src)
	p.spans(src)
	ev.Message = p.out.Text(p.message)
	if ev.Message == "" {
		ev.Message = p.out.Text(first.Type)
	}
}

func (p *auditEvents) reset() {
	p.call = auditCall{}
	p.paths = p.paths[:0]
	p.cwd, p.title = p.cwd[:0], p.title[:0]
	p.primary, p.execve, p.bound, p.orphan = nil, false, false, false
	p.args.Reset()
}

// record sorts one record of the event.
func (p *auditEvents) record(r *audit.Record) {
	switch string(r.Type) {
	case "SYSCALL":
		if !p.call.present {
			p.call.read(r)
		}
		return
	case "EXECVE":
		p.execve = true
		p.args.Add(r.Body)
	case "CWD":
		p.cwd = p.decodeField(p.cwd[:0], r.Body, "cwd")
	case "PATH":
		p.addPath(r)
	case "PROCTITLE":
		p.title = p.decodeField(p.title[:0], r.Body, "proctitle")
	case "SOCKADDR":
		if value, ok := fieldOf(r.Body, "saddr"); ok {
			if cap(p.sockbuf) < len(value.Value) {
				p.sockbuf = make([]byte, 0, len(value.Value))
			}
			p.socket, p.bound = audit.ParseSockaddr(value.Value, p.sockbuf)
		}
	case "EOE":
		return
	case "BPRM_FCAPS", "OBJ_PID", "IPC", "MMAP", "FD_PAIR", "SOCKETCALL", "CAPSET", "MQ_OPEN", "NETFILTER_PKT", "UNKNOWN[1420]":
	default:
		if p.primary == nil {
			p.primary = r
		}
		return
	}
	p.orphan = true
}

// maxPaths bounds the paths of one event; rename has 4.
const maxPaths = 64

func (p *auditEvents) addPath(r *audit.Record) {
	if len(p.paths) >= maxPaths {
		return
	}
	var path auditPath
	fields := audit.NewFields(r.Body)
	var f audit.Field
	for fields.Next(&f) {
		switch string(f.Key) {
		case "item":
			n, _ := parseInt(f.Value)
			path.item = int(n)
		case "name":
			path.name, path.quoted = f.Value, f.Quoted
		case "inode":
			path.inode = f.Value
		case "mode":
			path.mode = f.Value
		case "ouid":
			path.owner = f.Value
		case "nametype", "objtype":
			path.kind = f.Value
		}
	}
	path.isParent = string(path.kind) == "PARENT"
	path.isCreated = string(path.kind) == "CREATE"
	if f, ok := fieldOf(r.Enriched, "OUID"); ok {
		path.ownerName = f.Value
	}
	p.paths = append(p.paths, path)
}

// decodeField appends the decoded value of the field to dst.
func (p *auditEvents) decodeField(dst, body []byte, key string) []byte {
	if f, ok := fieldOf(body, key); ok {
		return audit.Decode(dst, f.Value, f.Quoted)
	}
	return dst
}

func fieldOf(body []byte, key string) (f audit.Field, ok bool) {
	fields := audit.NewFields(body)
	for fields.Next(&f) {
		if string(f.Key) == key {
			return f, true
		}
	}
	return f, false
}

// maxSpans bounds the list of an event's lines.
const maxSpans = 256

// spans lists the event's lines where they are not one piece.
func (p *auditEvents) spans(src *audit.Event) {
	var b []byte
	pieces := 0
	start, end := src.Records[0].Offset, src.Records[0].Offset
	put := func() {
		if pieces++; pieces > maxSpans {
			return
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, start, 10)
		b = append(b, '+')
		b = strconv.AppendInt(b, end-start, 10)
	}
	for i := range src.Records {
		r := &src.Records[i]
		if r.Offset != end {
			if b == nil {
				b = p.scratch[:0]
			}
			put()
			start = r.Offset
		}
		end = r.Offset + r.Length
	}
	if pieces > 0 {
		put()
		p.out.Attr("spans", b)
		p.scratch = b[:0]
	}
}

// recordTypes lists the types of an event of several records.
func (p *auditEvents) recordTypes(src *audit.Event) {
	if len(src.Records) < 2 {
		return
	}
	b := p.scratch[:0]
	for i := range src.Records {
		if i > 0 && bytes.Equal(src.Records[i].Type, src.Records[i-1].Type) {
			continue
		}
		if len(b) > 512 {
			break
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(b, src.Records[i].Type...)
	}
	p.out.AttrRaw("record_types", p.out.Intern(b), 's')
	p.scratch = b[:0]
}

// remains describes an event whose SYSCALL record is in another file or lost.
func (p *auditEvents) remains(src *audit.Event) {
	ev := p.ev
	ev.EventCode = p.out.Intern(src.Records[0].Type)
	ev.CWD = p.out.Intern(p.cwd)
	p.commandLine(p.execve)
	p.files("")
	p.message = append(p.message, "records without their system call:"...)
	switch {
	case ev.Cmdline != "":
		p.message = append(append(p.message, ' '), ev.Cmdline...)
	case ev.File != "":
		p.message = append(append(p.message, ' '), ev.File...)
	}
}
