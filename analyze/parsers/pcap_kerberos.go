package parsers

import (
	"encoding/binary"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze/format/dhcp"
	"github.com/exhibit-dfir/exhibit/analyze/format/kerberos"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// kerberosTalk reads Kerberos over TCP: messages with a length of four bytes
// in front, RFC 4120 section 7.2.2.
type kerberosTalk struct{}

func looksKerberosStream(b []byte) bool {
	if len(b) < decideBy {
		return false
	}
	n := binary.BigEndian.Uint32(b)
	return n >= 10 && n < maxBuffered && (b[4] >= 0x60|kerberos.ASReq && b[4] <= 0x60|kerberos.TGSRep || b[4] == 0x60|kerberos.Error)
}

func (kerberosTalk) begins(b []byte) bool { return looksKerberosStream(b) }

func (kerberosTalk) data(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	for {
		b := h.bytes()
		if len(b) < 4 {
			return
		}
		n := 4 + int64(binary.BigEndian.Uint32(b))
		if n > maxBuffered {
			h.done = true
			return
		}
		if int64(len(b)) < n {
			return
		}
		if kerberos.Looks(b[4:n]) {
			p.kerberosMessage(c.flow, dir, h.origin(int(n)), b[4:n])
		}
		h.take(n)
	}
}

func (kerberosTalk) gap(*capture, *conversation, int) {}
func (kerberosTalk) end(*capture, *conversation)      {}

// kerberosKinds say what messages are.
var kerberosKinds = map[int]struct{ name, action, desc string }{
	kerberos.ASReq:  {"AS-REQ", "kerberos-as-request", "Request Sent"},
	kerberos.ASRep:  {"AS-REP", "kerberos-as-reply", "Reply Sent"},
	kerberos.TGSReq: {"TGS-REQ", "kerberos-tgs-request", "Request Sent"},
	kerberos.TGSRep: {"TGS-REP", "kerberos-tgs-reply", "Reply Sent"},
	kerberos.Error:  {"KRB-ERROR", "kerberos-error", "Reply Sent"},
}

func (p *capture) kerberosMessage(f *flow, dir int, from []mark, b []byte) {
	m, ok := kerberos.Parse(b)
	if m == nil {
		p.out.Problem(evidence.Corrupt, from[0].off, from[0].length, "Kerberos message does not hold together")
		return
	}
	kind := kerberosKinds[m.Kind]
	ev := p.row(f, dir, from, typeKerberos)
	if !ok {
		ev.Flags |= timeline.CorruptRec
	}
	ev.TSDesc, ev.Action, ev.Category = kind.desc, kind.action, "authentication"
	ev.User = p.out.Str(m.Client)
	p.out.AttrStr("type", kind.name)
	for _, a := range [...]struct{ key, value string }{{"client", m.Client}, {"realm", m.Realm}, {"service", m.Service}} {
		if a.value != "" {
			p.out.AttrStr(a.key, a.value)
		}
	}
	text := []string{"Kerberos ", kind.name}
	if m.Client != "" {
		text = append(text, " of ", m.Client)
	}
	if m.Realm != "" {
		text = append(text, " in ", m.Realm)
	}
	if m.Service != "" {
		text = append(text, " for ", m.Service)
	}
	switch m.Kind {
	case kerberos.ASReq, kerberos.TGSReq:
		var names []string
		for _, n := range m.Encryptions {
			names = append(names, kerberos.EncryptionName(n))
		}
		p.out.AttrStr("etypes", strings.Join(names, ","))
		if m.PreAuth {
			p.out.AttrStr("preauth", "yes")
		}
	case kerberos.ASRep, kerberos.TGSRep:
		ev.Outcome = "success"
		if m.TicketEnc >= 0 {
			p.out.AttrStr("ticket_etype", kerberos.EncryptionName(m.TicketEnc))
			text = append(text, ", ticket ", kerberos.EncryptionName(m.TicketEnc))
		}
		if m.Encryption >= 0 {
			p.out.AttrStr("etype", kerberos.EncryptionName(m.Encryption))
		}
	case kerberos.Error:
		ev.Outcome = "failure"
		ev.EventCode = p.out.Str(kerberos.ErrorName(m.Code))
		p.out.AttrInt("code", m.Code)
		text = append(text, ": ", ev.EventCode)
		if m.Text != "" {
			p.out.AttrStr("text", m.Text)
		}
	}
	ev.Message = p.out.Join(text...)
	p.link(f, from)
}

// dhcpMessage reports one DHCP message.
func (p *capture) dhcpMessage(f *flow, dir int, from []mark, b []byte) {
	m, whole := dhcp.Parse(b)
	ev := p.row(f, dir, from, typeDHCP)
	if !whole {
		ev.Flags |= timeline.TruncatedRec
	}
	kind := dhcp.TypeName(m.Type)
	ev.TSDesc, ev.Action = "Message Sent", p.out.Join("dhcp-", kind)
	mac := hexPairs(m.MAC)
	text := []string{"DHCP ", kind, " of ", mac}
	p.out.AttrStr("mac", mac)
	for _, a := range [...]struct {
		key, says string
		value     []byte
	}{
		{"hostname", " named ", m.Hostname}, {"fqdn", " named ", m.FQDN}, {"domain", "", m.Domain}, {"vendor_class", "", m.Vendor},
	} {
		if len(a.value) > 0 {
			p.out.Attr(a.key, a.value)
			if a.says != "" {
				text = append(text, a.says, p.out.Text(a.value))
			}
		}
	}
	for _, a := range [...]struct {
		key, says string
		value     interface {
			IsValid() bool
			String() string
		}
	}{
		{"assigned", ", address ", m.Assigned},
		{"client_address", ", address ", m.Client},
		{"requested", ", asks for ", m.Requested},
		{"server", "", m.Server},
	} {
		if a.value.IsValid() {
			p.out.AttrStr(a.key, a.value.String())
			if a.says != "" {
				text = append(text, a.says, a.value.String())
			}
		}
	}
	if m.Lease > 0 {
		p.out.AttrInt("lease", int64(m.Lease))
	}
	ev.Message = p.out.Join(text...)
	p.link(f, from)
}

// hexPairs writes bytes as hardware addresses are.
func hexPairs(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}
