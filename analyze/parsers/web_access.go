package parsers

import (
	"bytes"
	"context"
	"net/netip"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// webAccess reads access logs of Apache, nginx and others in the Common Log
// Format and the forms made of it: combined (referer and user agent behind
// it), and a virtual host in front.
//
//	[VHOST:PORT] HOST IDENT USER [DAY/MONTH/YEAR:HH:MM:SS ZONE] "REQUEST" STATUS SIZE ["REFERER" "AGENT" …]
//
// Format: Apache's mod_log_config and the documentation of nginx's log_format.
// The request comes from the client and may have quotes of its own: it ends
// where a status follows.
var webAccess = register(analyze.Parser{
	Name:    "web_access",
	Doc:     "access logs of web servers: common and combined log format",
	Version: 1,
	Family:  "text",
	Types:   []string{"apache:access_log:entry"},
	Match:   matchWebAccess,
	Parse:   parseWebAccess,
})

func matchWebAccess(_ *evidence.Item, head []byte) bool {
	lines := textline.Of(head)
	total, good := 0, 0
	var r webRequest
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if r.read(lines.Line) {
			good++
		}
	}
	return good > 0 && 2*good >= total
}

// webRequest is a line taken apart.
type webRequest struct {
	vhost, host, ident, user        []byte
	time                            []byte
	stamp                           logtime.Stamp
	request, status, size           []byte
	quoted                          [2][]byte // referer, agent
	method, target, protocol, extra []byte
}

// read takes a line apart; false when it is none of such a log.
func (r *webRequest) read(line []byte) bool {
	*r = webRequest{}
	open := bytes.Index(line, []byte(" ["))
	if open < 0 {
		return false
	}
	n := logtime.Parse(line[open+2:], &r.stamp)
	end := open + 2 + n
	if n == 0 || r.stamp.Year == 0 || !r.stamp.Zoned || end+3 > len(line) || string(line[end:end+3]) != `] "` {
		return false
	}
	r.time = line[open+2 : end]
	if !r.client(line[:open]) {
		return false
	}
	rest := line[end+3:]
	at := requestEnd(rest)
	if at < 0 {
		return false
	}
	r.request = rest[:at]
	r.status, rest, _ = bytes.Cut(rest[at+2:], []byte(" "))
	r.size, rest, _ = bytes.Cut(rest, []byte(" "))
	for i := range r.quoted {
		if r.quoted[i], rest = quotedField(rest); r.quoted[i] == nil {
			break
		}
	}
	r.extra = rest
	if method, more, ok := bytes.Cut(r.request, []byte(" ")); ok && isMethod(method) {
		r.method, r.target = method, more
		if i := bytes.LastIndexByte(more, ' '); i >= 0 && bytes.HasPrefix(more[i+1:], []byte("HTTP/")) {
			r.target, r.protocol = more[:i], more[i+1:]
		}
	}
	return true
}

// client reads what stands before the time: three words, or four with the
// virtual host. A user's name may have spaces.
func (r *webRequest) client(b []byte) bool {
	word := bytes.SplitN(b, []byte(" "), 4)
	if len(word) < 3 {
		return false
	}
	if len(word) == 4 && !isAddress(word[0]) && (isAddress(word[1]) || bytes.IndexByte(word[0], ':') > 0) {
		r.vhost = word[0]
		word = append(word[1:3], bytes.SplitN(word[3], []byte(" "), 2)...)
		if len(word) < 4 { // VHOST HOST IDENT USER: the last is whole
			r.host, r.ident, r.user = word[0], word[1], word[2]
			return true
		}
	}
	r.host, r.ident = word[0], word[1]
	r.user = bytes.Join(word[2:], []byte(" "))
	return true
}

func isAddress(b []byte) bool {
	_, err := netip.ParseAddr(string(b))
	return err == nil
}

// requestEnd returns the place of the quote that ends the request: the first
// with a status of three digits behind it.
func requestEnd(b []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte(`" `))
		if i < 0 {
			return -1
		}
		i += from
		if s := b[i+2:]; len(s) >= 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2]) && (len(s) == 3 || s[3] == ' ') {
			return i
		}
		from = i + 1
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isMethod(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return c == '-' || c == '_'
		}
	}
	return len(b) > 0 && len(b) <= 32
}

// quotedField reads a quoted field, in which a backslash keeps a quote, and
// returns what follows; nil when there is none.
func quotedField(b []byte) (field, rest []byte) {
	if len(b) == 0 || b[0] != '"' {
		return nil, b
	}
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			i++
		case b[i] == '"' && (i+1 == len(b) || b[i+1] == ' '):
			return b[1:i], bytes.TrimPrefix(b[i+1:], []byte(" "))
		}
	}
	return nil, b
}

func parseWebAccess(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	times := newLogTimes(src.Host)
	records := newTextRecords(out)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no request"}
	lines := textline.NewReader(src)
	var r webRequest
	for lines.Next() {
		records.damage(lines)
		if len(lines.Line) == 0 {
			continue
		}
		if !r.read(lines.Line) {
			bad.add(lines)
			continue
		}
		ev := records.begin(lines)
		ev.DataType, ev.SourceShort, ev.SourceLong = "apache:access_log:entry", "WEBLOG", "web server access log"
		ev.TSDesc, ev.Action, ev.Category = "Recorded Time", "http-request", "web"
		times.set(ev, out, &r.stamp, r.time, lines.Offset)
		ev.Message = out.Text(lines.Line)
		r.fill(ev, out)
		if out.Err() != nil {
			return nil
		}
	}
	bad.end()
	return lines.Err()
}

// fill puts the parts of a line where they belong. "-" says nothing.
func (r *webRequest) fill(ev *timeline.Event, out *timeline.Appender) {
	stated := func(b []byte) bool { return len(b) > 0 && string(b) != "-" }
	if isAddress(r.host) {
		setAddress(out, &ev.SrcIP, &ev.SrcPort, r.host)
	} else if stated(r.host) {
		out.Attr("client_host", r.host)
	}
	if stated(r.user) && string(r.user) != `""` {
		ev.User = out.Intern(r.user)
	}
	if stated(r.vhost) {
		name, port, _ := bytes.Cut(r.vhost, []byte(":"))
		ev.Domain = out.Intern(name)
		setInt(&ev.DstPort, port)
	}
	ev.EventCode = out.Intern(r.status)
	ev.Outcome = "success"
	if r.status[0] >= '4' {
		ev.Outcome = "failure"
	}
	if r.method != nil {
		ev.URL = out.Text(cutText(r.target))
		out.AttrRaw("method", out.Intern(r.method), 's')
		if r.protocol != nil {
			out.AttrRaw("protocol", out.Intern(r.protocol), 's')
		}
	} else if stated(r.request) {
		out.Attr("request", cutText(r.request))
	}
	if n, ok := parseInt(r.size); ok {
		out.AttrInt("size", n)
	}
	for i, name := range [...]string{"referer", "user_agent"} {
		if stated(r.quoted[i]) {
			out.AttrRaw(name, out.Intern(cutText(r.quoted[i])), 's')
		}
	}
	if stated(r.ident) {
		out.Attr("ident", r.ident)
	}
	if stated(r.extra) {
		out.Attr("further", cutText(r.extra))
	}
}
