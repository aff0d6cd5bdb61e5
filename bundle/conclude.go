package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// conclusion draws the verdict from what an audit gathered.
type conclusion struct {
	*audit
	walk *frameWalk
	tar  *tarWalk
	opt  VerifyOptions

	origin    string
	proven    int64  // leaves that a signed root covers
	signed    Seal   // the statement that covers them
	complete  bool   // the tar ends as it must
	confirmed bool   // somebody vouches for the seal itself
	trouble   string // with the collection order, in a sentence
	jobSays   string // what the job file tells, in a sentence
	rewritten bool   // it is not the bundle of a checkpoint that was kept elsewhere
	removals  []signedErasure
	stolen    bool // items were taken out by somebody unknown, and that is all that is wrong
}

func (c *conclusion) draw() {
	r := c.report
	c.container()
	c.explainLosses()
	c.identity()
	c.erasures()
	c.joinLeaves()
	c.checkpoints()
	c.sealed()
	c.erasuresOfSeal()
	c.held()
	c.ending()
	c.leftovers()
	c.indexes()
	c.count()
	c.contentsLayer()
	c.orders()
	c.job()
	c.settle()
	if len(r.AlteredList) > listLimit {
		r.AlteredList = r.AlteredList[:listLimit]
	}
}

// settle draws the verdict, again where the caller has more to go by then: all
// that it rests on stands, and the file is not read twice.
func (c *conclusion) settle() {
	r := c.report
	before := *r
	before.Layers, before.Sentences = slices.Clip(r.Layers), slices.Clip(r.Sentences)
	c.trust()
	for c.opt.Reconsider != nil && c.opt.Reconsider(r, &c.opt) {
		*r, c.confirmed, c.stolen = before, false, false
		c.trust()
	}
}

// container judges how the file and the tar end.
func (c *conclusion) container() {
	r := c.report
	c.complete = c.tar.zero == 2 && !c.tar.inside && len(c.tar.head) == 0 && !c.tar.broken
	r.Form = c.walk.form.String()
	if r.Form != "" && c.walk.end == endTable && c.tar.zero < 2 && !c.tar.broken && !c.notBundle {
		c.walk.end = endCut // nothing but the end of the tar marks the end of such a file
	}
	if r.Form != "" && c.walk.end != endTable && c.complete {
		c.walk.end = endBehind
	}
	switch c.walk.end {
	case endTable:
		if c.walk.table == nil || !c.walk.table.equal(c.walk.frames) {
			r.damage("", c.walk.endAt, "seek table does not fit the frames")
		}
		if !c.complete && !c.gaps && !c.notBundle {
			r.altered("", c.tar.pos, "tar has no proper end")
		}
	case endBehind:
		r.altered("", c.walk.endAt, "the file goes on behind the end of the bundle")
	case endCut:
		r.Prefix = true
	case endStray, endUnknown:
		r.damage("", c.walk.endAt, fmt.Sprintf("bytes from %d of the file on are no frames of a bundle", c.walk.endAt))
		c.gaps = true
	}
	switch {
	case r.Prefix:
		r.layer("container", "lost", fmt.Sprintf("the file ends early, at byte %d", c.walk.size))
	case r.damaged:
		r.layer("container", "failed", fmt.Sprintf("%d of %d frames cannot be decoded", len(c.walk.bad), c.walk.frames.len()))
	case r.Form != "":
		r.layer("container", "ok", "converted to "+r.Form+": not the file that was sealed, but its tar")
	default:
		r.layer("container", "ok", fmt.Sprintf("%d frames", c.walk.frames.len()))
	}
}

// recoveryStatement is exhibit/recovery.json: what Recover found and left out.
// Nobody signed it: it explains losses, it proves nothing.
type recoveryStatement struct {
	Format  int               `json:"format"`
	From    int64             `json:"from_size"` // size of the original file
	Verdict Verdict           `json:"verdict"`   // of the original
	Cut     bool              `json:"cut"`       // the end of the original was missing
	Lost    []evidence.Extent `json:"-"`
	Ranges  [][2]int64        `json:"lost"` // tar ranges filled with zeros
	Left    int64             `json:"left"` // tar bytes of a last member that was cut off
}

// explainLosses takes what a recovery says was lost for damage instead of
// alteration.
func (c *conclusion) explainLosses() {
	b, ok := c.members[recoveryMember]
	if !ok {
		return
	}
	var s recoveryStatement
	if strictJSON(b) != nil || json.Unmarshal(b, &s) != nil {
		c.report.altered(recoveryMember, 0, "statement of the recovery is malformed")
		return
	}
	end := int64(0)
	for _, l := range s.Ranges {
		if l[0] < end || l[1] <= 0 || l[1] > c.tar.pos-l[0] {
			c.report.altered(recoveryMember, 0, "statement of the recovery is malformed")
			return
		}
		end = l[0] + l[1]
		s.Lost = append(s.Lost, evidence.Extent{Offset: l[0], Length: l[1]})
	}
	if len(s.Lost) > 0 {
		c.gaps = true
		c.report.damaged = true
	}
	c.report.explain(s.Lost)
	c.report.Prefix = c.report.Prefix || s.Cut
}

