package parsers

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Bounds of HTTP.
const (
	maxHTTPHead    = 32 << 10 // request or status line and fields
	maxHTTPLine    = 4 << 10  // line of a chunked body
	maxHTTPPending = 64       // requests without their response
)

// httpTalk reads HTTP/1.x, RFC 9112: heads are kept, bodies passed over. A
// response belongs to the oldest request that has none; behind bytes that are
// missing nobody knows any more, and both are reported apart.
type httpTalk struct {
	client   int // the side that asks
	expects  [2]httpPart
	scanned  [2]int // bytes of an unfinished head in which its end is not
	pending  []httpHead
	unpaired bool
}

// httpPart is what comes next in one direction.
type httpPart int

const (
	partHead httpPart = iota
	partChunk
	partTrailer
)

// httpHead is a request or response as it was sent.
type httpHead struct {
	text []byte
	from []mark
	cut  bool // its end is missing
}

func (t *httpTalk) begins(b []byte) bool { return looksHTTP(b) || looksHTTPResponse(b) }

func (t *httpTalk) data(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	for !c.over && !h.done {
		b := h.bytes()
		if len(b) == 0 {
			return
		}
		switch t.expects[dir] {
		case partHead:
			if n := leadingBreaks(b); n > 0 { // RFC 9112, section 2.2
				h.take(int64(n))
				continue
			}
			end := headEnd(b, t.scanned[dir])
			if end < 0 && len(b) < maxHTTPHead {
				t.scanned[dir] = max(0, len(b)-3)
				return
			}
			t.scanned[dir] = 0
			head := httpHead{cut: end < 0}
			if end < 0 {
				end = len(b)
			}
			head.text, head.from = bytes.TrimRight(b[:end], "\r\n"), h.origin(end)
			h.take(int64(end)) // what is taken stays where it is until all is read
			body, ok := t.head(p, c, dir, &head)
			if c.over {
				return
			}
			if !ok {
				h.clear()
				p.lose(c, dir, 0)
				return
			}
			h.take(body)
		case partChunk, partTrailer:
			line, ok := nextLine(b)
			if !ok {
				if len(b) > maxHTTPLine {
					p.lose(c, dir, 0)
				}
				return
			}
			h.take(int64(len(line)))
			if !t.bodyLine(h, dir, bytes.TrimRight(line, "\r\n")) {
				p.lose(c, dir, 0)
				return
			}
		}
	}
}

// bodyLine reads a line between chunks; false where it makes no sense.
func (t *httpTalk) bodyLine(h *half, dir int, line []byte) bool {
	if t.expects[dir] == partTrailer {
		if len(line) == 0 {
			t.expects[dir] = partHead
		}
		return true
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 62)
	switch {
	case err != nil:
		return false
	case n == 0:
		t.expects[dir] = partTrailer
	default:
		h.take(int64(n) + 2) // the data and the line break behind it
	}
	return true
}

func leadingBreaks(b []byte) int {
	return len(b) - len(bytes.TrimLeft(b, "\r\n"))
}

func nextLine(b []byte) (line []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	return b[:i+1], i >= 0
}

// headEnd returns where the body begins, -1 while it is not known. from is
// where to look.
func headEnd(b []byte, from int) int {
	for i := from; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if rest := bytes.TrimPrefix(b[i:], []byte("\r")); len(rest) > 0 && rest[0] == '\n' {
			return len(b) - len(rest) + 1
		}
	}
	return -1
}

