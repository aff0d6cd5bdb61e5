package bundle

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// The vectors are three bundles that continue each other, and one that
// continues the first like the second does.
func TestChainVectorsContinueEachOther(t *testing.T) {
	seals := map[string]string{}
	var links []Link
	for i, v := range []struct{ name, after string }{{"first", ""}, {"second", "first"}, {"third", "second"}, {"fork", "first"}} {
		h := testHeader()
		h.Bundle = h.Bundle[:len(h.Bundle)-1] + string(rune('0'+i))
		h.Continues = seals[v.after]
		var out bytes.Buffer
		w, err := NewWriter(&out, h, testKey(t), testOptions())
		if err != nil {
			t.Fatal(err)
		}
		addBytes(t, w, "/part", []byte(v.name+"\n"))
		seal := sealBundle(t, w)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		seals[v.name] = seal.ID.String()
		testenv.Golden(t, filepath.Join(testenv.Root(t), "testdata/vectors/chain", v.name+".exhibit.tar.zst"), out.Bytes())
		rep := verify(t, out.Bytes(), trustTest(t))
		if rep.Verdict != Verified {
			t.Errorf("%s: %s %v", v.name, rep.Verdict, rep.Sentences)
		}
		links = append(links, Link{Name: v.name, Seal: rep.SealID, Continues: rep.Continues})
	}
	for want, given := range map[string][]Link{ChainHolds: links[:3], ChainMissing: links[1:3], ChainForked: links, ChainReordered: {links[1], links[0]}} {
		if c := CheckChain(given); c == nil || c.State != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
}

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
