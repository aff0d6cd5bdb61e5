package storetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// RandomExpr returns a valid condition of at most that depth about the events
// that Jobs generates.
func RandomExpr(r *rand.Rand, depth int) timeline.Expr {
	if depth > 0 {
		switch r.IntN(6) {
		case 0:
			return timeline.And(randomList(r, depth-1))
		case 1:
			return timeline.Or(randomList(r, depth-1))
		case 2:
			return timeline.Not{X: RandomExpr(r, depth-1)}
		}
	}
	return randomMatch(r)
}

func randomList(r *rand.Rand, depth int) []timeline.Expr {
	list := make([]timeline.Expr, r.IntN(4))
	for i := range list {
		list[i] = RandomExpr(r, depth)
	}
	return list
}

var textFields = []string{
	"", "", "", "message", "message", "user", "exe", "src_ip", "cmdline", "file", "domain", "event_code", "sha256",
	"facility", "attr.user", "quo\"te", "ключ", "n", "attr.", "source_path", "flags", "ts_state", "event_id", "data_type", "source_id",
}

func randomMatch(r *rand.Rand) timeline.Match {
	switch r.IntN(12) {
	case 0:
		return timeRange(r)
	case 1:
		return numberMatch(r)
	case 2:
		return timeline.Match{
			Field: pick(r, []string{"src_ip", "dst_ip", "facility", ""}), Op: timeline.OpCIDR,
			Value: pick(r, []string{"10.0.0.0/8", "10.0.0.0/31", "0.0.0.0/0", "fe80::/10", "192.168.1.1/32"}),
		}
	case 3:
		return timeline.Match{
			Field: pick(r, []string{"n", "event_code", "user", "severity", "file"}), Op: timeline.OpRange,
			Lo: pick(r, []string{"", "5", "10", "a", "-1.5"}), Hi: pick(r, []string{"", "100", "4000", "z"}),
			LoExc: r.IntN(2) == 0, HiExc: r.IntN(2) == 0,
		}
	case 4:
		return timeline.Match{Field: pick(r, append(textFields, "pid", "ts", "uid")), Op: timeline.OpExists}
	}
	m := timeline.Match{Field: pick(r, textFields), Op: pick(r, []timeline.Op{
		timeline.OpEqual, timeline.OpContains, timeline.OpWord, timeline.OpWord, timeline.OpWildcard, timeline.OpRegex,
	})}
	m.Value = randomValue(r)
	switch m.Op {
	case timeline.OpWildcard:
		m.Value = pick(r, []string{"*", "", "?", "*a", "\\*"}) + m.Value + pick(r, []string{"*", "", "??", "*o*", "\\"})
	case timeline.OpRegex:
		m.Value = pick(r, []string{"fail|accept", "^a", "pass(word)?", "[0-9]{3,}$", "k+", "s.n", "\\bfor\\b", "(root|jürgen)", "stra(ß|ss)e", "\\x00", "."})
	}
	return m
}

func randomValue(r *rand.Rand) string {
	switch r.IntN(10) {
	case 0:
		return pick(r, users)
	case 1:
		return pick(r, exes)
	case 2:
		return pick(r, hostile[:10])
	case 3:
		return pick(r, ips)
	case 4:
		return pick(r, []string{"sshd", "ass", "K", "k", "S", "s", "OK", "", " ", "for root", "ssh", "jur", "3", "carved", "unlinked", "none", "ok", "linux:syslog:line", "log", "web1"})
	case 5:
		return fmt.Sprint(r.IntN(400))
	case 6:
		return pick(r, words) + " " + pick(r, words)
	}
	return pick(r, words)
}

func timeRange(r *rand.Rand) timeline.Match {
	at := func() string {
		if r.IntN(5) == 0 {
			return ""
		}
		return timeline.FormatTime(1_795_000_000e9 + int64(r.IntN(40))*900e9 + int64(r.IntN(3)))
	}
	m := timeline.Match{Field: pick(r, []string{"ts", "ts", "ts_end"}), Op: timeline.OpRange, Lo: at(), Hi: at(), LoExc: r.IntN(3) == 0, HiExc: r.IntN(3) == 0}
	if r.IntN(6) == 0 {
		return timeline.Match{Field: "ts", Op: timeline.OpEqual, Value: pick(r, []string{"2026", "2026-11", "2026-11-18", "2026-11-18T12", "1970-01-01"})}
	}
	return m
}

func numberMatch(r *rand.Rand) timeline.Match {
	m := timeline.Match{Field: pick(r, []string{"pid", "src_port", "dst_port", "uid", "line", "seq", "rec_off"})}
	switch r.IntN(4) {
	case 0:
		m.Op, m.Lo, m.Hi = timeline.OpRange, fmt.Sprint(r.IntN(3000)), fmt.Sprint(r.IntN(9000))
		m.LoExc, m.HiExc = r.IntN(2) == 0, r.IntN(2) == 0
	case 1:
		m.Op, m.Value = timeline.OpWildcard, fmt.Sprintf("%d*", r.IntN(10))
	case 2:
		m.Op, m.Value = timeline.OpRegex, "^[1-3]+$"
	default:
		m.Op, m.Value = timeline.OpEqual, pick(r, []string{"22", "443", "0", "500", "1"})
	}
	return m
}
