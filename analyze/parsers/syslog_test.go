package parsers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestLinuxSyslog(t *testing.T) { parsertest.Run(t, linuxSyslog, "testdata/linux_syslog") }

func TestTextTimestamped(t *testing.T) {
	parsertest.Run(t, textTimestamped, "testdata/text_timestamped")
}

func FuzzLinuxSyslog(f *testing.F) { parsertest.Fuzz(f, linuxSyslog, "testdata/linux_syslog") }

func FuzzTextTimestamped(f *testing.F) {
	parsertest.Fuzz(f, textTimestamped, "testdata/text_timestamped")
}

// corpusText returns a text of the corpus as a log of a host in UTC that was
// written last in March 2021.
func corpusText(t testing.TB, path string) parsertest.Sample {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Corpus(t), filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return parsertest.Sample{Name: filepath.Base(path), Data: b, Facts: parsertest.Facts{
		Path: "/var/log/" + filepath.Base(path), Zone: "UTC", Modified: time.Date(2021, 3, 20, 0, 0, 0, 0, time.UTC),
	}}
}

func TestEveryCorpusLineIsAnEventOrJoined(t *testing.T) {
	for _, path := range []string{
		"linux/loghub_openssh/loghub/part1__OpenSSH_2k.log", "linux/loghub_linux/loghub/part1__Linux_2k.log",
		"linux/auth_log/grr/auth.log", "linux/auth_log/examples/part1__auth.log", "linux/syslog/grr/syslog",
		"linux/syslog/plaso/syslog_chromeos", "linux/syslog/plaso/syslog_rsyslog", "linux/syslog/plaso/syslog_cron.log",
		"linux/syslog/plaso/syslog_rsyslog_SyslogProtocol23Format", "linux/fail2ban/fail2ban/sshd",
		"linux/fail2ban/fail2ban/pam-generic", "linux/hub_linux/hub/syslog-logs.log", "linux/hub_linux/hub/sshd-success-logs.log",
		"linux/hub_linux/hub/pfsense-rfc5424-filterlog.log", "hostile_text/ansi_escape.log", "hostile_text/csv_formula.log",
		"hostile_text/duplicate_lines.log", "hostile_text/invalid_utf8.log", "hostile_text/mixed_eol_no_final_newline.log",
		"hostile_text/nul_bytes.log", "hostile_text/year_rollover.log", "hostile_text/long_line.log",
	} {
		t.Run(path, func(t *testing.T) {
			s := corpusText(t, path)
			if !linuxSyslog.Match(s.Item(), s.Data[:min(len(s.Data), 64<<10)]) {
				t.Fatal("not taken for syslog")
			}
			res := parsertest.Parse(t, linuxSyslog, s)
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			want := 0
			for line := range bytes.SplitSeq(s.Data, []byte("\n")) {
				if len(bytes.TrimRight(line, "\r\x00")) > 0 {
					want++
				}
			}
			got := len(res.Events)
			for _, ev := range res.Events {
				if n, ok := ev.Attr("joined_lines"); ok {
					var joined int
					fmt.Sscan(n, &joined)
					got += joined
				}
			}
			if got != want {
				t.Errorf("%d lines in events, the file has %d", got, want)
			}
		})
	}
}

func TestYearsAroundNewYearKeepTheOrder(t *testing.T) {
	s := corpusText(t, "hostile_text/year_rollover.log")
	s.Facts.Modified = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	res := parsertest.Parse(t, linuxSyslog, s)
	for i, want := range []string{"2023-12-30", "2023-12-31", "2024-01-01", "2024-01-01", "2024-02-29"} {
		at, ok := res.Events[i].Time()
		if got := at.Format(time.DateOnly); !ok || got != want {
			t.Errorf("line %d: %s, want %s", i+1, got, want)
		}
		if res.Events[i].Flags&timeline.InferredTime == 0 || res.Events[i].YearSrc != timeline.YearFileTimes {
			t.Errorf("line %d does not say that its year was inferred", i+1)
		}
	}
}

