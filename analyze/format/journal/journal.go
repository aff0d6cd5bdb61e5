// Package journal reads journal files of systemd-journald: every entry with
// all of its fields, in file order, from whole and from damaged files.
//
// # Format
//
// The format is documented by systemd (docs/JOURNAL_FILE_FORMAT.md, and
// journal-def.h for the sizes). All numbers are little endian, times are
// microseconds, every object starts at a multiple of 8 bytes.
//
// Header, 208 to 272 bytes and more, newer fields at the end:
//
//	  0  signature "LPKSHHRH"        136  tail_object_offset
//	  8  compatible_flags   u32      144  n_objects
//	 12  incompatible_flags u32      152  n_entries
//	 16  state u8, 7 reserved        160  tail_entry_seqnum
//	 24  file_id        16 bytes     168  head_entry_seqnum
//	 40  machine_id     16 bytes     176  entry_array_offset
//	 56  tail_entry_boot_id          184  head_entry_realtime
//	 72  seqnum_id      16 bytes     192  tail_entry_realtime
//	 88  header_size                 200  tail_entry_monotonic
//	 96  arena_size                  208  n_data, n_fields (187)
//	104  data hash table: at, size   224  n_tags, n_entry_arrays (189)
//	120  field hash table: at, size  240  hash chain depths (246), tail array (252), tail entry (254)
//
// Incompatible flags: 1 XZ, 2 LZ4, 4 keyed hash, 8 ZSTD, 16 compact. State: 0
// offline, 1 online (open, or not closed properly), 2 archived.
//
// Object: type u8, flags u8 (1 XZ, 2 LZ4, 4 ZSTD), 6 reserved, size u64, then
//
//	1 DATA         hash, next_hash, next_field, entry, entry_array, n_entries,
//	               payload "NAME=value" at 64; compact files at 72
//	3 ENTRY        seqnum, realtime, monotonic, boot_id, xor_hash, items at 64:
//	               u64 offset and u64 hash of a DATA object; compact: u32 offset
//	6 ENTRY_ARRAY  next_entry_array, items at 24: u64 offsets; compact: u32
//
// A LZ4 payload is the decoded size as u64 and one LZ4 block; XZ and ZSTD
// payloads are a whole stream. A DATA object's hash is that of its decoded
// payload: Jenkins lookup3 (hashlittle2, both halves), or SipHash-2-4 with
// the file_id as key in files with the keyed hash flag.
//
// # Reading
//
// journalctl follows the chain of entry arrays from the header and thereby
// sees what the file's index admits. Reader walks the objects themselves and
// compares with that chain: an entry that no array names is yielded too, and
// marked. After damage it looks for the next place where two sound objects
// follow each other. Payloads are compared with their hash, so a text edited
// in place is noticed.
package journal

import (
	"errors"
	"fmt"
	"io"
)

// ErrNotJournal says that the content does not begin with a journal header.
var ErrNotJournal = errors.New("not a journal file")

// Loss says how a Damage came about.
type Loss string

// The kinds of Damage.
const (
	Truncated    Loss = "truncated"    // the file ends before it should
	Corrupt      Loss = "corrupt"      // bytes break the format
	Inconsistent Loss = "inconsistent" // two statements of the file disagree
	Unsupported  Loss = "unsupported"  // a feature that is not known here
	TooBig       Loss = "too-big"      // over a limit of this package
)

// Damage is a place in the file that could not be read as it should.
type Damage struct {
	Loss           Loss
	Offset, Length int64 // -1 where unknown
	Detail         string
}

// Entry is one log entry. It is good until the next call of Reader.Next.
type Entry struct {
	Offset, Length int64  // the ENTRY object
	Seqnum         uint64 // sequence number within seqnum_id
	Realtime       uint64 // µs since 1970 UTC, when journald received it
	Monotonic      uint64 // µs since the boot BootID
	BootID         [16]byte
	Unlinked       bool    // no entry array of the file names it
	Damaged        bool    // the object's header is damaged; its place is known from the index
	Lost           int     // fields that could not be read
	Fields         []Field // in the order of the entry, repeated names kept
}

