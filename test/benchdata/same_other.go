//go:build !linux

package main

import "errors"

// same is for scripts that run on Linux only.
func same(string, string) error { return errors.New("comparing sparse files is for Linux only") }
