package jsonl

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRecords(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"lines", "{\"a\":1}\n{\"b\":\"}\"}\n", `0 {"a":1}|8 {"b":"}"}`},
		{"no line end", `{"a":1}`, `0 {"a":1}`},
		{"one line", `{"a":1}{"b":2} {"c":3}`, `0 {"a":1}|7 {"b":2}|15 {"c":3}`},
		{"many lines", "{\n \"a\": {\n  \"b\": 1 }\n}\n{\n \"c\":2}\n", "0 {\n \"a\": {\n  \"b\": 1 }\n}|23 {\n \"c\":2}"},
		{"array", `[{"a":1},{"b":[{"c":2}]}]`, `1 {"a":1}|9 {"b":[{"c":2}]}`},
		{"array over lines", "[\n{\"a\":1},\n{\"b\":\n2}]\n", "2 {\"a\":1}|11 {\"b\":\n2}"},
		{"below the key", `{"x":[{"n":0}],"Records":[{"a":1},{"Records":[{"b":2}]}],"y":3}`, `26 {"a":1}|34 {"Records":[{"b":2}]}`},
		{"the key as text", `{"k":"Records","l":[{"a":1}]}`, `0 {"k":"Records","l":[{"a":1}]}`},
		{"two of them", "{\"Records\":[{\"a\":1}]}\n{\"Records\":[{\"b\":1}]}\n", `12 {"a":1}|34 {"b":1}`},
		{"escapes", `{"a":"\"}\\"}{"b":2}`, `0 {"a":"\"}\\"}|13 {"b":2}`},
		{"broken string", "{\"a\":\"x\n{\"b\":2}\n", "0 {\"a\":\"x\n broken|8 {\"b\":2}"},
		{"broken bracket", "{\"a\":{\"x\":1\n{\"b\":2}\n", "0 {\"a\":{\"x\":1\n broken|12 {\"b\":2}"},
		{"broken end", "{\"b\":2}\n{\"a\":", `0 {"b":2}|8 {"a": broken`},
		{"text between", "# header\n{\"b\":2}\nnonsense }\n{\"c\":3}\n", `9 {"b":2}|28 {"c":3}`},
		{"too long", `{"a":"` + strings.Repeat("x", 100) + "\"}\n{\"b\":2}\n", `0  long|109 {"b":2}`},
		{"too long over lines", "{" + strings.Repeat("\n\"xxxxxxxxxxxx\":1,", 8) + "\n\"y\":1}\n{\"b\":2}\n", `0  long|153 {"b":2}`},
		{"nothing", "", ""},
	} {
		for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			var got []string
			r := NewRecords(reader(strings.NewReader(c.in)), "Records", 100)
			for {
				rec, off, err := r.Next()
				s := fmt.Sprintf("%d %s", off, rec)
				if errors.Is(err, io.EOF) {
					break
				} else if errors.Is(err, ErrBroken) {
					s += " broken"
				} else if errors.Is(err, ErrLong) {
					s = fmt.Sprintf("%d  long", off)
				} else if err != nil {
					t.Fatal(err)
				}
				got = append(got, s)
			}
			if s := strings.Join(got, "|"); s != c.want {
				t.Errorf("%s: %q\nwant %q", c.name, s, c.want)
			}
		}
	}
}

// What Records gives out stands in the stream where it says.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("{\"Records\":[{\"a\":1},{\"b\":\"\\\"\"}]}\n"))
	f.Add([]byte("{\"a\":1}\n{\"b\":\n2}\n[{\"c\":3}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewRecords(strings.NewReader(string(b)), "Records", 1000)
		behind := int64(0)
		for {
			rec, off, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			} else if err != nil && !errors.Is(err, ErrBroken) && !errors.Is(err, ErrLong) {
				t.Fatal(err)
			}
			if off < behind || err == nil && (len(rec) < 2 || rec[0] != '{' || rec[len(rec)-1] != '}') {
				t.Fatalf("%q at %d, %v", rec, off, err)
			}
			if !errors.Is(err, ErrLong) {
				if string(b[off:off+int64(len(rec))]) != string(rec) {
					t.Fatalf("%q does not stand at %d", rec, off)
				}
				behind = off + int64(len(rec))
			}
		}
	})
}
