package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// heap is what is in use after a collection of what is not.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// madeUp takes files that are on no disk: item by item as a walk does.
func madeUp(ctx context.Context, out Taker, from, to int) error {
	for i := from; i < to; i++ {
		it := evidence.Item{
			Kind: evidence.KindFile, Path: fmt.Sprintf("/srv/data/%04d/file-%06d.log", i/1000, i), Size: 16, Rule: "made up",
			Stat: &evidence.Stat{Mode: 0o100644, Inode: uint64(i), Dev: "8:1", Nlink: 1, Size: 16},
		}
		if err := out.Stream(ctx, it, strings.NewReader("sixteen bytes...")); err != nil {
			return err
		}
	}
	return nil
}

// What a run remembers of a file is known: in one bundle its leaf, its name and
// that it was taken; in bundles that continue each other the last alone (and
// how much the present one remembers, and its buffers, differ between looks).
// Anything else that grows with the files, as the ledger once did, shows here.
func TestAFileCostsALeafANameAndAFingerprint(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short; it takes forty thousand files")
	}
	for _, tc := range []struct {
		name  string
		rolls bool
		bytes int64 // bytes
	}{
		{"one bundle", false, 32 + 16 + 31 + 16},
		{"bundles that continue each other", true, 31 + 16 + 28},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const first, last = 10_000, 40_000
			var before, after int64
			c := Collector{Name: "made_up", Tier: TierLogs, Run: func(ctx context.Context, _ *Host, out Taker) error {
				if err := madeUp(ctx, out, 0, first); err != nil {
					return err
				}
				before = heap()
				err := madeUp(ctx, out, first, last)
				after = heap()
				return err
			}}
			opt := Options{Root: t.TempDir(), Out: new(discarded), Collectors: []Collector{c}}
			if tc.rolls {
				opt.remember = 256 << 10
				opt.NextPart = func(Part) (*Next, error) {
					key, err := chainofcustody.NewRunKey()
					return &Next{Out: new(discarded), Key: key}, err
				}
			}
			res, err := Run(t.Context(), opt)
			if err != nil || res.Counts[Collected] != last {
				t.Fatalf("%+v, %v", res, err)
			}
			if (len(res.Parts) > 0) != tc.rolls {
				t.Errorf("%d bundles", len(res.Parts)+1)
			}
			grown := (after - before) / (last - first)
			t.Logf("%d bytes a file", grown)
			if grown > tc.bytes {
				t.Errorf("a file costs %d bytes, it should be at most %d", grown, tc.bytes)
			}
		})
	}
}

// discarded is a place for bundles that nobody reads.
type discarded struct{}

func (*discarded) Write(p []byte) (int, error) { return len(p), nil }

// A ledger is in the bundle as far as the run got, signed for, when the run is
// killed; and whole, line by line, when it is not.
func TestTheLedgerIsWrittenWhileTheRunGoesOn(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var killed []byte
		c := Collector{Name: "slow", Tier: TierLogs, Run: func(ctx context.Context, _ *Host, taker Taker) error {
			for i := range 300 {
				if err := taker.File(ctx, fmt.Sprintf("/none/%03d", i), "all of them"); err != nil {
					return err
				}
				time.Sleep(time.Second)
				synctest.Wait() // for what is written meanwhile
				if i == 250 {
					killed = bytes.Clone(out.Bytes())
				}
			}
			return nil
		}}
		res, err := Run(t.Context(), Options{Root: root, Out: &out, Collectors: []Collector{c}})
		if err != nil || res.Partial {
			t.Fatalf("%+v, %v", res, err)
		}
		if paths, pieces := ledgerPaths(t, killed); len(paths) < 120 || pieces < 2 {
			t.Errorf("killed after 250 seconds, the bundle proves %d lines in %d pieces", len(paths), pieces)
		}
		paths, pieces := ledgerPaths(t, out.Bytes())
		if len(paths) != 300 || pieces < 4 {
			t.Errorf("%d lines in %d pieces, want 300", len(paths), pieces)
		}
		for i, p := range paths {
			if p != fmt.Sprintf("/none/%03d", i) {
				t.Fatalf("line %d is about %s", i, p)
			}
		}
	})
}

