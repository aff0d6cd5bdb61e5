package bundle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// What the digests of verification are must not depend on how the bytes came
// nor on how many goroutines sum them: the writer's own digests are the oracle.
func TestDigestsBesideEachOtherAreTheWriters(t *testing.T) {
	content := noise(2*BlockSize + 12345)
	for _, workers := range []int{0, 1, 2, 7} {
		for _, step := range []int{1 << 20, 3<<20 + 1, BlockSize, len(content)} {
			h := newHasher(t.Context(), workers)
			got := h.newItem(true)
			want := newDigests(false, false, true)
			var short, wantShort [256]evidence.Digest
			n := 0
			for rest := content; len(rest) > 0; {
				part := rest[:min(step, len(rest))]
				rest = rest[len(part):]
				got.write(part)
				want.write(part)
				got.writeZeros(777)
				want.writeZeros(777)
				for range 70 { // more than a batch
					if n < len(short) {
						h.sum(part[:n], &short[n])
						wantShort[n] = evidence.Sum(part[:n])
						n++
					}
				}
			}
			got.writeZeros(BlockSize + 5)
			want.writeZeros(BlockSize + 5)
			got.end()
			h.wait()
			var r record
			want.finish(&r)
			if sum, blocks := got.result(); sum != r.item.SHA256 || blocks != r.blkRoot {
				t.Errorf("%d workers, steps of %d: digests differ", workers, step)
			}
			if short != wantShort {
				t.Errorf("%d workers, steps of %d: digests of small items differ", workers, step)
			}
			h.close()
		}
	}
}

// A frame's buffer comes back when the last of its users is done, and the walk
// with it: a hasher that lost one would stand still.
func TestBuffersComeBackOnceAllIsSummed(t *testing.T) {
	room := make(chan *frameBuf, 1)
	b := &frameBuf{room: room}
	b.hold()
	h := newHasher(t.Context(), 2)
	defer h.close()
	h.begin(b)
	var d evidence.Digest
	item := h.newItem(true)
	item.write(noise(BlockSize + 1))
	h.sum([]byte("x"), &d)
	h.end()
	h.wait()
	select {
	case <-room:
		t.Fatal("buffer came back while the walk held it")
	default:
	}
	b.drop()
	select {
	case <-room:
	case <-time.After(10 * time.Second):
		t.Fatal("buffer did not come back")
	}
	if d != evidence.Sum([]byte("x")) {
		t.Error("small item was not summed")
	}
}

// Every vector, whole and damaged in places, gives the same report whatever the
// number of workers, to the order of its findings.
func TestReportsDoNotDependOnTheNumberOfWorkers(t *testing.T) {
	files, err := filepath.Glob(vectorPath(t, "*.exhibit.tar.zst"))
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	inputs := map[string][]byte{}
	for _, f := range files {
		if inputs[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	var big, many bytes.Buffer
	writeBig(t, &big)
	writeMany(t, &many)
	inputs["big"], inputs["many"] = big.Bytes(), many.Bytes()
	for name, b := range inputs {
		for _, change := range []string{"none", "flipped", "cut"} {
			b := bytes.Clone(b)
			switch change {
			case "flipped":
				for i := 1; i < 4; i++ {
					b[len(b)*i/4] ^= 0x10
				}
			case "cut":
				b = b[:len(b)*3/5]
			}
			opt := trustTest(t)
			opt.Workers = 1
			want := explain(verify(t, b, opt))
			for _, workers := range []int{2, 5} {
				opt.Workers = workers
				if got := explain(verify(t, b, opt)); got != want {
					t.Errorf("%s, %s: with %d workers\n%s\nwith one\n%s", name, change, workers, got, want)
				}
			}
		}
	}
}

func writeBig(t *testing.T, out *bytes.Buffer) {
	t.Helper()
	w, err := NewWriter(out, testHeader(), testKey(t), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	content := append(benchText(5<<20), noise(14<<20)...)
	for i, in := range []evidence.Item{{Size: int64(len(content))}, {Size: 9 << 20}, {Size: -1}} {
		in.Kind, in.Path = evidence.KindFile, fmt.Sprintf("/big/%d", i)
		r := bytes.NewReader(content)
		if _, err := w.Add(context.Background(), in, Input{R: r, At: r}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Seal(Trailer{}); err != nil {
		t.Fatal(err)
	}
}

func writeMany(t *testing.T, out *bytes.Buffer) {
	t.Helper()
	w, err := NewWriter(out, testHeader(), testKey(t), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	content := benchText(64 << 10)
	for i := range 3000 {
		it := evidence.Item{Kind: evidence.KindFile, Path: fmt.Sprintf("/many/%d", i), Size: int64(i * 7 % 9000)}
		if _, err := w.Add(context.Background(), it, Input{R: bytes.NewReader(content[i:])}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Seal(Trailer{}); err != nil {
		t.Fatal(err)
	}
}

// A verification that is cancelled ends all that it started.
func TestCancelledVerificationLeavesNoGoroutine(t *testing.T) {
	var out bytes.Buffer
	writeBig(t, &out)
	before := runtime.NumGoroutine()
	for after := range 4 {
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		_, err := Verify(ctx, bytes.NewReader(out.Bytes()), int64(out.Len()), VerifyOptions{
			Workers: 3,
			Progress: func(int64, int64, int64) {
				if seen++; seen > after {
					cancel()
				}
			},
		})
		cancel()
		if err == nil {
			t.Errorf("cancelled after %d frames: no error", after)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines, were %d", runtime.NumGoroutine(), before)
}
