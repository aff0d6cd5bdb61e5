package bundle

import (
	"bytes"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// surveyed returns the items of a file that its survey gives and a signature
// covers, by index.
func surveyed(t *testing.T, b []byte) (*Survey, map[int64]evidence.Item) {
	t.Helper()
	all := map[int64]evidence.Item{}
	s, err := SurveyOf(t.Context(), bytes.NewReader(b), int64(len(b)), func(it evidence.Item) { all[it.Index] = it })
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if i >= s.Proven {
			delete(all, i)
		}
	}
	return s, all
}

// Cut behind any frame, the survey gives exactly the items with content that
// a recovery would save, and no other.
func TestASurveyGivesWhatARecoveryWouldSave(t *testing.T) {
	file, _, _ := sample(t)
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for i, f := range table {
		cut := file[:f.file+int64(f.packed)]
		s, got := surveyed(t, cut)
		out, rep := recovered(t, cut)
		r := openBytes(t, out)
		n := 0
		for it, err := range r.Items() {
			if err != nil {
				t.Fatal(err)
			}
			if !it.Kind.HasContent() {
				continue
			}
			n++
			if g, ok := got[it.Index]; !ok || g.SHA256 != it.SHA256 || g.Path != it.Path {
				t.Errorf("cut behind frame %d: item %d is %+v, want %+v", i, it.Index, g, it)
			}
		}
		if n != len(got) || s.Report.SealID != rep.Original.SealID || s.Header.Bundle != r.Header().Bundle {
			t.Errorf("cut behind frame %d: %d items, a recovery has %d", i, len(got), n)
		}
		most = max(most, n)
	}
	if most == 0 {
		t.Error("no item was ever proven: the test shows nothing")
	}
}

// An item whose bytes are damaged or changed is not given.
func TestASurveyLeavesOutWhatIsNotWhole(t *testing.T) {
	file, _, _ := sample(t)
	_, whole := surveyed(t, file)
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	less := 0
	for _, f := range table {
		b := bytes.Clone(file)
		b[f.file+int64(f.packed)-1] ^= 0xff // its checksum
		_, got := surveyed(t, b)
		if len(got) < len(whole) {
			less++
		}
		for i, it := range got {
			if it.SHA256 != whole[i].SHA256 {
				t.Errorf("item %d is another", i)
			}
		}
	}
	if less == 0 {
		t.Error("no damage left anything out")
	}
}
