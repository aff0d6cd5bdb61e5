package bundle

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// discloseTest makes a package of some records of a bundle.
func discloseTest(t testing.TB, file []byte, d Disclosure) []byte {
	t.Helper()
	var out bytes.Buffer
	if d.To == "" {
		d.To, d.Basis = "court of Bonn", "order of 3 May, 7 Gs 12/26"
	}
	res, err := Disclose(context.Background(), &out, openBytes(t, file), d)
	if err != nil {
		t.Fatal(err)
	}
	if res.Size != int64(out.Len()) {
		t.Errorf("package of %d bytes, said to be %d", out.Len(), res.Size)
	}
	return out.Bytes()
}

// giver signs packages in tests.
func giver(t testing.TB) func([]byte) ([]byte, error) {
	return func(sums []byte) ([]byte, error) { return testKey(t).Sign(chainofcustody.NamespaceCustody, sums) }
}

func verifyPackage(t testing.TB, b []byte, opt VerifyOptions) *DisclosureReport {
	t.Helper()
	r, err := VerifyDisclosure(context.Background(), bytes.NewReader(b), int64(len(b)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// small parts of the sample: a file in full, one whose name stays secret, one
// whose content does, a sparse one, a failed look, and one of which nothing
// but its existence is shown.
func sampleParts() []DisclosedPart {
	return []DisclosedPart{
		{Leaf: 8, Content: true, Meta: true},
		{Leaf: 1, Content: true, Meta: true},
		{Leaf: 2, Content: true},
		{Leaf: 3, Meta: true},
		{Leaf: 4},
		{Leaf: 7, Content: true, Meta: true},
	}
}

func TestDisclosedRecordsAreProvenAsFarAsTheyAreShown(t *testing.T) {
	file, _, seal := sample(t)
	b := discloseTest(t, file, Disclosure{Parts: sampleParts(), Sign: giver(t)})
	r := verifyPackage(t, b, trustTest(t))
	if r.Verdict != Verified || r.SealID != seal.ID.String() || r.GivenBy != "alice@lab" {
		t.Fatalf("%s %v %v", r.Verdict, r.Sentences, r.Problems)
	}
	want := map[int64]string{
		1: "existence content metadata", 2: "existence content", 3: "existence metadata",
		4: "existence", 7: "existence no bytes metadata", 8: "existence content metadata",
	}
	for _, rec := range r.Records {
		if got := strings.Join(rec.Proven, " "); got != want[rec.Leaf] {
			t.Errorf("record %d: proven %q, want %q", rec.Leaf, got, want[rec.Leaf])
		}
	}
	if len(r.Records) != len(want) {
		t.Errorf("%d records, want %d", len(r.Records), len(want))
	}
	if again := discloseTest(t, file, Disclosure{Parts: sampleParts(), Sign: giver(t)}); !bytes.Equal(b, again) {
		t.Error("the same disclosure has other bytes the second time")
	}
	if r := verifyPackage(t, b, VerifyOptions{}); r.Verdict != SignerUnknown || r.ExitCode() != 5 {
		t.Errorf("nobody trusted: %s", r.Verdict)
	}
	opt := VerifyOptions{Confirmed: func(s Seal) (string, bool) { return "the code on paper", s.Code() == seal.Code() }}
	if r := verifyPackage(t, b, opt); r.Verdict != Verified {
		t.Errorf("code confirmed: %s", r.Verdict)
	}
}

func TestWithheldNamesAndContentsAreNotInThePackage(t *testing.T) {
	file, contents, _ := sample(t)
	r := openBytes(t, file)
	b := discloseTest(t, file, Disclosure{Parts: []DisclosedPart{{Leaf: 2, Content: true}, {Leaf: 3, Meta: true}, {Leaf: 4}}})
	absent := map[string][]byte{"host name": []byte("web01"), "a name": []byte("HOSTS"), "a folder": []byte("/etc"), "an empty file's name": []byte("/empty")}
	for leaf := range r.Seal().Size {
		p, err := r.Prove(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if leaf != 2 {
			absent[fmt.Sprintf("content line %d", leaf)] = p.Content[9:]
			absent[fmt.Sprintf("salt of content line %d", leaf)] = saltOf(t, p.Content)
		}
		if leaf != 3 {
			absent[fmt.Sprintf("metadata line %d", leaf)] = p.Meta[9:]
			absent[fmt.Sprintf("salt of metadata line %d", leaf)] = saltOf(t, p.Meta)
		}
	}
	for what, secret := range absent {
		if bytes.Contains(b, secret) {
			t.Errorf("%s is in the package", what)
		}
	}
	if len(contents) == 0 || !bytes.Contains(b, []byte("other\n")) {
		t.Error("the disclosed content is not in the package")
	}
	// Who guesses the line still does not have its digest: the salt is missing.
	p, err := r.Prove(2)
	if err != nil {
		t.Fatal(err)
	}
	guess := bytes.Replace(p.Meta, saltOf(t, p.Meta), bytes.Repeat([]byte("0"), 32), 1)
	if d := evidence.Sum(guess); bytes.Contains(b, []byte(d.String())) || !bytes.Contains(b, []byte(evidence.Sum(p.Meta).String())) {
		t.Error("a withheld line can be found by guessing what it says")
	}
}

func saltOf(t testing.TB, line []byte) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(line, []byte(`"salt":"`))
	if !ok || len(rest) < 33 || rest[32] != '"' || bytes.Equal(rest[:32], bytes.Repeat([]byte("0"), 32)) {
		t.Fatalf("no salt in %s", line)
	}
	return rest[:32]
}

// large is a bundle with an item that has block hashes, in 2.5 blocks and in
// a name nobody may see.
func large(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	b := make([]byte, 10<<20)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(b[5<<20 : 5<<20+1000])
	addBytes(t, w, "/root/secret.img", b)
	sealBundle(t, w)
	return out.Bytes()
}

func TestARangeOfALargeItemIsProvenByItsBlocks(t *testing.T) {
	file := large(t)
	part := DisclosedPart{Leaf: 1, Range: &evidence.Extent{Offset: 5<<20 + 10, Length: 4 << 20}}
	b := discloseTest(t, file, Disclosure{Parts: []DisclosedPart{part}})
	r := verifyPackage(t, b, trustTest(t))
	if r.Verdict != Verified || len(r.Records) != 1 {
		t.Fatalf("%s %v", r.Verdict, r.Problems)
	}
	if rec := r.Records[0]; rec.Offset != 4<<20 || rec.Length != 6<<20 || !slices.Contains(rec.Proven, ProvenRange) || slices.Contains(rec.Proven, ProvenContent) {
		t.Errorf("%+v", rec)
	}
	if bytes.Contains(b, []byte("secret.img")) {
		t.Error("the name is in the package")
	}
	var out bytes.Buffer
	for _, x := range []evidence.Extent{{Offset: -1, Length: 2}, {Offset: 0, Length: 0}, {Offset: 10 << 20, Length: 1}, {Offset: 1, Length: 10 << 20}} {
		d := Disclosure{To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 1, Range: &x}}}
		if _, err := Disclose(context.Background(), &out, openBytes(t, file), d); err == nil {
			t.Errorf("range %v disclosed", x)
		}
	}
	list := packageMembers(t, b)
	m := find(t, list, "records/1/blocks-1")
	m.data = slices.Clone(m.data)
	m.data[5<<20] ^= 1
	if r := verifyPackage(t, refit(t, list, nil), trustTest(t)); r.Verdict != Altered || r.Records[0].Problem == "" {
		t.Errorf("changed block: %s", r.Verdict)
	}
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	file, _, _ := sample(t)
	r := openBytes(t, file)
	for name, d := range map[string]Disclosure{
		"nothing":        {To: "x", Basis: "y"},
		"no recipient":   {Basis: "y", Parts: sampleParts()},
		"no basis":       {To: "x", Parts: sampleParts()},
		"twice":          {To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 1}, {Leaf: 1}}},
		"no such record": {To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 99}}},
		"no blocks":      {To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 1, Range: &evidence.Extent{Length: 1}}}},
	} {
		if _, err := Disclose(context.Background(), io.Discard, r, d); err == nil {
			t.Errorf("%s: disclosed", name)
		}
	}
}

