package envelope_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// vector is what vectors.json says of one encrypted file. age draws its keys at
// random, so that these are read and never written again; where the format
// changes, EXHIBIT_MAKE_VECTORS=1 makes new ones.
type vector struct {
	Key      string         `json:"key"`      // file of identities
	Inside   string         `json:"inside"`   // SHA-256 of what is decrypted; zeros where a chunk is damaged
	Size     int64          `json:"size"`     // of it
	Whole    bool           `json:"whole"`    // the last chunk is authentic
	Damage   [][2]int64     `json:"damage"`   // offset and length of damaged chunks
	Verdict  bundle.Verdict `json:"verdict"`  // with the signer known
	SealID   string         `json:"seal_id"`  // of the bundle
	Unopened bool           `json:"unopened"` // no identity opens it
}

func vectorFile(t *testing.T, name string) string {
	return filepath.Join(testenv.Root(t), "testdata/vectors/envelope", name)
}

func describe(t *testing.T, b []byte, key string) vector {
	t.Helper()
	text, err := os.ReadFile(vectorFile(t, key))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	v := vector{Key: key}
	env, err := envelope.Open(bytes.NewReader(b), int64(len(b)), ids...)
	if errors.Is(err, envelope.ErrNoKey) || errors.Is(err, envelope.ErrCut) || errors.Is(err, envelope.ErrHeader) {
		v.Unopened = true
		return v
	}
	if err != nil {
		t.Fatal(err)
	}
	inside := make([]byte, env.Size())
	if n, err := env.ReadAt(inside, 0); n < len(inside) {
		t.Fatal(err)
	}
	v.Inside, v.Size, v.Whole = evidence.Sum(inside).String(), env.Size(), env.Whole()
	for _, d := range env.Damage() {
		v.Damage = append(v.Damage, [2]int64{d.Offset, d.Length})
	}
	rep, err := bundle.Verify(t.Context(), env, env.Size(), bundle.VerifyOptions{
		Confirmed: func(bundle.Seal) (string, bool) { return "the vector", true },
	})
	if err != nil {
		t.Fatal(err)
	}
	v.Verdict, v.SealID = rep.Verdict, rep.SealID
	return v
}

func TestEncryptedVectorsAreReadAsTheyAreDescribed(t *testing.T) {
	if os.Getenv("EXHIBIT_MAKE_VECTORS") != "" {
		makeVectors(t)
	}
	text, err := os.ReadFile(vectorFile(t, "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]vector
	if err := json.Unmarshal(text, &want); err != nil || len(want) < 6 {
		t.Fatal(len(want), err)
	}
	for name, w := range want {
		b, err := os.ReadFile(vectorFile(t, name))
		if err != nil {
			t.Fatal(err)
		}
		got := describe(t, b, w.Key)
		g, _ := json.Marshal(got)
		if x, _ := json.Marshal(w); !bytes.Equal(g, x) {
			t.Errorf("%s:\n got %s\nwant %s", name, g, x)
		}
	}
}

func makeVectors(t *testing.T) {
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, b []byte) {
		if err := os.WriteFile(vectorFile(t, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const note = "# Published with the test vectors: protects nothing.\n"
	put("x25519.key", []byte(note+classic.String()+"\n"))
	put("hybrid.key", []byte(note+hybrid.String()+"\n"))
	put("other.key", []byte(note+other.String()+"\n"))
	make := func(recipient string, items int) []byte {
		to, err := envelope.ParseRecipient(recipient)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w, err := envelope.NewWriter(&out, []envelope.Recipient{to})
		if err != nil {
			t.Fatal(err)
		}
		writeSmall(t, w, items)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	plain := make(classic.Recipient().String(), 1)
	long := make(classic.Recipient().String(), 6)
	const chunk = envelope.ChunkSize + 16
	info, err := envelope.Inspect(bytes.NewReader(long), int64(len(long)))
	if err != nil {
		t.Fatal(err)
	}
	head := int(info.Header)
	change := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	swapped := bytes.Clone(long)
	copy(swapped[head:], long[head+chunk:head+2*chunk])
	copy(swapped[head+chunk:], long[head:head+chunk])
	all := map[string]vector{}
	for name, v := range map[string]struct {
		key  string
		file []byte
	}{
		"x25519.tar.zst.age":         {"x25519.key", plain},
		"hybrid.tar.zst.age":         {"hybrid.key", make(hybrid.Recipient().String(), 1)},
		"other-key.tar.zst.age":      {"other.key", plain},
		"long.tar.zst.age":           {"x25519.key", long},
		"cut-at-a-chunk.tar.zst.age": {"x25519.key", long[:head+2*chunk]},
		"cut.tar.zst.age":            {"x25519.key", long[:head+2*chunk+999]},
		"cut-header.tar.zst.age":     {"x25519.key", long[:head-20]},
		"chunk-damaged.tar.zst.age":  {"x25519.key", change(long, head+chunk+7)},
		"last-damaged.tar.zst.age":   {"x25519.key", change(long, len(long)-1)},
		"chunks-swapped.tar.zst.age": {"x25519.key", swapped},
		"header-changed.tar.zst.age": {"x25519.key", change(plain, head-20)},
	} {
		put(name, v.file)
		all[name] = describe(t, v.file, v.key)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	put("vectors.json", append(text, '\n'))
}
