package parsers

import (
	"slices"
	"strconv"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Bounds of what is kept of flows while what they say is not yet whole.
const (
	maxBuffered      = 96 << 10  // bytes in order of one direction that nothing has taken
	maxMarks         = 1024      // packets that these came from
	maxWaiting       = 128 << 10 // bytes of one direction behind a gap
	maxPieces        = 256       // segments that these are in
	maxHeld          = 64 << 20  // bytes of all flows together
	conversationCost = 1 << 10   // what a flow that is followed costs besides
	farAway          = 1 << 24   // sequence numbers between what belongs together
	decideBy         = 16        // bytes by which a protocol shows
	shownPackets     = 64        // packets that a row lists
)

// mark is a packet that bytes of a stream came from.
type mark struct {
	at     int // where they begin in the buffer
	off    int64
	length int64
	time   int64
	timed  bool
}

func markOf(s *segment) mark {
	return mark{off: s.pkt.Offset, length: s.pkt.Length, time: s.pkt.Time, timed: s.pkt.HasTime}
}

// piece is a segment behind a gap.
type piece struct {
	seq  uint32
	data []byte
	n    int // bytes on the wire; the capture may have kept fewer
	from mark
}

// half is one direction of a conversation: its bytes in order.
type half struct {
	next    uint32 // sequence number behind the last byte in order
	begun   bool
	done    bool  // nothing more is read
	lost    bool  // bytes are missing: what follows is read from the next beginning
	skip    int64 // bytes still to pass over
	buf     []byte
	from    int // first byte of buf that was not taken
	marks   []mark
	wait    []piece // by sequence
	waiting int     // bytes in wait
}

func (h *half) bytes() []byte { return h.buf[h.from:] }

// take drops n bytes, those that are yet to come included.
func (h *half) take(n int64) {
	have := min(n, int64(len(h.buf)-h.from))
	h.from += int(have)
	h.skip += n - have
}

// origin returns the packets that the next n bytes came from. It is good
// until more bytes come.
func (h *half) origin(n int) []mark {
	first, last := 0, 0
	for i, m := range h.marks {
		if m.at <= h.from {
			first = i
		}
		if m.at < h.from+n {
			last = i
		}
	}
	if len(h.marks) == 0 {
		return nil
	}
	return h.marks[first : max(first, last)+1]
}

// settle moves what was not taken to the front.
func (h *half) settle() {
	if h.from == 0 {
		return
	}
	if h.from == len(h.buf) {
		h.marks = h.marks[:0]
		if h.buf = h.buf[:0]; cap(h.buf) > 8<<10 {
			h.buf = nil
		}
		h.from = 0
		return
	}
	first := 0
	for i, m := range h.marks {
		if m.at <= h.from {
			first = i
		}
	}
	h.marks = append(h.marks[:0], h.marks[first:]...)
	for i := range h.marks {
		h.marks[i].at = max(h.marks[i].at-h.from, 0)
	}
	h.buf = append(h.buf[:0], h.buf[h.from:]...)
	h.from = 0
}

func (h *half) clear() { h.buf, h.from, h.marks = h.buf[:0], 0, h.marks[:0] }

// dissector reads one conversation of a protocol.
type dissector interface {
	// data is called when one direction has more bytes in order.
	data(p *capture, c *conversation, dir int)
	// gap is called when what one direction has will not be continued.
	gap(p *capture, c *conversation, dir int)
	// begins reports whether bytes behind a gap begin something.
	begins(b []byte) bool
	// end is called when nothing more will come.
	end(p *capture, c *conversation)
}

// conversation is a flow that is followed.
type conversation struct {
	flow         *flow
	half         [2]half
	speaks       dissector // nil: not known yet
	extra        int       // bytes the dissector keeps
	held         int       // bytes counted
	over         bool      // nothing more is read of it
	newer, older *conversation
}

// follow begins to follow a flow.
func (p *capture) follow(f *flow, d dissector) *conversation {
	c := &conversation{flow: f, speaks: d}
	f.conv, f.opaque = c, false
	p.touch(c)
	return c
}

// touch makes c the last to be let go.
func (p *capture) touch(c *conversation) {
	if p.newest == c {
		return
	}
	p.unlink(c)
	c.older = p.newest
	if p.newest != nil {
		p.newest.newer = c
	}
	p.newest = c
	if p.oldest == nil {
		p.oldest = c
	}
}

func (p *capture) unlink(c *conversation) {
	if c.newer != nil {
		c.newer.older = c.older
	} else if p.newest == c {
		p.newest = c.older
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else if p.oldest == c {
		p.oldest = c.newer
	}
	c.newer, c.older = nil, nil
}

// weigh counts what c holds and lets the flows go that were silent longest
// where all hold too much.
func (p *capture) weigh(c *conversation) {
	n := conversationCost + c.extra
	for i := range c.half {
		h := &c.half[i]
		n += cap(h.buf) + h.waiting + 64*(cap(h.marks)+cap(h.wait))
	}
	p.held += n - c.held
	c.held = n
	for p.held > p.limit && p.oldest != nil && p.oldest != c {
		p.letGo++
		p.leave(p.oldest)
	}
	p.most = max(p.most, p.held)
}

// leave ends a conversation: what is unfinished is reported as it is.
func (p *capture) leave(c *conversation) {
	for dir := range c.half {
		for h := &c.half[dir]; len(h.wait) > 0 && !c.over; {
			p.passGap(c, dir)
		}
	}
	if c.speaks != nil {
		c.speaks.end(p, c)
	}
	p.forget(c)
}

// forget drops a conversation. What follows is looked at only where it begins
// like something.
func (p *capture) forget(c *conversation) {
	if c.flow.conv != c {
		return
	}
	c.over = true
	c.flow.conv, c.flow.opaque = nil, true
	for i := range c.half {
		c.flow.next[i], c.flow.begun[i] = c.half[i].next, c.half[i].begun
	}
	p.held -= c.held
	c.held = 0
	p.unlink(c)
}

// segment puts a TCP segment in its place.
func (p *capture) segment(f *flow, dir int, s *segment) {
	seq, n := s.seq, s.length
	if s.syn {
		seq++
		f.next[dir], f.begun[dir] = seq, true
	}
	if n == 0 {
		return
	}
	c := f.conv
	if c == nil {
		if f.opaque {
			again := int32(seq - f.next[dir])
			if f.begun[dir] && again < 0 && again > -farAway {
				return // sent again
			}
			f.next[dir], f.begun[dir] = seq+uint32(n), true
			if !opens(s.payload) {
				return
			}
		}
		inOrder := f.opaque || !f.begun[dir] || f.next[dir] == seq
		var d dissector
		if inOrder {
			if d = identify(f, dir, s.payload); d == nil && len(s.payload) >= decideBy {
				f.opaque = true
				f.next[dir], f.begun[dir] = seq+uint32(n), true
				return
			}
		}
		again := f.opaque
		c = p.follow(f, d)
		for i := range c.half {
			if !again {
				c.half[i].next, c.half[i].begun = f.next[i], f.begun[i]
			}
		}
	}
	h := &c.half[dir]
	if h.done {
		if int32(seq-h.next) >= 0 {
			h.next = seq + uint32(n)
		}
		return
	}
	p.touch(c)
	if !h.begun {
		h.begun, h.next = true, seq
	}
	data := s.payload
	ahead := int32(seq - h.next)
	if ahead > farAway || ahead < -farAway { // another connection, or damage
		p.lose(c, dir, 0)
		h.wait, h.waiting, h.next, ahead = nil, 0, seq, 0
	}
	switch {
	case ahead > 0 && int64(ahead) > h.skip || ahead > 0 && len(h.wait) > 0:
		p.hold(h, piece{seq: seq, data: slices.Clone(data), n: n, from: markOf(s)})
		for !c.over && (h.waiting > maxWaiting || len(h.wait) > maxPieces) {
			p.passGap(c, dir)
		}
	default:
		if ahead > 0 {
			p.lose(c, dir, int(ahead))
		}
		p.deliver(c, dir, seq, data, n, markOf(s))
		p.drain(c, dir)
	}
	if !c.over {
		p.weigh(c)
	}
}

// hold keeps a segment until what is before it comes.
func (p *capture) hold(h *half, x piece) {
	i, same := slices.BinarySearchFunc(h.wait, x.seq, func(a piece, seq uint32) int { return int(int32(a.seq - seq)) })
	if same {
		if h.wait[i].n >= x.n {
			return
		}
		h.waiting -= len(h.wait[i].data)
		h.wait[i] = x
	} else {
		h.wait = slices.Insert(h.wait, i, x)
	}
	h.waiting += len(x.data)
}

// drain delivers the segments that are next.
func (p *capture) drain(c *conversation, dir int) {
	h := &c.half[dir]
	for len(h.wait) > 0 && !c.over {
		x := h.wait[0]
		ahead := int64(int32(x.seq - h.next))
		if ahead > h.skip {
			return
		}
		if ahead > 0 {
			p.lose(c, dir, int(ahead))
		}
		h.wait, h.waiting = h.wait[1:], h.waiting-len(x.data)
		p.deliver(c, dir, x.seq, x.data, x.n, x.from)
	}
	if len(h.wait) == 0 {
		h.wait, h.waiting = nil, 0
	}
}

// passGap goes on behind bytes that did not come.
func (p *capture) passGap(c *conversation, dir int) {
	h := &c.half[dir]
	if ahead := int32(h.wait[0].seq - h.next); ahead > 0 {
		p.lose(c, dir, int(ahead))
	}
	if !c.over {
		p.drain(c, dir)
	}
}

// lose passes over n bytes that are not there. What lies in content that
// nobody reads does not matter.
func (p *capture) lose(c *conversation, dir, n int) {
	h := &c.half[dir]
	h.next += uint32(n)
	if int64(n) <= h.skip && n > 0 {
		h.skip -= int64(n)
		return
	}
	h.skip = 0
	if c.speaks != nil && !h.lost {
		c.speaks.gap(p, c, dir)
	}
	h.clear()
	h.lost = true
}

// deliver adds a segment that begins at or before the next byte.
func (p *capture) deliver(c *conversation, dir int, seq uint32, data []byte, n int, from mark) {
	h := &c.half[dir]
	behind := int(int32(h.next - seq))
	if behind >= n || c.over || h.done {
		return // seen before
	}
	data, n = data[min(behind, len(data)):], n-behind
	if k := int(min(h.skip, int64(n))); k > 0 {
		h.skip -= int64(k)
		h.next += uint32(k)
		data, n = data[min(k, len(data)):], n-k
	}
	if h.lost && len(data) > 0 && (c.speaks == nil || c.speaks.begins(data)) {
		h.lost = false
	}
	h.next += uint32(len(data))
	if c.speaks == nil && opens(data) { // after a word of another protocol
		c.half[0].clear()
		c.half[1].clear()
	}
	if len(data) > 0 && !h.lost {
		if len(h.buf)+len(data) > maxBuffered || len(h.marks) >= maxMarks {
			p.lose(c, dir, 0)
			return
		}
		from.at = len(h.buf)
		h.marks = append(h.marks, from)
		h.buf = append(h.buf, data...)
		p.speak(c, dir)
	}
	if missing := n - len(data); missing > 0 && !c.over {
		p.lose(c, dir, missing) // the capture kept less of the packet
	}
}

// speak lets the dissector have what is there.
func (p *capture) speak(c *conversation, dir int) {
	h := &c.half[dir]
	if c.speaks == nil {
		if c.speaks = identify(c.flow, dir, h.bytes()); c.speaks == nil {
			if len(h.bytes()) >= decideBy {
				p.forget(c)
			}
			return
		}
		if other := &c.half[1-dir]; len(other.bytes()) > 0 {
			c.speaks.data(p, c, 1-dir)
			other.settle()
		}
	}
	if !c.over {
		c.speaks.data(p, c, dir)
	}
	if c.over {
		return
	}
	if h.done {
		h.buf, h.from, h.marks, h.wait, h.waiting = nil, 0, nil, nil, 0
	}
	h.settle()
	if c.half[0].done && c.half[1].done {
		p.leave(c)
	}
}

// row begins an event about what the side dir of a flow sent, at the packets
// it came from.
func (p *capture) row(f *flow, dir int, from []mark, dataType string) *timeline.Event {
	ev := p.out.Event(from[0].off, from[0].length)
	ev.DataType = dataType
	if from[0].timed {
		ev.SetNanos(from[0].time)
	}
	p.endpoints(ev, f)
	if dir == 1 {
		ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort = ev.DstIP, ev.SrcIP, ev.DstPort, ev.SrcPort
	}
	return ev
}

// link adds what joins a row to its flow, and where its packets are, unless it
// is of one only. Those of an answer may be in a list of their own.
func (p *capture) link(f *flow, lists ...[]mark) {
	var b []byte
	n, last := 0, int64(-1)
	for _, from := range lists {
		for _, m := range from {
			if m.off == last {
				continue
			}
			if n++; n > shownPackets {
				break
			}
			last = m.off
			if n > 1 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, m.off, 10)
			b = append(b, '+')
			b = strconv.AppendInt(b, m.length, 10)
		}
	}
	if n > 1 {
		p.out.Attr("spans", b)
	}
	if id := p.communityID(f); len(id) > 0 {
		p.out.Attr("community_id", id)
	}
}

// reportLetGo says how many flows were not read to their end.
func (p *capture) reportLetGo() {
	if p.letGo > 0 {
		p.out.Problem(evidence.TooBig, -1, -1, "what "+strconv.FormatInt(p.letGo, 10)+" flows say was not read to its end: too many are unfinished at once")
	}
}
