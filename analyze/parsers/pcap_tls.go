package parsers

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/quic"
	"github.com/exhibit-dfir/exhibit/analyze/format/tlswire"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Bounds of handshakes.
const (
	maxHandshake    = 64 << 10 // bytes of the messages of one side
	maxCertificates = 32       // of one handshake that become rows
)

// handshake is what the clear part of one says, over TCP or QUIC.
type handshake struct {
	client     int // the side that began it
	hello      *tlswire.ClientHello
	helloFrom  []mark
	cut        bool // the end of the client's offer is missing
	retried    bool // the server had the client begin again
	server     *tlswire.ServerHello
	serverFrom []mark
	certs      [][]byte
	certsFrom  []mark
	again      []byte // server name of a second offer that has another
	alert      string // the first fatal one
	transport  byte   // 't' or 'q'
	version    uint32 // of QUIC
	size       int    // bytes of the messages that hello and server point into
}

// tlsTalk reads records until what they hold is encrypted.
type tlsTalk struct {
	handshake
	side [2]tlsSide
}

func newTLS(client int) *tlsTalk {
	return &tlsTalk{handshake: handshake{client: client, transport: 't'}}
}

// tlsSide is the handshake messages of one side.
type tlsSide struct {
	messages []byte
	from     []mark
	total    int
	over     bool // the rest is encrypted, or of no use
}

func (t *tlsTalk) begins(b []byte) bool { return looksTLS(b) }

func (t *tlsTalk) data(p *capture, c *conversation, dir int) {
	h, side := &c.half[dir], &t.side[dir]
	for !side.over {
		kind, size, ok := tlswire.Record(h.bytes())
		if !ok {
			side.over = true
			break
		}
		if size == 0 || len(h.bytes()) < 5+size && kind != tlswire.RecordData {
			return
		}
		switch kind {
		case tlswire.RecordHandshake:
			from := h.origin(5 + size)
			t.messages(p, side, dir, h.bytes()[5:5+size], from)
		case tlswire.RecordAlert:
			t.alerted(h.bytes()[5 : 5+size])
		case tlswire.RecordChangeCipher:
			// A client that must begin again sends it for middle boxes.
			side.over = dir != t.client || !t.retried
		default:
			side.over = true
		}
		if side.over {
			break
		}
		h.take(int64(5 + size))
	}
	if side.over {
		h.done = true
	}
	if t.side[1-t.client].over {
		p.leave(c) // all that is in clear was there
		return
	}
	c.extra = t.weight()
	for i := range t.side {
		c.extra += cap(t.side[i].messages) + 64*cap(t.side[i].from)
	}
}

func (t *handshake) weight() int {
	n := t.size + 64*(len(t.helloFrom)+len(t.serverFrom)+len(t.certsFrom))
	if h := t.hello; h != nil {
		n += 1<<10 + 4*(len(h.Ciphers)+len(h.Extensions)+len(h.Groups)+len(h.Signatures)) + 24*len(h.ALPN)
	}
	if t.server != nil {
		n += 1<<10 + 2*len(t.server.Extensions)
	}
	for _, der := range t.certs {
		n += len(der)
	}
	return n
}

// messages adds the content of a record and reads the messages that are whole.
func (t *tlsTalk) messages(p *capture, side *tlsSide, dir int, b []byte, from []mark) {
	side.total += len(b)
	side.messages = append(side.messages, b...)
	for _, m := range from {
		if n := len(side.from); n == 0 || side.from[n-1].off != m.off {
			side.from = append(side.from, m)
		}
	}
	for !side.over {
		_, body, size := tlswire.Message(side.messages)
		if body == nil {
			side.over = size > maxHandshake
			break
		}
		t.message(p, side, dir, side.messages[0], body)
		side.messages = append(side.messages[:0], side.messages[size:]...)
		side.from = append(side.from[:0], from...) // what is left came with the last record
		if len(side.messages) == 0 {
			side.from = side.from[:0]
		}
	}
	side.over = side.over || side.total > maxHandshake
}

