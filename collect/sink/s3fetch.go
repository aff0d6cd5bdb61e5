//go:build !exhibit_no_web

package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Store is an object of S3 to be fetched, and what is left of uploads to it.
type Store struct {
	c   *s3Client
	l   *line
	opt Options

	Whole     bool // the object is there
	Size      int64
	Leftovers []Leftover
}

// LookS3 says what there is of s3://BUCKET/KEY.
func LookS3(ctx context.Context, address string, opt Options) (*Store, error) {
	u, err := parseURL(address)
	if err == nil && u.Scheme != "s3" {
		err = fmt.Errorf("%w: only s3:// can be fetched from", ErrURL)
	}
	if err != nil {
		return nil, err
	}
	opt.defaults()
	s := &Store{l: &line{dial: opt.Dial}, opt: opt}
	if s.c, err = newS3(u, opt, s.l); err != nil {
		return nil, err
	}
	guarded, cancel := s.l.guard(ctx, opt.Stall)
	defer cancel()
	if s.Size, s.Whole, err = s.c.head(guarded); err != nil || s.Whole {
		return s, err
	}
	s.Leftovers, err = s.c.leftovers(guarded)
	return s, err
}

// Complete makes an object of the parts that are held of an upload: before,
// S3 lets nobody read them. Parts behind a gap are lost by it.
func (s *Store) Complete(ctx context.Context, left Leftover) error {
	if left.Parts == 0 {
		return errors.New("no part of it arrived")
	}
	guarded, cancel := s.l.guard(ctx, s.opt.Stall)
	defer cancel()
	failed := s.c.complete(guarded, left.Upload, left.parts)
	size, there, err := s.c.head(guarded)
	switch {
	case failed != nil && !there:
		return failed
	case err != nil:
		return err
	case !there || size != left.Bytes:
		return fmt.Errorf("the object has %d bytes, its parts have %d", size, left.Bytes)
	}
	s.Whole, s.Size = true, size
	return nil
}

// Fetch writes the object. A link that breaks is taken up again where it did.
func (s *Store) Fetch(ctx context.Context, w io.Writer) error {
	at, tag := int64(0), ""
	broken := time.Time{}
	for at < s.Size {
		n, err := s.piece(ctx, w, at, &tag)
		at += n
		if at >= s.Size {
			break
		}
		if n > 0 || broken.IsZero() {
			broken = time.Now()
		}
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		var local *writeError
		if isLasting(err) || errors.As(err, &local) || ctx.Err() != nil || time.Since(broken) > s.opt.Patience {
			return fmt.Errorf("fetched %d bytes of %d: %w", at, s.Size, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}

// writeError is of the file that is written, not of the link.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

type localWriter struct{ w io.Writer }

func (l localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

// piece writes from an offset on, for as long as the link lasts. tag is that
// of the object at the beginning: another one is not the same object.
func (s *Store) piece(ctx context.Context, w io.Writer, at int64, tag *string) (int64, error) {
	guarded, cancel := s.l.guard(ctx, s.opt.Stall)
	defer cancel()
	extra := map[string]string{"Range": fmt.Sprintf("bytes=%d-", at)}
	if *tag != "" {
		extra["If-Match"] = *tag
	}
	req, err := s.c.request(guarded, http.MethodGet, s.c.key, nil, nil, extra)
	if err != nil {
		return 0, err
	}
	resp, err := s.c.http.Do(req)
	if err != nil {
		return 0, webError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && at > 0 {
		return 0, lasting(errors.New("the server does not continue where the link broke"))
	}
	if resp.StatusCode/100 != 2 {
		body, err := io.ReadAll(io.LimitReader(resp.Body, webAnswer))
		if err != nil {
			return 0, err
		}
		return 0, (&answer{resp.StatusCode, resp.Header, body}).refusal()
	}
	*tag = resp.Header.Get("ETag")
	return io.Copy(localWriter{w}, io.LimitReader(resp.Body, s.Size-at))
}
