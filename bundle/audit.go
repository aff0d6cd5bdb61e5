package bundle

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Limits of what an audit holds for a hostile bundle.
const (
	maxControl   = 32 << 20  // bytes of one member that is read as a whole
	maxMap       = 1 << 19   // bytes of the map of a sparse file: 8193 ranges
	maxWaiting   = 1 << 18   // members whose record has not come yet
	maxExpansion = 256 << 30 // bytes of holes to be summed as zeros: minutes
)

// audit checks the members of one bundle as they pass by. It holds 48 bytes a
// record and the members since the last manifest batch.
type audit struct {
	ctx    context.Context //nolint:containedctx // one verification
	report *Report
	sound  func(evidence.Item) // gets each item whose content is what its record says; nil: nobody asked
	hash   *hasher
	frames *frameWalk  // for looking again at what was damaged
	again  *frameCache // the same, made when first needed

	// The member passing by.
	cur     entry
	at, off int64 // tar offsets of its header and data
	damaged bool
	buf     []byte            // control members, and the map of a sparse file
	sums    *itemSums         // of content, and of members of the tail; nil: none so far
	one     []byte            // all bytes of a small item
	skip    bool              // what follows of the member does not matter any more
	ranges  []evidence.Extent // stored ranges of a sparse file still to come
	done    int64             // content bytes summed
	leftOut bool              // the digests leave holes out
	noMap   bool              // the map is none
	lines   int               // of the map so far

	waiting map[string]*passed   // content members without a record so far
	joined  map[string]*itemSums // running sums of segmented items
	blocks  map[int64]*blockFile // block lists without a record so far

	header      Header
	headerData  []byte // header.json
	key         ed25519.PublicKey
	sshKey      ssh.PublicKey
	fixed       map[string]evidence.Digest
	binding     []byte
	certificate []byte
	orderFile   []byte
	orderSig    []byte
	mandated    *chainofcustody.Order // verified; nil: none
	pub         []byte
	stamp       time.Time // mtime of the first member below exhibit/
	trailer     *Trailer
	trailerAt   int64 // its leaf

	leaves  []evidence.Digest // zero where the record was lost
	lineAt  []int64           // tar offset of each record; -1 where lost
	keys    []uint64          // name key and leaf of each member
	rows    []row             // intact batches, one row each
	batches int
	rank    int // of the members so far: their place in the format's order
	plain   int // members in waiting that are no segments
	notes   []passedNote
	owed    bool              // a batch waits for its checkpoint
	members map[string][]byte // small members of the tail
	agreed  int               // leaves of leaves.txt that are those of the records
	tail    []evidence.Digest // those behind them
	listed  []evidence.Digest // for reading them
	hashes  map[string]evidence.Digest
	where   map[string]place
	last    string // name of the last member that ended

	erased  map[int64]*erasedSeen // records whose lines are blank
	fillers map[int64]int         // members that stand where content was erased, by leaf
	said    int                   // members of statements of erasures

	zeros      int64          // bytes of holes summed
	looked     int64          // bytes looked at again
	zerosAgain int64          // bytes of holes summed again
	lastEnd    int64          // tar offset behind the last whole member
	torn       map[int64]bool // header offsets of members under exhibit/ that are damaged
	gaps       bool
	recovery   bool
	notBundle  bool
}

// passed is what was seen of a content member.
type passed struct {
	off    int64
	size   int64 // of the content, holes included
	stored int64
	sum    evidence.Digest
	blocks evidence.Digest
	sums   *itemSums // that sum and blocks come from; nil: sum is written directly, or both are there
	holes  []evidence.Extent
	mtime  time.Time
	bad    bool // part of it was lost
	single bool // a whole item, not a segment
}

type blockFile struct {
	root evidence.Digest
	n    int
}

// passedNote is a checkpoint as found.
type passedNote struct {
	name  string
	note  []byte
	size  int64 // leaves before it
	exact bool  // none of them was lost
}

func newAudit(ctx context.Context, report *Report, frames *frameWalk) *audit {
	return &audit{
		ctx: ctx, report: report, frames: frames, hash: newHasher(ctx, 0),
		waiting: map[string]*passed{}, joined: map[string]*itemSums{}, blocks: map[int64]*blockFile{},
		fixed: map[string]evidence.Digest{}, members: map[string][]byte{},
		hashes: map[string]evidence.Digest{}, where: map[string]place{}, torn: map[int64]bool{}, rank: -1,
		erased: map[int64]*erasedSeen{}, fillers: map[int64]int{},
	}
}

// begin implements tarVisitor.
func (a *audit) begin(e entry, at, data int64) {
	a.cur, a.at, a.off, a.damaged = e, at, data, false
	a.buf, a.sums, a.ranges, a.done = a.buf[:0], nil, nil, 0
	a.noMap, a.lines = false, 0
	a.one, a.skip = nil, false
	a.order(e.name, at)
	if !strings.HasPrefix(e.name, "files/") {
		if _, tail := tailNames[e.name]; tail {
			a.sums = a.hash.newItem(false)
		}
		a.stampOf(e)
		return
	}
	if _, _, segment := cutSegment(e.name); segment {
		a.sums = a.segmentSums(e.name)
	} else if e.sparse {
		a.sums = a.hash.newItem(e.real >= BlockMin && e.real <= blockLimit)
	}
}

