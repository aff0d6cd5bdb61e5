package parsers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze/format/smb"
)

// Bounds of SMB.
const (
	maxSMBMessage = 64 << 10 // longer ones carry file content
	maxSMBPending = 256      // requests without their answer
	maxSMBNames   = 1024     // shares and users of a connection that are known by their number
	maxSMBName    = 1 << 10  // bytes of such a name; nothing that Windows takes is longer
)

// smbTalk reads SMB 2: dialect, log-on, shares, files. Of SMB 1 it says that
// it was spoken.
type smbTalk struct {
	pending map[uint64]*smbRequest
	shares  map[uint32]string // by tree
	users   map[uint64]string // by session
	server  string            // its name in the NTLM challenge
	spoke   bool              // a dialect was reported
	kept    int               // bytes of the names of shares and users
}

// smbRequest waits for its answer.
type smbRequest struct {
	header  smb.Header
	dir     int
	from    []mark
	ntlm    *smb.NTLM
	ticket  bool   // the client logs on by Kerberos
	name    string // share or file
	how     string // what is to become of the file
	session uint64
}

func (r *smbRequest) weight() int { return 256 + len(r.name) + 64*len(r.from) }

func newSMB() *smbTalk {
	return &smbTalk{pending: map[uint64]*smbRequest{}, shares: map[uint32]string{}, users: map[uint64]string{}}
}

func (t *smbTalk) begins(b []byte) bool                     { return smb.Looks(b) }
func (t *smbTalk) gap(p *capture, c *conversation, dir int) {}
func (t *smbTalk) interesting(command uint16, first int) bool {
	return first == smb.Two && smbKept[command]
}

// smbKept are the commands whose messages are read whole.
var smbKept = map[uint16]bool{smb.Negotiate: true, smb.SessionSetup: true, smb.TreeConnect: true, smb.Create: true}

func (t *smbTalk) data(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	for !c.over {
		b := h.bytes()
		size, message, ok := smb.Frame(b)
		switch {
		case !ok:
			h.clear()
			p.lose(c, dir, 0)
			return
		case size == 0:
			return
		case !message || size < 8:
			h.take(int64(size))
			continue
		case len(b) < min(size, 4+64):
			return
		}
		body := b[4:]
		first := int(body[0])
		header, two := smb.ParseHeader(body)
		if two && (t.interesting(header.Command, first) || header.Next > 0) && size <= maxSMBMessage {
			if len(b) < size {
				return
			}
			t.frame(p, c, dir, b[4:size], h.origin(size))
		} else if first == smb.One && !t.spoke && len(b) > 13 && b[13]&0x80 != 0 {
			t.spoke = true
			t.dialect(p, c, dir, h.origin(min(size, len(b))), "1")
		}
		h.take(int64(size))
	}
}

// frame reads the messages of a frame; several may be joined.
func (t *smbTalk) frame(p *capture, c *conversation, dir int, b []byte, from []mark) {
	for n := 0; len(b) > 0 && n < 32; n++ {
		header, ok := smb.ParseHeader(b)
		if !ok || header.Next > len(b) {
			return
		}
		one := b
		if header.Next > 0 {
			one = b[:header.Next]
		}
		if header.Answer {
			t.answer(p, c, dir, one, header, from)
		} else {
			t.request(p, c, dir, one, header, from)
		}
		if header.Next == 0 {
			return
		}
		b = b[header.Next:]
	}
}

func (t *smbTalk) request(p *capture, c *conversation, dir int, b []byte, header smb.Header, from []mark) {
	r := &smbRequest{header: header, dir: dir, from: slices.Clone(from), session: header.SessionID}
	switch header.Command {
	case smb.SessionSetup:
		token := smb.SecurityBlob(b, false)
		if r.ntlm, _ = smb.ParseNTLM(token); r.ntlm != nil && r.ntlm.Type != 3 {
			return // the first round: who it is comes with the second
		}
		if r.ticket = smb.IsKerberos(token); r.ntlm == nil && !r.ticket {
			return
		}
	case smb.TreeConnect:
		r.name = smb.Path(b)
	case smb.Create:
		var disposition, options uint32
		if r.name, disposition, options = smb.FileName(b); r.name == "" {
			return // the share itself
		}
		r.how = smbHow(disposition, options)
	default:
		return
	}
	if len(t.pending) >= maxSMBPending {
		t.flush(p, c)
	}
	if old := t.pending[header.MessageID]; old != nil {
		c.extra -= old.weight()
	}
	t.pending[header.MessageID] = r
	c.extra += r.weight()
}

// smbHow names what a CREATE does: [MS-SMB2], section 2.2.13.
func smbHow(disposition, options uint32) string {
	how := [...]string{"supersede", "open", "create", "open-or-create", "overwrite", "overwrite-or-create"}
	name := "other"
	if int(disposition) < len(how) {
		name = how[disposition]
	}
	if options&0x1000 != 0 {
		name += ",delete-on-close"
	}
	return name
}

