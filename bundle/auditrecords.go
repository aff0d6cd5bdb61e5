package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// manifest checks one batch of records against the members they describe.
func (a *audit) manifest(name string, b []byte) {
	number, ok := batchOf(name)
	if !ok || number < a.batches || (number > a.batches && !a.gaps) {
		a.report.altered(name, a.at, "batch of records is out of order")
		return
	}
	if a.owed && !a.gaps {
		a.report.altered(name, a.at, "batch of records follows another without a checkpoint")
	}
	a.batches, a.owed = number+1, true
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines = lines[:len(lines)-1]
	if len(lines) == 0 || len(lines)%2 != 0 || b[len(b)-1] != '\n' {
		a.report.altered(name, a.at, "batch does not hold whole records")
		return
	}
	if number == 0 {
		a.firstBatch(lines)
	}
	a.hash.wait() // for the digests of all that stands before
	first, at := int64(-1), a.off
	var ahead []parsed
	for i := 0; i < len(lines); i += 2 {
		if i%(2*parsedAhead) == 0 {
			ahead = a.parseAhead(ahead, lines[i:min(i+2*parsedAhead, len(lines))])
		}
		r, leaf, err := a.twoLines(lines[i], lines[i+1], &ahead[i/2%parsedAhead])
		if err == nil {
			err = a.place(r.item.Index)
		}
		if err != nil {
			a.report.altered(name, at, err.Error())
			return
		}
		if first < 0 {
			first = r.item.Index
		}
		a.leaves = append(a.leaves, leaf)
		a.lineAt = append(a.lineAt, at)
		at += int64(len(lines[i]) + len(lines[i+1]))
		a.record(r)
	}
	if a.plain > 0 && !a.gaps {
		// A batch holds the records of all that stands before it.
		a.report.altered(name, a.at, fmt.Sprintf("%d members before this batch have no record", a.plain))
	}
	a.rows = append(a.rows, row{first, int64(len(lines) / 2), a.off, a.cur.size, number})
}

// parsed is a record and its leaf, read beside others. Erased ones are not:
// what they are depends on the records before.
type parsed struct {
	record *record
	leaf   evidence.Digest
	err    error
}

// parsedAhead is how many records are read at a time.
const parsedAhead = 512

// parseAhead reads the lines of up to parsedAhead records.
func (a *audit) parseAhead(into []parsed, lines [][]byte) []parsed {
	n := len(lines) / 2
	into = slices.Grow(into[:0], n)[:n]
	a.hash.each(n, 64, func(from, to int) {
		for i := from; i < to; i++ {
			content, meta := lines[2*i], lines[2*i+1]
			into[i] = parsed{}
			if !blankLine(content) {
				r, err := parseRecord(content, meta)
				into[i] = parsed{r, LeafHash(content, meta), err}
			}
		}
	})
	return into
}

// place makes room for the next record: after a gap records may be missing.
func (a *audit) place(index int64) error {
	next := int64(len(a.leaves))
	if index < next || index >= leafLimit || (index > next && !a.gaps) {
		return fmt.Errorf("record %d stands where %d belongs", index, next)
	}
	for ; next < index; next++ {
		a.leaves = append(a.leaves, evidence.Digest{})
		a.lineAt = append(a.lineAt, -1)
		a.report.LostRecords++
	}
	return nil
}

// firstBatch checks the header against the copy before it and the members it
// names.
func (a *audit) firstBatch(lines [][]byte) {
	if a.headerData != nil && !bytes.Equal(a.headerData, bytes.Join(lines[:2], nil)) {
		a.report.altered(headerMember, a.at, "header.json is not what the manifest says")
	}
	if a.headerData == nil && !a.gaps {
		a.report.altered(headerMember, a.at, "header.json is missing")
	}
	r, err := parseRecord(lines[0], lines[1])
	if err != nil {
		return // reported with the batch
	}
	if a.header, a.key, a.sshKey, err = parseHeaderRecord(r); err != nil {
		a.report.altered(headerMember, a.at, err.Error())
		return
	}
	for name, sum := range a.fixed {
		if a.header.Members[name] != sum.String() {
			a.report.altered(name, 0, "member is not the one the header names")
		}
	}
	a.beginning()
	for name := range a.header.Members {
		if _, ok := a.fixed[name]; !ok && !a.gaps {
			a.report.altered(name, 0, "the header names this member, but it is missing")
		}
	}
	if !a.header.Started.Truncate(time.Second).Equal(a.stamp) {
		a.report.altered(headerMember, 0, "members do not carry the time of the header")
	}
	if a.pub != nil && !bytes.Equal(a.pub, CollectorPub(a.sshKey)) {
		a.report.altered(keyMember, 0, "public key is not the one the header names")
	}
	pem, err := collectorPEM(a.key)
	if sum, ok := a.fixed[pemMember]; ok && (err != nil || sum != evidence.Sum(pem)) {
		a.report.altered(pemMember, 0, "public key is not the one the header names")
	}
}

