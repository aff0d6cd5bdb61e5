package threats

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	tsp "github.com/digitorus/timestamp"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/timestamp"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// authority is a time authority that says whatever time it is told to.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	all  []*x509.Certificate // roots that are trusted, its own first
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().AddDate(-20, 0, 0), NotAfter: time.Now().AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{t, cert, key, []*x509.Certificate{cert}}
}

// trusts adds another authority to those that are trusted.
func (a *authority) trusts(b *authority) { a.all = append(a.all, b.cert) }

func (a *authority) stamp(data []byte, at time.Time) []byte {
	a.t.Helper()
	sum := evidence.Sum(data)
	ts := tsp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: at.UTC(), SerialNumber: big.NewInt(at.Unix()),
		Policy: []int{1, 2, 3, 4, 1}, AddTSACertificate: true,
	}
	token, err := ts.CreateResponseWithOpts(a.cert, a.key, crypto.SHA256)
	must(a.t, err)
	return token
}

// read is what the program makes of a token.
func (a *authority) read(token, data []byte) (time.Time, string, error) {
	s, err := timestamp.Verify(a.all, token, data)
	return s.Time, s.By, err
}

// One of two authorities lies, or a stranger plays one.
func TestTimeAuthorityLies(t *testing.T) {
	alice := person(t, "alice@lab")
	c, ex := folder(t, alice)
	honest, liar, stranger := newAuthority(t, "Honest"), newAuthority(t, "Liar"), newAuthority(t, "Stranger")
	honest.trusts(liar)
	ev := add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventSealed, Seal: evidence.Sum([]byte("seal"))}, alice)
	data, err := c.EventBytes(ex, ev.Digest)
	must(t, err)
	opt := chainofcustody.VerifyOptions{TokenTime: honest.read}
	stamp := func(token []byte) chainofcustody.Report {
		t.Helper()
		_, err := c.AddToken(ex, ev.Digest, token)
		must(t, err)
		return custody(t, c, ex, opt)
	}

	rep := stamp(stranger.stamp(data, time.Now().AddDate(-1, 0, 0)))
	if !rep.Events[0].Proven.IsZero() || !strings.Contains(said(rep, chainofcustody.LayerTime), "proves nothing") {
		t.Errorf("a root that nobody trusts: %s, %q", rep.Events[0].Proven, said(rep, chainofcustody.LayerTime))
	}
	rep = stamp(honest.stamp([]byte("another event"), time.Now()))
	if !rep.Events[0].Proven.IsZero() {
		t.Errorf("a token over something else: %s", rep.Events[0].Proven)
	}
	// Alone, an authority is believed; that it dates before the event shows.
	rep = stamp(liar.stamp(data, time.Now().AddDate(-3, 0, 0)))
	if rep.Events[0].Proven.IsZero() || !strings.Contains(said(rep, chainofcustody.LayerTime), "existed by") {
		t.Errorf("dated back before the event's own time: %s, %q", rep.Events[0].Proven, said(rep, chainofcustody.LayerTime))
	}
	// Beside an honest one it is not: the later counts, and it is said.
	now := time.Now().UTC().Truncate(time.Second)
	rep = stamp(honest.stamp(data, now))
	if got := rep.Events[0]; !got.Proven.Equal(now) || got.ProvenBy != "Honest" || !strings.Contains(said(rep, chainofcustody.LayerTime), "authorities disagree") {
		t.Errorf("two authorities: %s by %s, %q", got.Proven, got.ProvenBy, said(rep, chainofcustody.LayerTime))
	}
	if rep.Verdict != chainofcustody.VerdictVerified {
		t.Errorf("the log itself is %s", rep.Verdict)
	}
}
