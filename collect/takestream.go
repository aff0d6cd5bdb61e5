package collect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// streamsOf takes the named streams of a file or folder of NTFS, each as an
// item of its own: path, colon and name.
func (t *taker) streamsOf(ctx context.Context, path, rule string) error {
	names, err := t.r.host.streamNames(path)
	if err != nil {
		_, _, code := classify(err)
		if code != "" {
			t.Problem(evidence.Problem{
				Code: code, Path: path, Ref: evidence.Ref{Offset: -1, Length: -1}, Detail: "named streams: " + reason(err),
			})
		}
	}
	for _, name := range names {
		if err := t.stream(ctx, path+":"+name, rule); err != nil {
			return err
		}
	}
	if len(names) == maxStreams {
		t.Problem(evidence.Problem{
			Code: evidence.TooBig, Path: path, Ref: evidence.Ref{Offset: -1, Length: -1},
			Detail: fmt.Sprintf("more than %d named streams: the rest was not taken", maxStreams-1),
		})
	}
	return nil
}

// stream takes one named stream.
func (t *taker) stream(ctx context.Context, path, rule string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	it := t.stamp(evidence.Item{Kind: evidence.KindStream, Path: path, Rule: rule, Started: time.Now()})
	f, err := t.r.host.Open(path)
	if err != nil {
		return t.locked(ctx, it, err)
	}
	defer f.Close()
	st, err := t.r.host.StatFile(f)
	if err != nil {
		return t.failed(it, err)
	}
	it.Stat, it.Size = st, st.Size
	return t.bounded(ctx, it, f)
}

// bounded is known, but for content over the limit of a file.
func (t *taker) bounded(ctx context.Context, it evidence.Item, f ReaderAt) error {
	if size := dataSize(it.Stat); t.r.opt.MaxFileSize > 0 && size > t.r.opt.MaxFileSize {
		it.Kind, it.Detail = evidence.KindSkipped, fmt.Sprintf("%d bytes, over the limit of %d", size, t.r.opt.MaxFileSize)
		return t.put(it, Skipped)
	}
	return t.known(ctx, it, f)
}

// lockedFile is the content of a file that its system keeps others from
// opening, read from the volume below it. Stat is that of the file.
type lockedFile interface {
	ReaderAt
	Stat() (*evidence.Stat, error)
	Close() error
}

// locked takes a file that could not be opened in another way, where there is
// one, and else records why it could not.
func (t *taker) locked(ctx context.Context, it evidence.Item, opening error) error {
	f, err := t.r.host.openLocked(it.Path)
	if errors.Is(err, ErrUnsupported) {
		return t.failed(it, opening)
	}
	if err != nil {
		return t.failed(it, fmt.Errorf("%w; from the volume: %w", opening, err))
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return t.failed(it, err)
	}
	if it.Kind == "" {
		it.Kind = evidence.KindFile
	}
	it.Stat, it.Size, it.Source = st, st.Size, "raw"
	it.Detail = "locked, so that its clusters were read from the volume: what its system had not written there yet is not in it, and what lies behind the last byte ever written to it may be of earlier files"
	return t.bounded(ctx, it, f)
}
