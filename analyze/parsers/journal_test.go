package parsers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestLinuxJournal(t *testing.T) { parsertest.Run(t, linuxJournal, "testdata/linux_journal") }

func FuzzLinuxJournal(f *testing.F) { parsertest.Fuzz(f, linuxJournal, "testdata/linux_journal") }

func BenchmarkLinuxJournal(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.journal")
	cmd := exec.Command("/lib/systemd/systemd-journal-remote", "-o", path, "--split-mode=none", "-")
	var stream bytes.Buffer
	for i := range 6000 {
		// Another time, process and number per round; the rest repeats as it does on a host.
		s := streamAt(1_763_900_000_000_000 + int64(i)*60_000_000)
		s = bytes.ReplaceAll(s, []byte("port 400"), fmt.Appendf(nil, "port %d", 1000+i))
		stream.Write(bytes.ReplaceAll(s, []byte("session 5"), fmt.Appendf(nil, "session %d", i)))
	}
	cmd.Stdin, cmd.Env = &stream, append(os.Environ(), "SYSTEMD_JOURNAL_COMPACT=1", "SYSTEMD_JOURNAL_KEYED_HASH=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Skipf("skipped: systemd-journal-remote: %v: %s", err, out)
	}
	var data []byte
	for _, name := range must(filepath.Glob(filepath.Dir(path) + "/*.journal")) {
		if d := must(os.ReadFile(name)); len(d) > len(data) {
			data = d
		}
	}
	parsertest.Bench(b, linuxJournal, parsertest.Sample{Name: "bench.journal", Data: data})
}

func TestLinuxJournalReadsAsManyEntriesAsJournalctl(t *testing.T) {
	tool := testenv.Tool(t, "journalctl")
	files, err := filepath.Glob(filepath.Join(testenv.Corpus(t), "journald/journal/[ag]*/*.journal"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, linuxJournal, parsertest.Sample{Name: filepath.Base(path), Data: data})
		if len(res.Problems) > 0 || res.Err != nil {
			t.Errorf("%s: %v %v", path, res.Problems, res.Err)
		}
		out, err := exec.Command(tool, "--file", path, "--all", "-o", "json").Output()
		if err != nil {
			t.Fatal(err)
		}
		stamps := regexp.MustCompile(`"__REALTIME_TIMESTAMP" ?: ?"\d+"`).FindAllString(string(out), -1)
		if len(stamps) != len(res.Events) {
			t.Fatalf("%s: %d events, journalctl shows %d", path, len(res.Events), len(stamps))
		}
		for i, ev := range res.Events {
			if got := fmt.Sprintf(`"__REALTIME_TIMESTAMP":"%d"`, ev.TS/1000); got != stamps[i] {
				t.Fatalf("%s: event %d has %s, journalctl %s", path, i, got, stamps[i])
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestDamagedJournalSampleIsMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	b, err := os.ReadFile("testdata/linux_journal/regular.journal")
	if err != nil {
		t.Fatal(err)
	}
	edit := bytes.Index(b, []byte("user=admin"))
	if edit < 0 {
		edit = bytes.Index(b, []byte("invalid user admin"))
	}
	copy(b[edit:], "invalid user ADMIN")              // an edit in place
	b[binary.LittleEndian.Uint64(b[136:])+11] ^= 0x7f // the size of the last object
	for name, data := range map[string][]byte{
		"damaged-edited.journal":      b,
		"damaged-edited.journal.item": must(os.ReadFile("testdata/linux_journal/regular.journal.item")),
	} {
		if err := os.WriteFile(filepath.Join("testdata/linux_journal", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASenderIsConfirmedByItsNameOrItsService(t *testing.T) {
	for _, c := range []struct {
		identifier, comm string
		same             bool
	}{
		{"sshd", "sshd-session", true},
		{"CRON", "cron", true},
		{"/usr/sbin/cron", "cron", true},
		{"(systemd)", "systemd", true},
		{"systemd-logind", "systemd-logind", true},
		{"sshd", "ssh", true}, // of ssh.service
		{"sshd", "logger", false},
		{"sudo", "python3", false},
		{"sshd", "", false},
	} {
		if sameProgram([]byte(c.identifier), []byte(c.comm)) != c.same {
			t.Errorf("%q by %q: not %v", c.identifier, c.comm, c.same)
		}
	}
}
