package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

var users = []string{"alice", "bob", "carol", "deploy", "www-data", "backup", "postgres", "root"}

// message returns the sender and the text of one log line as a busy server
// writes them.
func message(r *rand.Rand) (sender, text string) {
	user, ip, port := users[r.IntN(len(users))], address(r), 1024+r.IntN(64000)
	switch r.IntN(8) {
	case 0, 1:
		return "sshd", fmt.Sprintf("Failed password for invalid user %s%d from %s port %d ssh2", user, r.IntN(500), ip, port)
	case 2:
		return "sshd", fmt.Sprintf("Accepted publickey for %s from %s port %d ssh2: ED25519 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", user, ip, port)
	case 3:
		return "sshd", fmt.Sprintf("Connection closed by %s port %d [preauth]", ip, port)
	case 4:
		return "sudo", fmt.Sprintf("%8s : TTY=pts/%d ; PWD=/home/%s ; USER=root ; COMMAND=/usr/bin/systemctl restart app%d", user, r.IntN(9), user, r.IntN(40))
	case 5:
		return "CRON", fmt.Sprintf("(%s) CMD (/usr/local/bin/job%d --quiet)", user, r.IntN(100))
	case 6:
		return "app", fmt.Sprintf("GET /api/v1/items/%d HTTP/1.1 status=200 took=%dms peer=%s request=%016x", r.IntN(1e6), r.IntN(900), ip, r.Uint64())
	}
	return "systemd", fmt.Sprintf("session-%d.scope: Deactivated successfully.", r.IntN(1e5))
}

func address(r *rand.Rand) string {
	return fmt.Sprintf("10.%d.%d.%d", r.IntN(16), r.IntN(256), 1+r.IntN(254))
}

// syslogLine writes one line in the style of RFC 3164 and returns its length.
func syslogLine(out *bufio.Writer, r *rand.Rand, at time.Time) (int, error) {
	sender, text := message(r)
	return fmt.Fprintf(out, "%s web01 %s[%d]: %s\n", at.Format(time.Stamp), sender, 300+r.IntN(30000), text)
}

func syslogText(out *bufio.Writer, size int) error {
	r := random(1)
	return syslogOf(out, r, size)
}

func syslogOf(out *bufio.Writer, r *rand.Rand, size int) error {
	for at := start; size > 0; {
		n, err := syslogLine(out, r, at)
		if err != nil {
			return err
		}
		size -= n
		at = at.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
	}
	return nil
}

