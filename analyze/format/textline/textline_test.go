package textline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
)

type line struct {
	text                   string
	offset, length, number int64
	truncated              bool
	nuls                   int64
}

func read(r io.Reader) ([]line, error) { return readAll(textline.NewReader(r)) }

func readAll(lr *textline.Reader) ([]line, error) {
	var all []line
	for lr.Next() {
		all = append(all, line{string(lr.Line), lr.Offset, lr.Length, lr.Number, lr.Truncated, lr.NULs})
	}
	return all, lr.Err()
}

func TestLinesComeWithTheirPlace(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []line
	}{
		{"", nil},
		{"a", []line{{"a", 0, 1, 1, false, 0}}},
		{"a\n", []line{{"a", 0, 2, 1, false, 0}}},
		{"a\r\n\nb", []line{{"a", 0, 3, 1, false, 0}, {"", 3, 1, 2, false, 0}, {"b", 4, 1, 3, false, 0}}},
		{"a\x00b\n", []line{{"a\x00b", 0, 4, 1, false, 0}}},
		{"ab\x00\x00\x00\x00\x00cd\n", []line{{"ab", 0, 2, 1, false, 0}, {"cd", 7, 3, 2, false, 5}}},
		{"\x00\x00a\n", []line{{"a", 2, 2, 1, false, 2}}},
		{"a\n\x00\x00", []line{{"a", 0, 2, 1, false, 0}, {"", 4, 0, 1, false, 2}}},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)),
			"with error": iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			got, err := read(r)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%q %s: got %v, %v, want %v", c.in, name, got, err, c.want)
			}
		}
	}
}

func TestLinesBeyondTheLimitAreCutAndCounted(t *testing.T) {
	for _, n := range []int{textline.MaxLine - 1, textline.MaxLine, textline.MaxLine + 1, 3*textline.MaxLine + 17} {
		in := "x\n" + strings.Repeat("y", n) + "\nz\n"
		for _, r := range []io.Reader{strings.NewReader(in), iotest.HalfReader(strings.NewReader(in))} {
			got, err := read(r)
			if err != nil || len(got) != 3 {
				t.Fatalf("%d: %d lines, %v", n, len(got), err)
			}
			long := got[1]
			if long.length != int64(n)+1 || long.truncated != (n > textline.MaxLine) || len(long.text) != min(n, textline.MaxLine) {
				t.Errorf("%d: length %d, truncated %v, kept %d", n, long.length, long.truncated, len(long.text))
			}
			if got[2] != (line{"z", int64(n) + 3, 2, 3, false, 0}) {
				t.Errorf("%d: line after it: %+v", n, got[2])
			}
		}
	}
}

func TestHolesOfAnySizeArePassedOver(t *testing.T) {
	in := "a\n" + strings.Repeat("\x00", 5<<20) + "b\n"
	got, err := read(strings.NewReader(in))
	if err != nil || len(got) != 2 || got[1] != (line{"b", 5<<20 + 2, 2, 2, false, 5 << 20}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAReadErrorKeepsWhatWasRead(t *testing.T) {
	broken := errors.New("broken medium")
	got, err := read(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(got) != 2 || got[1].text != "b" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLinesInMemoryAreReadInPlace(t *testing.T) {
	for _, in := range []string{
		"", "a", "a\r\n\nb\n", "ab\x00\x00\x00\x00\x00cd\ne", "a\n\x00\x00",
		strings.Repeat("y", textline.MaxLine) + "\nz", "x\n" + strings.Repeat("y", textline.MaxLine+1) + "\nz",
	} {
		b := []byte(in)
		got, err := readAll(textline.Of(b))
		want, _ := read(strings.NewReader(in))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%.20q: %d lines and %v, other than a stream of it with %d", in, len(got), err, len(want))
		}
		if string(b) != in {
			t.Errorf("%.20q: reading changed it", in)
		}
	}
	b := bytes.Repeat([]byte("a line\n"), 1000)
	if n := testing.AllocsPerRun(10, func() {
		for lr := textline.Of(b); lr.Next(); {
		}
	}); n > 1 {
		t.Errorf("%v allocations for lines that are in memory already", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a\r\nb\n\x00\x00\x00\x00c"))
	f.Add([]byte("\n\n\x00\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, _ := read(bytes.NewReader(in))
		pieces, _ := read(iotest.OneByteReader(bytes.NewReader(in)))
		if fmt.Sprint(whole) != fmt.Sprint(pieces) {
			t.Fatal("pieces of another size give other lines")
		}
		if inPlace, _ := readAll(textline.Of(bytes.Clone(in))); fmt.Sprint(whole) != fmt.Sprint(inPlace) {
			t.Fatal("reading in place gives other lines")
		}
		at := int64(0)
		for _, l := range whole {
			if l.offset != at+l.nuls {
				t.Fatalf("a gap of %d bytes before %+v", l.offset-at-l.nuls, l)
			}
			at = l.offset + l.length
			if !bytes.HasPrefix(in[l.offset:], []byte(l.text)) {
				t.Fatalf("%+v is not there", l)
			}
		}
		if at != int64(len(in)) {
			t.Fatalf("%d of %d bytes accounted for", at, len(in))
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := bytes.Repeat([]byte("Nov 23 06:03:21 web01 sshd[269]: Accepted password for ann from 192.0.2.1 port 22 ssh2\n"), 20000)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r := textline.NewReader(bytes.NewReader(in))
		for r.Next() {
		}
	}
}
