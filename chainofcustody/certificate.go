package chainofcustody

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrCertificate says that a certificate does not bind the run's key as it
// should.
var ErrCertificate = errors.New("certificate does not hold")

// ExtensionNonce is the certificate extension that carries the nonce of the
// order (PROTOCOL.certkeys: names outside OpenSSH end in @domain).
const ExtensionNonce = "order-nonce@exhibit-dfir.github.io"

// CertificateLife is how long the certificate of an attended run holds.
const CertificateLife = 8 * time.Hour

// clockLeeway lets a host's clock be a little behind the examiner's.
const clockLeeway = 5 * time.Minute

// CollectorPrincipal is the name that a certificate gives to the key of a
// run: collector@EX-007, or collector where there is no exhibit number.
func CollectorPrincipal(exhibit string) string {
	if exhibit == "" {
		return "collector"
	}
	return "collector@" + exhibit
}

// Terms are what a certificate says of the key it is for.
type Terms struct {
	Exhibit string
	KeyID   string // free text: what the certificate is for
	Nonce   string // of the order; "" without one
	After   time.Time
	Before  time.Time
}

// AttendedTerms are the terms of a run that an examiner attends at a time.
func AttendedTerms(exhibit, keyID, nonce string, at time.Time) Terms {
	return Terms{exhibit, keyID, nonce, at.Add(-clockLeeway), at.Add(CertificateLife)}
}

// Certify returns an OpenSSH user certificate (PROTOCOL.certkeys) in which
// the identity's key says whose the run's key is, as a line of authorized_keys
// form with LF. ssh-keygen takes the identity's key as cert-authority.
func Certify(id *Identity, run ssh.PublicKey, t Terms) ([]byte, error) {
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("certify the run's key: %w", err)
	}
	certifier, ok := id.Key.(interface{ Certify(*ssh.Certificate) error })
	if !ok {
		return nil, fmt.Errorf("certify the run's key: %w: this kind of key cannot sign certificates", ErrCertificate)
	}
	cert := &ssh.Certificate{
		Key: run, CertType: ssh.UserCert, KeyId: t.KeyID, ValidPrincipals: []string{CollectorPrincipal(t.Exhibit)},
		ValidAfter: uint64(max(t.After.Unix(), 0)), ValidBefore: uint64(max(t.Before.Unix(), 0)),
	}
	if t.Nonce != "" {
		cert.Extensions = map[string]string{ExtensionNonce: t.Nonce}
	}
	if err := certifier.Certify(cert); err != nil {
		return nil, fmt.Errorf("certify the run's key: %w", err)
	}
	return ssh.MarshalAuthorizedKey(cert), nil
}

// Certify signs a certificate with the key.
func (k keySigner) Certify(c *ssh.Certificate) error { return c.SignCert(rand.Reader, k.Signer) }

// Certify signs a certificate with the key.
func (k *RunKey) Certify(c *ssh.Certificate) error {
	signer, err := ssh.NewSignerFromSigner(k.Private)
	if err != nil {
		return err
	}
	return c.SignCert(rand.Reader, signer)
}

// Certificate is what a verified certificate states.
type Certificate struct {
	Authority ssh.PublicKey // whose signature it is; trusting it is the caller's question
	KeyID     string
	Nonce     string // of the order; "": none
	After     time.Time
	Before    time.Time
}

// maxCertificate bounds a certificate's line.
const maxCertificate = 64 << 10

// VerifyCertificate reads a certificate and checks that it is one for exactly
// this key and exhibit, valid at a time, with a good signature.
func VerifyCertificate(line []byte, run ssh.PublicKey, exhibit string, at time.Time) (*Certificate, error) {
	fail := func(format string, args ...any) (*Certificate, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrCertificate}, args...)...)
	}
	cert, err := parseCertificate(line)
	if err != nil {
		return fail("%w", err)
	}
	if string(cert.Key.Marshal()) != string(run.Marshal()) {
		return fail("it is for another key")
	}
	if cert.CertType != ssh.UserCert || !slices.Equal(cert.ValidPrincipals, []string{CollectorPrincipal(exhibit)}) {
		return fail("it is not for %s", CollectorPrincipal(exhibit))
	}
	if len(cert.CriticalOptions) > 0 {
		return fail("it has critical options")
	}
	checker := ssh.CertChecker{Clock: func() time.Time { return at }}
	if err := checker.CheckCert(CollectorPrincipal(exhibit), cert); err != nil {
		return fail("%w", err)
	}
	return &Certificate{
		Authority: cert.SignatureKey, KeyID: cert.KeyId, Nonce: cert.Extensions[ExtensionNonce],
		After: certTime(cert.ValidAfter), Before: certTime(cert.ValidBefore),
	}, nil
}

func certTime(v uint64) time.Time {
	return time.Unix(int64(min(v, 1<<38)), 0).UTC()
}

// parseCertificate accepts the one line that MarshalAuthorizedKey writes.
func parseCertificate(line []byte) (*ssh.Certificate, error) {
	if len(line) > maxCertificate {
		return nil, fmt.Errorf("%d bytes, more than %d", len(line), maxCertificate)
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || comment != "" || len(options) > 0 || len(rest) > 0 || string(ssh.MarshalAuthorizedKey(cert)) != string(line) {
		return nil, errors.New("not one line with a certificate and nothing else")
	}
	return cert, nil
}

// CertifiedSigner signs as key, with its certificate in place of the bare
// public key: ssh-keygen then follows it to the cert-authority that issued it.
func CertifiedSigner(key *RunKey, line []byte) (Signer, error) {
	cert, err := parseCertificate(line)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	plain, err := ssh.NewSignerFromSigner(key.Private)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewCertSigner(cert, plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return NewSigner(signer), nil
}
