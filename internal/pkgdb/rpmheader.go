package pkgdb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"
)

// RpmHeader is the header of one package as rpm's databases hold it
// (rpm, lib/header.c and docs/manual/format.md): two numbers, how many entries
// and how many bytes of data; entries of 16 bytes - tag, type, offset into the
// data, count -; the data. All numbers are big-endian.
type RpmHeader struct {
	Package
	entries map[uint32]rpmEntry
	data    []byte
}

type rpmEntry struct{ typ, offset, count uint32 }

// The tags that are read (rpm, include/rpm/rpmtag.h).
const (
	rpmName          = 1000
	rpmVersion       = 1001
	rpmRelease       = 1002
	rpmEpoch         = 1003
	rpmInstallTime   = 1008
	rpmArch          = 1022
	rpmOldFileNames  = 1027
	rpmFileStates    = 1029
	rpmFileModes     = 1030
	rpmFileDigests   = 1035
	rpmFileFlags     = 1037
	rpmFileVerify    = 1045
	rpmDirIndexes    = 1116
	rpmBaseNames     = 1117
	rpmDirNames      = 1118
	rpmFileDigestAlg = 5011
)

// The types of entries, and the size of one element; 0: strings that end with
// a zero byte.
const (
	rpmChar        = 1
	rpmInt8        = 2
	rpmInt16       = 3
	rpmInt32       = 4
	rpmString      = 6
	rpmStringArray = 8
	rpmI18NString  = 9
)

// Flags of files (rpmfiles.h).
const (
	rpmFlagConfig    = 1 << 0
	rpmFlagMissingOK = 1 << 3
	rpmFlagGhost     = 1 << 6
	rpmVerifyDigest  = 1 << 0
	rpmStateNormal   = 0
)

const (
	maxRpmEntries = 1 << 16 // as rpm has it (hdrchkTags)
	maxRpmDirs    = 1 << 18
	maxRpmText    = 1 << 10 // bytes of a name, a version, an architecture
	maxRpmPath    = 4096    // as the system has it (PATH_MAX)
	// rpmPaths bounds the paths of a header, all together, by its length: a
	// folder stands in it once for all its files.
	rpmPaths = 32
)

var errRpmHeader = errors.New("no header of a package")

// ParseRpmHeader reads a header; it keeps blob.
func ParseRpmHeader(blob []byte) (*RpmHeader, error) {
	if len(blob) < 8 {
		return nil, errRpmHeader
	}
	n, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if n == 0 || n > maxRpmEntries || int64(n)*16+int64(size)+8 > int64(len(blob)) {
		return nil, errRpmHeader
	}
	h := &RpmHeader{entries: map[uint32]rpmEntry{}, data: blob[8+n*16 : 8+n*16+size]}
	for i := range n {
		e := blob[8+i*16:]
		// What was added when it was installed comes last and overrules.
		h.entries[binary.BigEndian.Uint32(e)] = rpmEntry{
			binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:]),
		}
	}
	if h.Name = h.text(rpmName); h.Name == "" {
		return nil, fmt.Errorf("%w: it has no name", errRpmHeader)
	}
	h.Version, h.Arch = h.text(rpmVersion), h.text(rpmArch)
	release := h.text(rpmRelease)
	if max(len(h.Name), len(h.Version), len(h.Arch), len(release)) > maxRpmText {
		return nil, fmt.Errorf("%w: its name is longer than any", errRpmHeader)
	}
	if release != "" {
		h.Version += "-" + release
	}
	if epoch, ok := h.ints(rpmEpoch, rpmInt32).at(0); ok {
		h.Version = fmt.Sprintf("%d:%s", epoch, h.Version)
	}
	if at, ok := h.ints(rpmInstallTime, rpmInt32).at(0); ok {
		h.Installed = time.Unix(int64(at), 0)
	}
	return h, nil
}

