package rootcause

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// reader turns events into facts in two passes: everything but file times,
// then the file times of the paths that the first pass spoke of.
type reader struct {
	*symbols
	opt   Options
	facts []fact
	// seen finds the fact of a process that was already sighted, so that a
	// chatty daemon costs one fact.
	seen    map[sighting]int
	alert   int64           // time of the latest event asked about
	fullAt  int             // thin no earlier than with so many
	before  int             // facts not after it
	dropped [tierKept]int64 // given up for want of room
	thinned [tierKept]int64 // the latest record before the alert that was
	events  int64
	counts  [origins]int64
	first   [origins]int64
	last    [origins]int64
	serials map[sym]*serialRun
	wanted  map[timeline.ID]bool
}

type sighting struct {
	host, boot, exe, session sym
	pid                      int32
}

// serialRun holds the serial numbers of audit records of one host, in the
// order of time, boot by boot: they start again with every boot.
type serialRun struct {
	runs    [][]uint32 // audit counts in 32 bits
	high    int64
	held    int
	firstTS int64
	lastTS  int64
}

// maxSerials bounds how many serial numbers are held; beyond, gaps are not
// looked for.
const maxSerials = 16 << 20

func (s *serialRun) add(serial int64) {
	if s.held >= maxSerials {
		return
	}
	// Records come slightly out of order; a large step back is a new boot.
	if len(s.runs) == 0 || serial < s.high-maxSerialGap || serial < 64 && s.high > 512 {
		s.runs = append(s.runs, nil)
		s.high = serial
	}
	s.high = max(s.high, serial)
	last := len(s.runs) - 1
	s.runs[last] = append(s.runs[last], uint32(serial))
	s.held++
}

// count returns how many gaps there are and how many numbers they miss.
func (s *serialRun) count() (gaps, missing int) {
	for _, run := range s.runs {
		slices.Sort(run)
		for i := 1; i < len(run); i++ {
			if d := run[i] - run[i-1]; d > 1 && d <= maxSerialGap {
				gaps++
				missing += int(d - 1)
			}
		}
	}
	return gaps, missing
}

func newReader(opt Options, start []timeline.ID, alert int64) *reader {
	r := &reader{
		alert:   alert,
		symbols: newSymbols(), opt: opt,
		seen:    make(map[sighting]int),
		serials: make(map[sym]*serialRun),
		wanted:  make(map[timeline.ID]bool, len(start)),
	}
	for t := range r.thinned {
		r.thinned[t] = timeline.None
	}
	for _, id := range start {
		r.wanted[id] = true
	}
	return r
}

// fileTimes selects the events of the second pass.
var fileTimes = timeline.Match{Field: "data_type", Op: timeline.OpEqual, Value: "fs:stat"}

// window limits a query to events not before from; undated ones stay.
func window(where timeline.Expr, from int64) timeline.Query {
	if from == timeline.None {
		return timeline.Query{Where: where}
	}
	dated := timeline.Match{Field: "ts", Op: timeline.OpRange, Lo: strconv.FormatInt(from, 10)}
	undated := timeline.Not{X: timeline.Match{Field: "ts", Op: timeline.OpExists}}
	return timeline.Query{Where: timeline.And{where, timeline.Or{dated, undated}}}
}

func (r *reader) readAll(ctx context.Context, eng timeline.Engine, from int64) error {
	for ev, err := range eng.Events(ctx, window(timeline.Not{X: fileTimes}, from), nil) {
		if err != nil {
			return fmt.Errorf("reading events for the root cause: %w", err)
		}
		r.note(ev)
		r.take(ev)
	}
	paths := r.pathsOfInterest()
	for ev, err := range eng.Events(ctx, window(fileTimes, from), nil) {
		if err != nil {
			return fmt.Errorf("reading file times for the root cause: %w", err)
		}
		r.note(ev)
		if r.wanted[ev.ID] || paths[ev.File] || persistent(ev.File) != "" {
			r.takeStat(ev)
		}
	}
	slices.SortStableFunc(r.facts, func(a, b fact) int {
		// Undated events sort last, as the engine has them.
		at, bt := a.ts, b.ts
		if at == timeline.None {
			at = 1<<63 - 1
		}
		if bt == timeline.None {
			bt = 1<<63 - 1
		}
		switch {
		case at < bt:
			return -1
		case at > bt:
			return 1
		}
		return strings.Compare(string(a.id[:]), string(b.id[:]))
	})
	return nil
}

