// Package utmp reads the login records of Unix hosts: utmp, wtmp and btmp,
// and the per-account file lastlog.
//
// # utmp, wtmp, btmp
//
// Arrays of struct utmp, utmp(5) and glibc's bits/utmp.h, without a header.
// Two sizes are in use, each in both byte orders:
//
//	384 bytes (x86-64, i386, arm, ppc64)   400 bytes (aarch64, s390x, riscv64)
//	  0 ut_type     i16                      0 ut_type     i16
//	  4 ut_pid      i32                      4 ut_pid      i32
//	  8 ut_line     32 bytes                 8 ut_line     32 bytes
//	 40 ut_id       4 bytes                 40 ut_id       4 bytes
//	 44 ut_user     32 bytes                44 ut_user     32 bytes
//	 76 ut_host     256 bytes               76 ut_host     256 bytes
//	332 e_termination, e_exit  i16         332 e_termination, e_exit  i16
//	336 ut_session  i32                    336 ut_session  i64
//	340 tv_sec      i32 (u32 after 2038)   344 tv_sec      i64
//	344 tv_usec     i32                    352 tv_usec     i64
//	348 ut_addr_v6  16 bytes               360 ut_addr_v6  16 bytes
//	364 unused      20 bytes               376 unused      24 bytes
//
// Text is ended by a zero byte where it is shorter than its field. An IPv4
// address is in the first four bytes of ut_addr_v6, the rest is zero. Times
// are UTC. Nothing in a file names its layout: Detect reads the beginning in
// all four and takes the one that makes sense of most of it.
//
// # lastlog
//
// struct lastlog indexed by user id, mostly holes: ll_time i32 (i64 in the
// 296-byte form), ll_line 32 bytes, ll_host 256 bytes.
package utmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Values of Record.Type.
const (
	Empty        = 0
	RunLevel     = 1
	BootTime     = 2
	NewTime      = 3
	OldTime      = 4
	InitProcess  = 5
	LoginProcess = 6
	UserProcess  = 7
	DeadProcess  = 8
	Accounting   = 9
)

// Layout is one of the ways in which the struct is laid out.
type Layout struct {
	Name string // "384le", "384be", "400le", "400be"
	Size int
	wide bool // 64-bit times
	big  bool // big endian
}

var layouts = [...]Layout{
	{"384le", 384, false, false},
	{"400le", 400, true, false},
	{"400be", 400, true, true},
	{"384be", 384, false, true},
}

// Record is one record. Its byte fields are good until the next call of
// Reader.Next.
type Record struct {
	Offset                 int64
	Type                   int16
	PID                    int32
	Line, ID, User, Host   []byte
	Termination, Exit      int16
	Session                int64
	Sec, Usec              int64
	Addr                   [16]byte
	Odd                    bool // something in it is out of range
	UserResidue, HostAfter bool // bytes that are not zero follow the text's end
}

// Loss says how a Damage came about.
type Loss string

// The kinds of Damage.
const (
	Zeroed    Loss = "zeroed"    // records overwritten with zeros
	Corrupt   Loss = "corrupt"   // bytes that are no record
	Truncated Loss = "truncated" // the file ends inside a record
)

// Damage is a place that gave no record, or a doubtful one.
type Damage struct {
	Loss           Loss
	Offset, Length int64
	Detail         string
}

// verdict is what a record looks like.
type verdict int

const (
	bad    verdict = iota // no record
	odd                   // a record with a field out of range
	zero                  // nothing but zeros
	good                  // every field in range
	strong                // good, and it names something at a sensible time
)

// Sensible times: from 1980 to 2106, what 32 unsigned bits hold.
const (
	minSec = 315532800
	maxSec = 1<<32 - 1
)

