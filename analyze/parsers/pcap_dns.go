package parsers

import (
	"bytes"
	"encoding/binary"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func portDNS(port uint16) bool { return port == 53 || port == 5355 }

// dnsTalk reads DNS over TCP: messages with a length in front, RFC 1035
// section 4.2.2.
type dnsTalk struct{}

func (dnsTalk) data(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	for {
		b := h.bytes()
		if len(b) < 2 {
			return
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		if len(b) < n {
			return
		}
		p.dnsMessage(c.flow, dir, h.origin(n), b[2:n])
		h.take(int64(n))
	}
}

func (dnsTalk) gap(*capture, *conversation, int) {}
func (dnsTalk) end(*capture, *conversation)      {}

// begins reports whether a message may begin here: a length that has room for
// a header, one question, as all queries and answers have, and no bit that must
// be zero. What lies behind a gap is the middle of a message mostly.
func (dnsTalk) begins(b []byte) bool {
	return len(b) >= 14 && binary.BigEndian.Uint16(b) >= 12+5 && b[5]&0x40 == 0 && binary.BigEndian.Uint16(b[6:]) == 1
}

// dnsMessage reports one DNS message, RFC 1035.
func (p *capture) dnsMessage(f *flow, dir int, from []mark, payload []byte) {
	if !p.decodeDNS(payload) {
		p.out.Problem(evidence.Corrupt, from[0].off, from[0].length, "DNS message does not hold together")
		return
	}
	d := &p.dns
	if len(d.Questions) == 0 && len(d.Answers) == 0 {
		return
	}
	ev := p.row(f, dir, from, typeDNS)
	ev.Action, ev.TSDesc = "dns-query", "Query Sent"
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
	defer p.link(f, from)
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
