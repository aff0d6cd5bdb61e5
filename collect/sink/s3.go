//go:build !exhibit_no_web

package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
)

// s3Far is an object of an S3 server, uploaded in parts. The parts are of one
// length but for the last, so that an offset says which one begins there.
type s3Far struct {
	*s3Client
	partSize int64
	upload   string
	held     []Part
	done     bool
}

// DefaultPartSize and its bounds are in bytes: a server keeps at most 10,000
// parts of at least 5 MiB, and two parts are in memory.
const (
	DefaultPartSize = 8 << 20
	minPartSize     = 5 << 20
	maxPartSize     = 1 << 30
)

func newS3Far(u *url.URL, opt Options, l *line) (far, error) {
	c, err := newS3(u, opt, l)
	if err != nil {
		return nil, err
	}
	size := opt.S3PartSize
	if size == 0 {
		size = DefaultPartSize
	}
	if size < minPartSize || size > maxPartSize {
		return nil, fmt.Errorf("%w: parts of S3 are of 5 MiB to 1 GiB", ErrURL)
	}
	return &s3Far{s3Client: c, partSize: size}, nil
}

func (f *s3Far) describe() about {
	at := "s3://" + f.bucket + "/" + f.key
	is := about{url: at, location: at, chunk: int(f.partSize), whole: true, facts: map[string]string{"output_endpoint": f.base.Host}}
	if !f.done && f.upload != "" {
		is.location += "?uploadId=" + escape(f.upload)
	}
	return is
}

func (f *s3Far) open(ctx context.Context) (probe, error) {
	p := probe{free: -1}
	if _, there, err := f.head(ctx); err != nil || there {
		if err == nil {
			err = fmt.Errorf("%s: %w", f.key, fs.ErrExist)
		}
		return p, err
	}
	var err error
	f.upload, err = f.create(ctx)
	return p, err
}

func (f *s3Far) send(ctx context.Context, at int64, p []byte) error {
	number := int(at/f.partSize) + 1
	if number > maxParts || number != len(f.held)+1 || at%f.partSize != 0 {
		return lasting(fmt.Errorf("S3 keeps no more than %d parts: give larger ones with --s3-part-size", maxParts))
	}
	tag, err := f.put(ctx, f.upload, number, p)
	if err != nil {
		return err
	}
	f.held = append(f.held, Part{number, tag, int64(len(p))})
	return nil
}

// resume needs nothing of the server: a part that arrived although its answer
// was lost is replaced by the same once more.
func (f *s3Far) resume(_ context.Context, acknowledged int64) (int64, error) {
	f.http.CloseIdleConnections()
	return acknowledged, nil
}

func (f *s3Far) commit(ctx context.Context, all total) error {
	if len(f.held) == 0 { // there is no object of no parts
		if err := f.send(ctx, 0, nil); err != nil {
			return err
		}
	}
	failed := f.complete(ctx, f.upload, f.held)
	// An answer can be lost, and 200 can be an error: what is there decides.
	size, there, err := f.head(ctx)
	switch {
	case err == nil && there && size == all.size:
		f.done = true
		return nil
	case err == nil && there:
		return lasting(fmt.Errorf("%s has %d bytes, %d were sent", f.key, size, all.size))
	case failed != nil:
		return failed
	case err == nil: // it may not be asked for
		f.done = true
		return nil
	}
	return err
}

func (f *s3Far) close() { f.http.CloseIdleConnections() }

// Leftover is an upload to S3 that was never completed.
type Leftover struct {
	Upload    string `json:"upload"`
	Initiated string `json:"initiated"`        // as the server says it
	Parts     int    `json:"parts"`            // from the first on, without a gap
	Bytes     int64  `json:"bytes"`            // in these
	Beyond    int    `json:"beyond,omitempty"` // parts behind a gap

	parts []Part
}

var errTooManyUploads = errors.New("more uploads of this name than can be listed")

// leftovers lists the uploads of the object's name.
func (c *s3Client) leftovers(ctx context.Context) ([]Leftover, error) {
	var all []Leftover
	q := map[string]string{"uploads": "", "prefix": c.key}
	for pages := 0; ; pages++ {
		var page struct {
			Upload []struct {
				Key       string
				UploadID  string `xml:"UploadId"`
				Initiated string
			}
			IsTruncated        bool
			NextKeyMarker      string
			NextUploadIDMarker string `xml:"NextUploadIdMarker"`
		}
		if _, err := c.call(ctx, "GET", "", q, nil, nil, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Upload {
			if u.Key == c.key {
				all = append(all, Leftover{Upload: u.UploadID, Initiated: u.Initiated})
			}
		}
		if !page.IsTruncated {
			break
		}
		if pages > 100 {
			return nil, errTooManyUploads
		}
		q["key-marker"], q["upload-id-marker"] = page.NextKeyMarker, page.NextUploadIDMarker
	}
	for i := range all {
		parts, err := c.parts(ctx, all[i].Upload)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if p.Number == all[i].Parts+1 && all[i].Beyond == 0 {
				all[i].Parts, all[i].Bytes = p.Number, all[i].Bytes+p.Size
				all[i].parts = append(all[i].parts, p)
			} else {
				all[i].Beyond++
			}
		}
	}
	return all, nil
}
