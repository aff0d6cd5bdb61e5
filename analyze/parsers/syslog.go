package parsers

import (
	"bytes"
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/syslog"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxSyslog reads the files that syslog daemons write: auth.log, secure,
// syslog, messages, kern.log, cron, mail. One event per line; lines without a
// time are joined to the line before them.
//
//	ts        the time of the line; a year that is left out is inferred and
//	          year_src says from what; a zone that is left out is the host's
//	message   what follows the program
//	attrs     reporter (program), hostname (as written, when it is not the
//	          host's), severity, facility, msgid, structured_data, repeated
//
// The host name in a line is the sender's word. Messages of login,
// privilege, account and service programs are read by package authmsg; those
// of mail, FTP, DNS, web and database servers, Samba, Fail2ban, Snoopy, Sysmon
// for Linux and the packet filter by the tables of serviceMessages.
var linuxSyslog = register(analyze.Parser{
	Name:    "linux_syslog",
	Doc:     "lines of syslog files: RFC 3164, RFC 5424 and RFC 3339 forms",
	Version: 3,
	Family:  "text",
	Types: append([]string{
		authmsg.Line, authmsg.Sshd, authmsg.Sudo, authmsg.Su, authmsg.Cron,
		authmsg.Account, authmsg.Systemd, authmsg.Kernel, authmsg.Login,
	}, serviceTypes...),
	Match: matchSyslog,
	Parse: parseSyslog,
})

// headLines is how many lines decide what a text file is.
const headLines = 40

// matchSyslog wants half of the first lines to have a time and a program.
func matchSyslog(_ *evidence.Item, head []byte) bool {
	if bytes.IndexByte(head[:min(len(head), 16)], 0) >= 0 || yumLines.matches(head) {
		return false
	}
	lines := textline.Of(head)
	total, good := 0, 0
	var r syslog.Record
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if syslog.Parse(lines.Line, &r) && isSyslog(&r) {
			good++
		}
	}
	return good > 0 && 2*good >= total
}

// isSyslog tells a syslog line from another program's log line with a time.
func isSyslog(r *syslog.Record) bool {
	switch {
	case r.RFC5424:
		return true
	case syslog.LastRepeated(r.Message) > 0, bytes.HasPrefix(r.Message, []byte("-- MARK --")):
		return true
	case bytes.IndexByte(r.Program, '@') >= 0 && bytes.Contains(r.Program, []byte(":[")):
		return false // PostgreSQL's "HOST(PORT):USER@DATABASE:[PID]:LEVEL:"
	case bytes.HasPrefix(r.Program, []byte("[")):
		return false // PostgreSQL's "[PID]: [LINE-1]"
	case r.Program == nil:
		return r.Priority != syslog.None
	}
	// Application logs write "2026-11-23 06:05:19,123 word word:".
	plain := r.Time.Year != 0 && !r.Time.Zoned
	return !plain || r.Host != nil && r.PID != syslog.None
}

func syslogStamp(line []byte, s *logtime.Stamp) bool {
	if len(line) > 0 && line[0] == '<' {
		var r syslog.Record
		if !syslog.Parse(line, &r) {
			return false
		}
		*s = r.Time
		return true
	}
	n := logtime.Parse(line, s)
	return n > 0 && (n == len(line) || line[n] == ' ' || line[n] == ':')
}

func parseSyslog(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	times := newLogTimes(src.Host)
	content, err := times.open(src, out, syslogStamp)
	if err != nil {
		return err
	}
	p := syslogEvents{out: out, host: src.Host, times: times, records: newTextRecords(out), values: newLineValues(out)}
	lines := textline.NewReader(content)
	for lines.Next() {
		p.records.damage(lines)
		switch {
		case len(lines.Line) == 0:
		case syslog.Parse(lines.Line, &p.rec):
			p.event(lines)
		default:
			if !p.records.join(lines) {
				p.records.ev.DataType = authmsg.Line
			}
		}
		if out.Err() != nil {
			return nil
		}
	}
	p.records.finish()
	return lines.Err()
}

// syslogEvents makes events of lines.
type syslogEvents struct {
	out     *timeline.Appender
	host    *analyze.Host
	times   *logTimes
	records textRecords
	rec     syslog.Record
	said    authmsg.Fields
	values  lineValues
}

func (p *syslogEvents) event(l *textline.Reader) {
	out, r := p.out, &p.rec
	ev := p.records.begin(l)
	p.times.set(ev, out, &r.Time, r.TimeText, l.Offset)
	ev.Message = out.Text(r.Message)
	if ev.Message == "" {
		ev.Message = out.Text(l.Line)
	}
	if r.PID != syslog.None {
		ev.PID = r.PID
	}
	if len(r.Program) > 0 {
		out.AttrRaw("reporter", out.Intern(r.Program), 's')
	}
	if len(r.Host) > 0 && string(r.Host) != p.host.Name {
		out.AttrRaw("hostname", out.Intern(r.Host), 's')
	}
	p.extras(ev)
	p.interpret(ev)
}

// extras adds what only some forms have.
func (p *syslogEvents) extras(ev *timeline.Event) {
	out, r := p.out, &p.rec
	if r.Priority != syslog.None {
		ev.Channel = syslog.Facility(r.Priority)
		out.AttrRaw("severity", syslog.Severity(r.Priority), 's')
	}
	if len(r.Level) > 0 {
		out.AttrRaw("severity", out.Intern(r.Level), 's')
	}
	if len(r.MsgID) > 0 {
		out.Attr("msgid", r.MsgID)
	}
	if len(r.Data) > 0 {
		out.Attr("structured_data", r.Data)
	}
}

// interpret reads the message by the grammar of its program.
func (p *syslogEvents) interpret(ev *timeline.Event) {
	out, msg := p.out, p.rec.Message
	if n, inner, ok := authmsg.Repeated(msg); ok {
		out.AttrInt("repeated", n)
		msg = inner
	} else if n := syslog.LastRepeated(msg); n > 0 {
		out.AttrInt("repeated", n)
	}
	known := authmsg.Parse(p.rec.Program, msg, &p.said)
	ev.DataType = p.said.DataType
	if !known {
		if m := serviceOf(p.rec.Program); m != nil {
			ev.DataType = m.dataType
			m.read(ev, &p.values, p.host, msg)
		}
		return
	}
	applyMessage(ev, out, &p.said)
	if ev.User == "" && ev.UID != timeline.None {
		ev.User = out.Str(userName(p.host, ev.UID))
	}
}
