package audit

import "bytes"

// Record is one line of an Event. Byte fields are the event's own copy.
type Record struct {
	Header
	Offset, Length int64 // of the line in the content
	Line           int64 // its number
}

// Event is what one action made the kernel or a program write.
type Event struct {
	ID
	Node    []byte
	Records []Record // in the order of the log

	text     []byte
	complete bool
	lastLine int64
}

// Bounds of what is held back while records of an event may still come.
const (
	window     = 2         // seconds of the log's own time
	lineWindow = 2000      // lines without a record of the event
	maxPending = 512       // events
	maxText    = 4 << 20   // bytes of one event; further records start another
	maxHeld    = 32 << 20  // bytes of all held events
	maxRecords = 64 << 10  // records of one event
	keepText   = 256 << 10 // buffer that is worth keeping for the next event
)

// Assembler puts records together. Events come out in the order of their
// first records. It belongs to one goroutine.
type Assembler struct {
	queue []*Event // head first
	free  []*Event
	held  int
	emit  func(*Event)
}

// NewAssembler returns an Assembler that hands each complete event to emit.
// The event and its bytes are good until emit returns.
func NewAssembler(emit func(*Event)) *Assembler { return &Assembler{emit: emit} }

// Add takes the record of a line. Its bytes are copied.
func (a *Assembler) Add(h *Header, offset, length, line int64) {
	ev := a.find(h)
	if ev == nil {
		ev = a.begin(h)
	}
	ev.add(h, offset, length, line)
	a.held += len(h.Type) + len(h.Body) + len(h.Enriched)
	if closes(h.Type) {
		ev.complete = true
	}
	a.release(h, line)
}

// find returns the held event that the record belongs to.
func (a *Assembler) find(h *Header) *Event {
	for i := len(a.queue) - 1; i >= 0; i-- {
		ev := a.queue[i]
		if ev.ID == h.ID && bytes.Equal(ev.Node, h.Node) {
			if len(ev.text) > maxText || len(ev.Records) >= maxRecords {
				continue
			}
			return ev
		}
	}
	return nil
}

func (a *Assembler) begin(h *Header) *Event {
	var ev *Event
	if n := len(a.free); n > 0 {
		ev, a.free = a.free[n-1], a.free[:n-1]
	} else {
		ev = new(Event)
	}
	ev.ID = h.ID
	ev.Node = append(ev.Node[:0], h.Node...)
	a.queue = append(a.queue, ev)
	return ev
}

// add copies a record. Earlier records keep pointing at the old text when it
// has to grow.
func (ev *Event) add(h *Header, offset, length, line int64) {
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(ev.text)
		ev.text = append(ev.text, b...)
		return ev.text[at:len(ev.text):len(ev.text)]
	}
	r := Record{Header: Header{ID: h.ID, Node: ev.Node, Type: own(h.Type), Body: own(h.Body), Enriched: own(h.Enriched)}, Offset: offset, Length: length, Line: line}
	ev.Records = append(ev.Records, r)
	ev.lastLine = line
}

// closes reports whether no record of the event follows one of that type: the
// kernel's last records, and the records of programs, which come alone.
func closes(typ []byte) bool {
	switch string(typ) {
	case "EOE", "PROCTITLE":
		return true
	}
	for _, prefix := range [...]string{"USER_", "CRED_", "SERVICE_", "DAEMON_", "ADD_", "DEL_", "SYSTEM_", "CRYPTO_", "VIRT_", "GRP_", "ACCT_"} {
		if _, ok := cutPrefix(typ, prefix); ok {
			return true
		}
	}
	return false
}

// release hands out the events at the head of the queue that are complete or
// too old to get further records.
func (a *Assembler) release(h *Header, line int64) {
	n := 0
	for n < len(a.queue) {
		ev := a.queue[n]
		age := h.Sec - ev.Sec
		if !ev.complete && age <= window && age >= -window && line-ev.lastLine <= lineWindow &&
			len(a.queue)-n <= maxPending && a.held <= maxHeld {
			break
		}
		a.give(ev)
		n++
	}
	a.queue = append(a.queue[:0], a.queue[n:]...)
}

func (a *Assembler) give(ev *Event) {
	a.emit(ev)
	for i := range ev.Records {
		r := &ev.Records[i]
		a.held -= len(r.Type) + len(r.Body) + len(r.Enriched)
	}
	clear(ev.Records)
	ev.Records, ev.complete = ev.Records[:0], false
	if ev.text = ev.text[:0]; cap(ev.text) > keepText {
		ev.text = nil
	}
	if len(a.free) < 16 {
		a.free = append(a.free, ev)
	}
}

// Flush hands out what is held.
func (a *Assembler) Flush() {
	for _, ev := range a.queue {
		a.give(ev)
	}
	a.queue = a.queue[:0]
}
