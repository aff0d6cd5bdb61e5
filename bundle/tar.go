package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// tarBlock is the unit of tar: headers fill one, content is padded to it.
const tarBlock = 512

// maxPax bounds the extended header of one member. Ours hold at most a name,
// a time and four sparse records.
const maxPax = 8 << 10

// maxSize bounds a member: sums of offsets then stay within 64 bits.
const maxSize = 1 << 61

// entry is one member of the tar: what its header says.
type entry struct {
	name   string
	size   int64     // bytes after the header, a sparse map included
	mtime  time.Time // nanoseconds kept
	sparse bool      // GNU.sparse 1.0
	real   int64     // size of a sparse file with its holes
}

// appendHeader writes the header blocks of a member: a ustar header (POSIX.1
// pax), preceded by an extended header where ustar cannot hold the name, the
// time or the size. Go's archive/tar drops GNU.sparse records, hence our own.
// The bytes follow from the entry alone, so that a verifier can demand them.
func appendHeader(dst []byte, e *entry) []byte {
	name, prefix := e.name, ""
	var pax []byte
	if e.sparse {
		// GNU tar's convention for readers that do not know the extension.
		name = path.Dir(e.name) + "/GNUSparseFile.0/" + path.Base(e.name)
		pax = appendPax(pax, "GNU.sparse.major", "1")
		pax = appendPax(pax, "GNU.sparse.minor", "0")
		pax = appendPax(pax, "GNU.sparse.name", e.name)
		pax = appendPax(pax, "GNU.sparse.realsize", strconv.FormatInt(e.real, 10))
	}
	sec := e.mtime.Unix()
	if sec < 0 || sec >= 1<<33 || e.mtime.Nanosecond() != 0 {
		pax = appendPax(pax, "mtime", paxTime(e.mtime))
		sec = min(max(sec, 0), 1<<33-1)
	}
	if len(name) > 100 {
		pax = appendPax(pax, "path", name)
		name = name[:100]
	}
	size := e.size
	if size >= 1<<33 {
		pax = appendPax(pax, "size", strconv.FormatInt(size, 10))
		size = 0
	}
	if len(pax) > 0 {
		dst = appendUstar(dst, "PaxHeaders/"+clipName(path.Base(name)), "", 'x', int64(len(pax)), 0)
		dst = pad(append(dst, pax...), len(pax))
	}
	return appendUstar(dst, name, prefix, '0', size, sec)
}

func clipName(s string) string { return s[:min(len(s), 80)] }

// pad appends zeros up to the next block after n bytes of content.
func pad(dst []byte, n int) []byte {
	var zero [tarBlock]byte
	return append(dst, zero[:-n&(tarBlock-1)]...)
}

// appendPax appends one extended header record: "length key=value\n", the
// length counting itself.
func appendPax(dst []byte, key, value string) []byte {
	n := len(key) + len(value) + 3
	size := n + len(strconv.Itoa(n))
	if len(strconv.Itoa(size)) != len(strconv.Itoa(n)) {
		size++
	}
	return fmt.Appendf(dst, "%d %s=%s\n", size, key, value)
}

// paxTime writes seconds since 1970 with the fraction that is there.
func paxTime(t time.Time) string {
	sec, nsec := t.Unix(), int64(t.Nanosecond())
	sign := ""
	if sec < 0 {
		// pax counts the fraction away from zero, Go upwards.
		sign = "-"
		if sec = -sec; nsec > 0 {
			sec, nsec = sec-1, 1e9-nsec
		}
	}
	if nsec == 0 {
		return fmt.Sprintf("%s%d", sign, sec)
	}
	return fmt.Sprintf("%s%d.%s", sign, sec, strings.TrimRight(fmt.Sprintf("%09d", nsec), "0"))
}

