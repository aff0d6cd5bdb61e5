package sink

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
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// sshServer is OpenSSH's own server on a free port of this machine.
type sshServer struct {
	addr    string
	host    ssh.PublicKey
	key     string // private key file that may log in
	user    string
	folder  string
	restart func()
}

func writeKey(t *testing.T, path string) ssh.PublicKey {
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

func newSSHD(t *testing.T) *sshServer {
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
	s := &sshServer{
		host: writeKey(t, filepath.Join(dir, "host")), key: filepath.Join(dir, "me"), user: me.Username,
		folder: filepath.Join(dir, "in"),
	}
	mine := writeKey(t, s.key)
	if err := os.WriteFile(filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	_, port, err := net.SplitHostPort(s.addr)
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
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() //nolint:errcheck // gone already
		_ = cmd.Wait()         //nolint:errcheck // killed
		log.Close()
	})
	for range 500 {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	why, _ := os.ReadFile(log.Name()) //nolint:errcheck // for the message
	t.Fatalf("sshd does not listen: %s", why)
	return nil
}

// options let the server be known under the address of a link to it.
func (s *sshServer) options(t *testing.T, addr string) Options {
	t.Helper()
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{knownhosts.Normalize(addr)}, s.host)
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{KnownHosts: []string{known}, SSHKey: s.key, Patience: 20 * time.Second, Stall: 2 * time.Second}
}

func (s *sshServer) url(addr, name string) string {
	return fmt.Sprintf("sftp://%s@%s%s", s.user, addr, filepath.Join(s.folder, name))
}
