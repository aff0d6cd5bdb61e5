package bundle

import (
	"bytes"
	"strings"
)

// tarVisitor is told what a tar holds, in order.
type tarVisitor interface {
	begin(e entry, at, data int64) // a member: offsets of its header and its data
	data(p []byte)                 // bytes of it
	lost(n int64)                  // bytes of it that are lost
	finish()                       // its end, padding included
	gap(at, n int64)               // lost bytes outside of any member known
	stray(at int64, why string)    // bytes that are no header where one must be
}

// tarWalk reads a tar as this format demands it, from pieces, and finds its way
// again behind lost pieces.
type tarWalk struct {
	v      tarVisitor
	pos    int64 // tar offset of the next byte fed
	head   []byte
	at     int64 // tar offset of head
	inside bool
	left   int64 // bytes of the member still to come
	pad    int64 // and of its padding
	broken bool  // searching for a header
	zero   int   // zero blocks seen
}

var zeroBlock [tarBlock]byte

// feed takes the next bytes.
func (t *tarWalk) feed(p []byte) {
	for len(p) > 0 {
		if t.inside {
			p = t.body(p)
			continue
		}
		if len(t.head) == 0 {
			t.at = t.pos
		}
		n := min(len(p), tarBlock-len(t.head)%tarBlock)
		t.head = append(t.head, p[:n]...)
		t.pos += int64(n)
		p = p[n:]
		if len(t.head)%tarBlock == 0 {
			t.header()
		}
	}
}

// body passes on bytes of the member and its padding.
func (t *tarWalk) body(p []byte) []byte {
	n := min(int64(len(p)), t.left)
	if n > 0 {
		t.v.data(p[:n])
	}
	t.left -= n
	skip := min(int64(len(p))-n, t.pad)
	if skip > 0 && !bytes.Equal(p[n:n+skip], zeroBlock[:skip]) {
		t.v.stray(t.pos+n, "padding is not zero")
	}
	t.pad -= skip
	t.pos += n + skip
	t.endBody()
	return p[n+skip:]
}

func (t *tarWalk) endBody() {
	if t.left == 0 && t.pad == 0 {
		t.inside = false
		t.v.finish()
	}
}

// header looks at the whole blocks gathered so far.
func (t *tarWalk) header() {
	for len(t.head) > 0 {
		if !t.broken && bytes.Equal(t.head[:tarBlock], zeroBlock[:]) {
			t.zero++
			t.drop()
			continue
		}
		if t.zero > 0 && !t.broken {
			t.v.stray(t.at, "data behind the end of the tar")
			t.broken = true
		}
		e, need, err := parseHeader(t.head)
		if err == nil && need > len(t.head) {
			return
		}
		if err == nil && t.broken && !inertName(e.name) && !strings.HasPrefix(e.name, "exhibit/") {
			err = errNotTar
		}
		if err != nil {
			if !t.broken {
				t.v.stray(t.at, err.Error())
			}
			t.broken = true
			t.drop()
			continue
		}
		t.head = t.head[:0]
		t.broken, t.inside = false, true
		t.left, t.pad = e.size, -e.size&(tarBlock-1)
		t.v.begin(e, t.at, t.at+int64(need))
		t.endBody()
	}
}

func (t *tarWalk) drop() {
	t.head = append(t.head[:0], t.head[tarBlock:]...)
	t.at += tarBlock
}

// lose steps over n bytes that are lost.
func (t *tarWalk) lose(n int64) {
	if t.inside {
		m := min(n, t.left)
		if m > 0 {
			t.v.lost(m)
		}
		t.left -= m
		n -= m
		t.pos += m
		m = min(n, t.pad)
		t.pad -= m
		n -= m
		t.pos += m
		t.endBody()
	}
	if n == 0 {
		return
	}
	start := t.pos - int64(len(t.head))
	t.pos += n
	t.v.gap(start, t.pos-start)
	t.broken = true
	// Headers begin at whole blocks: what is left of one counts as zeros.
	t.head = append(t.head[:0], zeroBlock[:t.pos&(tarBlock-1)]...)
	t.at = t.pos &^ (tarBlock - 1)
}
