//go:build !unix

package bundle

// errnoName returns "": this platform has no names for error numbers.
func errnoName(error) string { return "" }
