package collect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// set is a record set of the engine itself.
type set struct {
	kind  evidence.Kind
	path  string
	lines *Spool
}

// sets are those that every bundle of a run has, in the order in which they
// are written.
func (r *run) sets() []set {
	return []set{
		{evidence.KindStream, ProblemSet, &r.ledger.problems},
		{evidence.KindStream, LedgerSet, &r.ledger.lines},
		{evidence.KindLog, RunLog, &r.logged},
	}
}

// A set is written in pieces while the run goes on, so that it takes no memory
// to speak of however many lines it gets, and so that a run that is killed
// leaves what it had written down until then.
const (
	pieceSize = 512 << 10       // lines that make a piece at once
	pieceAge  = time.Minute     // after which any do
	pieceTick = time.Second / 4 // how often that is looked at
)

// ownSource is the Source of what the engine itself writes.
const ownSource = "collector"

// pieceName is the path of a piece: collection/ledger.000001.jsonl. The lines
// behind the last piece are under the name of the set itself. Pieces of all
// sets and bundles of a run are counted together.
func pieceName(set string, number int) string {
	return fmt.Sprintf("%s.%06d.jsonl", strings.TrimSuffix(set, ".jsonl"), number)
}

// SetOf is the record set of the engine that an item holds, or a piece of it;
// false where it is another item.
func SetOf(it evidence.Item) (path string, ok bool) {
	if it.Source != ownSource {
		return "", false
	}
	for _, set := range []string{ProblemSet, LedgerSet, RunLog} {
		number, piece := strings.CutPrefix(it.Path, strings.TrimSuffix(set, "jsonl"))
		number, end := strings.CutSuffix(number, ".jsonl")
		if it.Path == set || piece && end && number != "" && strings.Trim(number, "0123456789") == "" {
			return set, true
		}
	}
	return "", false
}

// writeSets writes pieces until stop is called. It has a goroutine of its own:
// whoever adds a line may be who feeds the stream that the bundle is taking,
// and must not wait for the bundle.
func (r *run) writeSets(ctx context.Context) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(pieceTick)
		defer t.Stop()
		since := map[string]time.Time{}
		for _, set := range r.sets() {
			since[set.path] = time.Now()
		}
		for {
			select {
			case <-end:
				return
			case <-t.C:
			}
			for _, set := range r.sets() {
				size := set.lines.Size()
				old := time.Since(since[set.path]) >= pieceAge
				if size == 0 || size < pieceSize && !old || !r.limit.wide() {
					continue
				}
				since[set.path] = time.Now()
				if err := r.writePiece(ctx, set); err != nil {
					return
				}
			}
		}
	}()
	return func() { close(end); <-ended }
}

// writePiece writes the lines so far. They are about items of the present
// bundle, because a run that goes on in another one writes all of them first.
func (r *run) writePiece(ctx context.Context, of set) error {
	leave, err := r.enter(ctx, 0)
	if err != nil {
		return err
	}
	defer leave()
	text, size := of.lines.Cut()
	if size == 0 { // the run has just gone on in another bundle
		return nil
	}
	r.pieces++
	r.ownStream(ctx, of.kind, pieceName(of.path, r.pieces), text, size)
	return r.failure()
}
