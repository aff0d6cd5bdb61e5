//go:build !linux

package collect

import (
	"time"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// ReadClock reads the wall clock, the only one this build knows.
func ReadClock() (record.Clock, error) {
	return record.Clock{Realtime: time.Now().UnixNano()}, ErrUnsupported
}

func (f *Footprint) usage() {}
