package authmsg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
)

// show writes the fields that are set, in a fixed order.
func show(f *authmsg.Fields) string {
	var b strings.Builder
	word := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", key, value)
		}
	}
	b.WriteString(strings.TrimPrefix(f.DataType, "syslog:"))
	word("action", f.Action)
	word("outcome", f.Outcome)
	for _, t := range []struct {
		key   string
		value []byte
	}{
		{"user", f.User},
		{"target", f.TargetUser},
		{"src", f.SrcIP},
		{"host", f.SrcHost},
		{"dst", f.DstIP},
		{"method", f.Method},
		{"keytype", f.KeyType},
		{"key", f.Fingerprint},
		{"cmd", f.Cmdline},
		{"cwd", f.CWD},
		{"tty", f.TTY},
		{"session", f.Session},
		{"sessionname", f.SessionName},
		{"unit", f.Unit},
		{"group", f.Group},
		{"device", f.Device},
		{"module", f.Module},
		{"process", f.Process},
		{"file", f.File},
		{"service", f.Service},
		{"reason", f.Reason},
	} {
		word(t.key, string(t.value))
	}
	for _, n := range []struct {
		key   string
		value int64
	}{{"port", f.SrcPort}, {"dstport", f.DstPort}, {"uid", f.UID}, {"targetuid", f.TargetUID}, {"pid", f.PID}} {
		if n.value != authmsg.None {
			fmt.Fprintf(&b, " %s=%d", n.key, n.value)
		}
	}
	if f.Ambiguous {
		b.WriteString(" ambiguous")
	}
	return b.String()
}

type sample struct{ program, msg, want string }

func run(t *testing.T, samples []sample) {
	t.Helper()
	for _, s := range samples {
		var f authmsg.Fields
		known := authmsg.Parse([]byte(s.program), []byte(s.msg), &f)
		if got := show(&f); got != s.want {
			t.Errorf("%s: %s\n got %s\nwant %s", s.program, s.msg, got, s.want)
		}
		if !known && f.Action != "" {
			t.Errorf("%s: %s: action %q of an unknown message", s.program, s.msg, f.Action)
		}
	}
}

