package chainofcustody

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Errors of ssh-agent.
var (
	ErrNoAgent      = errors.New("no ssh-agent (SSH_AUTH_SOCK is not set or nobody listens there)")
	ErrNoSuchKey    = errors.New("the agent holds no such key")
	ErrAmbiguousKey = errors.New("several keys in the agent fit: choose one by its fingerprint")
)

// agentTimeout bounds one signature: a token may wait for a person's touch.
const agentTimeout = 2 * time.Minute

// AgentKey is a key that an agent offers.
type AgentKey struct {
	Key     ssh.PublicKey
	Comment string
}

// AgentKeys lists the plain keys (certificates left out) of the ssh-agent at
// SSH_AUTH_SOCK, in the agent's order.
func AgentKeys() ([]AgentKey, error) {
	client, closer, err := dialAgent()
	if err != nil {
		return nil, err
	}
	defer closer()
	list, err := client.List()
	if err != nil {
		return nil, fmt.Errorf("list agent keys: %w", err)
	}
	var keys []AgentKey
	for _, k := range list {
		key, err := ssh.ParsePublicKey(k.Blob)
		if err != nil || strings.Contains(key.Type(), "-cert-") {
			continue // a type that cannot sign a custody event
		}
		keys = append(keys, AgentKey{key, k.Comment})
	}
	return keys, nil
}

// KeyFromAgent returns the Signer of a key in the ssh-agent at SSH_AUTH_SOCK.
// which is the key's fingerprint ("SHA256:…") or its comment; "" takes the
// only key there is. Keys on FIDO tokens (sk-…) work; each signature then
// waits for the touch, at most two minutes.
func KeyFromAgent(which string) (Signer, error) {
	keys, err := AgentKeys()
	if err != nil {
		return nil, err
	}
	var found []AgentKey
	for _, k := range keys {
		if which == "" || which == Fingerprint(k.Key) || which == k.Comment {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("key %q: %w", which, ErrNoSuchKey)
	case 1:
		return agentSigner{found[0].Key}, nil
	}
	return nil, fmt.Errorf("key %q: %w", which, ErrAmbiguousKey)
}

// agentSigner asks the agent anew for each signature, so that nothing stays
// open between signatures and an agent that was restarted still serves.
type agentSigner struct{ key ssh.PublicKey }

func (s agentSigner) PublicKey() ssh.PublicKey { return s.key }

func (s agentSigner) Sign(namespace string, message []byte) (sig []byte, err error) {
	err = s.with(func(key ssh.Signer) error {
		sig, err = NewSigner(key).Sign(namespace, message)
		return err
	})
	return sig, err
}

// Certify signs a certificate with the key.
func (s agentSigner) Certify(c *ssh.Certificate) error {
	return s.with(func(key ssh.Signer) error { return c.SignCert(rand.Reader, key) })
}

// with calls use with the key while the agent is connected.
func (s agentSigner) with(use func(ssh.Signer) error) error {
	client, closer, err := dialAgent()
	if err != nil {
		return err
	}
	defer closer()
	signers, err := client.Signers()
	if err != nil {
		return fmt.Errorf("list agent keys: %w", err)
	}
	blob := string(s.key.Marshal())
	for _, signer := range signers {
		if string(signer.PublicKey().Marshal()) == blob {
			return use(signer)
		}
	}
	return fmt.Errorf("key %s: %w", Fingerprint(s.key), ErrNoSuchKey)
}

func dialAgent() (agent.ExtendedAgent, func(), error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, ErrNoAgent
	}
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	if err := conn.SetDeadline(time.Now().Add(agentTimeout)); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("reach ssh-agent: %w", err)
	}
	return agent.NewClient(conn), func() { conn.Close() }, nil
}
