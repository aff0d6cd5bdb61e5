//go:build !exhibit_no_web

package sink

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect/sink/sinktest"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// putServer keeps whole bodies of PUT requests that bring the right header.
type putServer struct {
	*httptest.Server
	ca      string
	mu      sync.Mutex
	files   map[string][]byte
	chunked int
	limit   int64 // a longer body is refused while it is sent; 0: none
}

func newPutServer(t *testing.T) *putServer {
	t.Helper()
	s := &putServer{files: map[string][]byte{}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // connections are cut on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *putServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	_, there := s.files[r.URL.Path]
	limit := s.limit
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer hush":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Method == http.MethodHead && !there:
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method == http.MethodHead:
		return
	case there && r.Header.Get("If-None-Match") == "*":
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	in := io.Reader(r.Body)
	if limit > 0 {
		in = io.LimitReader(in, limit)
	}
	body, err := io.ReadAll(in)
	switch {
	case err != nil:
		return
	case limit > 0 && int64(len(body)) == limit:
		w.WriteHeader(http.StatusInsufficientStorage)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[r.URL.Path] = body
	if len(r.TransferEncoding) > 0 {
		s.chunked++
	}
}

func (s *putServer) file(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name]
}

func (s *putServer) options(t *testing.T) Options {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "header")
	if err := os.WriteFile(secret, []byte("# for the laboratory\nAuthorization: Bearer hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{CA: s.ca, HeaderFile: secret, Getenv: func(string) string { return "" }}
}

func TestHTTPSPutsOneFile(t *testing.T) {
	srv := newPutServer(t)
	data := noise(9 << 20)
	res := mustSend(t, srv.URL+"/in/x", srv.options(t), data)
	if !bytes.Equal(srv.file("/in/x"), data) || srv.chunked != 1 || res.Location != res.URL {
		t.Fatalf("%+v: %d bytes", res, len(srv.file("/in/x")))
	}
	if _, err := Open(t.Context(), srv.URL+"/in/x", srv.options(t)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file of the name: %v", err)
	}

	// The link breaks: nothing is there, and the run says so.
	p := sinktest.NewProxy(t, strings.TrimPrefix(srv.URL, "https://"))
	p.Set(func(p *sinktest.Proxy) { p.CutAt = []int64{4 << 20} })
	s, err := Open(t.Context(), "https://"+p.Addr()+"/in/y", srv.options(t))
	if err != nil {
		t.Fatal(err)
	}
	if err = feed(s, data); err == nil {
		_, err = s.Commit()
	} else {
		s.Abort()
	}
	if !errors.Is(err, ErrDead) || srv.file("/in/y") != nil {
		t.Errorf("a broken upload: %v", err)
	}

	// The server has no more space, and says so in the middle.
	srv.mu.Lock()
	srv.limit = 3 << 20
	srv.mu.Unlock()
	if s, err = Open(t.Context(), srv.URL+"/in/z", srv.options(t)); err != nil {
		t.Fatal(err)
	}
	if err = feed(s, data); err == nil {
		_, err = s.Commit()
	} else {
		s.Abort()
	}
	if !errors.Is(err, ErrDead) || srv.file("/in/z") != nil {
		t.Errorf("a full server: %v", err)
	}
}

func TestHTTPSPutsPartsOverALinkThatBreaks(t *testing.T) {
	srv := newPutServer(t)
	data := noise(20 << 20)
	p := sinktest.NewProxy(t, strings.TrimPrefix(srv.URL, "https://"))
	p.Set(func(p *sinktest.Proxy) { p.CutAt = []int64{1 << 20, 11 << 20, 17 << 20} })
	opt := srv.options(t)
	opt.PutParts = true
	res := mustSend(t, "https://"+p.Addr()+"/in/x", opt, data)
	var list PutList
	if err := json.Unmarshal(srv.file("/in/x.parts.json"), &list); err != nil {
		t.Fatal(err)
	}
	var whole []byte
	for _, part := range list.Parts {
		body := srv.file("/in/" + part.Name)
		if len(body) != part.Bytes || evidence.Sum(body).String() != part.SHA256 {
			t.Errorf("%+v: %d bytes", part, len(body))
		}
		whole = append(whole, body...)
	}
	if !bytes.Equal(whole, data) || list.Bytes != int64(len(data)) || list.SHA256 != evidence.Sum(data).String() || list.V != 1 {
		t.Errorf("%+v", list)
	}
	if res.Breaks == 0 {
		t.Error("the link never broke")
	}
	if _, err := Open(t.Context(), srv.URL+"/in/x", opt); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second upload of the name: %v", err)
	}
	opt.Patience, opt.Fallback = 300*time.Millisecond, filepath.Join(t.TempDir(), "tail")
	s, err := Open(t.Context(), "https://"+p.Addr()+"/in/y", opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(s, data[:17<<20]); err != nil {
		t.Fatal(err)
	}
	p.Die()
	if err := feed(s, data[17<<20:]); err != nil {
		t.Fatal(err)
	}
	if res, err = s.Commit(); err != nil || res.Fallback == nil || res.Fallback.HeadBytes < putPart {
		t.Fatalf("%+v, %v", res, err)
	}
	tail, err := os.ReadFile(opt.Fallback)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(srv.file("/in/y.000001"), data[:putPart]) {
		t.Error("the first part is not the beginning")
	}
	if res.Sent+int64(len(tail)) != int64(len(data)) || !bytes.Equal(tail, data[res.Sent:]) {
		t.Errorf("%d bytes sent, %d in the fallback", res.Sent, len(tail))
	}
}

func TestHTTPSSaysWhatItRefuses(t *testing.T) {
	srv := newPutServer(t)
	opt := srv.options(t)
	opt.CA = ""
	if _, err := Open(t.Context(), srv.URL+"/x", opt); !errors.Is(err, ErrKey) {
		t.Errorf("a server nobody vouches for: %v", err)
	}
	for _, parts := range []bool{false, true} {
		opt = srv.options(t)
		opt.HeaderFile, opt.PutParts = "", parts
		opt.Getenv = func(string) string { return "Authorization: Bearer wrong-secret" }
		_, err := Open(t.Context(), srv.URL+"/x", opt)
		if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("a wrong header: %v", err)
		}
	}
	opt = srv.options(t)
	if err := os.WriteFile(opt.HeaderFile, []byte("a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), srv.URL+"/x", opt); !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a line that is no header: %v", err)
	}
	opt = srv.options(t)
	opt.Fallback = filepath.Join(t.TempDir(), "tail")
	if _, err := Open(t.Context(), srv.URL+"/x", opt); !errors.Is(err, ErrURL) {
		t.Errorf("a fallback for one PUT: %v", err)
	}
	for _, bad := range []string{"https://h/", "https://h", "https://h/x?token=hush", "https://a:hush@h/x"} {
		if _, err := Open(t.Context(), bad, srv.options(t)); !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
