// Package sinktest has far sides to send to and links that break: servers of
// other projects, started for one test, and a proxy that a test cuts.
package sinktest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a link that a test cuts, stalls and slows. It counts the bytes that
// go up and does what it was told when so many have passed.
type Proxy struct {
	t      *testing.T
	to     string
	listen net.Listener

	mu sync.Mutex
	up int64 // bytes sent to the far side, of all connections
	// To be changed with Set.
	CutAt []int64
	Stall int64 // nothing passes from here on, on the connection that gets there; 0: never
	dead  bool  // connections are refused
	open  map[net.Conn]bool
	Step  int           // bytes passed in one go
	Pause time.Duration // after each step
}

// NewProxy begins a link to an address.
func NewProxy(t *testing.T, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, to: to, listen: l, open: map[net.Conn]bool{}, Step: 16 << 10}
	t.Cleanup(func() { l.Close(); p.Die() })
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

// Set changes what the link does.
func (p *Proxy) Set(change func(*Proxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// Addr is where the link begins.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Die cuts every connection and refuses further ones.
func (p *Proxy) Die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	for c := range p.open {
		c.Close()
	}
}

func (p *Proxy) serve(c net.Conn) {
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
	p.open[c], p.open[far] = true, true
	step, pause := p.Step, p.Pause
	p.mu.Unlock()
	end := func() { c.Close(); far.Close() }
	go func() {
		_, _ = io.Copy(c, far) //nolint:errcheck // the other direction ends it
		end()
	}()
	defer end()
	buf := make([]byte, step)
	for {
		n, err := c.Read(buf)
		if n > 0 && !p.pass(n) {
			return
		}
		if _, e := far.Write(buf[:n]); e != nil || err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// pass counts n bytes and reports whether they go on. A stalled connection
// never returns while the test runs.
func (p *Proxy) pass(n int) bool {
	p.mu.Lock()
	p.up += int64(n)
	Stall := p.Stall > 0 && p.up >= p.Stall
	if Stall {
		p.Stall = 0
	}
	cut := len(p.CutAt) > 0 && p.up >= p.CutAt[0]
	if cut {
		p.CutAt = p.CutAt[1:]
	}
	p.mu.Unlock()
	if Stall {
		<-p.t.Context().Done()
		return false
	}
	return !cut
}
