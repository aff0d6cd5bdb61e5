// Package archive lists what tar archives, zip archives and folders hold, in
// order and in bounded memory, however damaged or hostile they are.
//
// A reader never gives up at the first damage: what is wrong is a Damage
// between the entries, and everything readable before and behind it is
// yielded. Nothing is written anywhere, no name is resolved and no link is
// followed.
package archive

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Type says what an entry is.
type Type byte

// The types of entries.
const (
	File Type = iota
	Dir
	Symlink
	Hardlink // another name of an entry that came before: Link names it
	Device   // device node, FIFO or socket
)

// Known says which of an entry's metadata its container states.
type Known byte

// Bits of Known.
const (
	KnowsMode Known = 1 << iota // Mode
	KnowsIDs                    // UID and GID
)

// Entry is one thing in a container. Name, Link, Owner and Group are bytes as
// they stand there.
type Entry struct {
	Name   string
	Type   Type
	Link   string
	Size   int64  // as stated; -1: not stated
	Offset int64  // of the content's first byte in the container; -1: it has no offset
	Packed int64  // bytes the content takes there; -1: not stated
	Method string // how it is packed: "" for not at all, "deflate", "zstd", …
	Sealed string // how it is encrypted: "", "ZipCrypto", "AES-256", …

	Known        Known
	Mode         uint32 // Linux st_mode with its type bits
	UID, GID     uint32
	Owner, Group string

	// Times the container states as instants; zero where it states none.
	Modified, Accessed, Changed, Born time.Time
	// Local is a time of modification without a zone, "2006-01-02T15:04:05".
	Local string

	// Copied says that Modified looks like the time of a copy, not of the
	// original.
	Copied bool

	// Open returns the content. It may be called once, before the next entry
	// is asked for. Reading ends with an error that says so where content is
	// damaged, after everything that could be read. nil: it has no content.
	Open func() (io.Reader, error)
}

// Damage is something that is wrong with a container. Reading goes on behind
// it.
type Damage struct {
	Name   string // of the entry it is about; "" for the container
	Offset int64  // in the container; -1: not known
	Text   string // one line for people
}

// Error implements error.
func (d *Damage) Error() string { return d.Text }

// Errors of encrypted content.
var (
	ErrPassword = errors.New("the password does not open it")
	ErrSealed   = errors.New("it is encrypted and no password was given")
)

// errChecksum ends content whose bytes are all there and are not those that
// the container's checksum is of.
var errChecksum = errors.New("checksum does not match")

// Entries yields the entries of a container in order, and damages where they
// are met: one of both is nil.
type Entries = iter.Seq2[*Entry, *Damage]

// bufSize is what streams are read and sought through with.
const bufSize = 64 << 10

func damage(name string, off int64, format string, args ...any) *Damage {
	return &Damage{Name: name, Offset: off, Text: fmt.Sprintf(format, args...)}
}
