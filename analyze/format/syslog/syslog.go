// Package syslog reads single lines of syslog files: the traditional form of
// RFC 3164 (no year, no zone) with the variants that exist on disk, the
// RFC 3339 stamps that rsyslog and sysklogd write today, RFC 5424, all with or
// without <PRI>, and the severity words of Chrome OS.
//
// On disk a line is rarely what the RFCs describe: the priority is left out,
// the host may be missing, and what follows the program may lack its colon.
// Parse therefore asks for a time and takes what else it can recognise.
package syslog

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
)

// None marks an integer that the line does not state.
const None = -1

// Record is one line. Byte fields are parts of the line.
type Record struct {
	Time     logtime.Stamp
	TimeText []byte // the time as written
	Priority int    // 0 to 191: facility*8 + severity; None when left out
	RFC5424  bool
	Host     []byte // as written by the sender; nil when left out
	Level    []byte // severity word in the place of the host, Chrome OS
	Program  []byte // nil when the line names none
	PID      int64  // None when left out
	MsgID    []byte // RFC 5424, nil for "-"
	Data     []byte // RFC 5424 structured data, nil for "-"
	Message  []byte
}

// Parse reads one line and reports whether it begins with a time, behind an
// optional priority.
func Parse(line []byte, r *Record) bool {
	*r = Record{Priority: None, PID: None}
	b, versioned := r.priority(line)
	if len(b) == 0 {
		return false
	}
	n := logtime.Parse(b, &r.Time)
	if n == 0 || n < len(b) && b[n] != ' ' && b[n] != ':' {
		return false
	}
	r.TimeText = b[:n]
	b = b[n:]
	if len(b) > 0 && b[0] == ':' { // Cisco writes one behind the time
		b = b[1:]
	}
	b = trimLeft(b)
	if versioned {
		r.RFC5424 = true
		r.header5424(b)
		return true
	}
	r.header3164(b)
	return true
}

// priority reads "<PRI>" and RFC 5424's version behind it.
func (r *Record) priority(b []byte) (rest []byte, versioned bool) {
	if len(b) < 4 || b[0] != '<' {
		return b, false
	}
	n, i := 0, 1
	for i < len(b) && i < 4 && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + int(b[i]-'0')
		i++
	}
	if i == 1 || i >= len(b) || b[i] != '>' || n > 191 {
		return b, false
	}
	r.Priority = n
	b = b[i+1:]
	if len(b) > 2 && b[0] == '1' && b[1] == ' ' {
		return b[2:], true
	}
	return b, false
}

// header5424 reads HOSTNAME APP-NAME PROCID MSGID SD [MSG].
func (r *Record) header5424(b []byte) {
	var field [4][]byte
	for i := range field {
		field[i], b = word(b)
		if len(field[i]) == 1 && field[i][0] == '-' {
			field[i] = nil
		}
	}
	r.Host, r.Program, r.MsgID = field[0], field[1], field[3]
	if pid, ok := digits(field[2]); ok {
		r.PID = pid
	}
	if n := structuredData(b); n > 0 {
		if b[0] == '[' {
			r.Data = b[:n]
		}
		b = b[n:]
	}
	b = trimLeft(b)
	r.Message = bytes.TrimPrefix(b, utf8BOM)
}

// utf8BOM may stand in front of an RFC 5424 message; never written to.
var utf8BOM = []byte("\xef\xbb\xbf")

// structuredData returns the length of "-" or of [id name="value"...]..., 0
// when b is neither.
func structuredData(b []byte) int {
	if len(b) > 0 && b[0] == '-' && (len(b) == 1 || b[1] == ' ') {
		return 1
	}
	at := 0
	for at < len(b) && b[at] == '[' {
		quoted, end := false, -1
		for i := at + 1; i < len(b); i++ {
			switch b[i] {
			case '\\':
				if quoted {
					i++
				}
			case '"':
				quoted = !quoted
			case ']':
				if !quoted {
					end = i
				}
			}
			if end >= 0 {
				break
			}
		}
		if end < 0 {
			return at
		}
		at = end + 1
	}
	return at
}

// header3164 reads [HOST] [PROGRAM[PID]:] MESSAGE.
func (r *Record) header3164(b []byte) {
	first, rest := word(b)
	switch {
	case len(first) == 0:
		r.Message = b
		return
	case level(first):
		r.Level = first
	case first[len(first)-1] == ':' || first[len(first)-1] == ']' && first[0] != '[':
		r.tag(b) // no host: the program comes first
		return
	case first[0] == '[':
		r.Message = b
		return
	default:
		r.Host = first
	}
	r.tag(trimLeft(rest))
}

// maxTag bounds the length of a program name. RFC 3164 says 32; real ones are
// longer.
const maxTag = 128

// tag reads PROGRAM[PID]: and the message behind it. Without such a tag all
// of b is the message.
func (r *Record) tag(b []byte) {
	r.Message = b
	start := 0
	if bytes.HasPrefix(b, rootLogin) {
		start = 3 // login's "-- root[12]: ROOT LOGIN ON tty1"
	}
	for i := start; i < len(b) && i < maxTag; i++ {
		switch b[i] {
		case ' ':
			return
		case ':':
			if i == 0 || i+1 < len(b) && b[i+1] != ' ' {
				continue // part of a name, as in "a:b:"
			}
			r.Program, r.Message = b[:i], oneSpace(b[i+1:])
			return
		case '[':
			if n := r.pid(b[i:]); n > 0 && i > 0 {
				r.Program, r.Message = b[:i], oneSpace(b[i+n:])
				return
			}
		}
	}
}

var rootLogin = []byte("-- root[") // never written to

// pid reads "[N]" and an optional colon and returns their length.
func (r *Record) pid(b []byte) int {
	end := bytes.IndexByte(b[:min(len(b), 14)], ']')
	if end < 2 {
		return 0
	}
	n, ok := digits(b[1:end])
	if !ok {
		return 0
	}
	end++
	if end < len(b) && b[end] == ':' {
		end++
	}
	r.PID = n
	return end
}

// oneSpace drops the space that separates a tag from its message.
func oneSpace(b []byte) []byte {
	if len(b) > 0 && b[0] == ' ' {
		return b[1:]
	}
	return b
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

func word(b []byte) (first, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

func digits(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// level knows the severity words that some loggers write where the host
// belongs.
func level(b []byte) bool {
	switch string(b) {
	case "EMERG", "ALERT", "CRIT", "ERR", "ERROR", "WARNING", "WARN", "NOTICE", "INFO", "DEBUG", "FATAL", "TRACE":
		return true
	}
	return false
}

// LastRepeated reads the old syslogd's "last message repeated N times" and
// returns N, 0 for any other message.
func LastRepeated(msg []byte) int64 {
	rest, ok := bytes.CutPrefix(msg, []byte("last message repeated "))
	if !ok {
		return 0
	}
	count, tail := word(rest)
	n, ok := digits(count)
	if !ok || !bytes.HasPrefix(tail, []byte("time")) {
		return 0
	}
	return n
}

var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

var severities = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Facility returns the keyword of a priority's facility, RFC 5424 table 1.
func Facility(priority int) string {
	if priority < 0 || priority/8 >= len(facilities) {
		return ""
	}
	return facilities[priority/8]
}

// Severity returns the keyword of a priority's severity, RFC 5424 table 2.
func Severity(priority int) string {
	if priority < 0 {
		return ""
	}
	return severities[priority%8]
}
