package parsers

import (
	"bytes"
	"context"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// The journal's messages mean what those of syslog mean, and an identifier
// that the kernel's name of the process does not confirm is said to be so.
func TestMessagesOfServicesInTheJournal(t *testing.T) {
	for _, c := range []struct {
		program, comm, message       string
		action, user, src, confirmed string
	}{
		{"postfix/smtpd", "smtpd", "warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x, sasl_username=admin", "user-login", "admin", "203.0.113.9", ""},
		{"kernel", "", "FINAL_REJECT: IN=eth0 OUT= MAC=x SRC=203.0.113.20 DST=10.0.0.6 LEN=60 TOS=0x00 PROTO=UDP SPT=53 DPT=5353 LEN=40", "connection-blocked", "root", "203.0.113.20", ""},
		{"smbd_audit", "logger", "bob|203.0.113.17|unlinkat|ok|/srv/a", "file-deleted", "bob", "203.0.113.17", "logger"},
		{"sysmon", "sysmon", `<Event><System><Provider Name="Linux-Sysmon"/><EventID>3</EventID></System><EventData><Data Name="User">www-data</Data><Data Name="SourceIp">203.0.113.30</Data></EventData></Event>`, "connection", "www-data", "203.0.113.30", ""},
		{"snoopy", "snoopy", "[uid:33 sid:1 tty:x cwd:/ filename:/bin/sh]: sh", "process-started", "www-data", "", ""},
		{"vsftpd", "vsftpd", "something else", "", "root", "", ""},
	} {
		out := timeline.NewAppender(t.Context(), timeline.SinkFunc(func(context.Context, *timeline.Batch) error { return nil }), &timeline.Source{}, "test", 1)
		ev := out.Event(0, 1)
		ev.User, ev.UID = "root", 0
		host := analyze.NewHost()
		host.Users[33] = "www-data"
		j := journalEvents{out: out, host: host, values: newLineValues(out), program: []byte(c.program), message: []byte(c.message)}
		if c.comm != "" {
			j.comm = []byte(c.comm)
		}
		j.interpret(ev)
		confirmed, _ := ev.Attr("identifier_not_confirmed")
		if ev.Action != c.action || ev.User != c.user || ev.SrcIP != c.src || confirmed != c.confirmed {
			t.Errorf("%q of %s: action %q, user %q, source %q, not confirmed by %q", c.message, c.program, ev.Action, ev.User, ev.SrcIP, confirmed)
		}
		if writer, _ := ev.Attr("writer_uid"); c.user != "root" && (writer != "0" || ev.UID == 0) {
			t.Errorf("%q: the number %d of the writer stayed beside the user %s", c.message, ev.UID, ev.User)
		}
	}
}

func BenchmarkSyslogOfServices(b *testing.B) {
	lines := []byte("2024-05-14T09:30:01.100000+02:00 web1 postfix/smtpd[811]: NOQUEUE: reject: RCPT from unknown[203.0.113.8]: 554 5.7.1 <bob@example.org>: Relay access denied; from=<eve@example.test> to=<bob@example.org> proto=ESMTP helo=<x>\n" +
		"2024-05-14T09:30:18.100000+02:00 web1 kernel: [12345.678901] [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:00:00:01:52:54:00:00:00:02:08:00 SRC=203.0.113.19 DST=10.0.0.5 LEN=60 TOS=0x00 PREC=0x00 TTL=51 ID=4711 DF PROTO=TCP SPT=40022 DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0\n")
	parsertest.Bench(b, linuxSyslog, parsertest.Sample{Name: "mail.log", Data: bytes.Repeat(lines, 25_000)})
}
