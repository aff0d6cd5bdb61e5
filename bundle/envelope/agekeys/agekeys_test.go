package agekeys

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func answer(secret string) Asker {
	return func(string) ([]byte, error) { return []byte(secret), nil }
}

func never(string) ([]byte, error) { return nil, errors.New("nobody is there to ask") }

// opens encrypts to a recipient and decrypts with the identities of a file.
func opens(t *testing.T, recipient, path string, ask Asker) error {
	t.Helper()
	to, err := Recipient(recipient, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := envelope.NewWriter(&out, []envelope.Recipient{to})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("evidence"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ids, err := ReadFile(path, ask, io.Discard)
	if err != nil {
		return err
	}
	r, err := envelope.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), ids...)
	if err != nil {
		return err
	}
	got := make([]byte, r.Size())
	if _, err := r.ReadAt(got, 0); err != nil || string(got) != "evidence" {
		t.Errorf("%q comes back, %v", got, err)
	}
	return nil
}

func TestIdentitiesMadeHereOpenWhatIsEncryptedToThem(t *testing.T) {
	for _, c := range []struct {
		name    string
		classic bool
		secret  string
		prefix  string
	}{
		{"hybrid", false, "", "age1pq1"},
		{"classic", true, "", "age1"},
		{"locked", false, "correct horse", "age1pq1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "identity")
			to, err := New(path, c.classic, []byte(c.secret), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(to, c.prefix) {
				t.Errorf("recipient %.20s", to)
			}
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", st.Mode(), err)
			}
			if err := opens(t, to, path, answer(c.secret)); err != nil {
				t.Error(err)
			}
			if _, err := New(path, c.classic, nil, time.Now()); !errors.Is(err, os.ErrExist) {
				t.Errorf("an identity was overwritten: %v", err)
			}
			if c.secret == "" {
				return
			}
			b, _ := os.ReadFile(path)
			if bytes.Contains(b, []byte("SECRET")) || bytes.Contains(b, []byte("age1pq")) {
				t.Error("the locked file shows what is in it")
			}
			for _, ask := range []Asker{answer("wrong"), answer(""), never} {
				if err := opens(t, to, path, ask); !errors.Is(err, ErrPassphrase) {
					t.Errorf("wrong passphrase: %v", err)
				}
			}
		})
	}
}

func TestOpenSSHKeysOpenWhatIsEncryptedToThem(t *testing.T) {
	keygen := testenv.Tool(t, "ssh-keygen")
	for _, c := range []struct{ kind, secret string }{{"ed25519", ""}, {"ed25519", "horse"}, {"rsa", ""}, {"rsa", "horse"}} {
		t.Run(c.kind+" "+c.secret, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if out, err := exec.Command(keygen, "-q", "-t", c.kind, "-N", c.secret, "-C", "alice@lab", "-f", path).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			public, err := os.ReadFile(path + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			if err := opens(t, string(public), path, answer(c.secret)); err != nil {
				t.Error(err)
			}
			if c.secret != "" {
				if err := opens(t, string(public), path, answer("wrong")); !errors.Is(err, envelope.ErrNoKey) {
					t.Errorf("wrong passphrase: %v", err)
				}
			}
		})
	}
}

func TestTheAgeProgramAndWeReadEachOthersFiles(t *testing.T) {
	tool := testenv.Tool(t, "age")
	dir := t.TempDir()
	path := filepath.Join(dir, "identity")
	to, err := New(path, true, nil, time.Now()) // old versions know no hybrid keys
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "theirs.age")
	if out, err := exec.Command(tool, "-r", to, "-o", theirs, in).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, _ := f.Stat()
	ids, err := ReadFile(path, never, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := envelope.Open(f, st.Size(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, plain) || !r.Whole() {
		t.Errorf("we read %d bytes, whole %v, %v", len(got), r.Whole(), err)
	}
	recipient, err := envelope.ParseRecipient(to)
	if err != nil {
		t.Fatal(err)
	}
	var ours bytes.Buffer
	w, err := envelope.NewWriter(&ours, []envelope.Recipient{recipient})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(plain)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "-d", "-i", path)
	cmd.Stdin = &ours
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, plain) {
		t.Errorf("age reads %d bytes of ours: %v", len(out), err)
	}
}

func TestNothingOfASecretKeyStandsInMessages(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	broken := id.String()[:40]
	for _, text := range []string{broken, "# a\n" + broken + "\n", "AGE-PLUGIN-" + broken[20:], broken[3:]} {
		ids, err := parse([]byte(text), "file", never, io.Discard)
		if err == nil {
			t.Errorf("%d identities", len(ids))
			continue
		}
		if strings.Contains(err.Error(), broken[20:]) {
			t.Errorf("message %q", err)
		}
	}
}

func TestPluginsAreFoundByTheirName(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r, err := Recipient("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	err = envelope.Check([]envelope.Recipient{r})
	if err == nil || !strings.Contains(err.Error(), "age-plugin-yubikey") {
		t.Errorf("a plugin that is not installed: %v", err)
	}
}

func FuzzIdentities(f *testing.F) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("# x\n" + id.String() + "\n"))
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----\n"))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt a 10\n\n--- \n"))
	f.Add([]byte("-----BEGIN AGE ENCRYPTED FILE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Contains(b, []byte("scrypt")) {
			t.Skip("costs what it says")
		}
		_, _ = parse(b, "file", answer("x"), io.Discard)
	})
}
