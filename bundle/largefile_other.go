//go:build !linux

package bundle

// largeFile is a flag that only Linux needs.
const largeFile = 0