func appendUstar(dst []byte, name, prefix string, flag byte, size, mtime int64) []byte {
	var h [tarBlock]byte
	copy(h[0:100], name)
	copy(h[100:], "0000444\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	octal(h[124:136], size)
	octal(h[136:148], mtime)
	copy(h[148:], "        ")
	h[156] = flag
	copy(h[257:], "ustar\x0000")
	copy(h[345:500], prefix)
	var sum int64
	for _, c := range h {
		sum += int64(c)
	}
	octal(h[148:155], sum)
	return append(dst, h[:]...)
}

// octal fills a field with a number's digits, leading zeros and a NUL. Headers
// are made anew for every member that is read, so that it must be quick.
func octal(field []byte, n int64) {
	last := len(field) - 1
	for i := last - 1; i >= 0; i-- {
		field[i] = '0' + byte(n&7)
		n >>= 3
	}
	field[last] = 0
}

// errNotTar says that a block is no header this format allows.
var errNotTar = errors.New("not a tar header of this format")

// ustar is what one header block says.
type ustar struct {
	name  string
	flag  byte
	size  int64
	mtime int64
}

// parseUstar reads one header block. Only the fields that vary are read: that
// the rest is as it must be is checked by writing the header again.
func parseUstar(b []byte) (ustar, error) {
	var u ustar
	if len(b) < tarBlock || string(b[257:265]) != "ustar\x0000" {
		return u, errNotTar
	}
	name, _, _ := bytes.Cut(b[:100], []byte{0})
	u.name, u.flag = string(name), b[156]
	var err error
	if u.size, err = strconv.ParseInt(string(b[124:135]), 8, 64); err != nil || u.size < 0 {
		return u, errNotTar
	}
	if u.mtime, err = strconv.ParseInt(string(b[136:147]), 8, 64); err != nil || u.mtime < 0 {
		return u, errNotTar
	}
	return u, nil
}

// parseHeader reads the header of one member from the front of b and returns
// how many bytes it takes. need > len(b) asks for more bytes. A header that is
// not exactly what appendHeader writes is an error.
func parseHeader(b []byte) (e entry, need int, err error) {
	if len(b) < tarBlock {
		return e, tarBlock, nil
	}
	u, err := parseUstar(b)
	if err != nil {
		return e, 0, err
	}
	at := 0
	var pax []byte
	if u.flag == 'x' {
		if u.size == 0 || u.size > maxPax {
			return e, 0, fmt.Errorf("%w: extended header of %d bytes", errNotTar, u.size)
		}
		at = tarBlock + int(u.size+tarBlock-1)&^(tarBlock-1)
		if len(b) < at+tarBlock {
			return e, at + tarBlock, nil
		}
		pax = b[tarBlock : tarBlock+int(u.size)]
		if u, err = parseUstar(b[at:]); err != nil {
			return e, 0, err
		}
	}
	if u.flag != '0' {
		return e, 0, fmt.Errorf("%w: type flag %q", errNotTar, u.flag)
	}
	e = entry{name: u.name, size: u.size, mtime: time.Unix(u.mtime, 0).UTC()}
	if err := e.applyPax(pax); err != nil {
		return e, 0, err
	}
	need = at + tarBlock
	if !bytes.Equal(appendHeader(nil, &e), b[:need]) {
		return e, 0, fmt.Errorf("%w: header of %.80q is not in its one valid spelling", errNotTar, e.name)
	}
	return e, need, nil
}

// applyPax reads the records of an extended header.
func (e *entry) applyPax(pax []byte) error {
	for len(pax) > 0 {
		digits, _, ok := bytes.Cut(pax, []byte(" "))
		n, err := strconv.Atoi(string(digits))
		if !ok || err != nil || n <= len(digits)+1 || n > len(pax) || pax[n-1] != '\n' {
			return fmt.Errorf("%w: malformed extended header", errNotTar)
		}
		key, value, ok := strings.Cut(string(pax[len(digits)+1:n-1]), "=")
		if !ok {
			return fmt.Errorf("%w: malformed extended header", errNotTar)
		}
		pax = pax[n:]
		switch key {
		case "path":
			if !e.sparse {
				e.name = value
			}
		case "GNU.sparse.name":
			e.name = value
		case "GNU.sparse.major", "GNU.sparse.minor":
			e.sparse = true
		case "GNU.sparse.realsize":
			e.real, err = strconv.ParseInt(value, 10, 64)
		case "size":
			e.size, err = strconv.ParseInt(value, 10, 64)
		case "mtime":
			e.mtime, err = parsePaxTime(value)
		default:
			return fmt.Errorf("%w: unknown extended header %.40q", errNotTar, key)
		}
		if err != nil || e.size < 0 || e.real < 0 || e.size > maxSize || e.real > maxSize {
			return fmt.Errorf("%w: bad value of %s", errNotTar, key)
		}
	}
	return nil
}

func parsePaxTime(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, errNotTar
	}
	nsec, err := strconv.ParseInt(fraction+"000000000"[len(fraction):], 10, 64)
	if err != nil {
		return time.Time{}, errNotTar
	}
	if strings.HasPrefix(whole, "-") {
		nsec = -nsec
	}
	return time.Unix(sec, nsec).UTC(), nil
}

