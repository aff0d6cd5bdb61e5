package bundle

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Limits of member names. 200 bytes leave room for what file systems with a
// limit of 255 bytes, and our own suffixes, add to a component.
const (
	maxComponent = 200
	maxName      = 1024
)

// safeByte reports whether a byte stands for itself in a member name: it has
// no meaning to shells, to Windows, to terminals or to any path syntax.
func safeByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("._-+=@,", c) >= 0
}

// MemberName returns the inert member name for a path read through source:
// files/<source>/<path>, every byte outside the safe set percent-encoded,
// reserved and overlong components replaced. It is always ASCII, relative and
// free of "." and ".." components. The writer adds a suffix where two paths
// would meet in one name.
func MemberName(source, path string) string {
	if source == "" {
		source = "file"
	}
	name := "files/" + inertComponent(source)
	empty := true
	for component := range strings.SplitSeq(path, "/") {
		if component != "" {
			name += "/" + inertComponent(component)
			empty = false
		}
		if len(name) > maxName-64 {
			sum := evidence.Sum([]byte(path))
			return name[:min(len(name), 700)] + "~/~" + hex.EncodeToString(sum[:16])
		}
	}
	if empty {
		name += "/%2F"
	}
	return name
}

func inertComponent(raw string) string {
	out := make([]byte, 0, len(raw)+8)
	for i := range len(raw) {
		c := raw[i]
		dots := c == '.' && (i == len(raw)-1 || raw == ".." || looksSegmented(raw, i))
		if !safeByte(c) || dots || (i == 0 && (windowsReserved(raw) || c == '-')) {
			out = fmt.Appendf(out, "%%%02X", c)
		} else {
			out = append(out, c)
		}
	}
	if len(out) <= maxComponent {
		return string(out)
	}
	cut := 160
	for n := 1; n <= 2; n++ { // not inside an escape
		if out[cut-n] == '%' {
			cut -= n
			break
		}
	}
	sum := evidence.Sum([]byte(raw))
	return string(out[:cut]) + "~" + hex.EncodeToString(sum[:8])
}

// looksSegmented reports whether a name ends, from byte i, as the numbered
// members of a segmented item do: only those may be called so.
func looksSegmented(raw string, i int) bool {
	return len(raw)-i == len(".seg00000") && strings.EqualFold(raw[i:i+4], ".seg")
}

// segmentName is the name of the n-th member of a segmented item.
func segmentName(name string, n int) string { return fmt.Sprintf("%s.seg%05d", name, n) }

// windowsReserved reports whether Windows takes a name for a device, whatever
// its extension.
func windowsReserved(raw string) bool {
	base, _, _ := strings.Cut(raw, ".")
	base = strings.ToLower(strings.TrimRight(base, " "))
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	if len(base) == 4 && (base[:3] == "com" || base[:3] == "lpt") {
		return base[3] >= '0' && base[3] <= '9'
	}
	return false
}

// inertName reports whether a member name found in a bundle is one that this
// format allows below files/.
func inertName(name string) bool {
	if len(name) > maxName || !strings.HasPrefix(name, "files/") {
		return false
	}
	for component := range strings.SplitSeq(name, "/") {
		if component == "" || component[len(component)-1] == '.' || len(component) > 255 {
			return false
		}
		for i := range len(component) {
			if c := component[i]; !safeByte(c) && c != '%' && c != '~' {
				return false
			}
		}
		if windowsReserved(component) {
			return false
		}
	}
	return true
}

// nameKey is the first 40 bits of the SHA-256 of a member name in lower case:
// what the member index sorts by, and what detects names that would meet on a
// file system that ignores case.
func nameKey(name string) uint64 {
	sum := evidence.Sum([]byte(strings.ToLower(name)))
	return binary.BigEndian.Uint64(sum[:8]) >> 24
}

// nameTable is the set of taken names. One 64-bit word an entry holds the key
// in its upper 40 bits and the leaf index in its lower 24, so that a million
// names cost at most 16 MB and the table itself becomes the member index.
type nameTable struct {
	slots []uint64
	used  int
}

// Marks in place of a leaf index.
const (
	leafLimit   = 1<<24 - 4 // leaves a bundle can hold
	leafFolder  = 1<<24 - 2 // the name is a folder above a member
	leafPending = 1<<24 - 3 // the name is a member whose record is not written
)

func (t *nameTable) find(key uint64) *uint64 {
	if len(t.slots) == 0 {
		return nil
	}
	for i := key % uint64(len(t.slots)); ; i = (i + 1) % uint64(len(t.slots)) {
		if s := &t.slots[i]; *s == 0 || *s>>24 == key {
			return s
		}
	}
}

// get returns the leaf or mark of a key.
func (t *nameTable) get(key uint64) (leaf uint32, ok bool) {
	s := t.find(key)
	if s == nil || *s == 0 {
		return 0, false
	}
	return uint32(*s&(1<<24-1)) - 1, true
}

// put sets the leaf or mark of a key.
func (t *nameTable) put(key uint64, leaf uint32) {
	if t.used >= len(t.slots)*4/5 {
		t.grow()
	}
	s := t.find(key)
	if *s == 0 {
		t.used++
	}
	*s = key<<24 | uint64(leaf+1)
}

func (t *nameTable) grow() {
	old := t.slots
	t.slots = make([]uint64, max(1024, len(old)*3/2))
	for _, s := range old {
		if s != 0 {
			*t.find(s >> 24) = s
		}
	}
}

// reserve takes a name for a new member, changed where it would meet another
// member, or a folder, on a file system that ignores case.
func (t *nameTable) reserve(name string, serial int64) string {
	for wish := name; !t.free(name); serial++ {
		folder, rest, _ := strings.Cut(strings.TrimPrefix(wish, "files/"), "/")
		if _, taken := t.get(nameKey(wish)); taken {
			name = fmt.Sprintf("%s~%x", wish, serial)
		} else {
			name = fmt.Sprintf("files/%s~%x/%s", folder, serial, rest)
		}
	}
	t.put(nameKey(name), leafPending)
	for i := strings.LastIndexByte(name, '/'); i > len("files"); i = strings.LastIndexByte(name[:i], '/') {
		key := nameKey(name[:i])
		if _, ok := t.get(key); ok {
			break
		}
		t.put(key, leafFolder)
	}
	return name
}

// free reports whether a name is not taken and no folder above it is a member.
func (t *nameTable) free(name string) bool {
	if _, taken := t.get(nameKey(name)); taken {
		return false
	}
	for i := strings.LastIndexByte(name, '/'); i > len("files"); i = strings.LastIndexByte(name[:i], '/') {
		leaf, ok := t.get(nameKey(name[:i]))
		if ok {
			return leaf == leafFolder
		}
	}
	return true
}
