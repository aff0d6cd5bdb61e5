package local

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// unset is the event of a row that is null in every column.
var unset = func() (e timeline.Event) {
	for i := range schema {
		if s := &schema[i]; s.int != nil {
			*s.int(&e) = timeline.None
		}
	}
	e.TSState, _ = timeline.ParseTimeState("")
	return e
}()

// event builds the event of a row. What it returns shares nothing with the
// pages.
func (a *access) event(row int64, sources map[string]*timeline.Source) (e *timeline.Event, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
	}()
	e = new(timeline.Event)
	*e = unset
	if e.ID, err = a.id(idLeaf, row); err != nil {
		return nil, err
	}
	if e.ContentID, err = a.id(contentLeaf, row); err != nil {
		return nil, err
	}
	attrs, types := "", ""
	for _, i := range a.seg.filled {
		s := &schema[i]
		switch {
		case s.int != nil:
			if *s.int(e), err = a.int(leavesBefore+i, row); err != nil {
				return nil, err
			}
			continue
		case s.source != nil && i != sourceColumn:
			continue
		}
		text, err := a.text(leavesBefore+i, row)
		if err != nil {
			return nil, err
		}
		switch {
		case s.text != nil:
			*s.text(e) = text
		case i == sourceColumn:
			e.Source = sources[text]
		case s.special == specialState:
			e.TSState, _ = timeline.ParseTimeState(text)
		case s.special == specialFlags:
			e.Flags = timeline.ParseFlags(text)
		case s.special == specialAttrs:
			attrs = text
		default:
			types = text
		}
	}
	var room []timeline.Attr
	if len(types) > 0 {
		room = make([]timeline.Attr, 0, len(types)) // one letter for each
	}
	if e.Attrs, err = timeline.ParseAttrs(room, attrs, types); err != nil {
		return nil, err
	}
	return e, nil
}

// int returns an integer of a row, None for null.
func (a *access) int(leaf int, row int64) (int64, error) {
	if a.allNull(leaf) {
		return timeline.None, nil
	}
	p, err := a.page(leaf, row)
	if err != nil {
		return 0, err
	}
	if i := p.value(row); i >= 0 {
		return p.ints[i], nil
	}
	return timeline.None, nil
}

// text returns a copy of a text of a row, "" for null.
func (a *access) text(leaf int, row int64) (string, error) {
	if a.allNull(leaf) {
		return "", nil
	}
	p, err := a.page(leaf, row)
	if err != nil {
		return "", err
	}
	i := p.value(row)
	switch {
	case i < 0:
		return "", nil
	case p.size > 0:
		return hex.EncodeToString(p.fixed[i*p.size : (i+1)*p.size]), nil
	}
	if p.dict != nil {
		return p.dict.copy(p.codes[i]), nil
	}
	return strings.Clone(p.text(i)), nil
}
