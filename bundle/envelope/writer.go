package envelope

import (
	"bufio"
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
	buf  *bufio.Writer // between the chunks and the sink: fewer, longer writes
	enc  io.WriteCloser
}

// gathered is how much goes to the sink in one write, at most. Nothing stays
// in it when Write returns.
const gathered = 1 << 20

// NewWriter begins an envelope for the recipients on a sink. The key of the
// file is made here, wrapped for each recipient, and never leaves memory.
func NewWriter(sink io.Writer, recipients []Recipient) (*Writer, error) {
	w := &Writer{sink: counter{w: sink}}
	w.buf = bufio.NewWriterSize(&w.sink, gathered)
	var err error
	if w.enc, err = age.Encrypt(w.buf, keysOf(recipients)...); err == nil {
		err = w.buf.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("begin envelope: %w", explain(err))
	}
	return w, nil
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.enc.Write(p)
	if err == nil {
		err = w.buf.Flush()
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Close writes the last chunk.
func (w *Writer) Close() error {
	err := w.enc.Close()
	if err == nil {
		err = w.buf.Flush()
	}
	if err != nil {
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
