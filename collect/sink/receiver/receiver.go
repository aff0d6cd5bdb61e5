// Package receiver is the listener behind exhibit receive: it takes streams of
// collectors over TLS 1.3 (docs/format/receive.md), has every byte on the disk
// before it acknowledges it, and lets its owner sign for what is whole.
package receiver

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/wire"
)

// Server stores streams in a folder, each in one of its own.
type Server struct {
	Dir     string             // where uploads lie; made where it is missing
	Key     ed25519.PrivateKey // of this server
	Allow   func(fingerprint string) bool
	MaxSize int64 // bytes of a stream; 0: no limit
	Log     *slog.Logger
	// Take takes over a stream that is whole and has the SHA-256 its sender
	// stated: it verifies it, signs for it, and returns the receipt. It is
	// called once at a time. An error leaves the stream where it is, and may be
	// followed by another call for it.
	Take func(ctx context.Context, u *Upload) (*wire.Signed, error)
	// Taken is called when a stream was taken over and its sender has the
	// receipt, or is gone; nil: not.
	Taken func()

	mu      sync.Mutex
	uploads map[string]*place
	inside  chan struct{} // a value for each client that was let in
	taking  sync.Mutex
}

// Bounds on what a stranger and a friend can use up.
const (
	maxConns   = 64               // of clients that are let in
	maxGreet   = 512              // of those that have not shown their key yet
	greetWait  = 20 * time.Second // handshake and greeting
	idleWait   = 30 * time.Minute // between frames: a collector may think for long
	frameWait  = 2 * time.Minute  // of one frame, and of an answer
	waitEvery  = 5 * time.Second  // a sign of life while a client waits
	maxUploads = 10_000           // folders, of all times
)

// place is an upload that a connection may hold; one at a time.
type place struct {
	free chan struct{} // holds a value while nobody has it
	conn net.Conn      // of who has it; guarded by Server.mu
}

// Serve takes connections until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	config, err := wire.Config(s.Key, func(fp string) error {
		if !s.Allow(fp) {
			return fmt.Errorf("%w: %s is not let in", wire.ErrPeer, fp)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.uploads, s.inside = map[string]*place{}, make(chan struct{}, maxConns)
	defer context.AfterFunc(ctx, func() { l.Close() })()
	greeting := make(chan struct{}, maxGreet)
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // too many files, a reset before it was taken
			s.Log.Warn("accept", "error", err.Error())
			time.Sleep(100 * time.Millisecond)
			continue
		}
		select {
		case greeting <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		all.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			c := s.greet(ctx, conn, config)
			<-greeting
			if c != nil {
				s.connection(ctx, c)
			}
		})
	}
}

// greet returns a connection whose client has shown a key that is let in, nil
// where it has not.
func (s *Server) greet(ctx context.Context, raw net.Conn, config *tls.Config) *tls.Conn {
	_ = raw.SetDeadline(time.Now().Add(greetWait)) //nolint:errcheck // the next read says so
	conn := tls.Server(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		s.Log.Warn("refused", "from", raw.RemoteAddr().String(), "error", err.Error())
		// Closed at once, what the client sent meanwhile would reset the connection,
		// and the alert with the reason would be lost.
		_, _ = io.CopyN(io.Discard, raw, 64<<10) //nolint:errcheck // it has been refused
		return nil
	}
	return conn
}

// connection serves one client to its end.
func (s *Server) connection(ctx context.Context, conn *tls.Conn) {
	from := conn.RemoteAddr().String()
	select {
	case s.inside <- struct{}{}:
		defer func() { <-s.inside }()
	default:
		s.Log.Warn("too many connections", "from", from)
		return
	}
	c := &client{server: s, conn: conn, raw: conn.NetConn(), from: from, buf: make([]byte, wire.MaxChunk+8)}
	if err := c.serve(ctx); err != nil && !errors.Is(err, io.EOF) {
		s.Log.Warn("connection ended", "from", from, "error", err.Error())
	}
}

// refusal is an error that the client is told.
type refusal struct {
	text    string
	lasting bool
}

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...), true} }

// client is one connection.
type client struct {
	server *Server
	conn   *tls.Conn
	raw    net.Conn
	from   string
	buf    []byte
	upload *Upload
}

func (c *client) deadline(d time.Duration) {
	_ = c.raw.SetDeadline(time.Now().Add(d)) //nolint:errcheck // the next read or write says so
}

func (c *client) write(kind byte, v any) error {
	c.deadline(frameWait)
	if b, ok := v.([]byte); ok {
		return wire.Write(c.conn, kind, b)
	}
	return wire.WriteJSON(c.conn, kind, v)
}