// packageMembers takes a package apart.
func packageMembers(t testing.TB, b []byte) []part {
	t.Helper()
	var list []part
	for !allZero(b[:tarBlock]) {
		e, n, err := parseHeader(b)
		if err == nil && n > len(b) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, part{entry: e, data: slices.Clone(b[n : n+int(e.size)])})
		b = b[n+int(e.size+tarBlock-1)&^(tarBlock-1):]
	}
	return list
}

func find(t testing.TB, list []part, name string) *part {
	t.Helper()
	i := slices.IndexFunc(list, func(p part) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("no member %s", name)
	}
	return &list[i]
}

// refit puts a package together again, with a list of members that fits and,
// where there was one, a signature by sign.
func refit(t testing.TB, list []part, sign func([]byte) ([]byte, error)) []byte {
	t.Helper()
	var sums []byte
	for i := range list {
		switch p := &list[i]; p.name {
		case disclosedSums:
			p.data = sums
		case disclosedSumsSig:
			if sign != nil {
				sig, err := sign(sums)
				if err != nil {
					t.Fatal(err)
				}
				p.data = sig
			}
		default:
			d := evidence.Sum(p.data)
			if p.sparse { // as the list had it
				for line := range bytes.Lines(find(t, list, disclosedSums).data) {
					if name := strings.TrimSpace(string(line[64:])); name == p.name {
						_, _ = hex.Decode(d[:], line[:64])
					}
				}
			}
			sums = fmt.Appendf(sums, "%s  %s\n", d, p.name)
		}
	}
	return packed(list)
}

