package journal

import (
	"encoding/binary"
	"fmt"
)

// Bits of Header.Incompatible.
const (
	FlagXZ = 1 << iota
	FlagLZ4
	FlagKeyedHash
	FlagZSTD
	FlagCompact
	knownFlags = 1<<iota - 1
)

// Values of Header.State.
const (
	Offline  = 0
	Online   = 1
	Archived = 2
)

// Sizes of the header: the oldest layout, and where the newest field that is
// read here ends.
const (
	minHeader = 208
	maxHeader = 256
)

// Header is the head of a journal file. Fields that its layout does not have
// are zero.
type Header struct {
	Compatible, Incompatible uint32
	State                    uint8
	FileID, MachineID        [16]byte
	TailBootID, SeqnumID     [16]byte
	HeaderSize, ArenaSize    int64
	TailObject               int64
	Objects, Entries         uint64
	TailSeqnum, HeadSeqnum   uint64
	EntryArray               int64
	HeadRealtime             uint64 // µs since 1970
	TailRealtime             uint64
	TailMonotonic            uint64
	Data, FieldNames         uint64 // n_data, n_fields; since systemd 187
	Tags, EntryArrays        uint64 // since systemd 189

	tailSize int64 // size of the last object; 0 unknown
}

// Compact reports whether the file has 32-bit offsets (systemd 252 and later).
func (h *Header) Compact() bool { return h.Incompatible&FlagCompact != 0 }

// KeyedHash reports whether hashes are SipHash-2-4 keyed with FileID.
func (h *Header) KeyedHash() bool { return h.Incompatible&FlagKeyedHash != 0 }

// tailEnd is where the last object that the header names ends at least.
func (h *Header) tailEnd() int64 {
	if h.TailObject == 0 {
		return h.HeaderSize
	}
	return h.TailObject + max(h.tailSize, objectHeader)
}

// cut returns how many bytes a file of size bytes lacks by its own header.
func (h *Header) cut(size int64) int64 {
	return max(h.HeaderSize+h.ArenaSize, h.tailEnd()) - size
}

// IsJournal reports whether head, the first bytes of a file, is a journal's.
func IsJournal(head []byte) bool {
	return len(head) >= minHeader && string(head[:8]) == "LPKSHHRH" && head[16] <= Archived
}

func (r *Reader) readHeader() error {
	b := r.pages.bytes(0, min(maxHeader, r.size))
	if r.pages.err != nil {
		return fmt.Errorf("read journal header: %w", r.pages.err)
	}
	if len(b) < minHeader || string(b[:8]) != "LPKSHHRH" {
		return ErrNotJournal
	}
	h := &r.head
	le := binary.LittleEndian
	u64 := func(at int) uint64 { return le.Uint64(b[at:]) }
	h.Compatible, h.Incompatible, h.State = le.Uint32(b[8:]), le.Uint32(b[12:]), b[16]
	copy(h.FileID[:], b[24:])
	copy(h.MachineID[:], b[40:])
	copy(h.TailBootID[:], b[56:])
	copy(h.SeqnumID[:], b[72:])
	h.HeaderSize, h.ArenaSize = r.anywhere(u64(88)), r.anywhere(u64(96))
	h.TailObject, h.Objects, h.Entries = r.anywhere(u64(136)), u64(144), u64(152)
	h.TailSeqnum, h.HeadSeqnum = u64(160), u64(168)
	h.EntryArray = r.anywhere(u64(176))
	h.HeadRealtime, h.TailRealtime, h.TailMonotonic = u64(184), u64(192), u64(200)
	if h.HeaderSize >= 224 && len(b) >= 224 {
		h.Data, h.FieldNames = u64(208), u64(216)
	}
	if h.HeaderSize >= 240 && len(b) >= 240 {
		h.Tags, h.EntryArrays = u64(224), u64(232)
	}
	if h.HeaderSize < minHeader || h.HeaderSize > 64<<10 {
		r.hurt(Corrupt, 88, 8, "header size %d is out of range", u64(88))
		h.HeaderSize = minHeader
	}
	if unknown := h.Incompatible &^ knownFlags; unknown != 0 {
		r.hurt(Unsupported, 12, 4, "unknown incompatible flags %#x", unknown)
	}
	if h.TailObject > 0 {
		if o, state := r.object(h.TailObject); state == objectOK {
			h.tailSize = o.size
		}
	}
	return nil
}

// anywhere returns an offset that may lie beyond a cut, or 0 where no file
// could have it.
func (r *Reader) anywhere(v uint64) int64 {
	if v >= 1<<40 || v%8 != 0 {
		return 0
	}
	return int64(v)
}
