package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// layout is a way systemd-journal-remote can be told to write.
type layout struct {
	name                 string
	compact, keyed, comp string // values of the SYSTEMD_JOURNAL_ variables
}

// Debian 12's systemd knows on and off for compression; LZ4 and XZ journals
// are in the corpus.
var layouts = []layout{
	{"regular jenkins compressed", "0", "0", "1"},
	{"regular keyed plain", "0", "1", "0"},
	{"compact keyed compressed", "1", "1", "1"},
	{"compact jenkins plain", "1", "0", "0"},
}

// generate writes a journal of at least n entries and returns the largest
// file that came out.
func generate(t testing.TB, l layout, n int) string {
	t.Helper()
	return write(t, l, export(n))
}

func write(t testing.TB, l layout, stream []byte) string {
	t.Helper()
	tool := "/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(tool); err != nil {
		tool = testenv.Tool(t, "systemd-journal-remote")
	}
	dir := t.TempDir()
	cmd := exec.Command(tool, "-o", filepath.Join(dir, "out.journal"), "--split-mode=none", "-")
	cmd.Stdin = bytes.NewReader(stream)
	cmd.Env = append(os.Environ(), "SYSTEMD_JOURNAL_COMPACT="+l.compact,
		"SYSTEMD_JOURNAL_KEYED_HASH="+l.keyed, "SYSTEMD_JOURNAL_COMPRESS="+l.comp)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("systemd-journal-remote: %v: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no journal was written: %v", err)
	}
	largest, most := "", int64(-1)
	for _, f := range files {
		if st, err := os.Stat(f); err == nil && st.Size() > most {
			largest, most = f, st.Size()
		}
	}
	return largest
}

// export returns a journal export stream of n entries with the fields that a
// Debian server's journal has, a repeated field, bytes that are no text and
// values long enough to be compressed.
func export(n int) []byte {
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	rnd := rand.New(rand.NewPCG(7, 7))
	programs := [][2]string{
		{"sshd", "ssh.service"},
		{"cron", "cron.service"},
		{"systemd-logind", "systemd-logind.service"},
		{"nginx", "nginx.service"},
		{"systemd", "init.scope"},
	}
	const start = 1_700_000_000_000_000
	at := int64(start)
	for i := range n {
		at += 1 + rnd.Int64N(400_000)
		p := programs[rnd.IntN(len(programs))]
		pid := 300 + rnd.IntN(60_000)
		fmt.Fprintf(w, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n", at, at-start+5_000_000)
		fmt.Fprintf(w, "_BOOT_ID=b8a1abcd1a6916c74da4f9fc3c6da5d7\nPRIORITY=6\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\n", p[0], pid)
		fmt.Fprintf(w, "_PID=%d\n_UID=%d\n_GID=0\n_COMM=%s\n_EXE=/usr/sbin/%s\n", pid, i%3*1000, p[0], p[0])
		fmt.Fprintf(w, "_CMDLINE=%s: user%d [priv]\n_CAP_EFFECTIVE=1ffffffffff\n", p[0], i%37)
		fmt.Fprintf(w, "_SYSTEMD_CGROUP=/system.slice/%s\n_SYSTEMD_UNIT=%s\n_SYSTEMD_SLICE=system.slice\n", p[1], p[1])
		fmt.Fprintf(w, "_TRANSPORT=syslog\n_MACHINE_ID=fd724452ccea71ff4a14876aeaff1a09\n_HOSTNAME=srv1\n")
		fmt.Fprintf(w, "SYSLOG_TIMESTAMP=Nov 23 12:%02d:%02d \n_SOURCE_REALTIME_TIMESTAMP=%d\n", i/60%60, i%60, at-5-rnd.Int64N(900))
		switch {
		case i%50 == 7:
			fmt.Fprintf(w, "MESSAGE=%s %d\n", strings.Repeat("a long line of output; ", 40), i)
		case i%50 == 9:
			fmt.Fprintf(w, "TAG=one\nTAG=two\nMESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00bin\xff\x00\n%03d\n", i%1000)
		default:
			fmt.Fprintf(w, "MESSAGE=Accepted publickey for user%d from 10.%d.3.1 port %d ssh2: RSA SHA256:%032x\n", i%37, i%250, 1024+i%60000, rnd.Uint64())
		}
		w.WriteByte('\n')
	}
	w.Flush()
	return buf.Bytes()
}
