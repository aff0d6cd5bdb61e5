package threats

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
)

// privateKey is a person's key as ssh-keygen writes it.
func privateKey(t testing.TB, id *chainofcustody.Identity) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(runKey(t, id.ID).Private, "")
	must(t, err)
	return pem.EncodeToMemory(block)
}

// frames cuts a bundle by its own seek table, which is the last piece.
func frames(t testing.TB, file []byte) [][]byte {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(file[len(file)-9:]))
	table := file[len(file)-17-8*n:]
	var list [][]byte
	at := 0
	for i := range n {
		size := int(binary.LittleEndian.Uint32(table[8+8*i:]))
		list = append(list, file[at:at+size])
		at += size
	}
	return append(list, table)
}

func unpack(t testing.TB, file []byte) []byte {
	t.Helper()
	dec, err := zstd.NewReader(bytes.NewReader(file))
	must(t, err)
	defer dec.Close()
	b, err := io.ReadAll(dec)
	must(t, err)
	return b
}

// repack makes a file of a tar in one frame, with a seek table that fits.
func repack(t testing.TB, tar []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true))
	must(t, err)
	defer enc.Close()
	le := binary.LittleEndian
	out := enc.EncodeAll(tar, nil)
	table := le.AppendUint32(le.AppendUint32(nil, 0x184D2A5E), 8+9)
	table = le.AppendUint32(le.AppendUint32(table, uint32(len(out))), uint32(len(tar)))
	table = append(le.AppendUint32(table, 1), 0)
	return append(out, le.AppendUint32(table, 0x8F92EAB1)...)
}

type member struct {
	name     string
	from, to int
}

// members finds where the members of a tar lie.
func members(t testing.TB, b []byte) []member {
	t.Helper()
	var list []member
	at := bytes.NewReader(b)
	r := tar.NewReader(at)
	end := 0
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		must(t, err)
		_, err = io.Copy(io.Discard, r)
		must(t, err)
		to := (len(b) - at.Len() + 511) / 512 * 512
		list = append(list, member{h.Name, end, to})
		end = to
	}
}
