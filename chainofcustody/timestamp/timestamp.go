// Package timestamp writes requests for RFC 3161 time stamps and checks the
// answers. It is apart from chainofcustody so that the collector, which keeps
// no log, need not carry it; the web client is in a package of its own again
// (ask), for the verifier, which asks nobody.
package timestamp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	_ "crypto/sha512" // authorities may answer over SHA-384 and SHA-512
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// Errors of time stamps.
var (
	ErrToken     = errors.New("not a time stamp of this")
	ErrAuthority = errors.New("time authority is not trusted")
)

// maxResponse bounds a time stamp.
const maxResponse = 64 << 10

// Request returns an RFC 3161 TimeStampReq in DER for the SHA-256 of data. It
// tells the authority nothing but that hash and a random number.
func Request(data []byte) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, err
	}
	der, err := timestamp.CreateRequest(bytes.NewReader(data), &timestamp.RequestOptions{
		Hash: crypto.SHA256, Certificates: true, Nonce: nonce,
	})
	if err != nil {
		return nil, fmt.Errorf("make time stamp request: %w", err)
	}
	return der, nil
}

// Stamp is what a time stamp proves.
type Stamp struct {
	Time     time.Time     // the data existed by then, UTC
	Accuracy time.Duration // as the authority states it; 0: not stated
	By       string        // name of the authority in its certificate
	Until    time.Time     // when its certificate ends: stamp again before that
}

// ParseRoots reads certificates in PEM. Anything else in the file is an error.
func ParseRoots(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%q where a certificate should be", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list, text = append(list, cert), rest
	}
	if len(list) == 0 || len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("no certificates in PEM")
	}
	return list, nil
}

// Verify checks a TimeStampResp in DER over data: its signature, that it is
// over the hash of exactly this data, and that its certificate was good for
// time stamping at the stated time and leads to one of the roots
// (ErrAuthority). Anything else is ErrToken.
func Verify(roots []*x509.Certificate, token, data []byte) (s Stamp, err error) {
	defer func() { // the ASN.1 under it is the authority's, or a forger's
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: malformed", ErrToken)
		}
	}()
	if len(token) > maxResponse {
		return s, fmt.Errorf("%w: too long", ErrToken)
	}
	ts, err := timestamp.ParseResponse(token)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if err := overData(ts, data); err != nil {
		return s, err
	}
	p7, err := pkcs7.Parse(ts.RawToken)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrToken, err)
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return s, fmt.Errorf("%w: it carries no certificate of its one signer", ErrToken)
	}
	s = Stamp{Time: ts.Time.UTC(), Accuracy: ts.Accuracy, By: signer.Subject.CommonName, Until: signer.NotAfter.UTC()}
	if s.By == "" {
		s.By = signer.Subject.String()
	}
	pool, between := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	for _, c := range p7.Certificates {
		between.AddCert(c)
	}
	err = p7.VerifyWithOpts(x509.VerifyOptions{
		Roots: pool, Intermediates: between, CurrentTime: ts.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return s, fmt.Errorf("%w: %s: %w", ErrAuthority, s.By, err)
	}
	return s, nil
}

// overData compares the imprint of a time stamp with the hash of data.
func overData(ts *timestamp.Timestamp, data []byte) error {
	switch ts.HashAlgorithm {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return fmt.Errorf("%w: it is over a weak or unknown hash", ErrToken)
	}
	h := ts.HashAlgorithm.New()
	h.Write(data)
	if !bytes.Equal(h.Sum(nil), ts.HashedMessage) {
		return fmt.Errorf("%w: it is over something else", ErrToken)
	}
	return nil
}