func TestAYearComesFromTheBestStatement(t *testing.T) {
	line := "Nov 20 06:03:21 testhost a[1]: x\n"
	for _, c := range []struct {
		name  string
		facts parsertest.Facts
		text  string
		year  int
		src   string
	}{
		{"user", parsertest.Facts{Year: 2011, Modified: time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)}, line, 2011, timeline.YearUser},
		{"line with a year", parsertest.Facts{Modified: time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)}, line + "2013-11-21T00:00:00Z testhost a[1]: y\n", 2013, timeline.YearMonotonic},
		{"kernel clock", parsertest.Facts{}, line + "Nov 21 00:00:00 testhost kernel: [ 1.0] rtc_cmos 00:01: setting system clock to 2014-11-21T00:00:00 UTC (1416528000)\n", 2014, timeline.YearMonotonic},
		{"name", parsertest.Facts{Path: "/var/log/syslog-20150101", Modified: time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)}, line, 2014, timeline.YearRotation},
		{"gzip", parsertest.Facts{GzipTime: time.Date(2016, 12, 1, 0, 0, 0, 0, time.UTC), Modified: time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)}, line, 2016, timeline.YearGzip},
		{"file time", parsertest.Facts{Modified: time.Date(2017, 12, 1, 0, 0, 0, 0, time.UTC)}, line, 2017, timeline.YearFileTimes},
		{"collection", parsertest.Facts{Collected: time.Date(2018, 12, 1, 0, 0, 0, 0, time.UTC)}, line, 2018, timeline.YearNone},
		{"nothing", parsertest.Facts{}, line, 0, timeline.YearNone},
	} {
		res := parsertest.Parse(t, linuxSyslog, parsertest.Sample{Name: "syslog", Data: []byte(c.text), Facts: c.facts})
		ev := res.Events[0]
		at, dated := ev.Time()
		if dated != (c.year != 0) || dated && at.Year() != c.year || ev.YearSrc != c.src {
			t.Errorf("%s: %v, year source %q", c.name, at, ev.YearSrc)
		}
	}
}

// A compressed log can be read only once: its beginning, which was looked at
// to see whether it states years, has to be put back.
func TestACompressedLogIsReadTwice(t *testing.T) {
	var text bytes.Buffer
	for i := range 3000 {
		fmt.Fprintf(&text, "%s 06:03:%02d testhost a[1]: line %d\n", [2]string{"Dec 31", "Jan  1"}[i/2900], i%60, i)
	}
	it := &evidence.Item{Kind: evidence.KindFile, Path: "/var/log/syslog.2.gz", Member: "x"}
	src := analyze.NewSource(t.Context(), it, analyze.NewHost(), bytes.NewReader(text.Bytes()), nil, -1)
	src.Chain, src.GzipTime = "gzip", time.Date(2020, 1, 5, 0, 0, 0, 0, time.UTC)
	years, next := map[int]int{}, int64(0)
	sink := timeline.SinkFunc(func(_ context.Context, b *timeline.Batch) error {
		for i := range b.Events {
			ev := &b.Events[i]
			at, _ := ev.Time()
			years[at.Year()]++
			if ev.RecOff != next {
				t.Errorf("an event at %d, want %d", ev.RecOff, next)
			}
			next = ev.RecOff + ev.RecLen
		}
		return nil
	})
	out := timeline.NewAppender(t.Context(), sink, &timeline.Source{}, "x", 1)
	if err := linuxSyslog.Parse(t.Context(), src, out); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if years[2019] != 2900 || years[2020] != 100 || next != int64(text.Len()) {
		t.Errorf("years %v, %d of %d bytes", years, next, text.Len())
	}
}

func TestADoubtfulYearIsAnInterval(t *testing.T) {
	s := parsertest.Sample{Name: "syslog", Data: []byte("Nov 25 06:03:21 testhost a[1]: x\n"), Facts: parsertest.Facts{Modified: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}}
	ev := parsertest.Parse(t, linuxSyslog, s).Events[0]
	year := func(ns int64) int { return time.Unix(0, ns).UTC().Year() }
	if ev.TSLo == timeline.None || year(ev.TSLo) != 2025 || year(ev.TSHi) != 2026 || year(ev.TS) != 2025 {
		t.Errorf("%d in %d to %d", year(ev.TS), year(ev.TSLo), year(ev.TSHi))
	}
}

