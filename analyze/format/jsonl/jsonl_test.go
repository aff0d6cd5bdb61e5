package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestTextEqualsEncodingJSON(t *testing.T) {
	for _, in := range []string{
		`""`, `"plain"`, `"a\"b\\c\/d\b\f\n\r\t"`, `"\u00e4\u20ac"`, `"\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\udc00"`, `"/tmp/\u003cx\u003e"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		var s Scanner
		s.Reset([]byte(in))
		if got := string(s.Text()); got != want || s.End() != nil {
			t.Errorf("%s: %q, want %q; %v", in, got, want, s.Err())
		}
	}
}

func TestNumbersKeepTheirRange(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		var s Scanner
		s.Reset([]byte(in))
		if got := s.Int(); got != want || s.End() != nil {
			t.Errorf("%s: %d, %v", in, got, s.Err())
		}
	}
	for _, in := range []string{"", "-", "01", "1.5", "1e3", "9223372036854775808", "18446744073709551616", "x"} {
		var s Scanner
		s.Reset([]byte(in))
		if s.Int(); s.End() == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

func TestLinesKnowTheirOffsets(t *testing.T) {
	text := "{}\n" + strings.Repeat("x", 100) + "\n\nlast"
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		l := NewLines(r, 50)
		var got []string
		for {
			line, off, err := l.Next()
			if err == io.EOF {
				break
			}
			if errors.Is(err, ErrLong) {
				if off != 3 {
					t.Errorf("long line at %d", off)
				}
				continue
			}
			if err != nil || text[off:off+int64(len(line))] != string(line) {
				t.Fatalf("%q at %d: %v", line, off, err)
			}
			got = append(got, string(line))
		}
		if strings.Join(got, "|") != "{}\n|\n|last" {
			t.Errorf("lines %q", got)
		}
	}
}

func FuzzScannerAgreesWithEncodingJSON(f *testing.F) {
	f.Add([]byte(`{"path":"/etc/passwd","mode":33188,"x":[1,{"b64":"AAE="},null,true],"y":-1.5e3}`))
	f.Add([]byte(`{"a":"\ud83d\ude00","a":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Scanner
		s.Reset(b)
		s.Skip()
		if s.End() != nil {
			if json.Valid(b) && bytes.Count(b, []byte("[")) < maxDepth && bytes.Count(b, []byte("{")) < maxDepth {
				t.Fatalf("refused valid JSON %q: %v", b, s.Err())
			}
			return
		}
		var o map[string]json.RawMessage
		if json.Unmarshal(b, &o) != nil || !utf8.Valid(b) || o == nil {
			return
		}
		s.Reset(b)
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			if _, known := o[string(key)]; !known {
				t.Fatalf("key %q of %q is unknown to encoding/json", key, b)
			}
			s.Skip()
		}
		if s.End() != nil {
			t.Fatalf("%q: %v", b, s.Err())
		}
	})
}

func BenchmarkScanner(b *testing.B) {
	line := []byte(`{"path":"/usr/share/doc/some/long/name/changelog.Debian.gz","mode":33188,"uid":0,"gid":0,"owner":"root","size":1234,"inode":1835231,"dev":"8:1","nlink":1,"atime":1763900000123456789,"mtime":1763900000123456789,"ctime":1763900000123456789,"btime":1763900000123456789}`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Reset(line)
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "path":
				s.Text()
			case "mtime":
				s.Int()
			default:
				s.Skip()
			}
		}
		if s.End() != nil {
			b.Fatal(s.Err())
		}
	}
}
