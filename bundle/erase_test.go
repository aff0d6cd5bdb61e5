package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// eraseOptions are those of a lawful erasure in tests.
func eraseOptions(t testing.TB, metadata bool, leaves ...int64) EraseOptions {
	return EraseOptions{
		Leaves: leaves, Metadata: metadata, By: "alice@lab", Order: "Bonn court, 7 Gs 12/26", Reason: "records of a lawyer",
		At: testTime.Add(time.Hour), FromSHA256: evidence.Sum([]byte("file")), FromSize: 4, Sign: giver(t),
	}
}

func eraseTest(t testing.TB, file []byte, o EraseOptions) ([]byte, *Erased) {
	t.Helper()
	var out bytes.Buffer
	res, err := Erase(context.Background(), bytes.NewReader(file), int64(len(file)), &out, o)
	if err != nil {
		t.Fatal(err)
	}
	if res.Size != int64(out.Len()) {
		t.Errorf("%d bytes written, %d said", out.Len(), res.Size)
	}
	return out.Bytes(), res
}

func TestErasingLeavesEveryOtherProofAsItWas(t *testing.T) {
	file, contents, seal := sample(t)
	before := openBytes(t, file)
	for _, leaves := range [][]int64{{1}, {4}, {8}, {9}, {2, 3, 8, 9, 10}} {
		for _, metadata := range []bool{false, true} {
			erased, _ := eraseTest(t, file, eraseOptions(t, metadata, leaves...))
			rep := verify(t, erased, trustTest(t))
			if rep.Verdict != VerifiedPrefix || rep.ErasedItems != int64(len(leaves)) || !rep.Sealed || rep.SealID != seal.ID.String() {
				t.Fatalf("%v: %s", leaves, explain(rep))
			}
			after := openBytes(t, erased)
			for it, err := range after.Items() {
				if err != nil {
					t.Fatal(err)
				}
				old, err1 := before.Prove(it.Index)
				p, err2 := after.Prove(it.Index)
				if err1 != nil || err2 != nil || !bytes.Equal(old.Text(), p.Text()) {
					t.Fatalf("proof of record %d is another one: %v %v", it.Index, err1, err2)
				}
				if !slices.Contains(leaves, it.Index) {
					if !bytes.Equal(p.Content, old.Content) || !bytes.Equal(p.Meta, old.Meta) {
						t.Errorf("lines of record %d changed", it.Index)
					}
					if it.Kind.HasContent() {
						checkContent(t, after, it, contents[it.Member])
					}
					continue
				}
				if it.Kind != evidence.KindErased || p.Content != nil || (p.Meta == nil) != metadata || !strings.Contains(it.Detail, "7 Gs 12/26") {
					t.Errorf("record %d is %s %q", it.Index, it.Kind, it.Detail)
				}
				if _, err := after.Open(itemOf(t, before, it.Index).Member); err == nil || metadata != errors.Is(err, ErrNoMember) || !metadata && !errors.Is(err, ErrErased) {
					t.Errorf("record %d opens: %v", it.Index, err)
				}
			}
		}
	}
}

