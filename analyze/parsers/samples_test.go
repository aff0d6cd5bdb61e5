package parsers

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var makeSamples = flag.Bool("samples", false, "make the binary samples anew; their golden files then need -update")

// sampleStream is the journal export stream of the journal samples.
func sampleStream() []byte { return streamAt(1_763_900_000_000_000) }

// streamAt is the same with times after start, µs since 1970.
func streamAt(start int64) []byte {
	var b bytes.Buffer
	at := start
	entry := func(uid int, comm, ident, unit, message string, more ...string) {
		at += 1_234_567
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0f3d2c1ba5964788b7a6958473625140\n", at, at-1_763_899_000_000_000)
		fmt.Fprintf(&b, "PRIORITY=6\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n_UID=%d\n_GID=%d\n_COMM=%s\n_HOSTNAME=web1\n", ident, message, uid, uid, comm)
		fmt.Fprintf(&b, "_MACHINE_ID=8d0f2c3a4b5c6d7e8f90a1b2c3d4e5f6\n_TRANSPORT=syslog\n_SYSTEMD_UNIT=%s\n_SOURCE_REALTIME_TIMESTAMP=%d\n", unit, at-321)
		for _, m := range more {
			b.WriteString(m + "\n")
		}
		b.WriteByte('\n')
	}
	entry(0, "sshd", "sshd", "ssh.service", "Failed password for invalid user admin from 203.0.113.7 port 40022 ssh2", "_PID=812", "_EXE=/usr/sbin/sshd")
	entry(0, "sshd", "sshd", "ssh.service", "Accepted publickey for alice from 203.0.113.7 port 40024 ssh2: ED25519 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "_PID=813", "_EXE=/usr/sbin/sshd", "_CMDLINE=sshd: alice [priv]")
	entry(0, "systemd-logind", "systemd-logind", "systemd-logind.service", "New session 5 of user alice.", "_PID=400")
	entry(1000, "sudo", "sudo", "session-5.scope", "   alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow", "_PID=901", "_AUDIT_SESSION=5", "_AUDIT_LOGINUID=1000", "_CMDLINE=sudo cat /etc/shadow")
	entry(1000, "logger", "sshd", "session-5.scope", "Accepted password for root from 198.51.100.1 port 1 ssh2", "_PID=902")
	entry(0, "useradd", "useradd", "session-5.scope", "new user: name=backdoor, UID=1001, GID=1001, home=/home/backdoor, shell=/bin/bash, from=/dev/pts/0", "_PID=950")
	entry(0, "cron", "CRON", "cron.service", "(root) CMD (/usr/local/bin/backup.sh)", "_PID=1000")
	entry(0, "systemd", "systemd", "init.scope", "Started nginx.service - A high performance web server.", "_PID=1", "UNIT=nginx.service", "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf")
	entry(33, "nginx", "nginx", "nginx.service", strings.Repeat("upstream timed out while reading response header; ", 30), "_PID=1200")
	entry(33, "nginx", "nginx", "nginx.service", "two tags", "TAG=one", "TAG=two", "RAW\n\x06\x00\x00\x00\x00\x00\x00\x00\xff\x00\x01bin")
	fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n_BOOT_ID=0f3d2c1ba5964788b7a6958473625140\n_TRANSPORT=kernel\nPRIORITY=4\n\n", at+1)
	return b.Bytes()
}

// TestJournalSamplesAreMade runs only with -samples. It has
// systemd-journal-remote write the stream in both layouts, cuts off the space
// that it allocated ahead, and takes one entry out of the index.
func TestJournalSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	for name, env := range map[string][]string{
		"regular.journal": {"SYSTEMD_JOURNAL_COMPACT=0", "SYSTEMD_JOURNAL_KEYED_HASH=0", "SYSTEMD_JOURNAL_COMPRESS=1"},
		"compact.journal": {"SYSTEMD_JOURNAL_COMPACT=1", "SYSTEMD_JOURNAL_KEYED_HASH=1", "SYSTEMD_JOURNAL_COMPRESS=1"},
	} {
		path := filepath.Join(smallDisk(t), "sample.journal")
		cmd := exec.Command("/lib/systemd/systemd-journal-remote", "-o", path, "--split-mode=none", "-")
		cmd.Stdin, cmd.Env = bytes.NewReader(sampleStream()), append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b = trimJournal(b)
		unlink(b, name == "compact.journal", 4)
		if err := os.WriteFile(filepath.Join("testdata", "linux_journal", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// smallDisk mounts 16 MiB: the writer sizes its hash tables by the disk.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// trimJournal cuts a journal after its last object.
func trimJournal(b []byte) []byte {
	le := binary.LittleEndian
	tail := le.Uint64(b[136:])
	end := (tail + le.Uint64(b[tail+8:]) + 7) &^ 7
	le.PutUint64(b[96:], end-le.Uint64(b[88:]))
	return b[:end]
}

// unlink takes the n-th entry (from 0) out of the file's entry arrays, as an
// intruder's tool does, and counts one entry less.
func unlink(b []byte, compact bool, n int) {
	le := binary.LittleEndian
	for at := le.Uint64(b[176:]); at != 0; at = le.Uint64(b[at+16:]) {
		items := b[at+24 : at+le.Uint64(b[at+8:])]
		width := 8
		if compact {
			width = 4
		}
		if have := len(items) / width; n >= have {
			n -= have
			continue
		}
		copy(items[n*width:], items[(n+1)*width:])
		clear(items[len(items)-width:])
		break
	}
	le.PutUint64(b[152:], le.Uint64(b[152:])-1)
}
