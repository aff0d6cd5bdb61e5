package kcore_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/kcore"
)

func TestLimeReaderReadsWhatWasWritten(t *testing.T) {
	ranges := []kcore.Range{{0x1000, 0x1003}, {0x2000, 0x2001}, {1 << 40, 1<<40 + 5}}
	var file []byte
	for i, r := range ranges {
		file = append(kcore.AppendLimeHeader(file, r), bytes.Repeat([]byte{byte('a' + i)}, int(r.End-r.Start))...)
	}
	l := kcore.NewLimeReader(bytes.NewReader(file))
	for i, want := range ranges {
		r, err := l.Next()
		if err != nil || r != want {
			t.Fatalf("range %d: %x, %v", i, r, err)
		}
		if i == 1 {
			continue // what is not read is skipped
		}
		data, err := io.ReadAll(l)
		if err != nil || !bytes.Equal(data, bytes.Repeat([]byte{byte('a' + i)}, int(r.End-r.Start))) {
			t.Errorf("range %d holds %q, %v", i, data, err)
		}
	}
	if r, err := l.Next(); err != io.EOF {
		t.Errorf("after the last: %x, %v", r, err)
	}
	// Cut anywhere but between ranges it says so.
	for n := range len(file) {
		l, err := kcore.NewLimeReader(bytes.NewReader(file[:n])), error(nil)
		for err == nil {
			_, err = l.Next()
		}
		if whole := n == 0 || n == 35 || n == 68; whole != (err == io.EOF) || !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestLimeReaderRefusesOtherFormats(t *testing.T) {
	good := kcore.AppendLimeHeader(nil, kcore.Range{Start: 0x1000, End: 0x2000})
	for name, at := range map[string]int{"magic": 0, "version": 4} {
		bad := bytes.Clone(good)
		bad[at]++
		if _, err := kcore.NewLimeReader(bytes.NewReader(bad)).Next(); !errors.Is(err, kcore.ErrLime) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, r := range []kcore.Range{{0x2000, 0x1000}, {0, 0}, {0x1000, 0}} { // the last ends at the last address there is
		if got, err := kcore.NewLimeReader(bytes.NewReader(kcore.AppendLimeHeader(nil, r))).Next(); !errors.Is(err, kcore.ErrLime) {
			t.Errorf("range %x read as %x, %v", r, got, err)
		}
	}
}

func FuzzLime(f *testing.F) {
	f.Add(append(kcore.AppendLimeHeader(nil, kcore.Range{Start: 0x1000, End: 0x1004}), 1, 2, 3, 4))
	f.Add(kcore.AppendLimeHeader(nil, kcore.Range{Start: 0, End: math.MaxUint64}))
	f.Fuzz(func(t *testing.T, file []byte) {
		l := kcore.NewLimeReader(bytes.NewReader(file))
		total := 0
		for {
			r, err := l.Next()
			if err != nil {
				break
			}
			n, err := io.Copy(io.Discard, l)
			if total += int(n) + kcore.LimeHeaderSize; total > len(file) || err == nil && uint64(n) != r.End-r.Start {
				t.Fatalf("range %x with %d bytes, %v", r, n, err)
			}
		}
	})
}
