package record

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestBytesComeBackWhateverTheyAre(t *testing.T) {
	for _, in := range []string{"", "plain", "Grüße", "a\x00b", "\xff\xfe", "line\nbreak \"quoted\" \\", "b\u202ee"} {
		out, err := json.Marshal(Process{Comm: Bytes(in), Args: []Bytes{Bytes(in), nil}})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(out, "\n\x00") {
			t.Errorf("%q breaks its line: %s", in, out)
		}
		var p Process
		if err := json.Unmarshal(out, &p); err != nil || string(p.Comm) != in || string(p.Args[0]) != in {
			t.Errorf("%q came back as %q, %q: %v", in, p.Comm, p.Args, err)
		}
	}
}

func TestBytesRefusesWhatIsNoText(t *testing.T) {
	for _, in := range []string{"1", "[]", `{"b64":1}`, `{"b64":"?"}`, `{}`, "null2", `"open`} {
		var b Bytes
		if err := json.Unmarshal([]byte(in), &b); err == nil {
			t.Errorf("%s was accepted as %q", in, b)
		}
	}
}