// record checks one record against its member.
func (a *audit) record(r *record) {
	it := &r.item
	if it.Kind == evidence.KindErased {
		a.erasedItem(it)
		return
	}
	a.report.Records++
	if a.report.Kinds == nil {
		a.report.Kinds = map[string]int64{}
	}
	if kind := string(it.Kind); a.report.Kinds[kind] > 0 || len(a.report.Kinds) < maxKinds && len(kind) <= maxKinds {
		a.report.Kinds[kind]++
	} else {
		a.report.Kinds["other"]++
	}
	switch {
	case it.Kind == evidence.KindTrailer:
		t := new(Trailer)
		if json.Unmarshal(r.body, t) != nil || a.trailer != nil {
			a.report.altered("", a.at, "trailer is malformed or there twice")
			return
		}
		a.trailer, a.trailerAt = t, it.Index
		return
	case a.trailer != nil:
		a.report.altered("", a.at, fmt.Sprintf("record %d follows the trailer", it.Index))
	case (it.Kind == evidence.KindHeader) != (it.Index == 0):
		a.report.altered("", a.at, fmt.Sprintf("record %d is of kind %s", it.Index, clip(string(it.Kind))))
	}
	if !it.Kind.HasContent() {
		return
	}
	a.keys = append(a.keys, nameKey(it.Member)<<24|uint64(it.Index+1))
	a.unread(it)
	p := a.take(r)
	err := a.matches(r, p)
	if err == nil {
		a.report.Contents++
		a.report.ContentBytes += it.Size
		if a.sound != nil {
			a.sound(*it)
		}
		return
	}
	a.broken(r, err)
}

// unread counts what the collector could not read. A hostile record may claim
// any length; no more than the item has is counted.
func (a *audit) unread(it *evidence.Item) {
	if len(it.Unread) == 0 {
		return
	}
	left := max(it.Size, 0)
	for _, u := range it.Unread {
		n := min(max(u.Length, 0), left)
		a.report.UnreadBytes += n
		left -= n
	}
	a.report.UnreadItems++
}

// take returns what passed by for a record and forgets it. It is nil when
// there was nothing.
func (a *audit) take(r *record) *passed {
	name := r.item.Member
	if len(r.segs) == 0 {
		p := a.taken(name)
		if p != nil {
			p.settle()
		}
		return p
	}
	whole := &passed{off: -1, single: true}
	sums := a.joined[name]
	delete(a.joined, name)
	for n, s := range r.segs {
		key := segmentName(name, n)
		p := a.taken(key)
		if p == nil {
			return nil
		}
		whole.bad = whole.bad || p.bad || p.off != s.Offset || p.size != s.Length || n > 0 && !p.mtime.Equal(whole.mtime)
		whole.size += p.size
		whole.mtime = p.mtime
	}
	whole.stored = whole.size
	if sums == nil {
		return nil
	}
	sums.end()
	a.hash.wait()
	whole.sums = sums
	whole.settle()
	if whole.size < BlockMin {
		whole.blocks = evidence.Digest{}
	}
	return whole
}

// matches compares a record with the member that passed by.
func (a *audit) matches(r *record, p *passed) error {
	it := &r.item
	block := a.blocks[it.Index]
	delete(a.blocks, it.Index)
	want := time.Time{}
	if p != nil {
		want = r.modified(a.header.Started)
	}
	switch {
	case p == nil:
		return fmt.Errorf("content is missing")
	case p.bad:
		return fmt.Errorf("content is damaged")
	case !p.single || p.off != r.off || p.size != it.Size || p.stored != it.Stored:
		return fmt.Errorf("content is not where the record has it, or of another size")
	case p.sum != it.SHA256:
		return fmt.Errorf("content was changed: its SHA-256 is not the recorded one")
	case !slices.Equal(p.holes, it.Holes):
		return fmt.Errorf("holes differ from the recorded ones")
	case a.key != nil && !p.mtime.Equal(want):
		return fmt.Errorf("time of the member is not the recorded one")
	case r.blkRoot != p.blocks && !(r.blkRoot.IsZero() && len(it.Holes) > 0):
		return fmt.Errorf("digests of the blocks do not belong to the content")
	case !r.blkRoot.IsZero() && !a.gaps && (block == nil || block.root != r.blkRoot):
		return fmt.Errorf("list of blocks is missing or differs")
	case r.blkRoot.IsZero() && block != nil:
		return fmt.Errorf("list of blocks that the record does not have")
	}
	return nil
}

