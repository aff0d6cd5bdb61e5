package collect

import (
	"hash/maphash"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// taken remembers which files are in the bundle, so that definitions that
// overlap and hard links do not store content twice. A file costs it about 50
// bytes.
type taken struct {
	mu      sync.Mutex
	seed    maphash.Seed
	devices map[string]uint32
	files   map[takenKey]takenFile
	pseudo  map[string]takenFile
}

// dataSize is what of a file is data: holes cost nothing.
func dataSize(st *evidence.Stat) int64 { return min(st.Size, st.Blocks*512) }

// takenKey tells files apart. The time of birth tells a file from an earlier
// one whose inode number it got.
type takenKey struct {
	inode uint64
	born  int64
	dev   uint32 // index in devices
}

// takenFile is the item that has the content.
type takenFile struct {
	index uint32
	name  uint32 // hash of its path: only to word the ledger, never to leave out content
}

// fromKernel reports whether the file is one of procfs and the like, whose
// inode numbers mean nothing: they are told apart by their paths.
func fromKernel(it evidence.Item) bool { return it.Source == "proc" || it.Stat == nil }

func (t *taken) key(it evidence.Item) takenKey {
	if t.devices == nil {
		t.devices, t.files, t.pseudo = map[string]uint32{}, map[takenKey]takenFile{}, map[string]takenFile{}
		t.seed = maphash.MakeSeed()
	}
	if it.Stat == nil {
		return takenKey{}
	}
	dev, known := t.devices[it.Stat.Dev]
	if !known {
		dev = uint32(len(t.devices))
		t.devices[it.Stat.Dev] = dev
	}
	k := takenKey{inode: it.Stat.Inode, dev: dev}
	if !it.Stat.Born.IsZero() {
		k.born = it.Stat.Born.UnixNano()
	}
	return k
}

// find returns the index of the item that has the content of this file
// already, and whether it was reached by the same path.
func (t *taken) find(it evidence.Item) (index int64, samePath, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.key(it)
	first, ok := t.files[k]
	if fromKernel(it) {
		first, ok = t.pseudo[it.Path]
	}
	return int64(first.index), ok && first.name == t.nameOf(it), ok
}

// add notes an item with content; the first of a file counts.
func (t *taken) add(it evidence.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.key(it)
	file := takenFile{index: uint32(it.Index), name: t.nameOf(it)}
	if fromKernel(it) {
		t.pseudo[it.Path] = file
	} else if _, again := t.files[k]; !again {
		t.files[k] = file
	}
}

func (t *taken) nameOf(it evidence.Item) uint32 { return uint32(maphash.String(t.seed, it.Path)) }
