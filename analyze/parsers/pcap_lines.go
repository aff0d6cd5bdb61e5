package parsers

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Bounds of protocols of lines.
const (
	maxLine        = 8 << 10
	maxLinePending = 128 // commands without their reply
	maxRecipients  = 64  // of one mail
)

// lineTalk reads FTP (RFC 959) and SMTP (RFC 5321, 4954): commands by line,
// replies with a code of three digits. Replies belong to the oldest command
// without one; behind bytes that are missing they are not told apart.
type lineTalk struct {
	client   int
	mail     bool // SMTP, else FTP
	pending  []lineCommand
	unpaired bool
	content  bool   // the client sends a mail
	auth     string // SMTP: what the next lines of the client are
	user     []byte
	userFrom []mark // where the client said it
	letter   letter
}

// lineCommand is one command as it was sent.
type lineCommand struct {
	verb string // upper case
	arg  []byte
	from []mark
}

// letter is what is known of the mail under way.
type letter struct {
	helo, sender []byte
	to           [][]byte
	cut          bool // it has more recipients
	from         []mark
}

// identifyLines returns who reads a stream that begins with a greeting or a
// command.
func identifyLines(f *flow, dir int, b []byte) dissector {
	mailPort := func(port uint16) bool { return port == 25 || port == 587 || port == 2525 }
	if looksReply(b) && bytes.HasPrefix(b, []byte("220")) {
		line, _, _ := bytes.Cut(b, []byte("\n"))
		line = bytes.ToUpper(line)
		switch port := f.port[dir]; {
		case mailPort(port), port != 21 && bytes.Contains(line, []byte("SMTP")):
			return &lineTalk{client: 1 - dir, mail: true}
		case port == 21, bytes.Contains(line, []byte("FTP")):
			return &lineTalk{client: 1 - dir}
		}
		return nil
	}
	if port := f.port[1-dir]; port != 21 && !mailPort(port) || len(b) < 5 {
		return nil
	}
	switch string(bytes.ToUpper(b[:5])) {
	case "EHLO ", "HELO ", "MAIL ":
		return &lineTalk{client: dir, mail: true}
	case "USER ", "PASS ":
		return &lineTalk{client: dir}
	}
	return nil
}

func looksReply(b []byte) bool {
	return len(b) >= 4 && digit(b[0]) && digit(b[1]) && digit(b[2]) && (b[3] == ' ' || b[3] == '-')
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (t *lineTalk) begins(b []byte) bool { return looksReply(b) || len(b) > 5 && b[4] == ' ' }

func (t *lineTalk) gap(p *capture, c *conversation, dir int) {
	t.flush(p, c)
	t.unpaired, t.content, t.auth = true, false, ""
}

func (t *lineTalk) data(p *capture, c *conversation, dir int) {
	t.lines(p, c, dir)
	c.extra = t.weight()
}

// weight is what is kept between the lines.
func (t *lineTalk) weight() int {
	n := len(t.user) + len(t.letter.helo) + len(t.letter.sender) + 64*(len(t.userFrom)+len(t.letter.from))
	for _, to := range t.letter.to {
		n += 64 + len(to)
	}
	for i := range t.pending {
		n += 128 + len(t.pending[i].arg) + 64*len(t.pending[i].from)
	}
	return n
}

func (t *lineTalk) lines(p *capture, c *conversation, dir int) {
	h := &c.half[dir]
	for !c.over && !h.done {
		b := h.bytes()
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			if len(b) > maxLine && t.content && dir == t.client {
				h.take(int64(len(b) - 4)) // a long line of a mail
			} else if len(b) > maxLine {
				h.clear()
				p.lose(c, dir, 0)
			}
			return
		}
		line, from := bytes.TrimRight(b[:i], "\r\n"), h.origin(i+1)
		h.take(int64(i + 1))
		switch {
		case dir != t.client:
			t.reply(p, c, line, from)
		case t.content:
			t.content = string(line) != "."
		default:
			t.command(p, c, h, line, from)
		}
	}
}

func (t *lineTalk) command(p *capture, c *conversation, h *half, line []byte, from []mark) {
	cmd := lineCommand{from: slices.Clone(from)}
	if t.auth != "" {
		cmd.verb, cmd.arg = t.auth, bytes.Clone(line)
		t.auth = ""
	} else {
		verb, arg, _ := bytes.Cut(line, []byte(" "))
		if len(verb) < 3 || len(verb) > 8 {
			return
		}
		cmd.verb, cmd.arg = string(bytes.ToUpper(verb)), bytes.Clone(bytes.TrimSpace(arg))
	}
	// A client sends nothing behind DATA before the reply, and only the mail
	// after it.
	t.content = t.mail && cmd.verb == "DATA"
	if t.mail && cmd.verb == "BDAT" {
		size, _, _ := bytes.Cut(cmd.arg, []byte(" "))
		if n, err := strconv.ParseUint(string(size), 10, 40); err == nil {
			h.take(int64(n))
		}
	}
	if t.unpaired {
		t.meaning(p, c, &cmd, 0, nil, nil)
		return
	}
	if len(t.pending) >= maxLinePending {
		t.unpaired = true
		t.flush(p, c)
	}
	t.pending = append(t.pending, cmd)
}

