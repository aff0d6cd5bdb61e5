//go:build !exhibit_no_web

package sink

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
)

// newWeb makes the far sides that speak HTTP.
func newWeb(u *url.URL, opt Options, l *line) (far, error) {
	switch u.Scheme {
	case "https":
		return newHTTPS(u, opt, l)
	case "s3":
		return newS3Far(u, opt, l)
	}
	return nil, fmt.Errorf("%w: %.20q: give sftp://, s3://, https:// or exhibit://", ErrURL, u.Scheme)
}

// webClient makes connections that count for the line's guard. HTTP/1.1: one
// request at a time gains nothing from more. Redirections are not followed:
// evidence goes where it was told to.
func webClient(opt Options, l *line) (*http.Client, error) {
	roots, err := readRoots(opt.CA)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: l.dialContext, Proxy: http.ProxyFromEnvironment, DisableCompression: true,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
			ExpectContinueTimeout: expectFor, MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// readRoots reads the certificates of the authorities to trust; nil: the
// system's.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w: %s holds no certificate (PEM)", ErrKey, path)
	}
	return pool, nil
}

// webAnswer bounds what is read of an answer.
const webAnswer = 4 << 20

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a request and reads the answer. The text of an error has no
// address in it, whose query may be long.
func exchange(c *http.Client, req *http.Request) (*answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, webError(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, webAnswer))
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, body}, nil
}

func webError(err error) error {
	if e, ok := err.(*url.Error); ok { //nolint:errorlint // Do returns no other
		err = e.Err
	}
	if e, ok := err.(*tls.CertificateVerificationError); ok { //nolint:errorlint // as above
		return lasting(fmt.Errorf("%w: %w", ErrKey, e))
	}
	return err
}

// s3Problem is the body of an error of S3 (API reference, "REST error responses").
type s3Problem struct {
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

// refusal is an answer other than success as an error. What the request
// itself is to blame for, waiting does not mend.
func (a *answer) refusal() error {
	if a.status/100 == 2 {
		return nil
	}
	var p s3Problem
	text := http.StatusText(a.status)
	if xml.Unmarshal(a.body, &p) == nil && p.Code != "" {
		text = fmt.Sprintf("%.60s: %.300s", p.Code, p.Message)
	}
	err := fmt.Errorf("the server answers %d, %s", a.status, text)
	switch {
	case a.status == http.StatusRequestTimeout || a.status == http.StatusTooManyRequests || p.Code == "RequestTimeout":
		return err
	case a.status/100 == 4 || a.status/100 == 3 || a.status == http.StatusInsufficientStorage || a.status == http.StatusNotImplemented:
		return lasting(err)
	}
	return err
}

// loopback reports whether an address stays on this machine, where there is
// nobody to hide from.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