func TestSshdMessagesStateWhoAndFromWhere(t *testing.T) {
	run(t, []sample{
		{"sshd", "Accepted password for ann from 192.0.2.7 port 50022 ssh2", "sshd action=user-login outcome=success user=ann src=192.0.2.7 method=password port=50022"},
		{"sshd-session", "Accepted publickey for ann from 2001:db8::7 port 50022 ssh2: ED25519 SHA256:abcDEF012", "sshd action=user-login outcome=success user=ann src=2001:db8::7 method=publickey keytype=ED25519 key=SHA256:abcDEF012 port=50022"},
		{"/usr/sbin/sshd", "Accepted publickey for ann from 192.0.2.7 port 9 ssh2: RSA-CERT SHA256:x ID ann@corp (serial 7) CA ED25519 SHA256:y", "sshd action=user-login outcome=success user=ann src=192.0.2.7 method=publickey keytype=RSA-CERT key=SHA256:x port=9"},
		{"sshd", "Failed password for invalid user guest from ::ffff:192.0.2.9 port 1 ssh2", "sshd action=user-login outcome=failure user=guest src=192.0.2.9 method=password port=1"},
		{"sshd", "Failed keyboard-interactive/pam for ann from 192.0.2.9 port 1 ssh2", "sshd action=user-login outcome=failure user=ann src=192.0.2.9 method=keyboard-interactive/pam port=1"},
		{"sshd", "Failed publickey for git from 192.0.2.1 port 57904 ssh2: RSA 04:bc:11:22", "sshd action=user-login outcome=failure user=git src=192.0.2.1 method=publickey keytype=RSA key=04:bc:11:22 port=57904"},
		{"sshd", "Postponed publickey for git from 192.0.2.1 port 57904 ssh2 [preauth]", "sshd action=authentication user=git src=192.0.2.1 method=publickey port=57904"},
		{"sshd", "Invalid user oracle from 198.51.100.4 port 40404", "sshd action=invalid-user outcome=failure user=oracle src=198.51.100.4 port=40404"},
		{"sshd", "Invalid user  from 198.51.100.4 port 40404", "sshd action=invalid-user outcome=failure src=198.51.100.4 port=40404"},
		{"sshd", "Connection closed by authenticating user root 198.51.100.4 port 7 [preauth]", "sshd action=connection-closed user=root src=198.51.100.4 port=7"},
		{"sshd", "Connection reset by invalid user a b 198.51.100.4 port 7 [preauth]", "sshd action=connection-closed user=a b src=198.51.100.4 port=7"},
		{"sshd", "Connection closed by 198.51.100.4", "sshd action=connection-closed src=198.51.100.4"},
		{"sshd", "Disconnected from user ann 192.0.2.7 port 50022", "sshd action=connection-closed user=ann src=192.0.2.7 port=50022"},
		{"sshd", "Received disconnect from 192.0.2.7 port 50022:11: disconnected by user", "sshd action=connection-closed src=192.0.2.7 reason=disconnected by user port=50022"},
		{"sshd", "error: Received disconnect from 192.0.2.7: 3: Auth fail [preauth]", "sshd action=connection-closed src=192.0.2.7 reason=Auth fail"},
		{"sshd", "Disconnecting invalid user eve 192.0.2.7 port 4: Too many authentication failures [preauth]", "sshd action=connection-closed user=eve src=192.0.2.7 reason=Too many authentication failures port=4"},
		{"sshd", "error: maximum authentication attempts exceeded for invalid user eve from 192.0.2.7 port 4 ssh2 [preauth]", "sshd action=user-login outcome=failure user=eve src=192.0.2.7 reason=maximum authentication attempts exceeded port=4"},
		{"sshd", "Did not receive identification string from 192.0.2.7 port 4", "sshd action=connection-closed outcome=failure src=192.0.2.7 port=4"},
		{"sshd", "Connection from 192.0.2.7 port 4 on 192.0.2.1 port 22 rdomain \"\"", "sshd action=connection-opened src=192.0.2.7 dst=192.0.2.1 port=4 dstport=22"},
		{"sshd", "Server listening on 0.0.0.0 port 22.", "sshd action=socket-bound outcome=success dst=0.0.0.0 dstport=22"},
		{"sshd", "Server listening on :: port 2222.", "sshd action=socket-bound outcome=success dst=:: dstport=2222"},
		{"sshd", "User root from 192.0.2.7 not allowed because not listed in AllowUsers", "sshd action=user-login outcome=failure user=root src=192.0.2.7 reason=not listed in AllowUsers"},
		{"sshd", "error: PAM: Authentication failure for ann from gw.example.org", "sshd action=authentication outcome=failure user=ann host=gw.example.org reason=Authentication failure"},
		{"sshd", "Starting session: shell on pts/0 for ann from 192.0.2.7 port 4 id 0", "sshd action=session-opened user=ann src=192.0.2.7 tty=pts/0 sessionname=shell port=4"},
		{"sshd", "Close session: user ann from 192.0.2.7 port 4 id 0", "sshd action=session-closed user=ann src=192.0.2.7 port=4"},
		{"sshd", "Accepted key ED25519 SHA256:abc found at /home/ann/.ssh/authorized_keys:3", "sshd keytype=ED25519 key=SHA256:abc file=/home/ann/.ssh/authorized_keys:3"},
		{"sshd", "Timeout before authentication for connection from 192.0.2.17 to 192.0.2.1, pid = 290", "sshd action=connection-closed outcome=failure src=192.0.2.17"},
		{"sshd", "banner exchange: Connection from 192.0.2.12 port 44: invalid format", "sshd action=connection-closed outcome=failure src=192.0.2.12 reason=invalid format port=44"},
		{"dropbear", "Password auth succeeded for 'root' from 192.0.2.5:41022", "sshd action=user-login outcome=success user=root src=192.0.2.5 method=password port=41022"},
		{"dropbear", "Login attempt for nonexistent user from 192.0.2.5:41022", "sshd action=invalid-user outcome=failure src=192.0.2.5 port=41022"},
		{"sshd", "User child is on pid 812", "sshd pid=812"},
		{"sshd", "subsystem request for sftp by user ann", "sshd"},
	})
}