func packed(list []part) []byte {
	var b []byte
	for _, p := range list {
		e := p.entry
		if p.raw != nil {
			b = append(b, p.raw...)
		} else {
			e.size = int64(len(p.data))
			b = appendHeader(b, &e)
		}
		b = pad(append(b, p.data...), len(p.data))
	}
	return append(b, make([]byte, 2*tarBlock)...)
}

func TestEveryChangedByteOfAPackageIsRefused(t *testing.T) {
	file := small(t, testHeader().Bundle)
	good := discloseTest(t, file, Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}, {Leaf: 2, Content: true}}})
	step := 1
	if testing.Short() {
		step = 31
	}
	opt := trustTest(t)
	for i := 0; i < len(good); i += step {
		b := slices.Clone(good)
		b[i] ^= 1 << (i % 8)
		if r := verifyPackage(t, b, opt); r.ExitCode() != 4 && r.ExitCode() != 1 {
			t.Fatalf("byte %d changed: %s", i, r.Verdict)
		}
	}
	for i := 0; i < len(good); i += 97 {
		if r := verifyPackage(t, good[:i], opt); r.ExitCode() != 4 && r.ExitCode() != 1 {
			t.Errorf("cut at %d: %s", i, r.Verdict)
		}
	}
}

func TestADisclosureOfAnExpiredKeyNeedsTheTimeProven(t *testing.T) {
	file, _, _ := sample(t)
	end := testTime.Add(time.Hour)
	opt := VerifyOptions{Trusted: func(_ ssh.PublicKey, at time.Time) (string, bool) { return "alice@lab", at.Before(end) }}
	opt.Now = func() time.Time { return end.Add(time.Hour) }
	one := []DisclosedPart{{Leaf: 1, Content: true}}
	if r := verifyPackage(t, discloseTest(t, file, Disclosure{Parts: one}), opt); r.Verdict != SignerUnknown {
		t.Errorf("no time stated: %s", r.Verdict)
	}
	withHeader := discloseTest(t, file, Disclosure{Parts: append(one, DisclosedPart{Leaf: 0, Content: true})})
	if r := verifyPackage(t, withHeader, opt); r.Verdict != TimeUnproven {
		t.Errorf("time stated: %s %v", r.Verdict, r.Problems)
	}
	opt.TimeProof = func(Seal) (time.Time, string, bool) { return testTime, "stamp", true }
	if r := verifyPackage(t, withHeader, opt); r.Verdict != Verified {
		t.Errorf("time proven: %s %v", r.Verdict, r.Problems)
	}
}

func TestTheShippedScriptChecksAPackageWithStockTools(t *testing.T) {
	for _, tool := range []string{"tar", "sha256sum", "xxd", "base64", "od", "sed", "openssl"} {
		testenv.Tool(t, tool)
	}
	file, _, _ := sample(t)
	for name, b := range map[string][]byte{
		"records": discloseTest(t, file, Disclosure{Parts: sampleParts(), Sign: giver(t)}),
		"blocks":  discloseTest(t, large(t), Disclosure{Parts: []DisclosedPart{{Leaf: 1, Range: &evidence.Extent{Offset: 5 << 20, Length: 4 << 20}}}}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "p.tar"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			mustRun(t, dir, "tar", "xf", "p.tar")
			if out := mustRun(t, dir, "sh", "disclosure/check.sh"); !strings.Contains(out, "holds") || !strings.Contains(out, "Verified Successfully") {
				t.Errorf("says %q", out)
			}
			scriptFinds(t, dir, name)
		})
	}
}

