// Package chainofcustody knows who did what to an exhibit and proves it:
// identities and signatures, signed and linked custody events, the case
// folder that holds them, and their verification with verdicts in plain
// words.
//
// Signatures are OpenSSH signatures (PROTOCOL.sshsig), so that anybody can
// check them with `ssh-keygen -Y verify` and one allowed_signers file.
package chainofcustody

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Namespaces keep a signature made for one purpose from serving another.
const (
	NamespaceSeal    = "exhibit-seal"    // the collector's signature over seal.txt
	NamespaceCustody = "exhibit-custody" // a person's signature over a custody event
	NamespaceOrder   = "exhibit-order"   // an examiner's signature over a collection order
)

// ErrBadSignature says that a signature does not belong to these bytes, this
// key or this namespace.
var ErrBadSignature = errors.New("signature does not match")

// Signer makes SSH signatures with one key, which may live in a file, in
// memory, in an agent or on a token.
type Signer interface {
	// PublicKey is the key that verifies the signatures.
	PublicKey() ssh.PublicKey
	// Sign returns an armored SSHSIG over message in a namespace.
	Sign(namespace string, message []byte) ([]byte, error)
}

type keySigner struct{ ssh.Signer }

// NewSigner returns a Signer for an SSH key.
func NewSigner(key ssh.Signer) Signer { return keySigner{key} }

func (k keySigner) Sign(namespace string, message []byte) ([]byte, error) {
	sig, err := sshsig.Sign(bytes.NewReader(message), k.Signer, sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", namespace, err)
	}
	return sshsig.Armor(sig), nil
}

// RunKey is the Ed25519 key of one collection run: made in memory, never
// written, forgotten at the end.
type RunKey struct {
	Signer
	Private ed25519.PrivateKey
}

// NewRunKey makes a fresh key.
func NewRunKey() (*RunKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return RunKeyOf(private)
}

// RunKeyOf wraps an existing key. It is for test vectors, which need fixed
// keys.
func RunKeyOf(private ed25519.PrivateKey) (*RunKey, error) {
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		return nil, err
	}
	return &RunKey{NewSigner(signer), private}, nil
}

// Verify checks an armored SSHSIG over message and returns the key that made
// it. Its file must be in the one spelling, so that no byte of it is free.
// Whether that key is trusted, and whose it is, is another question.
func Verify(namespace string, message, armored []byte) (ssh.PublicKey, error) {
	sig, err := sshsig.Unarmor(armored)
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	if !canonicalArmor(armored, sig) {
		return nil, fmt.Errorf("%w: its file is not as ssh-keygen writes it", ErrBadSignature)
	}
	if sig.HashAlgorithm != sshsig.HashSHA512 {
		return nil, fmt.Errorf("%w: hash %s, want sha512", ErrBadSignature, sig.HashAlgorithm)
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, sig.PublicKey, sig.HashAlgorithm, namespace); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return sig.PublicKey, nil
}

// canonicalArmor accepts the two line lengths in use: 70 of ssh-keygen, 64 of
// PEM. PEM readers pass over text around the block, which no signature covers.
func canonicalArmor(armored []byte, sig *sshsig.Signature) bool {
	return string(armored) == string(sshsig.Armor(sig)) || string(armored) == opensshArmor(sig)
}

// Fingerprint is the key's name on paper: SHA256:… as ssh-keygen -l prints it.
func Fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }

// opensshArmor is the armor ssh-keygen writes: 70 characters a line.
func opensshArmor(sig *sshsig.Signature) string {
	text := base64.StdEncoding.EncodeToString(sig.Marshal())
	var b strings.Builder
	b.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for len(text) > 0 {
		n := min(len(text), 70)
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("-----END SSH SIGNATURE-----\n")
	return b.String()
}
