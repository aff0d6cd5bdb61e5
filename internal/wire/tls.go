package wire

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrPeer says that the other side's key is not the one that was expected.
var ErrPeer = errors.New("the other side has another key")

// Config returns a configuration for either end. accept decides by the
// fingerprint of the other side's key; that it holds the key is proven by the
// handshake. The certificates only carry keys: names and dates say nothing.
func Config(key ed25519.PrivateKey, accept func(fingerprint string) error) (*tls.Config, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "exhibit"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5: no date
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS13, NextProtos: []string{ALPN},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // the key is compared instead, in VerifyConnection
		// Without tickets every connection proves its key anew.
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != ALPN {
				return fmt.Errorf("%w: it does not speak %s", ErrPeer, ALPN)
			}
			fp, err := PeerOf(s)
			if err != nil {
				return err
			}
			return accept(fp)
		},
	}, nil
}

// PeerOf returns the fingerprint of the other side's key.
func PeerOf(s tls.ConnectionState) (string, error) {
	if len(s.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: it shows none", ErrPeer)
	}
	key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("%w: it is no Ed25519 key", ErrPeer)
	}
	return Fingerprint(key), nil
}

// Fingerprint is what ssh-keygen -l prints of the key: SHA-256 over its
// encoding of RFC 8709, in base64 without padding.
func Fingerprint(key ed25519.PublicKey) string {
	var b []byte
	for _, part := range [][]byte{[]byte("ssh-ed25519"), key} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
