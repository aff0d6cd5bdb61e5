package kit

import (
	"io/fs"
	"time"
)

// info describes a file of an archive; kits have no times.
type info struct{ file File }

func (i info) Name() string       { return i.file.Name }
func (i info) Size() int64        { return int64(len(i.file.Data)) }
func (i info) Mode() fs.FileMode  { return i.file.Mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
