package bundle

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Removal is one erasure in a report.
type Removal struct {
	Order      string          `json:"order"` // as the statement has it
	Reason     string          `json:"reason"`
	By         string          `json:"by"` // who erased, by the statement's word
	At         time.Time       `json:"at"`
	Key        string          `json:"key"`              // that signed the statement
	Signer     string          `json:"signer,omitempty"` // whose key that is; empty: nobody known
	FromSHA256 string          `json:"from_sha256"`      // of the file that was erased from
	FromSize   int64           `json:"from_size"`
	Items      []RemovedRecord `json:"items"`
}

// RemovedRecord is a record that an erasure took out.
type RemovedRecord struct {
	Leaf     int64  `json:"leaf"`
	Path     string `json:"path,omitempty"` // where the metadata line is kept
	Member   string `json:"member,omitempty"`
	Metadata bool   `json:"metadata"` // the metadata line was erased, too
}

// erasedSeen is what is left of an erased record.
type erasedSeen struct {
	meta         evidence.Digest // of the metadata line; zero: blank
	path, member string
}

// twoLines reads one record and its leaf, which is not known yet where it was
// erased: the statement at the end of the bundle has it.
func (a *audit) twoLines(content, meta []byte, ahead *parsed) (*record, evidence.Digest, error) {
	if !blankLine(content) {
		return ahead.record, ahead.leaf, ahead.err
	}
	leaf := int64(len(a.leaves))
	if !blankLine(meta) && a.gaps {
		r := new(record)
		if err := parseMetaLine(meta, r); err == nil {
			leaf = r.item.Index // records before it may be lost
		}
	}
	if leaf == 0 || len(a.erased) >= maxErased {
		return nil, evidence.Digest{}, errors.New("header, or too many records, are erased")
	}
	r, err := parseErased(leaf, content, meta)
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	seen := &erasedSeen{path: plainText(r.item.Path[:min(len(r.item.Path), maxShown)]), member: r.item.Member}
	if !blankLine(meta) {
		seen.meta = evidence.Sum(meta)
	}
	a.erased[leaf] = seen
	return r, evidence.Digest{}, nil
}

// erasedItem counts an erased record, and keeps the name under which the
// member index goes on to have it.
func (a *audit) erasedItem(it *evidence.Item) {
	if a.trailer != nil {
		a.report.altered("", a.at, fmt.Sprintf("record %d follows the trailer", it.Index))
	}
	if it.Member != "" {
		a.keys = append(a.keys, nameKey(it.Member)<<24|uint64(it.Index+1))
	}
	delete(a.blocks, it.Index)
}

// filling checks the bytes in the place of what was erased: they are zeros.
func (a *audit) filling(p []byte) {
	for len(p) > 0 {
		n := min(len(p), len(zeros))
		if string(p[:n]) != string(zeros[:n]) {
			a.report.altered(a.cur.name, a.at, "what stands for an erased item is not zero")
			a.skip = true
			return
		}
		p = p[n:]
	}
}

// filler notes a member in the place of what was erased.
func (a *audit) filler(name string) {
	leaf, n, ok := erasedLeaf(name)
	if !ok || n != a.fillers[leaf] && !a.gaps || len(a.fillers) >= maxErased && n == 0 {
		a.report.altered(name, a.at, "member in the place of an erased item is out of order")
		return
	}
	a.fillers[leaf] = n + 1
}

// erasureMember keeps a statement or its signature until the end.
func (a *audit) erasureMember(name string, b []byte) {
	want := erasureMember(a.said / 2)
	if a.said%2 == 1 {
		want += ".sig"
	}
	if name != want || a.said >= 2*maxErasures || len(b) > maxErasure {
		a.report.altered(name, a.at, "statement of an erasure is out of order or too long")
		return
	}
	a.said++
	a.members[name] = b
}

// erasures fills in the leaves of erased records. What is blank without a
// statement is an alteration, unless the end, which has it, is missing.
func (c *conclusion) erasures() {
	r := c.report
	if c.said == 0 && len(c.erased) == 0 && len(c.fillers) == 0 {
		return
	}
	list, err := readErasures(c.members)
	if err != nil {
		r.altered(erasurePrefix, 0, err.Error())
	}
	stated, err := erasedItems(list)
	if err != nil {
		r.altered(erasurePrefix, 0, err.Error())
	}
	open := r.Prefix || c.gaps || c.recovery
	c.removals = list
	r.ErasedItems = int64(len(stated))
	for _, leaf := range ascending(c.erased) {
		seen := c.erased[leaf]
		e := stated[leaf]
		switch {
		case e == nil && open:
			r.LostRecords++
			c.gaps = true
		case e == nil:
			r.altered("", 0, fmt.Sprintf("record %d was taken out, and no statement of an erasure says so", leaf))
		case e.Meta.IsZero() == seen.meta.IsZero():
			r.altered("", 0, fmt.Sprintf("of record %d another line was taken out than the statement says", leaf))
		case e.Meta.IsZero():
			c.leaves[leaf] = leafOf(e.Content, seen.meta)
		default:
			c.leaves[leaf] = leafOf(e.Content, e.Meta)
		}
	}
	for _, leaf := range ascending(stated) {
		if c.erased[leaf] == nil && !open {
			r.altered("", 0, fmt.Sprintf("a statement says that record %d was erased, and it is there", leaf))
		}
	}
	for leaf := range c.fillers {
		if stated[leaf] == nil && !open {
			r.altered(erasedPrefix, 0, "content was taken out, and no statement says so")
			break
		}
	}
	for _, e := range list {
		r.Erasures = append(r.Erasures, c.removal(e))
	}
}

