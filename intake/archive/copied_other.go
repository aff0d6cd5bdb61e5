//go:build !linux

package archive

import "io/fs"

const nonBlock = 0

// copied is true where nothing tells whether a time is that of the copy.
func copied(fs.FileInfo) bool { return true }
