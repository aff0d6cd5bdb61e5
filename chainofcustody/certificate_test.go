package chainofcustody

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// authorities are identities whose keys live in different places.
func authorities(t *testing.T) map[string]*Identity {
	t.Helper()
	dir := t.TempDir()
	all := map[string]*Identity{}
	for _, kind := range []string{"ed25519", "rsa", "ecdsa"} {
		path := filepath.Join(dir, kind)
		if out, err := tool(t, "", "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		key, err := KeyFromFile(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		all[kind] = &Identity{ID: "alice@lab", Key: key}
	}
	newToken(t).serve(t)
	key, err := KeyFromAgent("token")
	if err != nil {
		t.Fatal(err)
	}
	all["token"] = &Identity{ID: "alice@lab", Key: key}
	return all
}

// stockVerify asks ssh-keygen whether a seal's signature holds for a
// principal at a time, given one line of allowed_signers.
func stockVerify(t *testing.T, signer, principal string, at time.Time, message, sig []byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string]string{"signers": signer, "sig": string(sig)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TZ", "UTC")
	return tool(t, string(message), "ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "signers"), "-I", principal,
		"-n", NamespaceSeal, "-s", filepath.Join(dir, "sig"), "-O", "verify-time="+at.UTC().Format("20060102150405"))
}

func TestStockSSHKeygenFollowsTheCertificateToTheExaminer(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, id := range authorities(t) {
		t.Run(name, func(t *testing.T) {
			run, err := NewRunKey()
			if err != nil {
				t.Fatal(err)
			}
			line, err := Certify(id, run.PublicKey(), AttendedTerms("EX-007", "bundle 1", "00112233", at))
			if err != nil {
				t.Fatal(err)
			}
			cert, err := VerifyCertificate(line, run.PublicKey(), "EX-007", at)
			if err != nil || Fingerprint(cert.Authority) != id.Fingerprint() || cert.Nonce != "00112233" || cert.KeyID != "bundle 1" {
				t.Fatalf("%+v, %v", cert, err)
			}
			signer, err := CertifiedSigner(run, line)
			if err != nil {
				t.Fatal(err)
			}
			message := []byte("origin\n4\nroot\n")
			sig, err := signer.Sign(NamespaceSeal, message)
			if err != nil {
				t.Fatal(err)
			}
			key, err := Verify(NamespaceSeal, message, sig)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := key.(*ssh.Certificate); !ok {
				t.Errorf("the signature carries %s, not the certificate", key.Type())
			}
			ca := func(who string) string {
				return fmt.Sprintf("%s cert-authority,namespaces=%q %s", who, NamespaceSeal, ssh.MarshalAuthorizedKey(id.Key.PublicKey()))
			}
			for _, c := range []struct {
				why, signer, principal string
				at                     time.Time
				message                string
				good                   bool
			}{
				{"as it is", ca("collector@EX-007"), "collector@EX-007", at, string(message), true},
				{"for any exhibit", ca("collector@*"), "collector@EX-007", at, string(message), true},
				{"another principal", ca("collector@*"), "collector@EX-008", at, string(message), false},
				{"before the window", ca("collector@EX-007"), "collector@EX-007", at.Add(-time.Hour), string(message), false},
				{"after the window", ca("collector@EX-007"), "collector@EX-007", at.Add(9 * time.Hour), string(message), false},
				{"another message", ca("collector@EX-007"), "collector@EX-007", at, "origin\n5\nroot\n", false},
				{"another authority", "collector@EX-007 cert-authority " + string(ssh.MarshalAuthorizedKey(run.PublicKey())), "collector@EX-007", at, string(message), false},
			} {
				out, err := stockVerify(t, c.signer, c.principal, c.at, []byte(c.message), sig)
				if (err == nil) != c.good {
					t.Errorf("%s: %v\n%s", c.why, err, out)
				}
			}
		})
	}
}

func TestCertificatesThatBindSomethingElseAreRefused(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run, other := runKey(t), runKey(t)
	alice := &Identity{ID: "alice@lab", Key: runKey(t).Signer}
	terms := AttendedTerms("EX-007", "x", "", at)
	line, err := Certify(alice, run.PublicKey(), terms)
	if err != nil {
		t.Fatal(err)
	}
	edited := []byte(strings.Replace(string(line), "AAAA", "AAAB", 1))
	host := &ssh.Certificate{Key: run.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"collector@EX-007"}, ValidBefore: ssh.CertTimeInfinity}
	many := &ssh.Certificate{Key: run.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"collector@EX-007", "root"}, ValidBefore: ssh.CertTimeInfinity}
	forced := &ssh.Certificate{
		Key: run.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"collector@EX-007"}, ValidBefore: ssh.CertTimeInfinity,
		Permissions: ssh.Permissions{CriticalOptions: map[string]string{"force-command": "x"}},
	}
	for _, c := range []*ssh.Certificate{host, many, forced} {
		if err := alice.Key.(keySigner).Certify(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		why     string
		line    []byte
		key     ssh.PublicKey
		exhibit string
		at      time.Time
	}{
		{"another key", line, other.PublicKey(), "EX-007", at},
		{"another exhibit", line, run.PublicKey(), "EX-008", at},
		{"no exhibit", line, run.PublicKey(), "", at},
		{"too early", line, run.PublicKey(), "EX-007", at.Add(-6 * time.Minute)},
		{"too late", line, run.PublicKey(), "EX-007", at.Add(CertificateLife + time.Second)},
		{"edited", edited, run.PublicKey(), "EX-007", at},
		{"two lines", append(append([]byte{}, line...), line...), run.PublicKey(), "EX-007", at},
		{"no certificate", ssh.MarshalAuthorizedKey(run.PublicKey()), run.PublicKey(), "EX-007", at},
		{"empty", nil, run.PublicKey(), "EX-007", at},
		{"host certificate", ssh.MarshalAuthorizedKey(host), run.PublicKey(), "EX-007", at},
		{"more principals", ssh.MarshalAuthorizedKey(many), run.PublicKey(), "EX-007", at},
		{"critical options", ssh.MarshalAuthorizedKey(forced), run.PublicKey(), "EX-007", at},
	} {
		if got, err := VerifyCertificate(c.line, c.key, c.exhibit, c.at); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %+v, %v", c.why, got, err)
		}
	}
}

func runKey(t *testing.T) *RunKey {
	t.Helper()
	key, err := NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
