package archive

import (
	"encoding/binary"
	"strings"
	"time"
)

// stamp is a time that may not be stated.
type stamp struct {
	t  time.Time
	ok bool
}

// Header ids of extra fields (APPNOTE 4.5.2, Info-ZIP's extra field notes).
const (
	extraZip64 = 0x0001
	extraNTFS  = 0x000a
	extraTime  = 0x5455 // extended timestamp: seconds since 1970 UTC
	extraUnix  = 0x7875 // Info-ZIP new Unix: user and group
	extraAES   = 0x9901
)

// readExtra takes what the extra fields state.
func (rec *zipRecord) readExtra(central bool) {
	le := binary.LittleEndian
	for b := rec.extra; len(b) >= 4; {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if n > len(b)-4 {
			return
		}
		field := b[4 : 4+n]
		b = b[4+n:]
		switch id {
		case extraZip64:
			rec.zip64(field)
		case extraNTFS:
			rec.ntfs(field)
		case extraTime:
			rec.unixTimes(field, central)
		case extraUnix:
			rec.unixIDs(field)
		case extraAES:
			if len(field) >= 7 {
				rec.aesVer, rec.strength, rec.method = int(le.Uint16(field)), int(field[4]), le.Uint16(field[5:])
			}
		}
	}
}

// zip64 takes the values that do not fit, in the order of the header.
func (rec *zipRecord) zip64(b []byte) {
	for _, v := range []*int64{&rec.size, &rec.packed, &rec.at} {
		if *v != 1<<32-1 {
			continue
		}
		if len(b) < 8 {
			return
		}
		*v, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	}
}

// filetime is a time in 100 ns since 1601 UTC; 0 says nothing.
func filetime(b []byte) stamp {
	v := binary.LittleEndian.Uint64(b)
	if v == 0 || v >= 1<<63 {
		return stamp{}
	}
	sec := int64(v/10_000_000) - 11_644_473_600
	return stamp{time.Unix(sec, int64(v%10_000_000)*100).UTC(), true}
}

// ntfs takes attribute 1 of the NTFS field: modified, accessed, created.
func (rec *zipRecord) ntfs(b []byte) {
	le := binary.LittleEndian
	if len(b) < 4 {
		return
	}
	for b = b[4:]; len(b) >= 4; {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if n > len(b)-4 {
			return
		}
		if id == 1 && n >= 24 {
			rec.modified, rec.accessed, rec.born = filetime(b[4:]), filetime(b[12:]), filetime(b[20:])
		}
		b = b[4+n:]
	}
}

// unixTimes takes an extended timestamp. In the directory it has the time of
// modification only, whatever its flags say.
func (rec *zipRecord) unixTimes(b []byte, central bool) {
	if len(b) == 0 {
		return
	}
	flags := b[0]
	b = b[1:]
	for i, s := range []*stamp{&rec.modified, &rec.accessed, &rec.born} {
		if flags&(1<<i) == 0 || central && i > 0 {
			continue
		}
		if len(b) < 4 {
			return
		}
		if !s.ok { // the NTFS field is more exact
			*s = stamp{time.Unix(int64(int32(binary.LittleEndian.Uint32(b))), 0).UTC(), true}
		}
		b = b[4:]
	}
}

func (rec *zipRecord) unixIDs(b []byte) {
	if len(b) < 3 || b[0] != 1 {
		return
	}
	uid, rest, ok := sized(b[1:])
	if !ok {
		return
	}
	if gid, _, ok := sized(rest); ok {
		rec.uid, rec.gid, rec.ids = uid, gid, true
	}
}

// sized reads a number with its length in front.
func sized(b []byte) (v uint32, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) || b[0] > 4 {
		return 0, nil, false
	}
	n := int(b[0])
	for i := n; i > 0; i-- {
		v = v<<8 | uint32(b[i])
	}
	return v, b[1+n:], true
}

// merge takes what only the local header states.
func (rec *zipRecord) merge(local *zipRecord) {
	for _, s := range []struct {
		to   *stamp
		from stamp
	}{{&rec.modified, local.modified}, {&rec.accessed, local.accessed}, {&rec.born, local.born}} {
		if !s.to.ok {
			*s.to = s.from
		}
	}
	if !rec.ids && local.ids {
		rec.uid, rec.gid, rec.ids = local.uid, local.gid, true
	}
	if rec.strength == 0 {
		rec.strength, rec.aesVer = local.strength, local.aesVer
		if local.strength != 0 {
			rec.method = local.method
		}
	}
}

// local time of a DOS date, which has no zone and a grain of two seconds; ""
// for none.
func dosTime(date, clock uint16) string {
	year, month, day := 1980+int(date>>9), time.Month(date>>5&15), int(date&31)
	hour, minute, second := int(clock>>11), int(clock>>5&63), 2*int(clock&31)
	t := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	if date == 0 || t.Month() != month || t.Day() != day || t.Hour() != hour || t.Minute() != minute || t.Second() != second {
		return ""
	}
	if year == 1980 && month == 1 && day == 1 && clock == 0 { // what writers put for "none"
		return ""
	}
	return t.Format(LocalLayout)
}

// LocalLayout is how Entry.Local is written.
const LocalLayout = "2006-01-02T15:04:05"

// Systems that made an entry, and whose attributes have a mode (4.4.2).
const (
	madeByUnix   = 3
	madeByDarwin = 19
)

func (rec *zipRecord) entry(body int64) *Entry {
	e := &Entry{
		Name: rec.name, Size: rec.size, Packed: rec.packed, Offset: body, Method: methodName(rec.method),
		Modified: rec.modified.t, Accessed: rec.accessed.t, Born: rec.born.t,
		Local: dosTime(rec.date, rec.clock),
	}
	if rec.flags&flagSealed != 0 {
		e.Sealed = "ZipCrypto"
		if rec.strength > 0 {
			e.Sealed = []string{"", "AES-128", "AES-192", "AES-256"}[min(rec.strength, 3)]
		}
	}
	if rec.ids {
		e.Known |= KnowsIDs
		e.UID, e.GID = rec.uid, rec.gid
	}
	if by := rec.version >> 8; by == madeByUnix || by == madeByDarwin {
		if mode := rec.attributes >> 16; mode&0o170000 != 0 {
			e.Mode, e.Known = mode, e.Known|KnowsMode
			// What was zipped from standard input is called a FIFO, and has content.
			if e.Type = typeOf(mode); e.Type == Device && rec.packed > 0 {
				e.Type = File
			}
		}
	}
	if strings.HasSuffix(rec.name, "/") || rec.version>>8 == 0 && rec.attributes&0x10 != 0 {
		e.Type = Dir
	}
	return e
}

// typeOf says what the type bits of a mode stand for.
func typeOf(mode uint32) Type {
	switch mode & 0o170000 {
	case 0o040000:
		return Dir
	case 0o120000:
		return Symlink
	case 0o020000, 0o060000, 0o010000, 0o140000:
		return Device
	}
	return File
}