// journalExport writes entries as systemd.journal-fields(7) has them, with
// the fields that journald adds to what a service logs.
func journalExport(out *bufio.Writer, n int) error {
	r := random(2)
	at := start.UnixMicro()
	for range n {
		at += int64(r.IntN(400_000))
		sender, text := message(r)
		pid := 300 + r.IntN(3000)
		fmt.Fprintf(out, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0f3d2c1ba5964788b7a6958473625140\n", at, at-start.UnixMicro()+7_000_000)
		fmt.Fprintf(out, "PRIORITY=%d\nSYSLOG_FACILITY=4\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\nMESSAGE=%s\n", 3+r.IntN(4), sender, pid, text)
		fmt.Fprintf(out, "_PID=%d\n_UID=0\n_GID=0\n_COMM=%s\n_EXE=/usr/sbin/%s\n_CMDLINE=/usr/sbin/%s -D\n_HOSTNAME=web01\n", pid, sender, sender, sender)
		fmt.Fprintf(out, "_MACHINE_ID=8d0f2c3a4b5c6d7e8f90a1b2c3d4e5f6\n_TRANSPORT=syslog\n_SYSTEMD_UNIT=%s.service\n_SYSTEMD_CGROUP=/system.slice/%s.service\n", sender, sender)
		if _, err := fmt.Fprintf(out, "_SYSTEMD_SLICE=system.slice\n_SOURCE_REALTIME_TIMESTAMP=%d\n_CAP_EFFECTIVE=1ffffffffff\n\n", at-321); err != nil {
			return err
		}
	}
	return nil
}

// auditLog writes n lines: for each program that starts a syscall record with
// its companions, and a login now and then.
func auditLog(out *bufio.Writer, n int) error {
	r := random(3)
	at, lines := start, 0
	for serial := 100; lines < n; serial++ {
		at = at.Add(time.Duration(r.IntN(80)) * time.Millisecond)
		id := fmt.Sprintf("audit(%d.%03d:%d)", at.Unix(), at.Nanosecond()/1e6, serial)
		pid, uid, ses := 2000+r.IntN(30000), 1000+r.IntN(5), 1+r.IntN(60)
		var err error
		if serial%8 == 0 {
			_, err = fmt.Fprintf(out, "type=USER_LOGIN msg=%s: pid=%d uid=0 auid=%d ses=%d msg='op=login id=%d exe=\"/usr/sbin/sshd\" hostname=%s addr=%s terminal=/dev/pts/0 res=success'\n",
				id, pid, uid, ses, uid, address(r), address(r))
			lines++
		} else {
			err = auditExec(out, r, id, pid, uid, ses)
			lines += 6
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func auditExec(out *bufio.Writer, r *rand.Rand, id string, pid, uid, ses int) error {
	program := []string{"ls", "cat", "grep", "curl", "python3", "tar"}[r.IntN(6)]
	arg := fmt.Sprintf("/srv/data/%06d", r.IntN(1e6))
	fmt.Fprintf(out, "type=SYSCALL msg=%s: arch=c000003e syscall=59 success=yes exit=0 a0=55d0c0 a1=55d0d0 a2=55d0e0 a3=8 items=2 ppid=%d pid=%d auid=%d uid=%d gid=%d euid=%d suid=%d fsuid=%d egid=%d sgid=%d fsgid=%d tty=pts0 ses=%d comm=\"%s\" exe=\"/usr/bin/%s\" subj=unconfined key=\"exec\"\n",
		id, pid-1, pid, uid, uid, uid, uid, uid, uid, uid, uid, uid, ses, program, program)
	fmt.Fprintf(out, "type=EXECVE msg=%s: argc=3 a0=\"%s\" a1=\"-l\" a2=\"%s\"\n", id, program, arg)
	fmt.Fprintf(out, "type=CWD msg=%s: cwd=\"/home/user%d\"\n", id, uid)
	fmt.Fprintf(out, "type=PATH msg=%s: item=0 name=\"/usr/bin/%s\" inode=%d dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n", id, program, 4000+r.IntN(900))
	fmt.Fprintf(out, "type=PATH msg=%s: item=1 name=\"/lib64/ld-linux-x86-64.so.2\" inode=811 dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n", id)
	_, err := fmt.Fprintf(out, "type=PROCTITLE msg=%s: proctitle=%X\n", id, program+"\x00-l\x00"+arg)
	return err
}

// wtmp writes records of 384 bytes as glibc has them on x86-64: logins and
// logouts on a hundred terminals.
func wtmp(out *bufio.Writer, n int) error {
	r := random(4)
	at, open := start, [100]bool{}
	var b [384]byte
	for range n {
		clear(b[:])
		at = at.Add(time.Duration(r.IntN(9000)) * time.Millisecond)
		line := r.IntN(len(open))
		kind := int16(8) // DEAD_PROCESS
		if open[line] = !open[line]; open[line] {
			kind = 7 // USER_PROCESS
			copy(b[44:76], users[r.IntN(len(users))])
			ip := netip.MustParseAddr(address(r))
			copy(b[76:332], ip.String())
			copy(b[348:], ip.AsSlice())
		}
		binary.LittleEndian.PutUint16(b[0:], uint16(kind))
		binary.LittleEndian.PutUint32(b[4:], uint32(1000+line))
		copy(b[8:40], fmt.Sprintf("pts/%d", line))
		copy(b[40:44], fmt.Sprintf("ts%d", line%100))
		binary.LittleEndian.PutUint32(b[340:], uint32(at.Unix()))
		binary.LittleEndian.PutUint32(b[344:], uint32(at.Nanosecond()/1000))
		if _, err := out.Write(b[:]); err != nil {
			return err
		}
	}
	return nil
}
