package archive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/subtle"
	"errors"
	"hash"
	"hash/crc32"
	"io"
)

// unseal undoes the encryption of an entry.
func (z *zipWalk) unseal(rec *zipRecord, packed io.Reader) (io.Reader, error) {
	if rec.flags&(flagStrong|flagMasked) != 0 {
		return nil, errors.New("it is encrypted with PKWARE's strong encryption, which is not read")
	}
	if len(z.password) == 0 {
		return nil, ErrSealed
	}
	if rec.strength > 0 {
		n := rec.packed
		if s, ok := packed.(*io.SectionReader); ok {
			n = min(n, s.Size())
		}
		return unsealAES(packed, n, rec.strength, z.password, n < rec.packed)
	}
	// The check byte is the high byte of the checksum, or of the time where
	// the checksum follows the content.
	check := byte(rec.crc >> 24)
	if rec.flags&flagDescriptor != 0 {
		check = byte(rec.clock >> 8)
	}
	return unsealClassic(packed, z.password, check)
}

// aesMAC is the length of the authentication code behind the content.
const aesMAC = 10

// unsealAES opens AE-1 and AE-2: PBKDF2 with HMAC-SHA1 and 1000 rounds gives
// the keys of AES in counter mode (little endian, from 1) and of HMAC-SHA1,
// and two bytes by which a wrong password shows. n is the packed length; cut
// says that the end is missing, and with it the code.
func unsealAES(r io.Reader, n int64, strength int, password []byte, cut bool) (io.Reader, error) {
	if strength > 3 {
		return nil, errors.New("it is encrypted with AES of an unknown strength")
	}
	keyLen := 8 + 8*strength
	saltLen := keyLen / 2
	head := make([]byte, saltLen+2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, errors.New("it is encrypted and its beginning is missing")
	}
	keys, err := pbkdf2.Key(sha1.New, string(password), head[:saltLen], 1000, 2*keyLen+2)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(keys[2*keyLen:], head[saltLen:]) != 1 {
		return nil, ErrPassword
	}
	block, err := aes.NewCipher(keys[:keyLen])
	if err != nil {
		return nil, err
	}
	left := n - int64(len(head))
	if !cut {
		left -= aesMAC
	}
	if left < 0 {
		return nil, errors.New("it is encrypted and its end is missing")
	}
	return &aesReader{r: r, left: left, cut: cut, block: block, mac: hmac.New(sha1.New, keys[keyLen:2*keyLen]), used: aes.BlockSize}, nil
}

type aesReader struct {
	r     io.Reader
	left  int64
	cut   bool
	block cipher.Block
	mac   hash.Hash
	count [aes.BlockSize]byte
	pad   [aes.BlockSize]byte
	used  int
	end   error // what comes after the last byte
}

func (a *aesReader) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, a.finish()
	}
	if int64(len(p)) > a.left {
		p = p[:a.left]
	}
	n, err := a.r.Read(p)
	a.left -= int64(n)
	a.mac.Write(p[:n])
	for i := range p[:n] {
		if a.used == len(a.pad) {
			for j := range a.count {
				if a.count[j]++; a.count[j] != 0 {
					break
				}
			}
			a.block.Encrypt(a.pad[:], a.count[:])
			a.used = 0
		}
		p[i] ^= a.pad[a.used]
		a.used++
	}
	if err == io.EOF {
		if a.left > 0 {
			return n, io.ErrUnexpectedEOF
		}
		err = nil // the code is still to be read
	}
	return n, err
}

// finish compares the authentication code.
func (a *aesReader) finish() error {
	if a.end != nil {
		return a.end
	}
	a.end = io.EOF
	if a.cut {
		a.end = io.ErrUnexpectedEOF
		return a.end
	}
	code := make([]byte, aesMAC)
	if _, err := io.ReadFull(a.r, code); err != nil {
		a.end = io.ErrUnexpectedEOF
	} else if !hmac.Equal(code, a.mac.Sum(nil)[:aesMAC]) {
		a.end = errors.New("authentication code does not match")
	}
	return a.end
}

// classic is the state of ZipCrypto (APPNOTE 6.1).
type classic [3]uint32

func newClassic(password []byte) *classic {
	c := &classic{0x12345678, 0x23456789, 0x34567890}
	for _, b := range password {
		c.update(b)
	}
	return c
}

func (c *classic) update(b byte) {
	c[0] = crc32.IEEETable[byte(c[0])^b] ^ c[0]>>8
	c[1] = (c[1]+c[0]&0xff)*134775813 + 1
	c[2] = crc32.IEEETable[byte(c[2])^byte(c[1]>>24)] ^ c[2]>>8
}

func (c *classic) open(p []byte) {
	for i, b := range p {
		k := c[2] | 2
		b ^= byte(k * (k ^ 1) >> 8)
		c.update(b)
		p[i] = b
	}
}

type classicReader struct {
	r     io.Reader
	state *classic
}

func (c *classicReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.state.open(p[:n])
	return n, err
}

// unsealClassic opens ZipCrypto. One password in 256 passes its check: a wrong
// one shows then by the checksum.
func unsealClassic(r io.Reader, password []byte, check byte) (io.Reader, error) {
	c := newClassic(password)
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, errors.New("it is encrypted and its beginning is missing")
	}
	c.open(head[:])
	if head[11] != check {
		return nil, ErrPassword
	}
	return &classicReader{r, c}, nil
}