// Files tells every file, link and device of the package, not its folders.
// bad counts entries that are not readable, foreign digests of a hash that is
// not compared here: such files are told without one. Of a file that is not
// as the package has it by intention - a ghost, one that another package
// replaced or that the administrator left out - no digest is told.
func (h *RpmHeader) Files(each func(File)) (bad, foreign int) {
	names, old := h.strings(rpmBaseNames), false
	if names.left == 0 { // before rpm 4 they were whole paths
		names, old = h.strings(rpmOldFileNames), true
	}
	var dirs []string
	for list := h.strings(rpmDirNames); len(dirs) < maxRpmDirs; {
		dir, ok := list.next()
		if !ok {
			break
		}
		dirs = append(dirs, string(dir))
	}
	digests := h.strings(rpmFileDigests)
	at, modes, flags := h.ints(rpmDirIndexes, rpmInt32), h.ints(rpmFileModes, rpmInt16), h.ints(rpmFileFlags, rpmInt32)
	verify, states := h.ints(rpmFileVerify, rpmInt32), h.ints(rpmFileStates, rpmChar)
	algo, known := h.algo()
	room := rpmPaths*len(h.data) + maxRpmPath
	for i := 0; ; i++ {
		base, ok := names.next()
		if ok && room < 0 {
			names.left++
		}
		if !ok || room < 0 {
			return bad + int(min(names.left, math.MaxInt32)), foreign
		}
		text, _ := digests.next()
		dir := ""
		if !old {
			n, ok := at.at(i)
			if !ok || int64(n) >= int64(len(dirs)) {
				bad++
				continue
			}
			dir = dirs[n]
		}
		if len(dir)+len(base) > maxRpmPath {
			bad++
			continue
		}
		full := dir + string(base)
		room -= len(full)
		name, ok := clean(full)
		if !ok {
			bad++
			continue
		}
		mode, _ := modes.at(i)
		flag, _ := flags.at(i)
		state, _ := states.at(i)
		if mode&0o170000 == 0o040000 {
			continue
		}
		f := File{Path: name, Config: flag&rpmFlagConfig != 0, Optional: flag&(rpmFlagMissingOK|rpmFlagGhost) != 0 || state != rpmStateNormal}
		if what, ok := verify.at(i); ok {
			f.Varies = what&rpmVerifyDigest == 0
		}
		if mode&0o170000 == 0o100000 && len(text) > 0 && flag&rpmFlagGhost == 0 && state == rpmStateNormal {
			digest, err := hex.DecodeString(string(text))
			switch {
			case !known:
				foreign++
			case err != nil || len(digest) != algo.Size():
				bad++
			default:
				f.Algo, f.Digest = algo, digest
			}
		}
		each(f)
	}
}

// algo is the hash of the digests, by the numbers of RFC 4880, 9.4; without
// one it is MD5. known is false for one that is not compared.
func (h *RpmHeader) algo() (algo Algo, known bool) {
	switch n, ok := h.ints(rpmFileDigestAlg, rpmInt32).at(0); {
	case !ok || n == 1:
		return MD5, true
	case n == 2:
		return SHA1, true
	case n == 8:
		return SHA256, true
	}
	return NoDigest, false
}

// text is a tag that is one string, or the first of several languages.
func (h *RpmHeader) text(tag uint32) string {
	list := h.strings(tag)
	s, _ := list.next()
	return string(s)
}

// rpmStrings are strings one after the other.
type rpmStrings struct {
	data []byte
	left uint32 // that are claimed and were not told
}

func (h *RpmHeader) strings(tag uint32) rpmStrings {
	e, ok := h.entries[tag]
	if !ok || int64(e.offset) > int64(len(h.data)) || e.typ != rpmString && e.typ != rpmStringArray && e.typ != rpmI18NString {
		return rpmStrings{}
	}
	if e.typ == rpmString {
		e.count = 1
	}
	return rpmStrings{h.data[e.offset:], e.count}
}

// next returns one; ok is false after the last, and where the data ends before
// it.
func (s *rpmStrings) next() (text []byte, ok bool) {
	if s.left == 0 {
		return nil, false
	}
	end := bytes.IndexByte(s.data, 0)
	if end < 0 {
		return nil, false
	}
	text, s.data = s.data[:end], s.data[end+1:]
	s.left--
	return text, true
}

// rpmInts are numbers of 1, 2 or 4 bytes.
type rpmInts struct {
	data  []byte
	width int
}

func (h *RpmHeader) ints(tag, typ uint32) rpmInts {
	width := map[uint32]int{rpmChar: 1, rpmInt8: 1, rpmInt16: 2, rpmInt32: 4}[typ]
	e, ok := h.entries[tag]
	if !ok || e.typ != typ || int64(e.offset)+int64(e.count)*int64(width) > int64(len(h.data)) {
		return rpmInts{}
	}
	return rpmInts{h.data[e.offset : int(e.offset)+int(e.count)*width], width}
}

func (n rpmInts) at(i int) (uint32, bool) {
	if n.width == 0 || (i+1)*n.width > len(n.data) {
		return 0, false
	}
	b := n.data[i*n.width:]
	switch n.width {
	case 1:
		return uint32(b[0]), true
	case 2:
		return uint32(binary.BigEndian.Uint16(b)), true
	}
	return binary.BigEndian.Uint32(b), true
}