// Fail2ban's own test says which address each line blames.
func TestAddressesAgreeWithFail2ban(t *testing.T) {
	agree, differ := 0, 0
	for _, row := range corpusRows(t, "linux.fail2ban.fail2ban_test.jsonl.gz") {
		if row["path"] != "linux/fail2ban/fail2ban/sshd" {
			continue
		}
		res := parsertest.Parse(t, linuxSyslog, corpusText(t, row["path"].(string)))
		byLine := map[int64]*timeline.Event{}
		for _, ev := range res.Events {
			byLine[ev.Line] = ev
		}
		for _, a := range row["asserted"].([]any) {
			want := a.(map[string]any)
			host, _ := want["host"].(string)
			ev := byLine[int64(want["line"].(float64))]
			if host == "" || ev == nil || want["match"] != true {
				continue
			}
			name, _ := ev.Attr("src_host")
			if ev.SrcIP == host || name == host || strings.TrimPrefix(host, "::ffff:") == ev.SrcIP {
				agree++
			} else if ev.SrcIP != "" {
				differ++
				t.Logf("line %d: %s, fail2ban blames %s: %s", ev.Line, ev.SrcIP, host, ev.Message)
			}
		}
	}
	// The one difference is a text behind the format that OpenSSH does not
	// write and that reads either way; the event is marked ambiguous.
	if agree < 60 || differ > 1 {
		t.Errorf("%d agree, %d differ", agree, differ)
	}
}

func TestConfigurationIsNoLog(t *testing.T) {
	for _, c := range []struct{ path, text string }{
		{"/etc/ssh/sshd_config", "# sshd\nPort 22\nPermitRootLogin no\n"},
		{"/etc/crontab", "17 * * * * root cd / && run-parts --report /etc/cron.hourly\n"},
		{"/var/log/README", "You are looking for the traditional text log files\n"},
		{"/etc/app.conf", "2026-11-23 06:10:02 a\n"},
		{"/var/log/wtmp", "\x00\x00\x00\x00"},
		{"/var/log/dpkg.log", "2026-11-23 06:05:19 install tree:amd64 <none> 2.1.0-1\n"},
	} {
		s := parsertest.Sample{Name: "x", Data: []byte(c.text), Facts: parsertest.Facts{Path: c.path}}
		if linuxSyslog.Match(s.Item(), s.Data) {
			t.Errorf("%s was taken for syslog", c.path)
		}
		if c.path != "/var/log/dpkg.log" && textTimestamped.Match(s.Item(), s.Data) {
			t.Errorf("%s was taken for a log", c.path)
		}
	}
}

func BenchmarkLinuxSyslog(b *testing.B) {
	line := "2026-11-23T06:05:%02d.%06d+00:00 testhost %s\n"
	messages := []string{
		"sshd[301]: Accepted publickey for alice from 10.66.0.10 port 50022 ssh2: ED25519 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
		"sshd[300]: Failed password for invalid user oracle from 198.51.100.99 port 40404 ssh2",
		"sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/apt-get install tree",
		"CRON[411]: (www-data) CMD (curl -s http://127.0.0.1/ || true)",
		"systemd[1]: Started session-4.scope - Session 4 of User alice.",
		"kernel: [  240.500000] acpiphp: Slot [3] registered",
		"pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
	}
	var text bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&text, line, i/1000, i, messages[i%len(messages)])
	}
	b.Run("rfc3339", func(b *testing.B) {
		parsertest.Bench(b, linuxSyslog, parsertest.Sample{Name: "auth.log", Data: text.Bytes()})
	})
	old := bytes.ReplaceAll(text.Bytes(), []byte("2026-11-23T"), []byte("Nov 23 "))
	old = bytes.ReplaceAll(old, []byte("+00:00 "), []byte(" "))
	b.Run("rfc3164", func(b *testing.B) {
		parsertest.Bench(b, linuxSyslog, parsertest.Sample{Name: "auth.log", Data: old, Facts: parsertest.Facts{
			Zone: "Europe/Berlin", Modified: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		}})
	})
}

