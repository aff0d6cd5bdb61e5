// Package ask asks time authorities for RFC 3161 time stamps over the web.
package ask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/digitorus/timestamp"
)

// maxAnswer bounds what an authority may answer.
const maxAnswer = 64 << 10

// timeout bounds one request.
const timeout = 30 * time.Second

// Authority sends a request to an authority (RFC 3161, section 3.4) and returns its
// response as it came, once it answers the request's nonce.
func Authority(ctx context.Context, address string, request []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("ask time authority %s: %w", address, err) }
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fail(errors.New("its address must begin with http:// or https://"))
	}
	asked, err := timestamp.ParseRequest(request)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	req.Header.Set("Accept", "application/timestamp-reply")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fail(err)
	case resp.StatusCode != http.StatusOK:
		return fail(fmt.Errorf("it answers %s", resp.Status))
	case len(body) > maxAnswer:
		return fail(errors.New("its answer is too long"))
	}
	ts, err := timestamp.ParseResponse(body)
	if err != nil {
		return fail(err)
	}
	if ts.Nonce == nil || asked.Nonce.Cmp(ts.Nonce) != 0 {
		return fail(errors.New("it answers another request than this one"))
	}
	return body, nil
}