func (l *Layout) u32(b []byte) uint32 {
	if l.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (l *Layout) i16(b []byte) int16 {
	if l.big {
		return int16(binary.BigEndian.Uint16(b))
	}
	return int16(binary.LittleEndian.Uint16(b))
}

func (l *Layout) i64(b []byte) int64 {
	if l.big {
		return int64(binary.BigEndian.Uint64(b))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// decode fills rec from the Size bytes of b.
func (l *Layout) decode(b []byte, rec *Record) {
	*rec = Record{
		Type: l.i16(b), PID: int32(l.u32(b[4:])),
		Line: text(b[8:40]), ID: text(b[40:44]), User: text(b[44:76]), Host: text(b[76:332]),
		Termination: l.i16(b[332:]), Exit: l.i16(b[334:]),
	}
	if l.wide {
		rec.Session, rec.Sec, rec.Usec = l.i64(b[336:]), l.i64(b[344:]), l.i64(b[352:])
		copy(rec.Addr[:], b[360:])
	} else {
		rec.Session, rec.Sec, rec.Usec = int64(int32(l.u32(b[336:]))), int64(l.u32(b[340:])), int64(int32(l.u32(b[344:])))
		copy(rec.Addr[:], b[348:])
	}
	rec.UserResidue = !isZero(b[44+len(rec.User) : 76])
	rec.HostAfter = !isZero(b[76+len(rec.Host) : 332])
}

// text is a field up to its first zero byte.
func text(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i:i]
	}
	return b
}

var zeros [400]byte

func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }

// judge says what the Size bytes of b look like in this layout.
func (l *Layout) judge(b []byte) verdict {
	typ := l.i16(b)
	if typ == Empty && isZero(b[:l.Size]) {
		return zero
	}
	if typ < Empty || typ > Accounting {
		return bad
	}
	sec, usec := int64(l.u32(b[340:])), int64(int32(l.u32(b[344:])))
	if l.wide {
		sec, usec = l.i64(b[344:]), l.i64(b[352:])
	}
	if sec < 0 || sec > maxSec {
		return bad
	}
	if typ == Empty && sec == 0 {
		return odd // not in use, yet not empty
	}
	line, user := text(b[8:40]), text(b[44:76])
	pid := int32(l.u32(b[4:]))
	if usec < 0 || usec > 999_999 || pid < -1 || pid > 1<<22 || b[2]|b[3] != 0 ||
		!printable(line) || !printable(user) || !printable(text(b[76:332])) || !isZero(b[l.unused():l.Size]) {
		return odd
	}
	if sec >= minSec && len(line)+len(user) > 0 {
		return strong
	}
	return good
}

func (l *Layout) unused() int {
	if l.wide {
		return 376
	}
	return 364
}

// printable reports whether b has no control characters.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// starts reports whether records of this layout begin at b: a strong one,
// followed by another record, by zeros or by the end.
func (l *Layout) starts(b []byte) bool {
	if len(b) < l.Size || l.judge(b) != strong {
		return false
	}
	return len(b) < 2*l.Size || l.judge(b[l.Size:]) >= zero
}

// Detect returns the layout that makes most sense of head, the first bytes of
// a file, and how many sensible records it finds there. 0 means that nothing
// looks like a login record; the layout is then the most frequent one.
func Detect(head []byte) (Layout, int) {
	best, most := layouts[0], 0
	for _, l := range layouts {
		if n := l.count(head); n > most {
			best, most = l, n
		}
	}
	return best, most
}

// count counts sensible records; bytes that fit nothing are passed over.
func (l *Layout) count(b []byte) int {
	n := 0
	for len(b) >= l.Size {
		switch l.judge(b) {
		case strong:
			n++
			b = b[l.Size:]
		case zero, good:
			b = b[l.Size:]
		default:
			if len(b) >= 2*l.Size && l.judge(b[l.Size:]) >= zero {
				b = b[l.Size:]
				continue
			}
			b = b[1:]
			for len(b) >= l.Size && !l.starts(b) {
				b = b[1:]
			}
		}
	}
	return n
}

// Sequence reports how many whole records of the layout head begins with, all
// of them in range, and whether at least one is more than zeros.
func (l *Layout) Sequence(head []byte) (n int, sensible bool) {
	for ; len(head) >= l.Size; head = head[l.Size:] {
		v := l.judge(head)
		if v < zero {
			break
		}
		sensible = sensible || v == strong
		n++
	}
	return n, sensible
}

// Possible reports whether head is nothing but records in one of the layouts.
// Unlike Detect it looks for them at their places only and stops at the first
// that is none, so it may be asked about every file of a host.
func Possible(head []byte) bool {
	for i := range layouts {
		l := &layouts[i]
		if n, sensible := l.Sequence(head); sensible && n == len(head)/l.Size {
			return true
		}
	}
	return false
}