// Field is one NAME=value of an entry.
type Field struct {
	Name, Value    []byte
	Offset, Length int64 // the DATA object
	Size           int64 // bytes of the whole value; more than len(Value) when it was cut at MaxValue
}

// MaxValue bounds the bytes of one field that are decoded. journald itself
// stores up to 768 MiB (core dumps).
const MaxValue = 16 << 20

// Reader yields the entries of one file. It belongs to one goroutine.
type Reader struct {
	pages  pages
	size   int64
	head   Header
	links  links
	fields shared
	unpack unpacker

	pos    int64 // next object to look at
	prev   int64 // the object before it
	sound  int64 // end of the last object that was verified
	last   int64 // end of the last entry yielded: entries do not overlap
	found  uint64
	done   bool
	entry  Entry
	damage []Damage
	told   map[int64]bool // DATA objects that were reported
	extra  int            // damage beyond maxDamage
}

// maxDamage bounds how many places are reported one by one.
const maxDamage = 2000

// NewReader reads the header and the entry arrays of a file of size bytes.
// The error is ErrNotJournal, or that of r.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	rd := &Reader{pages: pages{r: r, size: size}, size: size, told: map[int64]bool{}}
	if err := rd.readHeader(); err != nil {
		return nil, err
	}
	rd.unpack.budget = 1<<30 + 64*size
	rd.pos = align(rd.head.HeaderSize)
	rd.sound, rd.prev = rd.pos, rd.pos
	rd.readLinks()
	return rd, rd.pages.err
}

// Header returns the file's header.
func (r *Reader) Header() *Header { return &r.head }

// Damage returns what was found damaged since the last call.
func (r *Reader) Damage() []Damage {
	d := r.damage
	r.damage = r.damage[:0:0]
	return d
}

func (r *Reader) hurt(loss Loss, offset, length int64, format string, args ...any) {
	if r.extra++; r.extra <= maxDamage {
		r.damage = append(r.damage, Damage{loss, offset, length, fmt.Sprintf(format, args...)})
	}
}

// Next returns the next entry, io.EOF after the last one, or the error of the
// underlying reader.
func (r *Reader) Next() (*Entry, error) {
	for !r.done {
		o, entry := r.step()
		if r.pages.err != nil {
			return nil, r.pages.err
		}
		if !entry {
			continue
		}
		if e := r.readEntry(o); e != nil {
			return e, nil
		}
		if r.pages.err != nil {
			return nil, r.pages.err
		}
	}
	return nil, io.EOF
}

// step moves over one object. It returns an entry to yield.
func (r *Reader) step() (o object, entry bool) {
	// An entry that the index names inside an object passed over means that
	// this object's size is wrong, or that it lies in a damaged range.
	for off, ok := r.links.missed(r.pos); ok; off, ok = r.links.missed(r.pos) {
		if off >= r.last && r.typeAt(off) == typeEntry && r.plausible(off) {
			o, _ = r.object(off)
			return o, true
		}
	}
	o, state := r.object(r.pos)
	switch state {
	case objectOK:
		return o, r.pass(o)
	case objectEnd:
		r.finish()
	case objectZero:
		r.skipZeros()
	default:
		return r.resync()
	}
	return object{}, false
}

// pass steps over a sound object and reports whether it is an entry to yield.
func (r *Reader) pass(o object) (entry bool) {
	r.prev, r.pos = o.off, min(align(o.off+o.size), r.size)
	switch o.kind {
	case typeData:
		if r.verify(o) {
			r.sound = r.pos
		}
	case typeEntry:
		r.sound = r.pos
		if o.off < r.last {
			return false // inside an entry that was yielded already
		}
		r.links.seen(o.off)
		return true
	}
	return false
}

// finish compares what was found with what the header states.
func (r *Reader) finish() {
	r.done = true
	if n := r.head.cut(r.size); n > 0 {
		r.hurt(Truncated, r.size, n, "the file is %d bytes shorter than its header states", n)
	}
	if r.found < r.head.Entries {
		r.hurt(Inconsistent, -1, -1, "%d entries found, the header states %d", r.found, r.head.Entries)
	}
	if more := r.extra - maxDamage; more > 0 {
		r.damage = append(r.damage, Damage{Corrupt, -1, -1, fmt.Sprintf("%d more damaged places", more)})
	}
}
