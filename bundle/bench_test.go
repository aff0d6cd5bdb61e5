package bundle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// benchText is log text that compresses about tenfold.
func benchText(size int) []byte {
	random := fixedRandom(9)
	var out bytes.Buffer
	var b [4]byte
	for i := 0; out.Len() < size; i++ {
		_, _ = random.Read(b[:])
		fmt.Fprintf(&out, "Mar 14 15:%02d:%02d web01 sshd[%d]: Failed password for root from 203.0.113.%d port %d ssh2\n",
			i/60%60, i%60, 1000+i/7, b[0], 1024+int(b[1])<<8+int(b[2]))
	}
	return out.Bytes()[:size]
}

func writeBench(b *testing.B, sink io.Writer, content []byte, items int) {
	opt := testOptions()
	w, err := NewWriter(sink, testHeader(), testKey(b), opt)
	if err != nil {
		b.Fatal(err)
	}
	part := len(content) / items
	for i := range items {
		it := evidence.Item{Kind: evidence.KindFile, Path: fmt.Sprintf("/var/log/%d", i), Size: int64(part)}
		if _, err := w.Add(context.Background(), it, Input{R: bytes.NewReader(content[i*part : (i+1)*part])}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := w.Seal(Trailer{}); err != nil {
		b.Fatal(err)
	}
}

func noise(size int) []byte {
	p := make([]byte, size)
	_, _ = io.ReadFull(fixedRandom(3), p)
	return p
}

var benchCases = []struct {
	name  string
	make  func(int) []byte
	size  int
	items int
}{
	{"logs", benchText, 128 << 20, 64},
	{"compressed", noise, 128 << 20, 64},
	{"one big file", benchText, 128 << 20, 1},
	{"small files", benchText, 32 << 20, 16384},
}

func BenchmarkWrite(b *testing.B) {
	for _, c := range benchCases {
		b.Run(c.name, func(b *testing.B) {
			content := c.make(c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				writeBench(b, io.Discard, content, c.items)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, c := range benchCases {
		b.Run(c.name, func(b *testing.B) {
			var out bytes.Buffer
			writeBench(b, &out, c.make(c.size), c.items)
			opt := trustTest(b)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				if r := verify(b, out.Bytes(), opt); r.Verdict != Verified {
					b.Fatal(explain(r))
				}
			}
		})
	}
}

func BenchmarkOpenAndReadOneItem(b *testing.B) {
	var out bytes.Buffer
	writeBench(b, &out, benchText(32<<20), 16384)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := openBytes(b, out.Bytes())
		c, err := r.Open(fmt.Sprintf("files/file/var/log/%d", i*7919%16384))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkItems(b *testing.B) {
	var out bytes.Buffer
	writeBench(b, &out, benchText(32<<20), 16384)
	r := openBytes(b, out.Bytes())
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range r.Items() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