// A user name, a reason or a directory may hold anything, the format's own
// words included.
func TestImitatedFormatsDoNotMoveTheAddress(t *testing.T) {
	run(t, []sample{
		{"sshd", "Failed password for invalid user x from 203.0.113.66 from 192.0.2.7 port 58946 ssh2", "sshd action=user-login outcome=failure user=x from 203.0.113.66 src=192.0.2.7 method=password port=58946"},
		{"sshd", "Failed password for invalid user x from 203.0.113.66 port 5 ssh2 from 192.0.2.7 port 58946 ssh2", "sshd action=user-login outcome=failure user=x from 203.0.113.66 port 5 ssh2 src=192.0.2.7 method=password port=58946"},
		{"sshd", "Invalid user Accepted password for root from 203.0.113.66 port 5 ssh2 from 192.0.2.7 port 9", "sshd action=invalid-user outcome=failure user=Accepted password for root from 203.0.113.66 port 5 ssh2 src=192.0.2.7 port=9"},
		{"sshd", "Connection closed by authenticating user x 203.0.113.66 port 5 192.0.2.7 port 9 [preauth]", "sshd action=connection-closed user=x 203.0.113.66 port 5 src=192.0.2.7 port=9"},
		{"sshd", "Disconnecting invalid user x 203.0.113.66 port 5: y 192.0.2.7 port 9: Too many authentication failures", "sshd action=connection-closed user=x 203.0.113.66 port 5: y src=192.0.2.7 reason=Too many authentication failures port=9 ambiguous"},
		{"sshd", "Failed password for invalid user x from 203.0.113.66 port 5 ssh2: y from 192.0.2.7 port 9 ssh2", "sshd action=user-login outcome=failure user=x from 203.0.113.66 port 5 ssh2: y src=192.0.2.7 method=password port=9 ambiguous"},
		{"sshd", "Failed password for ann from 192.0.2.7 port 9 ssh1: ruser x from 203.0.113.66", "sshd action=user-login outcome=failure user=ann src=192.0.2.7 method=password port=9"},
		{"sshd", "Failed password for ann from 192.0.2.7:22; rm", "sshd"},
		{"sshd", "Failed password for ann from 999.1.1.1.1/ port 5 ssh2", "sshd"},
		{"sudo", "ann : TTY=pts/0 ; PWD=/tmp/x ; USER=root ; COMMAND=/bin/id ; USER=bob ; COMMAND=/bin/ls", "sudo action=privilege-used outcome=success user=ann target=root cmd=/bin/id ; USER=bob ; COMMAND=/bin/ls cwd=/tmp/x tty=pts/0 ambiguous"},
		{"logger", "Accepted password for root from 203.0.113.66 port 5 ssh2", "line"},
	})
}