func (t *smbTalk) answer(p *capture, c *conversation, dir int, b []byte, header smb.Header, from []mark) {
	if header.Command == smb.Negotiate {
		if dialect := smb.Dialect(b); dialect != "" && dialect != "2.???" && !t.spoke {
			t.spoke = true
			t.dialect(p, c, dir, from, dialect)
		}
		return
	}
	if header.Command == smb.SessionSetup {
		if m, ok := smb.ParseNTLM(smb.SecurityBlob(b, true)); ok && m.Type == 2 {
			if t.server = m.DNSComputer; t.server == "" {
				t.server = m.Computer
			}
		}
	}
	r := t.pending[header.MessageID]
	if r == nil || r.header.Command != header.Command || header.Status == smb.StatusPending {
		return
	}
	delete(t.pending, header.MessageID)
	c.extra -= r.weight()
	if header.Status == smb.StatusMoreProcessing {
		return
	}
	if header.Status == smb.StatusSuccess {
		switch {
		case r.ntlm != nil:
			keep(t, c, t.users, header.SessionID, r.ntlm.User)
		case header.Command == smb.TreeConnect:
			keep(t, c, t.shares, header.TreeID, r.name)
		}
	}
	t.row(p, c, r, &header, smb.ShareType(b), from)
}

// keep remembers a name, which rows of other requests repeat.
func keep[K comparable](t *smbTalk, c *conversation, names map[K]string, key K, name string) {
	old, taken := names[key]
	if !taken && len(names) >= maxSMBNames {
		return
	}
	if len(name) > maxSMBName {
		name = strings.ToValidUTF8(name[:maxSMBName], "") + "…"
	}
	grown := len(name) - len(old)
	if !taken {
		grown += 64
	}
	names[key] = name
	t.kept += grown
	c.extra += grown
}

// dialect reports the version that a server speaks.
func (t *smbTalk) dialect(p *capture, c *conversation, dir int, from []mark, dialect string) {
	ev := p.row(c.flow, 1-dir, from, typeSMB)
	ev.TSDesc, ev.Action = "Dialect Chosen", "smb-negotiate"
	ev.Message = p.out.Join("SMB ", dialect, " with ", ev.DstIP)
	p.out.AttrStr("dialect", dialect)
	p.link(c.flow, from)
}

// row reports a request, with its answer where there is one.
func (t *smbTalk) row(p *capture, c *conversation, r *smbRequest, answer *smb.Header, share string, answered []mark) {
	ev := p.row(c.flow, r.dir, r.from, typeSMB)
	ev.TSDesc = "Request Sent"
	status := ""
	if answer != nil {
		status = smb.StatusName(answer.Status)
		ev.EventCode = p.out.Str(status)
		ev.Outcome = "success"
		if answer.Status>>30 == 3 {
			ev.Outcome = "failure"
		}
		status = ": " + status
	}
	ev.User = p.out.Str(t.users[r.session])
	switch {
	case r.ntlm != nil:
		ev.Action, ev.Category = "login", "authentication"
		ev.User = p.out.Str(r.ntlm.User)
		ev.Message = p.out.Join("SMB log-on of ", r.ntlm.Domain, `\`, r.ntlm.User, " from ", r.ntlm.Workstation, status)
		p.out.AttrStr("auth", "ntlm")
		p.out.AttrStr("domain", r.ntlm.Domain)
		p.out.AttrStr("workstation", r.ntlm.Workstation)
		if t.server != "" {
			p.out.AttrStr("server", t.server)
		}
	case r.ticket:
		ev.Action, ev.Category = "login", "authentication"
		ev.Message = p.out.Join("SMB log-on by Kerberos", status)
		p.out.AttrStr("auth", "kerberos")
	case r.header.Command == smb.TreeConnect:
		ev.Action, ev.File = "smb-tree-connect", p.out.Str(r.name)
		ev.Message = p.out.Join("SMB share ", r.name, status)
		if share != "" && answer != nil && answer.Status == smb.StatusSuccess {
			p.out.AttrStr("share_type", share)
		}
	default:
		ev.Action, ev.Category = "smb-create", "file"
		ev.File = p.out.Str(r.name)
		if tree := t.shares[r.header.TreeID]; tree != "" {
			ev.File = p.out.Join(strings.TrimRight(tree, `\`), `\`, r.name)
			p.out.AttrStr("share", tree)
		}
		ev.Message = p.out.Join("SMB ", r.how, " ", ev.File, status)
		p.out.AttrStr("disposition", r.how)
	}
	if answer != nil && len(answered) > 0 {
		p.out.AttrInt("answer_packet", answered[0].off)
	}
	p.link(c.flow, r.from, answered)
}

// flush reports the requests without an answer, in the order they were sent.
func (t *smbTalk) flush(p *capture, c *conversation) {
	left := make([]*smbRequest, 0, len(t.pending))
	for _, r := range t.pending {
		left = append(left, r)
	}
	slices.SortFunc(left, func(a, b *smbRequest) int {
		if n := cmp.Compare(a.from[0].off, b.from[0].off); n != 0 {
			return n
		}
		return cmp.Compare(a.header.MessageID, b.header.MessageID)
	})
	for _, r := range left {
		t.row(p, c, r, nil, "", nil)
	}
	clear(t.pending)
	c.extra = t.kept
}

func (t *smbTalk) end(p *capture, c *conversation) { t.flush(p, c) }