// note counts an event and follows audit serial numbers.
func (r *reader) note(ev *timeline.Event) {
	r.events++
	from := originOf(ev.DataType)
	if ev.TS != timeline.None {
		if r.counts[from] == 0 || ev.TS < r.first[from] {
			r.first[from] = ev.TS
		}
		r.last[from] = max(r.last[from], ev.TS)
	}
	r.counts[from]++
	if from != fromAudit || ev.RecNo <= 0 || ev.TS == timeline.None {
		return
	}
	h := r.of(ev.Host)
	s := r.serials[h]
	if s == nil {
		s = &serialRun{firstTS: ev.TS}
		r.serials[h] = s
	}
	s.add(ev.RecNo)
	s.lastTS = ev.TS
}

// maxSerialGap bounds what counts as missing audit records: larger steps are
// restarts of the kernel's counter or of the daemon.
const maxSerialGap = 4096

// take keeps the event if it can be part of a cause.
func (r *reader) take(ev *timeline.Event) {
	r.thinWhenFull()
	a, known := acts[ev.Action]
	from := originOf(ev.DataType)
	if t, ok := cronTable(ev); ok {
		a, known = actCronLoad, true
		ev.File = t
	}
	if known && a == actConnect && from != fromAudit && ev.DstIP == "" {
		known = false // sshd's "Connection from": no login, no flow
	}
	if !known && (ev.TSKind == timeline.State || ev.TSKind == timeline.Collected) && ev.File != "" && ev.PID < 0 {
		// What a file says is no act of anybody at that time: it leads to the
		// file, whose own times say when it came about.
		if r.wanted[ev.ID] {
			f := r.fact(ev, actStat, from)
			f.user, f.key = 0, 0
			r.add(f)
		}
		return
	}
	if !known {
		a = actSeen
		if (ev.PID < 0 || ev.Exe == "") && !r.wanted[ev.ID] {
			return
		}
	}
	if a == actExec && ev.Outcome == "failure" && !r.wanted[ev.ID] {
		return
	}
	if a == actSeen && r.sighted(ev) {
		return
	}
	if r.add(r.fact(ev, a, from)) && a == actSeen && !r.wanted[ev.ID] {
		r.seen[r.sightingOf(ev)] = len(r.facts) - 1
	}
}

// sighted reports whether the process of ev was already seen in its session,
// and extends that sighting.
func (r *reader) sighted(ev *timeline.Event) bool {
	if r.wanted[ev.ID] {
		return false
	}
	if i, ok := r.seen[r.sightingOf(ev)]; ok && ev.TS != timeline.None && ev.TS-r.facts[i].end < sightingMax {
		r.facts[i].end = ev.TS
		return true
	}
	return false
}

func (r *reader) sightingOf(ev *timeline.Event) sighting {
	return sighting{r.of(ev.Host), r.of(ev.BootID), r.of(ev.Exe), r.of(ev.Session), small(ev.PID)}
}

// sightingMax ends a sighting: after an hour of silence the process number may
// belong to somebody else.
const sightingMax = 3600 * second

