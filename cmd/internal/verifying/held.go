package verifying

import (
	"bytes"
	"context"
	"io"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// HeldNote reads a signed checkpoint that was kept away from a bundle: a file
// of exhibit/checkpoint/ alone, or the beginning of the bundle as it was
// streamed, of which the last checkpoint says all. name is for messages.
func HeldNote(ctx context.Context, name string, r io.ReaderAt, size int64) ([]byte, error) {
	note := make([]byte, min(size, 512))
	_, err := r.ReadAt(note, 0)
	if err == nil && !bytes.HasPrefix(note, []byte(bundle.OriginPrefix)) {
		note, err = bundle.LastCheckpoint(ctx, r, size)
	}
	if err != nil {
		return nil, command.Failf(command.Failure, "give the beginning of the bundle as it was received, or a file of exhibit/checkpoint/", "%s: %w", name, err)
	}
	return note, nil
}