// identity settles the run's key and origin; with the header lost, from the
// seal's own signature.
func (c *conclusion) identity() {
	r := c.report
	if c.key != nil {
		c.origin = OriginPrefix + c.header.Bundle
		r.Bundle, r.Case, r.Exhibit = c.header.Bundle, plainText(c.header.Case), plainText(c.header.Exhibit)
		r.Grade, r.Started, r.Continues = c.header.Grade, c.header.Started, plainText(c.header.Continues)
		r.Key = chainofcustody.Fingerprint(c.sshKey)
	} else if text, sig := c.members[sealMember], c.members[sshsigMember]; c.gaps && text != nil && sig != nil {
		s, err := ParseSeal(text)
		key, err2 := chainofcustody.Verify(chainofcustody.NamespaceSeal, text, sig)
		if err == nil && err2 == nil && strings.HasPrefix(s.Origin, OriginPrefix) {
			if ed, err := ed25519Key(key); err == nil {
				c.key, c.sshKey, c.origin = ed, key, s.Origin
				r.Bundle, r.Key = strings.TrimPrefix(s.Origin, OriginPrefix), chainofcustody.Fingerprint(key)
			}
		}
	}
}

// ending takes over what the trailer states, where a signature covers it.
func (c *conclusion) ending() {
	if r := c.report; c.trailer != nil && c.trailerAt < c.proven {
		r.Finished, r.Reason, r.Complete = c.trailer.Finished, plainText(c.trailer.Reason), c.trailer.Complete
	}
}

// joinLeaves fills in the leaves of lost records from leaves.txt.
func (c *conclusion) joinLeaves() {
	r := c.report
	if _, ok := c.where["leaves"]; !ok {
		if !r.Prefix && !c.gaps {
			r.altered(leavesMember, 0, "list of leaves is missing")
		}
		return
	}
	for i := c.agreed; i < min(c.agreed+len(c.tail), len(c.leaves)); i++ {
		switch listed := c.tail[i-c.agreed]; {
		case c.leaves[i].IsZero():
			c.leaves[i] = listed
		case c.leaves[i] != listed:
			r.altered(leavesMember, 0, fmt.Sprintf("leaf %d is not that of its record", i))
			return
		}
	}
	if extra := c.agreed + len(c.tail) - len(c.leaves); extra > 0 && c.gaps {
		c.leaves = append(c.leaves, c.tail[len(c.leaves)-c.agreed:]...)
		r.LostRecords += int64(extra)
	} else if extra != 0 && (extra > 0 || !c.recovery) {
		r.altered(leavesMember, 0, "number of leaves is not that of the records")
	}
}

// checkpoints checks every signed checkpoint against the leaves before it.
func (c *conclusion) checkpoints() {
	r := c.report
	var t tree
	for _, n := range c.notes {
		s, err := c.statement(n.note)
		if err != nil {
			if c.key != nil {
				r.altered(n.name, 0, err.Error())
			}
			continue
		}
		// It may be an older or newer one of the same run in another's place.
		if s.Size < max(t.size, n.size) || n.exact && s.Size != n.size {
			r.altered(n.name, 0, "checkpoint is not that of the records before it")
			continue
		}
		switch ok, known := c.grow(&t, s.Size); {
		case !known && c.gaps:
			continue // its leaves are lost
		case !ok || t.root() != s.Root:
			r.altered(n.name, 0, "checkpoint does not agree with the records")
			continue
		}
		r.Checkpoints++
		c.proven, c.signed = s.Size, s
	}
	state := "ok"
	if r.Checkpoints < len(c.notes) || r.Checkpoints == 0 {
		state = "failed"
	}
	r.layer("checkpoints", state, fmt.Sprintf("%d of %d hold", r.Checkpoints, len(c.notes)))
}

// statement reads a signed note of this bundle.
func (c *conclusion) statement(note []byte) (Seal, error) {
	if c.key == nil {
		return Seal{}, fmt.Errorf("key of the run is not known")
	}
	s, err := parseNote(note, c.key)
	if err == nil && s.Origin != c.origin {
		err = fmt.Errorf("statement is of another bundle")
	}
	return s, err
}

// grow extends the tree to a size. known is false where leaves are missing.
func (c *conclusion) grow(t *tree, size int64) (ok, known bool) {
	if size > int64(len(c.leaves)) {
		return false, false
	}
	for t.size < size {
		leaf := c.leaves[t.size]
		if leaf.IsZero() {
			return false, false
		}
		t.add(leaf)
	}
	return true, true
}