func (c *client) serve(ctx context.Context) error {
	err := c.session(ctx)
	var told *refusal
	switch {
	case errors.As(err, &told):
	case errors.Is(err, wire.ErrFrame):
		told = &refusal{err.Error(), true}
	default:
		return err
	}
	if e := c.write(wire.Failure, wire.Refusal{Text: told.text, Lasting: told.lasting}); e != nil {
		return errors.Join(err, e)
	}
	_ = c.conn.CloseWrite()                   //nolint:errcheck // the client may be gone
	_, _ = io.CopyN(io.Discard, c.raw, 8<<20) //nolint:errcheck // so that it gets to read it
	return err
}

func (c *client) session(ctx context.Context) error {
	fp, err := wire.PeerOf(c.conn.ConnectionState())
	if err != nil {
		return err
	}
	kind, p, err := wire.Read(c.conn, c.buf)
	if err != nil {
		return err
	}
	var hello wire.Greeting
	if kind != wire.Hello {
		return fmt.Errorf("%w: it begins with %q", wire.ErrFrame, kind)
	}
	if err := wire.Parse(p, &hello); err != nil {
		return err
	}
	if hello.V != wire.Version {
		return refuse("this receiver speaks version %d", wire.Version)
	}
	if !validUpload(hello.Upload) || hello.Acknowledged < 0 {
		return fmt.Errorf("%w: no greeting", wire.ErrFrame)
	}
	leave, err := c.enter(ctx, hello.Upload)
	if err != nil {
		return err
	}
	defer leave()
	c.upload, err = c.server.openUpload(hello, fp, c.from)
	if err != nil {
		return err
	}
	defer c.upload.close()
	if err := c.write(wire.State, wire.Standing{Held: c.upload.Size, Free: freeSpace(c.server.Dir)}); err != nil {
		return err
	}
	return c.frames(ctx)
}

// enter waits until no other connection has the upload. A client that comes
// back is never kept out by the connection it lost.
func (c *client) enter(ctx context.Context, id string) (func(), error) {
	s := c.server
	s.mu.Lock()
	at := s.uploads[id]
	if at == nil {
		if len(s.uploads) >= maxUploads {
			s.mu.Unlock()
			return nil, refuse("too many uploads: begin the receiver anew")
		}
		at = &place{free: make(chan struct{}, 1)}
		at.free <- struct{}{}
		s.uploads[id] = at
	}
	if at.conn != nil {
		at.conn.Close()
	}
	s.mu.Unlock()
	err := c.waitFor(ctx, at.free)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	at.conn = c.raw
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		at.conn = nil
		s.mu.Unlock()
		at.free <- struct{}{}
	}, nil
}

// waitFor waits for a channel, and lets the client know that it does.
func (c *client) waitFor(ctx context.Context, done <-chan struct{}) error {
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := c.write(wire.Wait, []byte{}); err != nil {
				return err
			}
		}
	}
}

func (c *client) frames(ctx context.Context) error {
	for {
		c.deadline(idleWait)
		kind, p, err := wire.Read(c.conn, c.buf)
		if err != nil {
			return err
		}
		switch kind {
		case wire.Data:
			if err := c.data(p); err != nil {
				return err
			}
			if err := c.write(wire.Ack, wire.Offset(c.upload.Size)); err != nil {
				return err
			}
		case wire.Commit:
			return c.commit(ctx, p)
		default:
			return fmt.Errorf("%w: kind %q", wire.ErrFrame, kind)
		}
	}
}

func (c *client) data(p []byte) error {
	at, data, err := wire.ParseOffset(p)
	if err != nil {
		return err
	}
	if at != c.upload.Size {
		return fmt.Errorf("%w: bytes from %d on, %d are here", wire.ErrFrame, at, c.upload.Size)
	}
	if limit := c.server.MaxSize; limit > 0 && at+int64(len(data)) > limit {
		return refuse("a stream may have %d bytes here", limit)
	}
	return c.upload.append(data)
}

// commit has the stream taken over. That goes on where the client is cut off
// meanwhile: it comes back for the receipt.
func (c *client) commit(ctx context.Context, p []byte) error {
	var all wire.Total
	if err := wire.Parse(p, &all); err != nil {
		return err
	}
	done := make(chan struct{})
	var signed *wire.Signed
	var err error
	go func() {
		defer close(done)
		signed, err = c.server.take(ctx, c.upload, all)
	}()
	gone := c.waitFor(ctx, done)
	<-done // the upload is held until then
	switch {
	case err != nil:
		return err
	case gone == nil:
		gone = c.write(wire.Receipt, signed)
	}
	if c.server.Taken != nil {
		c.server.Taken()
	}
	return gone
}
