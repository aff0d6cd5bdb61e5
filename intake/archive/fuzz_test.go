package archive

import (
	"bytes"
	"io"
	"testing"
)

// drain reads everything of a container and checks what every reader keeps to.
func drain(t *testing.T, entries Entries, size int) {
	n := 0
	for e, d := range entries {
		if (e == nil) == (d == nil) {
			t.Fatal("neither or both of entry and damage")
		}
		if n++; n > 10_000+size {
			t.Fatalf("more than %d entries of %d bytes", n, size)
		}
		if e == nil || e.Open == nil {
			continue
		}
		if e.Offset > int64(size) {
			t.Fatalf("offset %d of %d bytes", e.Offset, size)
		}
		if r, err := e.Open(); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20)) //nolint:errcheck // any end will do
		}
	}
}

func FuzzTar(f *testing.F) {
	whole := sampleTar(f, 3)
	f.Add(whole)
	f.Add(append(append([]byte{}, whole[:1500]...), whole...))
	f.Fuzz(func(t *testing.T, b []byte) {
		drain(t, Tar(bytes.NewReader(b), int64(len(b))), len(b))
		drain(t, Tar(bytes.NewReader(b), -1), len(b))
	})
}

func FuzzZip(f *testing.F) {
	whole := sampleZip(f)
	f.Add(whole, "")
	f.Add(whole[:len(whole)-30], "")
	// One member, AES-256 by 7-Zip's rules: header, salt, check and code.
	f.Add([]byte("PK\x03\x04\x33\x00\x01\x00\x63\x00\x00\x00\x21\x00\x00\x00\x00\x00\x1d\x00\x00\x00\x01\x00\x00\x00\x01\x00\x0b\x00a\x01\x99\x07\x00\x02\x00AE\x03\x00\x000123456789abcdef0123456789abc"), "p")
	f.Fuzz(func(t *testing.T, b []byte, password string) {
		drain(t, Zip(bytes.NewReader(b), int64(len(b)), []byte(password)), len(b))
	})
}
