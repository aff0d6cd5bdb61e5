// Package evidence holds the words every other package shares: what was
// looked at on a host (Item), where a byte is (Ref), how bytes are named
// (Digest), and what was lost (Problem).
//
// The package has no behaviour beyond formatting and hashing, imports nothing
// of ours, and is the only package that everything may import.
package evidence

import (
	"io"
	"time"
)

// Kind says what an Item is. The values are the "k" field of a bundle's
// content lines (docs/format/bundle.md) and are final for format version 1.
type Kind string

// The kinds of format version 1. Absent, Denied, Error and Skipped are
// negative records: they prove that the collector looked and what it met.
const (
	KindHeader  Kind = "header"  // leaf 0: what this run is
	KindFile    Kind = "file"    // a regular file's content
	KindStream  Kind = "stream"  // content without a file: capture, record set, recovered executable
	KindDir     Kind = "dir"     // metadata of a directory
	KindSymlink Kind = "symlink" // metadata and target of a symbolic link
	KindDevice  Kind = "device"  // metadata of a device, FIFO or socket
	KindAbsent  Kind = "absent"  // looked for, not there
	KindDenied  Kind = "denied"  // there, not permitted
	KindError   Kind = "error"   // there, could not be read
	KindSkipped Kind = "skipped" // left out by policy or limit
	KindClock   Kind = "clock"   // clock readings
	KindLog     Kind = "log"     // the collector's own log
	KindTrailer Kind = "trailer" // last leaf: totals, reason for the end

	// KindManifest never appears in a manifest line: it marks the manifest
	// batches themselves when a bundle is offered to analysis.
	KindManifest Kind = "manifest"
	// KindErased never appears there either: it marks what was taken out of a
	// sealed bundle on a legal order.
	KindErased Kind = "erased"
)

// HasContent reports whether an item of this kind carries bytes.
func (k Kind) HasContent() bool {
	switch k {
	case KindFile, KindStream, KindClock, KindLog, KindManifest:
		return true
	}
	return false
}

// Negative reports whether an item of this kind records a failed look.
func (k Kind) Negative() bool {
	switch k {
	case KindAbsent, KindDenied, KindError, KindSkipped:
		return true
	}
	return false
}

// Accessors of evidence that was received and not collected.
const (
	SourceImport   = "import"   // a file of the host, by what it was received in
	SourceTool     = "tool"     // what the program that collected it wrote of itself
	SourceOriginal = "original" // an archive as it was received: its members are items of their own
)

// Item is one thing looked at on a host. Paths are raw bytes end to end: Path
// and Link need not be UTF-8, so escape them before showing them to anybody.
// Times that are not known are the zero time.
type Item struct {
	Index     int64  // leaf index in its bundle; -1 where there is none
	Kind      Kind   // what it is
	Member    string // name inside the container: unique, inert, what Evidence.Open takes
	Source    string // accessor it was read through: "file", "proc", "netlink", "packet", "root", SourceImport, …
	Path      string // original path, or the collector's name for a record set
	Link      string // target of a symbolic link
	Collector string // name of the collector
	Rule      string // definition that asked for it

	Size   int64  // bytes of content as the host stated them (holes included)
	Stored int64  // bytes stored in the container (holes left out)
	SHA256 Digest // of the Size bytes of content; zero where there is none
	MD5    string // lower-case hex; "" when not computed
	SHA1   string // lower-case hex; "" when not computed

	Holes []Extent // sparse ranges: zeros by the file system's own word
	// SumsStored says that the hashes cover the stored bytes only, one range
	// after the other, and leave the holes out: hashing the zeros of a file of
	// a terabyte, all of it hole, would cost a host minutes for nothing.
	SumsStored bool
	Unread     []Unread // ranges that could not be read and were filled with zeros

	Stat    *Stat  // file system metadata before reading; nil where there is none
	After   *Stat  // the same after reading, when it differs
	Changed bool   // content or metadata changed while it was read
	Detail  string // reason of a negative record

	Started  time.Time // wall clock when reading began
	Finished time.Time // wall clock when reading ended
}

// Extent is a byte range.
type Extent struct{ Offset, Length int64 }

// Unread is a byte range that was lost while reading and why.
type Unread struct {
	Offset, Length int64
	Reason         string // error name, for example "EIO" or "short"
}

// Stat is what statx(2) says of a file. Field names follow struct statx.
type Stat struct {
	Mode       uint32 // st_mode: type and permission bits, Linux values
	UID, GID   uint32
	Owner      string // name by the host's own passwd, when known
	Group      string
	Inode      uint64
	Dev        string // "major:minor"
	MountID    uint64
	Nlink      uint32
	Size       int64
	Blocks     int64  // 512-byte blocks
	Attributes uint64 // STATX_ATTR_*
	Rdev       string // "major:minor" of a device node
	Accessed   time.Time
	Modified   time.Time
	Changed    time.Time
	Born       time.Time
	Xattrs     map[string][]byte

	// Unknown says which of the numbers nobody stated: what an archive knows
	// of a file is less than what its host did. Times that are not known are
	// zero, names and Dev empty.
	Unknown StatFields
}

// StatFields is a set of numbers of a Stat.
type StatFields uint8

// The numbers that may be unknown.
const (
	StatMode   StatFields = 1 << iota // Mode
	StatIDs                           // UID and GID
	StatInode                         // Inode
	StatNlink                         // Nlink
	StatBlocks                        // Blocks
	StatSize                          // Size
)

// Ref names bytes: a range of one item of one bundle. Offset and Length are
// in the item's content after the decoding steps of Chain.
type Ref struct {
	Bundle Digest // SHA-256 of the bundle's seal.txt; zero outside a bundle
	Member string // Item.Member
	Chain  string // decoders applied to the item's bytes first, for example "gzip"; "" for none
	Offset int64  // -1: unknown
	Length int64  // -1: unknown
}

// Content is an item's bytes, sparse ranges and lost ranges filled with zeros.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() int64
}