func itemOf(t testing.TB, r *Reader, leaf int64) evidence.Item {
	t.Helper()
	it, err := r.Item(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func TestNothingOfAnErasedItemIsLeft(t *testing.T) {
	file := large(t)
	r := openBytes(t, file)
	var leaf int64
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		if it.Size >= BlockMin {
			leaf = it.Index
		}
	}
	p, err := r.Prove(leaf)
	if err != nil {
		t.Fatal(err)
	}
	it := itemOf(t, r, leaf)
	c, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200)
	if _, err := c.ReadAt(b, 5<<20); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, BlockSize)
	if _, err := c.ReadAt(block, 0); err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{
		"content": b, "content's salt": saltOf(t, p.Content), "content's SHA-256": []byte(it.SHA256.String()),
		"a block's SHA-256": []byte(evidence.Sum(block).String()),
	}
	names := map[string][]byte{
		"metadata's salt": saltOf(t, p.Meta), "path": []byte(it.Path), "member": []byte(it.Member),
		"name in the member index": fmt.Appendf(nil, "%010x", nameKey(it.Member)),
	}
	check := func(tar []byte, what map[string][]byte, there bool) {
		t.Helper()
		for name, secret := range what {
			if bytes.Contains(tar, secret) != there {
				t.Errorf("%s: in the tar is %v, want %v", name, !there, there)
			}
		}
	}
	check(unpackAll(t, file), secrets, true)
	check(unpackAll(t, file), names, true)
	some, _ := eraseTest(t, file, eraseOptions(t, false, leaf))
	check(unpackAll(t, some), secrets, false)
	check(unpackAll(t, some), names, true)
	all, _ := eraseTest(t, file, eraseOptions(t, true, leaf))
	check(unpackAll(t, all), secrets, false)
	check(unpackAll(t, all), names, false)
	later, _ := eraseTest(t, some, eraseOptions(t, true, leaf))
	check(unpackAll(t, later), names, false)
	if rep := verify(t, later, trustTest(t)); rep.Verdict != VerifiedPrefix || rep.ErasedItems != 1 || len(rep.Erasures) != 2 {
		t.Errorf("metadata erased later: %s", explain(rep))
	}
}

