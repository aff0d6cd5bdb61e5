package ntfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze/format/utf16le"
)

var le = binary.LittleEndian

// Reasons why a record was written, as far as they are asked for by name.
const (
	DataOverwrite      = 1 << 0
	DataExtend         = 1 << 1
	DataTruncate       = 1 << 2
	NamedData          = 7 << 4 // the same of a named stream
	FileCreate         = 1 << 8
	FileDelete         = 1 << 9
	ExtendedAttributes = 1 << 10
	Security           = 1 << 11
	RenameOldName      = 1 << 12
	RenameNewName      = 1 << 13
	BasicInfo          = 1 << 15 // times or attributes
)

// reasons are USN_REASON_* ([MS-FSCC] 2.3.59; Microsoft, "USN_RECORD_V4").
var reasons = flagNames{
	0: "DATA_OVERWRITE", 1: "DATA_EXTEND", 2: "DATA_TRUNCATION", 4: "NAMED_DATA_OVERWRITE", 5: "NAMED_DATA_EXTEND",
	6: "NAMED_DATA_TRUNCATION", 8: "FILE_CREATE", 9: "FILE_DELETE", 10: "EA_CHANGE", 11: "SECURITY_CHANGE",
	12: "RENAME_OLD_NAME", 13: "RENAME_NEW_NAME", 14: "INDEXABLE_CHANGE", 15: "BASIC_INFO_CHANGE", 16: "HARD_LINK_CHANGE",
	17: "COMPRESSION_CHANGE", 18: "ENCRYPTION_CHANGE", 19: "OBJECT_ID_CHANGE", 20: "REPARSE_POINT_CHANGE",
	21: "STREAM_CHANGE", 22: "TRANSACTED_CHANGE", 23: "INTEGRITY_CHANGE", 24: "DESIRED_STORAGE_CLASS_CHANGE", 31: "CLOSE",
}

// AppendReasons writes the names of reasons, a comma between them.
func AppendReasons(dst []byte, bits uint32) []byte { return reasons.append(dst, bits) }

// sources are USN_SOURCE_*: programs that change files without a user's will.
var sources = flagNames{0: "DATA_MANAGEMENT", 1: "AUXILIARY_DATA", 2: "REPLICATION_MANAGEMENT", 3: "CLIENT_REPLICATION_MANAGEMENT"}

// AppendSources writes the names of a record's sources, a comma between them.
func AppendSources(dst []byte, bits uint32) []byte { return sources.append(dst, bits) }

// Extent is a range of a file that was written.
type Extent struct{ Offset, Length int64 }

// Append writes offset+length.
func (e Extent) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, e.Offset, 10)
	return strconv.AppendInt(append(dst, '+'), e.Length, 10)
}

// Change is one record of the change journal. Name and Extents are good until
// the next call of Next.
type Change struct {
	Offset, Length int64
	Major          uint16
	File, Parent   Reference
	USN            int64
	Time           uint64 // FILETIME; V4 has none: 0
	Reason, Source uint32
	SecurityID     uint32
	Attributes     uint32
	Name           []byte // UTF-8; V4 has none
	Escaped        bool   // parts of the name are no Unicode, written \uNNNN
	Extents        []Extent
	ExtentsLeft    uint32 // V4: extents that further records tell
	Damage         string // the record states another length than it has
}

const (
	usnPage = 4096 // a record does not reach over the end of one
	nameMax = 510  // bytes of a name
)

// fixed returns the size of the fixed part of a record of V2 or V3, and the
// offset of its USN.
func fixed(major uint16) (head, usn int) {
	if major == 2 {
		return 60, 24
	}
	return 76, 40
}

// usnLength checks that b begins with a record and returns how long it says it
// is and how long its content makes it; 0 where it is no record.
func usnLength(b []byte) (stated, real int) {
	if len(b) < 60 {
		return 0, 0
	}
	n := int(le.Uint32(b))
	major := le.Uint16(b[4:])
	if n < 60 || n > usnPage || n%8 != 0 {
		return 0, 0
	}
	switch major {
	case 2, 3:
		head, _ := fixed(major)
		if n < head || len(b) < head {
			return 0, 0
		}
		size, at := int(le.Uint16(b[head-4:])), int(le.Uint16(b[head-2:]))
		if at < head || size%2 != 0 || size > nameMax || at+size > n {
			return 0, 0
		}
		return n, (at + size + 7) &^ 7
	case 4:
		if len(b) < 64 {
			return 0, 0
		}
		count, size := int(le.Uint16(b[60:])), int(le.Uint16(b[62:]))
		if size < 16 || 64+count*size > n {
			return 0, 0
		}
		return n, (64 + count*size + 7) &^ 7
	}
	return 0, 0
}

