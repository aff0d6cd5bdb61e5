package chainofcustody

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// token is an agent with one FIDO key (OpenSSH PROTOCOL.u2f): it signs as the
// hardware does, over hashes, with flags and a counter behind the signature.
type token struct {
	agent.Agent
	private ed25519.PrivateKey
	key     ssh.PublicKey
	counter uint32
}

const tokenApp = "ssh:"

func newToken(t *testing.T) *token {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	blob := ssh.Marshal(struct {
		Name string
		Key  []byte
		App  string
	}{ssh.KeyAlgoSKED25519, public, tokenApp})
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		t.Fatal(err)
	}
	return &token{agent.NewKeyring(), private, key, 7}
}

func (k *token) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: k.key.Type(), Blob: k.key.Marshal(), Comment: "token"}}, nil
}

func (k *token) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	if string(key.Marshal()) != string(k.key.Marshal()) {
		return nil, errors.New("no such key")
	}
	k.counter++
	after := ssh.Marshal(struct {
		Flags   byte
		Counter uint32
	}{1, k.counter}) // 1: somebody touched it
	app, message := sha256.Sum256([]byte(tokenApp)), sha256.Sum256(data)
	signed := append(append(app[:], after...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.private, signed), Rest: after}, nil
}

func (k *token) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return k.Sign(key, data)
}

func (k *token) Extension(string, []byte) ([]byte, error) { return nil, agent.ErrExtensionUnsupported }

// serve makes the token the agent of the test.
func (k *token) serve(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "token")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(k, conn) // ends with the connection
			conn.Close()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", l.Addr().String())
}
