package parsers

import (
	"slices"

	"github.com/exhibit-dfir/exhibit/analyze/format/quic"
	"github.com/exhibit-dfir/exhibit/analyze/format/tlswire"
)

// maxInitials bounds the packets of a QUIC connection that are decrypted.
const maxInitials = 64

// quicTalk reads the handshake in the Initial packets of a connection.
type quicTalk struct {
	handshake
	keys    [2]*quic.Keys // of the client and of the server
	crypto  [2]quic.Stream
	from    [2][]mark
	packets int
}

// These are of streams; packets of QUIC come one by one.
func (t *quicTalk) data(*capture, *conversation, int) {}
func (t *quicTalk) gap(*capture, *conversation, int)  {}
func (t *quicTalk) begins([]byte) bool                { return false }

func (t *quicTalk) end(p *capture, c *conversation) { p.tlsRow(c.flow, &t.handshake) }

// quicDatagram reads the Initial packets of a datagram.
func (p *capture) quicDatagram(f *flow, dir int, s *segment) {
	c := f.conv
	if c == nil {
		c = p.follow(f, &quicTalk{handshake: handshake{client: dir, transport: 'q'}})
	}
	t, ok := c.speaks.(*quicTalk)
	if !ok {
		return
	}
	p.touch(c)
	for rest := s.payload; len(rest) > 0; {
		x, after, initial, ok := quic.Next(rest)
		if !ok {
			break
		}
		if rest = after; !initial {
			continue
		}
		if t.packets++; t.packets > maxInitials {
			break
		}
		t.initial(dir, s, &x)
	}
	t.read(p)
	if t.server != nil && t.hello != nil || t.packets > maxInitials {
		p.leave(c)
		return
	}
	c.extra = t.weight() + 64*(len(t.from[0])+len(t.from[1])) + t.crypto[0].Size() + t.crypto[1].Size() + 4<<10
	p.weigh(c)
}

// initial decrypts one packet. The keys follow from the first connection ID
// that the client uses, after a Retry from the one it was given.
func (t *quicTalk) initial(dir int, s *segment, x *quic.Initial) {
	side := 0
	if dir != t.client {
		side = 1
	}
	if k := t.keys[side]; k != nil {
		if frames, ok := x.Open(k); ok {
			t.frames(side, s, frames)
			return
		}
	}
	if side == 1 {
		return // without the client's packet there are no keys
	}
	client, server, err := quic.DeriveKeys(x.Version, x.DCID)
	if err != nil {
		return
	}
	if frames, ok := x.Open(client); ok {
		t.keys, t.crypto, t.from = [2]*quic.Keys{client, server}, [2]quic.Stream{}, [2][]mark{}
		t.version = x.Version
		t.frames(side, s, frames)
	}
}

func (t *quicTalk) frames(side int, s *segment, frames []byte) {
	quic.Crypto(frames, func(offset uint64, data []byte) {
		t.crypto[side].Add(offset, data)
		if n := len(t.from[side]); n == 0 || t.from[side][n-1].off != s.pkt.Offset {
			t.from[side] = append(t.from[side], markOf(s))
		}
	})
}

// read reads the messages that became whole.
func (t *quicTalk) read(p *capture) {
	if kind, body, _ := tlswire.Message(t.crypto[0].Bytes()); t.hello == nil && kind == tlswire.TypeClientHello && body != nil {
		t.clientHello(p, body, t.from[0])
	}
	b := t.crypto[1].Bytes()
	for t.server == nil {
		kind, body, size := tlswire.Message(b)
		if body == nil || kind != tlswire.TypeServerHello || !t.serverHello(body, slices.Clone(t.from[1])) {
			return
		}
		b = b[size:]
	}
}
