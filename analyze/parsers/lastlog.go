package parsers

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/utmp"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxLastlog reads lastlog: one event per account that ever logged in, at
// its last login. The account is the record's place in the file, its name
// comes from the host's passwd. rec_no is the user id. Attributes: tty, host.
var linuxLastlog = register(analyze.Parser{
	Name:    "linux_lastlog",
	Doc:     "last login of every account, in 292 and 296 byte records",
	Version: 1,
	Family:  "utmp",
	Types:   []string{"linux:lastlog:entry"},
	Match:   matchLastlog,
	Parse:   parseLastlog,
})

func matchLastlog(it *evidence.Item, head []byte) bool {
	base := it.Path[strings.LastIndexByte(it.Path, '/')+1:]
	rest, ok := strings.CutPrefix(base, "lastlog")
	if !ok || rest != "" && !strings.ContainsRune(".-_", rune(rest[0])) || len(head) < 292 {
		return false
	}
	_, used := utmp.LastlogSize(head)
	return used > 0 || allZero(head)
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func parseLastlog(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if err != nil {
		out.Problem(evidence.Corrupt, -1, -1, "content ends in a decoding error: "+err.Error())
	}
	var holes []utmp.Hole
	if src.Chain == "" {
		for _, h := range src.Item.Holes {
			holes = append(holes, utmp.Hole(h))
		}
	}
	r, err := utmp.NewLastlogReader(at, size, holes)
	if err != nil {
		return err
	}
	for {
		rec, err := r.Next()
		for _, d := range r.Damage() {
			out.Problem(evidence.Code(d.Loss), d.Offset, d.Length, d.Detail)
		}
		if errors.Is(err, io.EOF) || out.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		lastlogEvent(src.Host, out, rec)
	}
}

func lastlogEvent(host *analyze.Host, out *timeline.Appender, rec *utmp.LastLogin) {
	ev := out.Event(rec.Offset, rec.Length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:lastlog:entry", "UTMP", "last login"
	ev.TSDesc, ev.TSKind = "Last Login", timeline.Recorded
	ev.SetNanos(rec.Sec * 1e9)
	ev.TSPrec, ev.TZSrc = timeline.Second, timeline.ZoneFormat
	ev.RecNo, ev.UID = rec.UID, rec.UID
	ev.User = userName(host, rec.UID)
	ev.Action, ev.Outcome, ev.Category = "user-login", "success", "authentication"
	line, from := out.Intern(rec.Line), out.Intern(rec.Host)
	if _, err := netip.ParseAddr(from); err == nil {
		ev.SrcIP = from
	}
	who := ev.User
	if who == "" {
		who = out.Join("user ", out.Int(rec.UID))
	}
	ev.Message = out.Join("last login of ", who, " on ", line)
	if from != "" {
		ev.Message = out.Join(ev.Message, " from ", from)
		out.AttrRaw("host", from, 's')
	}
	if line != "" {
		out.AttrRaw("tty", line, 's')
	}
}
