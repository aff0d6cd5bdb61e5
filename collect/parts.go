package collect

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
)

// Part is one bundle of a run that went on in another.
type Part struct {
	Number  int // from 1
	Seal    bundle.Seal
	Written int64 // bytes
}

// Next is where the next bundle of a run goes.
type Next struct {
	Out  io.Writer
	Sync func() error           // nil: nothing to do
	Own  []*os.File             // never collected
	Key  *chainofcustody.RunKey // nil: a fresh one
}

// goesOn is why a bundle ended that another one continues.
const goesOn = "the run goes on in another bundle, which continues this one"

// roomLeft is how many records a bundle keeps free when a run leaves it: for
// those that come while a stream is open, and its own.
const roomLeft = 1 << 17

// parts counts who writes into the bundle. A run moves to the next one only
// when nobody does: no item is ever cut in two, and every line of a ledger is
// in the bundle whose items it names.
type parts struct {
	mu      sync.Mutex
	open    int
	number  int      // of the bundle, from 1
	ids     []string // UUIDs of the bundles, the present one last
	firsts  []uint32 // number in the run of the first record of each
	records int64    // since it began
	before  int64    // bytes of those that were sealed
	done    []Part
	grown   atomic.Bool // the ledger says that more is remembered than was meant
}

// enter announces something of so many bytes to be written, until leave is
// called. The run goes on in another bundle first, when it is time.
func (r *run) enter(ctx context.Context, size int64) (leave func(), err error) {
	if r.opt.NextPart == nil {
		return func() {}, nil
	}
	p := &r.parts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == 0 && r.full(size) {
		if err := r.roll(ctx); err != nil {
			return nil, err
		}
	}
	p.open++
	p.records++
	return func() {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
	}, nil
}

// full reports whether something belongs into the next bundle.
func (r *run) full(size int64) bool {
	if w, ok := r.sink.(interface{ room() int64 }); ok && w.room() < roomLeft {
		return true
	}
	if r.remembered() >= r.mayRemember() {
		return true
	}
	limit := r.opt.Split
	if limit <= 0 || r.parts.records == 0 {
		return false // an item that is longer than a bundle may be has one for itself
	}
	return r.ending()+max(size, 0)+overhead(max(size, 0)) > limit
}

// roll seals the bundle and begins the next. Called with parts.mu held and
// nobody writing.
func (r *run) roll(ctx context.Context) error {
	w, ok := r.sink.(sealer)
	if !ok || r.failure() != nil {
		return r.failure()
	}
	p := &r.parts
	r.log.Info("bundle ends", "number", p.number, "records", p.records)
	r.cutRecords(ctx)
	if err := r.failure(); err != nil {
		return err
	}
	seal, err := w.seal(&Result{Partial: true, Reason: goesOn, pieces: r.pieces > 0})
	if err != nil {
		return r.fail(err)
	}
	part := Part{p.number, seal, r.out.n.Load() - p.before}
	p.done = append(p.done, part)
	p.before += part.Written
	next, err := r.opt.NextPart(part)
	if err != nil {
		return r.fail(fmt.Errorf("begin the next bundle: %w", err))
	}
	for _, f := range next.Own {
		st, err := r.host.StatFile(f)
		if err != nil {
			return r.fail(fmt.Errorf("own file %s: %w", f.Name(), err))
		}
		r.host.Exclude(st.Dev, st.Inode)
	}
	first := r.after(p)
	r.out.redirect(next.Out)
	r.opt.Sync, r.opt.Key, r.opt.Continues = next.Sync, next.Key, seal.ID.String()
	p.number, p.records, r.bundleBegan = p.number+1, 0, time.Now()
	fresh, err := r.openBundle()
	if err != nil {
		return r.fail(err)
	}
	r.sink = fresh
	p.ids, p.firsts = append(p.ids, fresh.w.Header().Bundle), append(p.firsts, first)
	r.log.Info("bundle begins", "number", p.number, "continues", r.opt.Continues)
	return nil
}

// cutRecords writes what the run knows of the present bundle and begins anew.
func (r *run) cutRecords(ctx context.Context) {
	for _, set := range r.sets() {
		text, size := set.lines.Cut()
		r.ownStream(ctx, set.kind, set.path, text, size)
	}
}

// after is the number in the run of the first record behind the present bundle.
func (r *run) after(p *parts) uint32 {
	n := int64(0)
	if w, ok := r.sink.(interface{ records() int64 }); ok {
		n = w.records()
	}
	return uint32(min(int64(p.firsts[len(p.firsts)-1])+n, math.MaxUint32))
}

// numberOf is the number in the run of a record of the present bundle, false
// where the run has had more records than can be numbered.
func (r *run) numberOf(index int64) (uint32, bool) {
	n := int64(r.parts.firsts[len(r.parts.firsts)-1]) + index
	return uint32(n), n < math.MaxUint32
}

// itemIn names a record of this run, and says whether it is in the present
// bundle.
func (r *run) itemIn(number uint32) (name string, index int64, here bool) {
	p := &r.parts
	part, found := slices.BinarySearch(p.firsts, number)
	if !found {
		part--
	}
	index = int64(number - p.firsts[part])
	name = "item " + strconv.FormatInt(index, 10)
	if part == len(p.firsts)-1 {
		return name, index, true
	}
	return name + " of bundle " + p.ids[part], index, false
}
