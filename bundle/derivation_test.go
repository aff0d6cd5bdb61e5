package bundle

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func testDerivation() *Derivation {
	return &Derivation{
		SourceExhibit: "EX-001", SourceSeal: evidence.Sum([]byte("seal")), SourceLeaf: 12, SourceSHA256: evidence.Sum([]byte("all")), SourceSize: 3,
		Exhibit: "EX-7", Path: "auth redacted.log", SHA256: evidence.Sum([]byte("part")), Size: 4,
		Rule: "names removed", Operator: "alice@lab", Reviewer: "bob@lab",
	}
}

// derived makes the bundle of a derived exhibit.
func derived(t *testing.T, text, sig, content []byte) *Reader {
	t.Helper()
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	for path, b := range map[string][]byte{DerivationPath: text, DerivationSigPath: sig, "auth redacted.log": content} {
		it := evidence.Item{Kind: evidence.KindFile, Source: DerivationSource, Path: path, Size: int64(len(b))}
		if _, err := w.Add(context.Background(), it, Input{R: bytes.NewReader(b)}); err != nil {
			t.Fatal(err)
		}
	}
	sealBundle(t, w)
	return openBytes(t, out.Bytes())
}

func TestADerivedBundleNamesItsOrigin(t *testing.T) {
	text := testDerivation().Encode()
	sig := mustSign(t, text)
	d, key, err := derived(t, text, sig, []byte("part")).Derivation()
	if err != nil || *d != *testDerivation() || !bytes.Equal(key.Marshal(), testKey(t).PublicKey().Marshal()) {
		t.Fatalf("%+v %v", d, err)
	}
	other := bytes.Replace(text, []byte(`"rule":"names`), []byte(`"rule":"lines`), 1)
	elsewhere := testDerivation()
	elsewhere.Exhibit = "EX-8"
	for name, r := range map[string]*Reader{
		"another file":    derived(t, text, sig, []byte("port")),
		"another rule":    derived(t, other, sig, []byte("part")),
		"another exhibit": derived(t, elsewhere.Encode(), mustSign(t, elsewhere.Encode()), []byte("part")),
		"no signature":    derived(t, text, nil, []byte("part")),
		"two lines":       derived(t, append(bytes.Clone(text), '\n'), sig, []byte("part")),
	} {
		if d, _, err := r.Derivation(); err == nil || errors.Is(err, ErrNoMember) {
			t.Errorf("%s: %+v %v", name, d, err)
		}
	}
	if _, _, err := openBytes(t, minimal(t, testKey(t))).Derivation(); !errors.Is(err, ErrNoMember) {
		t.Errorf("a bundle that was collected: %v", err)
	}
}

func FuzzDerivation(f *testing.F) {
	f.Add(testDerivation().Encode())
	f.Add([]byte("{\"v\":1}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDerivation(b); err == nil && !bytes.Equal(d.Encode(), b) {
			t.Errorf("%q is accepted in two spellings", b)
		}
	})
}

func FuzzDisclosureStatement(f *testing.F) {
	for _, b := range disclosureSeeds(f) {
		f.Add(find(f, packageMembers(f, b), disclosedStatement).data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStatement(b); err == nil && !bytes.Equal(s.encode(), b) {
			t.Errorf("%q is accepted in two spellings", b)
		}
	})
}

// Proofs of a package are those that Prove makes, in trees of every shape.
func TestTreeLevelsLeadToTheSameRoot(t *testing.T) {
	var leaves []evidence.Digest
	for n := 1; n < 70; n++ {
		leaves = append(leaves, evidence.Sum([]byte{byte(n)}))
		levels := treeLevels(leaves)
		if top := levels[len(levels)-1]; len(top) != 1 || top[0] != rootOf(leaves) {
			t.Fatalf("%d leaves: another root", n)
		}
		for at := range leaves {
			var path []evidence.Digest
			for i, level := at, 0; level < len(levels)-1; i, level = i/2, level+1 {
				if i^1 < len(levels[level]) {
					path = append(path, levels[level][i^1])
				}
			}
			want := auditPath(leaves, at)
			if len(path) != len(want) {
				t.Fatalf("leaf %d of %d: path of %d, want %d", at, n, len(path), len(want))
			}
			for i := range path {
				if path[i] != want[i] {
					t.Fatalf("leaf %d of %d: step %d differs", at, n, i)
				}
			}
		}
	}
}