func (t *lineTalk) reply(p *capture, c *conversation, line []byte, from []mark) {
	if !looksReply(line) && !(len(line) == 3 && digit(line[0]) && digit(line[1]) && digit(line[2])) {
		return // inside a reply of several lines
	}
	if len(line) > 3 && line[3] == '-' {
		return
	}
	code, _ := strconv.Atoi(string(line[:3]))
	if code/100 == 1 || len(t.pending) == 0 { // preliminary, or the greeting
		return
	}
	cmd := t.pending[0]
	t.pending = t.pending[1:]
	t.meaning(p, c, &cmd, code, line, from)
}

// meaning reports what a command did. code is 0 where the reply is not known.
func (t *lineTalk) meaning(p *capture, c *conversation, cmd *lineCommand, code int, line []byte, answered []mark) {
	if t.mail {
		t.smtp(p, c, cmd, code, line, answered)
		return
	}
	switch cmd.verb {
	case "USER":
		t.user, t.userFrom = cmd.arg, cmd.from
		if code/100 == 2 || code/100 == 5 {
			t.login(p, c, cmd, code, line, answered)
		}
	case "PASS":
		t.login(p, c, cmd, code, line, answered)
	case "AUTH":
		if code == 234 {
			p.leave(c) // TLS follows
		}
	case "RETR", "STOR", "STOU", "APPE", "DELE", "RNFR", "RNTO", "MKD", "XMKD", "RMD", "XRMD", "SITE":
		ev := t.row(p, c, cmd, code, typeFTP)
		ev.Action, ev.Category = ftpActions[cmd.verb], "file"
		ev.User, ev.File = p.out.Intern(t.user), p.out.Text(cmd.arg)
		if cmd.verb == "SITE" {
			ev.File = ""
		}
		ev.Message = p.out.Join("FTP ", cmd.verb, " ", p.out.Text(cmd.arg), p.replied(line))
		p.out.AttrStr("command", cmd.verb)
		p.out.Attr("argument", cmd.arg)
		p.link(c.flow, cmd.from, answered)
	}
}

var ftpActions = map[string]string{
	"RETR": "ftp-download", "STOR": "ftp-upload", "STOU": "ftp-upload", "APPE": "ftp-upload", "DELE": "ftp-delete",
	"RNFR": "ftp-rename-from", "RNTO": "ftp-rename-to", "MKD": "ftp-create-folder", "XMKD": "ftp-create-folder",
	"RMD": "ftp-delete-folder", "XRMD": "ftp-delete-folder", "SITE": "ftp-site",
}

// login reports an attempt to log on.
func (t *lineTalk) login(p *capture, c *conversation, cmd *lineCommand, code int, line []byte, answered []mark) {
	dataType, name := typeFTP, "FTP"
	if t.mail {
		dataType, name = typeSMTP, "SMTP"
	}
	ev := t.row(p, c, cmd, code, dataType)
	ev.Action, ev.Category = "login", "authentication"
	ev.User = p.out.Intern(t.user)
	ev.Message = p.out.Join(name, " log-on of ", p.out.Text(t.user), p.replied(line))
	p.out.AttrStr("command", cmd.verb)
	p.link(c.flow, cmd.from, t.userFrom, answered)
}

// row begins a row about a command.
func (t *lineTalk) row(p *capture, c *conversation, cmd *lineCommand, code int, dataType string) *timeline.Event {
	ev := p.row(c.flow, t.client, cmd.from, dataType)
	ev.TSDesc = "Command Sent"
	if code > 0 {
		ev.EventCode = p.out.Int(int64(code))
		ev.Outcome = "success"
		if code >= 400 {
			ev.Outcome = "failure"
		}
	}
	return ev
}

func (p *capture) replied(line []byte) string {
	if len(line) == 0 {
		return ""
	}
	return p.out.Join(": ", p.out.Text(cutText(line)))
}

