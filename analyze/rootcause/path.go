package rootcause

import (
	"path"
	"strings"
)

// A place is somewhere on a Linux host where a file starts programs or lets
// people in without anybody asking again.
type place struct {
	what   string   // in words, for the narrative
	kind   string   // cron, unit, key, account, preload, login, web
	prefix string   // path begins with
	suffix string   // and ends with
	parts  []string // or contains one of these
}

// places is data: what a path means for persistence (hier(7), crontab(5),
// systemd.unit(5), sshd(8), ld.so(8), pam.d(5), profile of the shells).
var places = []place{
	{what: "a cron table", kind: "cron", prefix: "/etc/cron"},
	{what: "a user's cron table", kind: "cron", prefix: "/var/spool/cron/"},
	{what: "a system unit", kind: "unit", prefix: "/etc/systemd/system/"},
	{what: "a system unit", kind: "unit", prefix: "/usr/lib/systemd/system/"},
	{what: "a system unit", kind: "unit", prefix: "/lib/systemd/system/"},
	{what: "a system unit", kind: "unit", prefix: "/run/systemd/system/"},
	{what: "a user's unit", kind: "unit", parts: []string{"/.config/systemd/user/"}},
	{what: "a start script", kind: "unit", prefix: "/etc/init.d/"},
	{what: "a start script", kind: "unit", prefix: "/etc/rc.local"},
	{what: "an ssh key list", kind: "key", parts: []string{"/.ssh/authorized_keys"}},
	{what: "the sudo rules", kind: "account", prefix: "/etc/sudoers"},
	{what: "the account list", kind: "account", prefix: "/etc/passwd"},
	{what: "the password list", kind: "account", prefix: "/etc/shadow"},
	{what: "the linker's preload list", kind: "preload", prefix: "/etc/ld.so.preload"},
	{what: "the login rules", kind: "login", prefix: "/etc/pam.d/"},
	{what: "a login script", kind: "login", prefix: "/etc/profile"},
	{what: "a login script", kind: "login", prefix: "/etc/update-motd.d/"},
	{what: "a shell start file", kind: "login", suffix: "/.bashrc"},
	{what: "a shell start file", kind: "login", suffix: "/.profile"},
	{what: "a shell start file", kind: "login", suffix: "/.bash_profile"},
	{what: "an at job", kind: "cron", prefix: "/var/spool/at/"},
}

func placeOf(p string) *place {
	for i := range places {
		pl := &places[i]
		if pl.prefix != "" && !strings.HasPrefix(p, pl.prefix) {
			continue
		}
		if pl.suffix != "" && !strings.HasSuffix(p, pl.suffix) {
			continue
		}
		if len(pl.parts) > 0 && !containsAny(p, pl.parts) {
			continue
		}
		return pl
	}
	return nil
}

// persistent returns the kind of place p is, "" for none.
func persistent(p string) string {
	if pl := placeOf(p); pl != nil {
		return pl.kind
	}
	return ""
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// isLog reports whether p is a log or a record of logins: written by many,
// carrier of nothing.
func isLog(p string) bool {
	return strings.HasPrefix(p, "/var/log/") || strings.HasPrefix(p, "/run/utmp") || strings.HasPrefix(p, "/var/run/utmp")
}

// isSystem reports whether p lies where packages put programs and libraries.
// Such a file explains a process only if somebody was seen writing it.
func isSystem(p string) bool {
	if strings.HasPrefix(p, "/usr/local/") {
		return false
	}
	for _, d := range [...]string{"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/snap/"} {
		if strings.HasPrefix(p, d) {
			return true
		}
	}
	return false
}

// noCarrier reports whether p passes nothing on: devices, kernel interfaces,
// sockets of daemons, logs.
func noCarrier(p string) bool {
	for _, d := range [...]string{"/dev/pts/", "/dev/tty", "/dev/null", "/proc/", "/sys/", "/run/systemd/", "/run/dbus/"} {
		if strings.HasPrefix(p, d) {
			return true
		}
	}
	return isLog(p)
}

// accountOfKeyList returns whose ~/.ssh/authorized_keys p is, by the usual
// home folders.
func accountOfKeyList(p string) (string, bool) {
	home, _, ok := strings.Cut(p, "/.ssh/authorized_keys")
	if !ok {
		return "", false
	}
	return path.Base(home), true
}

// maxTokens bounds how many paths of one command line are looked at.
const maxTokens = 32

// pathsIn returns the absolute paths that a command line names, relative ones
// joined with cwd. Quotes, redirections and KEY= are taken off.
func pathsIn(cmd, cwd string) []string {
	var out []string
	for tok := range strings.FieldsFuncSeq(cmd, func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\n' || r == ';' || r == '|' || r == '&' || r == '(' || r == ')' || r == ',' || r == 0
	}) {
		tok = strings.Trim(tok, `"'<>`+"`")
		if i := strings.IndexByte(tok, '='); i >= 0 && i+1 < len(tok) && tok[i+1] == '/' {
			tok = tok[i+1:]
		}
		if strings.Contains(tok, "://") || len(tok) < 2 || len(tok) > 512 || tok[0] == '-' {
			continue
		}
		if tok[0] != '/' {
			if cwd == "" || !strings.ContainsAny(tok, "./") {
				continue
			}
			tok = absolute(cwd, tok)
		}
		if tok[0] == '/' && len(out) < maxTokens {
			out = append(out, path.Clean(tok))
		}
	}
	return out
}

