package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"golang.org/x/crypto/ssh"
)

// trustTest trusts the run's key of the tests.
func trustTest(t testing.TB) VerifyOptions {
	t.Helper()
	want := string(testKey(t).PublicKey().Marshal())
	return VerifyOptions{Workers: 2, Trusted: func(key ssh.PublicKey, _ time.Time) (string, bool) {
		return "alice@lab", string(key.Marshal()) == want
	}}
}

func verify(t testing.TB, b []byte, opt VerifyOptions) *Report {
	t.Helper()
	r, err := Verify(context.Background(), bytes.NewReader(b), int64(len(b)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func explain(r *Report) string {
	b, _ := json.MarshalIndent(r, "", " ")
	return string(b)
}

func TestWholeBundleOfAKnownSignerIsVerified(t *testing.T) {
	file, contents, seal := sample(t)
	r := verify(t, file, trustTest(t))
	if r.Verdict != Verified || r.ExitCode() != 0 || r.Proven != seal.Size || r.Contents != int64(len(contents)) || r.SealCode != seal.Code() {
		t.Error(explain(r))
	}
}

func TestUnknownSignerIsSaidSo(t *testing.T) {
	file, _, _ := sample(t)
	if r := verify(t, file, VerifyOptions{}); r.Verdict != SignerUnknown || r.ExitCode() != 5 {
		t.Error(explain(r))
	}
}

func TestSealCodeOnPaperReplacesAKnownSigner(t *testing.T) {
	file, _, seal := sample(t)
	opt := VerifyOptions{Confirmed: func(s Seal) (string, bool) { return "paper form", s.Code() == NormalCode(" "+seal.Code()) }}
	if r := verify(t, file, opt); r.Verdict != Verified {
		t.Error(explain(r))
	}
}

func TestKeyThatIsOnlyValidAtTheStatedTimeLeavesTheTimeUnproven(t *testing.T) {
	file, _, _ := sample(t)
	opt := VerifyOptions{Trusted: func(_ ssh.PublicKey, at time.Time) (string, bool) {
		return "alice@lab", at.Before(testTime.Add(24 * time.Hour))
	}}
	if r := verify(t, file, opt); r.Verdict != TimeUnproven || r.ExitCode() != 5 {
		t.Error(explain(r))
	}
	opt.TimeProof = func(Seal) (time.Time, string, bool) { return testTime.Add(time.Hour), "a receipt", true }
	if r := verify(t, file, opt); r.Verdict != Verified {
		t.Error(explain(r))
	}
}

func TestNoFlippedBitIsVerified(t *testing.T) {
	file, _, _ := sample(t)
	opt := trustTest(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 256 {
		b := bytes.Clone(file)
		at, bit := random.IntN(len(b)), random.IntN(8)
		b[at] ^= 1 << bit
		if r := verify(t, b, opt); r.Verdict != Damaged && r.Verdict != Altered {
			t.Errorf("bit %d of byte %d: %s", bit, at, explain(r))
		}
	}
}

func TestEveryCutLeavesAPrefixThatVerifiesUpToItsLastCheckpoint(t *testing.T) {
	file, _, _ := sample(t)
	opt := trustTest(t)
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for i, f := range table {
		end := f.file + int64(f.packed)
		for _, cut := range []int64{end - 1, end, end + 1} {
			r := verify(t, file[:cut], opt)
			switch {
			case i == 0 && cut < end:
				if r.Verdict != Unreadable {
					t.Errorf("cut at %d: %s", cut, explain(r))
				}
			case r.Verdict != VerifiedPrefix || r.ExitCode() != 3 || r.Proven < last:
				t.Errorf("cut at %d: %s", cut, explain(r))
			}
			last = r.Proven
		}
	}
	if last != 12 {
		t.Errorf("%d records proven before the seek table, want 12", last)
	}
}

func TestRandomCutsAreNeverVerified(t *testing.T) {
	file, _, _ := sample(t)
	opt := trustTest(t)
	random := rand.New(rand.NewPCG(3, 4))
	for range 64 {
		cut := random.IntN(len(file))
		if r := verify(t, file[:cut], opt); r.Verdict != VerifiedPrefix && r.Verdict != Unreadable {
			t.Errorf("cut at %d: %s", cut, explain(r))
		}
	}
}

func TestDamagedFrameLeavesTheRestProven(t *testing.T) {
	file, contents, _ := sample(t)
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range table {
		b := bytes.Clone(file)
		for j := range min(f.packed, 40) {
			b[f.file+int64(f.packed/2)+int64(j)-20*int64(min(1, f.packed/40))] ^= 0x55
		}
		r := verify(t, b, trustTest(t))
		if r.Verdict != Damaged {
			t.Errorf("frame %d: %s", i, explain(r))
		}
		whole := int64(len(contents)) - r.DamagedItems
		if i > 0 && r.Contents < whole-4 {
			t.Errorf("frame %d: %d contents proven: %s", i, r.Contents, explain(r))
		}
	}
}

func TestExaminersSignatureOverTheRunsKeyNamesTheSigner(t *testing.T) {
	examiner := otherKey(t)
	pub := CollectorPub(testKey(t).PublicKey())
	good, err := examiner.Sign(chainofcustody.NamespaceCustody, pub)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := examiner.Sign(chainofcustody.NamespaceCustody, []byte("another key\n"))
	if err != nil {
		t.Fatal(err)
	}
	trustExaminer := VerifyOptions{Trusted: func(key ssh.PublicKey, _ time.Time) (string, bool) {
		return "alice@lab", bytes.Equal(key.Marshal(), examiner.PublicKey().Marshal())
	}}
	for _, c := range []struct {
		name    string
		binding []byte
		want    Verdict
	}{{"bound", good, Verified}, {"not bound", nil, SignerUnknown}, {"bound to another key", wrong, Altered}} {
		var out bytes.Buffer
		opt := testOptions()
		opt.Mandate.Statement = c.binding
		w := newTestWriter(t, &out, opt)
		addBytes(t, w, "/etc/hosts", []byte("x"))
		sealBundle(t, w)
		if r := verify(t, out.Bytes(), trustExaminer); r.Verdict != c.want {
			t.Errorf("%s: %s", c.name, explain(r))
		}
	}
}
