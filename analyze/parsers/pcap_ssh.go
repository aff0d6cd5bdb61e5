package parsers

import (
	"bytes"
	"slices"

	"github.com/exhibit-dfir/exhibit/analyze/format/sshwire"
)

// sshTalk reads the banners and the algorithms offered of SSH.
type sshTalk struct {
	client int
	side   [2]sshSide
}

type sshSide struct {
	banner []byte
	from   []mark
	kex    *sshwire.KexInit
}

func looksSSH(b []byte) bool { return bytes.HasPrefix(b, []byte("SSH-")) }

// sshClient is the side that connected, as far as ports tell.
func sshClient(f *flow) int {
	if f.port[0] == 22 && f.port[1] != 22 {
		return 1
	}
	return 0
}

func (t *sshTalk) begins([]byte) bool { return false }

func (t *sshTalk) data(p *capture, c *conversation, dir int) {
	h, side := &c.half[dir], &t.side[dir]
	for !h.done {
		b := h.bytes()
		if side.banner == nil {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				h.done = len(b) > sshwire.MaxBanner
				return
			}
			if looksSSH(b) { // a server may send other lines before
				side.banner, side.from = bytes.Clone(bytes.TrimRight(b[:i], "\r\n\x00")), slices.Clone(h.origin(i))
				c.extra += len(side.banner) + 64*len(side.from)
			}
			h.take(int64(i + 1))
			continue
		}
		payload, size, ok := sshwire.Packet(b)
		if !ok {
			h.done = true
			return
		}
		if size == 0 {
			return
		}
		if kex, ok := sshwire.ParseKexInit(bytes.Clone(payload)); ok {
			side.kex = kex
			side.from = append(side.from, h.origin(size)...)
			c.extra += len(payload) + 64*len(side.from)
		}
		h.done = true
	}
}

func (t *sshTalk) gap(_ *capture, c *conversation, dir int) { c.half[dir].done = true }

func (t *sshTalk) end(p *capture, c *conversation) {
	client, server := &t.side[t.client], &t.side[1-t.client]
	from, dir := client.from, t.client
	if client.banner == nil {
		if from, dir = server.from, 1-t.client; server.banner == nil {
			return
		}
	}
	ev := p.row(c.flow, dir, from, typeSSH)
	if dir != t.client { // rows name the client first
		ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = ev.DstIP, ev.SrcIP, ev.DstPort, ev.SrcPort
	}
	ev.TSDesc, ev.Action = "Banner Sent", "ssh-handshake"
	ev.Message = p.out.Join("SSH, client ", p.banner(client), ", server ", p.banner(server))
	if client.banner != nil {
		p.out.Attr("client", client.banner)
	}
	if server.banner != nil {
		p.out.Attr("server", server.banner)
	}
	if client.kex != nil {
		hash, text := client.kex.HASSH()
		p.out.AttrStr("hassh", hash)
		p.out.Attr("hassh_algorithms", cutText(text))
	}
	if server.kex != nil {
		hash, text := server.kex.HASSHServer()
		p.out.AttrStr("hassh_server", hash)
		p.out.Attr("hassh_server_algorithms", cutText(text))
		p.out.Attr("host_key_algorithms", cutText(server.kex.HostKey))
	}
	var answered []mark
	if dir == t.client {
		answered = server.from
	}
	p.link(c.flow, from, answered)
}

func (p *capture) banner(s *sshSide) string {
	if s.banner == nil {
		return "not seen"
	}
	return p.out.Text(s.banner)
}