// surely reports whether b begins with a record, where nothing else says that
// one begins here: every field must make sense.
func surely(b []byte) bool {
	stated, real := usnLength(b)
	if stated == 0 || stated != real || stated > len(b) || le.Uint16(b[6:]) != 0 {
		return false
	}
	if le.Uint16(b[4:]) == 4 {
		return le.Uint32(b[48:]) != 0 && le.Uint64(b[40:]) <= 1<<62 && le.Uint64(b[8:]) != 0
	}
	head, usn := fixed(le.Uint16(b[4:]))
	at := le.Uint64(b[usn+8:])
	return le.Uint64(b[usn:]) <= 1<<62 && at > firstLikely && at < lastLikely &&
		le.Uint32(b[usn+16:]) != 0 && le.Uint64(b[8:]) != 0 && int(le.Uint16(b[head-2:])) == head
}

// Years 1980 and 2200 as FILETIMEs.
const (
	firstLikely = 119600064000000000
	lastLikely  = 189025920000000000
)

// IsUSN reports whether head holds a record of a change journal where one
// belongs: in front, or behind the zeros in front.
func IsUSN(head []byte) bool {
	at := firstNonZero(head) &^ 7
	return at < len(head) && surely(head[at:])
}

// HasUSN reports whether head holds a record of a change journal anywhere.
func HasUSN(head []byte) bool {
	for at := 0; at+60 <= len(head); at += 8 {
		if surely(head[at:]) {
			return true
		}
	}
	return false
}

// USNReader yields the records of a change journal in their order. Holes and
// zeros are passed over, damage is reported and reading goes on behind it. Only
// the beginning of the stream is a hole: a page of zeros between records is
// damage.
type USNReader struct {
	r      io.ReaderAt
	size   int64
	holes  []Hole
	pos    int64 // of window[0]
	buf    []byte
	window []byte // unread part of buf
	end    int64  // of the last record or damage; 0 before the first
	change Change
	damage []Damage
}

// usnWindow is how much is read at once.
const usnWindow = 512 << 10

// NewUSNReader returns a reader of the size bytes of r. The holes need not be
// sorted nor complete.
func NewUSNReader(r io.ReaderAt, size int64, holes []Hole) *USNReader {
	return &USNReader{r: r, size: size, buf: make([]byte, max(2*usnPage, min(size, usnWindow))), holes: sortHoles(holes)}
}

// Damage returns what was found damaged since the last call.
func (u *USNReader) Damage() []Damage {
	d := u.damage
	u.damage = u.damage[:0:0]
	return d
}

// Next returns the next record, io.EOF after the last.
func (u *USNReader) Next() (*Change, error) {
	for {
		u.advance(firstNonZero(u.window) &^ 7)
		if len(u.window) < usnPage {
			if err := u.more(); err != nil {
				return nil, err
			}
			if u.advance(firstNonZero(u.window) &^ 7); len(u.window) == 0 {
				continue
			}
		}
		if u.end > 0 && u.pos-u.end >= usnPage {
			u.damage = append(u.damage, Damage{Corrupt, u.end, u.pos - u.end, "zeros where change records belong"})
		}
		stated, real := usnLength(u.window)
		if stated == 0 || real > len(u.window) {
			u.resync()
			continue
		}
		u.read(real)
		if stated != real {
			u.change.Damage = fmt.Sprintf("the record says it has %d bytes, its content %d", stated, real)
		}
		u.advance(real)
		u.end = u.pos
		return &u.change, nil
	}
}

func (u *USNReader) advance(n int) {
	n = min(n, len(u.window))
	u.window, u.pos = u.window[n:], u.pos+int64(n)
}

