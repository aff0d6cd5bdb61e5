package sink

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy is a link that a test cuts, stalls and slows. It counts the bytes that
// go up and does what it was told when so many have passed.
type proxy struct {
	t      *testing.T
	to     string
	listen net.Listener

	mu     sync.Mutex
	up     int64 // bytes sent to the far side, of all connections
	cutAt  []int64
	stall  int64 // nothing passes from here on, on the connection that gets there; 0: never
	dead   bool  // connections are refused
	open   map[net.Conn]bool
	step   int           // bytes passed in one go
	pause  time.Duration // after each step
	joined int           // connections so far
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: to, listen: l, open: map[net.Conn]bool{}, step: 16 << 10}
	t.Cleanup(func() { l.Close(); p.die() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.listen.Addr().String() }

// die cuts every connection and refuses further ones.
func (p *proxy) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	for c := range p.open {
		c.Close()
	}
}

func (p *proxy) serve(c net.Conn) {
	far, err := net.Dial("tcp", p.to)
	p.mu.Lock()
	if err != nil || p.dead {
		p.mu.Unlock()
		c.Close()
		if far != nil {
			far.Close()
		}
		return
	}
	p.joined++
	p.open[c], p.open[far] = true, true
	p.mu.Unlock()
	end := func() { c.Close(); far.Close() }
	go func() {
		_, _ = io.Copy(c, far) //nolint:errcheck // the other direction ends it
		end()
	}()
	defer end()
	buf := make([]byte, p.step)
	for {
		n, err := c.Read(buf)
		if n > 0 && !p.pass(n) {
			return
		}
		if _, e := far.Write(buf[:n]); e != nil || err != nil {
			return
		}
		time.Sleep(p.pause)
	}
}

// pass counts n bytes and reports whether they go on. A stalled connection
// never returns while the test runs.
func (p *proxy) pass(n int) bool {
	p.mu.Lock()
	p.up += int64(n)
	stall := p.stall > 0 && p.up >= p.stall
	if stall {
		p.stall = 0
	}
	cut := len(p.cutAt) > 0 && p.up >= p.cutAt[0]
	if cut {
		p.cutAt = p.cutAt[1:]
	}
	p.mu.Unlock()
	if stall {
		<-p.t.Context().Done()
		return false
	}
	return !cut
}
