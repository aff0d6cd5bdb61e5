package sinktest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// SSHD is OpenSSH's own server on a free port of this machine.
type SSHD struct {
	Addr   string
	Host   ssh.PublicKey
	Key    string // private key file that may log in
	User   string
	Folder string // to send to
}

// WriteKey makes a key pair and writes the private key.
func WriteKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// NewSSHD starts a server that ends with the test.
func NewSSHD(t *testing.T) *SSHD {
	t.Helper()
	sshd := testenv.Tool(t, "sshd")
	dir := t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // privilege separation wants it, and only the boot makes it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &SSHD{
		Host: WriteKey(t, filepath.Join(dir, "host")), Key: filepath.Join(dir, "me"), User: me.Username,
		Folder: filepath.Join(dir, "in"),
	}
	mine := WriteKey(t, s.Key)
	if err := os.WriteFile(filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Addr = freeAddress(t)
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config")
	text := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n",
		port, filepath.Join(dir, "host"), filepath.Join(dir, "authorized"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	listening(t, cmd, s.Addr)
	return s
}

// KnownHosts writes a file by which the server is known under the address of a
// link to it.
func (s *SSHD) KnownHosts(t *testing.T, addr string) string {
	t.Helper()
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{knownhosts.Normalize(addr)}, s.Host)
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return known
}

// URL is that of a file in the folder, over a link.
func (s *SSHD) URL(addr, name string) string {
	return fmt.Sprintf("sftp://%s@%s%s", s.User, addr, filepath.Join(s.Folder, name))
}
