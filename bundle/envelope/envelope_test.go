package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
)

func identity(t testing.TB) (*age.X25519Identity, Recipient) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRecipient(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	return id, r
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(b)
	return b
}

func encrypt(t testing.TB, plain []byte, to ...Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, to)
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), 10_007)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Written() != int64(out.Len()) {
		t.Errorf("says %d bytes were written, they are %d", w.Written(), out.Len())
	}
	return out.Bytes()
}

func open(t testing.TB, b []byte, ids ...age.Identity) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(b), int64(len(b)), ids...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func all(t testing.TB, r *Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var edges = []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 20*chunkSize + 77}

func TestAnySizeReadsBackAsTheLibraryReadsIt(t *testing.T) {
	id, to := identity(t)
	for _, n := range edges {
		plain := noise(n)
		b := encrypt(t, plain, to)
		r := open(t, b, id)
		if !r.Whole() || r.Size() != int64(n) || !bytes.Equal(all(t, r), plain) || len(r.Damage()) > 0 {
			t.Errorf("%d bytes: whole %v, size %d, damage %v, or another content", n, r.Whole(), r.Size(), r.Damage())
		}
		theirs, size, err := age.DecryptReaderAt(bytes.NewReader(b), int64(len(b)), id)
		if err != nil || size != int64(n) {
			t.Fatalf("%d bytes: the library says %d, %v", n, size, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(theirs, 0, size))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: the library reads something else: %v", n, err)
		}
		for _, off := range []int64{0, 1, chunkSize - 3, chunkSize, 7*chunkSize + 5, int64(n) - 1, int64(n)} {
			compareAt(t, r, theirs, off, 5)
			compareAt(t, r, theirs, off, 3*chunkSize)
		}
	}
}

func compareAt(t *testing.T, ours, theirs io.ReaderAt, off int64, n int) {
	t.Helper()
	a, b := make([]byte, n), make([]byte, n)
	if off < 0 {
		return
	}
	na, ea := ours.ReadAt(a, off)
	nb, eb := theirs.ReadAt(b, off)
	// The library calls an offset behind the end an error of its own, and a
	// read that just reaches the end an end.
	if na != nb || !bytes.Equal(a[:na], b[:nb]) || (ea == nil && na < n) || (ea != nil && eb == nil) {
		t.Errorf("%d bytes at %d: we read %d (%v), the library %d (%v)", n, off, na, ea, nb, eb)
	}
}

