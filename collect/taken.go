package collect

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// taken remembers which files are in the bundle, so that definitions that
// overlap and hard links do not store content twice. A file costs it 23 to 31
// bytes, whatever its path: in a table of fingerprints, in parts that grow one
// at a time, so that growing never holds the whole table twice.
//
// A part that is full forgets the older half of its files, those not asked for
// since: such a file is stored again when it is asked for again, which costs
// room, and loses nothing.
type taken struct {
	mu     sync.Mutex
	salt   [16]byte // nobody can choose files whose fingerprints meet
	set    bool
	forgot bool // a part was full
	part   [256]takenTable
}

// maxTakenSlots bounds each half of a part: all together take 6.6 MB at most,
// and remember the last 120,000 to 280,000 files.
const maxTakenSlots = 640

// dataSize is what of a file is data: holes cost nothing.
func dataSize(st *evidence.Stat) int64 { return min(st.Size, st.Blocks*512) }

// takenKey is the head of a SHA-256 of what tells files apart, the salt
// included: for two of a million files to have the same, the odds are one in
// 10^17. It is never zero.
type takenKey [3]uint32

// takenFile is the item that has the content.
type takenFile struct {
	number uint32 // of the record among all of the run: see parts
	name   uint32 // hash of its path: only to word the ledger, never to leave out content
}

// takenSlot is a place in a takenTable, free when its key is zero.
type takenSlot struct {
	key  takenKey
	file takenFile
}

// takenTable is a hash table with open addressing, in two generations: the
// older one is only read, and dropped when the younger one is full.
type takenTable struct {
	slots []takenSlot
	used  int
	old   []takenSlot
}

// slotOf returns the place of a key, or the free one it would take.
func slotOf(slots []takenSlot, k takenKey) *takenSlot {
	for i := int(k[1] % uint32(len(slots))); ; i = (i + 1) % len(slots) {
		if s := &slots[i]; s.key == k || s.key == (takenKey{}) {
			return s
		}
	}
}

// get returns the item of a key. forgot says that others were forgotten
// because this one has to be kept for longer.
func (t *takenTable) get(k takenKey) (file takenFile, ok, forgot bool) {
	if len(t.slots) > 0 {
		if s := slotOf(t.slots, k); s.key == k {
			return s.file, true, false
		}
	}
	if len(t.old) == 0 {
		return takenFile{}, false, false
	}
	s := slotOf(t.old, k)
	if s.key != k {
		return takenFile{}, false, false
	}
	file = s.file
	return file, true, t.put(k, file)
}

// put sets the item of a key and reports whether others were forgotten.
func (t *takenTable) put(k takenKey, file takenFile) (forgot bool) {
	if t.used >= len(t.slots)*6/7 {
		forgot = t.grow()
	}
	s := slotOf(t.slots, k)
	if s.key != k {
		t.used++
	}
	*s = takenSlot{k, file}
	return forgot
}

// grow makes room, where need be by forgetting the older generation.
func (t *takenTable) grow() (forgot bool) {
	if len(t.slots) >= maxTakenSlots {
		forgot = len(t.old) > 0
		t.old, t.slots, t.used = t.slots, make([]takenSlot, 8), 0
		return forgot
	}
	old := t.slots
	t.slots = make([]takenSlot, min(len(old)+max(len(old)/3, 8), maxTakenSlots))
	for _, s := range old {
		if s.key != (takenKey{}) {
			*slotOf(t.slots, s.key) = s
		}
	}
	return false
}

// fromKernel reports whether the file is one of procfs and the like, whose
// inode numbers mean nothing: they are told apart by their paths.
func fromKernel(it evidence.Item) bool { return it.Source == "proc" || it.Stat == nil }

// key is the fingerprint of a file: of its device, inode and time of birth,
// which tells it from an earlier one whose inode number it got, or of the path
// of one whose inode number means nothing.
func (t *taken) key(it evidence.Item) takenKey {
	if !t.set {
		t.set = true
		_, _ = rand.Read(t.salt[:]) // never fails
	}
	b := append(make([]byte, 0, 256), t.salt[:]...)
	if fromKernel(it) {
		b = append(append(b, 'p'), it.Path...)
	} else {
		b = binary.LittleEndian.AppendUint64(append(b, 'f'), it.Stat.Inode)
		born := int64(0)
		if !it.Stat.Born.IsZero() {
			born = it.Stat.Born.UnixNano()
		}
		b = append(binary.LittleEndian.AppendUint64(b, uint64(born)), it.Stat.Dev...)
	}
	sum := sha256.Sum256(b)
	return takenKey{
		binary.LittleEndian.Uint32(sum[:]), binary.LittleEndian.Uint32(sum[4:]), binary.LittleEndian.Uint32(sum[8:]) | 1,
	}
}

// find returns the item that has the content of this file already, and
// whether it was reached by the same path.
func (t *taken) find(it evidence.Item) (first takenFile, samePath, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.key(it)
	first, ok, forgot := t.part[byte(k[0])].get(k)
	t.forgot = t.forgot || forgot
	return first, ok && first.name == t.nameOf(it), ok
}

// add notes an item with content by its number in the run; the first of a file
// counts, and of what the kernel makes anew for each reader the last.
func (t *taken) add(it evidence.Item, number uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.key(it)
	part := &t.part[byte(k[0])]
	_, again, forgot := part.get(k)
	t.forgot = t.forgot || forgot
	if again && !fromKernel(it) {
		return
	}
	forgot = part.put(k, takenFile{number: number, name: t.nameOf(it)})
	t.forgot = t.forgot || forgot
}

// forgetful reports whether files were forgotten.
func (t *taken) forgetful() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.forgot
}

// bytes is what all of it takes.
func (t *taken) bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for i := range t.part {
		n += len(t.part[i].slots) + len(t.part[i].old)
	}
	return 20 * int64(n)
}

// nameOf is a hash of the path.
func (t *taken) nameOf(it evidence.Item) uint32 {
	sum := sha256.Sum256(append(t.salt[:len(t.salt):len(t.salt)], it.Path...))
	return binary.LittleEndian.Uint32(sum[:])
}