// ledgerPaths returns the paths that the ledger in a bundle names, which may be
// cut short: in records that a signature covers.
func ledgerPaths(t *testing.T, file []byte) (paths []string, pieces int) {
	t.Helper()
	var whole bytes.Buffer
	proven, err := bundle.Recover(t.Context(), bytes.NewReader(file), int64(len(file)), &whole)
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.Open(bytes.NewReader(whole.Bytes()), int64(whole.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if it.Index >= proven.Proven || !strings.HasPrefix(it.Path, "collection/ledger.") {
			continue
		}
		pieces++
		for _, l := range ledgerIn(t, r, it) {
			if l.What == "path" && l.Collector == "slow" {
				paths = append(paths, string(l.Path))
			}
		}
	}
	return paths, pieces
}

// What a bundle remembers of its records is bounded where another can follow;
// where none can, the ledger says that it is not.
func TestABundleThatRemembersMuchIsLeft(t *testing.T) {
	c := Collector{Name: "made_up", Tier: TierLogs, Run: func(ctx context.Context, _ *Host, out Taker) error {
		return errors.Join(madeUp(ctx, out, 0, 9000), madeUp(ctx, out, 0, 1))
	}}
	res, readers := split(t, Options{Root: t.TempDir(), remember: 200 << 10, Collectors: []Collector{c}})
	if len(readers) < 2 || res.Partial || res.Counts[Collected] != 9001 {
		t.Errorf("%d bundles, %+v", len(readers), res)
	}
	var out bytes.Buffer
	if _, err := Run(t.Context(), Options{Root: t.TempDir(), Out: &out, remember: 100 << 10, Collectors: []Collector{c}}); err != nil {
		t.Fatal(err)
	}
	r, err := bundle.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(it.Path, "collection/ledger.") {
			continue
		}
		for _, l := range ledgerIn(t, r, it) {
			if l.What == "memory" && l.Rule == "records" && l.Outcome == Grown && strings.Contains(l.Detail, "one bundle") {
				said++
			}
		}
	}
	if said != 1 {
		t.Errorf("%d lines say that memory grows", said)
	}
}

// However many files there are, what is remembered of them is bounded, no file
// is taken for another, and the last ones are known.
func TestTakenFilesAreForgottenNeverMixedUp(t *testing.T) {
	var all taken
	file := func(i int) evidence.Item {
		return evidence.Item{Path: "/f", Stat: &evidence.Stat{Inode: uint64(i), Dev: "8:1"}}
	}
	const files, sure = 500_000, 115_000
	for i := range files {
		if first, _, ok := all.find(file(i)); ok {
			t.Fatalf("file %d is taken for %d", i, first.number)
		}
		all.add(file(i), uint32(i))
		if i == sure && all.forgetful() {
			t.Errorf("files were forgotten among the first %d", i)
		}
	}
	if n := all.bytes(); n > 7<<20 {
		t.Errorf("%d files take %d bytes", files, n)
	}
	if !all.forgetful() {
		t.Error("nothing was forgotten")
	}
	for i := files - sure; i < files; i++ {
		if first, _, ok := all.find(file(i)); !ok || first.number != uint32(i) {
			t.Fatalf("file %d is not remembered: %+v, %v", i, first, ok)
		}
	}
}

// A file that is asked for again and again is remembered for as long.
func TestAFileInUseIsNotForgotten(t *testing.T) {
	var all taken
	one := evidence.Item{Path: "/hot", Stat: &evidence.Stat{Inode: 1, Dev: "8:1"}}
	all.add(one, 7)
	for i := range 400_000 {
		all.add(evidence.Item{Path: "/f", Stat: &evidence.Stat{Inode: uint64(i + 2), Dev: "8:1"}}, uint32(i))
		if i%50_000 == 0 {
			if first, samePath, ok := all.find(one); !ok || !samePath || first.number != 7 {
				t.Fatalf("after %d files: %+v, %v", i, first, ok)
			}
		}
	}
}
