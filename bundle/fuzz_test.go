package bundle

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// seedBundles are the vectors, good and bad.
func seedBundles(f *testing.F) {
	f.Helper()
	root := filepath.Join(testenv.Root(f), "testdata/vectors/bundle")
	for _, pattern := range []string{"*.zst", "bad/*.zst"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(names) == 0 {
			f.Fatalf("no vectors: %v", err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			// The large one would take the time of a thousand others.
			if !strings.Contains(name, "everything") {
				f.Add(b)
			}
		}
	}
}

func FuzzBundleFile(f *testing.F) {
	seedBundles(f)
	good, err := os.ReadFile(vectorPath(f, "minimal.exhibit.tar.zst"))
	if err != nil {
		f.Fatal(err)
	}
	all, err := os.ReadFile(vectorPath(f, "everything.exhibit.tar.zst"))
	if err != nil {
		f.Fatal(err)
	}
	tar := unpackAll(f, good)
	want := testKey(f).PublicKey().Marshal()
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		opt := VerifyOptions{Workers: 1, Trusted: func(key ssh.PublicKey, _ time.Time) (string, bool) {
			return "tester", bytes.Equal(key.Marshal(), want)
		}}
		r, err := Verify(ctx, bytes.NewReader(b), int64(len(b)), opt)
		if err != nil {
			return // ran out of time
		}
		// The same tar in other frames is the same evidence.
		if r.Verdict == Verified && !bytes.Equal(b, all) && !bytes.Equal(unpackAll(t, b), tar) {
			t.Errorf("changed bundle is verified: %s", explain(r))
		}
		useReader(t, b)
		_, _ = Recover(ctx, bytes.NewReader(b), int64(len(b)), io.Discard)
	})
}

// useReader opens a bundle and reads all it offers.
func useReader(t *testing.T, b []byte) {
	t.Helper()
	r, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return
	}
	for it, err := range r.Evidence().Items() {
		if err != nil {
			return
		}
		if c, err := r.Open(it.Member); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
		}
		if it.Index >= 0 {
			_, _ = r.Prove(it.Index)
		}
	}
}

// FuzzFramedTar puts tar bytes into sound frames, so that what is behind the
// checksums meets everything that reads bundles.
func FuzzFramedTar(f *testing.F) {
	good := unpackAll(f, minimal(f, testKey(f)))
	f.Add(good)
	f.Add(unpackAll(f, small(f, testHeader().Bundle)))
	trusted := trustTest(f)
	trusted.Workers = 1
	f.Fuzz(func(t *testing.T, tar []byte) {
		if len(tar) == 0 || len(tar) > 1<<20 {
			return
		}
		b := (&mutator{t: t}).frames(tar)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r, err := Verify(ctx, bytes.NewReader(b), int64(len(b)), trusted)
		if err != nil {
			return
		}
		if r.Verdict == Verified && !bytes.Equal(tar, good) && r.Records != 9 {
			t.Errorf("changed tar is verified: %s", explain(r))
		}
		useReader(t, b)
		_, _ = Recover(ctx, bytes.NewReader(b), int64(len(b)), io.Discard)
	})
}

// FuzzTar feeds tar bytes behind the frames, where the checksums do not
// protect them.
func FuzzTar(f *testing.F) {
	for _, name := range []string{"minimal", "everything"} {
		b, err := os.ReadFile(vectorPath(f, name+".exhibit.tar.zst"))
		if err != nil {
			f.Fatal(err)
		}
		if tar := unpackAll(f, b); len(tar) < 1<<20 {
			f.Add(tar)
		}
	}
	f.Fuzz(func(t *testing.T, tar []byte) {
		if len(tar) == 0 || len(tar) > 1<<20 {
			return
		}
		a := newAudit(context.Background(), &Report{}, newFrameWalk(bytes.NewReader(nil), 0, 1))
		w := &tarWalk{v: a}
		for len(tar) > 0 {
			n := min(len(tar), 700)
			w.feed(tar[:n])
			if tar = tar[n:]; len(tar) > 3 && tar[0] == 0xff {
				w.lose(int64(tar[1]))
			}
		}
		c := conclusion{audit: a, walk: a.frames, tar: w}
		c.draw()
	})
}

func FuzzRecord(f *testing.F) {
	good, err := os.ReadFile(vectorPath(f, "everything.exhibit.tar.zst"))
	if err != nil {
		f.Fatal(err)
	}
	r, err := Open(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		f.Fatal(err)
	}
	for i := range r.Seal().Size {
		content, meta, err := r.linesOf(i)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content, meta)
	}
	f.Fuzz(func(t *testing.T, content, meta []byte) {
		rec, err := parseRecord(content, meta)
		if err != nil {
			return
		}
		// What is accepted must survive being written again.
		var salt [16]byte
		c, m := appendContentLine(nil, rec, salt[:]), appendMetaLine(nil, rec, salt[:])
		again, err := parseRecord(c, m)
		if err != nil {
			t.Fatalf("written again as %s%s: %v", c, m, err)
		}
		c2, m2 := appendContentLine(nil, again, salt[:]), appendMetaLine(nil, again, salt[:])
		if !bytes.Equal(c, c2) || !bytes.Equal(m, m2) {
			t.Errorf("two spellings:\n%s%s%s%s", c, c2, m, m2)
		}
	})
}

func FuzzMemberName(f *testing.F) {
	for _, s := range []string{"/etc/passwd", "..", "../..//./con.txt", "/a\xff\x00b", `C:\Windows\nul`, strings.Repeat("x", 300), strings.Repeat("é/", 400), "-rf", "a.seg00001", "x. "} {
		f.Add("file", s)
	}
	f.Fuzz(func(t *testing.T, source, path string) {
		name := MemberName(source, path)
		if !inertName(name) || len(name) > maxName {
			t.Errorf("%q of %q gives %q", path, source, name)
		}
		for component := range strings.SplitSeq(name, "/") {
			if component == "." || component == ".." || len(component) > maxComponent {
				t.Errorf("%q gives component %q", path, component)
			}
		}
	})
}