// head takes a whole head and returns the length of what follows as far as it
// is known; ok is false where it is none.
func (t *httpTalk) head(p *capture, c *conversation, dir int, head *httpHead) (body int64, ok bool) {
	line, fields, _ := bytes.Cut(head.text, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if dir == t.client {
		if _, _, _, ok := requestLine(line); !ok {
			return 0, false
		}
		head.text, head.from = bytes.Clone(head.text), slices.Clone(head.from)
		if t.unpaired || len(t.pending) >= maxHTTPPending {
			t.unpaired = true
			t.flush(p, c)
			p.httpRow(c.flow, dir, head, nil)
		} else {
			t.pending = append(t.pending, *head)
			c.extra += len(head.text) + 64*len(head.from)
		}
		return t.body(&c.half[dir], dir, fields, 0), true
	}
	code, ok := statusLine(line)
	if !ok {
		return 0, false
	}
	if code/100 == 1 && code != 101 {
		return 0, true // the response is yet to come
	}
	var asked *httpHead
	if len(t.pending) > 0 {
		asked = &t.pending[0]
	}
	tunnel := code == 101
	if asked == nil {
		p.httpRow(c.flow, dir, nil, head)
	} else {
		method, _, _ := bytes.Cut(asked.text, []byte(" "))
		tunnel = tunnel || string(method) == "CONNECT" && code/100 == 2
		if string(method) == "HEAD" {
			code = 204 // nothing follows
		}
		p.httpRow(c.flow, t.client, asked, head)
		c.extra -= len(asked.text) + 64*len(asked.from)
		t.pending = t.pending[1:]
	}
	if tunnel {
		p.leave(c)
		return 0, true
	}
	return t.body(&c.half[dir], dir, fields, code), true
}

// body returns how long the body is and says what comes in it: RFC 9112,
// section 6.3. code is 0 for requests.
func (t *httpTalk) body(h *half, dir int, fields []byte, code int) int64 {
	if code == 204 || code == 304 {
		return 0
	}
	if bytes.Contains(bytes.ToLower(headerField(fields, "transfer-encoding")), []byte("chunked")) {
		t.expects[dir] = partChunk
		return 0
	}
	if n, err := strconv.ParseUint(string(headerField(fields, "content-length")), 10, 62); err == nil {
		return int64(n)
	}
	h.done = code != 0 // until the connection ends
	return 0
}

func (t *httpTalk) gap(p *capture, c *conversation, dir int) {
	t.unfinished(p, c, dir)
	t.expects[dir], t.scanned[dir], t.unpaired = partHead, 0, true
	t.flush(p, c)
}

// unfinished reports a head whose end is missing.
func (t *httpTalk) unfinished(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	b := h.bytes()
	if len(b) == 0 || t.expects[dir] != partHead || h.lost {
		return
	}
	head := &httpHead{text: b, from: h.origin(len(b)), cut: true}
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if !whole {
		return
	}
	line = bytes.TrimRight(line, "\r")
	if _, _, _, ok := requestLine(line); ok && dir == t.client {
		p.httpRow(c.flow, dir, head, nil)
	} else if _, ok := statusLine(line); ok && dir != t.client {
		p.httpRow(c.flow, dir, nil, head)
	}
}

// flush reports the requests that have no response.
func (t *httpTalk) flush(p *capture, c *conversation) {
	for i := range t.pending {
		p.httpRow(c.flow, t.client, &t.pending[i], nil)
	}
	t.pending, c.extra = nil, 0
}

func (t *httpTalk) end(p *capture, c *conversation) {
	t.flush(p, c)
	for dir := range c.half {
		t.unfinished(p, c, dir)
	}
}

// requestLine splits method, target and version.
func requestLine(line []byte) (method, target, version []byte, ok bool) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok = cutLast(rest, ' ')
	return method, target, version, ok && len(method) > 0 && len(method) <= 32 && bytes.HasPrefix(version, []byte("HTTP/"))
}

// statusLine returns the code of a response.
func statusLine(line []byte) (code int, ok bool) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	if !looksHTTPResponse(version) || len(rest) < 3 {
		return 0, false
	}
	code, err := strconv.Atoi(string(rest[:3]))
	return code, err == nil && code >= 100 && code < 1000
}

