package parsers

import (
	"bytes"
	"encoding/binary"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// maxHead bounds what is kept of one direction of a flow while a request or
// handshake is not yet whole.
const maxHead = 16 << 10

// stream follows one direction of a TCP flow as far as application records
// need it: bytes in order, a gap makes it begin anew.
type stream struct {
	began   bool
	next    uint32 // sequence number expected
	head    []byte // unfinished record
	headOff int64  // file offset of the packet the record begins in
	headLen int64
	headAt  int64
	timed   bool
	cut     bool // the record at hand lacks its end
}

// application looks for DNS, TLS and HTTP in a segment.
func (p *capture) application(f *flow, dir int, s *segment) {
	switch {
	case len(s.payload) == 0 || s.fragment:
		if s.tcp && s.syn {
			f.app[dir].next, f.app[dir].began = s.seq+1, true
		}
	case s.proto == layers.IPProtocolUDP && (s.srcPort == 53 || s.dstPort == 53 || s.srcPort == 5353 || s.srcPort == 5355 || s.dstPort == 5355):
		p.dnsMessage(f, s, s.payload)
	case s.tcp:
		p.segment(f, dir, s)
	}
}

// segment puts a TCP segment behind what came before it.
func (p *capture) segment(f *flow, dir int, s *segment) {
	st := &f.app[dir]
	data := s.payload
	if st.began {
		switch behind := int32(st.next - s.seq); {
		case behind >= int32(len(data)):
			return // seen before
		case behind > 0:
			data = data[behind:]
		case behind < 0: // bytes are missing: what was begun will not be finished
			p.unfinished(f, st)
		}
	}
	st.began, st.next = true, s.seq+uint32(len(s.payload))
	dns := f.port[1] == 53 || f.port[0] == 53
	if !dns && len(st.head) == 0 {
		if !looksHTTP(data) && !looksTLS(data) {
			return
		}
	}
	if len(st.head) == 0 {
		st.headOff, st.headLen, st.headAt, st.timed = s.pkt.Offset, s.pkt.Length, s.pkt.Time, s.pkt.HasTime
	}
	st.head = append(st.head, data[:min(len(data), maxHead-len(st.head))]...)
	if dns {
		p.dnsStream(f, st, s)
		return
	}
	if p.record(f, st) || len(st.head) >= maxHead {
		st.head = st.head[:0]
	}
}

// unfinished reports what is there of a record whose end is not.
func (p *capture) unfinished(f *flow, st *stream) {
	if len(st.head) == 0 {
		return
	}
	st.cut = true
	if looksTLS(st.head) || looksHTTP(st.head) {
		p.record(f, st)
	}
	st.head, st.cut = st.head[:0], false
}

// record reports whether the bytes at hand are done with: a whole record was
// found, or none can be.
func (p *capture) record(f *flow, st *stream) bool {
	if looksTLS(st.head) {
		return p.clientHello(f, st)
	}
	end := bytes.Index(st.head, []byte("\r\n\r\n"))
	if end < 0 && len(st.head) < maxHead && !st.cut {
		return false
	}
	if end < 0 {
		end = len(st.head)
	}
	p.httpRequest(f, st, st.head[:end])
	return true
}

// at begins an event at the packet in which a record began.
func (p *capture) at(f *flow, st *stream, dataType string) *timeline.Event {
	ev := p.out.Event(st.headOff, st.headLen)
	ev.DataType = dataType
	if st.timed {
		ev.SetNanos(st.headAt)
	}
	if st.cut {
		ev.Flags |= timeline.TruncatedRec
	}
	p.endpoints(ev, f)
	if st == &f.app[1] {
		ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = ev.DstIP, ev.SrcIP, ev.DstPort, ev.SrcPort
	}
	return ev
}

var httpMethods = [][]byte{
	[]byte("GET "), []byte("POST "), []byte("PUT "), []byte("HEAD "), []byte("DELETE "), []byte("OPTIONS "),
	[]byte("PATCH "), []byte("CONNECT "), []byte("TRACE "), []byte("PROPFIND "), []byte("MKCOL "), []byte("MOVE "),
}

func looksHTTP(b []byte) bool {
	for _, m := range httpMethods {
		if bytes.HasPrefix(b, m) {
			return true
		}
	}
	return false
}

// httpRequest reports one request: RFC 9112, request line and fields.
func (p *capture) httpRequest(f *flow, st *stream, head []byte) {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := cutLast(rest, ' ')
	if !ok || !bytes.HasPrefix(version, []byte("HTTP/")) {
		return
	}
	host := headerField(fields, "host")
	ev := p.at(f, st, typeHTTP)
	ev.TSDesc, ev.Action = "Request Sent", "http-request"
	switch {
	case bytes.Contains(target, []byte("://")) || len(host) == 0:
		ev.URL = p.out.Text(target)
	default:
		ev.URL = p.out.Text(append(append([]byte("http://"), host...), target...))
	}
	ev.Domain = p.out.Intern(hostOnly(host))
	ev.Message = p.out.Join(p.out.Text(method), " ", ev.URL)
	p.out.Attr("method", method)
	p.out.Attr("version", version)
	for _, name := range []string{"user-agent", "referer", "content-type", "content-length", "authorization", "cookie", "x-forwarded-for"} {
		v := headerField(fields, name)
		if len(v) == 0 {
			continue
		}
		if name == "authorization" || name == "cookie" {
			v = []byte("present") // secrets stay in the capture
		}
		p.out.Attr(name, v)
	}
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
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
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

// looksTLS reports a handshake record that begins with a ClientHello: RFC
// 8446, section 5.1.
func looksTLS(b []byte) bool {
	return len(b) >= 6 && b[0] == 22 && b[1] == 3 && b[2] <= 4 && b[5] == 1
}

// clientHello reports the server name of a TLS handshake. It returns false
// while the record is not whole.
func (p *capture) clientHello(f *flow, st *stream) bool {
	b := st.head
	n := int(binary.BigEndian.Uint16(b[3:]))
	if len(b) < 5+n && len(b) < maxHead && !st.cut {
		return false
	}
	body := b[5:min(5+n, len(b))]
	h, ok := parseClientHello(body)
	if !ok {
		if st.cut {
			return true
		}
		p.out.Problem(evidence.Corrupt, st.headOff, st.headLen, "TLS ClientHello does not hold together")
		return true
	}
	ev := p.at(f, st, typeTLS)
	ev.TSDesc, ev.Action = "Handshake Begun", "tls-handshake"
	ev.Domain = p.out.Intern(bytes.ToLower(h.name))
	name := ev.Domain
	if name == "" {
		name = "(no server name)"
	}
	ev.Message = p.out.Join("TLS handshake with ", name)
	p.out.AttrStr("version", h.version())
	if len(h.alpn) > 0 {
		p.out.Attr("alpn", h.alpn)
	}
	return true
}

// hello is what of a ClientHello is reported.
type hello struct {
	legacy uint16
	best   uint16 // from supported_versions
	name   []byte
	alpn   []byte // comma separated
}

func (h hello) version() string {
	v := h.legacy
	if h.best > v {
		v = h.best
	}
	switch v {
	case 0x0300:
		return "SSL 3.0"
	case 0x0301:
		return "TLS 1.0"
	case 0x0302:
		return "TLS 1.1"
	case 0x0303:
		return "TLS 1.2"
	case 0x0304:
		return "TLS 1.3"
	}
	return "unknown"
}

// parseClientHello reads RFC 8446, section 4.1.2: type(1) length(3)
// version(2) random(32) session<0..32> suites<2..> compression<1..>
// extensions<..>.
func parseClientHello(b []byte) (h hello, ok bool) {
	if len(b) < 38 {
		return h, false
	}
	h.legacy = binary.BigEndian.Uint16(b[4:])
	b = b[38:]
	for _, width := range []int{1, 2, 1} { // session, suites, compression
		_, rest, ok := vector(b, width)
		if !ok {
			return h, false
		}
		b = rest
	}
	ext, _, _ := vectorAny(b, 2)
	for len(ext) >= 4 {
		kind := binary.BigEndian.Uint16(ext)
		value, rest, ok := vector(ext[2:], 2)
		if !ok {
			break // the rest lies behind a cut
		}
		h.extension(kind, value)
		ext = rest
	}
	return h, true
}

func (h *hello) extension(kind uint16, v []byte) {
	switch kind {
	case 0: // server_name, RFC 6066
		list, _, _ := vectorAny(v, 2)
		if len(list) > 3 && list[0] == 0 {
			if name, _, ok := vector(list[1:], 2); ok {
				h.name = name
			}
		}
	case 16: // application_layer_protocol_negotiation, RFC 7301
		list, _, _ := vectorAny(v, 2)
		for len(list) > 1 {
			name, rest, ok := vector(list, 1)
			if !ok {
				break
			}
			if len(h.alpn) > 0 {
				h.alpn = append(h.alpn, ',')
			}
			h.alpn = append(h.alpn, name...)
			list = rest
		}
	case 43: // supported_versions; GREASE values end in 0x0a
		list, _, _ := vectorAny(v, 1)
		for ; len(list) >= 2; list = list[2:] {
			if n := binary.BigEndian.Uint16(list); n > h.best && n <= 0x0304 {
				h.best = n
			}
		}
	}
}

// vector splits off a field whose length stands before it in width bytes.
func vector(b []byte, width int) (v, rest []byte, ok bool) {
	v, rest, whole := vectorAny(b, width)
	return v, rest, whole
}

// vectorAny is vector that keeps what is there of a field that is cut short.
func vectorAny(b []byte, width int) (v, rest []byte, whole bool) {
	if len(b) < width {
		return nil, nil, false
	}
	n := int(b[0])
	if width == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	b = b[width:]
	if n > len(b) {
		return b, nil, false
	}
	return b[:n], b[n:], true
}

// dnsStream reads DNS over TCP: messages with a length in front, RFC 1035
// section 4.2.2.
func (p *capture) dnsStream(f *flow, st *stream, s *segment) {
	for len(st.head) >= 2 {
		n := int(binary.BigEndian.Uint16(st.head))
		if len(st.head) < 2+n {
			if 2+n > maxHead {
				st.head = st.head[:0]
			}
			return
		}
		p.dnsMessage(f, s, st.head[2:2+n])
		st.head = append(st.head[:0], st.head[2+n:]...)
	}
}

// dnsMessage reports one DNS message, RFC 1035.
func (p *capture) dnsMessage(f *flow, s *segment, payload []byte) {
	if !p.decodeDNS(payload) {
		p.out.Problem(evidence.Corrupt, s.pkt.Offset, s.pkt.Length, "DNS message does not hold together")
		return
	}
	d := &p.dns
	if len(d.Questions) == 0 && len(d.Answers) == 0 {
		return
	}
	ev := p.out.Event(s.pkt.Offset, s.pkt.Length)
	ev.DataType, ev.Action, ev.TSDesc = typeDNS, "dns-query", "Query Sent"
	if s.pkt.HasTime {
		ev.SetNanos(s.pkt.Time)
	}
	p.endpoints(ev, f)
	if s.src != f.addr[0] || s.srcPort != f.port[0] {
		ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = ev.DstIP, ev.SrcIP, ev.DstPort, ev.SrcPort
	}
	var name, kind string
	if len(d.Questions) > 0 {
		q := d.Questions[0]
		ev.Domain = p.out.Intern(bytes.ToLower(q.Name))
		name, kind = ev.Domain, q.Type.String()
	} else {
		ev.Domain = p.out.Intern(bytes.ToLower(d.Answers[0].Name))
		name, kind = ev.Domain, d.Answers[0].Type.String()
	}
	p.out.AttrStr("qtype", kind)
	p.out.AttrInt("id", int64(d.ID))
	if !d.QR {
		ev.Message = p.out.Join("DNS query ", kind, " ", name)
		return
	}
	ev.Action, ev.TSDesc, ev.EventCode = "dns-answer", "Answer Sent", p.out.Str(d.ResponseCode.String())
	ev.Outcome = "success"
	if d.ResponseCode != layers.DNSResponseCodeNoErr {
		ev.Outcome = "failure"
	}
	answers := p.answers()
	ev.Message = p.out.Join("DNS answer ", kind, " ", name, ": ", ev.EventCode, " ", answers)
	p.out.AttrStr("answers", answers)
}

// answers lists the answer section as text.
func (p *capture) answers() string {
	var b []byte
	for i := range p.dns.Answers {
		if i > 0 {
			b = append(b, ' ')
		}
		a := &p.dns.Answers[i]
		switch a.Type {
		case layers.DNSTypeA, layers.DNSTypeAAAA:
			b = append(b, a.IP.String()...)
		case layers.DNSTypeCNAME:
			b = append(b, a.CNAME...)
		case layers.DNSTypeNS:
			b = append(b, a.NS...)
		case layers.DNSTypePTR:
			b = append(b, a.PTR...)
		case layers.DNSTypeMX:
			b = append(b, a.MX.Name...)
		case layers.DNSTypeTXT:
			b = append(append(append(b, '"'), bytes.Join(a.TXTs, []byte(" "))...), '"')
		default:
			b = append(b, a.Type.String()...)
		}
		if len(b) > 4096 {
			b = append(b, "…"...)
			break
		}
	}
	return p.out.Text(b)
}

// decodeDNS decodes under a guard: the library's decoders have panicked on
// hostile messages.
func (p *capture) decodeDNS(payload []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			p.dns, ok = layers.DNS{}, false
		}
	}()
	return p.dns.DecodeFromBytes(payload, gopacket.NilDecodeFeedback) == nil
}
