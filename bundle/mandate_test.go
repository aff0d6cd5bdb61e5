package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// examiner is somebody who orders and certifies.
func examiner(t testing.TB) *chainofcustody.Identity {
	t.Helper()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	return &chainofcustody.Identity{ID: "alice@lab", Key: key.Signer}
}

// trusts returns a VerifyOptions.Trusted that knows one examiner.
func trusts(id *chainofcustody.Identity) func(ssh.PublicKey, time.Time) (string, bool) {
	return func(key ssh.PublicKey, _ time.Time) (string, bool) {
		return id.ID, chainofcustody.Fingerprint(key) == id.Fingerprint()
	}
}

// mandateFor makes everything an examiner can give a run: statement,
// certificate and order.
func mandateFor(t testing.TB, id *chainofcustody.Identity, change func(*chainofcustody.Order)) Mandate {
	t.Helper()
	run := testKey(t).PublicKey()
	at := testTime.UTC().Truncate(time.Second)
	order := &chainofcustody.Order{
		Nonce: [16]byte{9, 8, 7}, Case: "2026-031", Exhibit: "EX-007", Issued: at, NotBefore: at, NotAfter: at.Add(time.Hour), Profile: "triage",
	}
	if change != nil {
		change(order)
	}
	m := Mandate{Grade: GradeAttended}
	var err error
	if m.Order, m.OrderSig, err = chainofcustody.SignOrder(order, id); err != nil {
		t.Fatal(err)
	}
	if m.Statement, err = id.Key.Sign(chainofcustody.NamespaceCustody, CollectorPub(run)); err != nil {
		t.Fatal(err)
	}
	if m.Certificate, err = chainofcustody.Certify(id, run, chainofcustody.AttendedTerms("EX-007", "test", order.NonceText(), testTime)); err != nil {
		t.Fatal(err)
	}
	return m
}

