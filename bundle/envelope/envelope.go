// Package envelope is the age file around an encrypted bundle
// (docs/format/bundle.md, section 15): a Writer that encrypts on the way to any
// sink, and a Reader that gives back the bundle's bytes at any offset, also of
// a file that was cut short or damaged in places.
//
// The host of a collection uses the Writer and knows recipients only. Programs
// outside of this process are never started from here: see agekeys.
package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Suffix ends the name of an encrypted bundle.
const Suffix = ".age"

// Errors of opening an envelope.
var (
	ErrNot     = errors.New("not an age file")
	ErrArmored = errors.New("age file is armored: it is text, and no place in it can be found")
	ErrCut     = errors.New("file ends within the header of its envelope")
	ErrHeader  = errors.New("header of the envelope was changed or damaged")
	ErrNoKey   = errors.New("no identity opens this envelope")
)

const (
	intro      = "age-encryption.org/v1\n"
	armorIntro = "-----BEGIN AGE ENCRYPTED FILE-----"

	// headerLimit bounds what is read in search of a header's end. age itself
	// stops at the same size.
	headerLimit = 2 << 20
)

// Is reports whether a file begins as an age file does, armored or not. A file
// too short to tell begins like one as far as it goes.
func Is(r io.ReaderAt, size int64) bool {
	head := make([]byte, min(size, int64(len(armorIntro))))
	n, err := r.ReadAt(head, 0)
	if n == 0 || err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	head = head[:n]
	return bytes.HasPrefix(head, []byte(intro)[:min(n, len(intro))]) || string(head) == armorIntro
}

// Info is what an envelope tells anybody.
type Info struct {
	Stanzas []string // type of each recipient: X25519, mlkem768x25519, ssh-ed25519, ssh-rsa
	Header  int64    // bytes before the payload, nonce included
}

// Inspect reads what an envelope tells without a key. That it is well formed
// proves nothing: only a recipient can check the header.
func Inspect(r io.ReaderAt, size int64) (Info, error) {
	header, err := extract(r, size)
	if err != nil {
		return Info{}, err
	}
	info := Info{Header: int64(len(header)) + nonceSize}
	for line := range bytes.Lines(header) {
		if rest, ok := bytes.CutPrefix(line, []byte("-> ")); ok {
			kind, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " ")
			info.Stanzas = append(info.Stanzas, kind)
		}
	}
	return info, nil
}

// extract returns the header's bytes.
func extract(r io.ReaderAt, size int64) ([]byte, error) {
	if !Is(r, size) {
		return nil, ErrNot
	}
	header, err := age.ExtractHeader(io.NewSectionReader(r, 0, min(size, headerLimit)))
	if err == nil {
		return header, nil
	}
	var head [len(armorIntro)]byte
	if n, _ := r.ReadAt(head[:], 0); string(head[:n]) == armorIntro {
		return nil, ErrArmored
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || size < int64(len(intro)) {
		return nil, ErrCut
	}
	return nil, fmt.Errorf("%w: %w", ErrHeader, err)
}
