//go:build !linux

package archive

import "io/fs"

const nonBlock = 0

// Copied is true where nothing tells whether a time is that of the copy.
func Copied(fs.FileInfo) bool { return true }
