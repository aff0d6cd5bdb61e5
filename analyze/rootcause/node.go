package rootcause

import (
	"cmp"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// ref names an entity of the index. The number of a package is the process of
// its manager, or -(fact+1) where only the package log tells of it; that of an
// event is a fact.
type ref struct {
	kind Kind
	n    int32
}

func compareRefs(a, b ref) int {
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	return cmp.Compare(a.n, b.n)
}

// cause is one step back: from may have brought about the node it was asked
// for.
type cause struct {
	from  ref
	rule  ruleID
	ts    int64   // when the cause acted
	until int64   // what is known of from after this does not matter
	facts []int32 // records that say so
	mult  float64 // how much of the rule's weight, 0..1; counts rarity in
	fan   int     // how many effects of this kind the cause has
	// between counts the processes left out of a shown step.
	between int
	quote   string // a line of evidence that joins the two
}

// causes returns the steps back from a node, considering nothing after until.
func (x *index) causes(r ref, until int64, alert bool) []cause {
	switch r.kind {
	case KindProcess:
		return x.causesOfProcess(r.n, alert)
	case KindSession:
		return x.causesOfSession(r.n)
	case KindFile:
		return x.causesOfFile(r.n, until)
	case KindUnit:
		return x.causesOfUnit(r.n, until)
	case KindJob:
		return x.causesOfJob(r.n, until)
	case KindFlow:
		return x.causesOfFlow(r.n, until)
	case KindRequest:
		return x.causesOfVisit(r.n, until)
	case KindPackage:
		return x.causesOfPackage(r.n)
	case KindEvent:
		return x.causesOfEvent(r.n)
	}
	return nil
}

// timeOf returns when a node came about, given the time a walk arrives with.
func (x *index) timeOf(r ref, until int64) int64 {
	switch r.kind {
	case KindProcess:
		return x.procs[r.n].start
	case KindSession:
		return x.sessions[r.n].start
	case KindEvent:
		return x.facts[r.n].ts
	case KindUnit:
		if at := x.startNear(r.n, until); len(at) > 0 {
			return x.facts[at[0]].ts
		}
	case KindPackage:
		if r.n < 0 {
			return x.facts[-r.n-1].ts
		}
		return x.procs[r.n].start
	}
	return until
}

// startsAt maps an alert event to the nodes to explain and the times until
// which they are looked at.
func (x *index) startsAt(i int32) (ref, int64) {
	f := &x.facts[i]
	until := f.ts
	if until == timeline.None {
		until = 1<<63 - 1
	}
	p := x.factOf[i]
	switch f.act {
	case actCron:
		if f.cmd != 0 {
			return ref{KindJob, x.jobByID[jobKey{f.host, f.user, x.keyOf(f.cmd)}]}, until
		}
	case actStart, actStop:
		if f.unit != 0 && !transient(x.text[f.unit]) {
			return ref{KindUnit, x.unit(f.host, f.unit)}, until
		}
	case actStat:
		if f.file != 0 {
			return ref{KindFile, x.file(f.host, f.file)}, until
		}
	case actLogin, actOpened, actClosed, actLogout:
		if s, ok := x.alertSession(f); ok {
			return ref{KindSession, s}, until
		}
	case actRequest:
		return ref{KindRequest, x.visitOf[i]}, until
	case actPackage:
		return ref{KindPackage, -i - 1}, until
	case actSudo, actCommand:
		if q, ok := x.cmdOf[i]; ok {
			return ref{KindProcess, q}, until
		}
		return ref{KindEvent, i}, until
	}
	if p >= 0 && !roleOf(x.text[x.procs[p].exe]).daemon() {
		return ref{KindProcess, p}, until
	}
	if n, ok := x.flowOf[i]; ok && p < 0 {
		return ref{KindFlow, n}, until
	}
	return ref{KindEvent, i}, until
}

// alertSession returns the session that a login record speaks of; for a failed
// attempt the next login from the same address.
func (x *index) alertSession(f *fact) (int32, bool) {
	if f.fail {
		for s := range x.sessions {
			e := &x.sessions[s]
			if e.host == f.host && e.src == f.sip && f.sip != 0 && e.start >= f.ts {
				return int32(s), true
			}
		}
		return 0, false
	}
	if f.session != 0 {
		if s, ok := x.sessionByID(f.host, f.session, f.ts); ok {
			return s, true
		}
	}
	if s, ok := x.sessionByPID(f.host, f.pid, f.ts, joinWindow); ok {
		return s, true
	}
	best, found := int32(0), false
	for s := range x.sessions {
		e := &x.sessions[s]
		d := e.start - f.ts
		if e.host == f.host && e.src == f.sip && e.user == f.user && d < joinWindow && d > -joinWindow {
			best, found = int32(s), true
		}
	}
	return best, found
}