// loghub says what each line of its samples consists of.
func TestLinesAgreeWithLoghub(t *testing.T) {
	for bundle, columns := range map[string][3]string{
		"linux.loghub_linux.loghub_structured.jsonl.gz":   {"Component", "PID", "Content"},
		"linux.loghub_openssh.loghub_structured.jsonl.gz": {"", "Pid", "Content"},
	} {
		for _, row := range corpusRows(t, bundle) {
			res := parsertest.Parse(t, linuxSyslog, corpusText(t, row["path"].(string)))
			byLine := map[string]*timeline.Event{}
			for _, ev := range res.Events {
				byLine[fmt.Sprint(ev.Line)] = ev
			}
			differ := 0
			for _, r := range row["rows"].([]any) {
				want := r.(map[string]any)
				ev := byLine[want["LineId"].(string)]
				if ev == nil {
					t.Fatalf("no event of line %v", want["LineId"])
				}
				text := func(column string) string { v, _ := want[column].(string); return v }
				reporter, _ := ev.Attr("reporter")
				pid := strings.TrimSuffix(fmt.Sprint(ev.PID), fmt.Sprint(timeline.None))
				stamp := text("Time") != "" && strings.HasSuffix(ev.TSRaw, text("Time"))
				message := strings.TrimSpace(ev.Message) == strings.TrimSpace(text(columns[2]))
				name := columns[0] == "" || reporter == text(columns[0])
				if !stamp || !message || !name || pid != strings.TrimSuffix(text(columns[1]), ".0") {
					if differ++; differ < 5 {
						t.Logf("line %v: %q %q %q %q, loghub has %v", want["LineId"], ev.TSRaw, reporter, pid, ev.Message, want)
					}
				}
			}
			// loghub takes "syslogd 1.4.1" for a program; there are three.
			if differ > 3 {
				t.Errorf("%s: %d lines differ", row["path"], differ)
			}
		}
	}
}

func TestLinesAgreeWithPlaso(t *testing.T) {
	checked := 0
	for _, row := range corpusRows(t, "linux.syslog.plaso_test.jsonl.gz") {
		path := row["path"].(string)
		res := parsertest.Parse(t, linuxSyslog, corpusText(t, path))
		have := map[string]int{}
		for _, ev := range res.Events {
			reporter, _ := ev.Attr("reporter")
			have[reporter+"|"+strings.Join(strings.Fields(ev.Message), " ")]++
		}
		for _, want := range plasoRows(t, "linux.syslog.plaso_test.jsonl.gz", path) {
			body, _ := want["message_body"].(string)
			reporter, _ := want["reporter"].(string)
			key := reporter + "|" + strings.Join(strings.Fields(body), " ")
			checked++
			if have[key] == 0 {
				t.Errorf("%s: no event %q", path, key)
			}
			have[key]--
		}
	}
	if checked < 20 {
		t.Errorf("only %d events were compared", checked)
	}
}

func TestTheLabsLoginsAreRead(t *testing.T) {
	data := labFile(t, "var/log/auth.log")
	res := parsertest.Parse(t, linuxSyslog, parsertest.Sample{Name: "auth.log", Data: data})
	got := map[string]int{}
	for _, ev := range res.Events {
		if ev.Action == "user-login" && ev.SrcIP != "" && ev.User != "" {
			got[ev.Outcome]++
		}
		if ev.Action == "privilege-used" && ev.Cmdline != "" {
			got["sudo"]++
		}
	}
	count := func(text string) int { return bytes.Count(data, []byte(text)) }
	want := map[string]int{"success": count("]: Accepted "), "failure": count("]: Failed ") + count("maximum authentication attempts"), "sudo": count(" ; COMMAND=")}
	for kind, n := range want {
		if got[kind] < n || n == 0 {
			t.Errorf("%s: %d events for %d lines", kind, got[kind], n)
		}
	}
}

func TestARunOfLinesWithoutATimeIsOneProblem(t *testing.T) {
	var text bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&text, "garbage %d\n", i)
	}
	text.WriteString("2026-11-23T06:03:21Z testhost a[1]: x\n")
	res := parsertest.Parse(t, linuxSyslog, parsertest.Sample{Name: "syslog", Data: text.Bytes()})
	if len(res.Events) != 5001 || len(res.Problems) != 1 || res.Problems[0].Detail != "5000 lines with no time" {
		t.Errorf("%d events, problems %+v", len(res.Events), res.Problems)
	}
}
