package csv

import (
	"bytes"
	standard "encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

type row struct {
	fields       []string
	offset, line int64
	broken       bool
}

func rows(t testing.TB, r io.Reader, max int) (all []row) {
	t.Helper()
	c := NewReader(r, ',', max)
	for {
		err := c.Next()
		if errors.Is(err, io.EOF) {
			return all
		} else if err != nil && !errors.Is(err, ErrBroken) {
			t.Fatal(err)
		}
		out := row{offset: c.Offset, line: c.Line, broken: err != nil}
		for _, f := range c.Fields {
			out.fields = append(out.fields, string(f))
		}
		all = append(all, out)
	}
}

func TestRows(t *testing.T) {
	for _, c := range []struct {
		text string
		want []row
	}{
		{"a,b\r\n1,2\n", []row{{[]string{"a", "b"}, 0, 1, false}, {[]string{"1", "2"}, 5, 2, false}}},
		{"\xef\xbb\xbfa\n\n\nb", []row{{[]string{"a"}, 3, 1, false}, {[]string{"b"}, 7, 4, false}}},
		{"\"a,\"\"b\"\"\r\nc\",d,\nx\n", []row{{[]string{"a,\"b\"\r\nc", "d", ""}, 0, 1, false}, {[]string{"x"}, 16, 3, false}}},
		{`a"b,"c"d,""` + "\n", []row{{[]string{`a"b`, "cd", ""}, 0, 1, false}}},
		{"1,\"open\n2,3\n", []row{{[]string{"1", "open"}, 0, 1, true}, {[]string{"2", "3"}, 8, 2, false}}},
	} {
		if got := rows(t, strings.NewReader(c.text), 1<<20); !equal(got, c.want) {
			t.Errorf("%q: %+v", c.text, got)
		}
		if got := rows(t, iotest.OneByteReader(strings.NewReader(c.text)), 1<<20); !equal(got, c.want) {
			t.Errorf("byte by byte, %q: %+v", c.text, got)
		}
	}
}

func equal(a, b []row) bool {
	return slices.EqualFunc(a, b, func(x, y row) bool {
		return slices.Equal(x.fields, y.fields) && x.offset == y.offset && x.line == y.line && x.broken == y.broken
	})
}

// A quote that is never closed costs its own row only, however long the file.
func TestAnOpenQuoteCostsOneRow(t *testing.T) {
	text := "a,\"b\n" + strings.Repeat("1,2\n", 100_000)
	if got := rows(t, strings.NewReader(text), 4096); len(got) != 100_001 || !got[0].broken || got[1].broken {
		t.Errorf("%d rows", len(got))
	}
}

// What the standard library reads, this reads as well.
func FuzzRows(f *testing.F) {
	f.Add([]byte("a,b\n\"c\"\"d\",\"e\nf\"\n,,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := rows(t, bytes.NewReader(b), 1<<16)
		for i := 1; i < len(got); i++ {
			if got[i].offset <= got[i-1].offset || got[i].line <= got[i-1].line {
				t.Fatal("rows out of order")
			}
		}
		std := standard.NewReader(bytes.NewReader(b))
		std.FieldsPerRecord = -1
		want, err := std.ReadAll()
		if err != nil || len(b) > 1<<16 || bytes.ContainsAny(b, "\r") || bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
			return // it refuses more, and writes line breaks of its own
		}
		if len(got) != len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		for i := range want {
			if !slices.Equal(got[i].fields, want[i]) {
				t.Fatalf("row %d: %q, want %q", i, got[i].fields, want[i])
			}
		}
	})
}
