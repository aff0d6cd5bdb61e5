package collect

import (
	"io/fs"
	"os"
	"time"
)

// A file system can hang: its server died, its disk does, a process that
// serves it (FUSE) was stopped on purpose. A system call on it may then never
// return, and nothing but its own end can wake the thread that made it. So
// whatever may touch such a file system is done as an errand: by a goroutine
// that is left behind, with its thread, when it does not come back in time.
const (
	// lookWait is how long a look at a name may take - stat, open, list - or
	// the reading of a small file.
	lookWait = 10 * time.Second
	// maxStrikes is how many errands may be lost to one mount. From then on
	// it is not asked any more.
	maxStrikes = 3
)

// errands are the goroutines that wait for something to do.
type errands struct{ idle chan *errand }

type errand struct {
	ask  chan func()
	done chan struct{}
	late *time.Timer
}

// maxIdle is how many goroutines are kept for the next errand.
const maxIdle = 8

func newErrands() errands { return errands{idle: make(chan *errand, maxIdle)} }

// do runs one errand and returns ErrTimeout when it is not back in time.
// Then after, where there is one, is called whenever it comes back at last.
// What run writes to must not be used by anybody in between.
func (e errands) do(wait time.Duration, run, after func()) error {
	var g *errand
	select {
	case g = <-e.idle:
		g.late.Reset(wait)
	default:
		g = &errand{ask: make(chan func()), done: make(chan struct{}), late: time.NewTimer(wait)}
		go g.work()
	}
	g.ask <- run
	select {
	case <-g.done:
		g.late.Stop()
		select {
		case e.idle <- g:
		default:
			close(g.ask)
		}
		return nil
	case <-g.late.C:
	}
	go func() {
		<-g.done
		close(g.ask)
		if after != nil {
			after()
		}
	}()
	return ErrTimeout
}

func (g *errand) work() {
	for run := range g.ask {
		run()
		g.done <- struct{}{}
	}
}

// close ends the goroutines that wait.
func (e errands) close() {
	for {
		select {
		case g := <-e.idle:
			close(g.ask)
		default:
			return
		}
	}
}

// Patiently runs what may hang and returns ErrTimeout when it does; late is
// then given what comes of it in the end (a descriptor to close), nil where
// that does not matter. look must not write to anything but its result.
func Patiently[T any](h *Host, wait time.Duration, late func(T), look func() (T, error)) (T, error) {
	var got struct {
		value T
		err   error
	}
	answer := &got
	err := h.errands.do(wait, func() { answer.value, answer.err = look() }, func() {
		if late != nil && answer.err == nil {
			late(answer.value)
		}
	})
	if err != nil {
		var none T
		return none, err
	}
	return answer.value, answer.err
}

// asking is Patiently for a path of the host: a mount that lost too many errands
// is refused at once.
func asking[T any](h *Host, op, path string, late func(T), look func() (T, error)) (T, error) {
	var none T
	h.doing.set(op, path)
	if h.struck.Load() && h.refused(path) {
		return none, &fs.PathError{Op: op, Path: path, Err: ErrTimeout}
	}
	v, err := Patiently(h, lookWait, late, look)
	if err == ErrTimeout {
		h.strike(path)
		return none, &fs.PathError{Op: op, Path: path, Err: ErrTimeout}
	}
	return v, err
}

func closeLate(f *os.File) { f.Close() }

// strike counts an errand that was lost to the mount of a path. The mount
// table is read anew: what hangs may have been mounted since the run began.
func (h *Host) strike(path string) {
	h.mountMu.Lock()
	h.mounts = nil
	h.mountMu.Unlock()
	m, ok := h.MountOf(path)
	if !ok {
		return
	}
	h.mountMu.Lock()
	defer h.mountMu.Unlock()
	if h.strikes == nil {
		h.strikes = map[int64]int{}
	}
	h.strikes[m.ID]++
	h.struck.Store(true)
}

// refused reports whether the mount of a path is not asked any more. That of
// the root is always asked: refusing it would be the end of all collecting,
// which is the deadline's to say.
func (h *Host) refused(path string) bool {
	m, ok := h.MountOf(path)
	if !ok || m.Point == "/" {
		return false
	}
	h.mountMu.Lock()
	defer h.mountMu.Unlock()
	return h.strikes[m.ID] >= maxStrikes
}
