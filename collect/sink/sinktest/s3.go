package sinktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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
	s.Addr = freeAddress(t)
	cmd := exec.Command(gateway, "--port", s.Addr, "--quiet", "posix", "--sidecar", filepath.Join(dir, "meta"), s.Folder)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=EXAMPLE", "ROOT_SECRET_KEY=a/secret+key")
	listening(t, cmd, s.Addr)
	return s
}