// httpRow reports a request, its response, or both. dir is the side that sent
// the first of them.
func (p *capture) httpRow(f *flow, dir int, request, response *httpHead) {
	first := request
	if first == nil {
		first = response
	}
	ev := p.row(f, dir, first.from, typeHTTP)
	if first.cut {
		ev.Flags |= timeline.TruncatedRec
	}
	asked := "HTTP response"
	if request != nil {
		ev.TSDesc, ev.Action = "Request Sent", "http-request"
		asked = p.httpRequest(ev, request.text)
	} else {
		ev.TSDesc, ev.Action = "Response Sent", "http-response"
	}
	answer, answered := "", []mark(nil)
	if response != nil {
		answer = p.httpResponse(ev, response.text)
		if request != nil {
			if at := response.from[0]; at.timed && ev.TSState == timeline.TimeOK && at.time >= ev.TS {
				ev.TSEnd = at.time
			}
			p.out.AttrInt("response_packet", response.from[0].off)
			answered = response.from
		}
		if response.cut {
			ev.Flags |= timeline.TruncatedRec
		}
	}
	ev.Message = p.out.Join(asked, answer)
	p.link(f, first.from, answered)
}

// httpRequest fills what the request says and returns it as text.
func (p *capture) httpRequest(ev *timeline.Event, head []byte) string {
	line, fields, _ := bytes.Cut(head, []byte("\n"))
	method, target, version, _ := requestLine(bytes.TrimRight(line, "\r"))
	host := headerField(fields, "host")
	if bytes.Contains(target, []byte("://")) || len(host) == 0 || string(method) == "CONNECT" {
		ev.URL = p.out.Text(target)
	} else {
		ev.URL = p.out.Text(slices.Concat([]byte("http://"), host, target))
	}
	ev.Domain = p.out.Intern(hostOnly(host))
	p.out.Attr("method", method)
	p.out.Attr("version", version)
	for _, name := range []string{"user-agent", "referer", "content-type", "content-length", "authorization", "cookie", "x-forwarded-for"} {
		v := headerField(fields, name)
		if len(v) == 0 {
			continue
		}
		if name == "authorization" {
			ev.User = p.out.Intern(basicUser(v))
		}
		if name == "authorization" || name == "cookie" {
			v = []byte("present") // secrets stay in the capture
		}
		p.out.Attr(name, v)
	}
	return p.out.Join(p.out.Text(method), " ", ev.URL)
}

// basicUser returns the account of basic authentication, RFC 7617.
func basicUser(v []byte) []byte {
	scheme, code, _ := bytes.Cut(v, []byte(" "))
	if !bytes.EqualFold(scheme, []byte("basic")) {
		return nil
	}
	text, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(code)))
	if err != nil {
		return nil
	}
	user, _, ok := bytes.Cut(text, []byte(":"))
	if !ok {
		return nil
	}
	return user
}

// httpResponse does the same for the response.
func (p *capture) httpResponse(ev *timeline.Event, head []byte) string {
	line, fields, _ := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	code, _ := statusLine(line)
	ev.EventCode = p.out.Int(int64(code))
	ev.Outcome = "success"
	if code >= 400 {
		ev.Outcome = "failure"
	}
	_, reason, _ := bytes.Cut(line, []byte(" "))
	p.out.AttrInt("status", int64(code))
	_, phrase, _ := bytes.Cut(reason, []byte(" "))
	p.out.Attr("reason", phrase)
	for _, f := range [...]struct{ field, attr string }{
		{"content-type", "response_type"},
		{"content-length", "response_length"},
		{"server", "server"},
		{"location", "location"},
		{"content-disposition", "content_disposition"},
	} {
		if v := headerField(fields, f.field); len(v) > 0 {
			p.out.Attr(f.attr, v)
		}
	}
	return p.out.Join(": ", p.out.Text(reason))
}

func cutLast(b []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

// headerField returns the first value of a field.
func headerField(fields []byte, name string) []byte {
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\n"))
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// hostOnly takes the port off a Host field.
func hostOnly(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i > 0 && !bytes.Contains(host[i:], []byte("]")) {
		host = host[:i]
	}
	return bytes.ToLower(host)
}
