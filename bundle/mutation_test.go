package bundle

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// part is one member of a bundle under attack.
type part struct {
	entry
	data []byte // a sparse map included
	raw  []byte // in place of the header that belongs there
}

// victim is a bundle taken to pieces.
type victim struct {
	file  []byte
	tar   []byte
	parts []part
	spans []span
}

func takeApart(t testing.TB, file []byte) *victim {
	t.Helper()
	v := &victim{file: file, tar: unpackAll(t, file)}
	for _, m := range membersOf(t, v.tar) {
		e, _, err := parseHeader(v.tar[m.at:])
		if err != nil {
			t.Fatal(err)
		}
		v.parts = append(v.parts, part{entry: e, data: v.tar[m.data : m.data+int(m.size)]})
	}
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range table {
		v.spans = append(v.spans, span{uint32(f.packed), uint32(f.plain)})
	}
	return v
}

// copied gives a list of parts that may be changed.
func (v *victim) copied() []part {
	out := slices.Clone(v.parts)
	for i := range out {
		out[i].data = bytes.Clone(out[i].data)
	}
	return out
}

// index finds a part.
func index(parts []part, name string) int {
	return slices.IndexFunc(parts, func(p part) bool { return p.name == name })
}

// assemble writes a tar of parts. It says where the data of each is.
func assemble(parts []part) (tar []byte, at []int64) {
	for _, p := range parts {
		p.size = int64(len(p.data))
		if p.raw != nil {
			tar = append(tar, p.raw...)
		} else {
			tar = appendHeader(tar, &p.entry)
		}
		at = append(at, int64(len(tar)))
		tar = pad(append(tar, p.data...), len(p.data))
	}
	return append(tar, make([]byte, 2*tarBlock)...), at
}

// relink makes everything anew that no signature covers, as an attacker would:
// the list of leaves, the indexes and the locator.
func relink(parts []part) {
	_, at := assemble(parts)
	var leaves, rows, locator []byte
	var keys []string
	for i, p := range parts {
		number, ok := batchOf(p.name)
		lines := bytes.SplitAfter(p.data, []byte("\n"))
		if !ok || len(lines) < 3 {
			continue
		}
		first := int64(-1)
		for l := 0; l+1 < len(lines); l += 2 {
			leaf := LeafHash(lines[l], lines[l+1])
			leaves = fmt.Appendf(leaves, "%s\n", leaf)
			r, err := parseRecord(lines[l], lines[l+1])
			if err != nil {
				continue
			}
			if first < 0 {
				first = r.item.Index
			}
			if r.item.Kind.HasContent() {
				keys = append(keys, fmt.Sprintf("%010x %06x\n", nameKey(r.item.Member), r.item.Index))
			}
		}
		rows = fmt.Appendf(rows, "%d %d %d %d %d\n", first, len(lines)/2, at[i], len(p.data), number)
	}
	slices.Sort(keys)
	for name, data := range map[string][]byte{leavesMember: leaves, rowsMember: rows, namesMember: []byte(strings.Join(keys, ""))} {
		if i := index(parts, name); i >= 0 {
			parts[i].data = data
		}
	}
	_, at = assemble(parts)
	locator = []byte("exhibit-locator 1\n")
	for _, what := range []struct{ word, name string }{
		{"recovery", recoveryMember}, {"leaves", leavesMember}, {"manifest-index", rowsMember}, {"member-index", namesMember}, {"seal", sealMember},
	} {
		if i := index(parts, what.name); i >= 0 {
			locator = fmt.Appendf(locator, "%s %d %d\n", what.word, at[i], len(parts[i].data))
		}
	}
	if i := index(parts, locatorMember); i >= 0 {
		parts[i].data = locator
	}
}

// attack is one kind of mutation. It returns nil where the dice made none.
type attack struct {
	name string
	// may are the verdicts that are right besides DAMAGED, ALTERED and
	// UNREADABLE, with the reason.
	may []Verdict
	do  func(m *mutator) []byte
}

// mutator is what an attack works with.
type mutator struct {
	*rand.Rand
	t     testing.TB
	v     *victim
	other *victim // of the same key, another run
	ours  *chainofcustody.RunKey
	enemy *chainofcustody.RunKey
}

func (m *mutator) pick(n int) int { return m.IntN(max(n, 1)) }

// packed makes a file of parts whose unsigned members fit.
func (m *mutator) packed(parts []part) []byte {
	relink(parts)
	return m.plain(parts)
}

// plain makes a file of parts as they are.
func (m *mutator) plain(parts []part) []byte {
	tar, _ := assemble(parts)
	return m.frames(tar)
}

func (m *mutator) frames(tar []byte) []byte {
	var out []byte
	var spans []span
	for len(tar) > 0 {
		n := min(len(tar), 1<<20)
		job := &frameJob{plain: tar[:n]}
		testPacker(m.t).pack(job)
		out, spans, tar = append(out, job.packed...), append(spans, job.spans...), tar[n:]
	}
	return appendSeekTable(out, spans)
}

var onePacker *packer

