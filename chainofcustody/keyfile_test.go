package chainofcustody

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func secret(s string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(s), nil }
}

// tool runs a program and returns what it printed.
func tool(t testing.TB, stdin, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestNewKeyIsReadableByOpenSSH(t *testing.T) {
	for _, pass := range []string{"", "correct horse"} {
		path := filepath.Join(t.TempDir(), "id")
		key, err := NewKeyFile(path, "alice@lab", []byte(pass))
		if err != nil {
			t.Fatal(err)
		}
		out, err := tool(t, "", "ssh-keygen", "-y", "-P", pass, "-f", path)
		if err != nil || strings.TrimSpace(out) != publicLine(key, "alice@lab") {
			t.Errorf("ssh-keygen -y: %v\n%s", err, out)
		}
		out, err = tool(t, "", "ssh-keygen", "-l", "-f", path+".pub")
		if err != nil || !strings.Contains(out, Fingerprint(key)+" alice@lab (ED25519)") {
			t.Errorf("ssh-keygen -l: %v\n%s", err, out)
		}
		signer, err := KeyFromFile(path, secret(pass))
		if err != nil || Fingerprint(signer.PublicKey()) != Fingerprint(key) {
			t.Errorf("read back: %v", err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

func TestNewKeyNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	for _, existing := range []string{"a", "b.pub"} {
		path := filepath.Join(dir, existing)
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewKeyFile(strings.TrimSuffix(path, ".pub"), "x", nil); !errors.Is(err, ErrKeyExists) {
			t.Errorf("%s: %v", existing, err)
		}
		if data, _ := os.ReadFile(path); string(data) != "precious" {
			t.Errorf("%s now holds %q", existing, data)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err == nil {
		t.Error("a private key was left without its public half")
	}
}

func TestKeysOfOpenSSHSignAndOpenSSHVerifies(t *testing.T) {
	tests := []struct{ kind, bits, pass, format string }{
		{"ed25519", "256", "", ""},
		{"ed25519", "256", "pass word", ""},
		{"ecdsa", "384", "xyzzy", ""},
		{"rsa", "3072", "", ""},
		{"rsa", "3072", "xyzzy", "PEM"},
		{"ecdsa", "256", "", "PKCS8"},
	}
	for _, test := range tests {
		t.Run(strings.Join([]string{test.kind, test.pass, test.format}, " "), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "id")
			args := []string{"-q", "-t", test.kind, "-b", test.bits, "-N", test.pass, "-C", "c", "-f", path}
			if test.format != "" {
				args = append(args, "-m", test.format)
			}
			if out, err := tool(t, "", "ssh-keygen", args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			signer, err := KeyFromFile(path, secret(test.pass))
			if err != nil {
				t.Fatal(err)
			}
			list := AllowedSigner{Principals: "alice@lab", Namespaces: CaseNamespaces, Key: signer.PublicKey()}.Line() + "\n"
			signersPath, sigPath := filepath.Join(dir, "allowed"), filepath.Join(dir, "sig")
			sig, err := signer.Sign(NamespaceCustody, []byte("message\n"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(signersPath, []byte(list), 0o600), os.WriteFile(sigPath, sig, 0o600)); err != nil {
				t.Fatal(err)
			}
			check := func(message string) error {
				_, err := tool(t, message, "ssh-keygen", "-Y", "verify", "-f", signersPath, "-I", "alice@lab", "-n", NamespaceCustody, "-s", sigPath)
				return err
			}
			if err := check("message\n"); err != nil {
				t.Errorf("ssh-keygen refuses our signature: %v", err)
			}
			if check("massage\n") == nil {
				t.Error("ssh-keygen accepts a changed message")
			}
			if test.pass != "" {
				if _, err := KeyFromFile(path, secret("wrong")); !errors.Is(err, ErrPassphrase) {
					t.Errorf("wrong passphrase: %v", err)
				}
				if _, err := KeyFromFile(path, nil); !errors.Is(err, ErrPassphrase) {
					t.Errorf("no passphrase: %v", err)
				}
			}
		})
	}
}

func TestSignatureOfSSHKeygenIsAcceptedAsCanonical(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "id")
	if out, err := tool(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	message := filepath.Join(dir, "m")
	if err := os.WriteFile(message, []byte("message\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "", "ssh-keygen", "-Y", "sign", "-f", path, "-n", NamespaceCustody, message); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sig, err := os.ReadFile(message + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(NamespaceCustody, []byte("message\n"), sig); err != nil {
		t.Errorf("verify: %v", err)
	}
	if _, err := Verify(NamespaceSeal, []byte("message\n"), sig); !errors.Is(err, ErrBadSignature) {
		t.Errorf("other namespace: %v", err)
	}
}

func TestKeyFileErrorsAreTyped(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(dir, "open")
	if _, err := NewKeyFile(open, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path string
		want error
	}{
		{open, ErrKeyPermissions},
		{write("text", "hello", 0o600), ErrNotPrivateKey},
		{write("big", strings.Repeat("x", maxKeyFile+1), 0o600), ErrNotPrivateKey},
		{dir, ErrNotPrivateKey},
		{filepath.Join(dir, "none"), os.ErrNotExist},
	}
	for _, test := range tests {
		if _, err := KeyFromFile(test.path, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.path, err, test.want)
		}
	}
}
