package envelope_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func identity(t testing.TB) (*age.X25519Identity, envelope.Recipient) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r, err := envelope.ParseRecipient(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	return id, r
}

// write makes a bundle of noise and small files on a sink.
func write(t testing.TB, sink io.Writer, items, noisy int) bundle.Seal {
	t.Helper()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.NewWriter(sink, bundle.Header{Case: "C", Exhibit: "EX-1"}, key, bundle.WriterOptions{CheckpointBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	add := func(path string, b []byte) {
		it := evidence.Item{Kind: evidence.KindFile, Source: "file", Path: path, Size: int64(len(b))}
		if _, err := w.Add(context.Background(), it, bundle.Input{R: bytes.NewReader(b)}); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.NewChaCha8([32]byte{1})
	for i := range items {
		add(fmt.Sprintf("/home/notes/%d.txt", i), fmt.Appendf(nil, "note number %d\n", i))
	}
	for i := range noisy {
		b := make([]byte, 1<<20)
		_, _ = random.Read(b)
		add(fmt.Sprintf("/var/noise/%d", i), b)
	}
	s, err := w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeSmall makes a bundle whose items are some chunks together.
func writeSmall(t testing.TB, sink io.Writer, items int) {
	t.Helper()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.NewWriter(sink, bundle.Header{Case: "C", Exhibit: "EX-1"}, key, bundle.WriterOptions{CheckpointItems: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	random := rand.NewChaCha8([32]byte{2})
	for i := range items {
		b := make([]byte, 24<<10)
		_, _ = random.Read(b)
		it := evidence.Item{Kind: evidence.KindFile, Source: "file", Path: fmt.Sprintf("/var/noise/%d", i), Size: int64(len(b))}
		if _, err := w.Add(context.Background(), it, bundle.Input{R: bytes.NewReader(b)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

// encrypted is a bundle in an envelope.
func encrypted(t testing.TB, to envelope.Recipient, items, noisy int) ([]byte, bundle.Seal) {
	t.Helper()
	var out bytes.Buffer
	w, err := envelope.NewWriter(&out, []envelope.Recipient{to})
	if err != nil {
		t.Fatal(err)
	}
	seal := write(t, w, items, noisy)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), seal
}

type counting struct {
	io.ReaderAt
	bytes, calls atomic.Int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes.Add(int64(n))
	c.calls.Add(1)
	return n, err
}

func TestOneItemThroughTheEnvelopeReadsLessThanAMebibyte(t *testing.T) {
	id, to := identity(t)
	const items = 20000
	b, seal := encrypted(t, to, items, 200)
	for _, i := range []int{0, 777, 12345, items - 1} {
		c := &counting{ReaderAt: bytes.NewReader(b)}
		env, err := envelope.Open(c, int64(len(b)), id)
		if err != nil {
			t.Fatal(err)
		}
		r, err := bundle.Open(env, env.Size())
		if err != nil {
			t.Fatal(err)
		}
		opened, calls := c.bytes.Load(), c.calls.Load()
		content, err := r.Open(fmt.Sprintf("files/file/home/notes/%d.txt", i))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(content)
		if err != nil || string(got) != fmt.Sprintf("note number %d\n", i) || r.Seal().ID != seal.ID {
			t.Fatalf("read %q: %v", got, err)
		}
		t.Logf("item %d of %d bytes: %d bytes in %d reads to open, %d in %d more for the item",
			i, len(b), opened, calls, c.bytes.Load()-opened, c.calls.Load()-calls)
		limit := int64(1 << 20)
		if i == items-1 {
			// Its frame holds noise as well, and is longer than the limit by
			// itself: the envelope may add the chunks that it begins and ends in.
			limit = 1<<20 + 768<<10
		}
		if c.bytes.Load() >= limit || c.calls.Load() > 40 {
			t.Errorf("item %d: %d bytes in %d reads", i, c.bytes.Load(), c.calls.Load())
		}
	}
}

func verify(t *testing.T, b []byte, id age.Identity) (*bundle.Report, *envelope.Reader) {
	t.Helper()
	env, err := envelope.Open(bytes.NewReader(b), int64(len(b)), id)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := bundle.Verify(t.Context(), env, env.Size(), bundle.VerifyOptions{
		Confirmed: func(bundle.Seal) (string, bool) { return "test", true },
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep, env
}

func TestAPrefixOfAnEncryptedBundleVerifiesAndIsRecovered(t *testing.T) {
	id, to := identity(t)
	b, _ := encrypted(t, to, 100, 12)
	if rep, _ := verify(t, b, id); rep.Verdict != bundle.Verified {
		t.Fatalf("whole: %s", rep.Verdict)
	}
	for _, share := range []float64{0.3, 0.6, 0.95} {
		cut := b[:int(float64(len(b))*share)]
		rep, env := verify(t, cut, id)
		if rep.Verdict != bundle.VerifiedPrefix || rep.Proven < 10 {
			t.Errorf("cut at %.0f %%: %s, %d records proven", 100*share, rep.Verdict, rep.Proven)
		}
		// Recovered into an envelope again.
		var out bytes.Buffer
		w, err := envelope.NewWriter(&out, []envelope.Recipient{to})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Recover(t.Context(), env, env.Size(), w); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		again, env := verify(t, out.Bytes(), id)
		if again.Verdict != bundle.VerifiedPrefix || again.Proven != rep.Proven {
			t.Errorf("recovered: %s, %d records, were %d", again.Verdict, again.Proven, rep.Proven)
		}
		if _, err := bundle.Open(env, env.Size()); err != nil {
			t.Errorf("recovered bundle does not open: %v", err)
		}
	}
}

func TestADamagedChunkLosesOnlyWhatLiesInIt(t *testing.T) {
	id, to := identity(t)
	b, _ := encrypted(t, to, 100, 12)
	for _, share := range []float64{0.2, 0.5, 0.8} {
		bad := bytes.Clone(b)
		bad[int(float64(len(b))*share)] ^= 1
		rep, env := verify(t, bad, id)
		if rep.Verdict != bundle.Damaged || rep.Contents < 108 || rep.DamagedItems > 3 || len(env.Damage()) != 1 {
			t.Errorf("damaged at %.0f %%: %s, %d items whole, %d damaged, %v", 100*share, rep.Verdict, rep.Contents, rep.DamagedItems, env.Damage())
		}
	}
}

func TestNoSingleChangedByteOfAnEnvelopeIsVerified(t *testing.T) {
	id, to := identity(t)
	b, _ := encrypted(t, to, 20, 1)
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		at := random.IntN(len(b))
		bad := bytes.Clone(b)
		bad[at] ^= 1 << random.IntN(8)
		env, err := envelope.Open(bytes.NewReader(bad), int64(len(bad)), id)
		if err != nil {
			continue
		}
		rep, err := bundle.Verify(t.Context(), env, env.Size(), bundle.VerifyOptions{
			Confirmed: func(bundle.Seal) (string, bool) { return "test", true },
		})
		if err != nil || rep.Verdict == bundle.Verified {
			t.Fatalf("byte %d of %d: %s, %v", at, len(b), rep.Verdict, err)
		}
	}
}

func TestStockToolsOpenAnEncryptedBundle(t *testing.T) {
	for _, tool := range []string{"age", "zstd", "tar", "sh", "ssh-keygen", "python3"} {
		testenv.Tool(t, tool)
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	id, to := identity(t)
	secret := filepath.Join(dir, "identity")
	if err := os.WriteFile(secret, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ssh, err := envelope.ParseRecipient(string(public))
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]struct {
		to  envelope.Recipient
		key string
	}{"age": {to, secret}, "ssh": {ssh, key}} {
		t.Run(name, func(t *testing.T) {
			b, _ := encrypted(t, with.to, 50, 2)
			out := t.TempDir()
			if err := os.WriteFile(filepath.Join(out, "b.tar.zst.age"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-ec", `age -d -i "$1" b.tar.zst.age | zstd -d | tar x; python3 exhibit/verify.py`, "sh", with.key)
			cmd.Dir = out
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			got, err := os.ReadFile(filepath.Join(out, "files/file/home/notes/7.txt"))
			if err != nil || string(got) != "note number 7\n" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func benchmarkWrite(b *testing.B, sealed bool, noisy bool) {
	_, to := identity(b)
	items := 60000
	if noisy {
		items = 0
	}
	for b.Loop() {
		var sink io.Writer = io.Discard
		var env *envelope.Writer
		if sealed {
			var err error
			if env, err = envelope.NewWriter(io.Discard, []envelope.Recipient{to}); err != nil {
				b.Fatal(err)
			}
			sink = env
		}
		if noisy {
			write(b, sink, 0, 256)
			b.SetBytes(256 << 20)
		} else {
			write(b, sink, items, 0)
		}
		if env != nil {
			if err := env.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The worst case for the envelope: nothing compresses, so that every byte read
// is a byte to encrypt.
func BenchmarkNoisePlain(b *testing.B)     { benchmarkWrite(b, false, true) }
func BenchmarkNoiseEncrypted(b *testing.B) { benchmarkWrite(b, true, true) }
func BenchmarkSmallPlain(b *testing.B)     { benchmarkWrite(b, false, false) }
func BenchmarkSmallEncrypted(b *testing.B) { benchmarkWrite(b, true, false) }

// The file's reader beside the library's, over a whole envelope.
func BenchmarkRead(b *testing.B) {
	id, to := identity(b)
	file, _ := encrypted(b, to, 0, 64)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		env, err := envelope.Open(bytes.NewReader(file), int64(len(file)), id)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, io.NewSectionReader(env, 0, env.Size())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadByTheLibrary(b *testing.B) {
	id, to := identity(b)
	file, _ := encrypted(b, to, 0, 64)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		env, size, err := age.DecryptReaderAt(bytes.NewReader(file), int64(len(file)), id)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, io.NewSectionReader(env, 0, size)); err != nil {
			b.Fatal(err)
		}
	}
}