func (t *tlsTalk) message(p *capture, side *tlsSide, dir int, kind byte, body []byte) {
	switch {
	case kind == tlswire.TypeClientHello && dir == t.client:
		if t.hello != nil {
			// Again, after a retry or to mislead: what was asked first stays.
			if h, ok := tlswire.ParseClientHello(body); ok && !bytes.Equal(h.ServerName, t.hello.ServerName) {
				t.again = bytes.Clone(h.ServerName)
			}
			return
		}
		t.clientHello(p, body, side.from)
	case kind == tlswire.TypeServerHello && dir != t.client:
		if !t.serverHello(body, side.from) {
			side.over = true
		}
	case kind == tlswire.TypeCertificate && dir != t.client && t.certs == nil:
		der, whole := tlswire.Certificates(body)
		for _, d := range der[:min(len(der), maxCertificates)] {
			t.certs = append(t.certs, bytes.Clone(d))
		}
		t.certsFrom = slices.Clone(side.from)
		if !whole || len(der) > maxCertificates {
			p.out.Problem(evidence.Corrupt, side.from[0].off, side.from[0].length, "list of TLS certificates is not read to its end")
		}
	case kind == tlswire.TypeServerHelloDone && dir != t.client:
		side.over = true
	}
}

func (t *handshake) clientHello(p *capture, body []byte, from []mark) {
	h, ok := tlswire.ParseClientHello(bytes.Clone(body))
	if !ok {
		p.out.Problem(evidence.Corrupt, from[0].off, from[0].length, "TLS ClientHello does not hold together")
		return
	}
	t.hello, t.helloFrom = h, slices.Clone(from)
	t.size += len(body)
}

// serverHello is false where nothing more is to be had from the server.
func (t *handshake) serverHello(body []byte, from []mark) bool {
	h, ok := tlswire.ParseServerHello(bytes.Clone(body))
	if !ok {
		return false
	}
	if h.Retry {
		t.retried = true
		return true
	}
	if t.server == nil {
		t.server, t.serverFrom = h, slices.Clone(from)
		t.size += len(body)
	}
	return true
}

// alerted reads an alert: level(1) description(1), RFC 8446 section 6.
func (t *handshake) alerted(b []byte) {
	if len(b) == 2 && b[0] == 2 && t.alert == "" {
		t.alert = alertName(b[1])
	}
}

func alertName(code byte) string {
	if name, ok := alertNames[code]; ok {
		return name
	}
	return "alert " + string(rune('0'+code/100)) + string(rune('0'+code/10%10)) + string(rune('0'+code%10))
}

// alertNames are those of RFC 8446, section 6.2.
var alertNames = map[byte]string{
	10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure", 42: "bad_certificate",
	43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
	47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
	70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback",
	109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required",
	120: "no_application_protocol",
}

func (t *tlsTalk) gap(p *capture, c *conversation, dir int) {
	t.partial(p, c, dir)
	t.side[dir].over = true
	c.half[dir].done = true
	if dir != t.client {
		p.leave(c)
	}
}

// partial reads a ClientHello whose end is missing.
func (t *tlsTalk) partial(p *capture, c *conversation, dir int) {
	side, h := &t.side[dir], &c.half[dir]
	if dir != t.client || t.hello != nil || side.over || h.lost {
		return
	}
	b, from := side.messages, side.from
	if rest := h.bytes(); len(rest) > 5 {
		b = append(slices.Clone(b), rest[5:]...)
		from = append(slices.Clone(from), h.origin(len(rest))...)
	}
	if len(b) > 4 && b[0] == tlswire.TypeClientHello {
		if hello, ok := tlswire.ParseClientHello(bytes.Clone(b[4:])); ok {
			t.hello, t.helloFrom, t.cut = hello, slices.Clone(from), true
		}
	}
}

func (t *tlsTalk) end(p *capture, c *conversation) {
	t.partial(p, c, t.client)
	p.tlsRow(c.flow, &t.handshake)
}

