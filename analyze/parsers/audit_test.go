package parsers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/exhibit-dfir/exhibit/analyze/format/audit"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestLinuxAudit(t *testing.T) { parsertest.Run(t, linuxAudit, "testdata/linux_audit") }

func FuzzLinuxAudit(f *testing.F) { parsertest.Fuzz(f, linuxAudit, "testdata/linux_audit") }

// labFile returns one file of the laboratory host's tree.
func labFile(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(testenv.Lab(t), "trees.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if h.Name == name {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
}

// ausearch runs the audit system's own reader over a log.
func ausearch(t *testing.T, log []byte, args ...string) string {
	t.Helper()
	tool := testenv.Tool(t, "ausearch")
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, append([]string{"-if", path}, args...)...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Logf("ausearch %q: %v", args, err)
	}
	return string(out)
}

func auditLogs(t *testing.T) map[string][]byte {
	t.Helper()
	logs := map[string][]byte{"lab": labFile(t, "var/log/audit/audit.log")}
	for _, path := range []string{"plaso/selinux.log", "hub/auditd-logs.log", "hub/auditd-base64-exec.log", "audit-userspace/test2.log", "audit-userspace/test3.log"} {
		b, err := os.ReadFile(filepath.Join(testenv.Corpus(t), "audit/auditd", path))
		if err != nil {
			t.Fatal(err)
		}
		logs[path] = b
	}
	return logs
}

func TestAuditEventsAreThoseOfAusearch(t *testing.T) {
	for name, log := range auditLogs(t) {
		res := parsertest.Parse(t, linuxAudit, parsertest.Sample{Name: "audit.log", Data: log})
		want := map[string]int{}
		for line := range strings.SplitSeq(ausearch(t, log, "--raw"), "\n") {
			if _, id, ok := strings.Cut(line, "msg=audit("); ok {
				id, _, _ = strings.Cut(id, ")")
				want[id]++
			}
		}
		got := map[string]int{}
		for _, ev := range res.Events {
			got[fmt.Sprintf("%d.%03d:%d", ev.TS/1e9, ev.TS/1e6%1000, ev.RecNo)]++
		}
		missing := 0
		for id := range want {
			if got[normalID(id)] == 0 && !reported(res, bytes.Index(log, []byte("msg=audit("+id+")"))) {
				missing++
				t.Errorf("%s: no event %s", name, id)
			}
		}
		for id, n := range got {
			if n != 1 {
				t.Errorf("%s: %d events %s", name, n, id)
			}
		}
		if len(want) == 0 {
			t.Errorf("%s: ausearch has no events", name)
		}
		t.Logf("%s: %d events, ausearch %d, %d missing", name, len(got), len(want), missing)
	}
}

// reported tells whether a problem covers the offset: a record without
// milliseconds or type is one that ausearch prints and we report.
func reported(res parsertest.Result, offset int) bool {
	for _, p := range res.Problems {
		if int64(offset) >= p.Ref.Offset && int64(offset) < p.Ref.Offset+p.Ref.Length {
			return true
		}
	}
	return false
}

// normalID writes the milliseconds with three digits.
func normalID(id string) string {
	sec, rest, _ := strings.Cut(id, ".")
	ms, serial, _ := strings.Cut(rest, ":")
	for len(ms) < 3 {
		ms += "0"
	}
	return sec + "." + ms + ":" + serial
}

