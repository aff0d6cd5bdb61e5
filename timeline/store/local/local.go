// Package local keeps a timeline as a folder of immutable Parquet segments
// under a hash-chained manifest, and answers queries over it.
//
//	MANIFEST                     one JSON object per line; docs/format/timeline.md
//	seg/<family>/<name>.parquet  events, sorted by (ts, event_id), undated last
//	seg/<family>/<name>.tok      word filters of the segment
//	tab/<name>.sources.jsonl     sources and what was read from them
//	tab/<name>.problems.jsonl    what was lost or damaged
//	PENDING                      jobs committed but not yet listed; gone after Close
//
// Files are found through the manifest, never by listing folders. Equal jobs
// give equal bytes, whatever the number of workers and whether or not the
// build was interrupted on the way.
package local

import (
	"errors"
	"fmt"
)

// Names inside the folder of a timeline.
const (
	manifestName = "MANIFEST"
	pendingName  = "PENDING"
	segmentDir   = "seg"
	tableDir     = "tab"
)

// FormatVersion is the value of "format" in the first line of a manifest.
const FormatVersion = "exhibit.timeline.v1"

// limits of a segment. They are part of the promise of equal bytes: other
// values give other files.
type limits struct {
	segmentRows  int // rows of a segment
	segmentBytes int // memory of its rows before writing
	smallRows    int // a job of at most this many rows ...
	smallBytes   int // ... and bytes shares a segment with others
}

var standard = limits{segmentRows: 250_000, segmentBytes: 64 << 20, smallRows: 16_384, smallBytes: 4 << 20}

// Pages of a segment end where either bound is reached.
const (
	textPageRows = 4096 // rows of a page of text
	pageRows     = 8192 // rows of a page of numbers or dictionary codes
	pageBytes    = 64 << 10
)

// Errors of the store.
var (
	// ErrNoTimeline says that the folder holds no manifest.
	ErrNoTimeline = errors.New("no timeline here")
	// ErrNewer says that the folder was written by a newer version.
	ErrNewer = errors.New("timeline has a newer format")
	// ErrBusy says that another process is building the timeline.
	ErrBusy = errors.New("timeline is being built by another process")
)

// FileError says which file of the timeline is missing or damaged. Name is
// relative to the folder of the timeline.
type FileError struct {
	Name string
	Err  error
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("timeline file %s: %v", e.Name, e.Err) }

// Unwrap returns what went wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }
