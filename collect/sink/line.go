package sink

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// errStalled says that the other side neither took nor sent a byte for too
// long: a cut cable does not end a connection.
var errStalled = errors.New("nothing moves on the link")

// line makes the connections of one link and counts what moves on them.
type line struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	moved atomic.Int64
}

func (l *line) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{c, &l.moved}, nil
}

type countedConn struct {
	net.Conn
	moved *atomic.Int64
}

// writeStep is how much is written in one go: large writes return when all of
// it has left, and a slow link would look like a dead one.
const writeStep = 16 << 10

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.moved.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	total := 0
	for {
		n, err := c.Conn.Write(p[total:min(len(p), total+writeStep)])
		total += n
		c.moved.Add(int64(n))
		if err != nil || total == len(p) {
			return total, err
		}
	}
}

// guard returns a context that ends when nothing moves for stall.
func (l *line) guard(parent context.Context, stall time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		tick := time.NewTicker(max(stall/8, time.Millisecond))
		defer tick.Stop()
		last, since := l.moved.Load(), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now := l.moved.Load(); now != last {
				last, since = now, time.Now()
			} else if time.Since(since) >= stall {
				cancel(errStalled)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
