//go:build !linux

package pcapfilter

import "testing"

// attach has no kernel to ask here.
func attach(testing.TB, Program) {}
