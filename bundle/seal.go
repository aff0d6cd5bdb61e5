package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// OriginPrefix begins the origin line of every seal and checkpoint; the
// bundle's UUID follows.
const OriginPrefix = "exhibit.bundle.v1/"

// Seal is the signed statement that closes a bundle: how many records there
// are and the root of the Merkle tree over them. For a bundle that was cut
// short it is the last checkpoint instead, and SSHSig is nil.
type Seal struct {
	Origin string          // OriginPrefix and the bundle's UUID
	Size   int64           // number of leaves
	Root   evidence.Digest // RFC 6962 root over them
	ID     evidence.Digest // SHA-256 of Text: the name of the sealed bundle
	Text   []byte          // seal.txt: a C2SP checkpoint body of three lines
	Note   []byte          // seal.note: Text with its note signature
	SSHSig []byte          // seal.txt.sig: armored SSHSIG over Text

	// CertSig is seal.cert.sig: the same with the run's certificate in place of
	// its bare key; nil where there is no certificate.
	CertSig []byte
}

// crockford is the alphabet of Crockford's base32, without I, L, O and U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Code returns the first 100 bits of ID as 20 characters of Crockford base32
// in four groups: short enough for paper and telephone.
func (s Seal) Code() string { return CodeOf(s.ID) }

// CodeOf returns the seal code of a seal id.
func CodeOf(id evidence.Digest) string {
	var out []byte
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			out = append(out, '-')
		}
		bit := i * 5
		v := binary.BigEndian.Uint16([]byte{id[bit/8], id[bit/8+1]})
		out = append(out, crockford[v>>(11-bit%8)&31])
	}
	return string(out)
}

// NormalCode brings a seal code as people type it into the form of Code:
// upper case, groups of five, O read as 0, I and L as 1. It returns "" when
// the text is no seal code.
func NormalCode(typed string) string {
	var out []byte
	for _, c := range []byte(strings.ToUpper(typed)) {
		switch c {
		case '-', ' ', '\t', '\n', '\r':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if strings.IndexByte(crockford, c) < 0 {
			return ""
		}
		if n := len(out); n == 5 || n == 11 || n == 17 {
			out = append(out, '-')
		}
		out = append(out, c)
	}
	if len(out) != 23 {
		return ""
	}
	return string(out)
}

// sealText is the C2SP checkpoint body: origin, tree size, base64 root.
func sealText(origin string, size int64, root evidence.Digest) []byte {
	return fmt.Appendf(nil, "%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// newSeal fills in what follows from the text of a checkpoint.
func newSeal(origin string, size int64, root evidence.Digest) Seal {
	text := sealText(origin, size, root)
	return Seal{Origin: origin, Size: size, Root: root, ID: evidence.Sum(text), Text: text}
}

// ParseSeal reads a checkpoint body. Only the exact form that sealText writes
// is accepted.
func ParseSeal(text []byte) (Seal, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Seal{}, errors.New("checkpoint body has not three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Seal{}, fmt.Errorf("checkpoint has tree size %.40q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(evidence.Digest{}) {
		return Seal{}, errors.New("checkpoint has no SHA-256 root")
	}
	s := newSeal(lines[0], size, evidence.Digest(root))
	if !bytes.Equal(s.Text, text) {
		return Seal{}, errors.New("checkpoint body is not in its one valid spelling")
	}
	return s, nil
}

// noteDash begins a signature line of a signed note (c2sp.org/signed-note).
const noteDash = "\u2014 "

// noteKeyID is the key ID of an Ed25519 note signature, type 0x01.
func noteKeyID(name string, key ed25519.PublicKey) []byte {
	text := append([]byte(name+"\n\x01"), key...)
	sum := evidence.Sum(text)
	return sum[:4]
}

// signNote makes the signed note over a seal's text.
func signNote(s *Seal, key ed25519.PrivateKey) {
	public, _ := key.Public().(ed25519.PublicKey)
	sig := append(noteKeyID(s.Origin, public), ed25519.Sign(key, s.Text)...)
	s.Note = fmt.Appendf(nil, "%s\n%s%s %s\n", s.Text, noteDash, s.Origin, base64.StdEncoding.EncodeToString(sig))
}

// parseNote reads a signed note and checks the signature that key made on it.
func parseNote(note []byte, key ed25519.PublicKey) (Seal, error) {
	body, sigs, ok := bytes.Cut(note, []byte("\n\n"))
	if !ok {
		return Seal{}, errors.New("note has no signature block")
	}
	s, err := ParseSeal(note[:len(body)+1])
	if err != nil {
		return Seal{}, err
	}
	s.Note = note
	line := strings.TrimSuffix(string(sigs), "\n")
	name, b64, ok := strings.Cut(strings.TrimPrefix(line, noteDash), " ")
	if !ok || !strings.HasPrefix(line, noteDash) || name != s.Origin || string(sigs) != line+"\n" {
		return s, errors.New("note has not one signature line of its origin")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(b64)
	// The decoder passes over line ends: what it read must be all there is.
	if err != nil || len(sig) != 4+ed25519.SignatureSize || base64.StdEncoding.EncodeToString(sig) != b64 {
		return s, errors.New("note signature is not Ed25519")
	}
	if !bytes.Equal(sig[:4], noteKeyID(name, key)) || !ed25519.Verify(key, s.Text, sig[4:]) {
		return s, chainofcustody.ErrBadSignature
	}
	return s, nil
}

// ed25519Key returns the raw key inside an SSH Ed25519 public key.
func ed25519Key(key ssh.PublicKey) (ed25519.PublicKey, error) {
	ck, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, fmt.Errorf("key type %s is not Ed25519", key.Type())
	}
	ed, ok := ck.CryptoPublicKey().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key type %s is not Ed25519", key.Type())
	}
	return ed, nil
}
