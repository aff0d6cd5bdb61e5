package rootcause

import (
	"fmt"
	"slices"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// missing says what the absence of a source means for the answer.
var missing = []struct {
	from []origin
	text string
}{
	{[]origin{fromAudit}, "There are no audit records: starts of programs, files written and connections are known only as far as logs, histories and file times tell."},
	{[]origin{fromJournal, fromLog}, "There is neither a journal nor a text log: logins, sudo and cron are known from binary login records at best."},
	{[]origin{fromUtmp, fromLastlog}, "There are no login records of the utmp family to compare the logs with."},
	{[]origin{fromCapture}, "There is no packet capture: traffic is known only from the programs that opened connections."},
	{[]origin{fromLive}, "There is no list of running processes and sockets: what was alive at collection is not known."},
	{[]origin{fromFiles}, "There are no file times: files count only where a record shows them being written."},
}

// findGaps fills Graph.Gaps.
func (s *shower) findGaps(r *reader, top *arrival) {
	for _, m := range missing {
		if !slices.ContainsFunc(m.from, func(o origin) bool { return r.counts[o] > 0 }) {
			s.gap(m.text, nil)
		}
	}
	hosts := make([]string, 0, len(r.serials))
	for h := range r.serials {
		hosts = append(hosts, s.x.text[h])
	}
	slices.Sort(hosts)
	for _, h := range hosts {
		run := r.serials[s.x.ids[h]]
		if gaps, missing := run.count(); missing > 0 {
			s.gap(fmt.Sprintf("Audit serial numbers on %s have %s, %s missing, between %s and %s UTC: records were lost, filtered or removed.",
				orHost(h), plural(gaps, "gap"), plural(missing, "record"), clock(run.firstTS), clock(run.lastTS)), nil)
		}
	}
	for t, n := range r.dropped {
		if n > 0 {
			s.gap(fmt.Sprintf("%s of %s were left out because the walk holds %d events: %s.",
				plural(int(n), "record"), tierNames[t], r.opt.MaxFacts, r.leftOut(tier(t))), nil)
		}
	}
	if top != nil && s.w.nodes[top.nodes[0]].ref.kind == KindSession {
		s.removedLogins(top)
	}
	for _, n := range s.im.dead[:min(3, len(s.im.dead))] {
		v := &s.w.nodes[n]
		label, detail := s.x.label(v.ref)
		s.gap(plainText(fmt.Sprintf("Nothing explains %s %s, which %.0f %% of the alert leads to.", label, shorten(detail, 80), 100*score(min(one, s.im.reach[n])))),
			s.x.proofOf(v.ref))
	}
	if top == nil {
		s.gap("No entry point was reached.", nil)
	}
}

// leftOut says which records of a tier were given up.
func (r *reader) leftOut(t tier) string {
	if r.thinned[t] == timeline.None {
		return "those longest after the alert"
	}
	return "those longest before the alert, up to " + clock(r.thinned[t]) + " UTC, and those longest after it"
}

func orHost(h string) string {
	if h == "" {
		return "the host"
	}
	return plainText(h)
}

func (s *shower) gap(text string, facts []int32) {
	s.g.Gaps = append(s.g.Gaps, Note{Text: text, Events: s.ids(facts, 4)})
}

// removedLogins compares the sources that should all state the logins of an
// entry. One that is silent although it covers the time was cut, or edited.
func (s *shower) removedLogins(top *arrival) {
	x := s.x
	e := &x.sessions[top.session]
	if e.src == 0 {
		return
	}
	spans := make(map[hostOrigin][2]int64)
	for i := range x.sessions {
		if o := &x.sessions[i]; o.host == e.host {
			o.spread(spans)
		}
	}
	var same []int32
	for _, b := range x.sameStay(top.session) {
		same = append(same, b.s)
	}
	slices.Sort(same)
	for _, n := range same {
		o := &x.sessions[n]
		if !o.login || o.start < top.first {
			continue
		}
		for _, src := range [...]origin{fromLog, fromUtmp, fromJournal} {
			if o.recorded&(1<<src) != 0 || !covered(spans, o, src) {
				continue
			}
			if src == fromUtmp && o.recorded&(1<<fromLastlog) == 0 && !x.terminal(n) {
				continue // logins without a terminal are not recorded there
			}
			s.gap(plainText(fmt.Sprintf("The %s at %s UTC is stated by %s but missing from the %s, which has other logins before and after it: records may have been removed.",
				x.sessionLabel(n), clock(o.start), x.statedBy(o), originNames[src])), o.facts)
		}
	}
}

// terminal reports whether a session is known to have had a terminal.
func (x *index) terminal(s int32) bool {
	e := &x.sessions[s]
	t := x.text[e.tty]
	return len(t) > 3 && (t[:3] == "pts" || t[:3] == "tty")
}

type hostOrigin struct {
	host sym
	from origin
}

// spread widens the span that each source states logins of.
func (e *session) spread(spans map[hostOrigin][2]int64) {
	for o := range origins {
		if e.recorded&(1<<o) == 0 {
			continue
		}
		k := hostOrigin{e.host, o}
		span, ok := spans[k]
		if !ok {
			span = [2]int64{e.start, e.start}
		}
		spans[k] = [2]int64{min(span[0], e.start), max(span[1], e.start)}
	}
}

// covered reports whether a source that is silent about a session states other
// logins of the host before and after it.
func covered(spans map[hostOrigin][2]int64, e *session, src origin) bool {
	span, ok := spans[hostOrigin{e.host, src}]
	return ok && span[0] < e.start && e.start < span[1]
}

func (x *index) statedBy(e *session) string {
	var names []string
	for o := range origins {
		if e.recorded&(1<<o) != 0 {
			names = append(names, "the "+originNames[o])
		}
	}
	switch len(names) {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	}
	return fmt.Sprint(join(names[:len(names)-1], ", "), " and ", names[len(names)-1])
}

func join(list []string, sep string) string {
	out := ""
	for i, v := range list {
		if i > 0 {
			out += sep
		}
		out += v
	}
	return out
}

// findAssumptions fills Graph.Assumptions from what the shown edges rest on.
func (s *shower) findAssumptions(from int64) {
	inferred, soft := 0, 0
	var proof []int32
	for i := range s.g.Edges {
		if s.g.Edges[i].Class == Inferred {
			inferred++
			proof = append(proof, first(s.cited[i], 1)...)
		}
		if slices.ContainsFunc(s.cited[i], func(f int32) bool { return s.x.facts[f].soft }) {
			soft++
		}
	}
	if inferred > 0 {
		s.assume(fmt.Sprintf("%s of the graph rest on nearness in time or on names (class C, dashed): they are likely, not proven.", plural(inferred, "edge")), proof)
	}
	if soft > 0 {
		s.assume(fmt.Sprintf("%s rest on records whose year was inferred or whose time zone was assumed.", plural(soft, "edge")), nil)
	}
	for i := range s.g.Nodes {
		if r := s.refs[i]; r.kind == KindSession && s.x.sessions[r.n].end == timeline.None {
			s.assume("Sessions without a recorded end are taken to last until the next start of the host, 24 hours at most.", nil)
			break
		}
	}
	if from != timeline.None {
		s.assume("Nothing before "+clock(from)+" UTC was looked at.", nil)
	}
	if s.x.opt.Internal == nil {
		s.assume("Private address ranges count as the organisation's own, all others as external.", nil)
	}
	if len(s.x.opt.Evidence) == 0 {
		s.assume("The content of cron tables, units and key lists was not read: they are joined by name and time.", nil)
	}
	s.assume("Times are as the hosts wrote them: no clock correction was applied.", nil)
}

func (s *shower) assume(text string, facts []int32) {
	s.g.Assumptions = append(s.g.Assumptions, Note{Text: text, Events: s.ids(facts, 4)})
}