// lookAgain reads the content of a record straight from where the record has
// it. Behind a damaged place the walk may have missed what is whole.
func (a *audit) lookAgain(r *record) lookResult {
	if !a.gaps {
		return lookChanged
	}
	if a.again == nil {
		a.again = newFrameCache(a.frames.r, nil)
	}
	a.again.frames = a.frames.frames
	for _, p := range r.pieces() {
		if p.tar < 0 || p.length < 0 || p.tar > a.at-p.length {
			return lookChanged
		}
		if a.frames.lostIn(p.tar, p.length) {
			return lookLost
		}
	}
	// Records of an honest bundle share no bytes, those of a hostile one may
	// all claim the same.
	if a.looked += r.item.Stored; a.looked > a.at {
		a.looked = a.at
		return lookChanged
	}
	if !r.item.SumsStored {
		if a.zerosAgain += r.item.Size - r.item.Stored; a.zerosAgain > maxExpansion {
			a.zerosAgain = maxExpansion
			return lookChanged
		}
	}
	sum, err := r.sum(a.ctx, a.again)
	switch {
	case err != nil:
		return lookLost
	case sum != r.item.SHA256:
		return lookChanged
	}
	return lookWhole
}

// sum is the SHA-256 that the record of an item must state: of its content, or
// of its stored ranges alone where its digests leave holes out.
func (r *record) sum(ctx context.Context, tar io.ReaderAt) (evidence.Digest, error) {
	h := evidence.NewHash()
	if !r.item.SumsStored {
		_, err := io.Copy(h, cancelled{ctx, r.content(tar)})
		return evidence.DigestOf(h), err
	}
	for _, p := range r.pieces() {
		if _, err := io.Copy(h, cancelled{ctx, newContent(tar, p.length, []piece{{0, p.length, p.tar}})}); err != nil {
			return evidence.Digest{}, err
		}
	}
	return evidence.DigestOf(h), nil
}

// cancelled ends reading when its context ends.
type cancelled struct {
	ctx context.Context //nolint:containedctx // one reading
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// lookResult is what lookAgain found.
type lookResult int

const (
	lookChanged lookResult = iota
	lookLost
	lookWhole
)

// lostIn reports whether a tar range touches a frame that could not be decoded.
func (f *frameWalk) lostIn(off, n int64) bool {
	i := sort.Search(len(f.bad), func(i int) bool {
		b := f.frames.at(int(f.bad[i]))
		return b.tar+int64(b.plain) > off
	})
	return i < len(f.bad) && f.frames.at(int(f.bad[i])).tar < off+n
}

// Bounds of what is kept until the end, and of the kinds that are counted.
const (
	maxNotes = 1 << 17
	maxNote  = 512 // bytes of a checkpoint
	maxKinds = 64
)

// checkpoint keeps a checkpoint for the time when all leaves are known.
func (a *audit) checkpoint(name string, b []byte) {
	if !a.gaps && (!a.owed || name != checkpointMember(a.batches-1)) {
		a.report.altered(name, a.at, "checkpoint is out of order")
	}
	a.owed = false
	if len(a.notes) == maxNotes || len(b) > maxNote {
		a.report.altered(name, a.at, "too many checkpoints, or one too long")
		return
	}
	a.notes = append(a.notes, passedNote{name, b, int64(len(a.leaves)), !a.gaps})
}

// broken notes an item whose content is not what its record says.
func (a *audit) broken(r *record, why error) {
	it := &r.item
	again := a.lookAgain(r)
	if again == lookWhole {
		a.report.Contents++
		a.report.ContentBytes += it.Size
		return
	}
	path := plainText(it.Path[:min(len(it.Path), maxShown)])
	f := ItemFinding{Index: it.Index, Member: it.Member, Path: path, Detail: why.Error(), span: span64(r.pieces())}
	a.report.broken(f, again == lookLost)
}