func TestPAMSessionsNameWhoActsAndWhoIsActedOn(t *testing.T) {
	run(t, []sample{
		{"sshd", "pam_unix(sshd:session): session opened for user ann(uid=1000) by (uid=0)", "sshd action=session-opened outcome=success user=ann service=sshd uid=1000"},
		{"sshd", "pam_unix(sshd:session): session closed for user ann", "sshd action=session-closed user=ann service=sshd"},
		{"sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by ann(uid=1000)", "sudo action=session-opened outcome=success user=ann target=root service=sudo uid=1000 targetuid=0"},
		{"sudo", "pam_unix(sudo:session): session closed for user root", "sudo action=session-closed target=root service=sudo"},
		{"CRON", "pam_unix(cron:session): session opened for user root by (uid=0)", "cron action=session-opened outcome=success user=root service=cron"},
		{"sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.9  user=ann", "sshd action=authentication outcome=failure user=ann src=192.0.2.9 tty=ssh service=sshd"},
		{"su", "pam_unix(su-l:auth): authentication failure; logname=ann uid=1000 euid=0 tty=/dev/pts/1 ruser=ann rhost=  user=root", "su action=authentication outcome=failure user=ann target=root tty=/dev/pts/1 service=su-l"},
		{"sudo", "pam_unix(sudo:auth): authentication failure; logname=ann uid=1000 euid=0 tty=/dev/pts/1 ruser=ann rhost=  user=ann", "sudo action=authentication outcome=failure user=ann tty=/dev/pts/1 service=sudo"},
		{"sshd(pam_unix)", "check pass; user unknown", "sshd action=authentication outcome=failure service=sshd"},
		{"sshd(pam_unix)", "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=gw.example.org ", "sshd action=authentication outcome=failure host=gw.example.org tty=NODEVssh service=sshd"},
		{"su(pam_unix)", "session opened for user news by (uid=0)", "su action=session-opened outcome=success target=news service=su uid=0"},
		{"sshd", "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.9  user=root", "sshd action=authentication outcome=failure user=root src=192.0.2.9 tty=ssh"},
		{"passwd", "pam_unix(passwd:chauthtok): password changed for ann", "account action=password-changed outcome=success target=ann service=passwd"},
		{"chpasswd", "pam_unix(chpasswd:chauthtok): user \"eve\" does not exist in /etc/passwd", "account action=password-changed outcome=failure target=eve service=chpasswd reason=does not exist in /etc/passwd"},
		{"vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.9", "line action=authentication outcome=failure src=192.0.2.9 tty=ftp service=vsftpd"},
		{"gdm-password]", "pam_unix(gdm-password:session): session opened for user ann(uid=1000) by (uid=0)", "login action=session-opened outcome=success user=ann service=gdm-password uid=1000"},
		{"daemon", "pam_unix(x:auth): authentication failure; logname= uid=0 euid=0 tty=a ruser= rhost=192.0.2.2 user=mal user=ann", "line action=authentication outcome=failure user=ann src=192.0.2.2 tty=a service=x ambiguous"},
	})
}

func TestPrivilegeMessagesNameInvokerTargetAndCommand(t *testing.T) {
	run(t, []sample{
		{"sudo", "     ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/usr/bin/ss -tlnp", "sudo action=privilege-used outcome=success user=ann target=root cmd=/usr/bin/ss -tlnp cwd=/home/ann tty=pts/0"},
		{"sudo", "ann : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh", "sudo action=privilege-used outcome=failure user=ann target=root cmd=/bin/sh cwd=/ tty=pts/0 reason=3 incorrect password attempts"},
		{"sudo", "eve : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh", "sudo action=privilege-used outcome=failure user=eve target=root cmd=/bin/sh cwd=/ tty=pts/0 reason=user NOT in sudoers"},
		{"sudo", "ann : PWD=/ ; USER=www ; GROUP=www ; ENV=A=b ; COMMAND=/bin/true", "sudo action=privilege-used outcome=success user=ann target=www cmd=/bin/true cwd=/ group=www"},
		{"sudo", "unable to resolve host web : Name or service not known", "sudo"},
		{"su", "(to root) ann on pts/1", "su action=privilege-used outcome=success user=ann target=root tty=pts/1"},
		{"su", "FAILED SU (to root) ann on pts/1", "su action=privilege-used outcome=failure user=ann target=root tty=pts/1"},
		{"su", "Successful su for root by ann", "su action=privilege-used outcome=success user=ann target=root"},
		{"su", "+ /dev/pts/1 ann:root", "su action=privilege-used outcome=success user=ann target=root tty=/dev/pts/1"},
		{"su", "'su root' failed for ann on /dev/pts/1", "su action=privilege-used outcome=failure user=ann target=root tty=/dev/pts/1"},
	})
}

