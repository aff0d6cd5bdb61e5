package envelope

import (
	"fmt"
	"io"
	"sync/atomic"

	"filippo.io/age"
)

// Writer encrypts what is written to it. Close ends the envelope: without it
// the file is one that was cut short. It does not close the sink.
//
// The envelope is cut into chunks of 64 KiB, and a chunk that is not full stays
// in memory. So what a checkpoint made durable is the checkpoint before it, or
// less than 64 KiB of the bundle more.
type Writer struct {
	sink counter
	enc  io.WriteCloser
}

// NewWriter begins an envelope for the recipients on a sink. The key of the
// file is made here, wrapped for each recipient, and never leaves memory.
func NewWriter(sink io.Writer, recipients []Recipient) (*Writer, error) {
	w := &Writer{sink: counter{w: sink}}
	enc, err := age.Encrypt(&w.sink, keysOf(recipients)...)
	if err != nil {
		return nil, fmt.Errorf("begin envelope: %w", explain(err))
	}
	w.enc = enc
	return w, nil
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) { return w.enc.Write(p) }

// Close writes the last chunk.
func (w *Writer) Close() error {
	if err := w.enc.Close(); err != nil {
		return fmt.Errorf("end envelope: %w", err)
	}
	return nil
}

// Written returns the bytes that went to the sink.
func (w *Writer) Written() int64 { return w.sink.n.Load() }

type counter struct {
	w io.Writer
	n atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}
