package collect

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// HeldBefore are the files whose content earlier, interrupted bundles of the
// same host hold. A file costs 24 bytes.
type HeldBefore struct {
	bundles []string // their UUIDs
	files   []heldFile
	sorted  bool
	Dropped int64 // found no room: they are taken again
}

type heldFile struct {
	key   [16]byte
	index uint32
	of    uint32 // bundles
}

// maxHeld bounds what is remembered: 100 MB.
const maxHeld = 4 << 20

// heldKey is of everything that changes when a file does, or becomes another.
func heldKey(path string, st *evidence.Stat) [16]byte {
	b := make([]byte, 0, 256)
	for _, n := range []int64{st.Size, st.Modified.UnixNano(), st.Changed.UnixNano(), st.Born.UnixNano(), int64(st.Inode)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(append(b, st.Dev...), 0), path...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// Begin announces the items of one more bundle.
func (h *HeldBefore) Begin() { h.bundles = append(h.bundles, "") }

// Add notes an item of the bundle begun last, if a later run may leave out
// its file: a whole regular file that did not change while it was read.
func (h *HeldBefore) Add(it evidence.Item) {
	if it.Kind != evidence.KindFile || fromKernel(it) || it.Changed || len(it.Unread) > 0 {
		return
	}
	if len(h.files) == maxHeld {
		h.Dropped++
		return
	}
	h.files = append(h.files, heldFile{heldKey(it.Path, it.Stat), uint32(it.Index), uint32(len(h.bundles) - 1)})
	h.sorted = false
}

// End ends the bundle begun last: it names it and forgets its items from an
// index on, for which nobody signed.
func (h *HeldBefore) End(bundle string, proven int64) {
	last := uint32(len(h.bundles) - 1)
	h.bundles[last] = bundle
	h.files = slices.DeleteFunc(h.files, func(f heldFile) bool { return f.of == last && int64(f.index) >= proven })
}

// Len returns how many files are held.
func (h *HeldBefore) Len() int { return len(h.files) }

// where says which item has the content of a file as it is now.
func (h *HeldBefore) where(path string, st *evidence.Stat) (string, bool) {
	if h == nil || len(h.files) == 0 {
		return "", false
	}
	key := heldKey(path, st)
	i, ok := slices.BinarySearchFunc(h.files, key, func(f heldFile, k [16]byte) int { return bytes.Compare(f.key[:], k[:]) })
	if !ok {
		return "", false
	}
	return fmt.Sprintf("item %d of bundle %s", h.files[i].index, h.bundles[h.files[i].of]), true
}

// ready sorts what was added.
func (h *HeldBefore) ready() {
	if h == nil || h.sorted {
		return
	}
	slices.SortFunc(h.files, func(a, b heldFile) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.of, b.of), cmp.Compare(a.index, b.index))
	})
	h.sorted = true
}

// describe says in a header what a run relies on.
func (h *HeldBefore) describe(to map[string]string) {
	if h == nil {
		return
	}
	to["resumes"] = strings.Join(h.bundles, ",")
	to["held_files"] = strconv.Itoa(len(h.files))
}
