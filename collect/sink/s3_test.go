//go:build !exhibit_no_web

package sink

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect/sink/sinktest"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// TestSignaturesAreThoseOfThePublishedExamples takes the examples of the S3
// API reference, "Examples: Signature Calculations in AWS Signature Version 4".
func TestSignaturesAreThoseOfThePublishedExamples(t *testing.T) {
	keys := s3Keys{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		method, path string
		query        map[string]string
		body         string
		header       map[string]string
		want         string
	}{
		{"GET", "/test.txt", nil, "", map[string]string{"Range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{
			"PUT", "/test$file.text", nil, "Welcome to Amazon S3.",
			map[string]string{"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY"},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
		},
		{"GET", "/", map[string]string{"lifecycle": ""}, "", nil, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"GET", "/", map[string]string{"max-keys": "2", "prefix": "J"}, "", nil, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		req, err := http.NewRequest(c.method, "https://examplebucket.s3.amazonaws.com"+escapePath(c.path)+"?"+escapeQuery(c.query), nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		keys.sign(req, "us-east-1", evidence.Sum([]byte(c.body)).String(), now)
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+c.want) {
			t.Errorf("%s %s: %s, want the signature %s", c.method, c.path, got, c.want)
		}
	}
}

func s3Options(srv *sinktest.S3, addr string) Options {
	return Options{
		S3Endpoint: "http://" + addr, S3Credentials: srv.Credentials, S3PartSize: minPartSize,
		Getenv: func(string) string { return "" },
	}
}

func TestS3TakesAStreamInParts(t *testing.T) {
	srv := sinktest.NewS3(t)
	data := noise(23 << 20)
	for _, c := range []struct {
		name   string
		set    func(*sinktest.Proxy)
		breaks bool
	}{
		{"plain", func(*sinktest.Proxy) {}, false},
		{"cut", func(p *sinktest.Proxy) { p.CutAt = []int64{1 << 20, 9 << 20, 9<<20 + 999, 21 << 20} }, true},
		{"stalled", func(p *sinktest.Proxy) { p.Stall = 8 << 20 }, true},
		{"slow", func(p *sinktest.Proxy) { p.Pause = 500 * time.Microsecond }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sinktest.NewProxy(t, srv.Addr)
			p.Set(c.set)
			name := "in/" + c.name + " +&ü.tar"
			opt := s3Options(srv, p.Addr())
			opt.Patience = 5 * time.Minute
			if c.name == "stalled" { // elsewhere a busy machine must not look like a dead link
				opt.Stall = 2 * time.Second
			}
			res := mustSend(t, "s3://lab/in/"+c.name+"%20+&ü.tar", opt, data)
			if (res.Breaks > 0) != c.breaks {
				t.Errorf("%d breaks", res.Breaks)
			}
			mustHold(t, filepath.Join(srv.Folder, "lab", name), data)
		})
	}
	// Nothing is overwritten, and an empty stream is an object, too.
	if _, err := Open(t.Context(), "s3://lab/in/plain%20+&ü.tar", s3Options(srv, srv.Addr)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second object of the name: %v", err)
	}
	mustSend(t, "s3://lab/empty", s3Options(srv, srv.Addr), nil)
	mustHold(t, filepath.Join(srv.Folder, "lab", "empty"), nil)
}

func TestWhatIsLeftOfAnUploadIsSaved(t *testing.T) {
	srv := sinktest.NewS3(t)
	data := noise(18 << 20)
	p := sinktest.NewProxy(t, srv.Addr)
	opt := s3Options(srv, p.Addr())
	opt.Patience, opt.Fallback = 300*time.Millisecond, filepath.Join(t.TempDir(), "tail")
	s, err := Open(t.Context(), "s3://lab/web01", opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(s, data[:12<<20]); err != nil {
		t.Fatal(err)
	}
	p.Die()
	if err := feed(s, data[12<<20:]); err != nil {
		t.Fatal(err)
	}
	res, err := s.Commit()
	if err != nil || res.Fallback == nil || res.Sent < minPartSize || res.Sent%minPartSize != 0 || !strings.Contains(res.Location, "?uploadId=") {
		t.Fatalf("%+v, %v", res, err)
	}

	// Another upload of the name, and one that only begins like it.
	for _, name := range []string{"s3://lab/web01", "s3://lab/web01.other"} {
		other, err := Open(t.Context(), name, s3Options(srv, srv.Addr))
		if err != nil {
			t.Fatal(err)
		}
		other.Abort()
	}
	slow := sinktest.NewProxy(t, srv.Addr)
	store, err := LookS3(t.Context(), "s3://lab/web01", s3Options(srv, slow.Addr()))
	if err != nil || store.Whole || len(store.Leftovers) != 2 {
		t.Fatalf("%+v, %v", store, err)
	}
	left := store.Leftovers[0]
	if left.Bytes == 0 {
		left = store.Leftovers[1]
	}
	if left.Bytes != res.Sent || left.Parts != int(res.Sent/minPartSize) || left.Beyond != 0 || left.Initiated == "" {
		t.Fatalf("%+v", left)
	}
	if err := store.Complete(t.Context(), left); err != nil || !store.Whole {
		t.Fatal(err)
	}
	var head bytes.Buffer
	if err := store.Fetch(t.Context(), &head); err != nil || !bytes.Equal(head.Bytes(), data[:res.Sent]) {
		t.Fatalf("%d bytes, %v", head.Len(), err)
	}
	tail, err := os.Open(opt.Fallback)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	var whole bytes.Buffer
	if _, err := Join(res.Fallback, &head, tail, &whole); err != nil || !bytes.Equal(whole.Bytes(), data) {
		t.Fatalf("%d bytes, %v", whole.Len(), err)
	}
	if again, err := LookS3(t.Context(), "s3://lab/web01", s3Options(srv, srv.Addr)); err != nil || !again.Whole || again.Size != res.Sent {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestS3SaysWhatItRefuses(t *testing.T) {
	srv := sinktest.NewS3(t)
	t.Setenv("AWS_PROFILE", "other")
	opt := s3Options(srv, srv.Addr)
	opt.Getenv = os.Getenv
	if _, err := Open(t.Context(), "s3://lab/x", opt); err == nil || !isLasting(err) || !strings.Contains(strings.ToLower(err.Error()), "access key") {
		t.Errorf("unknown keys: %v", err)
	}
	if _, err := Open(t.Context(), "s3://nowhere/x", s3Options(srv, srv.Addr)); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("no bucket: %v", err)
	}
	for _, bad := range []string{"s3://lab", "s3://lab/in/", "s3://key:secret@lab/x", "s3://lab/x?versionId=1"} {
		if _, err := Open(t.Context(), bad, s3Options(srv, srv.Addr)); !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	opt = s3Options(srv, srv.Addr)
	opt.S3Endpoint = "http://192.0.2.1"
	if _, err := Open(t.Context(), "s3://lab/x", opt); !errors.Is(err, ErrURL) {
		t.Errorf("an endpoint without TLS: %v", err)
	}
	opt = s3Options(srv, srv.Addr)
	opt.S3Credentials = ""
	t.Setenv("HOME", t.TempDir())
	if _, err := Open(t.Context(), "s3://lab/x", opt); !errors.Is(err, errNoKeys) {
		t.Errorf("no credentials: %v", err)
	}
}