func TestOneErasureFollowsAnother(t *testing.T) {
	file, contents, seal := sample(t)
	once, _ := eraseTest(t, file, eraseOptions(t, false, 1))
	o := eraseOptions(t, true, 8, 2)
	o.Order = "Bonn court, 7 Gs 13/26"
	twice, _ := eraseTest(t, once, o)
	rep := verify(t, twice, trustTest(t))
	if rep.Verdict != VerifiedPrefix || rep.ErasedItems != 3 || len(rep.Erasures) != 2 || rep.SealID != seal.ID.String() {
		t.Fatal(explain(rep))
	}
	text := strings.Join(rep.Sentences, "\n")
	for _, want := range []string{"3 items were erased", "7 Gs 12/26", "7 Gs 13/26", "alice@lab on 2026-03-14"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	r := openBytes(t, twice)
	checkContent(t, r, itemOf(t, r, 9), contents[itemOf(t, r, 9).Member])
	for name, leaves := range map[string][]int64{"content again": {1}, "both again": {8}, "header": {0}, "trailer": {11}, "far away": {99}, "nothing": nil} {
		o := eraseOptions(t, name == "both again", leaves...)
		if _, err := Erase(context.Background(), bytes.NewReader(twice), int64(len(twice)), new(bytes.Buffer), o); err == nil {
			t.Errorf("%s: erased", name)
		}
	}
}

func TestOnlyAWholeBundleIsErasedFrom(t *testing.T) {
	file, _, _ := sample(t)
	changed := bytes.Clone(file)
	changed[len(changed)/2] ^= 1
	for name, b := range map[string][]byte{"cut": file[:len(file)-100], "changed": changed, "no bundle": []byte("x")} {
		if _, err := Erase(context.Background(), bytes.NewReader(b), int64(len(b)), new(bytes.Buffer), eraseOptions(t, false, 1)); !errors.Is(err, ErrNotSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, do := range map[string]func(*EraseOptions){
		"no order":         func(o *EraseOptions) { o.Order = "" },
		"no reason":        func(o *EraseOptions) { o.Reason = "" },
		"nobody":           func(o *EraseOptions) { o.By = "" },
		"no content":       func(o *EraseOptions) { o.Leaves = []int64{5} },
		"no signature":     func(o *EraseOptions) { o.Sign = func([]byte) ([]byte, error) { return []byte("x"), nil } },
		"a long reason":    func(o *EraseOptions) { o.Reason = strings.Repeat("x", 2000) },
		"another's words":  func(o *EraseOptions) { o.Sign = func([]byte) ([]byte, error) { return mustSign(t, []byte("x")), nil } },
		"signer gives out": func(o *EraseOptions) { o.Sign = func([]byte) ([]byte, error) { return nil, os.ErrClosed } },
	} {
		o := eraseOptions(t, false, 1)
		do(&o)
		if _, err := Erase(context.Background(), bytes.NewReader(file), int64(len(file)), new(bytes.Buffer), o); err == nil {
			t.Errorf("%s: erased", name)
		}
	}
}

func TestWhatStaysAndSaysTheSameIsNamed(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	a := addBytes(t, w, "/etc/passwd", []byte("root:x"))
	b := addBytes(t, w, "/etc/passwd-", []byte("root:x"))
	c := addBytes(t, w, "/etc/passwd", []byte("changed"))
	sealBundle(t, w)
	_, res := eraseTest(t, out.Bytes(), eraseOptions(t, true, a.Index))
	want := []ErasedKin{{b.Index, a.Index, true, "/etc/passwd-"}, {c.Index, a.Index, false, "/etc/passwd"}}
	if !slices.Equal(res.Kin, want) {
		t.Errorf("%+v", res.Kin)
	}
}

// Whoever may not erase makes nothing that looks verified.
func TestAStrangersErasureIsNeverVerified(t *testing.T) {
	file, _, seal := sample(t)
	o := eraseOptions(t, false, 1)
	o.Sign = func(b []byte) ([]byte, error) { return otherKey(t).Sign(chainofcustody.NamespaceCustody, b) }
	stolen, _ := eraseTest(t, file, o)
	rep := verify(t, stolen, trustTest(t))
	if text := strings.Join(rep.Sentences, "\n"); rep.Verdict != Damaged || !strings.Contains(text, "taken out of this bundle by somebody you do not know") || !strings.Contains(text, "states to be alice@lab") {
		t.Errorf("known seal: %s", explain(rep))
	}
	if rep := verify(t, stolen, VerifyOptions{}); rep.Verdict != SignerUnknown || !strings.Contains(rep.Sentences[0], "1 items were erased") {
		t.Errorf("nobody known: %s", explain(rep))
	}
	confirmed := VerifyOptions{Confirmed: func(s Seal) (string, bool) { return "the code", s.ID == seal.ID }}
	if rep := verify(t, stolen, confirmed); rep.Verdict != Damaged {
		t.Errorf("code confirmed: %s", explain(rep))
	}
	// A stranger's erasure stays one when somebody known erases after it.
	later, _ := eraseTest(t, stolen, eraseOptions(t, false, 2))
	if rep := verify(t, later, trustTest(t)); rep.Verdict != Damaged {
		t.Errorf("known erasure behind it: %s", explain(rep))
	}
	// Keys that may seal need not be keys that may erase.
	lawful, _ := eraseTest(t, file, eraseOptions(t, false, 1))
	opt := trustTest(t)
	opt.People = func(ssh.PublicKey, time.Time) (string, bool) { return "", false }
	if rep := verify(t, lawful, opt); rep.Verdict != Damaged {
		t.Errorf("key of a run erased: %s", explain(rep))
	}
	// A key that is no longer trusted could state any time.
	opt.People = func(_ ssh.PublicKey, at time.Time) (string, bool) {
		return "alice@lab", at.Before(testTime.Add(2 * time.Hour))
	}
	opt.Now = func() time.Time { return testTime.Add(3 * time.Hour) }
	if rep := verify(t, lawful, opt); rep.Verdict != TimeUnproven {
		t.Errorf("key of who erased has ended: %s", explain(rep))
	}
}

func TestNoByteOfAnErasedBundleIsFree(t *testing.T) {
	file := small(t, testHeader().Bundle)
	erased, _ := eraseTest(t, file, eraseOptions(t, true, 1, 4))
	tar := unpackAll(t, erased)
	m := attacker(t)
	opt := trustTest(t)
	for i := 0; i < len(tar); i += 37 {
		b := bytes.Clone(tar)
		b[i] ^= 1 << (i % 8)
		if rep := verify(t, m.frames(b), opt); rep.ExitCode() != 4 && rep.Verdict != Unreadable {
			t.Fatalf("byte %d changed: %s", i, explain(rep))
		}
	}
	for n := 100; n < len(erased); n += 1 + len(erased)/200 {
		if rep := verify(t, erased[:n], opt); rep.Verdict == Verified || rep.Verdict == VerifiedPrefix && rep.ErasedItems == 0 && rep.LostRecords > 0 {
			t.Fatalf("cut at %d: %s", n, explain(rep))
		}
	}
}

func TestAnErasedBundleIsConvertedRecoveredAndDisclosed(t *testing.T) {
	file, contents, seal := sample(t)
	erased, _ := eraseTest(t, file, eraseOptions(t, false, 1))
	for name, to := range map[string]converter{"tar": WriteTar, "tar.gz": WriteGzip} {
		if rep := verify(t, convert(t, erased, to), trustTest(t)); rep.Verdict != VerifiedPrefix || rep.ErasedItems != 1 {
			t.Errorf("%s: %s", name, explain(rep))
		}
	}
	var out bytes.Buffer
	if _, err := Recover(context.Background(), bytes.NewReader(erased), int64(len(erased)), &out); err != nil {
		t.Fatal(err)
	}
	if rep := verify(t, out.Bytes(), trustTest(t)); rep.Verdict != VerifiedPrefix || rep.ErasedItems != 1 {
		t.Errorf("recovered: %s", explain(rep))
	}
	cut := erased[:len(erased)-200]
	if rep := verify(t, cut, trustTest(t)); rep.Verdict != Damaged {
		t.Errorf("cut: %s", explain(rep))
	}
	b := discloseTest(t, erased, Disclosure{Parts: []DisclosedPart{{Leaf: 1, Meta: true}, {Leaf: 8, Content: true, Meta: true}}})
	if rep := verifyPackage(t, b, trustTest(t)); rep.Verdict != Verified || rep.SealID != seal.ID.String() {
		t.Errorf("disclosed: %s %v", rep.Verdict, rep.Problems)
	}
	for _, part := range []DisclosedPart{{Leaf: 1, Content: true}} {
		_, err := Disclose(context.Background(), new(bytes.Buffer), openBytes(t, erased), Disclosure{To: "x", Basis: "y", Parts: []DisclosedPart{part}})
		if !errors.Is(err, ErrErased) {
			t.Errorf("erased content disclosed: %v", err)
		}
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Extract(context.Background(), openBytes(t, erased), root, nil, ExtractOptions{Manifest: true}); err != nil {
		t.Fatal(err)
	}
	for name, want := range contents {
		got, err := root.ReadFile(name)
		if gone := name == "files/file/etc/hosts"; gone != (err != nil) || !gone && !bytes.Equal(got, want) {
			t.Errorf("%s extracted: %v", name, err)
		}
	}
}

// A segmented item whose content stays withheld is disclosed by its metadata.
func TestMetadataOfASegmentedItemIsDisclosedAlone(t *testing.T) {
	file, _, _ := sample(t)
	b := discloseTest(t, file, Disclosure{Parts: []DisclosedPart{{Leaf: 9, Meta: true}}})
	if rep := verifyPackage(t, b, trustTest(t)); rep.Verdict != Verified {
		t.Errorf("%s %v", rep.Verdict, rep.Problems)
	}
}

func FuzzErasure(f *testing.F) {
	e := &Erasure{
		Seal: evidence.Sum([]byte("s")), FromSHA256: evidence.Sum([]byte("f")), FromSize: 9, At: testTime, By: "a", Order: "o", Reason: "r",
		Items: []ErasedItem{{Leaf: 1, Content: evidence.Sum(nil)}, {Leaf: 2, Content: evidence.Sum(nil), Meta: evidence.Sum(nil)}}, KeptSize: 3,
	}
	f.Add(e.Encode())
	f.Add([]byte(`{"v":1,"items":[{"leaf":1}]}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseErasure(b)
		if err == nil && !bytes.Equal(e.Encode(), b) {
			t.Errorf("%q is read, and written as %q", b, e.Encode())
		}
	})
}
