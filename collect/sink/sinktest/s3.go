package sinktest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// S3 is versitygw over a folder: an S3 server of another project, which
// checks signatures and hashes.
type S3 struct {
	Addr        string
	Folder      string // holds the buckets as folders
	Credentials string // file with the keys of its owner
}

// NewS3 starts a server that ends with the test. Its one bucket is lab.
func NewS3(t *testing.T) *S3 {
	t.Helper()
	gateway := testenv.Tool(t, filepath.Join(testenv.Root(t), ".oracles", "bin", "versitygw"))
	dir := t.TempDir()
	s := &S3{Folder: filepath.Join(dir, "store"), Credentials: filepath.Join(dir, "credentials")}
	for _, sub := range []string{"store", "store/lab", "meta"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text := "[other]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n[default]\naws_access_key_id = EXAMPLE\naws_secret_access_key=a/secret+key\n"
	if err := os.WriteFile(s.Credentials, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	l.Close()
	cmd := exec.Command(gateway, "--port", s.Addr, "--quiet", "posix", "--sidecar", filepath.Join(dir, "meta"), s.Folder)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=EXAMPLE", "ROOT_SECRET_KEY=a/secret+key")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() //nolint:errcheck // gone already
		_ = cmd.Wait()         //nolint:errcheck // killed
		log.Close()
	})
	for range 1000 {
		if c, err := net.Dial("tcp", s.Addr); err == nil {
			c.Close()
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	why, _ := os.ReadFile(log.Name()) //nolint:errcheck // for the message
	t.Fatalf("versitygw does not listen: %s", why)
	return nil
}
