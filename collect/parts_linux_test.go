package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// split runs collectors into as many bundles as it takes.
func split(t *testing.T, opt Options) (*Result, []*bundle.Reader) {
	t.Helper()
	files := []*bytes.Buffer{new(bytes.Buffer)}
	opt.Out = files[0]
	opt.NextPart = func(last Part) (*Next, error) {
		if last.Number != len(files) || last.Written != int64(files[len(files)-1].Len()) {
			t.Errorf("part %+v, want number %d with %d bytes", last, len(files), files[len(files)-1].Len())
		}
		files = append(files, new(bytes.Buffer))
		key, err := chainofcustody.NewRunKey()
		return &Next{Out: files[len(files)-1], Key: key}, err
	}
	res, err := Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	var readers []*bundle.Reader
	var links []bundle.Link
	for i, f := range files {
		in, size := bytes.NewReader(f.Bytes()), int64(f.Len())
		rep, err := bundle.Verify(t.Context(), in, size, bundle.VerifyOptions{})
		if err != nil || !rep.Sealed || rep.Unproven != 0 || rep.Complete != (i == len(files)-1) {
			t.Fatalf("bundle %d: %+v, %v", i+1, rep, err)
		}
		r, err := bundle.Open(in, size)
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
		links = append(links, bundle.Link{Name: fmt.Sprint(i), Seal: rep.SealID, Continues: rep.Continues})
	}
	if c := bundle.CheckChain(links); len(files) > 1 && (c == nil || c.State != bundle.ChainHolds) {
		t.Errorf("chain: %+v", c)
	}
	if len(res.Parts) != len(files)-1 {
		t.Errorf("%d parts for %d bundles", len(res.Parts), len(files))
	}
	return res, readers
}

func ledgerIn(t *testing.T, r *bundle.Reader, it evidence.Item) (lines []LedgerLine) {
	t.Helper()
	f, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); dec.More(); {
		var l LedgerLine
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// A run in several bundles holds what one bundle would, each bundle keeps to
// its size, and every reference leads to the item that it means.
func TestARunGoesOnInAnotherBundle(t *testing.T) {
	root := t.TempDir()
	paths := noise(t, root, 60, 200<<10)
	if err := os.Link(filepath.Join(root, paths[0]), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(root, paths[2]), filepath.Join(root, "beside")); err != nil {
		t.Fatal(err)
	}
	paths = append(append([]string{paths[2], "/beside"}, paths...), "/link", paths[1], "/none")
	streams := Collector{Name: "streams", Tier: TierUsers, Run: func(ctx context.Context, _ *Host, out Taker) error {
		lines := NewRecords(ctx, out, evidence.Item{Path: "set"})
		for i := range 50 {
			if err := errors.Join(lines.Write(i), out.File(ctx, paths[i%7], "again")); err != nil {
				return errors.Join(err, lines.Close())
			}
		}
		return lines.Close()
	}}
	const size = 4 << 20
	res, readers := split(t, Options{Root: root, Split: size, Collectors: []Collector{taking("files", paths...), streams}})
	if len(readers) < 3 || res.Partial {
		t.Fatalf("%d bundles, %+v", len(readers), res)
	}
	byID, seen := map[string]*bundle.Reader{}, map[string]evidence.Digest{}
	for i, r := range readers {
		byID[r.Header().Bundle] = r
		if i < len(readers)-1 && res.Parts[i].Written > size {
			t.Errorf("bundle %d has %d bytes", i+1, res.Parts[i].Written)
		}
		if r.Header().Options["part"] != fmt.Sprint(i+1) {
			t.Errorf("options %v", r.Header().Options)
		}
		checkPart(t, r, byID, seen)
	}
	for _, p := range paths {
		text, err := os.ReadFile(filepath.Join(root, p))
		if err == nil && p != "/link" && p != "/beside" && seen[p] != evidence.Sum(text) {
			t.Errorf("%s is in no bundle", p)
		}
	}
}

// checkPart checks that each line of a bundle's ledger names the item it is
// about, and that what was left to another item is there.
func checkPart(t *testing.T, r *bundle.Reader, byID map[string]*bundle.Reader, seen map[string]evidence.Digest) {
	t.Helper()
	ledgers := 0
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == evidence.KindFile {
			if _, twice := seen[it.Path]; twice {
				t.Errorf("%s is stored twice", it.Path)
			}
			seen[it.Path] = it.SHA256
		}
		if where, ok := strings.CutPrefix(it.Detail, "the same file as item "); ok {
			number, id, elsewhere := strings.Cut(where, " of bundle ")
			if !elsewhere {
				id = r.Header().Bundle
			}
			leaf, err := strconv.ParseInt(number, 10, 64)
			if err != nil || byID[id] == nil {
				t.Fatalf("%s: %q", it.Path, it.Detail)
			}
			if old, err := byID[id].Item(leaf); err != nil || old.Stat.Inode != it.Stat.Inode || old.Kind != evidence.KindFile {
				t.Errorf("%s: %q leads to %+v, %v", it.Path, it.Detail, old, err)
			}
		}
		if it.Path != LedgerSet {
			continue
		}
		ledgers++
		for _, l := range ledgerIn(t, r, it) {
			if l.Item == 0 {
				continue
			}
			if named, err := r.Item(l.Item); err != nil || named.Path != string(l.Path) {
				t.Errorf("the ledger says item %d for %s, which is %s (%v)", l.Item, l.Path, named.Path, err)
			}
		}
	}
	if ledgers != 1 {
		t.Errorf("%d ledgers in one bundle", ledgers)
	}
}

func TestAnItemThatIsTooLongHasABundleForItself(t *testing.T) {
	root := t.TempDir()
	paths := noise(t, root, 3, 3<<20)
	_, readers := split(t, Options{Root: root, Split: 1 << 20, Collectors: []Collector{taking("files", paths...)}})
	if len(readers) != 3 {
		t.Errorf("%d bundles for 3 files", len(readers))
	}
}

// cramped is a bundle near the limit of the format.
type cramped struct {
	memorySink
	left int64
}

func (c *cramped) room() int64 { return c.left }

func TestABundleThatTakesNoMoreRecordsIsLeft(t *testing.T) {
	r := &run{sink: &cramped{left: roomLeft - 1}}
	if !r.full(0) {
		t.Error("it goes on in a bundle that is full")
	}
	r.sink = &cramped{left: roomLeft}
	if r.full(0) {
		t.Error("it leaves a bundle that has room")
	}
}

func TestARunEndsWhereThereIsNoNextPlace(t *testing.T) {
	root := t.TempDir()
	paths := noise(t, root, 20, 200<<10)
	full := errors.New("no more room")
	res, err := Run(t.Context(), Options{
		Root: root, Out: new(bytes.Buffer), Split: 1 << 20, Collectors: []Collector{taking("files", paths...)},
		NextPart: func(Part) (*Next, error) { return nil, full },
	})
	if !errors.Is(err, full) || res == nil || !res.Partial {
		t.Errorf("%+v, %v", res, err)
	}
}
