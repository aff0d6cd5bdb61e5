package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// VerifyOptions say what else is known about a bundle. All fields may be zero.
type VerifyOptions struct {
	// Trusted names the owner of a key if it is trusted at a time. It is asked
	// for the run's own key and, in grade A, for the examiner's key that
	// signed it.
	Trusted func(key ssh.PublicKey, at time.Time) (name string, ok bool)
	// People names the owner of a key that may sign as a person, not only seal:
	// erasures, disclosures, events. nil: Trusted.
	People func(key ssh.PublicKey, at time.Time) (name string, ok bool)
	// Confirmed says that somebody vouches for this very seal: its code is on
	// paper, or an examiner counter-signed it.
	Confirmed func(Seal) (by string, ok bool)
	// TimeProof gives a time before which the seal existed, by outside proof.
	TimeProof func(Seal) (t time.Time, by string, ok bool)
	// Reconsider is called with every verdict drawn. Where it sets Trusted,
	// Confirmed or TimeProof to something else and returns true, the verdict is
	// drawn again, without reading the bundle again.
	Reconsider func(*Report, *VerifyOptions) bool
	// Held are checkpoints (signed notes) that were kept elsewhere while the
	// bundle was written. A bundle that they are not of is altered.
	Held [][]byte
	// Progress is called now and then with the bytes of the file read so far,
	// its size, and the records checked.
	Progress func(done, total, records int64)
	// Workers decode frames, as many others hash content; GOMAXPROCS when 0.
	Workers int
	// Now is the clock for keys that may have expired; time.Now when nil.
	Now func() time.Time
}

// Verify reads a whole bundle and says what of it is proven. The error is only
// about the run (cancelled, file not readable): what is wrong with the bundle
// is in the report. Memory is bounded by the number of records, about 48 bytes
// each, whatever the bundle claims.
func Verify(ctx context.Context, r io.ReaderAt, size int64, opt VerifyOptions) (*Report, error) {
	a, walk, tar, err := inspect(ctx, r, size, opt)
	if err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	c := conclusion{audit: a, walk: walk, tar: tar, opt: opt}
	c.draw()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("verify bundle: %w", context.Cause(ctx))
	}
	return a.report, nil
}

// inspect walks a bundle and gathers what is to be judged.
func inspect(ctx context.Context, r io.ReaderAt, size int64, opt VerifyOptions) (*audit, *frameWalk, *tarWalk, error) {
	return inspectWith(ctx, r, size, opt, nil)
}

// inspectWith is inspect; visit, where there is one, gets the records whose
// content is sound.
func inspectWith(ctx context.Context, r io.ReaderAt, size int64, opt VerifyOptions, visit func(evidence.Item)) (*audit, *frameWalk, *tarWalk, error) {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	walk := newFrameWalk(r, size, opt.Workers)
	a := newAudit(ctx, &Report{Size: size}, walk)
	a.sound = visit
	a.hash = newHasher(ctx, opt.Workers)
	defer a.hash.close()
	tar := &tarWalk{v: a}
	first := true
	err := walk.run(ctx, func(w walked) error {
		if first && w.data != nil && !beginsLikeBundle(w.data) {
			return ErrNotBundle
		}
		first = false
		if w.data == nil {
			a.gaps = true
			a.report.damage("", w.tar, fmt.Sprintf("frame at byte %d of the file cannot be decoded", w.file))
			tar.lose(int64(w.plain))
		} else {
			a.hash.begin(w.buf)
			tar.feed(w.data)
			a.hash.end()
		}
		if opt.Progress != nil {
			opt.Progress(w.file+int64(w.packed), size, a.report.Records)
		}
		return ctx.Err()
	})
	if errors.Is(err, ErrNotBundle) {
		a.notBundle = true
		err = nil
	}
	return a, walk, tar, err
}
