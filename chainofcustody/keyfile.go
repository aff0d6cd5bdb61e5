package chainofcustody

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Errors of reading and making key files. ErrPassphrase is exit code 8.
var (
	ErrPassphrase     = errors.New("wrong passphrase, or no passphrase given for an encrypted key")
	ErrKeyPermissions = errors.New("private key is readable by others (chmod 600 it)")
	ErrNotPrivateKey  = errors.New("not an SSH private key this program can sign with (use ssh-agent for keys on a token)")
	ErrKeyExists      = errors.New("a key of that name exists and is never overwritten")
)

const maxKeyFile = 64 << 10

// KeyFromFile reads an SSH private key (OpenSSH, PEM or PKCS#8 form) and
// returns its Signer. The passphrase callback is asked once, and only when
// the key is encrypted; it may be nil. A wrong or missing passphrase is
// ErrPassphrase. Keys on a security token (sk-…) sign through KeyFromAgent.
func KeyFromFile(path string, passphrase func() ([]byte, error)) (Signer, error) {
	data, err := readKeyFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	key, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		key, err = decryptKey(data, passphrase)
	} else if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotPrivateKey, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return NewSigner(key), nil
}

func decryptKey(data []byte, passphrase func() ([]byte, error)) (ssh.Signer, error) {
	if passphrase == nil {
		return nil, ErrPassphrase
	}
	secret, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("ask for passphrase: %w", err)
	}
	defer clear(secret)
	key, err := ssh.ParsePrivateKeyWithPassphrase(data, secret)
	switch {
	case errors.Is(err, x509.IncorrectPasswordError) || len(secret) == 0:
		return nil, ErrPassphrase
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNotPrivateKey, err)
	}
	return key, nil
}

// readKeyFile refuses what ssh refuses: a private key that others can read.
func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, ErrNotPrivateKey
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, ErrKeyPermissions
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// NewKeyFile makes an Ed25519 key, writes it in OpenSSH form to path (mode
// 0600) and its public half to path.pub, and returns the public half. With an
// empty passphrase the key is stored in clear. A missing folder, such as
// ~/.ssh of a new account, is made for its owner only. Neither file is ever
// overwritten: ErrKeyExists.
func NewKeyFile(path, comment string, passphrase []byte) (ssh.PublicKey, error) {
	if strings.ContainsAny(comment, "\r\n\x00") {
		return nil, fmt.Errorf("make key %s: comment must be one line", path)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	var block *pem.Block
	if len(passphrase) > 0 {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, comment, passphrase)
	} else {
		block, err = ssh.MarshalPrivateKey(private, comment)
	}
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if _, err := os.Lstat(path + ".pub"); err == nil {
		return nil, fmt.Errorf("make key %s.pub: %w", path, ErrKeyExists)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err := writeNewFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err := writeNewFile(path+".pub", []byte(publicLine(key, comment)+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, syncDir(filepath.Dir(path))
}

// writeNewFile creates a file that must not exist and makes it durable.
func writeNewFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", path, ErrKeyExists)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// publicLine is a key as it stands in a .pub file.
func publicLine(key ssh.PublicKey, comment string) string {
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
	if comment != "" {
		line += " " + comment
	}
	return line
}