func TestEveryCutOfAFileReadsAsItsWholeChunks(t *testing.T) {
	id, to := identity(t)
	plain := noise(3*chunkSize + 500)
	b := encrypt(t, plain, to)
	info, err := Inspect(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	cuts := []int{0, 1, 5, 21, 22, 60, int(info.Header) - 17, int(info.Header) - 1, int(info.Header)}
	for k := range 4 {
		at := int(info.Header) + k*sealed
		cuts = append(cuts, at, at+1, at+overhead, at+overhead+1, at+sealed/2, at+sealed-1)
	}
	for _, n := range cuts {
		if n >= len(b) {
			continue
		}
		r, err := Open(bytes.NewReader(b[:n]), int64(n), id)
		if n < int(info.Header) {
			if err == nil || !errors.Is(err, ErrCut) && n > 0 {
				t.Errorf("cut at %d, within the header: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		want := (n - int(info.Header)) / sealed * chunkSize
		if r.Whole() || r.Size() != int64(want) || !bytes.Equal(all(t, r), plain[:want]) {
			t.Errorf("cut at %d: whole %v, %d bytes, want %d of the original", n, r.Whole(), r.Size(), want)
		}
	}
}

func TestEverythingBehindADamagedChunkIsRead(t *testing.T) {
	id, to := identity(t)
	plain := noise(9*chunkSize + 500)
	b := encrypt(t, plain, to)
	head := len(b) - 9*sealed - 500 - overhead
	for _, index := range []int{0, 1, 5, 8} {
		bad := bytes.Clone(b)
		bad[head+index*sealed+321] ^= 4
		r := open(t, bad, id)
		got := all(t, r)
		want := bytes.Clone(plain)
		clear(want[index*chunkSize : (index+1)*chunkSize])
		if !bytes.Equal(got, want) || !r.Whole() {
			t.Errorf("chunk %d damaged: whole %v, or what is read is not the rest and zeros", index, r.Whole())
		}
		if d := r.Damage(); len(d) != 1 || d[0] != (Extent{int64(index) * chunkSize, chunkSize}) {
			t.Errorf("chunk %d damaged: listed are %v", index, d)
		}
	}
	// The last chunk says how long the file is: without it the file counts as
	// cut, and nothing of it is believed.
	bad := bytes.Clone(b)
	bad[len(bad)-1] ^= 1
	if r := open(t, bad, id); r.Whole() || r.Size() != 9*chunkSize {
		t.Errorf("last chunk damaged: whole %v, size %d", r.Whole(), r.Size())
	}
	// Chunks in another place are no chunks.
	swapped := bytes.Clone(b)
	copy(swapped[head:], b[head+sealed:head+2*sealed])
	copy(swapped[head+sealed:], b[head:head+sealed])
	r := open(t, swapped, id)
	if all(t, r); len(r.Damage()) != 1 || r.Damage()[0].Length != 2*chunkSize {
		t.Errorf("two chunks changed places: damage %v", r.Damage())
	}
}

func TestAWrongKeyAndAChangedHeaderAreToldApart(t *testing.T) {
	id, to := identity(t)
	other, _ := identity(t)
	b := encrypt(t, noise(100), to)
	if _, err := Open(bytes.NewReader(b), int64(len(b)), other); !errors.Is(err, ErrNoKey) || strings.Contains(err.Error(), "\n") {
		t.Errorf("wrong key: %v", err)
	}
	if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	at := bytes.Index(b, []byte("\n--- ")) + 10
	bad := bytes.Clone(b)
	bad[at] ^= 1
	if _, err := Open(bytes.NewReader(bad), int64(len(bad)), id); !errors.Is(err, ErrHeader) {
		t.Errorf("changed MAC: %v", err)
	}
	for i := range int(len(b)) - 100 - overhead {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if r, err := Open(bytes.NewReader(bad), int64(len(bad)), id); err == nil && r.Whole() {
			t.Fatalf("byte %d of the header changed, and it opens", i)
		}
	}
}

func TestMixedRecipientsAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	_, classic := identity(t)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	pq, err := ParseRecipient(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := Check([]Recipient{pq, classic}); !errors.Is(err, ErrMixed) {
		t.Errorf("mixed: %v", err)
	}
	var out bytes.Buffer
	if _, err := NewWriter(&out, []Recipient{classic, pq}); !errors.Is(err, ErrMixed) || out.Len() > 0 {
		t.Errorf("mixed: %v, %d bytes written", err, out.Len())
	}
	if err := Check([]Recipient{pq, pq}); err != nil {
		t.Errorf("post-quantum alone: %v", err)
	}
	plain := noise(70_000)
	if b := encrypt(t, plain, pq); !bytes.Equal(all(t, open(t, b, id)), plain) {
		t.Error("a post-quantum envelope gives something else back")
	}
}

func TestRecipientsAreReadWithoutPlugins(t *testing.T) {
	_, r := identity(t)
	const rsaShort = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7"
	for _, c := range []struct {
		in   string
		want error
	}{
		{r.Text, nil},
		{"  " + r.Text + "\n", nil},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvU0Ck6H0FwTQYEnmZMB2Iu8GHqFm3xqI3cxEoeXzLE alice@web01", nil},
		{"age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", ErrPlugin},
		{"sk-ssh-ed25519@openssh.com AAAA", ErrRecipient},
		{rsaShort, ErrRecipient},
		{r.Text[:len(r.Text)-1], ErrRecipient},
		{"AGE-SECRET-KEY-1QQQQ", ErrRecipient},
		{"", ErrRecipient},
	} {
		got, err := ParseRecipient(c.in)
		if !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.in, err, c.want)
		}
		if strings.Contains(fmt.Sprint(err), "QQQQ") {
			t.Errorf("a secret key stands in the message: %v", err)
		}
		if err == nil && strings.Contains(got.Text, "alice") {
			t.Errorf("the comment of a key is kept: %q", got.Text)
		}
	}
	list := "# lab\n\n" + r.Text + "\n" + r.Text + "\n"
	if got, err := ParseRecipients(strings.NewReader(list), nil); err != nil || len(got) != 2 {
		t.Errorf("%d recipients, %v", len(got), err)
	}
	for _, bad := range []string{"", "# nobody\n", list + "nonsense\n", strings.Repeat("#\n", listLimit)} {
		if got, err := ParseRecipients(strings.NewReader(bad), nil); err == nil {
			t.Errorf("%.20q gave %d recipients", bad, len(got))
		}
	}
}

func TestManyReadersShareOneEnvelope(t *testing.T) {
	id, to := identity(t)
	plain := noise(200 * chunkSize)
	r := open(t, encrypt(t, plain, to), id)
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			p := make([]byte, 5*chunkSize)
			for range 100 {
				off := random.Int64N(r.Size())
				part := p[:1+random.IntN(len(p))]
				n, err := r.ReadAt(part, off)
				if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(part[:n], plain[off:off+int64(n)]) {
					t.Errorf("%d bytes at %d differ: %v", len(part), off, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.cache); n > cached {
		t.Errorf("%d chunks are held", n)
	}
}

// failing is a source that cannot be read from some offset on.
type failing struct {
	io.ReaderAt
	from int64
}

var errMedium = errors.New("medium error")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errMedium
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestAnUnreadableFileIsNotTakenForADamagedOne(t *testing.T) {
	id, to := identity(t)
	b := encrypt(t, noise(30*chunkSize), to)
	r := open(t, b, id)
	r.src = failing{bytes.NewReader(b), 20 * sealed}
	if _, err := r.ReadAt(make([]byte, 10), 25*chunkSize); !errors.Is(err, errMedium) {
		t.Errorf("error %v", err)
	}
	if len(r.Damage()) > 0 {
		t.Errorf("damage %v", r.Damage())
	}
}

func FuzzOpen(f *testing.F) {
	id, err := age.ParseX25519Identity("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX")
	if err != nil {
		f.Fatal(err)
	}
	to := Recipient{Key: id.Recipient()}
	for _, n := range []int{0, 10, chunkSize + 3} {
		f.Add(encrypt(f, noise(n), to))
	}
	f.Add([]byte(intro + "-> X25519 a\n\n--- a\n"))
	f.Add([]byte(armorIntro + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Inspect(bytes.NewReader(b), int64(len(b)))
		r, err := Open(bytes.NewReader(b), int64(len(b)), id)
		if err != nil {
			return
		}
		if r.Size() > int64(len(b)) {
			t.Fatalf("%d bytes hold %d", len(b), r.Size())
		}
		got := all(t, r)
		// What the library accepts whole, we read the same.
		if theirs, err := age.Decrypt(bytes.NewReader(b), id); err == nil {
			want, err := io.ReadAll(theirs)
			if (err == nil) != (r.Whole() && len(r.Damage()) == 0) || err == nil && !bytes.Equal(got, want) {
				t.Fatalf("the library: %d bytes, %v; we: %d, whole %v, damage %v", len(want), err, len(got), r.Whole(), r.Damage())
			}
		}
	})
}

func FuzzParseRecipients(f *testing.F) {
	_, r := identity(f)
	f.Add([]byte(r.Text + "\n# x\nssh-ed25519 AAAA\n"))
	f.Add([]byte("age1pq1qqqq\nage1a1b\nssh-rsa \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseRecipients(bytes.NewReader(b), nil)
		if err != nil {
			return
		}
		for _, r := range list {
			if again, err := ParseRecipient(r.Text); err != nil || again.Text != r.Text {
				t.Fatalf("%q does not read back: %q, %v", r.Text, again.Text, err)
			}
		}
	})
}
