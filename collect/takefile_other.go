//go:build !linux

package collect

import (
	"context"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// File returns ErrUnsupported.
func (t *taker) File(context.Context, string, string) error { return ErrUnsupported }

// Open returns ErrUnsupported.
func (t *taker) Open(context.Context, evidence.Item, ReaderAt) error { return ErrUnsupported }