func TestSchedulersAccountsAndLoginsAreRead(t *testing.T) {
	run(t, []sample{
		{"CRON", "(root) CMD (  cd / && run-parts --report /etc/cron.hourly)", "cron action=scheduled-command-run user=root cmd=  cd / && run-parts --report /etc/cron.hourly"},
		{"crontab", "(ann) REPLACE (ann)", "cron action=scheduled-task-changed outcome=success user=ann target=ann"},
		{"cron", "(*system*x) RELOAD (/etc/cron.d/x)", "cron action=reloaded file=/etc/cron.d/x"},
		{"crontab", "(ann) LIST (ann)", "cron user=ann"},
		{"anacron", "Job `cron.daily' started", "cron action=scheduled-command-run unit=cron.daily"},
		{"atd", "Starting job 3 (a0000301c) for user 'ann' (1000)", "cron action=scheduled-command-run user=ann unit=3 uid=1000"},
		{"run-parts", "(/etc/cron.hourly) starting 0anacron", "cron action=scheduled-command-run unit=0anacron file=/etc/cron.hourly"},
		{"useradd", "new user: name=eve, UID=0, GID=0, home=/home/eve, shell=/bin/sh, from=/dev/pts/1", "account action=account-created outcome=success target=eve tty=/dev/pts/1 file=/home/eve targetuid=0"},
		{"useradd", "failed adding user 'eve', exit code: 9", "account action=account-created outcome=failure target=eve reason=exit code: 9"},
		{"groupadd", "new group: name=ops, GID=1003", "account action=group-created outcome=success group=ops"},
		{"usermod", "add 'eve' to group 'sudo'", "account action=account-changed outcome=success target=eve group=sudo"},
		{"usermod", "add 'eve' to shadow group 'sudo'", "account action=account-changed outcome=success target=eve group=sudo"},
		{"usermod", "change user 'eve' shell from '/bin/sh' to '/bin/bash'", "account action=account-changed outcome=success target=eve reason=shell from '/bin/sh' to '/bin/bash'"},
		{"usermod", "change user 'eve' password", "account action=password-changed outcome=success target=eve reason=password"},
		{"userdel", "delete user 'eve'", "account action=account-deleted outcome=success target=eve"},
		{"userdel", "removed group 'eve' owned by 'eve'", "account action=group-deleted outcome=success group=eve"},
		{"gpasswd", "user eve added by root to group sudo", "account action=account-changed outcome=success user=root target=eve group=sudo"},
		{"passwd", "password for 'eve' changed by 'root'", "account action=password-changed outcome=success user=root target=eve"},
		{"chage", "changed password expiry for eve", "account action=account-changed outcome=success target=eve"},
		{"login", "ROOT LOGIN  on '/dev/tty1'", "login action=user-login outcome=success tty=/dev/tty1 uid=0"},
		{"login", "LOGIN ON tty1 BY ann", "login action=user-login outcome=success user=ann tty=tty1"},
		{"login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure", "login action=user-login outcome=failure user=root tty=/dev/tty1 reason=Authentication failure"},
		{"login", "FAILED LOGIN 1 FROM 192.0.2.3 FOR root, Authentication failure", "login action=user-login outcome=failure user=root src=192.0.2.3 reason=Authentication failure"},
	})
}

