package tlswire

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"time"
)

// Certificate is what a certificate says of itself; nothing here was checked
// against anybody's signature.
type Certificate struct {
	SHA1, SHA256        string // of the DER bytes, hexadecimal
	Subject, Issuer     string // RFC 2253
	Serial              string // hexadecimal
	NotBefore, NotAfter time.Time
	Names               []string // DNS names, addresses, mail addresses and URIs
	Key                 string   // algorithm of the public key
	SelfSigned          bool     // subject and issuer are the same bytes
	Err                 error    // why it could not be read, or not wholly
}

// ParseCertificate reads DER. Digests are always there; of a certificate that
// the standard library refuses, the names and times are read without its
// checks, and Err says why.
func ParseCertificate(der []byte) Certificate {
	sum1, sum2 := sha1.Sum(der), sha256.Sum256(der)
	c := Certificate{SHA1: hex.EncodeToString(sum1[:]), SHA256: hex.EncodeToString(sum2[:])}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		c.Err = err
		c.lenient(der)
		return c
	}
	c.Subject, c.Issuer = distinguished(x.RawSubject), distinguished(x.RawIssuer)
	c.Serial, c.NotBefore, c.NotAfter = x.SerialNumber.Text(16), x.NotBefore, x.NotAfter
	c.SelfSigned = string(x.RawSubject) == string(x.RawIssuer)
	c.Key = x.PublicKeyAlgorithm.String()
	c.Names = append(c.Names, x.DNSNames...)
	for _, ip := range x.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	c.Names = append(c.Names, x.EmailAddresses...)
	for _, u := range x.URIs {
		c.Names = append(c.Names, u.String())
	}
	return c
}

// body is the part of RFC 5280's TBSCertificate up to the subject.
type body struct {
	Version   int `asn1:"optional,explicit,default:0,tag:0"`
	Serial    *big.Int
	Algorithm asn1.RawValue
	Issuer    asn1.RawValue
	Validity  struct{ NotBefore, NotAfter time.Time }
	Subject   asn1.RawValue
}

func (c *Certificate) lenient(der []byte) {
	var outer struct{ Body asn1.RawValue }
	var b body
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return
	}
	if _, err := asn1.Unmarshal(outer.Body.FullBytes, &b); err != nil {
		return
	}
	c.Subject, c.Issuer = distinguished(b.Subject.FullBytes), distinguished(b.Issuer.FullBytes)
	c.Serial, c.NotBefore, c.NotAfter = b.Serial.Text(16), b.Validity.NotBefore, b.Validity.NotAfter
	c.SelfSigned = string(b.Subject.FullBytes) == string(b.Issuer.FullBytes)
}

// distinguished writes a name, "" where it is none.
func distinguished(der []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return ""
	}
	return name.String()
}