// namesIn returns the last elements of everything in a command line that
// could be a file name, URLs included.
func namesIn(cmd string) []string {
	var out []string
	for tok := range strings.FieldsSeq(cmd) {
		tok = strings.Trim(tok, `"'<>;|&()`+"`")
		if tok == "" || tok[0] == '-' && !strings.Contains(tok, "/") {
			continue
		}
		if i := strings.LastIndexByte(tok, '/'); i >= 0 {
			tok = tok[i+1:]
		}
		if len(tok) >= 3 && len(out) < maxTokens {
			out = append(out, tok)
		}
	}
	return out
}

// A role is what a program is for, by its name: it decides where causality
// may pass through it.
type role uint8

const (
	plain role = iota
	roleLogin
	roleCron
	roleInit
	roleWeb
	roleServer
	roleLogger
	rolePackager
	roleShell
)

// roles is data: programs by base name. Interpreted programs are plain: their
// scripts say what they are.
var roles = map[string]role{
	"sshd": roleLogin, "sshd-session": roleLogin, "sshd-auth": roleLogin, "login": roleLogin, "dropbear": roleLogin,
	"gdm-session-worker": roleLogin, "lightdm": roleLogin, "agetty": roleLogin, "in.telnetd": roleLogin, "telnetd": roleLogin,
	"cron": roleCron, "crond": roleCron, "anacron": roleCron, "atd": roleCron, "fcron": roleCron,
	"systemd": roleInit, "init": roleInit, "systemd-executor": roleInit, "upstart": roleInit, "openrc": roleInit, "runsv": roleInit,
	"apache2": roleWeb, "httpd": roleWeb, "nginx": roleWeb, "lighttpd": roleWeb, "caddy": roleWeb, "haproxy": roleWeb, "php-cgi": roleWeb,
	"uwsgi": roleWeb, "gunicorn": roleWeb, "catalina": roleWeb, "jsvc": roleWeb, "unicorn": roleWeb, "puma": roleWeb,
	"mysqld": roleServer, "mariadbd": roleServer, "postgres": roleServer, "redis-server": roleServer, "mongod": roleServer,
	"vsftpd": roleServer, "proftpd": roleServer, "smbd": roleServer, "exim4": roleServer, "master": roleServer, "named": roleServer,
	"dockerd": roleServer, "containerd": roleServer, "containerd-shim-runc-v2": roleServer, "snapd": roleServer, "memcached": roleServer,
	"rsyslogd": roleLogger, "systemd-journald": roleLogger, "systemd-logind": roleLogger, "auditd": roleLogger, "dbus-daemon": roleLogger,
	"systemd-udevd": roleLogger, "polkitd": roleLogger, "logrotate": roleLogger, "syslog-ng": roleLogger,
	"apt": rolePackager, "apt-get": rolePackager, "aptitude": rolePackager, "dpkg": rolePackager, "yum": rolePackager, "dnf": rolePackager,
	"rpm": rolePackager, "zypper": rolePackager, "apk": rolePackager, "pacman": rolePackager, "snap": rolePackager, "flatpak": rolePackager,
	"pip": rolePackager, "pip3": rolePackager, "pipx": rolePackager, "npm": rolePackager, "yarn": rolePackager, "pnpm": rolePackager,
	"gem": rolePackager, "cargo": rolePackager, "composer": rolePackager, "easy_install": rolePackager,
	"bash": roleShell, "sh": roleShell, "dash": roleShell, "zsh": roleShell, "ksh": roleShell, "fish": roleShell, "ash": roleShell,
}

// roleOf returns the role of a program; php-fpm and its kin carry versions.
func roleOf(exe string) role {
	b := path.Base(exe)
	if r, ok := roles[b]; ok {
		return r
	}
	if strings.HasPrefix(b, "php-fpm") {
		return roleWeb
	}
	return plain
}

// daemon reports whether a role serves many: causality passes only through a
// matching session, job, unit, request or connection.
func (r role) daemon() bool { return r >= roleLogin && r <= roleLogger }

// packagerOf returns the package manager's command that a command line runs to
// install something, "" when it does nothing of the kind.
func packagerOf(exe, cmd string) string {
	words := strings.Fields(cmd)
	installer := roleOf(exe) == rolePackager
	for i, w := range words {
		b := path.Base(w)
		switch {
		case i < 3 && roles[b] == rolePackager:
			installer = true
		case !installer:
		case b == "install", b == "add", b == "i" && i > 0, b == "upgrade", b == "-i", b == "-U", b == "-S", b == "localinstall", b == "reinstall", b == "--unpack", b == "--configure":
			return strings.Join(words[:min(len(words), 12)], " ")
		}
	}
	return ""
}
