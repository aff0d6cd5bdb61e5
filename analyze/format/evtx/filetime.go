package evtx

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// ticks per second of a FILETIME.
const ticks = 10_000_000

// appendFiletime writes RFC 3339 with seven digits of a second. What is no
// time that can be written is left as its number.
func appendFiletime(dst []byte, filetime uint64) []byte {
	if filetime > math.MaxInt64 {
		return strconv.AppendUint(dst, filetime, 10)
	}
	t := time.Unix(int64(filetime/ticks)-epoch/ticks, int64(filetime%ticks)*100).UTC()
	if t.Year() > 9999 {
		return strconv.AppendUint(dst, filetime, 10)
	}
	return appendTime(dst, t, 7)
}

// appendSystemTime writes a SYSTEMTIME: year, month, day of week, day, hour,
// minute, second, milliseconds, u16 each.
func appendSystemTime(dst, b []byte) []byte {
	var v [8]int
	for i := range v {
		v[i] = int(binary.LittleEndian.Uint16(b[2*i:]))
	}
	if v[0] < 1601 || v[0] > 9999 || v[1] < 1 || v[1] > 12 || v[3] < 1 || v[3] > 31 || v[4] > 23 || v[5] > 59 || v[6] > 60 || v[7] > 999 {
		return appendHex(dst, b)
	}
	t := time.Date(v[0], time.Month(v[1]), v[3], v[4], v[5], v[6], v[7]*1e6, time.UTC)
	return appendTime(dst, t, 3)
}

// appendTime writes t with so many digits of a second.
func appendTime(dst []byte, t time.Time, digits int) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	fraction := t.Nanosecond()
	for range 9 - digits {
		fraction /= 10
	}
	return append(appendDigits(append(dst, '.'), fraction, digits), 'Z')
}

func appendDigits(dst []byte, n, digits int) []byte {
	at := len(dst)
	for range digits {
		dst = append(dst, '0')
	}
	for i := at + digits - 1; i >= at; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}
