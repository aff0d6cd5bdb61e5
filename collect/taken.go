package collect

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// taken remembers which files are in the bundle, so that definitions that
// overlap and hard links do not store content twice. A file costs it about 32
// bytes, whatever its path: in a table of fingerprints, in parts that grow one
// at a time, so that growing never holds the whole table twice.
type taken struct {
	mu   sync.Mutex
	salt [16]byte // nobody can choose files whose fingerprints meet
	set  bool
	part [256]takenTable
}

// dataSize is what of a file is data: holes cost nothing.
func dataSize(st *evidence.Stat) int64 { return min(st.Size, st.Blocks*512) }

// takenKey is the head of a SHA-256 of what tells files apart, the salt
// included: for two of a million files to have the same, the odds are one in
// 10^17. It is never zero.
type takenKey [3]uint32

// takenFile is the item that has the content.
type takenFile struct {
	index uint32
	part  uint32 // the bundle among those of the run
	name  uint32 // hash of its path: only to word the ledger, never to leave out content
}

// takenSlot is a place in a takenTable, free when its key is zero.
type takenSlot struct {
	key  takenKey
	file takenFile
}

// takenTable is a hash table with open addressing.
type takenTable struct {
	slots []takenSlot
	used  int
}

// at returns the place of a key, or the free one it would take.
func (t *takenTable) at(k takenKey) *takenSlot {
	for i := int(k[1]) % len(t.slots); ; i = (i + 1) % len(t.slots) {
		if s := &t.slots[i]; s.key == k || s.key == (takenKey{}) {
			return s
		}
	}
}

func (t *takenTable) get(k takenKey) (takenFile, bool) {
	if len(t.slots) == 0 {
		return takenFile{}, false
	}
	s := t.at(k)
	return s.file, s.key == k
}

func (t *takenTable) put(k takenKey, file takenFile) {
	if t.used >= len(t.slots)*6/7 {
		old := t.slots
		t.slots = make([]takenSlot, len(old)+max(len(old)/3, 8))
		for _, s := range old {
			if s.key != (takenKey{}) {
				*t.at(s.key) = s
			}
		}
	}
	s := t.at(k)
	if s.key != k {
		t.used++
	}
	*s = takenSlot{k, file}
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
	first, ok = t.part[byte(k[0])].get(k)
	return first, ok && first.name == t.nameOf(it), ok
}

// add notes an item with content; the first of a file counts, and of what the
// kernel makes anew for each reader the last.
func (t *taken) add(it evidence.Item, part uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.key(it)
	if _, again := t.part[byte(k[0])].get(k); again && !fromKernel(it) {
		return
	}
	t.part[byte(k[0])].put(k, takenFile{index: uint32(it.Index), part: part, name: t.nameOf(it)})
}

// nameOf is a hash of the path.
func (t *taken) nameOf(it evidence.Item) uint32 {
	sum := sha256.Sum256(append(t.salt[:len(t.salt):len(t.salt)], it.Path...))
	return binary.LittleEndian.Uint32(sum[:])
}
