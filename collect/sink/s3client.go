//go:build !exhibit_no_web

package sink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// s3Client speaks the seven requests of S3 that an upload in parts and its
// recovery need (API reference of 2006-03-01).
type s3Client struct {
	http        *http.Client
	base        *url.URL // of the bucket
	bucket, key string
	region      string
	keys        s3Keys
	skew        time.Duration // the server's clock minus ours
}

// Part is one part of an upload that was not completed.
type Part struct {
	Number int    `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
	Size   int64  `xml:"Size"`
}

// newS3 takes s3://BUCKET/KEY; where the server is, and the credentials, come
// from options, the environment of the AWS tools and their file.
func newS3(u *url.URL, opt Options, l *line) (*s3Client, error) {
	c := &s3Client{bucket: u.Host, key: strings.TrimPrefix(u.Path, "/"), region: opt.S3Region}
	if c.key == "" || strings.HasSuffix(c.key, "/") || u.User != nil || u.RawQuery != "" || u.Port() != "" {
		return nil, fmt.Errorf("%w: s3://BUCKET/KEY must name an object", ErrURL)
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if c.region == "" {
			c.region = opt.Getenv(name)
		}
	}
	if c.region == "" {
		c.region = "us-east-1"
	}
	endpoint := opt.S3Endpoint
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		if endpoint == "" {
			endpoint = opt.Getenv(name)
		}
	}
	if endpoint == "" {
		endpoint = "https://s3." + c.region + ".amazonaws.com"
	}
	base, err := parseURL(endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if base.Scheme != "https" && !(base.Scheme == "http" && loopback(base)) {
		return nil, fmt.Errorf("%w: the endpoint must begin with https://", ErrURL)
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/" + c.bucket
	c.base = base
	if c.keys, err = s3Credentials(opt); err != nil {
		return nil, err
	}
	c.http, err = webClient(opt, l)
	return c, err
}

var errNoKeys = errors.New("no credentials: name a file with --s3-credentials")

func s3Credentials(opt Options) (s3Keys, error) {
	profile := opt.Getenv("AWS_PROFILE")
	if profile == "" {
		profile = "default"
	}
	if opt.S3Credentials != "" {
		return readCredentials(opt.S3Credentials, profile)
	}
	if id := opt.Getenv("AWS_ACCESS_KEY_ID"); id != "" {
		return s3Keys{id, opt.Getenv("AWS_SECRET_ACCESS_KEY"), opt.Getenv("AWS_SESSION_TOKEN")}, nil
	}
	path := opt.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	if home, err := os.UserHomeDir(); path == "" && err == nil {
		path = filepath.Join(home, ".aws", "credentials")
	}
	k, err := readCredentials(path, profile)
	if errors.Is(err, fs.ErrNotExist) {
		err = errNoKeys
	}
	return k, err
}

// readCredentials reads one profile of the file that the AWS tools keep.
func readCredentials(path, profile string) (s3Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return s3Keys{}, err
	}
	defer f.Close()
	var k s3Keys
	in := false
	for lines := bufio.NewScanner(io.LimitReader(f, 1<<20)); lines.Scan(); {
		text := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(text, "[") {
			in = strings.TrimSpace(strings.Trim(text, "[]")) == profile
			continue
		}
		name, value, _ := strings.Cut(text, "=")
		value = strings.TrimSpace(value)
		switch {
		case !in:
		case strings.TrimSpace(name) == "aws_access_key_id":
			k.id = value
		case strings.TrimSpace(name) == "aws_secret_access_key":
			k.secret = value
		case strings.TrimSpace(name) == "aws_session_token":
			k.token = value
		}
	}
	if k.id == "" || k.secret == "" {
		return k, fmt.Errorf("%s: the profile %s has no aws_access_key_id and aws_secret_access_key", path, profile)
	}
	return k, nil
}

func (c *s3Client) request(ctx context.Context, method, key string, query map[string]string, body []byte, extra map[string]string) (*http.Request, error) {
	u := *c.base
	path := u.Path
	if key != "" {
		path += "/" + key
	}
	u.Path, u.RawPath, u.RawQuery = path, escapePath(path), escapeQuery(query)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.URL = &u
	for k, v := range extra {
		req.Header.Set(k, v)
	}
	c.keys.sign(req, c.region, evidence.Sum(body).String(), time.Now().Add(c.skew))
	return req, nil
}

// do sends a signed request. A host whose clock is wrong is told so by the
// server, and signs with the server's time from then on.
func (c *s3Client) do(ctx context.Context, method, key string, query map[string]string, body []byte, extra map[string]string) (*answer, error) {
	for again := false; ; again = true {
		req, err := c.request(ctx, method, key, query, body, extra)
		if err != nil {
			return nil, err
		}
		a, err := exchange(c.http, req)
		if err != nil {
			return nil, err
		}
		var p s3Problem
		if a.status == http.StatusForbidden && !again && xml.Unmarshal(a.body, &p) == nil && p.Code == "RequestTimeTooSkewed" {
			if there, err := http.ParseTime(a.header.Get("Date")); err == nil {
				c.skew = time.Until(there)
				continue
			}
		}
		return a, nil
	}
}

func (c *s3Client) call(ctx context.Context, method, key string, query map[string]string, body []byte, extra map[string]string, into any) (*answer, error) {
	a, err := c.do(ctx, method, key, query, body, extra)
	if err != nil {
		return nil, err
	}
	if err := a.refusal(); err != nil {
		return a, err
	}
	if into != nil {
		if err := xml.Unmarshal(a.body, into); err != nil {
			return nil, fmt.Errorf("the server's answer is no XML: %w", err)
		}
	}
	return a, nil
}

// head returns an object's length; there is false where it is not known to be
// there, which includes that nobody may ask.
func (c *s3Client) head(ctx context.Context) (size int64, there bool, err error) {
	a, err := c.do(ctx, http.MethodHead, c.key, nil, nil, nil)
	switch {
	case err != nil:
		return 0, false, err
	case a.status == http.StatusNotFound || a.status == http.StatusForbidden:
		return 0, false, nil
	}
	if err := a.refusal(); err != nil {
		return 0, false, err
	}
	size, err = strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
	return size, true, err
}

func (c *s3Client) create(ctx context.Context) (string, error) {
	var made struct {
		UploadID string `xml:"UploadId"`
	}
	_, err := c.call(ctx, http.MethodPost, c.key, map[string]string{"uploads": ""}, nil, map[string]string{"Content-Type": "application/octet-stream"}, &made)
	if err == nil && made.UploadID == "" {
		err = errors.New("the server's answer names no upload")
	}
	return made.UploadID, err
}

func (c *s3Client) put(ctx context.Context, upload string, number int, p []byte) (string, error) {
	a, err := c.call(ctx, http.MethodPut, c.key, map[string]string{"partNumber": strconv.Itoa(number), "uploadId": upload}, p, nil, nil)
	if err != nil {
		return "", err
	}
	if a.header.Get("ETag") == "" {
		return "", errors.New("the server's answer has no ETag")
	}
	return a.header.Get("ETag"), nil
}

// complete joins the parts to the object. The answer can be an error although
// its status is 200.
func (c *s3Client) complete(ctx context.Context, upload string, parts []Part) error {
	type part struct {
		PartNumber int
		ETag       string
	}
	list := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Part    []part
	}{}
	for _, p := range parts {
		list.Part = append(list.Part, part{p.Number, p.ETag})
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	q := map[string]string{"uploadId": upload}
	a, err := c.call(ctx, http.MethodPost, c.key, q, body, map[string]string{"If-None-Match": "*"}, nil)
	if a != nil && a.status == http.StatusNotImplemented { // older servers know no conditions
		a, err = c.call(ctx, http.MethodPost, c.key, q, body, nil, nil)
	}
	if err != nil {
		return err
	}
	var p s3Problem
	if xml.Unmarshal(a.body, &p) == nil && p.Code != "" {
		return fmt.Errorf("the server cannot complete the upload: %.60s: %.300s", p.Code, p.Message)
	}
	return nil
}

const maxParts = 10_000 // of one upload

// parts lists what is held of an upload, in the order of its numbers.
func (c *s3Client) parts(ctx context.Context, upload string) ([]Part, error) {
	var all []Part
	marker := "0"
	for {
		var page struct {
			Part                 []Part
			IsTruncated          bool
			NextPartNumberMarker string
		}
		q := map[string]string{"uploadId": upload, "part-number-marker": marker}
		if _, err := c.call(ctx, http.MethodGet, c.key, q, nil, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Part...)
		if !page.IsTruncated || page.NextPartNumberMarker == marker || len(all) > maxParts {
			return all, nil
		}
		marker = page.NextPartNumberMarker
	}
}