// tlsRow reports a handshake, and each certificate in it.
func (p *capture) tlsRow(f *flow, t *handshake) {
	from, dir := t.helloFrom, t.client
	if t.hello == nil {
		from = t.serverFrom
	}
	if t.hello == nil && t.server == nil {
		return
	}
	ev := p.row(f, dir, from, typeTLS)
	ev.TSDesc, ev.Action = "Handshake Begun", "tls-handshake"
	if t.cut {
		ev.Flags |= timeline.TruncatedRec
	}
	version := uint16(0)
	if t.hello != nil {
		ev.Domain = p.out.Intern(bytes.ToLower(t.hello.ServerName))
		version = t.hello.Version()
	} else {
		ev.TSDesc = "Handshake Answered"
	}
	name := ev.Domain
	if name == "" {
		name = "(no server name)"
	}
	if t.server != nil {
		version = t.server.Version
		ev.Outcome = "success"
	}
	if t.alert != "" {
		ev.Outcome = "failure"
	}
	ev.Message = p.out.Join("TLS handshake with ", name)
	if !t.cut || t.server != nil {
		p.out.AttrStr("version", tlswire.VersionName(version))
	}
	if t.transport == 'q' {
		p.out.AttrStr("transport", "quic")
		p.out.AttrStr("quic_version", quic.VersionName(t.version))
	}
	if h := t.hello; h != nil {
		if len(h.ALPN) > 0 {
			p.out.Attr("alpn", bytes.Join(h.ALPN, []byte(",")))
		}
		if !t.cut { // of a part it would be another's
			p.out.AttrStr("ja3", h.JA3())
			p.out.AttrStr("ja4", h.JA4(t.transport))
		}
	}
	var answered []mark
	if s := t.server; s != nil {
		p.out.AttrStr("cipher", tlswire.CipherName(s.Cipher))
		p.out.AttrStr("ja3s", s.JA3S())
		if len(s.ALPN) > 0 {
			p.out.Attr("alpn_chosen", s.ALPN)
		}
		if t.hello != nil {
			p.out.AttrInt("server_packet", t.serverFrom[0].off)
			answered = t.serverFrom
		}
	}
	if len(t.again) > 0 {
		p.out.Attr("server_name_again", bytes.ToLower(t.again))
	}
	if t.alert != "" {
		p.out.AttrStr("alert", t.alert)
	}
	p.link(f, from, answered)
	for i, der := range t.certs {
		p.certificate(f, t, i, der)
	}
}

// certificate reports what the server says it is.
func (p *capture) certificate(f *flow, t *handshake, i int, der []byte) {
	c := tlswire.ParseCertificate(der)
	ev := p.row(f, t.client, t.certsFrom, typeCertificate)
	ev.TSDesc, ev.Action = "Certificate Sent", "certificate"
	ev.SHA256 = p.out.Str(c.SHA256)
	if len(c.Names) > 0 {
		ev.Domain = p.out.Intern([]byte(strings.ToLower(c.Names[0])))
	}
	subject := c.Subject
	if subject == "" {
		subject = "(no subject that can be read)"
	}
	ev.Message = p.out.Join("TLS certificate of ", subject, ", issued by ", c.Issuer)
	p.out.AttrInt("chain", int64(i))
	p.out.AttrStr("sha1", c.SHA1)
	for _, a := range [...]struct{ key, value string }{
		{"subject", c.Subject}, {"issuer", c.Issuer}, {"serial", c.Serial}, {"names", strings.Join(c.Names, ",")}, {"key", c.Key},
	} {
		if a.value != "" {
			p.out.AttrStr(a.key, a.value)
		}
	}
	for _, a := range [...]struct {
		key  string
		when time.Time
	}{{"not_before", c.NotBefore}, {"not_after", c.NotAfter}} {
		if !a.when.IsZero() {
			p.out.AttrRaw(a.key, p.out.Str(a.when.UTC().Format(time.RFC3339)), 't')
		}
	}
	if c.SelfSigned {
		p.out.AttrStr("self_signed", "yes")
	}
	if c.Err != nil {
		ev.Flags |= timeline.CorruptRec
		p.out.AttrStr("unreadable", c.Err.Error())
	}
	if t.hello != nil && len(t.hello.ServerName) > 0 {
		p.out.Attr("server_name", bytes.ToLower(t.hello.ServerName))
	}
	p.link(f, t.certsFrom)
}
