package local

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// attrNode compares attributes, which are stored as JSON: one by its name, or
// all of them for free text. The JSON of a page is searched as one text, and
// only rows with a hit are taken apart.
type attrNode struct {
	always
	test   *timeline.Test
	key    []byte // `"name":`; nil for all attributes
	needle *needle
}

func newAttrNode(t *timeline.Test) *attrNode {
	n := &attrNode{test: t}
	if t.Field.Kind == timeline.FieldAttr {
		n.key = append(append(timeline.AppendEscaped([]byte{'"'}, t.Field.Name), '"'), ':')
		return n
	}
	n.needle = newNeedle(string(timeline.AppendEscaped(nil, literal(t))))
	return n
}

func (n *attrNode) cost() int {
	if n.key == nil && n.needle == nil {
		return 60
	}
	return 15
}

func (n *attrNode) filter(s *scan, in bitset) error {
	leaf := leavesBefore + attrsColumn
	if s.allNull(leaf) {
		clear(in)
		return nil
	}
	found := s.scratch()
	defer s.give(found)
	clear(found)
	err := s.pages(leaf, in, func(p *page, from, to int) error {
		if n.key != nil {
			n.searchKey(s, in, found, p, from, to)
			return nil
		}
		searchPage(s, in, found, p, from, to, n.needle, func(i, _ int) bool { return n.anyValue(p.text(i)) })
		return nil
	})
	copy(in, found)
	return err
}

func (n *attrNode) anyValue(json string) bool {
	var room [32]timeline.Attr
	attrs, _ := timeline.ParseAttrs(room[:0], json, "")
	for i := range attrs {
		if attrs[i].Value != "" && n.test.Text(attrs[i].Value) {
			return true
		}
	}
	return false
}

// searchKey looks for the name and tests the value after it.
func (n *attrNode) searchKey(s *scan, in, found bitset, p *page, from, to int) {
	first, last := valueSpan(p, s.lo+int64(from), s.lo+int64(to))
	if first >= last {
		return
	}
	end := int(p.offsets[last])
	i, row := first, int(s.lo+int64(from)-p.first)
	for at := int(p.offsets[first]); ; {
		hit := bytes.Index(p.data[at:end], n.key)
		if hit < 0 {
			return
		}
		at += hit
		for int(p.offsets[i+1]) <= at {
			i++
		}
		json := p.text(i)
		inside := at - int(p.offsets[i])
		at += len(n.key)
		value, ok := timeline.AttrValue(json, inside, len(n.key))
		if !ok || value == "" {
			continue
		}
		row = p.rowOf(i, row)
		if r := row + int(p.first-s.lo); in.has(r) && n.test.Text(value) {
			found.set(r)
			at = int(p.offsets[i+1])
		}
	}
}
