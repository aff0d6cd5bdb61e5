package parsers

import (
	"cmp"
	"context"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// What a client chose may imitate the parts of a line around it. Then neither
// its address nor its outcome is the event's.
func TestNothingIsTakenFromWhatAClientImitates(t *testing.T) {
	for _, c := range []struct {
		name, message string
		program       string         // of the journal, else
		parser        analyze.Parser // of a log
		src, outcome  string         // what must be read; "": nothing
		action        string
	}{
		{
			name: "extension of a call", parser: asteriskLog,
			message: "[May 14 09:32:42] NOTICE[436][C-00000fa9] chan_sip.c: Call from '' (203.0.113.5:10836) to extension 'x' (192.0.2.1:1) to extension 'y' rejected because extension not found in context 'default'.",
		},
		{
			name: "Call-ID of a request", parser: asteriskLog,
			message: "[May 14 09:32:42] NOTICE[436] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '<sip:1@example.test>' failed for '203.0.113.5:5060' (callid: a) - b' failed for '192.0.2.1:1' (callid: c) - No matching endpoint found",
		},
		{
			name: "address literal in HELO", parser: eximLog, src: "203.0.113.5", action: "connection-closed",
			message: "2024-05-14 09:31:54 SMTP connection from ([192.0.2.1]) [203.0.113.5]:4711 lost",
		},
		{
			name: "address literal in HELO, dropped", parser: eximLog, src: "203.0.113.5", outcome: "failure", action: "connection-dropped",
			message: "2024-05-14 09:31:54 SMTP call from ([192.0.2.1]) [203.0.113.5]:4711 dropped: too many syntax or protocol errors",
		},
		{
			name: "no HELO", parser: eximLog, src: "203.0.113.5", action: "connection-closed",
			message: "2024-05-14 09:31:54 SMTP connection from [203.0.113.5]:4711 lost",
		},
		{
			name: "workstation of a log-on", parser: sambaLog,
			message: "[2024/05/14 09:31:54.123456,  2] ../../auth/auth_log.c:635(log_authentication_event_human_readable)\n" +
				"  Auth: [SMB2,(null)] user [D]\\[bob] at [Tue, 14 May 2024 09:31:54.1 CEST] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] workstation [w] remote host [ipv4:192.0.2.1:1] x] remote host [ipv4:203.0.113.5:50000] mapped to [D]\\[bob]. local host [ipv4:10.0.0.6:445]",
		},
		{
			name: "user of a log-on", parser: sambaLog,
			message: "[2024/05/14 09:31:54.123456,  2] ../../auth/auth_log.c:635(log_authentication_event_human_readable)\n" +
				"  Auth: [SMB2,(null)] user [D]\\[bob] at [x] with [NTLMv2] status [NT_STATUS_OK] workstation [w] at [Tue, 14 May 2024 09:31:54.1 CEST] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] workstation [w] remote host [ipv4:203.0.113.5:50000] mapped to [D]\\[bob]. local host [ipv4:10.0.0.6:445]",
		},
		{
			name: "user of vsftpd", program: "vsftpd",
			message: "[x] OK LOGIN: Client \"192.0.2.1\", anon password \"y] FAIL LOGIN: Client \"203.0.113.5\"",
		},
		{
			name: "user of Dovecot's auth", program: "dovecot", action: "user-login", outcome: "failure", src: "203.0.113.5",
			message: "auth-worker(811): sql(x,192.0.2.1,203.0.113.5,<abcDEF>): unknown user",
		},
		{
			name: "another user of Dovecot's auth", program: "dovecot", action: "user-login", outcome: "failure", src: "203.0.113.5",
			message: "auth: passwd-file(bob,203.0.113.5): Password mismatch",
		},
		{
			name: "user of Dovecot", program: "dovecot",
			message: "imap-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<x>, method=PLAIN, rip=192.0.2.1, y>, method=PLAIN, rip=203.0.113.5, lip=10.0.0.6",
		},
		{
			name: "message-id in Sendmail", program: "sendmail",
			message: "44E7VsCJ000811: from=<eve@example.test>, size=1, class=0, nrcpts=1, msgid=<x, relay=a [192.0.2.1]>, proto=ESMTP, daemon=MTA, relay=host.example.test [203.0.113.5]",
		},
		{
			name: "reply of another server to Sendmail", program: "sendmail",
			message: "44E7VsCJ000811: to=<bob@example.org>, delay=00:00:01, mailer=esmtp, pri=120, relay=mx.example.org. [203.0.113.5], dsn=5.1.1, stat=User unknown, stat=Sent",
		},
		{
			name: "reply of another server to Postfix", program: "postfix/smtp",
			message: "4F1B2C3D: to=<bob@example.org>, relay=mx.example.org[203.0.113.5]:25, delay=1, dsn=5.1.1, status=bounced (host mx.example.org[203.0.113.5] said: 550 status=sent (really) (in reply to RCPT TO command))",
			action:  "mail-delivered", outcome: "failure",
		},
		{
			name: "delivery by Postfix", program: "postfix/smtp",
			message: "4F1B2C3D: to=<bob@example.org>, relay=mx.example.org[203.0.113.5]:25, delay=1, dsn=2.0.0, status=sent (250 2.0.0 OK)",
			action:  "mail-delivered", outcome: "success",
		},
		{
			name: "user of imapd", program: "imapd",
			message: "Login failed user=x auth=x host=a [192.0.2.1] auth=y host=b.example.test [203.0.113.5]",
		},
		{
			name: "database of MySQL", parser: mysqlError,
			message: "2024-05-14T07:31:54.123456Z 12 [Note] Aborted connection 12 to db: 'x' user: 'root' host: '192.0.2.1' (a)' user: 'eve' host: '203.0.113.5' (Got an error reading communication packets)",
		},
		{
			name: "statement that looks like a login", parser: mysqlGeneral, action: "database-query",
			message: "2024-05-14T07:31:54.123456Z\t   12 Query\tAccess denied for user 'root'@'192.0.2.1' (using password: YES)",
		},
		{
			name: "statement that looks like a peer", parser: mysqlGeneral, action: "database-query",
			message: "2024-05-14T07:31:54.123456Z\t   12 Query\troot@192.0.2.1 on mysql",
		},
		{
			name: "a role that a statement names", parser: postgresqlLog,
			message: "2024-05-14 09:31:54.123 UTC [811] ERROR:  role \"nobody\" does not exist",
		},
		{
			name: "a role whose name imitates a login", parser: postgresqlLog,
			message: "2024-05-14 09:31:54.123 UTC [811] x@y LOG:  connection authorized: user=postgres@db FATAL:  password authentication failed for user \"x@y LOG:  connection authorized: user=postgres\"",
		},
		{
			name: "a role that logs in", parser: postgresqlLog, action: "user-login", outcome: "failure",
			message: "2024-05-14 09:31:54.123 UTC [811] FATAL:  role \"nobody\" does not exist",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ev *timeline.Event
			if c.program != "" {
				ev = journalMessage(t, c.program, c.message)
			} else {
				res := parsertest.Parse(t, c.parser, parsertest.Sample{Name: "x.log", Data: []byte(c.message + "\n")})
				if len(res.Events) != 1 {
					t.Fatalf("%d events", len(res.Events))
				}
				ev = res.Events[0]
			}
			if ev.SrcIP != c.src || ev.Outcome != c.outcome || ev.Action != c.action {
				t.Errorf("action %q, source %q, outcome %q; want %q, %q, %q", ev.Action, ev.SrcIP, ev.Outcome, c.action, c.src, c.outcome)
			}
			if open, _ := ev.Attr("ambiguous"); cmp.Or(c.src, c.outcome, c.action) == "" && c.name != "a role that a statement names" && open == "" {
				t.Error("nothing says that the message imitates its own format")
			}
		})
	}
}

// journalMessage reads a message as the journal's reader does.
func journalMessage(t *testing.T, program, message string) *timeline.Event {
	t.Helper()
	out := timeline.NewAppender(t.Context(), timeline.SinkFunc(func(context.Context, *timeline.Batch) error { return nil }), &timeline.Source{}, "test", 1)
	ev := out.Event(0, 1)
	j := journalEvents{out: out, host: analyze.NewHost(), values: newLineValues(out), program: []byte(program), message: []byte(message)}
	j.interpret(ev)
	return ev
}
