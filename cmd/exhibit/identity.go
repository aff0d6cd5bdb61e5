package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// profile is the examiner's default identity, kept in the user's
// configuration folder. It holds no secret.
type profile struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Org  string `json:"org,omitempty"`
	Role string `json:"role,omitempty"`
	Key  string `json:"key"` // key file, or agent:FINGERPRINT
}

func profilePath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "exhibit", "identity.json"), nil
}

func readProfile() (profile, error) {
	var p profile
	path, err := profilePath()
	if err != nil {
		return p, nil //nolint:nilerr // no home, no profile
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if path = callersProfile(); path == "" {
			return p, nil
		}
		b, err = os.ReadFile(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read identity %s: %w", path, err)
	}
	return p, nil
}

// callersProfile is the profile of who called sudo: the collection needs
// root, the signature is still that of the person at the keyboard.
func callersProfile() string {
	name := os.Getenv("SUDO_USER")
	if os.Geteuid() != 0 || name == "" {
		return ""
	}
	u, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	return filepath.Join(u.HomeDir, ".config", "exhibit", "identity.json")
}

func (p profile) write() (string, error) {
	path, err := profilePath()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, append(b, '\n'), 0o600)
}

const identityHint = "make a key with: exhibit key new ~/.ssh/exhibit --id you@lab   (or pass --key FILE --id you@lab)"

// identity returns who signs: flags first, then the user's profile.
func identity(c *cli.Context) (*chainofcustody.Identity, error) {
	p, err := readProfile()
	if err != nil {
		return nil, err
	}
	if v := c.String("key"); v != "" {
		p.Key = v
	}
	if v := c.String("id"); v != "" {
		p.ID = v
	}
	if p.Key == "" || p.ID == "" {
		return nil, command.Failf(command.WrongKey, identityHint, "no signing key is set up")
	}
	signer, err := openKey(c, p.Key)
	if err != nil {
		return nil, keyError(err)
	}
	return &chainofcustody.Identity{ID: p.ID, Name: p.Name, Org: p.Org, Role: p.Role, Key: signer}, nil
}

// signerFor is identity for what will stand in the custody log of a case:
// there, a signature that the case does not know proves nothing, so it is
// refused before anything is done rather than found by the next reader.
func signerFor(c *cli.Context, cs *chainofcustody.Case) (*chainofcustody.Identity, error) {
	id, err := identity(c)
	if err != nil {
		return nil, err
	}
	signers, err := cs.Signers()
	if err != nil {
		return nil, err
	}
	err = signers.Check(id.ID, id.Key.PublicKey(), chainofcustody.NamespaceCustody, time.Now())
	if err != nil {
		return nil, command.Fail(command.WrongKey, "let it in with: exhibit case trust KEY.pub --as "+id.ID+" (or choose another with --key and --id)",
			fmt.Errorf("%s with key %s may not sign in case %s: %w", id.ID, id.Fingerprint(), cs.Info.ID, err))
	}
	return id, nil
}

func openKey(c *cli.Context, key string) (chainofcustody.Signer, error) {
	if which, ok := strings.CutPrefix(key, "agent:"); ok {
		return chainofcustody.KeyFromAgent(which)
	}
	return chainofcustody.KeyFromFile(key, func() ([]byte, error) { return passphrase(c, key) })
}

// passphrase reads a secret from a file or the terminal, never from argv.
func passphrase(c *cli.Context, what string) ([]byte, error) {
	if path := c.String("passphrase-file"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, command.Fail(command.WrongKey, "--passphrase-file wants the path of a file that holds the passphrase", err)
		}
		return []byte(strings.TrimRight(string(b), "\r\n")), nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, chainofcustody.ErrPassphrase
	}
	fmt.Fprintf(os.Stderr, "Passphrase of %s: ", what)
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(os.Stderr)
	return b, err
}

// keyError gives errors of keys their exit code.
func keyError(err error) error {
	var own *command.Error
	switch {
	case errors.As(err, &own):
	case errors.Is(err, chainofcustody.ErrPassphrase):
		return command.Fail(command.WrongKey, "give the right passphrase at the prompt or with --passphrase-file", err)
	case errors.Is(err, chainofcustody.ErrKeyPermissions):
		return command.Fail(command.WrongKey, "take it away from the others with chmod 600, or make a new key if they may have read it", err)
	case errors.Is(err, chainofcustody.ErrNoAgent), errors.Is(err, chainofcustody.ErrNoSuchKey), errors.Is(err, chainofcustody.ErrAmbiguousKey):
		return command.Fail(command.WrongKey, "ssh-add -l lists what the agent holds, ssh-add FILE adds a key to it", err)
	case errors.Is(err, chainofcustody.ErrNotPrivateKey), errors.Is(err, fs.ErrNotExist):
		return command.Fail(command.WrongKey, identityHint, err)
	}
	return err
}

// openCase finds the case that the command works in.
func openCase(c *cli.Context) (*chainofcustody.Case, error) {
	if dir := c.String("case"); dir != "" {
		cs, err := chainofcustody.OpenCase(dir)
		return cs, caseError(err)
	}
	cs, err := chainofcustody.FindCase(".")
	return cs, caseError(err)
}

// caseError gives errors of cases their exit code.
func caseError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, chainofcustody.ErrNoCase):
		return command.Fail(command.NoCase, "go into a case folder, pass --case DIR, or make one: exhibit case init DIR", err)
	case errors.Is(err, chainofcustody.ErrCaseLocked):
		return command.Fail(command.NoCase, "wait for the other command to end, then run this again", err)
	case errors.Is(err, chainofcustody.ErrCaseDamaged):
		return command.Fail(command.Failure, "put back a copy of case.json: it holds the case's number and title, no evidence", err)
	case errors.Is(err, chainofcustody.ErrNewerSchema):
		return command.Fail(command.NoCase, "use the newer exhibit that wrote it", err)
	}
	return err
}

// mayRecord returns the case and identity for commands that record custody
// only where they run in a case: both are nil elsewhere.
func mayRecord(c *cli.Context) (*chainofcustody.Case, *chainofcustody.Identity, error) {
	cs, err := openCase(c)
	if errors.Is(err, chainofcustody.ErrNoCase) && c.String("case") == "" {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	id, err := signerFor(c, cs)
	return cs, id, err
}

// tool names this program in custody events.
func tool() *chainofcustody.ToolInfo {
	return &chainofcustody.ToolInfo{Name: "exhibit", Ver: version, SHA256: command.OwnDigest()}
}