// resync passes over bytes that are no record up to the next that is one
// surely, or to zeros that fill a page.
func (u *USNReader) resync() {
	from, n := u.pos, 1
	for {
		last := u.pos+int64(len(u.window)) >= u.size
		// Nothing longer than a page is needed to tell whether a record begins.
		end := len(u.window) - usnPage
		if last {
			end = len(u.window) - 60
		}
		for n < end && !u.restart(n) {
			n++
		}
		if n < end {
			break
		}
		if last {
			n = len(u.window)
			break
		}
		u.advance(n)
		n = 0
		if u.more() != nil {
			break
		}
	}
	u.advance(n)
	loss, detail := Corrupt, "no change record"
	if u.pos == u.size && u.size-from < usnPage {
		loss, detail = Truncated, "the file ends inside a record"
	}
	u.end = u.pos
	u.damage = append(u.damage, Damage{loss, from, u.pos - from, detail})
}

// restart reports whether reading can go on n bytes into the window.
func (u *USNReader) restart(n int) bool {
	b := u.window[n:]
	if b[4] >= 2 && b[4] <= 4 {
		return surely(b)
	}
	// Zeros up to the end of a page: a record begins behind them.
	at := u.pos + int64(n)
	left := int(usnPage - at%usnPage)
	return at%8 == 0 && b[0] == 0 && left >= 8 && left <= len(b) && firstNonZero(b[:left]) == left
}

// read fills in the record at the beginning of the window.
func (u *USNReader) read(n int) {
	b := u.window[:n]
	c := &u.change
	*c = Change{Offset: u.pos, Length: int64(n), Major: le.Uint16(b[4:]), Name: c.Name[:0], Extents: c.Extents[:0]}
	c.File.Low, c.Parent.Low = le.Uint64(b[8:]), le.Uint64(b[16:])
	if c.Major > 2 {
		c.File.High, c.Parent.Low, c.Parent.High = le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:])
	}
	if c.Major == 4 {
		c.USN = int64(le.Uint64(b[40:]))
		c.Reason, c.Source, c.ExtentsLeft = le.Uint32(b[48:]), le.Uint32(b[52:]), le.Uint32(b[56:])
		count, size := int(le.Uint16(b[60:])), int(le.Uint16(b[62:]))
		for i := range count {
			e := b[64+i*size:]
			c.Extents = append(c.Extents, Extent{int64(le.Uint64(e)), int64(le.Uint64(e[8:]))})
		}
		return
	}
	_, usn := fixed(c.Major)
	f := b[usn:]
	c.USN, c.Time = int64(le.Uint64(f)), le.Uint64(f[8:])
	c.Reason, c.Source = le.Uint32(f[16:]), le.Uint32(f[20:])
	c.SecurityID, c.Attributes = le.Uint32(f[24:]), le.Uint32(f[28:])
	size, at := int(le.Uint16(f[32:])), int(le.Uint16(f[34:]))
	c.Name, c.Escaped = utf16le.Append(c.Name, b[at:at+size])
}

// more moves what is left of the window to the front of the buffer and reads
// behind it; a window without content passes over holes. io.EOF when there is
// nothing more and nothing left.
func (u *USNReader) more() error {
	if len(u.window) == 0 {
		u.pos = afterHole(u.holes, u.pos, u.size)
	}
	kept := copy(u.buf, u.window)
	u.window = u.buf[:kept]
	want := min(int64(len(u.buf)-kept), u.size-u.pos-int64(kept))
	if want <= 0 {
		if kept == 0 {
			return io.EOF
		}
		return nil
	}
	n, err := u.r.ReadAt(u.buf[kept:kept+int(want)], u.pos+int64(kept))
	u.window = u.buf[:kept+n]
	if n > 0 || err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) { // shorter than it was said to be
		u.size = u.pos + int64(kept)
		if kept == 0 {
			return io.EOF
		}
		return nil
	}
	return err
}

// firstNonZero returns the index of the first byte that is not zero, len(b)
// where there is none.
func firstNonZero(b []byte) int {
	i := 0
	for ; i+32 <= len(b); i += 32 {
		if le.Uint64(b[i:])|le.Uint64(b[i+8:])|le.Uint64(b[i+16:])|le.Uint64(b[i+24:]) != 0 {
			break
		}
	}
	for ; i < len(b) && b[i] == 0; i++ {
	}
	return i
}
