package bundle

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func testReception() *Reception {
	return &Reception{
		Exhibit: "EX-7", Name: "uac web01.tar.gz", Form: "tar.gz", SHA256: evidence.Sum([]byte("original")), Size: 8, Kept: true,
		Layout: "uac", Tool: "UAC", Host: "web01", From: "bob", Operator: "alice@lab", Received: time.Date(2026, 3, 14, 15, 9, 26, 5, time.UTC), Members: 3, Lost: 1, Note: "by e-mail",
	}
}

// taken makes the bundle of something that was received.
func taken(t *testing.T, text, sig []byte, source, path, content string) *Reader {
	t.Helper()
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	for _, f := range []struct {
		source, path string
		b            []byte
	}{
		{DerivationSource, ReceptionPath, text},
		{DerivationSource, ReceptionSigPath, sig},
		{source, path, []byte(content)},
	} {
		it := evidence.Item{Kind: evidence.KindFile, Source: f.source, Path: f.path, Size: int64(len(f.b))}
		if _, err := w.Add(context.Background(), it, Input{R: bytes.NewReader(f.b)}); err != nil {
			t.Fatal(err)
		}
	}
	sealBundle(t, w)
	return openBytes(t, out.Bytes())
}

func TestABundleOfWhatWasReceivedSaysSo(t *testing.T) {
	text := testReception().Encode()
	sig := mustSign(t, text)
	name := testReception().Name
	d, key, err := taken(t, text, sig, evidence.SourceOriginal, name, "original").Reception()
	if err != nil || *d != *testReception() || !bytes.Equal(key.Marshal(), testKey(t).PublicKey().Marshal()) {
		t.Fatalf("%+v %v", d, err)
	}
	single, gone, elsewhere := testReception(), testReception(), testReception()
	single.Form, gone.Kept, elsewhere.Exhibit = "file", false, "EX-8"
	if _, _, err := taken(t, single.Encode(), mustSign(t, single.Encode()), evidence.SourceImport, "/var/log/auth.log", "original").Reception(); err != nil {
		t.Errorf("a single file: %v", err)
	}
	if _, _, err := taken(t, gone.Encode(), mustSign(t, gone.Encode()), evidence.SourceImport, "/etc/passwd", "x").Reception(); err != nil {
		t.Errorf("without the original: %v", err)
	}
	other := bytes.Replace(text, []byte(`"from":"bob"`), []byte(`"from":"eve"`), 1)
	for what, r := range map[string]*Reader{
		"another original":   taken(t, text, sig, evidence.SourceOriginal, name, "0riginal"),
		"no original":        taken(t, text, sig, evidence.SourceImport, name, "original"),
		"another giver":      taken(t, other, sig, evidence.SourceOriginal, name, "original"),
		"another exhibit":    taken(t, elsewhere.Encode(), mustSign(t, elsewhere.Encode()), evidence.SourceOriginal, name, "original"),
		"no signature":       taken(t, text, nil, evidence.SourceOriginal, name, "original"),
		"two lines":          taken(t, append(bytes.Clone(text), '\n'), sig, evidence.SourceOriginal, name, "original"),
		"another single":     taken(t, single.Encode(), mustSign(t, single.Encode()), evidence.SourceImport, "/var/log/auth.log", "0riginal"),
		"a single elsewhere": taken(t, single.Encode(), mustSign(t, single.Encode()), evidence.SourceTool, "/var/log/auth.log", "original"),
	} {
		if d, _, err := r.Reception(); err == nil || errors.Is(err, ErrNoMember) && what != "no original" {
			t.Errorf("%s: %+v %v", what, d, err)
		}
	}
	if _, _, err := openBytes(t, minimal(t, testKey(t))).Reception(); !errors.Is(err, ErrNoMember) {
		t.Errorf("a bundle that was collected: %v", err)
	}
}

// What nobody stated of a file is left out of its record, and comes back as
// not known.
func TestARecordLeavesOutWhatNobodyStated(t *testing.T) {
	all := evidence.StatMode | evidence.StatIDs | evidence.StatInode | evidence.StatNlink | evidence.StatBlocks | evidence.StatSize
	for _, unknown := range []evidence.StatFields{0, evidence.StatMode, evidence.StatIDs | evidence.StatInode, all} {
		var out bytes.Buffer
		w := newTestWriter(t, &out, testOptions())
		st := &evidence.Stat{Modified: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), Unknown: unknown}
		if _, err := w.Add(context.Background(), evidence.Item{Kind: evidence.KindFile, Source: evidence.SourceImport, Path: "/a", Size: 1, Stat: st}, Input{R: bytes.NewReader([]byte("x"))}); err != nil {
			t.Fatal(err)
		}
		sealBundle(t, w)
		it, err := openBytes(t, out.Bytes()).Item(1)
		if err != nil || it.Stat == nil || it.Stat.Unknown != unknown || !it.Stat.Modified.Equal(st.Modified) {
			t.Errorf("%06b: %+v %v", unknown, it.Stat, err)
		}
	}
}

func FuzzReception(f *testing.F) {
	f.Add(testReception().Encode())
	f.Add([]byte("{\"v\":1}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseReception(b); err == nil && !bytes.Equal(d.Encode(), b) {
			t.Errorf("%q is accepted in two spellings", b)
		}
	})
}