// scriptFinds changes one thing at a time, and the list of members with it.
func scriptFinds(t *testing.T, dir, name string) {
	t.Helper()
	files := map[string][]string{
		"records": {"records/1/content", "records/1/content.jsonl", "records/2/meta.sha256", "records/4/record.tlog-proof", "seal/seal.txt", "seal/seal.note"},
		"blocks":  {"records/1/blocks-1", "records/1/blocks.sha256"},
	}[name]
	for _, f := range files {
		path := filepath.Join(dir, f)
		flipByte(t, path, 60%max(1, fileSize(t, path)-1))
		if out, err := run(t, dir, "sh", "disclosure/check.sh"); err == nil || !strings.Contains(out, "DOES NOT HOLD") {
			t.Errorf("%s changed, not found: %s", f, out)
		}
		sums := filepath.Join(dir, disclosedSums)
		if err := os.Chmod(sums, 0o600); err != nil {
			t.Fatal(err)
		}
		keep, err := os.ReadFile(sums)
		if err != nil {
			t.Fatal(err)
		}
		mustRun(t, dir, "sh", "-c", "sha256sum $(cut -c 67- disclosure/members.sha256) > new && cat new > disclosure/members.sha256")
		if out, err := run(t, dir, "sh", "disclosure/check.sh"); err == nil || !strings.Contains(out, "DOES NOT HOLD") {
			t.Errorf("%s changed with the list, not found: %s", f, out)
		}
		if err := os.WriteFile(sums, keep, 0o600); err != nil {
			t.Fatal(err)
		}
		flipByte(t, path, 60%max(1, fileSize(t, path)-1))
	}
}

func fileSize(t *testing.T, path string) int {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Size())
}

func FuzzDisclosure(f *testing.F) {
	good := disclosureSeeds(f)
	for _, b := range goodDisclosures(f) {
		good = append(good, b)
	}
	for _, b := range good {
		f.Add(b)
	}
	for _, v := range badDisclosures(f) {
		f.Add(v.file)
	}
	opt := trustTest(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r, err := VerifyDisclosure(ctx, bytes.NewReader(b), int64(len(b)), opt)
		if err != nil {
			return
		}
		same := slices.ContainsFunc(good, func(g []byte) bool { return bytes.Equal(b, g) })
		if r.ExitCode() == 0 && !same && r.GivenBy != "" {
			t.Errorf("changed package is verified: %v", r.Sentences)
		}
	})
}

// FuzzDisclosedMember changes one member and makes everything that nobody
// signed fit, so that what is behind the list meets the change.
func FuzzDisclosedMember(f *testing.F) {
	b := discloseTest(f, small(f, testHeader().Bundle), Disclosure{Parts: []DisclosedPart{
		{Leaf: 0, Content: true, Meta: true}, {Leaf: 1, Content: true, Meta: true}, {Leaf: 2, Content: true}, {Leaf: 5, Content: true, Meta: true},
	}})
	good := packageMembers(f, b)
	for i, m := range good {
		f.Add(uint8(i), m.data)
	}
	opt := trustTest(f)
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		list := slices.Clone(good)
		m := &list[int(n)%len(list)]
		free := m.name == disclosedReadme || m.name == disclosedScript || m.name == disclosedStatement || m.name == disclosedSums
		if m.sparse || free && m.name != disclosedStatement || len(data) > 1<<20 {
			return
		}
		same := bytes.Equal(m.data, data)
		m.data = data
		r := verifyPackage(t, refit(t, list, nil), opt)
		if r.ExitCode() == 0 && !same && !free {
			t.Errorf("changed %s is verified: %v", m.name, r.Sentences)
		}
	})
}

// disclosureSeeds are small packages.
func disclosureSeeds(t testing.TB) [][]byte {
	t.Helper()
	file := small(t, testHeader().Bundle)
	return [][]byte{
		discloseTest(t, file, Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}, {Leaf: 2}}, Sign: giver(t)}),
		discloseTest(t, file, Disclosure{Parts: []DisclosedPart{{Leaf: 0, Content: true}, {Leaf: 1, Meta: true}}, Sign: giver(t)}),
	}
}