// mandated is a small bundle with a mandate.
func mandated(t testing.TB, m Mandate, change func(*Header)) []byte {
	t.Helper()
	var out bytes.Buffer
	opt := testOptions()
	opt.Mandate = m
	h := testHeader()
	h.Exhibit = "EX-007"
	if change != nil {
		change(&h)
	}
	w, err := NewWriter(&out, h, testKey(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	addBytes(t, w, "/etc/hostname", []byte("web01\n"))
	sealBundle(t, w)
	return out.Bytes()
}

func verifyBytes(t testing.TB, file []byte, id *chainofcustody.Identity) *Report {
	t.Helper()
	opt := VerifyOptions{Now: func() time.Time { return testTime }}
	if id != nil {
		opt.Trusted = trusts(id)
	}
	rep, err := Verify(t.Context(), bytes.NewReader(file), int64(len(file)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func layerState(r *Report, name string) string {
	for _, l := range r.Layers {
		if l.Name == name {
			return l.State
		}
	}
	return ""
}

func TestACertificateOrAStatementLeadsToTheExaminer(t *testing.T) {
	alice := examiner(t)
	full := mandateFor(t, alice, nil)
	for why, m := range map[string]Mandate{
		"all": full, "statement only": {Grade: GradeAttended, Statement: full.Statement},
		"certificate only": {Grade: GradeDelegated, Certificate: full.Certificate}, "order and certificate": {Grade: GradeDelegated, Certificate: full.Certificate, Order: full.Order, OrderSig: full.OrderSig},
	} {
		file := mandated(t, m, nil)
		rep := verifyBytes(t, file, alice)
		if rep.Verdict != Verified || rep.Signer != "alice@lab" || rep.Grade != m.Grade {
			t.Errorf("%s: %s by %q, grade %s\n%+v\n%+v", why, rep.Verdict, rep.Signer, rep.Grade, rep.Layers, rep.Findings)
		}
		if want := map[bool]string{true: "ok"}[m.Order != nil]; layerState(rep, "order") != want {
			t.Errorf("%s: order %q, want %q", why, layerState(rep, "order"), want)
		}
		if got := verifyBytes(t, file, examiner(t)); got.Verdict != SignerUnknown {
			t.Errorf("%s: a stranger's bundle is %s", why, got.Verdict)
		}
		got, err := openBytes(t, file).Mandate()
		if err != nil || !bytes.Equal(got.Statement, m.Statement) || !bytes.Equal(got.Certificate, m.Certificate) || !bytes.Equal(got.Order, m.Order) || !bytes.Equal(got.OrderSig, m.OrderSig) {
			t.Errorf("%s: read back: %v", why, err)
		}
	}
	if _, err := openBytes(t, mandated(t, Mandate{}, nil)).Mandate(); !errors.Is(err, ErrUnbound) {
		t.Errorf("unattended: %v", err)
	}
}

// The one-time key outlives its certificate, and whoever holds it writes the
// start: once the certificate has ended, only an outside time can tell.
func TestACertificateThatHasEndedNeedsAnOutsideTime(t *testing.T) {
	alice := examiner(t)
	full := mandateFor(t, alice, nil)
	delegated := mandated(t, Mandate{Certificate: full.Certificate}, nil)
	attended := mandated(t, full, nil)
	late := testTime.Add(chainofcustody.CertificateLife + time.Hour)
	for _, c := range []struct {
		why    string
		file   []byte
		now    time.Time
		proven time.Time
		want   Verdict
	}{
		{"within the window", delegated, testTime.Add(time.Hour), time.Time{}, Verified},
		{"after it", delegated, late, time.Time{}, TimeUnproven},
		{"after it, proven to be older", delegated, late, testTime.Add(2 * time.Hour), Verified},
		{"after it, proven too late", delegated, late.Add(time.Hour), late, TimeUnproven},
		{"attended: the examiner's own signature has no end", attended, late, time.Time{}, Verified},
	} {
		opt := VerifyOptions{Trusted: trusts(alice), Now: func() time.Time { return c.now }}
		if !c.proven.IsZero() {
			opt.TimeProof = func(Seal) (time.Time, string, bool) { return c.proven, "a stamp", true }
		}
		if rep := verify(t, c.file, opt); rep.Verdict != c.want {
			t.Errorf("%s: %s, want %s", c.why, rep.Verdict, c.want)
		}
	}
}

func TestStockToolsFollowTheSealToTheExaminer(t *testing.T) {
	alice := examiner(t)
	file := mandated(t, mandateFor(t, alice, nil), nil)
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar.zst")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	signers := "collector@* cert-authority,namespaces=\"exhibit-seal\" " + string(ssh.MarshalAuthorizedKey(alice.Key.PublicKey()))
	if err := os.WriteFile(filepath.Join(dir, "signers"), []byte(signers), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Tool(t, "zstd")
	testenv.Tool(t, "ssh-keygen")
	check := func(principal, at string) error {
		cmd := exec.Command("sh", "-c", `zstd -dqc b.tar.zst | tar x && TZ=UTC ssh-keygen -Y verify -f signers -I `+principal+
			` -n exhibit-seal -O verify-time=`+at+` -s exhibit/seal.cert.sig < exhibit/seal.txt && ssh-keygen -L -f exhibit/collector-cert.pub`)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	if err := check("collector@EX-007", "20260314151000"); err != nil {
		t.Error(err)
	}
	if check("collector@EX-008", "20260314151000") == nil {
		t.Error("another principal was accepted")
	}
	if check("collector@EX-007", "20260315151000") == nil {
		t.Error("a day later the certificate was accepted")
	}
}

func TestMandatesThatDoNotHoldAreSaid(t *testing.T) {
	alice, mallory := examiner(t), examiner(t)
	good := mandateFor(t, alice, nil)
	expired, err := chainofcustody.Certify(alice, testKey(t).PublicKey(), chainofcustody.AttendedTerms("EX-007", "old", "", testTime.Add(-100*time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, layer string
		m          Mandate
		change     func(*Header)
		want       Verdict
	}{
		{"certificate of another time", "certificate", Mandate{Grade: GradeDelegated, Certificate: expired}, nil, SignerUnknown},
		{"certificate for another exhibit", "certificate", Mandate{Grade: GradeDelegated, Certificate: good.Certificate}, func(h *Header) { h.Exhibit = "EX-008" }, SignerUnknown},
		{"certificate for another order", "certificate", Mandate{Grade: GradeDelegated, Certificate: good.Certificate, Order: mandateFor(t, alice, func(o *chainofcustody.Order) { o.Nonce[0]++ }).Order}, nil, SignerUnknown},
		{"order of another exhibit", "order", mandateFor(t, alice, func(o *chainofcustody.Order) { o.Exhibit = "EX-009" }), nil, Verified},
		{"order that had ended", "order", mandateFor(t, alice, func(o *chainofcustody.Order) {
			o.NotBefore = o.NotBefore.Add(-9 * time.Hour)
			o.NotAfter = o.NotBefore.Add(time.Hour)
		}), nil, Verified},
		{"order signed by a stranger", "order", Mandate{Grade: GradeAttended, Statement: good.Statement, Order: mandateFor(t, mallory, nil).Order, OrderSig: good.OrderSig}, nil, Verified},
	} {
		if c.m.Order != nil && c.m.OrderSig == nil {
			o, err := chainofcustody.ParseOrder(c.m.Order)
			if err != nil {
				t.Fatal(err)
			}
			if c.m.Order, c.m.OrderSig, err = chainofcustody.SignOrder(o, alice); err != nil {
				t.Fatal(err)
			}
		}
		rep := verifyBytes(t, mandated(t, c.m, c.change), alice)
		if rep.Verdict != c.want || layerState(rep, c.layer) != "failed" {
			t.Errorf("%s: %s, layer %s is %q\n%+v", c.why, rep.Verdict, c.layer, layerState(rep, c.layer), rep.Layers)
		}
		if c.layer == "order" && !strings.Contains(strings.Join(rep.Sentences, " "), "order") {
			t.Errorf("%s: no sentence says it: %q", c.why, rep.Sentences)
		}
	}
}

func TestTheGradeFitsWhatTheBundleHolds(t *testing.T) {
	alice := examiner(t)
	full := mandateFor(t, alice, nil)
	for why, m := range map[string]Mandate{
		"A with nothing": {Grade: GradeAttended}, "A with a certificate only": {Grade: GradeAttended, Certificate: full.Certificate},
		"B with nothing": {Grade: GradeDelegated}, "B with a statement": {Grade: GradeDelegated, Statement: full.Statement, Certificate: full.Certificate},
		"C with a certificate": {Grade: GradeUnattended, Certificate: full.Certificate}, "C with a statement": {Grade: GradeUnattended, Statement: full.Statement},
		"no grade of the format": {Grade: "D"},
	} {
		if rep := verifyBytes(t, mandated(t, m, nil), alice); rep.Verdict != Altered {
			t.Errorf("%s: %s", why, rep.Verdict)
		}
	}
}
