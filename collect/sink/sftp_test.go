package sink

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect/sink/sinktest"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// noise is n bytes that are the same each time and nowhere alike.
func noise(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(b) //nolint:errcheck // never fails
	return b
}

// feed writes in uneven pieces, as a bundle does, and syncs now and then.
func feed(s Sink, data []byte) error {
	for i, step := 0, 1; i < len(data); i, step = i+step, step*3%700_001 {
		if _, err := s.Write(data[i:min(i+step, len(data))]); err != nil {
			return err
		}
		if step%5 == 0 {
			if err := s.Sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

func mustSend(t *testing.T, url string, opt Options, data []byte) *Result {
	t.Helper()
	s, err := Open(t.Context(), url, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(s, data); err != nil {
		t.Fatal(err)
	}
	res, err := s.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if res.Size != int64(len(data)) || res.SHA256 != evidence.Sum(data).String() {
		t.Fatalf("result %+v", res)
	}
	return res
}

func mustHold(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes that differ from the %d sent", path, len(got), len(want))
	}
}

func sshOptions(t *testing.T, srv *sinktest.SSHD, addr string) Options {
	t.Helper()
	return Options{KnownHosts: []string{srv.KnownHosts(t, addr)}, SSHKey: srv.Key}
}

func TestSFTPGivesTheFileItsNameWhenItIsWhole(t *testing.T) {
	srv := sinktest.NewSSHD(t)
	data := noise(9 << 20)
	s, err := Open(t.Context(), srv.URL(srv.Addr, "x"), sshOptions(t, srv, srv.Addr))
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(s, data); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, filepath.Join(srv.Folder, "x"+PartSuffix), data)
	if _, err := os.Stat(filepath.Join(srv.Folder, "x")); err == nil {
		t.Error("a file that is not whole has its name")
	}
	if f := s.Facts(); f["output_free"] == "" || !strings.Contains(f["output"], "sftp://") {
		t.Errorf("facts %v", f)
	}
	res, err := s.Commit()
	if err != nil || res.Sent != int64(len(data)) || res.Location != res.URL || res.Fallback != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	mustHold(t, filepath.Join(srv.Folder, "x"), data)

	// What is there is never overwritten.
	if _, err := Open(t.Context(), srv.URL(srv.Addr, "x"), sshOptions(t, srv, srv.Addr)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file of the name: %v", err)
	}
	mustHold(t, filepath.Join(srv.Folder, "x"), data)
}

func TestSFTPOverALinkThatIsCutStalledAndSlow(t *testing.T) {
	srv := sinktest.NewSSHD(t)
	data := noise(12 << 20)
	for _, c := range []struct {
		name   string
		set    func(*sinktest.Proxy)
		breaks bool
	}{
		{"cut in the middle of chunks", func(p *sinktest.Proxy) { p.CutAt = []int64{1 << 20, 5<<20 + 77, 9 << 20} }, true},
		{"cut again and again", func(p *sinktest.Proxy) {
			for at := int64(1 << 20); at < 30<<20; at += 1500 << 10 {
				p.CutAt = append(p.CutAt, at)
			}
		}, true},
		{"stalled", func(p *sinktest.Proxy) { p.Stall = 4 << 20 }, true},
		{"slow", func(p *sinktest.Proxy) { p.Step, p.Pause = 4<<10, 200*time.Microsecond }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := sinktest.NewProxy(t, srv.Addr)
			p.Set(c.set)
			name := strings.ReplaceAll(c.name, " ", "_")
			opt := sshOptions(t, srv, p.Addr())
			opt.Patience = 5 * time.Minute
			if c.name == "stalled" { // elsewhere a busy machine must not look like a dead link
				opt.Stall = 2 * time.Second
			}
			res := mustSend(t, srv.URL(p.Addr(), name), opt, data)
			if (res.Breaks > 0) != c.breaks {
				t.Errorf("%d breaks", res.Breaks)
			}
			mustHold(t, filepath.Join(srv.Folder, name), data)
		})
	}
}

func TestWhatADeadLinkDoesNotTakeIsInTheFallback(t *testing.T) {
	srv := sinktest.NewSSHD(t)
	data := noise(12 << 20)
	p := sinktest.NewProxy(t, srv.Addr)
	opt := sshOptions(t, srv, p.Addr())
	opt.Patience, opt.Fallback = 300*time.Millisecond, filepath.Join(t.TempDir(), "tail")
	s, err := Open(t.Context(), srv.URL(p.Addr(), "y"), opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := feed(s, data[:5<<20]); err != nil {
		t.Fatal(err)
	}
	p.Die()
	if err := feed(s, data[5<<20:]); err != nil {
		t.Fatal(err)
	}
	res, err := s.Commit()
	if err != nil || res.Fallback == nil || res.Fallback.HeadBytes != res.Sent || res.Sent < 2<<20 {
		t.Fatalf("%+v, %v", res, err)
	}
	split, err := ReadSplit(opt.Fallback)
	if err != nil || !split.Complete || split.Head != srv.URL(p.Addr(), "y"+PartSuffix) {
		t.Fatalf("%+v, %v", split, err)
	}
	head, err := os.Open(filepath.Join(srv.Folder, "y"+PartSuffix))
	if err != nil {
		t.Fatal(err)
	}
	defer head.Close()
	tail, err := os.Open(opt.Fallback)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	var whole bytes.Buffer
	if n, err := Join(split, head, tail, &whole); err != nil || n != int64(len(data)) || !bytes.Equal(whole.Bytes(), data) {
		t.Fatalf("joined %d bytes, %v", n, err)
	}

	// Without a fallback the run fails, and says where the beginning lies.
	p2 := sinktest.NewProxy(t, srv.Addr)
	opt = sshOptions(t, srv, p2.Addr())
	opt.Patience = 300 * time.Millisecond
	if s, err = Open(t.Context(), srv.URL(p2.Addr(), "z"), opt); err != nil {
		t.Fatal(err)
	}
	p2.Die()
	err = feed(s, data)
	if res := s.Abort(); !errors.Is(err, ErrDead) || res.Location != srv.URL(p2.Addr(), "z"+PartSuffix) {
		t.Errorf("%v, %+v", err, res)
	}
}

func TestSFTPTalksOnlyToAServerThatIsKnown(t *testing.T) {
	srv := sinktest.NewSSHD(t)
	opt := sshOptions(t, srv, srv.Addr)
	if err := os.WriteFile(opt.KnownHosts[0], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), srv.URL(srv.Addr, "x"), opt); !errors.Is(err, ErrKey) {
		t.Errorf("a server nobody knows: %v", err)
	}
	other := *srv
	other.Host = sinktest.WriteKey(t, filepath.Join(t.TempDir(), "other"))
	if _, err := Open(t.Context(), srv.URL(srv.Addr, "x"), sshOptions(t, &other, srv.Addr)); !errors.Is(err, ErrKey) {
		t.Errorf("a server with another key: %v", err)
	}
	opt = sshOptions(t, srv, srv.Addr)
	opt.SSHKey = filepath.Join(t.TempDir(), "stranger")
	sinktest.WriteKey(t, opt.SSHKey)
	opt.Fallback = filepath.Join(t.TempDir(), "tail")
	if _, err := Open(t.Context(), srv.URL(srv.Addr, "x"), opt); err == nil || !strings.Contains(err.Error(), "refuses every key") {
		t.Errorf("a key that may not log in: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(opt.Fallback)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, bad := range []string{
		"sftp://me:secret@host/x", "sftp://host", "sftp://me@host/in/", "gopher://host/x", "sftp:///x", "sftp://host/x?y", "sftp://ho st/secret",
	} {
		_, err := Open(t.Context(), bad, Options{})
		if !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
