package collectors

import (
	"context"
	"errors"
	"io"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// errTaken tells a writer that nobody reads any more.
var errTaken = errors.New("stream was taken no further")

// streamTo gives the Taker what write writes, while it is written. What was
// written before an error of write is kept: the stream ends there.
func streamTo(ctx context.Context, out collect.Taker, it evidence.Item, write func(io.Writer) error) error {
	from, to := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(to)
		to.Close()
		written <- err
	}()
	// The stream itself outlives the context: write ends with it, and what
	// was written until then has to arrive.
	err := out.Stream(context.WithoutCancel(ctx), it, from)
	from.CloseWithError(errTaken)
	if werr := <-written; err == nil && !errors.Is(werr, errTaken) {
		err = werr
	}
	return err
}
