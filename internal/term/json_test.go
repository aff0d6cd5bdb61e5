package term

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestJSONIsInertAndReadsTheSame(t *testing.T) {
	text := "a\u202eb\u009bc\x7fd\u2028e\U000e0041f \u00e4\u4e16\U0001f600 \\u0041 \""
	in, err := json.Marshal(map[string]string{text: text})
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size <= len(in); size++ { // every place where a Write can end
		var out bytes.Buffer
		w := NewJSON(&out)
		for at := 0; at < len(in); at += size {
			part := in[at:min(at+size, len(in))]
			if n, err := w.Write(part); n != len(part) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got[text] != text {
			t.Fatalf("in parts of %d: %s reads as %q, %v", size, out.Bytes(), got, err)
		}
		for _, r := range out.String() {
			if unsafeRune(r) {
				t.Fatalf("%U is left in %s", r, out.Bytes())
			}
		}
		if !bytes.Contains(out.Bytes(), []byte("\u00e4\u4e16\U0001f600")) {
			t.Fatalf("letters were escaped: %s", out.Bytes())
		}
	}
}

func FuzzJSONKeepsItsMeaning(f *testing.F) {
	for _, s := range []string{"", "a", "\u202e", "\x7f\u0085", "\U000e0041"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, cut int) {
		if !utf8.ValidString(s) {
			t.Skip("JSON holds no other text")
		}
		in, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		cut = max(min(cut, len(in)), 0)
		var out bytes.Buffer
		w := NewJSON(&out)
		for _, part := range [][]byte{in[:cut], in[cut:]} {
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != s {
			t.Fatalf("%q reads as %q, %v", s, got, err)
		}
	})
}