func (t *lineTalk) smtp(p *capture, c *conversation, cmd *lineCommand, code int, line []byte, answered []mark) {
	good := code/100 == 2 || code == 0
	switch cmd.verb {
	case "HELO", "EHLO":
		t.letter = letter{helo: cmd.arg}
	case "MAIL":
		if good {
			t.letter = letter{helo: t.letter.helo, sender: address(cmd.arg), from: cmd.from}
		}
	case "RCPT":
		if good && len(t.letter.to) >= maxRecipients {
			t.letter.cut = true
		} else if good {
			t.letter.to = append(t.letter.to, address(cmd.arg))
			if len(t.letter.from) < shownPackets {
				t.letter.from = append(slices.Clip(t.letter.from), cmd.from...)
			}
		}
	case "RSET":
		t.letter = letter{helo: t.letter.helo}
	case "DATA":
		t.content = t.content && (code == 354 || code == 0)
		if code == 0 {
			t.sent(p, c, cmd, code, line, answered)
		} else if code == 354 {
			t.pending = append([]lineCommand{{verb: ".", from: cmd.from}}, t.pending...)
		}
	case ".", "BDAT":
		if cmd.verb == "." || bytes.HasSuffix(bytes.ToUpper(cmd.arg), []byte("LAST")) {
			t.sent(p, c, cmd, code, line, answered)
		}
	case "STARTTLS":
		if code == 220 {
			p.leave(c)
		}
	case "AUTH":
		t.smtpAuth(p, c, cmd, code, line, answered)
	case "(user)": // of AUTH LOGIN
		t.user, t.userFrom = decoded(cmd.arg), cmd.from
		if code == 334 {
			t.auth = "(password)"
		} else {
			t.login(p, c, cmd, code, line, answered)
		}
	case "(password)":
		t.login(p, c, cmd, code, line, answered)
	case "(plain)":
		t.user, t.userFrom = plainUser(cmd.arg), cmd.from
		t.login(p, c, cmd, code, line, answered)
	}
}

// smtpAuth reads AUTH of RFC 4954 with the mechanisms that name the user in
// clear.
func (t *lineTalk) smtpAuth(p *capture, c *conversation, cmd *lineCommand, code int, line []byte, answered []mark) {
	mechanism, initial, _ := bytes.Cut(cmd.arg, []byte(" "))
	switch string(bytes.ToUpper(mechanism)) {
	case "PLAIN":
		if len(initial) == 0 && code == 334 {
			t.auth = "(plain)"
			return
		}
		t.user, t.userFrom = plainUser(initial), cmd.from
	case "LOGIN":
		switch {
		case len(initial) == 0 && code == 334:
			t.auth = "(user)"
			return
		case code == 334:
			t.user, t.userFrom, t.auth = decoded(initial), cmd.from, "(password)"
			return
		}
		t.user, t.userFrom = decoded(initial), cmd.from
	default:
		return
	}
	t.login(p, c, cmd, code, line, answered)
}

func decoded(b []byte) []byte {
	text, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(b)))
	if err != nil {
		return nil
	}
	return text
}

// plainUser returns the account of PLAIN: authorization NUL account NUL
// password, RFC 4616.
func plainUser(b []byte) []byte {
	parts := bytes.Split(decoded(b), []byte{0})
	if len(parts) != 3 {
		return nil
	}
	return parts[1]
}

// address takes the path out of "FROM:<a@b> SIZE=…".
func address(arg []byte) []byte {
	_, rest, _ := bytes.Cut(arg, []byte(":"))
	rest = bytes.TrimSpace(rest)
	if inner, ok := bytes.CutPrefix(rest, []byte("<")); ok {
		inner, _, _ = bytes.Cut(inner, []byte(">"))
		return inner
	}
	rest, _, _ = bytes.Cut(rest, []byte(" "))
	return rest
}

// sent reports a mail.
func (t *lineTalk) sent(p *capture, c *conversation, cmd *lineCommand, code int, line []byte, answered []mark) {
	l := t.letter
	t.letter = letter{helo: l.helo}
	if l.from == nil {
		l.from = cmd.from
	}
	cmd = &lineCommand{verb: cmd.verb, from: l.from}
	ev := t.row(p, c, cmd, code, typeSMTP)
	ev.Action, ev.Category = "mail", "email"
	ev.TSDesc = "Mail Sent"
	ev.User = p.out.Intern(t.user)
	ev.Message = p.out.Join("SMTP mail from ", p.out.Text(l.sender), " to ", p.out.Text(bytes.Join(l.to, []byte(","))), p.replied(line))
	p.out.Attr("mail_from", l.sender)
	p.out.Attr("rcpt_to", bytes.Join(l.to, []byte(",")))
	p.out.Attr("helo", l.helo)
	if l.cut {
		p.out.AttrStr("cut", "rcpt_to")
	}
	p.link(c.flow, l.from, answered)
}

// flush reports the commands that have no reply.
func (t *lineTalk) flush(p *capture, c *conversation) {
	left := t.pending
	t.pending = nil
	for i := range left {
		t.meaning(p, c, &left[i], 0, nil, nil)
		if c.over {
			return
		}
	}
}

func (t *lineTalk) end(p *capture, c *conversation) { t.flush(p, c) }