// windowSize is how much of a file is held at once.
const windowSize = 256 << 10

// Reader yields the records of one file.
type Reader struct {
	r      io.Reader
	layout Layout
	buf    []byte // window
	at     int    // next byte of the window to look at
	off    int64  // offset of buf[0]
	eof    bool
	err    error
	rec    Record
	zeros  Damage // run of zeroed records not yet reported
	damage []Damage
}

// NewReader returns a Reader of records in the given layout.
func NewReader(r io.Reader, layout Layout) *Reader {
	return &Reader{r: r, layout: layout, buf: make([]byte, 0, windowSize)}
}

// Damage returns what was found damaged since the last call.
func (r *Reader) Damage() []Damage {
	d := r.damage
	r.damage = r.damage[:0:0]
	return d
}

// fill makes sure that three records or all there is are in the window.
func (r *Reader) fill() {
	if len(r.buf)-r.at >= 3*r.layout.Size || r.eof {
		return
	}
	n := copy(r.buf[:cap(r.buf)], r.buf[r.at:])
	r.off += int64(r.at)
	r.at, r.buf = 0, r.buf[:n]
	for len(r.buf) < cap(r.buf) && !r.eof {
		n, err := r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.eof = true
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
		}
	}
}

// Next returns the next record, or io.EOF, or the error of the underlying
// reader after everything before it was yielded.
func (r *Reader) Next() (*Record, error) {
	size := r.layout.Size
	for {
		r.fill()
		b := r.buf[r.at:]
		if len(b) < size {
			return nil, r.end(b)
		}
		v := r.layout.judge(b)
		switch {
		case v == zero:
			r.zero()
			continue
		case v >= good:
		case v == odd && r.inStep(b):
			r.hurt(Corrupt, r.off+int64(r.at), int64(size), "a field of the record is out of range")
		case r.inStep(b):
			r.hurt(Corrupt, r.off+int64(r.at), int64(size), "no login record")
			r.at += size
			continue
		default:
			r.resync()
			continue
		}
		r.flushZeros()
		r.layout.decode(b, &r.rec)
		r.rec.Offset = r.off + int64(r.at)
		r.rec.Odd = v == odd
		r.at += size
		return &r.rec, nil
	}
}

// inStep reports whether the record after this one begins where it should.
func (r *Reader) inStep(b []byte) bool {
	size := r.layout.Size
	if len(b) < 2*size {
		return r.eof && len(b) == size
	}
	return r.layout.judge(b[size:]) >= zero || len(b) >= 3*size && r.layout.judge(b[2*size:]) >= zero
}

func (r *Reader) zero() {
	size := int64(r.layout.Size)
	if r.zeros.Length == 0 {
		r.zeros.Offset = r.off + int64(r.at)
	}
	r.zeros.Length += size
	r.at += r.layout.Size
}

func (r *Reader) flushZeros() {
	if r.zeros.Length > 0 {
		r.damage = append(r.damage, Damage{Zeroed, r.zeros.Offset, r.zeros.Length, "records that hold nothing but zeros"})
		r.zeros = Damage{}
	}
}

func (r *Reader) hurt(loss Loss, offset, length int64, detail string) {
	r.flushZeros()
	r.damage = append(r.damage, Damage{loss, offset, length, detail})
}

// resync passes over bytes until records begin again.
func (r *Reader) resync() {
	from := r.off + int64(r.at)
	for {
		r.at++
		r.fill()
		b := r.buf[r.at:]
		if len(b) < r.layout.Size {
			r.at = len(r.buf)
			break
		}
		if r.layout.starts(b) {
			break
		}
	}
	r.hurt(Corrupt, from, r.off+int64(r.at)-from, "bytes that are no login record")
}

// end reports what is left at the end.
func (r *Reader) end(rest []byte) error {
	if len(rest) > 0 {
		r.hurt(Truncated, r.off+int64(r.at), int64(len(rest)), "the file ends inside a record")
		r.at = len(r.buf)
	}
	r.flushZeros()
	if r.err != nil {
		return r.err
	}
	return io.EOF
}
