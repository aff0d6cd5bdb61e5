package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"golang.org/x/crypto/ssh"
)

// SealFolder ends the name of the folder that holds an encrypted bundle's seal
// outside of the envelope.
const SealFolder = ".seal"

// SealFile is one file of such a folder.
type SealFile struct {
	Name string
	Data []byte
}

// sealReadme is for the custodian who cannot open the bundle. Nothing in the
// folder names the host or anything that was collected.
const sealReadme = `This is the seal of the encrypted evidence bundle that lies beside this folder.
It lets you keep the bundle, sign for it and recognise it without being able to
read it. It shows no name and no content.

  seal.txt       three lines: the bundle's number, how many records it holds,
                 and one hash over all of them
  seal.txt.sig   signature over it, for ssh-keygen
  seal.note      the same statement, signed for openssl and C2SP tools
  collector.pub, collector.pem   the key that signed

The seal code is the first 100 bits of the SHA-256 of seal.txt, as 20
characters of Crockford base32: compare it with the one written on paper.

  echo "collector $(cat collector.pub)" > allowed_signers
  ssh-keygen -Y verify -f allowed_signers -I collector -n exhibit-seal \
    -s seal.txt.sig < seal.txt

  sed -n 's/^.* .* //p' seal.note | base64 -d | tail -c 64 > sig
  openssl pkeyutl -verify -pubin -inkey collector.pem -rawin \
    -in seal.txt -sigfile sig

That the encrypted file is the one this seal was made for shows only when a
recipient decrypts it and verifies. Until then, write down the SHA-256 of the
encrypted file (sha256sum) together with the seal code, and sign for both.
`

// SealFiles are the files of the folder for a seal and the key of its run.
func SealFiles(s Seal, key ssh.PublicKey) ([]SealFile, error) {
	ed, err := ed25519Key(key)
	if err != nil {
		return nil, err
	}
	pem, err := collectorPEM(ed)
	if err != nil {
		return nil, err
	}
	return []SealFile{
		{"README.txt", []byte(sealReadme)},
		{"collector.pub", CollectorPub(key)},
		{"collector.pem", pem},
		{"seal.txt", s.Text},
		{"seal.txt.sig", s.SSHSig},
		{"seal.note", s.Note},
	}, nil
}

// ErrSealFolder says that a folder holds no seal whose signatures hold.
var ErrSealFolder = errors.New("seal beside the bundle does not hold")

// ReadSealFolder reads a seal outside of its bundle and checks both signatures.
// Whose key it is, and which file the seal belongs to, it cannot say. Where
// there is no seal the error is fs.ErrNotExist.
func ReadSealFolder(dir fs.FS) (Seal, ssh.PublicKey, error) {
	files := map[string][]byte{}
	for _, name := range []string{"seal.txt", "seal.txt.sig", "seal.note"} {
		b, err := readSmall(dir, name)
		if err != nil {
			return Seal{}, nil, fmt.Errorf("read seal: %w", err)
		}
		files[name] = b
	}
	fail := func(err error) (Seal, ssh.PublicKey, error) {
		return Seal{}, nil, fmt.Errorf("%w: %w", ErrSealFolder, err)
	}
	key, err := chainofcustody.Verify(chainofcustody.NamespaceSeal, files["seal.txt"], files["seal.txt.sig"])
	if err != nil {
		return fail(err)
	}
	ed, err := ed25519Key(key)
	if err != nil {
		return fail(err)
	}
	s, err := parseNote(files["seal.note"], ed)
	if err != nil {
		return fail(err)
	}
	if !bytes.Equal(s.Text, files["seal.txt"]) {
		return fail(errors.New("seal.txt and seal.note differ"))
	}
	s.SSHSig = files["seal.txt.sig"]
	return s, key, nil
}

// sealFileLimit bounds a file of a seal folder, which has some hundred bytes.
const sealFileLimit = 16 << 10

// readSmall reads a regular file of a folder that others may have written.
func readSmall(dir fs.FS, name string) ([]byte, error) {
	st, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, sealFileLimit+1))
	if err == nil && len(b) > sealFileLimit {
		err = fmt.Errorf("%s is too long", name)
	}
	return b, err
}