// stampOf checks the time of members below exhibit/: all have the same.
func (a *audit) stampOf(e entry) {
	if a.stamp.IsZero() {
		a.stamp = e.mtime
	}
	if !e.mtime.Equal(a.stamp) || e.sparse {
		a.report.altered(e.name, a.at, "header of the member was changed")
	}
}

// cutSegment splits the name of a numbered member.
func cutSegment(name string) (base string, n int, ok bool) {
	i := len(name) - len(".seg00000")
	if i <= 0 || !strings.HasPrefix(name[i:], ".seg") {
		return name, 0, false
	}
	n, err := strconv.Atoi(name[i+4:])
	return name[:i], n, err == nil && segmentName(name[:i], n) == name
}

// segmentSums returns the running sums of the item a segment belongs to.
func (a *audit) segmentSums(name string) *itemSums {
	base, _, _ := cutSegment(name)
	d := a.joined[base]
	if d == nil {
		if len(a.joined) >= maxUnread {
			a.report.altered(name, a.at, "too many segmented items at once")
			return a.hash.newItem(false)
		}
		d = a.hash.newItem(true)
		a.joined[base] = d
	}
	return d
}

// data implements tarVisitor.
func (a *audit) data(p []byte) {
	switch {
	case a.skip:
	case strings.HasPrefix(a.cur.name, erasedPrefix):
		a.filling(p)
	case !strings.HasPrefix(a.cur.name, "files/"):
		if a.sums != nil {
			a.sums.write(p)
		}
		a.control(p)
	case a.cur.sparse:
		a.sparse(p)
	case a.sums == nil && int64(len(p)) == a.cur.size && a.cur.size < BlockMin:
		a.one = p // summed with others like it
	default:
		if a.sums == nil {
			a.sums = a.hash.newItem(a.cur.size >= BlockMin && a.cur.size <= blockLimit)
		}
		a.sums.write(p)
		a.done += int64(len(p))
	}
}

// control keeps the bytes of a member that is read as a whole, and leaves.txt
// as digests.
func (a *audit) control(p []byte) {
	if a.cur.name == namesMember {
		return // compared by its digest
	}
	if len(a.buf)+len(p) > maxControl {
		a.damaged = true
		a.report.altered(a.cur.name, a.at, "member is too long")
		a.skip, a.buf = true, nil
		return
	}
	a.buf = append(a.buf, p...)
	if a.cur.name == leavesMember && !a.damaged {
		whole := len(a.buf) / 65 * 65
		var err error
		a.listed, err = parseLeaves(a.listed[:0], a.buf[:whole])
		for _, d := range a.listed {
			// What the records say already is not kept twice.
			if n := len(a.leaves); len(a.tail) == 0 && a.agreed < n && a.leaves[a.agreed] == d {
				a.agreed++
			} else {
				a.tail = append(a.tail, d)
			}
		}
		// Only where records are lost can there be more leaves than were seen.
		if n := a.agreed + len(a.tail); err != nil || n > leafLimit || !a.gaps && !a.recovery && n > len(a.leaves) {
			a.damaged = true
			a.report.altered(leavesMember, a.at, "list of leaves is malformed or too long")
		}
		a.buf = append(a.buf[:0], a.buf[whole:]...)
	}
}

// lost implements tarVisitor.
func (a *audit) lost(int64) { a.damaged, a.gaps = true, true }

// gap implements tarVisitor.
func (a *audit) gap(at, n int64) {
	a.gaps = true
	a.report.damage("", at, fmt.Sprintf("%d bytes of the tar are lost", n))
}

// stray implements tarVisitor.
func (a *audit) stray(at int64, why string) { a.report.altered("", at, why) }

// finish implements tarVisitor.
func (a *audit) finish() {
	name := a.cur.name
	if strings.HasPrefix(name, "files/") {
		a.finishContent()
	} else if a.damaged {
		a.torn[a.at] = true
	} else {
		a.finishControl(name)
	}
	a.last = name
	a.lastEnd = a.off + (a.cur.size+tarBlock-1)&^(tarBlock-1)
}

// finishContent keeps what was seen of a content member until its record.
func (a *audit) finishContent() {
	name := a.cur.name
	p := &passed{off: a.off, size: a.cur.size, stored: a.cur.size, mtime: a.cur.mtime, bad: a.damaged}
	if a.waiting[name] != nil || !inertName(name) {
		a.report.altered(name, a.at, "member twice, or with a name that is not allowed")
		return
	}
	if len(a.waiting) >= maxWaiting {
		a.report.altered(name, a.at, "too many members without a record")
		return
	}
	_, _, segment := cutSegment(name)
	switch {
	case a.damaged || segment && a.cur.sparse:
		p.bad = true
	case a.cur.sparse:
		a.finishSparse(p)
	case !segment:
		p.single = true
		if a.sums == nil {
			a.hash.sum(a.one, &p.sum)
			break
		}
		p.sums = a.sums
		p.sums.end()
	}
	a.waiting[name] = p
	if !segment {
		a.plain++
	}
}