// dataRanges is the complement of the holes of an item: the ranges that are
// stored. The list of a file that ends in a hole ends with an empty range at
// its size, as GNU tar writes it.
func dataRanges(size int64, holes []evidence.Extent) []evidence.Extent {
	var list []evidence.Extent
	at := int64(0)
	for _, h := range holes {
		if h.Offset > at {
			list = append(list, evidence.Extent{Offset: at, Length: h.Offset - at})
		}
		at = h.Offset + h.Length
	}
	return append(list, evidence.Extent{Offset: at, Length: size - at})
}

// sparseMap is the GNU.sparse 1.0 map that precedes the stored ranges: their
// number, then offset and length of each, one decimal number a line, padded
// to a block.
func sparseMap(ranges []evidence.Extent) []byte {
	b := fmt.Appendf(nil, "%d\n", len(ranges))
	for _, r := range ranges {
		b = fmt.Appendf(b, "%d\n%d\n", r.Offset, r.Length)
	}
	return pad(b, len(b))
}

// alignHoles shrinks holes to whole tar blocks, drops what is left empty, and
// keeps the largest when there are more than a record may list. The end of the
// last hole may be the end of the file. What is no hole any more is stored as
// the zeros it is.
func alignHoles(holes []evidence.Extent, size int64) []evidence.Extent {
	var out []evidence.Extent
	end := int64(0)
	for _, h := range holes {
		from := max((h.Offset+tarBlock-1)&^(tarBlock-1), end)
		to := min(h.Offset+h.Length, size)
		if to != size {
			to &^= tarBlock - 1
		}
		if h.Offset < 0 || h.Length <= 0 || to <= from {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Offset+out[n-1].Length == from {
			out[n-1].Length += to - from
		} else {
			out = append(out, evidence.Extent{Offset: from, Length: to - from})
		}
		end = to
	}
	return largest(out, maxHoles)
}

// largest keeps the n longest ranges, in their order.
func largest(list []evidence.Extent, n int) []evidence.Extent {
	if len(list) <= n {
		return list
	}
	lengths := make([]int64, len(list))
	for i, e := range list {
		lengths[i] = e.Length
	}
	slices.Sort(lengths)
	least := lengths[len(lengths)-n]
	same := 0 // ranges of exactly that length which still fit
	for _, l := range lengths[len(lengths)-n:] {
		if l == least {
			same++
		}
	}
	out := make([]evidence.Extent, 0, n)
	for _, e := range list {
		if e.Length > least || (e.Length == least && same > 0) {
			if e.Length == least {
				same--
			}
			out = append(out, e)
		}
	}
	return out
}
