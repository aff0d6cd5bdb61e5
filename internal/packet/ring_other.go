//go:build !linux

package packet

import "time"

// Ring is an open capture; there is none on this system.
type Ring struct{}

// Settle is how long after a packet arrived Read may still have to wait.
const Settle = time.Duration(0)

// Open returns ErrUnsupported.
func Open(Options) (*Ring, error) { return nil, ErrUnsupported }

// Wait returns ErrUnsupported.
func Wait(time.Duration, ...*Ring) error { return ErrUnsupported }

// Stop returns ErrUnsupported.
func (r *Ring) Stop() error { return ErrUnsupported }

// Close returns ErrUnsupported.
func (r *Ring) Close() error { return ErrUnsupported }

// Read returns ErrUnsupported.
func (r *Ring) Read(time.Duration, func(*Packet) error) (int, error) { return 0, ErrUnsupported }

// Stats returns ErrUnsupported.
func (r *Ring) Stats() (Stats, error) { return Stats{}, ErrUnsupported }

// Hardware returns ErrUnsupported.
func Hardware(string) (uint16, error) { return 0, ErrUnsupported }

// Speed returns ErrUnsupported.
func Speed(string) (uint64, error) { return 0, ErrUnsupported }
