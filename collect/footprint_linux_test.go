package collect_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestTheFootprintSamplesAccessTimesAndListsWhatIsWritten(t *testing.T) {
	for _, tc := range []struct {
		name        string
		touch       bool
		moved, lost int
	}{
		{"left alone", false, 0, 0},
		{"read by somebody else", true, 63, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			var paths []string
			for i := range 64 {
				name := fmt.Sprintf("/f%03d", i)
				if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
					t.Fatal(err)
				}
				paths = append(paths, name)
			}
			c := collect.Collector{Name: "c", Run: func(ctx context.Context, _ *collect.Host, out collect.Taker) error {
				for _, p := range paths {
					if err := out.File(ctx, p, "rule"); err != nil {
						return err
					}
				}
				if !tc.touch {
					return nil
				}
				for _, p := range paths[1:] {
					if err := os.Chtimes(filepath.Join(root, p), time.Unix(7, 0), time.Time{}); err != nil {
						return err
					}
				}
				return os.Remove(filepath.Join(root, paths[0]))
			}}
			got := collecttest.Collect(t.Context(), t, collect.Options{Root: root, Collectors: []collect.Collector{c}})
			f := collecttest.Lines[collect.Footprint](t, got, collect.FootprintAt)[0]
			a := f.Atimes
			if a.Of != 64 || len(a.Files) != 64 || a.Moved != tc.moved || a.Lost != tc.lost {
				t.Errorf("%d of %d sampled, %d moved, %d lost", len(a.Files), a.Of, a.Moved, a.Lost)
			}
			if !slices.ContainsFunc(f.Writing, func(b record.Bytes) bool { return filepath.Base(string(b)) == "run.exhibit.tar.zst" }) {
				t.Errorf("open for writing: %q", f.Writing)
			}
			if len(f.Sockets) != 0 || f.Sockets == nil {
				t.Errorf("sockets: %v", f.Sockets)
			}
		})
	}
}

func TestTheSampleIsBoundedAndFair(t *testing.T) {
	root := t.TempDir()
	c := collect.Collector{Name: "c", Run: func(ctx context.Context, _ *collect.Host, out collect.Taker) error {
		for i := range 1000 {
			name := fmt.Sprintf("/f%04d", i)
			if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
				return err
			}
			if err := out.File(ctx, name, "rule"); err != nil {
				return err
			}
		}
		return nil
	}}
	a := collecttest.Collect(t.Context(), t, collect.Options{Root: root, Collectors: []collect.Collector{c}}).Result.Footprint.Atimes
	late := 0
	for _, f := range a.Files {
		if string(f.Path) >= "/f0500" {
			late++
		}
	}
	// Of 64 the second half has fewer than 8 or more than 56 once in 10^11 runs.
	if a.Of != 1000 || len(a.Files) != 64 || late < 8 || late > 56 {
		t.Errorf("%d of %d, %d of the second half", len(a.Files), a.Of, late)
	}
}
