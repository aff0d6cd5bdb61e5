package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func mandateVector(t testing.TB, name string) string {
	return filepath.Join(testenv.Root(t), "testdata/vectors/mandate", name)
}

// vectorNow is the moment at which the vectors are verified.
var vectorNow = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// mandateVectors are bundles whose keys are bound to an examiner in every way
// of the format, and in ways that do not hold. Certificates have a random part:
// these files are other bytes each time they are made.
func mandateVectors(t *testing.T) map[string][]byte {
	alice, run := vectorExaminer(t), testKey(t).PublicKey()
	full := mandateFor(t, alice, nil)
	mallory := mandateFor(t, examiner(t), nil)
	certified := func(key ssh.PublicKey, exhibit, nonce string, after, before time.Time) []byte {
		c, err := chainofcustody.Certify(alice, key, chainofcustody.Terms{Exhibit: exhibit, KeyID: "vector", Nonce: nonce, After: after, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	order, err := chainofcustody.ParseOrder(full.Order)
	if err != nil {
		t.Fatal(err)
	}
	hour, late := testTime.Add(-time.Hour), vectorNow.AddDate(5, 0, 0)
	long := certified(run, "EX-007", order.NonceText(), hour, late)
	b := func(cert []byte) Mandate {
		return Mandate{Grade: GradeDelegated, Certificate: cert, Order: full.Order, OrderSig: full.OrderSig}
	}
	list := map[string][]byte{
		"attended":             mandated(t, full, nil),
		"attended-plain":       mandated(t, Mandate{Grade: GradeAttended, Statement: full.Statement}, nil),
		"delegated":            mandated(t, b(long), nil),
		"delegated-ended":      mandated(t, b(certified(run, "EX-007", order.NonceText(), hour, testTime.Add(time.Hour))), nil),
		"attended-by-mallory":  mandated(t, mallory, nil),
		"of-another-exhibit":   mandated(t, b(certified(run, "EX-008", order.NonceText(), hour, late)), nil),
		"before-its-window":    mandated(t, b(certified(run, "EX-007", order.NonceText(), testTime.Add(time.Hour), late)), nil),
		"of-another-order":     mandated(t, b(certified(run, "EX-007", "0123456789abcdef0123456789abcdef", hour, late)), nil),
		"delegated-by-mallory": mandated(t, Mandate{Grade: GradeDelegated, Certificate: mallory.Certificate, Order: mallory.Order, OrderSig: mallory.OrderSig}, nil),
	}
	change := func(name string, do func(parts []part) []part) {
		parts := do(takeApart(t, list["attended"]).copied())
		relink(parts)
		tar, _ := assemble(parts)
		list[name] = repack(t, tar)
	}
	drop := func(name string) func([]part) []part {
		return func(parts []part) []part { i := index(parts, name); return slices.Delete(parts, i, i+1) }
	}
	change("certified-seal-missing", drop(certSigMember))
	change("certificate-missing", drop(certMember))
	change("order-signature-missing", drop(orderSigMember))
	change("certified-seal-changed", func(parts []part) []part {
		p := &parts[index(parts, certSigMember)]
		p.data[len(p.data)/2] ^= 1
		return parts
	})
	change("certified-seal-is-the-plain-one", func(parts []part) []part {
		parts[index(parts, certSigMember)].data = parts[index(parts, sshsigMember)].data
		return parts
	})
	return list
}

func vectorExaminer(t testing.TB) *chainofcustody.Identity {
	t.Helper()
	key, err := chainofcustody.RunKeyOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return &chainofcustody.Identity{ID: "alice@lab", Key: key}
}

func verifyMandateVector(t *testing.T, file []byte) *Report {
	t.Helper()
	rep, err := Verify(t.Context(), bytes.NewReader(file), int64(len(file)), VerifyOptions{
		Trusted: trusts(vectorExaminer(t)), Now: func() time.Time { return vectorNow },
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestMandateVectorsGetTheirVerdict(t *testing.T) {
	verdicts := mandateVector(t, "verdicts.json")
	if testenv.Updating() {
		said := map[string]Verdict{}
		if err := os.MkdirAll(filepath.Dir(verdicts), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, file := range mandateVectors(t) {
			said[name] = verifyMandateVector(t, file).Verdict
			if err := os.WriteFile(mandateVector(t, name+".exhibit.tar.zst"), file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := json.MarshalIndent(said, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(verdicts, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(verdicts)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]Verdict
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(mandateVector(t, "*.zst"))
	if err != nil || len(files) != len(want) || len(want) < 14 {
		t.Fatalf("%d files, %d verdicts, %v", len(files), len(want), err)
	}
	for name, verdict := range want {
		file, err := os.ReadFile(mandateVector(t, name+".exhibit.tar.zst"))
		if err != nil {
			t.Fatal(err)
		}
		if rep := verifyMandateVector(t, file); rep.Verdict != verdict {
			t.Errorf("%s: %s, want %s\n%s", name, rep.Verdict, verdict, explain(rep))
		}
	}
	// What must not depend on what this program says of itself.
	for name, verdict := range map[string]Verdict{
		"attended": Verified, "attended-plain": Verified, "delegated": Verified, "delegated-ended": TimeUnproven,
		"attended-by-mallory": SignerUnknown, "delegated-by-mallory": SignerUnknown, "of-another-exhibit": SignerUnknown,
		"before-its-window": SignerUnknown, "of-another-order": SignerUnknown,
		"certified-seal-changed": Altered, "certificate-missing": Altered, "order-signature-missing": Altered,
	} {
		if want[name] != verdict {
			t.Errorf("verdicts.json says of %s: %s, want %s", name, want[name], verdict)
		}
	}
	line := `alice@lab namespaces="exhibit-seal,exhibit-custody" ` + string(ssh.MarshalAuthorizedKey(vectorExaminer(t).Key.PublicKey()))
	testenv.Golden(t, mandateVector(t, "allowed_signers"), []byte(line))
}
