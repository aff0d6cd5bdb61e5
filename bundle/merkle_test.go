package bundle

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// hashes is a tlog.HashReader over stored hashes.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

func TestTreeAgreesWithTheGoChecksumDatabase(t *testing.T) {
	var stored hashes
	var ours tree
	var leaves []evidence.Digest
	for n := range int64(130) {
		record := fmt.Appendf(nil, "record %d", n)
		add, err := tlog.StoredHashes(n, record, stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, add...)
		leaf := evidence.Sum(append([]byte{0}, record...))
		leaves = append(leaves, leaf)
		ours.add(leaf)
		want, err := tlog.TreeHash(n+1, stored)
		if err != nil || ours.root() != evidence.Digest(want) || rootOf(leaves) != ours.root() {
			t.Fatalf("root of %d leaves differs: %v", n+1, err)
		}
		for i := range n + 1 {
			path := auditPath(leaves, int(i))
			proof := make(tlog.RecordProof, len(path))
			for j, p := range path {
				proof[j] = tlog.Hash(p)
			}
			if err := tlog.CheckRecord(proof, n+1, want, i, tlog.Hash(leaves[i])); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n+1, err)
			}
			root, err := rootFromPath(leaves[i], i, n+1, path)
			if err != nil || root != ours.root() {
				t.Fatalf("leaf %d of %d: own check: %v", i, n+1, err)
			}
			if len(path) > 0 {
				if root, err := rootFromPath(leaves[i], i, n+1, path[1:]); err == nil && root == ours.root() {
					t.Fatalf("leaf %d of %d: short path accepted", i, n+1)
				}
			}
		}
	}
}

func TestSealNoteIsASignedNote(t *testing.T) {
	_, _, s := sample(t)
	key, err := ed25519Key(testKey(t).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey(s.Origin, key)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(s.Note, note.VerifierList(verifier))
	if err != nil || n.Text != string(s.Text) {
		t.Errorf("text %q: %v", n.Text, err)
	}
}

func TestSealCodeIsForgivingToPeople(t *testing.T) {
	_, _, s := sample(t)
	code := s.Code()
	if len(code) != 23 || strings.Count(code, "-") != 3 {
		t.Fatalf("code %q", code)
	}
	typed := strings.NewReplacer("0", "o", "1", "l", "-", " ").Replace(strings.ToLower(code))
	if NormalCode(typed) != code {
		t.Errorf("%q read as %q, want %q", typed, NormalCode(typed), code)
	}
	for _, bad := range []string{"", code[:22], code + "0", "U" + code[1:]} {
		if NormalCode(bad) != "" {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestWithheldLineStillProves(t *testing.T) {
	file, _, seal := sample(t)
	p, err := openBytes(t, file).Prove(3)
	if err != nil {
		t.Fatal(err)
	}
	p.Meta = nil
	if err := p.Verify(seal); err != nil {
		t.Errorf("without the metadata line: %v", err)
	}
	p.Content = bytes.Replace(p.Content, []byte("file"), []byte("filf"), 1)
	if err := p.Verify(seal); err == nil {
		t.Error("a changed line proves")
	}
}

func TestTimesSurviveTheirText(t *testing.T) {
	for _, want := range []time.Time{
		testTime, time.Unix(0, 0), time.Unix(-1, 999999999), time.Unix(1<<40, 5), time.Unix(-1<<40, 7), time.Unix(1<<33, 0),
	} {
		if got, err := parseTime(formatTime(want)); err != nil || !got.Equal(want) {
			t.Errorf("%v as %s: %v", want, formatTime(want), err)
		}
		if got, err := parsePaxTime(paxTime(want)); err != nil || !got.Equal(want) {
			t.Errorf("%v in pax as %s: %v", want, paxTime(want), err)
		}
	}
}

func TestLinesAreReadStrictly(t *testing.T) {
	salt := `"salt":"00000000000000000000000000000000"`
	meta := []byte(`{"i":1,` + salt + "}\n")
	for name, line := range map[string]string{
		"duplicate key":  `{"i":1,"i":1,` + salt + `,"k":"dir"}`,
		"not UTF-8":      `{"i":1,` + salt + `,"k":"dir` + "\xff" + `"}`,
		"fraction":       `{"i":1.0,` + salt + `,"k":"dir"}`,
		"leading zero":   `{"i":01,` + salt + `,"k":"dir"}`,
		"no salt":        `{"i":1,"k":"dir"}`,
		"text behind":    `{"i":1,` + salt + `,"k":"dir"} x`,
		"lone surrogate": `{"i":1,` + salt + `,"k":"dir\ud800"}`,
		"another leaf":   `{"i":2,` + salt + `,"k":"dir"}`,
		"stored":         `{"i":1,` + salt + `,"k":"dir","stored":0}`,
		"deep":           `{"i":1,` + salt + `,"k":"dir","x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`,
		"long":           `{"i":1,` + salt + `,"k":"dir","x":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		if _, err := parseRecord([]byte(line+"\n"), meta); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := parseRecord([]byte(`{"i":1,`+salt+`,"k":"dir","later":[1,{"a":null}]}`+"\n"), meta); err != nil {
		t.Errorf("unknown key: %v", err)
	}
}
