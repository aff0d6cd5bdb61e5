//go:build !exhibit_no_web

package sink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// expectFor is how long a request waits for leave to send its body (RFC 9110,
// 10.1.1): servers that never heard of it say nothing.
const expectFor = 3 * time.Second

const (
	httpsChunk = 1 << 20
	putPart    = 8 << 20
)

// httpsBase is what both ways of uploading by PUT share.
type httpsBase struct {
	http   *http.Client
	url    string
	header http.Header
}

func newHTTPS(u *url.URL, opt Options, l *line) (far, error) {
	if u.RawQuery != "" || u.User != nil || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return nil, fmt.Errorf("%w: https://HOST/PATH must name a file, without a query: secrets go into --header-file", ErrURL)
	}
	b := httpsBase{url: u.String()}
	var err error
	if b.header, err = readHeaders(opt.HeaderFile, opt.Getenv(HeaderVariable)); err != nil {
		return nil, err
	}
	if b.http, err = webClient(opt, l); err != nil {
		return nil, err
	}
	if opt.PutParts {
		return &putParts{httpsBase: b}, nil
	}
	if opt.Fallback != "" {
		return nil, fmt.Errorf("%w: of a PUT that breaks no beginning is left that a fallback could be joined to: add --put-parts", ErrURL)
	}
	return &putStream{httpsBase: b}, nil
}

// readHeaders reads lines "Name: value"; empty ones and those that begin with
// # are left out. Errors do not repeat them.
func readHeaders(path, line string) (http.Header, error) {
	h := http.Header{}
	var in io.Reader = strings.NewReader(line)
	where := HeaderVariable
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrURL, err)
		}
		defer f.Close()
		in, where = io.LimitReader(f, 64<<10), path
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t\"(),/;<=>?@[\\]{}") {
			return nil, fmt.Errorf("%w: %s wants lines of the form NAME: VALUE", ErrURL, where)
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, lines.Err()
}

func (b *httpsBase) request(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	for k, v := range b.header {
		req.Header[k] = v
	}
	return req, nil
}

func (b *httpsBase) close() { b.http.CloseIdleConnections() }

// putStream is one PUT whose body is the stream, in the chunked coding (RFC
// 9112, 7.1). HTTP has no way to continue it.
type putStream struct {
	httpsBase
	body    *io.PipeWriter
	stop    context.CancelFunc
	result  chan error // one value: how the request ended
	started chan struct{}
	done    bool
}

func (f *putStream) describe() about {
	is := about{url: f.url, location: f.url, chunk: httpsChunk}
	if !f.done {
		is.location += " (not ended: whether the server keeps what arrived is its choice)"
	}
	return is
}

// firstRead says when the body is wanted, which is after the server allowed
// it or kept silent for a while.
type firstRead struct {
	io.Reader
	started chan struct{}
	once    bool
}

func (r *firstRead) Read(p []byte) (int, error) {
	if !r.once {
		r.once = true
		close(r.started)
	}
	return r.Reader.Read(p)
}

func (f *putStream) open(ctx context.Context) (probe, error) {
	p := probe{free: -1}
	whole, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	out, in := io.Pipe()
	f.body, f.result, f.started = in, make(chan error, 1), make(chan struct{})
	req, err := f.request(whole, http.MethodPut, f.url, &firstRead{Reader: out, started: f.started})
	if err != nil {
		return p, err
	}
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("If-None-Match", "*") // nothing is overwritten (RFC 9110, 13.1.2)
	go func() {
		a, err := exchange(f.http, req)
		if err == nil {
			err = a.refusal()
			if a.status == http.StatusPreconditionFailed {
				err = lasting(fs.ErrExist)
			}
		}
		f.result <- err
		why := err
		if why == nil {
			why = errors.New("the server ended the request before its body did")
		}
		out.CloseWithError(why)
	}()
	select {
	case <-f.started:
		return p, nil
	case err := <-f.result:
		if err == nil {
			err = lasting(errors.New("the server answers before it has anything"))
		}
		return p, err
	case <-ctx.Done():
		stop()
		return p, context.Cause(ctx)
	}
}

func (f *putStream) send(ctx context.Context, _ int64, p []byte) error {
	defer context.AfterFunc(ctx, f.stop)()
	_, err := f.body.Write(p)
	return lasting(err)
}

// resume is not asked, since no failure of a PUT is mended by waiting.
func (f *putStream) resume(context.Context, int64) (int64, error) {
	return 0, lasting(errors.New("a PUT cannot be continued"))
}

func (f *putStream) commit(ctx context.Context, _ total) error {
	defer context.AfterFunc(ctx, f.stop)()
	if err := f.body.Close(); err != nil {
		return lasting(err)
	}
	if err := <-f.result; err != nil {
		return lasting(err)
	}
	f.done = true
	return nil
}

func (f *putStream) close() {
	if f.stop != nil {
		f.stop()
	}
	f.httpsBase.close()
}

// putParts is the stream as several files, URL.000001 and so on, and in the
// end URL.parts.json, which says that they are all.
type putParts struct {
	httpsBase
	parts []PutPart
	size  int64
	done  bool
}

// PutPart is one file of an upload in parts.
type PutPart struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// PutList is URL.parts.json.
type PutList struct {
	V      int       `json:"v"`      // 1
	Parts  []PutPart `json:"parts"`  // to be put behind each other in this order
	Bytes  int64     `json:"bytes"`  // of all
	SHA256 string    `json:"sha256"` // of all
}

func (f *putParts) part(n int) string { return fmt.Sprintf("%s.%06d", f.url, n) }

func (f *putParts) list() string { return f.url + ".parts.json" }

func (f *putParts) describe() about {
	is := about{url: f.url, location: f.part(1) + " and following", chunk: putPart, whole: true}
	if f.done {
		is.location = f.list()
	}
	return is
}

func (f *putParts) open(ctx context.Context) (probe, error) {
	p := probe{free: -1}
	for _, url := range []string{f.part(1), f.list()} {
		req, err := f.request(ctx, http.MethodHead, url, nil)
		if err != nil {
			return p, err
		}
		a, err := exchange(f.http, req)
		switch {
		case err != nil:
			return p, err
		case a.status/100 == 2:
			return p, fmt.Errorf("%s: %w", url, fs.ErrExist)
		}
	}
	// Whether it takes files at all, only a file tells: the first part, empty
	// until it is replaced.
	return p, f.put(ctx, f.part(1), nil)
}

func (f *putParts) put(ctx context.Context, url string, p []byte) error {
	req, err := f.request(ctx, http.MethodPut, url, bytes.NewReader(p))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	a, err := exchange(f.http, req)
	if err != nil {
		return err
	}
	return a.refusal()
}

func (f *putParts) send(ctx context.Context, at int64, p []byte) error {
	if at != f.size {
		return lasting(errors.New("parts follow each other"))
	}
	url := f.part(len(f.parts) + 1)
	if err := f.put(ctx, url, p); err != nil {
		return err
	}
	f.parts = append(f.parts, PutPart{url[strings.LastIndexByte(url, '/')+1:], len(p), evidence.Sum(p).String()})
	f.size += int64(len(p))
	return nil
}

func (f *putParts) resume(_ context.Context, acknowledged int64) (int64, error) {
	f.http.CloseIdleConnections()
	return acknowledged, nil
}

func (f *putParts) commit(ctx context.Context, all total) error {
	text, err := json.Marshal(PutList{1, f.parts, all.size, all.sha256.String()})
	if err != nil {
		return err
	}
	if err := f.put(ctx, f.list(), append(text, '\n')); err != nil {
		return err
	}
	f.done = true
	return nil
}
