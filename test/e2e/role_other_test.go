//go:build !linux

package e2e

// perform is there for the roles of the tests on a running Linux.
func perform(string) int { return 2 }
