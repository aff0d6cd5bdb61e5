package journal

import "testing"

func TestSharedFieldsOfOneSlotAreNotMixedUp(t *testing.T) {
	var s shared
	first := int64(4096)
	other := first + 8
	for slot(other) != slot(first) {
		other += 8
	}
	a := Field{Name: []byte("A"), Value: []byte("one"), Offset: first}
	b := Field{Name: []byte("B"), Value: []byte("two"), Offset: other}
	s.put(first, &a)
	if s.get(first) != nil {
		t.Error("kept what was seen once")
	}
	s.put(first, &a)
	a.Value[0] = 'X' // the page it came from may go
	kept := s.get(first)
	if kept == nil || string(kept.Value) != "one" || kept.Offset != first || s.get(other) != nil {
		t.Fatalf("%+v", kept)
	}
	value := kept.Value
	s.put(other, &b)
	s.put(other, &b)
	if got := s.get(other); got == nil || string(got.Value) != "two" || s.get(first) != nil || string(value) != "one" {
		t.Errorf("%+v, %q", got, value)
	}
	s.put(first, &Field{Name: []byte("A"), Value: make([]byte, sharedMax)})
	s.put(first, &Field{Name: []byte("A"), Value: make([]byte, sharedMax)})
	if s.get(first) != nil {
		t.Error("kept a large field")
	}
}