// ausearch -i prints the decoded arguments of each EXECVE record.
func TestCommandLinesAreThoseOfAusearch(t *testing.T) {
	log := labFile(t, "var/log/audit/audit.log")
	want := map[string]string{} // serial and time to "a0=... a1=..."
	var id string
	for line := range strings.SplitSeq(ausearch(t, log, "-i", "--escape", "raw", "-m", "EXECVE"), "\n") {
		if rest, ok := strings.CutPrefix(line, "type=EXECVE msg=audit("); ok {
			var args string
			id, args, _ = strings.Cut(rest, ") : ")
			_, id, _ = strings.Cut(id, ".") // milliseconds and serial
			_, args, _ = strings.Cut(args, " ")
			want[id] += strings.TrimSpace(args)
		} else if id != "" && !strings.HasPrefix(line, "type=") && !strings.HasPrefix(line, "----") && line != "" {
			want[id] += "\n" + line // an argument with a line end
		}
	}
	got := map[string]string{}
	var args audit.Arguments
	a := audit.NewAssembler(func(ev *audit.Event) {
		args.Reset()
		found := false
		for i := range ev.Records {
			if string(ev.Records[i].Type) == "EXECVE" {
				args.Add(ev.Records[i].Body)
				found = true
			}
		}
		if !found {
			return
		}
		var b strings.Builder
		for i := range args.Len() {
			fmt.Fprintf(&b, "a%d=%s ", i, args.At(i))
		}
		got[fmt.Sprintf("%03d:%d", ev.Millis, ev.Serial)] = strings.TrimSpace(b.String())
	})
	for i, line := range bytes.Split(log, []byte("\n")) {
		var h audit.Header
		if audit.ParseHeader(line, &h) {
			a.Add(&h, 0, 1, int64(i))
		}
	}
	a.Flush()
	if len(want) < 500 || len(got) != len(want) {
		t.Errorf("%d command lines, ausearch has %d", len(got), len(want))
	}
	for id, w := range want {
		if strings.Join(strings.Fields(got[id]), " ") != strings.Join(strings.Fields(w), " ") {
			t.Errorf("%s:\n got %q\nwant %q", id, got[id], w)
		}
	}
}

// The bytes that an event names are its own lines, all of them and no others.
func TestSpansAreTheEventsOwnLines(t *testing.T) {
	sample, err := os.ReadFile("testdata/linux_audit/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	for name, log := range map[string][]byte{"lab": labFile(t, "var/log/audit/audit.log"), "sample": sample} {
		res := parsertest.Parse(t, linuxAudit, parsertest.Sample{Name: "audit.log", Data: log})
		lines, apart := 0, 0
		for _, ev := range res.Events {
			spans, ok := ev.Attr("spans")
			if !ok {
				spans = fmt.Sprintf("%d+%d", ev.RecOff, ev.RecLen)
			} else {
				apart++
			}
			for span := range strings.SplitSeq(spans, ",") {
				var off, n int
				if _, err := fmt.Sscanf(span, "%d+%d", &off, &n); err != nil {
					t.Fatalf("span %q: %v", span, err)
				}
				for line := range bytes.Lines(log[off : off+n]) {
					lines++
					if !bytes.Contains(line, fmt.Appendf(nil, ":%d)", ev.RecNo)) {
						t.Errorf("%s: event %d has the line %q", name, ev.RecNo, line)
					}
				}
			}
		}
		if want := bytes.Count(log, []byte("\n")); lines != want {
			t.Errorf("%s: %d lines in events, the log has %d", name, lines, want)
		}
		if name == "sample" && apart == 0 {
			t.Error("the sample has no event whose lines lie apart")
		}
	}
}

func TestCommandsOfTheLabAreEvents(t *testing.T) {
	res := parsertest.Parse(t, linuxAudit, parsertest.Sample{Name: "audit.log", Data: labFile(t, "var/log/audit/audit.log")})
	if len(res.Problems) > 0 {
		t.Errorf("%d problems, the first: %+v", len(res.Problems), res.Problems[0])
	}
	execs, noCommand, sudo := 0, 0, 0
	for _, ev := range res.Events {
		switch {
		case ev.Action == "process-started":
			execs++
			if ev.Cmdline == "" || ev.Exe == "" || ev.PID == timeline.None || ev.PPID == timeline.None {
				noCommand++
			}
		case ev.EventCode == "USER_CMD" && ev.User == "alice" && ev.Cmdline == "apt-get install -y -qq tree" && ev.CWD == "/home/alice" && ev.Session == "4":
			sudo++
		}
	}
	if execs != 836 || noCommand > 0 || sudo != 1 {
		t.Errorf("%d executions, %d without their command, %d of the sudo command", execs, noCommand, sudo)
	}
}

func BenchmarkLinuxAudit(b *testing.B) {
	log, err := os.ReadFile("testdata/linux_audit/audit.log")
	if err != nil {
		b.Fatal(err)
	}
	var whole bytes.Buffer
	for i := range 400 { // each round happens a second later
		whole.Write(bytes.ReplaceAll(log, []byte("audit(1795413890."), fmt.Appendf(nil, "audit(%d.", 1_795_413_890+i)))
	}
	meter := parsertest.Bench(b, linuxAudit, parsertest.Sample{Name: "audit.log", Data: whole.Bytes()})
	meter.Report(b, float64(bytes.Count(whole.Bytes(), []byte("\n")))*float64(b.N), "lines")
}
