package bundle

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestFrameListFindsWhatAPlainListFinds(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 63, 64, 65, 128, 1000} {
		list, plain := new(frameList), []frameAt{}
		var at frameAt
		for range n {
			at.packed, at.plain = 1+dice.IntN(packedLimit), 1+dice.IntN(MaxFrame)
			list.add(at.packed, at.plain)
			plain = append(plain, at)
			at.file += int64(at.packed)
			at.tar += int64(at.plain)
		}
		if end := list.end(); list.len() != n || end.file != at.file || end.tar != at.tar {
			t.Fatalf("%d frames: %d, end %+v", n, list.len(), end)
		}
		for i, want := range plain {
			if got := list.at(i); got != want {
				t.Fatalf("frame %d of %d: %+v, want %+v", i, n, got, want)
			}
			if _, ok := list.from(want.file, want.tar); !ok {
				t.Errorf("frame %d of %d is not found where it begins", i, n)
			}
			if _, ok := list.from(want.file+1, want.tar); ok {
				t.Errorf("frame %d of %d is found where none begins", i, n)
			}
		}
		for range 200 {
			off := dice.Int64N(at.tar + 10)
			want := sort.Search(n, func(i int) bool { return plain[i].tar+int64(plain[i].plain) > off })
			if got := list.holding(off); got != want {
				t.Fatalf("offset %d of %d frames: %d, want %d", off, n, got, want)
			}
		}
	}
	var none *frameList
	if none.len() != 0 || none.holding(0) != 0 || !none.equal(new(frameList)) {
		t.Error("a list that is none must be an empty one")
	}
}

func TestListsOfManyFramesStaySmall(t *testing.T) {
	const n = 1 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list := new(frameList)
	for range n {
		list.add(13, 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(after.HeapAlloc-before.HeapAlloc) / n; each > 10 {
		t.Errorf("a frame takes %.1f bytes", each)
	}
	runtime.KeepAlive(list)
}

func TestWhatCouldNotBeReadIsCounted(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	it := evidence.Item{Kind: evidence.KindFile, Path: "/short", Size: 30}
	if _, err := w.Add(context.Background(), it, Input{R: strings.NewReader("ten bytes.")}); err != nil {
		t.Fatal(err)
	}
	addBytes(t, w, "/whole", []byte("whole"))
	sealBundle(t, w)
	r := verify(t, out.Bytes(), trustTest(t))
	if r.Verdict != Verified || r.UnreadItems != 1 || r.UnreadBytes != 20 {
		t.Errorf("%d items, %d bytes unread: %s", r.UnreadItems, r.UnreadBytes, explain(r))
	}
	if !strings.Contains(strings.Join(r.Sentences, " "), "1 items could not be read whole") {
		t.Errorf("no sentence says it: %q", r.Sentences)
	}
}

// Holes cost nothing to claim and much to sum: what a writer asks of verifiers
// is bounded, and files beyond the bound stay whole.
func TestHolesBeyondTheBoundAreStoredAsZeros(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	w.summed.Store(maxExpansion - 1<<20)
	add := func(path string) evidence.Item {
		t.Helper()
		it := evidence.Item{Kind: evidence.KindFile, Path: path, Size: 2 << 20, Holes: []evidence.Extent{{Offset: 512, Length: 1 << 20}}}
		got, err := w.Add(context.Background(), it, Input{At: farApart{0: "front", 2<<20 - 3: "end"}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	in, beyond := add("/in"), add("/beyond")
	sealBundle(t, w)
	if len(in.Holes) != 1 || len(beyond.Holes) != 0 || beyond.Stored != 2<<20 || in.SHA256 != beyond.SHA256 {
		t.Errorf("within the bound %+v, beyond it %+v", in, beyond)
	}
	if r := verify(t, out.Bytes(), trustTest(t)); r.Verdict != Verified {
		t.Error(explain(r))
	}
}

func TestExtractTakesNothingTheSealDoesNotProve(t *testing.T) {
	m := attacker(t)
	m.Rand = rand.New(rand.NewPCG(3, 4))
	another, _, _ := sample(t)
	extract := func(file []byte, opt ExtractOptions) (notProven int, err error) {
		t.Helper()
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		opt.Done = func(_ evidence.Item, err error) error {
			if errors.Is(err, ErrNotProven) {
				notProven++
				return nil
			}
			return err
		}
		return notProven, Extract(t.Context(), openBytes(t, file), root, nil, opt)
	}
	if n, err := extract(m.v.file, ExtractOptions{Manifest: true, Seal: openBytes(t, m.v.file).Seal().ID}); n != 0 || err != nil {
		t.Fatalf("the bundle as it was sealed: %d not proven, %v", n, err)
	}
	// Between verification and extraction somebody puts another whole bundle in
	// the place of the file.
	if _, err := extract(another, ExtractOptions{Seal: openBytes(t, m.v.file).Seal().ID}); !errors.Is(err, ErrMismatch) {
		t.Errorf("another bundle than the one verified: %v", err)
	}
	// Or changes a file and its record, and all that no signature covers.
	parts := m.v.copied()
	p := &parts[index(parts, m.pickContent())]
	old := evidence.Sum(p.data).String()
	p.data[0] ^= 1
	for _, i := range m.named(parts, manifestPrefix) {
		parts[i].data = bytes.ReplaceAll(parts[i].data, []byte(old), []byte(evidence.Sum(p.data).String()))
	}
	if n, err := extract(m.packed(parts), ExtractOptions{Manifest: true}); n == 0 || err != nil {
		t.Errorf("a changed record and file: %d not proven, %v", n, err)
	}
}
