package collect

import (
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// Names of the record sets the engine itself writes (evidence.Item.Path).
const (
	LedgerSet   = "collection/ledger.jsonl"    // LedgerLine lines
	ProblemSet  = "collection/problems.jsonl"  // ProblemLine lines
	RunLog      = "collection/log.jsonl"       // slog JSON lines
	FootprintAt = "collection/footprint.jsonl" // one Footprint line
	ClockStart  = "collection/clock-start.jsonl"
	ClockEnd    = "collection/clock-end.jsonl"
)

// Outcome is how a look ended. Every collector, definition and path has one.
type Outcome string

// The outcomes. Empty means that the look worked and there was nothing: a
// definition that matched no path, a collector that recorded nothing.
const (
	Collected Outcome = "collected"
	Empty     Outcome = "empty"
	Absent    Outcome = "absent"
	Denied    Outcome = "denied"
	Failed    Outcome = "error"
	Skipped   Outcome = "skipped"
	TimedOut  Outcome = "timed-out"
	// OverBudget is what was left out because a budget of the run was used up.
	OverBudget Outcome = "budget"
	// Held is what an earlier bundle has, which this one continues.
	Held Outcome = "held"
	// The rest are no outcomes of a look: a collector was made to wait; a bundle
	// has more records than memory was meant for; files taken long ago are no
	// longer remembered.
	Paused    Outcome = "paused"
	Grown     Outcome = "grown"
	Forgotten Outcome = "forgotten"
)

// LedgerLine is one line of the ledger.
type LedgerLine struct {
	At        int64            `json:"at"`             // ns since 1970
	What      string           `json:"what"`           // collector, definition, path, pause, stop or memory
	Collector string           `json:"collector"`      //
	Rule      string           `json:"rule,omitempty"` // the definition; of a pause, stop or memory, the reason
	Path      record.Bytes     `json:"path,omitempty"`
	Outcome   Outcome          `json:"outcome"`
	Detail    string           `json:"detail,omitempty"`      // why, for all but collected
	Item      int64            `json:"item,omitempty"`        // leaf index in the bundle, where there is one
	Size      int64            `json:"size,omitempty"`        // bytes of content
	Matched   *int             `json:"matched,omitempty"`     // definition: paths
	Duration  int64            `json:"duration_ns,omitempty"` // collector, pause: wall time
	Counts    map[string]int64 `json:"counts,omitempty"`      // collector: paths by outcome
}

// ProblemLine is one line of the problems set: an evidence.Problem.
type ProblemLine struct {
	At     int64         `json:"at"`
	Stage  string        `json:"stage"`
	Code   evidence.Code `json:"code"`
	Path   record.Bytes  `json:"path,omitempty"`
	Member string        `json:"member,omitempty"`
	Offset int64         `json:"offset"` // -1: unknown
	Length int64         `json:"length"` // -1: unknown
	Detail string        `json:"detail"`
}

// maxKept bounds the problems that Result holds; the bundle holds them all.
const maxKept = 1000

// maxSeen bounds the definitions that the trailer lists; the ledger has all.
const maxSeen = 20000

// ledger gathers outcomes and problems.
type ledger struct {
	lines    Spool
	problems Spool

	mu     sync.Mutex
	counts map[Outcome]int64
	total  int64
	kept   []evidence.Problem
	seen   []bundle.Outcome // definitions, for the trailer
}

func (l *ledger) line(line LedgerLine) {
	if line.At == 0 {
		line.At = time.Now().UnixNano()
	}
	writeLine(&l.lines, line)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case line.What == "path":
		if l.counts == nil {
			l.counts = map[Outcome]int64{}
		}
		l.counts[line.Outcome]++
	case line.What == "definition" && len(l.seen) < maxSeen:
		l.seen = append(l.seen, bundle.Outcome{
			Rule: line.Rule, Collector: line.Collector, State: stateOf(line.Outcome), Matched: int64(*line.Matched), Detail: line.Detail,
		})
	}
}

func (l *ledger) problem(p evidence.Problem) {
	if p.At.IsZero() {
		p.At = time.Now()
	}
	l.mu.Lock()
	l.total++
	if len(l.kept) < maxKept {
		l.kept = append(l.kept, p)
	}
	l.mu.Unlock()
	writeLine(&l.problems, ProblemLine{
		At: p.At.UnixNano(), Stage: p.Stage, Code: p.Code, Path: record.Bytes(p.Path),
		Member: p.Ref.Member, Offset: p.Ref.Offset, Length: p.Ref.Length, Detail: p.Detail,
	})
}

// trailerSize is about what the definitions take in the trailer, compressed.
func (l *ledger) trailerSize() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 64 * int64(len(l.seen))
}

// summary fills in what a Result says of the ledger.
func (l *ledger) summary(res *Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	res.Counts, res.ProblemCount, res.Problems, res.definitions = maps.Clone(l.counts), l.total, l.kept, l.seen
}

func writeLine(s *Spool, v any) {
	line, err := json.Marshal(v)
	if err != nil { // only a value JSON has no form for, which these types cannot hold
		line = []byte(`{"error":` + string(mustQuote(err.Error())) + `}`)
	}
	_, _ = s.Write(append(line, '\n'))
}

func mustQuote(s string) []byte {
	q, _ := json.Marshal(s) // a string always has a JSON form
	return q
}