func (r *reader) fact(ev *timeline.Event, a act, from origin) fact {
	f := fact{
		id: ev.ID, ts: ev.TS, end: ev.TSEnd, act: a, from: from,
		pid: small(ev.PID), ppid: small(ev.PPID), uid: small(ev.UID),
		sport: small(ev.SrcPort), dport: small(ev.DstPort),
		fail: ev.Outcome == "failure",
		soft: ev.Flags&timeline.InferredTime != 0 || ev.TZSrc == timeline.ZoneAssumed,
		host: r.of(ev.Host), boot: r.of(ev.BootID), user: r.of(ev.User),
		exe: r.of(strings.TrimSuffix(ev.Exe, " (deleted)")), cmd: r.of(ev.Cmdline), cwd: r.of(ev.CWD),
		file: r.of(absolute(ev.CWD, ev.File)), file2: r.of(absolute(ev.CWD, ev.File2)),
		sip: r.of(plainIP(ev.SrcIP)), dip: r.of(plainIP(ev.DstIP)),
		domain: r.of(ev.Domain), url: r.of(ev.URL),
		target: r.of(attrOf(ev, "target_user")),
		tty:    r.of(strings.TrimPrefix(attrOf(ev, "tty", "terminal"), "/dev/")),
		method: r.of(attrOf(ev, "method", "http_method")),
		key:    r.of(attrOf(ev, "key_fingerprint", "fingerprint")),
		unit:   r.of(ev.Unit),
	}
	if f.end == timeline.None {
		f.end = f.ts
	}
	if !unsetSession(ev.Session) {
		f.session = r.of(ev.Session)
	}
	switch {
	case f.ts == timeline.None && ev.TSLo != timeline.None:
		f.ts, f.end, f.soft = ev.TSLo, ev.TSLo, true
		if ev.TSHi != timeline.None {
			f.end = ev.TSHi
		}
	case a == actAccount:
		f.note = r.of(ev.Action)
	case a == actExec && from == fromLive, a == actSocket:
		if u := unitOfCgroup(attrOf(ev, "cgroup")); u != "" && f.unit == 0 {
			f.unit = r.of(u)
		}
		f.note = r.of(attrOf(ev, "state"))
	case a == actPackage:
		f.note = r.of(ev.Message)
		f.user = r.of(firstWord(attrOf(ev, "requested_by"), ev.User))
	}
	return f
}

func (r *reader) takeStat(ev *timeline.Event) {
	r.thinWhenFull()
	f := r.fact(ev, actStat, fromFiles)
	f.note = r.of(ev.TSDesc)
	f.key = r.of(attrOf(ev, "inode"))
	if o := attrOf(ev, "owner"); o != "" {
		f.user = r.of(o)
	}
	r.add(f)
}

// pathsOfInterest returns every path that a fact acts on, executes or names.
func (r *reader) pathsOfInterest() map[string]bool {
	paths := make(map[string]bool)
	for i := range r.facts {
		f := &r.facts[i]
		for _, s := range [...]sym{f.file, f.file2, f.exe} {
			if s != 0 {
				paths[r.text[s]] = true
			}
		}
	}
	seen := make(map[[2]sym]bool)
	for i := range r.facts {
		f := &r.facts[i]
		if k := [2]sym{f.cmd, f.cwd}; f.cmd != 0 && !seen[k] && len(paths) < maxPaths {
			seen[k] = true
			for _, p := range pathsIn(r.text[f.cmd], r.text[f.cwd]) {
				paths[p] = true
			}
		}
	}
	return paths
}

// maxPaths bounds the paths whose times the second pass keeps.
const maxPaths = 1 << 19

func absolute(cwd, p string) string {
	if p == "" || p[0] == '/' || cwd == "" || cwd[0] != '/' {
		return p
	}
	return path.Join(strings.TrimSuffix(cwd, " (deleted)"), p)
}

func plainIP(s string) string { return strings.TrimPrefix(s, "::ffff:") }

func firstWord(a, b string) string {
	if a == "" {
		return b
	}
	w, _, _ := strings.Cut(a, " ")
	return w
}

// unitOfCgroup returns the service of a cgroup path such as
// 0::/system.slice/ssh.service.
func unitOfCgroup(c string) string {
	for part := range strings.SplitSeq(c, "/") {
		if strings.HasSuffix(part, ".service") && !strings.HasPrefix(part, "user@") {
			return strings.TrimSpace(part)
		}
	}
	return ""
}

// cronTable returns the table that cron says it read again, as cron(8) logs
// it: "(*system*name) RELOAD (/etc/cron.d/name)", "(root) RELOAD (crontabs/root)".
func cronTable(ev *timeline.Event) (string, bool) {
	if ev.Action != "" || !strings.Contains(ev.Message, ") RELOAD (") {
		return "", false
	}
	_, rest, _ := strings.Cut(ev.Message, ") RELOAD (")
	p, ok := strings.CutSuffix(strings.TrimSpace(rest), ")")
	if !ok || p == "" {
		return "", false
	}
	if user, ok := strings.CutPrefix(p, "crontabs/"); ok {
		return "/var/spool/cron/crontabs/" + user, true
	}
	return p, p[0] == '/'
}
