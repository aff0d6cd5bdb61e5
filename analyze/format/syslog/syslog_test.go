package syslog_test

import (
	"fmt"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/syslog"
)

func show(r *syslog.Record) string {
	return fmt.Sprintf("%s|%d|%s|%s|%s|%d|%s|%s|%s", r.TimeText, r.Priority, r.Host, r.Level, r.Program, r.PID, r.MsgID, r.Data, r.Message)
}

func TestEveryFormOnDiskIsTakenApart(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"Nov 23 06:03:21 web sshd[269]: hello: x", "Nov 23 06:03:21|-1|web||sshd|269|||hello: x"},
		{"Nov  3 06:03:21 web kernel: [  1.0] x", "Nov  3 06:03:21|-1|web||kernel|-1|||[  1.0] x"},
		{"Nov 23 06:03:21 sshd[269]: no host", "Nov 23 06:03:21|-1|||sshd|269|||no host"},
		{"Nov 23 06:03:21 [sshd] User root", "Nov 23 06:03:21|-1||||-1|||[sshd] User root"},
		{"Nov 23 2026 06:03:21 fw : %ASA-6: x", "Nov 23 2026 06:03:21|-1|fw|||-1|||: %ASA-6: x"},
		{"Nov 23 06:03:21 web last message repeated 3 times", "Nov 23 06:03:21|-1|web|||-1|||last message repeated 3 times"},
		{"Nov 23 06:03:21 web -- root[12]: ROOT LOGIN ON tty1", "Nov 23 06:03:21|-1|web||-- root|12|||ROOT LOGIN ON tty1"},
		{"Nov 23 06:03:21 web postfix/smtpd[3]: connect", "Nov 23 06:03:21|-1|web||postfix/smtpd|3|||connect"},
		{"Nov 23 06:03:21 web sshd(pam_unix)[3]: check", "Nov 23 06:03:21|-1|web||sshd(pam_unix)|3|||check"},
		{"<34>Oct 11 22:14:15 mymachine su: failed", "Oct 11 22:14:15|34|mymachine||su|-1|||failed"},
		{"2026-11-23T06:03:21.442811+00:00 web systemd-logind[269]: New seat", "2026-11-23T06:03:21.442811+00:00|-1|web||systemd-logind|269|||New seat"},
		{"2026-11-23 06:03:21 web x[1]: y", "2026-11-23 06:03:21|-1|web||x|1|||y"},
		{"2016-10-25T12:37:23.297265-07:00 INFO sched[13707]: done", "2016-10-25T12:37:23.297265-07:00|-1||INFO|sched|13707|||done"},
		{"<165>1 2003-10-11T22:14:15.003Z mach evntslog - ID47 [a b=\"x]\\\"\"][c] \xef\xbb\xbfAn event", "2003-10-11T22:14:15.003Z|165|mach||evntslog|-1|ID47|[a b=\"x]\\\"\"][c]|An event"},
		{"<165>1 2003-10-11T22:14:15.003Z - - 8 - -", "2003-10-11T22:14:15.003Z|165||||8|||"},
		{"Nov 23 06:03:21 web", "Nov 23 06:03:21|-1|web|||-1|||"},
		{"Nov 23 06:03:21 ", "Nov 23 06:03:21|-1||||-1|||"},
	} {
		var r syslog.Record
		if !syslog.Parse([]byte(c.line), &r) || show(&r) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, show(&r), c.want)
		}
	}
}

func TestOtherLinesAreRefused(t *testing.T) {
	for _, line := range []string{"", "x", "<34>", "<999>Nov 23 06:03:21 web x: y", "Nov 32 06:03:21 web x: y", "Nov 23 06:63:21 web x: y", "Foo 23 06:03:21 web x: y", "with another line", "2026-02-29T00:00:00Z web x: y", "2026-11-23", "\tat com.example.Main"} {
		var r syslog.Record
		if syslog.Parse([]byte(line), &r) {
			t.Errorf("%q was read as %s", line, show(&r))
		}
	}
}

func TestPrioritiesHaveNames(t *testing.T) {
	if got := syslog.Facility(34) + "." + syslog.Severity(34); got != "auth.crit" {
		t.Errorf("34 is %s", got)
	}
	if syslog.Facility(-1) != "" || syslog.Facility(192) != "" || syslog.Severity(-1) != "" {
		t.Error("a priority that is none has a name")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Nov 23 06:03:21 web sshd[269]: hello: x", "<165>1 2003-10-11T22:14:15.003Z mach evntslog - ID47 [a b=\"x]\\\"\"] m",
		"2026-11-23 06:03:21,123 web x[1]: y", "Wed Nov 23 06:03:21 2026 x", "23/Nov/2026:06:03:21 +0100 x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var r syslog.Record
		if !syslog.Parse(line, &r) {
			return
		}
		if len(r.TimeText) == 0 || r.Time.Month < 1 || r.Time.Month > 12 || r.Time.Nanos < 0 || r.Time.Nanos > 999_999_999 {
			t.Errorf("time %+v of %q", r.Time, line)
		}
		if len(r.Message) > len(line) {
			t.Error("the message is longer than the line")
		}
		syslog.LastRepeated(r.Message)
	})
}

func BenchmarkParse(b *testing.B) {
	line := []byte("2026-11-23T06:03:21.442811+00:00 web01 sshd[269]: Accepted password for ann from 192.0.2.1 port 22 ssh2")
	var r syslog.Record
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		syslog.Parse(line, &r)
	}
}
