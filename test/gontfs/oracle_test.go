package gontfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"www.velocidex.com/golang/go-ntfs/parser"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// file is what both readers say of a file record.
type file struct {
	inUse    bool
	standard [4]int64
	names    []string
}

func times(t ntfs.Times) (all [4]int64) {
	for i, at := range [4]uint64{t.Created, t.Modified, t.Changed, t.Accessed} {
		ns, ok := evtx.Nanos(at)
		if all[i] = ns; !ok {
			all[i] = -1
		}
	}
	return all
}

func TestTablesOfTheCorpus(t *testing.T) {
	tables, err := filepath.Glob(filepath.Join(testenv.Corpus(t), "ntfs/mft/dfir_ntfs/*.mft"))
	if err != nil || len(tables) < 6 {
		t.Fatal(tables, err)
	}
	for _, path := range tables {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ours, filenames := read(t, data)
		seen := map[int64]bool{}
		for h := range parser.ParseMFTFile(t.Context(), bytes.NewReader(data), int64(len(data)), 4096, 1024) {
			if seen[h.EntryNumber] {
				continue // once more for each stream
			}
			seen[h.EntryNumber] = true
			f, ok := ours[h.EntryNumber]
			name := fmt.Sprintf("%s, record %d", filepath.Base(path), h.EntryNumber)
			if !ok {
				t.Errorf("%s is missing", name)
				continue
			}
			standard := [4]int64{nanos(h.Created0x10), nanos(h.LastModified0x10), nanos(h.LastRecordChange0x10), nanos(h.LastAccess0x10)}
			if f.inUse != h.InUse || f.standard != standard {
				t.Errorf("%s: %v %v, go-ntfs has %v %v", name, f.inUse, f.standard, h.InUse, standard)
			}
			theirs := slices.Sorted(slices.Values(h.FileNames))
			if len(theirs) > 0 && !slices.Equal(f.names, theirs) {
				t.Errorf("%s: %q, go-ntfs has %q", name, f.names, theirs)
			}
			filename := [4]int64{nanos(h.Created0x30), nanos(h.LastModified0x30), nanos(h.LastRecordChange0x30), nanos(h.LastAccess0x30)}
			if len(theirs) > 0 && !slices.Contains(filenames[h.EntryNumber], filename) {
				t.Errorf("%s: times of names %v, go-ntfs has %v", name, filenames[h.EntryNumber], filename)
			}
		}
		for n, f := range ours {
			if len(f.names) > 0 && !seen[n] { // records without a name it leaves out
				t.Errorf("%s: go-ntfs has no record %d, %q", filepath.Base(path), n, f.names)
			}
		}
		if len(seen) < 30 {
			t.Errorf("%s: go-ntfs has %d files", filepath.Base(path), len(seen))
		}
	}
}

func nanos(at time.Time) int64 {
	if at.IsZero() || at.Year() <= 1601 {
		return -1
	}
	return at.UnixNano()
}

// read gives our files by their number, and the times of their names.
func read(t *testing.T, data []byte) (map[int64]file, map[int64][][4]int64) {
	t.Helper()
	m, err := ntfs.NewMFT(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	files, filenames := map[int64]file{}, map[int64][][4]int64{}
	for {
		f, err := m.Next()
		if errors.Is(err, io.EOF) {
			return files, filenames
		} else if err != nil {
			t.Fatal(err)
		}
		n := int64(f.Number)
		out := file{inUse: f.InUse, standard: times(f.Times)}
		for i := range f.Names {
			name := &f.Names[i]
			out.names = append(out.names, string(name.Name))
			if name.Short != nil {
				out.names = append(out.names, string(name.Short))
			}
			filenames[n] = append(filenames[n], times(name.Times))
		}
		slices.Sort(out.names)
		files[n] = out
	}
}
