package parsers

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/analyze/format/utmp"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxUtmp reads utmp, wtmp and btmp. One event per record, dated by the
// record; rec_no counts records from 0, event_code is ut_type. A record in
// btmp is a failed login. src_ip is ut_addr_v6, else ut_host where that is an
// address. Attributes: tty, id, ut_host, ut_session, termination, exit.
//
// Records that were overwritten with zeros, and logins whose account was
// blanked, are problems: nothing but an editor of the log writes them.
var linuxUtmp = register(analyze.Parser{
	Name:    "linux_utmp",
	Doc:     "login records utmp, wtmp and btmp in all four layouts",
	Version: 1,
	Family:  "utmp",
	Types:   []string{"linux:utmp:event"},
	Match:   matchUtmp,
	Parse:   parseUtmp,
})

func matchUtmp(it *evidence.Item, head []byte) bool {
	if beginsLikeSQLite(head) || sqlite.IsWAL(head) {
		return false // wtmp.db is another format's
	}
	named := loginFile(it.Path) != ""
	if !named && !utmp.Possible(head) {
		return false
	}
	layout, n := utmp.Detect(head)
	whole := len(head) / layout.Size
	if whole == 0 {
		return false
	}
	if named {
		return n > 0 || isBinary(head)
	}
	if int64(len(head)) == it.Size && len(head)%layout.Size != 0 {
		return false
	}
	got, sensible := layout.Sequence(head)
	return sensible && got == whole && n*2 >= whole
}

// loginFile returns "utmp", "wtmp" or "btmp" when the path's last element is
// that name or a rotation of it.
func loginFile(path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	for _, name := range [...]string{"utmp", "wtmp", "btmp"} {
		if rest, ok := strings.CutPrefix(base, name); ok && (rest == "" || strings.ContainsRune(".-_", rune(rest[0]))) {
			return name
		}
	}
	return ""
}

// isBinary reports whether the head of a file has zero bytes: no text log has.
func isBinary(head []byte) bool {
	for _, c := range head {
		if c == 0 {
			return true
		}
	}
	return false
}

func parseUtmp(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	head := make([]byte, analyze.HeadSize)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	head = head[:n]
	layout, _ := utmp.Detect(head)
	r := utmp.NewReader(io.MultiReader(strings.NewReader(string(head)), src), layout)
	u := utmpEvents{out: out, size: int64(layout.Size), failed: loginFile(src.Item.Path) == "btmp", addresses: map[[16]byte]string{}, open: map[string]string{}}
	for {
		rec, err := r.Next()
		for _, d := range r.Damage() {
			out.Problem(utmpCode(d.Loss), d.Offset, d.Length, d.Detail)
		}
		if errors.Is(err, io.EOF) || out.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		u.event(rec)
	}
}

func utmpCode(loss utmp.Loss) evidence.Code {
	if loss == utmp.Zeroed {
		return evidence.Inconsistent
	}
	return evidence.Code(loss)
}

// utmpEvents makes events of records.
type utmpEvents struct {
	out       *timeline.Appender
	size      int64
	failed    bool // the file is a btmp
	addresses map[[16]byte]string
	open      map[string]string // account by line
}

func (u *utmpEvents) event(rec *utmp.Record) {
	out := u.out
	ev := out.Event(rec.Offset, u.size)
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:utmp:event", "UTMP", "login record"
	ev.TSDesc, ev.TSKind = "Record Written", timeline.Recorded
	ev.RecNo = rec.Offset / u.size
	if rec.Odd {
		ev.Flags |= timeline.CorruptRec
	}
	u.time(ev, rec)
	if rec.PID > 0 {
		ev.PID = int64(rec.PID)
	}
	ev.EventCode = out.Int(int64(rec.Type))
	u.act(ev, rec)
	u.attrs(rec)
}

func (u *utmpEvents) time(ev *timeline.Event, rec *utmp.Record) {
	switch {
	case rec.Sec == 0:
		u.out.Problem(evidence.Undated, rec.Offset, u.size, "the record has no time")
	case rec.Sec > 1<<32:
		ev.TSState = timeline.TimeAfter
	default:
		ns := rec.Sec * 1e9
		ev.TSPrec, ev.TZSrc = timeline.Second, timeline.ZoneFormat
		if rec.Usec > 0 && rec.Usec < 1_000_000 {
			ns += rec.Usec * 1000
			ev.TSPrec = timeline.Microsecond
		}
		ev.SetNanos(ns)
	}
}