func TestSystemAndKernelMessagesAreRead(t *testing.T) {
	run(t, []sample{
		{"systemd", "Started ssh.service - OpenBSD Secure Shell server.", "systemd action=service-started outcome=success unit=ssh.service"},
		{"systemd", "Started OpenBSD Secure Shell server.", "systemd action=service-started outcome=success"},
		{"systemd", "Starting ssh.service - OpenBSD Secure Shell server...", "systemd unit=ssh.service"},
		{"systemd", "Stopped target timers.target - Timers.", "systemd unit=timers.target"},
		{"systemd", "Failed to start evil.service - Evil.", "systemd action=service-failed outcome=failure unit=evil.service"},
		{"systemd", "Reloading.", "systemd action=reloaded"},
		{"systemd", "Reloading requested from client PID 4 ('systemctl')...", "systemd action=reloaded"},
		{"systemd", "Reloading ssh.service - OpenBSD Secure Shell server...", "systemd unit=ssh.service"},
		{"systemd", "Created slice user-1000.slice - User Slice of UID 1000.", "systemd unit=user-1000.slice"},
		{"systemd", "ssh.service: Deactivated successfully.", "systemd action=service-stopped outcome=success unit=ssh.service"},
		{"systemd", "ssh.service: Main process exited, code=exited, status=1/FAILURE", "systemd action=service-failed outcome=failure unit=ssh.service reason=Main process exited, code=exited, status=1/FAILURE"},
		{"systemd-logind", "New session 4 of user ann.", "systemd action=session-opened outcome=success user=ann session=4"},
		{"systemd-logind", "New session '4' of user 'ann' with class 'user' and type 'tty'.", "systemd action=session-opened outcome=success user=ann session=4 sessionname=user"},
		{"systemd-logind", "Session 4 logged out. Waiting for processes to exit.", "systemd action=session-closed session=4"},
		{"systemd-logind", "Removed session c2.", "systemd action=session-closed session=c2"},
		{"systemd-logind", "System is rebooting.", "systemd action=shutdown"},
		{"kernel", "[   12.345678] device eth0 entered promiscuous mode", "kernel action=promiscuous-mode device=eth0"},
		{"kernel", "e1000 0000:00:03.0 eth0: entered promiscuous mode", "kernel action=promiscuous-mode device=eth0"},
		{"kernel", "device eth0 left promiscuous mode", "kernel action=promiscuous-mode-ended device=eth0"},
		{"kernel", "[ 5.1] rk: loading out-of-tree module taints kernel.", "kernel action=module-loaded module=rk reason=loading out-of-tree module taints kernel."},
		{"kernel", "rk: module verification failed: signature and/or required key missing - tainting kernel", "kernel action=module-loaded module=rk reason=module verification failed: signature and/or required key missing - tainting kernel"},
		{"kernel", "[ 99.1] php[812]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so", "kernel action=segfault outcome=failure process=php pid=812"},
		{"kernel", "traps: a b[812] general protection fault ip:7f sp:7f error:0 in x", "kernel action=general-protection-fault outcome=failure process=a b pid=812"},
		{"kernel", "Out of memory: Killed process 77 (mysqld) total-vm:1kB", "kernel action=oom-kill process=mysqld pid=77"},
		{"kernel", "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=mysqld,pid=77,uid=33", "kernel action=oom-kill process=mysqld uid=33 pid=77"},
		{"kernel", "usb 1-1: New USB device found, idVendor=0781, idProduct=5567, bcdDevice= 1.00", "kernel action=usb-attached device=1-1"},
		{"kernel", "usb 1-1: USB disconnect, device number 4", "kernel action=usb-detached device=1-1"},
		{"kernel", "pam_unix(sshd:session): session opened for user root by (uid=0)", "kernel"},
	})
}

func TestRepeatedMessagesAreTakenApart(t *testing.T) {
	n, inner, ok := authmsg.Repeated([]byte("message repeated 5 times: [ Failed password for root from 192.0.2.1 port 4 ssh2]"))
	if !ok || n != 5 || string(inner) != "Failed password for root from 192.0.2.1 port 4 ssh2" {
		t.Errorf("got %d, %q, %v", n, inner, ok)
	}
	for _, bad := range []string{"", "message repeated times: [x]", "message repeated 5 times: [x", "message repeated 0 times: [x]", "message repeated 5 times"} {
		if _, _, ok := authmsg.Repeated([]byte(bad)); ok {
			t.Errorf("%q was taken for a repetition", bad)
		}
	}
}