func testPacker(t testing.TB) *packer {
	t.Helper()
	if onePacker == nil {
		var err error
		if onePacker, err = newPacker(MaxFrame); err != nil {
			t.Fatal(err)
		}
	}
	return onePacker
}

// small is a bundle with several batches, a sparse file, long names, odd times
// and an item that is not whole, in a few kilobytes.
func small(t testing.TB, bundle string) []byte {
	t.Helper()
	var out bytes.Buffer
	opt := testOptions()
	opt.CheckpointItems = 3
	h := testHeader()
	h.Bundle = bundle
	w, err := NewWriter(&out, h, testKey(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	addBytes(t, w, "/etc/hostname", []byte("web01\n"))
	addBytes(t, w, "/"+strings.Repeat("long/", 40)+"name", []byte(bundle))
	addBytes(t, w, "/empty", nil)
	sparse := make([]byte, 20<<10)
	copy(sparse[8192:], "data in the middle")
	addOdd(t, w, evidence.Item{
		Kind: evidence.KindFile, Source: "file", Path: "/var/log/lastlog", Size: int64(len(sparse)),
		Holes: []evidence.Extent{{Offset: 0, Length: 8192}, {Offset: 12288, Length: 8192}},
		Stat:  &evidence.Stat{Modified: testTime.AddDate(-80, 0, 0)},
	}, sparse)
	addOdd(t, w, evidence.Item{Kind: evidence.KindFile, Source: "file", Path: "/short", Size: 30}, []byte("ten bytes."))
	for _, path := range []string{"/etc/shadow-", "/root/.ssh"} {
		if err := w.Note(evidence.Item{Kind: evidence.KindAbsent, Source: "file", Path: path, Detail: "ENOENT"}); err != nil {
			t.Fatal(err)
		}
	}
	sealBundle(t, w)
	return out.Bytes()
}

func addOdd(t testing.TB, w *Writer, it evidence.Item, b []byte) {
	t.Helper()
	if _, err := w.Add(t.Context(), it, Input{R: bytes.NewReader(b), At: bytes.NewReader(b)}); err != nil {
		t.Fatal(err)
	}
}

// mutations is how many bundles are made: EXHIBIT_MUTATIONS, else a number
// that takes a few seconds.
func mutations(t testing.TB, fallback int) int {
	t.Helper()
	if s := os.Getenv("EXHIBIT_MUTATIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return fallback
}

// No mutation of a bundle may be VERIFIED or INTACT but where the attack says
// why: then the tar, which is all that is claimed, must be the same byte for
// byte, or the verdict must be one that claims no more than is there.
func TestNoMutationIsVerified(t *testing.T) {
	total := mutations(t, 4000)
	whole := takeApart(t, small(t, "0195a1c4-1f70-7abc-8def-0123456789ab"))
	other := takeApart(t, small(t, "0195a1c4-1f70-7abc-8def-ba9876543210"))
	everything, _, _ := sample(t)
	large := takeApart(t, everything)
	opt := trustTest(t)
	opt.Workers = 1
	list := attacks()
	type tally struct {
		made int
		by   map[Verdict]int
	}
	sums := map[string]*tally{}
	for i := range total {
		a := list[i%len(list)]
		// One in forty is made of the bundle with everything, which is large.
		v := whole
		if i/len(list)%40 == 0 {
			v = large
		}
		m := &mutator{rand.New(rand.NewPCG(uint64(i), 7)), t, v, other, testKey(t), otherKey(t)}
		file := a.do(m)
		if file == nil || bytes.Equal(file, v.file) {
			continue
		}
		r := verify(t, file, opt)
		if r.Verdict == Verified && !slices.Contains(a.may, Verified) {
			if tar := unpackAll(t, file); bytes.Equal(tar, v.tar) || bytes.Equal(tar, other.tar) {
				continue // the dice changed nothing but the frames, or put the other bundle in place
			}
		}
		if dir := os.Getenv("EXHIBIT_MUTATIONS_DIR"); dir != "" { // for another verifier to judge
			name := fmt.Sprintf("%06d-%s.zst", i, r.Verdict)
			if err := os.WriteFile(filepath.Join(dir, name), file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := sums[a.name]
		if s == nil {
			s = &tally{by: map[Verdict]int{}}
			sums[a.name] = s
		}
		s.made++
		s.by[r.Verdict]++
		switch {
		case r.Verdict == Damaged, r.Verdict == Altered, r.Verdict == Unreadable, slices.Contains(a.may, r.Verdict) && r.Verdict != Verified:
		case slices.Contains(a.may, r.Verdict) && bytes.Equal(unpackAll(t, file), v.tar):
		default:
			t.Errorf("%s, number %d: verdict %s\n%s", a.name, i, r.Verdict, explain(r))
		}
	}
	made := 0
	for _, a := range list {
		if s := sums[a.name]; s == nil {
			t.Errorf("%s: no mutation was made", a.name)
		} else {
			made += s.made
			t.Logf("%5d %-40s %v", s.made, a.name, s.by)
		}
	}
	t.Logf("%d mutations", made)
}
