package collect

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// beatEvery is how often a run says what it is doing, whether or not it got
// anywhere.
const beatEvery = time.Second

// activity is what the host was last asked.
type activity struct {
	mu    sync.Mutex
	op    string
	path  string
	since time.Time
	bytes int64 // read of it so far
}

func (a *activity) set(op, path string) {
	a.mu.Lock()
	a.op, a.path, a.since, a.bytes = op, path, time.Now(), 0
	a.mu.Unlock()
}

// read counts bytes of what is being read.
func (a *activity) read(n int) {
	a.mu.Lock()
	a.bytes += int64(n)
	a.mu.Unlock()
}

func (a *activity) now() (op, path string, since time.Duration, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.op == "" {
		return "", "", 0, 0
	}
	return a.op, a.path, time.Since(a.since), a.bytes
}

// last says it in words.
func (a *activity) last() string {
	op, path, since, _ := a.now()
	if op == "" {
		return ""
	}
	return fmt.Sprintf("%s %q, %v ago", op, path, since.Round(time.Second))
}

// beat tells once a second what is being done, and watches the memory, until
// stop is called.
func (r *run) beat() (stop func()) {
	if r.opt.Progress == nil && r.opt.Budget.MaxMemory == 0 {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		over := 0
		for {
			select {
			case <-end:
				return
			case <-t.C:
			}
			over = r.watchMemory(over)
			r.heartbeat()
		}
	}()
	return func() { close(end); <-ended }
}

func (r *run) heartbeat() {
	p := Progress{Waiting: r.host.governor.waitsFor()}
	if name := r.running.Load(); name != nil {
		p.Collector = *name
	}
	p.Doing, p.Path, p.Since, p.Reading = r.host.doing.now()
	r.progress(p)
}

// memoryBeats is how many beats in a row the memory may be over its budget:
// what can be given back is given back after the first.
const memoryBeats = 3

// watchMemory ends the run when it keeps more memory than it may.
func (r *run) watchMemory(over int) int {
	most := r.opt.Budget.MaxMemory
	if most == 0 {
		return 0
	}
	used := residentMemory()
	if used <= most {
		return 0
	}
	debug.FreeOSMemory()
	if over+1 == memoryBeats {
		r.exhaust(limitMemory, fmt.Sprintf("%d bytes in use, %d are allowed", used, most))
	}
	return over + 1
}