func TestAddressesAreValidated(t *testing.T) {
	parse := func(addr string) string {
		var f authmsg.Fields
		authmsg.Parse([]byte("sshd"), []byte("Connection closed by "+addr), &f)
		return string(f.SrcIP)
	}
	for _, good := range []string{"192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "::1", "fe80::1%eth0", "2001:db8:0:1:2:3:4:5", "1::", "::ffff:0:192.0.2.1", "1:2:3:4:5:6:192.0.2.1"} {
		if got := parse(good); got != good {
			t.Errorf("%s: got %q", good, got)
		}
	}
	for _, bad := range []string{"192.0.2", "192.0.2.1.1", "192.0.2.256", "192.0.02.1", "1:2", ":1", "1:", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "::192.0.2.x", "fe80::1%", "1.2.3.4.", "1:2:3:4:5:6:7::8:9"} {
		if got := parse(bad); got != "" {
			t.Errorf("%s was taken for an address", bad)
		}
	}
}

func seeds() []sample {
	return []sample{
		{"sshd", "Failed password for invalid user a from 192.0.2.9 port 1 ssh2", ""},
		{"sshd", "Accepted publickey for a from ::1 port 2 ssh2: ED25519 SHA256:abc", ""},
		{"sshd", "Disconnecting invalid user x 192.0.2.7 port 4: Too many [preauth]", ""},
		{"sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.9  user=ann", ""},
		{"sudo", " ann : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/id", ""},
		{"su", "(to root) ann on pts/1", ""},
		{"CRON", "(root) CMD (true)", ""},
		{"useradd", "new user: name=eve, UID=0, GID=0, home=/home/eve, shell=/bin/sh", ""},
		{"systemd", "ssh.service: Failed with result 'exit-code'.", ""},
		{"systemd-logind", "New session 4 of user ann.", ""},
		{"kernel", "[ 1.0] x[812]: segfault at 0 ip 0", ""},
		{"login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure", ""},
		{"dropbear", "Bad password attempt for 'root' from [::1]:41022", ""},
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	for _, s := range seeds() {
		program, msg := []byte(s.program), []byte(s.msg)
		var f authmsg.Fields
		if n := testing.AllocsPerRun(50, func() { authmsg.Parse(program, msg, &f) }); n != 0 {
			t.Errorf("%s: %s: %v allocations", s.program, s.msg, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s.program, s.msg)
	}
	f.Fuzz(func(t *testing.T, program, msg string) {
		var out authmsg.Fields
		b := []byte(msg)
		known := authmsg.Parse([]byte(program), b, &out)
		if out.DataType == "" {
			t.Error("no data type")
		}
		if !known && out.Action != "" {
			t.Errorf("action %q of an unknown message", out.Action)
		}
		if out.SrcPort != authmsg.None && (out.SrcPort < 0 || out.SrcPort > 65535) {
			t.Errorf("port %d", out.SrcPort)
		}
		for _, part := range [][]byte{out.User, out.SrcIP, out.Cmdline, out.CWD, out.Reason} {
			if !strings.Contains(msg, string(part)) {
				t.Errorf("%q is no part of the message", part)
			}
		}
		if string(b) != msg {
			t.Error("the message was changed")
		}
		authmsg.Repeated(b)
	})
}

func BenchmarkParse(b *testing.B) {
	all := seeds()
	programs, msgs, size := make([][]byte, len(all)), make([][]byte, len(all)), 0
	for i, s := range all {
		programs[i], msgs[i] = []byte(s.program), []byte(s.msg)
		size += len(s.msg)
	}
	var f authmsg.Fields
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for i := range msgs {
			authmsg.Parse(programs[i], msgs[i], &f)
		}
	}
}
