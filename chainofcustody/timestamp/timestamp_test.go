package timestamp

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody/timestamp/ask"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// authority is a real time authority: openssl ts behind a web server.
type authority struct {
	t   *testing.T
	dir string
	url string
}

const tsaConfig = `
[tsa]
default_tsa = tsa_config
[tsa_config]
dir = .
serial = ./serial
crypto_device = builtin
signer_cert = ./tsa.pem
certs = ./ca.pem
signer_key = ./tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
`

func newAuthority(t *testing.T, name string, days string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tsa.cnf", tsaConfig)
	write("serial", "01\n")
	write("ext", "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n")
	a.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "3650", "-subj", "/CN="+name+" root")
	a.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN="+name)
	a.openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tsa.pem", "-days", days, "-extfile", "ext")
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *authority) openssl(args ...string) {
	a.t.Helper()
	cmd := exec.Command(testenv.Tool(a.t, "openssl"), args...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	q, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if err := os.WriteFile(filepath.Join(a.dir, "q"), q, 0o600); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	cmd := exec.Command("openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q", "-out", "r")
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Errorf("%v\n%s", err, out)
	}
	answer, err := os.ReadFile(filepath.Join(a.dir, "r"))
	if err != nil {
		a.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	if _, err := w.Write(answer); err != nil {
		a.t.Error(err)
	}
}

func (a *authority) roots() []*x509.Certificate {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	list, err := ParseRoots(text)
	if err != nil {
		a.t.Fatal(err)
	}
	return list
}

func (a *authority) stamp(data []byte) []byte {
	a.t.Helper()
	q, err := Request(data)
	if err != nil {
		a.t.Fatal(err)
	}
	token, err := ask.Authority(context.Background(), a.url, q)
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

func TestAStampOfARealAuthorityHolds(t *testing.T) {
	a := newAuthority(t, "Example TSA", "30")
	data := []byte("the head of a log\n")
	before := time.Now().Add(-2 * time.Second)
	token := a.stamp(data)
	s, err := Verify(a.roots(), token, data)
	if err != nil || s.By != "Example TSA" || s.Time.Before(before) || s.Time.After(time.Now().Add(2*time.Second)) || s.Accuracy != time.Second {
		t.Fatalf("%+v, %v", s, err)
	}
	// openssl agrees.
	for name, b := range map[string][]byte{"data": data, "token": token} {
		if err := os.WriteFile(filepath.Join(a.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.openssl("ts", "-verify", "-data", "data", "-in", "token", "-CAfile", "ca.pem")

	if _, err := Verify(a.roots(), token, []byte("another\n")); !errors.Is(err, ErrToken) {
		t.Errorf("over other data: %v", err)
	}
	other := newAuthority(t, "Other TSA", "30")
	if _, err := Verify(other.roots(), token, data); !errors.Is(err, ErrAuthority) {
		t.Errorf("by an authority that is not trusted: %v", err)
	}
	if _, err := Verify(nil, token, data); !errors.Is(err, ErrAuthority) {
		t.Errorf("without roots: %v", err)
	}
	for i := range token {
		bad := append([]byte(nil), token...)
		bad[i] ^= 0x10
		if got, err := Verify(a.roots(), bad, data); err == nil && got != s {
			t.Fatalf("byte %d changed: %+v", i, got)
		}
	}
}

// A certificate for something else than time stamping proves no time.
func TestACertificateForOtherPurposesIsNoAuthority(t *testing.T) {
	a := newAuthority(t, "Web server", "30")
	if err := os.WriteFile(filepath.Join(a.dir, "ext"), []byte("extendedKeyUsage=serverAuth\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := a.stamp([]byte("x"))
	a.openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "web.pem", "-days", "30", "-extfile", "ext")
	roots := a.roots()
	if _, err := Verify(roots, token, []byte("x")); err != nil {
		t.Fatal(err)
	}
	// openssl refuses to sign as such a server; the token above with the other
	// certificate as its only root must not verify either.
	text, err := os.ReadFile(filepath.Join(a.dir, "web.pem"))
	if err != nil {
		t.Fatal(err)
	}
	web, err := ParseRoots(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(web, token, []byte("x")); !errors.Is(err, ErrAuthority) {
		t.Errorf("%v", err)
	}
}

func TestAuthoritiesThatMisbehaveAreErrors(t *testing.T) {
	q, err := Request([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, "Example TSA", "30")
	stale := a.stamp([]byte("x"))
	for why, handler := range map[string]http.HandlerFunc{
		"another request's answer": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(stale) },
		"an error":                 func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"endless":                  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
		"nonsense":                 func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"empty":                    func(http.ResponseWriter, *http.Request) {},
	} {
		s := httptest.NewServer(handler)
		if _, err := ask.Authority(context.Background(), s.URL, q); err == nil {
			t.Errorf("%s: accepted", why)
		}
		s.Close()
	}
	for _, address := range []string{"", "ftp://x/", "file:///etc/passwd", "http://"} {
		if _, err := ask.Authority(context.Background(), address, q); err == nil || !strings.Contains(err.Error(), "http") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte{0x30, 0x03, 0x30, 0x01, 0x00})
	if token, err := os.ReadFile(filepath.Join("testdata", "token.tsr")); err == nil {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		if s, err := Verify(nil, token, []byte("x")); err == nil {
			t.Errorf("proved %+v without a root", s)
		}
	})
}