// act sets what the record says was done.
func (u *utmpEvents) act(ev *timeline.Event, rec *utmp.Record) {
	out := u.out
	line, user, host := out.Intern(rec.Line), out.Intern(rec.User), out.Intern(rec.Host)
	ev.SrcIP = u.address(rec.Addr, host)
	from := ""
	if host != "" {
		from = " from "
	}
	switch {
	case u.failed:
		ev.User, ev.Action, ev.Outcome, ev.Category = user, "user-login", "failure", "authentication"
		ev.Message = out.Join("failed login of ", user, " on ", line, from, host)
	case rec.Type == utmp.UserProcess && user == "":
		ev.Action, ev.Outcome, ev.Category = "user-login", "success", "authentication"
		ev.Message = out.Join("login of an account without a name on ", line, from, host)
		out.Problem(evidence.Inconsistent, rec.Offset, u.size, "a login without an account: the name was blanked")
	case rec.Type == utmp.UserProcess:
		ev.User, ev.Action, ev.Outcome, ev.Category = user, "user-login", "success", "authentication"
		ev.Message = out.Join("login of ", user, " on ", line, from, host)
		if len(u.open) < 65536 {
			u.open[line] = user
		}
	case rec.Type == utmp.DeadProcess:
		// A logout names the line only: the account is that of the line's last login.
		if ev.User = user; user == "" {
			ev.User = u.open[line]
		}
		delete(u.open, line)
		ev.Action, ev.Category = "user-logout", "session"
		ev.Message = out.Join("session on ", line, " ended")
	case rec.Type == utmp.BootTime:
		ev.Action, ev.Category = "boot", "host"
		ev.Message = out.Join("system boot, kernel ", host)
	case rec.Type == utmp.RunLevel && user == "shutdown":
		ev.Action, ev.Category = "shutdown", "host"
		ev.Message = out.Join("system shutdown, kernel ", host)
	case rec.Type == utmp.RunLevel:
		ev.Action, ev.Category = "runlevel-changed", "host"
		ev.Message = out.Join("runlevel changed to ", runlevel(rec.PID), " from ", runlevel(rec.PID>>8))
	case rec.Type == utmp.NewTime, rec.Type == utmp.OldTime:
		ev.Action, ev.Category = "time-changed", "host"
		ev.Message = [...]string{utmp.NewTime: "clock after the change", utmp.OldTime: "clock before the change"}[rec.Type]
	default:
		ev.User = user
		ev.Message = out.Join(utmpNames[rec.Type], " ", user, " on ", line, from, host)
	}
	if ev.Action == "user-login" {
		u.spelled(rec)
	}
}

// utmpNames names the record types that stand for no act.
var utmpNames = [...]string{
	utmp.Empty: "empty record", utmp.InitProcess: "process started by init",
	utmp.LoginProcess: "login prompt", utmp.Accounting: "accounting record",
}

// spelled reports text that was written over longer text.
func (u *utmpEvents) spelled(rec *utmp.Record) {
	if rec.UserResidue {
		u.out.AttrStr("residue", "bytes follow the end of the account name")
	}
}

// runlevel is the level's letter in the low byte of ut_pid, N for none.
func runlevel(pid int32) string {
	if c := byte(pid); c > ' ' && c < 0x7f {
		return string(rune(c))
	}
	return "N"
}

func (u *utmpEvents) attrs(rec *utmp.Record) {
	out := u.out
	for _, a := range [...]struct {
		key   string
		value []byte
	}{{"tty", rec.Line}, {"id", rec.ID}, {"ut_host", rec.Host}} {
		if len(a.value) > 0 {
			out.AttrRaw(a.key, out.Intern(a.value), 's')
		}
	}
	for _, a := range [...]struct {
		key   string
		value int64
	}{{"ut_session", rec.Session}, {"termination", int64(rec.Termination)}, {"exit", int64(rec.Exit)}} {
		if a.value != 0 {
			out.AttrInt(a.key, a.value)
		}
	}
}

// address is the remote address of a record: IPv4 in the first four bytes
// with the rest zero, IPv6, or the host where it spells an address.
func (u *utmpEvents) address(raw [16]byte, host string) string {
	if s, ok := u.addresses[raw]; ok && s != "" {
		return s
	}
	a := netip.AddrFrom16(raw).Unmap()
	if [12]byte(raw[4:]) == ([12]byte{}) {
		a = netip.AddrFrom4([4]byte(raw[:4]))
	}
	if a.IsUnspecified() {
		if h, err := netip.ParseAddr(host); err != nil || h.IsUnspecified() {
			return ""
		}
		return host
	}
	s := a.String()
	if len(u.addresses) < 4096 {
		u.addresses[raw] = s
	}
	return s
}
