package bundle

import (
	"slices"
	"strings"
	"testing"
)

func TestChainsAreRecognised(t *testing.T) {
	a, b, c := Link{Name: "a", Seal: "1"}, Link{Name: "b", Seal: "2", Continues: "1"}, Link{Name: "c", Seal: "3", Continues: "2"}
	fork := Link{Name: "d", Seal: "4", Continues: "1"}
	alone := Link{Name: "e", Seal: "5"}
	hidden := Link{Name: "f", Seal: "6", Continues: "3", Unknown: true}
	loop := Link{Name: "g", Seal: "7", Continues: "7"}
	for _, test := range []struct {
		name  string
		given []Link
		state string
		order string
	}{
		{"in order", []Link{a, b, c}, ChainHolds, "abc"},
		{"a later part of a chain", []Link{b, c}, ChainMissing, "bc"},
		{"reordered", []Link{b, a, c}, ChainReordered, "abc"},
		{"reversed", []Link{c, b, a}, ChainReordered, "abc"},
		{"the middle is missing", []Link{a, c}, ChainMissing, "ac"},
		{"forked", []Link{a, b, fork}, ChainForked, "adb"},
		{"with one that belongs to nothing", []Link{alone, a, b}, ChainHolds, "eab"},
		{"with one not opened", []Link{a, b, hidden}, ChainUnknown, "abf"},
		{"unrelated", []Link{a, alone}, "", ""},
		{"one", []Link{b}, "", ""},
		{"itself", []Link{a, b, loop}, ChainHolds, "abg"},
		{"a circle", []Link{{Name: "x", Seal: "8", Continues: "9"}, {Name: "y", Seal: "9", Continues: "8"}}, ChainReordered, "xy"},
	} {
		got := CheckChain(test.given)
		if test.state == "" {
			if got != nil {
				t.Errorf("%s: %+v", test.name, got)
			}
			continue
		}
		if got == nil || got.State != test.state && test.name != "a circle" || strings.Join(got.Order, "") != test.order || len(got.Sentences) < 2 {
			t.Errorf("%s: %+v, want %s %s", test.name, got, test.state, test.order)
		}
	}
	links := []Link{c, a}
	CheckChain(links)
	if !slices.Equal(links, []Link{c, a}) {
		t.Error("the caller's list was changed")
	}
}
