package parsers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// rdpTalk reads the connection request of RDP and its confirmation; what
// follows is TLS, or encrypted by RDP itself.
//
// Formats: RFC 1006 (TPKT), ITU-T X.224, [MS-RDPBCGR] sections 2.2.1.1 and
// 2.2.1.2.
type rdpTalk struct {
	client    int
	from      []mark
	cookie    []byte
	requested uint32
	asked     bool // the request says which security it takes
}

// X.224 units.
const (
	x224Request = 0xe0
	x224Confirm = 0xd0
)

func looksRDP(b []byte) bool {
	return len(b) >= 11 && b[0] == 3 && b[1] == 0 && b[5] == x224Request && int(b[4])+5 == int(binary.BigEndian.Uint16(b[2:]))
}

func (t *rdpTalk) begins([]byte) bool { return false }

func (t *rdpTalk) data(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	b := h.bytes()
	if len(b) < 4 {
		return
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if b[0] != 3 || size < 11 || size > 4096 {
		p.leave(c)
		return
	}
	if len(b) < size {
		return
	}
	unit := b[:size]
	if dir == t.client {
		if t.from != nil || unit[5] != x224Request {
			h.done = true
			return
		}
		t.request(unit[11:])
		t.from = slices.Clone(h.origin(size))
		c.extra = len(t.cookie) + 64*len(t.from)
		h.take(int64(size))
		return
	}
	if unit[5] == x224Confirm && t.from != nil {
		t.row(p, c, unit[11:], h.origin(size))
		t.from = nil
	}
	p.leave(c)
}

// request reads the optional cookie and RDP_NEG_REQ: type(1) flags(1)
// length(2) protocols(4), little endian.
func (t *rdpTalk) request(b []byte) {
	if line, rest, ok := bytes.Cut(b, []byte("\r\n")); ok {
		if name, ok := bytes.CutPrefix(line, []byte("Cookie: mstshash=")); ok {
			t.cookie = bytes.Clone(name)
		}
		b = rest
	}
	if len(b) >= 8 && b[0] == 1 {
		t.requested, t.asked = binary.LittleEndian.Uint32(b[4:]), true
	}
}

// row reports the attempt. answer is what follows the confirmation's header,
// nil where there was none.
func (t *rdpTalk) row(p *capture, c *conversation, answer []byte, answered []mark) {
	ev := p.row(c.flow, t.client, t.from, typeRDP)
	ev.TSDesc, ev.Action = "Connection Requested", "rdp-connect"
	ev.User = p.out.Intern(t.cookie)
	says := ""
	if len(t.cookie) > 0 {
		says = " as " + ev.User
		p.out.Attr("cookie", t.cookie)
	}
	if t.asked {
		p.out.AttrStr("requested", rdpProtocols(t.requested))
	}
	if answered != nil {
		ev.Outcome = "success"
		chosen := "rdp"
		if len(answer) >= 8 {
			n := binary.LittleEndian.Uint32(answer[4:])
			if answer[0] == 3 {
				ev.Outcome, chosen = "failure", ""
				ev.EventCode = p.out.Str(fmt.Sprintf("failure %d", n))
				says += ", refused"
			} else {
				chosen = rdpProtocols(n)
			}
		}
		if chosen != "" {
			p.out.AttrStr("security", chosen)
			says += ", security " + chosen
		}
		p.out.AttrInt("answer_packet", answered[0].off)
	}
	ev.Message = p.out.Join("RDP to ", ev.DstIP, says)
	p.link(c.flow, t.from, answered)
}

// rdpProtocols names the bits of requestedProtocols, section 2.2.1.1.1.
func rdpProtocols(n uint32) string {
	if n == 0 {
		return "rdp"
	}
	var names []byte
	for i, name := range []string{"tls", "credssp", "rdstls", "credssp-early", "aad"} {
		if n&(1<<i) != 0 {
			if len(names) > 0 {
				names = append(names, ',')
			}
			names = append(names, name...)
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("0x%x", n)
	}
	return string(names)
}

func (t *rdpTalk) gap(_ *capture, c *conversation, dir int) { c.half[dir].done = true }

func (t *rdpTalk) end(p *capture, c *conversation) {
	if t.from != nil {
		t.row(p, c, nil, nil)
	}
}