// ascending lists leaves in order. It sorts them as the member index is
// sorted: the verifier has no room for another sort.
func ascending[V any](m map[int64]*V) []int64 {
	keys := make([]uint64, 0, len(m))
	for leaf := range m {
		keys = append(keys, uint64(leaf))
	}
	slices.Sort(keys)
	leaves := make([]int64, len(keys))
	for i, k := range keys {
		leaves[i] = int64(k)
	}
	return leaves
}

func (c *conclusion) removal(e signedErasure) Removal {
	m := Removal{
		Order: e.Order, Reason: e.Reason, By: e.By, At: e.At, Key: chainofcustody.Fingerprint(e.key),
		FromSHA256: e.FromSHA256.String(), FromSize: e.FromSize,
	}
	for _, it := range e.Items {
		rec := RemovedRecord{Leaf: it.Leaf, Metadata: !it.Meta.IsZero()}
		if seen := c.erased[it.Leaf]; seen != nil {
			rec.Path, rec.Member = seen.path, seen.member
		}
		m.Items = append(m.Items, rec)
	}
	return m
}

// erasuresOfSeal checks that the statements are about this seal, and that
// nothing changed since the last of them was signed.
func (c *conclusion) erasuresOfSeal() {
	r := c.report
	if len(c.removals) == 0 {
		return
	}
	open := r.Prefix || c.gaps || c.recovery
	for n, e := range c.removals {
		if r.Sealed && e.Seal != c.signed.ID {
			r.altered(erasureMember(n), 0, "statement is about another seal")
		}
	}
	state, detail := "ok", fmt.Sprintf("%d items are erased", r.ErasedItems)
	if last := c.removals[len(c.removals)-1]; open {
		state = "unknown"
	} else if err := c.kept(last.Erasure); err != nil {
		r.altered(erasurePrefix, 0, err.Error())
		state, detail = "failed", err.Error()
	}
	r.layer("erasures", state, detail)
}

// kept compares all of the tar before the seal with what an erasure states:
// what is left of erased records has no other proof.
func (c *conclusion) kept(e *Erasure) error {
	p := c.where["seal"]
	seal := &entry{name: sealMember, size: p.size, mtime: c.stamp}
	if p.off-int64(len(appendHeader(nil, seal))) != e.KeptSize {
		return errors.New("the bundle is not of the length that the erasure left")
	}
	h, left := evidence.NewHash(), e.KeptSize
	walk := newFrameWalk(c.walk.r, c.walk.size, c.walk.workers)
	err := walk.run(c.ctx, func(w walked) error {
		n := min(int64(len(w.data)), left)
		h.Write(w.data[:n])
		if left -= n; left == 0 {
			return errKept
		}
		return nil
	})
	if !errors.Is(err, errKept) || evidence.DigestOf(h) != e.Kept {
		return errors.New("something was changed since the last erasure")
	}
	return nil
}

var errKept = errors.New("all of it was read")

// erasers asks who stands for the erasures, and whether that holds without
// believing the time that they state.
func (c *conclusion) erasers() (known, timely bool) {
	known, timely = true, true
	may := c.opt.People
	if may == nil {
		may = c.trusted
	}
	now := time.Now()
	if c.opt.Now != nil {
		now = c.opt.Now()
	}
	for i, e := range c.removals {
		name, ok := may(e.key, e.At)
		if !ok {
			known = false
			continue
		}
		c.report.Erasures[i].Signer = plainText(name)
		if _, ok := may(e.key, now); !ok || e.At.After(now.Add(maxAhead)) {
			timely = false
		}
	}
	return known, timely
}

// maxAhead is how far the clock of who erased may be before that of who
// verifies.
const maxAhead = 24 * time.Hour

// erasureSentences say who took what out, and on what order.
func (c *conclusion) erasureSentences() {
	r := c.report
	if r.Verdict == Altered {
		return
	}
	for _, e := range r.Erasures {
		who := e.Signer
		if who == "" {
			who = fmt.Sprintf("somebody you do not know (key %s, who states to be %s)", e.Key, e.By)
		}
		r.say("%d items were erased by %s on %s, on this order: %s. Reason: %s.", len(e.Items), who, e.At.Format(time.DateOnly), e.Order, e.Reason)
	}
}

// erasureMembers are the statements as they were found.
func (c *conclusion) erasureMembers() []fixedMember {
	var list []fixedMember
	for n := range c.removals {
		name := erasureMember(n)
		list = append(list, fixedMember{name, c.members[name]}, fixedMember{name + ".sig", c.members[name+".sig"]})
	}
	return list
}