// sealed checks the three members of the seal.
func (c *conclusion) sealed() {
	r := c.report
	text, note, sig := c.members[sealMember], c.members[noteMember], c.members[sshsigMember]
	if text == nil || note == nil || sig == nil {
		if !r.Prefix && !c.gaps {
			r.altered(sealMember, 0, "seal is missing")
		}
		r.layer("seal", "absent", "the bundle ends without its seal")
		return
	}
	if err := c.checkSeal(text, note, sig); err != nil {
		r.altered(sealMember, 0, err.Error())
		r.layer("seal", "failed", err.Error())
		return
	}
	if c.proven == int64(len(c.leaves)) && c.signed.Size == c.proven {
		r.Sealed = true
		r.layer("seal", "ok", "both signatures hold")
		return
	}
	r.layer("seal", "lost", "the signatures hold, but leaves are lost: the root cannot be computed")
}

func (c *conclusion) checkSeal(text, note, sig []byte) error {
	s, err := c.statement(note)
	if err != nil {
		return err
	}
	if !bytes.Equal(s.Text, text) {
		return fmt.Errorf("seal.txt and seal.note differ")
	}
	if err := c.sealedByRun(text, sig); err != nil {
		return err
	}
	var t tree
	ok, known := c.grow(&t, s.Size)
	if !known && c.gaps {
		return nil
	}
	if !ok || t.root() != s.Root || (s.Size != int64(len(c.leaves)) && !c.recovery) {
		return fmt.Errorf("seal does not agree with the records")
	}
	if err := c.checkCertSig(text); err != nil {
		return err
	}
	s.SSHSig = sig
	c.proven, c.signed = s.Size, s
	return nil
}

// sealedByRun checks the SSH signature over a seal.
func (c *conclusion) sealedByRun(text, sig []byte) error {
	key, err := chainofcustody.Verify(chainofcustody.NamespaceSeal, text, sig)
	if err != nil {
		return err
	}
	ed, err := ed25519Key(key)
	if err != nil || !bytes.Equal(ed, c.key) {
		return fmt.Errorf("seal was signed by another key than the run's")
	}
	// Of the two line lengths that signatures may have, a seal has one.
	if first := bytes.IndexByte(bytes.TrimPrefix(sig, []byte("-----BEGIN SSH SIGNATURE-----\n")), '\n'); first != 64 {
		return fmt.Errorf("signature of the seal is not in its one valid spelling")
	}
	return nil
}

// sealSignatures checks both SSH signatures over a seal.
func (c *conclusion) sealSignatures(text, sig []byte) error {
	if err := c.sealedByRun(text, sig); err != nil {
		return err
	}
	return c.checkCertSig(text)
}

// checkCertSig checks the seal's signature that carries the certificate: by
// the run's key, with the certificate that the header names, and there exactly
// where that is.
func (c *conclusion) checkCertSig(text []byte) error {
	sig := c.members[certSigMember]
	if (sig == nil) != (c.certificate == nil) {
		if c.gaps {
			return nil
		}
		return fmt.Errorf("certificate and the seal's signature with it do not go together")
	}
	if sig == nil {
		return nil
	}
	key, err := chainofcustody.Verify(chainofcustody.NamespaceSeal, text, sig)
	if err != nil {
		return fmt.Errorf("signature with the certificate: %w", err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || !bytes.Equal(ssh.MarshalAuthorizedKey(cert), c.certificate) || !bytes.Equal(cert.Key.Marshal(), c.sshKey.Marshal()) {
		return fmt.Errorf("the seal is signed with another certificate than the header names")
	}
	return nil
}

// leftovers judges members that no record describes.
func (c *conclusion) leftovers() {
	r := c.report
	open := r.Prefix || c.gaps
	r.Unsealed = int64(len(c.waiting))
	if open {
		return
	}
	for _, name := range sortedKeys(c.waiting) {
		r.altered(name, c.waiting[name].off, "member has no record")
	}
	if len(c.blocks) > 0 {
		r.altered(blocksPrefix, 0, "lists of blocks without a record")
	}
	if c.owed {
		r.altered(manifestPrefix, 0, "last records have no checkpoint")
	}
	if c.trailer == nil && len(c.leaves) > 0 {
		r.altered("", 0, "records have no trailer")
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// count settles how many records are proven.
func (c *conclusion) count() {
	r := c.report
	for i, at := range c.lineAt {
		switch {
		case at < 0, c.erased[int64(i)] != nil:
		case int64(i) < c.proven:
			r.Proven++
		default:
			r.Unproven++
		}
	}
	if c.proven > 0 {
		r.SealID, r.SealCode = c.signed.ID.String(), c.signed.Code()
	}
}

func (c *conclusion) contentsLayer() {
	r := c.report
	state := "ok"
	if r.DamagedItems > 0 {
		state = "lost"
	}
	if r.AlteredItems > 0 {
		state = "failed"
	}
	r.layer("contents", state, fmt.Sprintf("%d items, %d bytes agree with their records; %d damaged, %d altered",
		r.Contents, r.ContentBytes, r.DamagedItems, r.AlteredItems))
	state = "ok"
	if r.LostRecords > 0 {
		state = "lost"
	}
	if r.wrong {
		state = "failed"
	}
	r.layer("records", state, fmt.Sprintf("%d proven, %d unproven, %d lost", r.Proven, r.Unproven, r.LostRecords))
}
