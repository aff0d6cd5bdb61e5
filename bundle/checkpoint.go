package bundle

import (
	"fmt"
	"time"
)

// Checkpoint writes the records so far and a signed checkpoint over them, and
// returns when both are on the sink. It fails while a large item is being
// written in several steps only by waiting for its end.
func (w *Writer) Checkpoint() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.open != nil && !w.sealed {
		w.turn.Wait()
	}
	if err := w.ready(); err != nil {
		return err
	}
	w.checkpoint()
	return w.frames.wait()
}

// checkpointIfDue writes a checkpoint when enough was written, recorded or
// waited for, and no member is open.
func (w *Writer) checkpointIfDue() {
	if w.open != nil || w.items == 0 {
		return
	}
	waited := w.opt.Now().Sub(w.checked)
	interval := w.opt.CheckpointInterval
	pending := len(w.buf) + len(w.batch)
	switch {
	case w.off-w.since >= w.opt.CheckpointBytes,
		w.items >= w.opt.CheckpointItems,
		len(w.batch) >= batchLimit,
		// A slow run would otherwise become a heap of tiny frames.
		interval > 0 && waited >= interval && pending >= earlyCut,
		interval > 0 && waited >= 6*interval:
		w.checkpoint()
	}
}

// checkpoint writes the batch of manifest lines, if any, a signed checkpoint
// over all leaves, and ends the frame there.
func (w *Writer) checkpoint() {
	if w.items > 0 {
		w.manifest()
		s := newSeal(w.origin, w.tree.size, w.tree.root())
		signNote(&s, w.key.Private)
		w.member(checkpointMember(w.batches), s.Note)
		w.batches++
	}
	w.cut(true)
	w.since, w.checked = w.off, w.opt.Now()
}

// manifest writes the batch. A large one gets a frame for each row of the
// manifest index, so that one record can be read without the rest.
func (w *Writer) manifest() {
	large := len(w.batch) >= rowSize
	w.put(appendHeader(nil, w.entry(manifestMember(w.batches), int64(len(w.batch)))))
	if large {
		w.cut(false)
	}
	for _, m := range w.marks {
		lines := w.batch[m.off : m.off+m.size]
		m.off, m.batch = w.off, w.batches
		w.rows = append(w.rows, m)
		w.put(lines)
		if large {
			w.cut(false)
		}
	}
	w.putPad(int64(len(w.batch)))
	if cap(w.batch) > 2*batchLimit {
		w.batch = nil
	}
	w.batch, w.marks, w.items = w.batch[:0], w.marks[:0], 0
}

// timer writes checkpoints while nothing is added, and ends members whose
// source gives nothing.
func (w *Writer) timer() {
	every := time.Second
	if i := w.opt.CheckpointInterval; i > 0 {
		every = min(every, i)
	}
	tick := time.NewTicker(min(every, w.opt.Stall))
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
			w.tick()
		}
	}
}

func (w *Writer) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ready() != nil {
		return
	}
	if a := w.open; a != nil && time.Since(a.progress) >= w.opt.Stall {
		a.abandon(fmt.Sprintf("stalled for %s", w.opt.Stall))
	}
	w.checkpointIfDue()
}