// taken gives what waits under a name, and forgets it.
func (a *audit) taken(name string) *passed {
	p := a.waiting[name]
	if p == nil {
		return nil
	}
	delete(a.waiting, name)
	if _, _, segment := cutSegment(name); !segment {
		a.plain--
	}
	return p
}

// settle fills in what was summed, once the hasher was waited for.
func (p *passed) settle() {
	if p.sums != nil {
		p.sum, p.blocks = p.sums.result()
		p.sums = nil
	}
}

func (a *audit) finishSparse(p *passed) {
	ranges, n, ok := parseSparseMap(a.buf, a.cur.real)
	if !ok || a.noMap || !bytes.Equal(a.buf[:n], sparseMap(ranges)) || (len(a.ranges) > 0 && a.ranges[0].Length > 0) {
		a.report.altered(a.cur.name, a.at, "map of the sparse file is malformed")
		p.bad = true
		return
	}
	a.hole(a.cur.real - a.done)
	p.single, p.size, p.holes = true, a.cur.real, holesOf(ranges, a.cur.real)
	p.off, p.stored = a.off+int64(n), a.cur.size-int64(n)
	p.sums = a.sums
	p.sums.end()
}

// finishControl handles a whole member below exhibit/.
func (a *audit) finishControl(name string) {
	b := bytes.Clone(a.buf)
	switch {
	case strings.HasPrefix(name, manifestPrefix):
		a.manifest(name, b)
	case strings.HasPrefix(name, checkPrefix):
		a.checkpoint(name, b)
	case strings.HasPrefix(name, blocksPrefix):
		a.blockFile(name, b)
	case strings.HasPrefix(name, lostPrefix):
		a.gaps = true
		a.report.damage(name, a.at, fmt.Sprintf("%d bytes were lost before the bundle was recovered", a.cur.size))
	case strings.HasPrefix(name, erasedPrefix):
		a.filler(name)
	case strings.HasPrefix(name, erasurePrefix):
		a.erasureMember(name, b)
	case name == headerMember:
		a.headerData = b
	case fixedName(name):
		a.fixedMember(name, b)
	default:
		a.tailMember(name, b)
	}
}

// fixedMember handles a member that the header names.
func (a *audit) fixedMember(name string, b []byte) {
	if _, dup := a.fixed[name]; dup || a.headerData != nil {
		a.report.altered(name, a.at, "member is not where the format has it")
	}
	a.fixed[name] = evidence.Sum(b)
	switch name {
	case bindingMember:
		a.binding = b
	case certMember:
		a.certificate = b
	case orderMember:
		a.orderFile = b
	case orderSigMember:
		a.orderSig = b
	case keyMember:
		a.pub = b
	}
}

// tailMember handles what follows the last checkpoint.
func (a *audit) tailMember(name string, b []byte) {
	what, ok := tailNames[name]
	if _, dup := a.where[what]; !ok || dup {
		a.report.altered(name, a.at, "member is not part of the format, or is there twice")
		return
	}
	if !ok {
		return // nothing is kept of what a hostile bundle may hold any number of
	}
	a.sums.end()
	a.hash.wait()
	a.hashes[name], _ = a.sums.result()
	if name == leavesMember && len(b) != 0 {
		a.report.altered(name, a.at, "list of leaves ends in the middle of a line")
	}
	if name == recoveryMember {
		a.recovery = true
	}
	a.where[what] = place{what, a.off, a.cur.size}
	if a.cur.size <= tailLimit {
		a.members[name] = b
	} else if name == rowsMember {
		a.members[name] = b
	}
}

// tailNames are the members of the tail, by the word that the locator uses.
var tailNames = map[string]string{
	leavesMember: "leaves", rowsMember: "manifest-index", namesMember: "member-index",
	sealMember: "seal", sshsigMember: "sshsig", noteMember: "note", locatorMember: "locator",
	recoveryMember: "recovery", recoveryNote: "checkpoint", certSigMember: "certsig",
}

// blockFile reads a list of block digests.
func (a *audit) blockFile(name string, b []byte) {
	digits := strings.TrimSuffix(strings.TrimPrefix(name, blocksPrefix), ".sha256")
	leaf, err := strconv.ParseInt(digits, 10, 64)
	list, err2 := parseLeaves(nil, b)
	if err != nil || err2 != nil || blocksMember(leaf) != name || len(a.blocks) > maxWaiting || a.blocks[leaf] != nil {
		a.report.altered(name, a.at, "list of blocks is malformed")
		return
	}
	a.blocks[leaf] = &blockFile{blockRoot(list), len(list)}
}
