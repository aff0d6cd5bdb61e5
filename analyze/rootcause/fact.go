package rootcause

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// sym is a string held once by symbols; 0 is the empty string.
type sym uint32

type symbols struct {
	ids  map[string]sym
	text []string
}

func newSymbols() *symbols {
	return &symbols{ids: make(map[string]sym), text: []string{""}}
}

// of returns the symbol of v, which is copied when it is new: the strings of
// an event live only until the next one is read.
func (s *symbols) of(v string) sym {
	if v == "" {
		return 0
	}
	if id, ok := s.ids[v]; ok {
		return id
	}
	return s.own(strings.Clone(v))
}

// own gives a new text, which is not copied, its symbol.
func (s *symbols) own(v string) sym {
	id := sym(len(s.text))
	s.text = append(s.text, v)
	s.ids[v] = id
	return id
}

// act is what an event says was done, as far as causality is concerned.
type act uint8

const (
	actSeen act = iota // a process was alive: nothing more
	actExec
	actConnect
	actAccept
	actBind
	actWrite
	actCreate
	actDelete
	actRename
	actLink
	actAttr
	actModule
	actLogin
	actLogout
	actOpened // a session began
	actClosed
	actAuth
	actSudo
	actCron
	actCronLoad // cron read a table
	actStart    // a service was started
	actStop
	actAccount
	actBoot
	actShutdown
	actCommand
	actPackage
	actFlow
	actRequest
	actSocket
	actStat
)

// acts maps the event vocabulary (timeline.Event.Action).
var acts = map[string]act{
	"process-started":         actExec,
	"connection-opened":       actConnect,
	"connection-accepted":     actAccept,
	"socket-bound":            actBind,
	"file-opened-for-write":   actWrite,
	"file-created":            actCreate,
	"file-deleted":            actDelete,
	"file-renamed":            actRename,
	"file-linked":             actLink,
	"file-attributes-changed": actAttr,
	"module-loaded":           actModule,
	"user-login":              actLogin,
	"user-logout":             actLogout,
	"session-opened":          actOpened,
	"session-closed":          actClosed,
	"authentication":          actAuth,
	"credentials-acquired":    actAuth,
	"privilege-used":          actSudo,
	"scheduled-command-run":   actCron,
	"service-started":         actStart,
	"service-stopped":         actStop,
	"account-created":         actAccount,
	"account-changed":         actAccount,
	"password-changed":        actAccount,
	"group-created":           actAccount,
	"boot":                    actBoot,
	"shutdown":                actShutdown,
	"command-entered":         actCommand,
	"package-installed":       actPackage,
	"package-upgraded":        actPackage,
	"connection":              actFlow,
	"dns-query":               actFlow,
	"tls-handshake":           actFlow,
	"http-request":            actRequest,
	"socket-state":            actSocket,
}

// origin is the family of the record an event came from.
type origin uint8

const (
	fromOther origin = iota
	fromAudit
	fromJournal
	fromLog
	fromUtmp
	fromLastlog
	fromHistory
	fromLive
	fromCapture
	fromPackages
	fromFiles
	origins
)

var originNames = [origins]string{
	"other log", "audit log", "journal", "text log", "wtmp", "lastlog", "shell history",
	"live state", "packet capture", "package log", "file times",
}

func originOf(dataType string) origin {
	switch head, _, _ := strings.Cut(dataType, ":"); head {
	case "syslog":
		return fromLog
	case "systemd":
		return fromJournal
	case "fs":
		return fromFiles
	case "net":
		return fromCapture
	case "bash", "shell", "zsh", "fish", "less":
		return fromHistory
	}
	for _, p := range []struct {
		prefix string
		from   origin
	}{
		{"linux:audit", fromAudit},
		{"linux:utmp", fromUtmp},
		{"linux:wtmpdb", fromUtmp},
		{"linux:lastlog", fromLastlog},
		{"linux:process", fromLive},
		{"linux:socket", fromLive},
		{"linux:dpkg", fromPackages},
		{"linux:apt", fromPackages},
		{"linux:dnf", fromPackages},
		{"linux:yum", fromPackages},
		{"linux:zypper", fromPackages},
		{"linux:pacman", fromPackages},
		{"linux:snap", fromPackages},
	} {
		if strings.HasPrefix(dataType, p.prefix) {
			return p.from
		}
	}
	return fromOther
}

// fact is one event as the index holds it. Numbers are -1 where not known,
// ts is timeline.None for an undated event.
type fact struct {
	id         timeline.ID
	ts, end    int64
	pid, ppid  int32
	uid        int32
	sport      int32
	dport      int32
	act        act
	from       origin
	fail       bool
	soft       bool // its time or its year was inferred, or its zone assumed
	host, boot sym
	user       sym
	target     sym // account acted on: sudo's target, account created
	session    sym
	exe        sym
	cmd        sym
	cwd        sym
	tty        sym
	file       sym
	file2      sym
	unit       sym
	sip, dip   sym
	domain     sym
	url        sym
	method     sym // authentication method, HTTP method
	key        sym // key fingerprint; attributes of a file time
	note       sym // TSDesc of file times, original action of account changes
}

// unset reports whether a session number says "none": audit writes 2^32-1.
func unsetSession(s string) bool {
	return s == "" || s == "4294967295" || s == "-1" || s == "0" || s == "unset"
}

func small(n int64) int32 {
	if n < 0 || n > 1<<31-1 {
		return -1
	}
	return int32(n)
}

// attrOf returns the first attribute that is set under one of the names.
func attrOf(ev *timeline.Event, names ...string) string {
	for _, n := range names {
		if v, ok := ev.Attr(n); ok && v != "" {
			return v
		}
	}
	return ""
}
