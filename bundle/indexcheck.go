package bundle

import (
	"errors"
	"fmt"
	"slices"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// indexes derives the indexes and the locator from what was read and compares.
// A reader that is led astray by them would find less than is there.
func (c *conclusion) indexes() {
	r := c.report
	if r.Prefix && !c.recovery || c.gaps || c.notBundle {
		return
	}
	for _, name := range []string{rowsMember, namesMember, locatorMember} {
		if _, ok := c.hashes[name]; !ok {
			r.altered(name, 0, "member is missing")
			return
		}
	}
	if err := c.checkRows(); err != nil {
		r.altered(rowsMember, 0, err.Error())
	}
	keys := slices.DeleteFunc(c.keys, func(k uint64) bool { return c.recovery && int64(k&(1<<24-1)) > c.proven })
	slices.Sort(keys)
	h := evidence.NewHash()
	for i, k := range keys {
		if i > 0 && keys[i-1]>>24 == k>>24 {
			r.altered(namesMember, 0, fmt.Sprintf("records %d and %d have one member name", keys[i-1]&(1<<24-1)-1, k&(1<<24-1)-1))
		}
		h.Write(fmt.Appendf(nil, "%010x %06x\n", k>>24, k&(1<<24-1)-1))
	}
	if evidence.DigestOf(h) != c.hashes[namesMember] {
		r.altered(namesMember, 0, "member index does not fit the records")
	}
	c.checkLocator()
}

// checkRows checks that the rows of the manifest index cover all records.
func (c *conclusion) checkRows() error {
	rows, err := parseRows(c.members[rowsMember], c.tar.pos, false)
	if err != nil {
		return err
	}
	var text []byte
	for _, w := range rows {
		text = fmt.Appendf(text, "%d %d %d %d %d\n", w.leaf, w.count, w.off, w.size, w.batch)
	}
	if evidence.Sum(text) != c.hashes[rowsMember] {
		return errors.New("manifest index is not in its one valid spelling")
	}
	covered := int64(0)
	batch := 0
	for _, w := range rows {
		end := w.leaf + w.count
		for batch < len(c.rows) && c.rows[batch].leaf+c.rows[batch].count <= w.leaf {
			batch++
		}
		if batch == len(c.rows) || end > c.rows[batch].leaf+c.rows[batch].count {
			return fmt.Errorf("row of record %d is not in one batch", w.leaf)
		}
		b := c.rows[batch]
		stop := b.off + b.size
		if end < b.leaf+b.count {
			stop = c.lineAt[end]
		}
		if w.off != c.lineAt[w.leaf] || w.off+w.size != stop || w.batch != b.batch {
			return fmt.Errorf("row of record %d does not fit the manifest", w.leaf)
		}
		covered = end
	}
	if want := int64(len(c.lineAt)); covered != want && !(c.recovery && covered == c.proven) {
		return fmt.Errorf("manifest index covers %d records of %d", covered, want)
	}
	return nil
}

// checkLocator compares the locator with where things are.
func (c *conclusion) checkLocator() {
	last := "seal"
	if _, ok := c.where[last]; !ok {
		last = "checkpoint"
	}
	text := []byte("exhibit-locator 1\n")
	for _, what := range []string{"recovery", "leaves", "manifest-index", "member-index", last} {
		p, ok := c.where[what]
		if !ok && what == "recovery" {
			continue
		}
		text = fmt.Appendf(text, "%s %d %d\n", what, p.off, p.size)
	}
	if evidence.Sum(text) != c.hashes[locatorMember] || c.last != locatorMember {
		c.report.altered(locatorMember, 0, "locator does not fit the members, or is not the last")
	}
}
