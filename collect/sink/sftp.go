package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sftpFar is a file on an SFTP server (draft-ietf-secsh-filexfer-02, as
// OpenSSH speaks it). Until commit its name ends in PartSuffix.
type sftpFar struct {
	user, host, path string // host with port
	opt              Options
	line             *line
	done             bool // the file has its name

	client *ssh.Client
	sftp   *sftp.Client
	file   *sftp.File
}

// PartSuffix ends the name of a file on the far side until it is whole.
const PartSuffix = ".partial"

// sftpChunk is small enough to be acknowledged often and large enough to hide
// the time of a round trip.
const sftpChunk = 2 << 20

// newSFTP takes sftp://[USER@]HOST[:PORT]/PATH. PATH is absolute; /~/ begins
// one in the home folder.
func newSFTP(u *url.URL, opt Options, l *line) (far, error) {
	f := &sftpFar{user: u.User.Username(), host: u.Host, path: u.Path, opt: opt, line: l}
	if u.Port() == "" {
		f.host = net.JoinHostPort(u.Hostname(), "22")
	}
	if len(f.path) > 3 && f.path[:3] == "/~/" {
		f.path = f.path[3:]
	}
	if f.path == "" || f.path[len(f.path)-1] == '/' || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: sftp://USER@HOST/PATH must name a file", ErrURL)
	}
	if f.user == "" {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("%w: it names no user, and this one's name is not known", ErrURL)
		}
		f.user = me.Username
	}
	return f, nil
}

func (f *sftpFar) address(path string) string {
	if path[0] != '/' {
		path = "/~/" + path
	}
	return (&url.URL{Scheme: "sftp", User: url.User(f.user), Host: f.host, Path: path}).String()
}

func (f *sftpFar) describe() about {
	is := about{url: f.address(f.path), location: f.address(f.path + PartSuffix), chunk: sftpChunk}
	if f.done {
		is.location = is.url
	}
	return is
}

func (f *sftpFar) connect(ctx context.Context) error {
	f.close()
	verify, algorithms, err := f.hostKeys()
	if err != nil {
		return lasting(err)
	}
	methods, done := f.methods()
	defer done()
	conn, err := f.line.dialContext(ctx, "tcp", f.host)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, chans, reqs, err := ssh.NewClientConn(conn, f.host, &ssh.ClientConfig{
		User: f.user, Auth: methods, HostKeyCallback: verify, HostKeyAlgorithms: algorithms,
	})
	if err != nil {
		conn.Close()
		return sshError(err)
	}
	f.client = ssh.NewClient(c, chans, reqs)
	if f.sftp, err = sftp.NewClient(f.client, sftp.UseConcurrentWrites(true)); err != nil {
		f.close()
		return fmt.Errorf("start sftp: %w", err)
	}
	return nil
}

// sshError tells what waiting mends from what it does not.
func sshError(err error) error {
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		return lasting(fmt.Errorf("%w: its key is in no known_hosts file", ErrKey))
	case errors.As(err, &unknown), errors.As(err, &revoked):
		return lasting(fmt.Errorf("%w: %w", ErrKey, err))
	case strings.Contains(err.Error(), "unable to authenticate"): // the library has no type for it
		return lasting(errors.New("it refuses every key that was offered"))
	}
	return err
}

// hostKeys reads known_hosts (sshd(8)). Only the kinds of keys that are known
// for the host are asked for: a server that has several would else be taken
// for another one.
func (f *sftpFar) hostKeys() (ssh.HostKeyCallback, []string, error) {
	files := f.opt.KnownHosts
	if len(files) == 0 {
		files = append(files, "/etc/ssh/ssh_known_hosts")
		if home, err := os.UserHomeDir(); err == nil {
			files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
		}
		files = slices.DeleteFunc(files, func(name string) bool { _, err := os.Stat(name); return err != nil })
	}
	verify, err := knownhosts.New(files...)
	if err != nil {
		return nil, nil, fmt.Errorf("known_hosts: %w", err)
	}
	var known *knownhosts.KeyError
	if err := verify(f.host, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &known) || len(known.Want) == 0 {
		return nil, nil, fmt.Errorf("%w: %s is in no known_hosts file", ErrKey, f.host)
	}
	var algorithms []string
	for _, k := range known.Want {
		switch kind := k.Key.Type(); kind {
		case ssh.KeyAlgoRSA: // never with SHA-1
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			algorithms = append(algorithms, kind)
		}
	}
	return verify, algorithms, nil
}

// noKey is a key that no host has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// methods are the keys to offer. The second result ends the agent's line.
func (f *sftpFar) methods() ([]ssh.AuthMethod, func()) {
	var conn net.Conn
	signers := func() ([]ssh.Signer, error) {
		if f.opt.SSHKey != "" {
			one, err := readKey(f.opt.SSHKey)
			if err != nil {
				return nil, lasting(err)
			}
			return []ssh.Signer{one}, nil
		}
		var all []ssh.Signer
		if path := f.opt.Getenv("SSH_AUTH_SOCK"); path != "" {
			if c, err := net.Dial("unix", path); err == nil {
				conn = c
				if held, err := agent.NewClient(c).Signers(); err == nil {
					all = held
				}
			}
		}
		if home, err := os.UserHomeDir(); err == nil {
			for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
				if one, err := readKey(filepath.Join(home, ".ssh", name)); err == nil {
					all = append(all, one)
				}
			}
		}
		return all, nil
	}
	return []ssh.AuthMethod{ssh.PublicKeysCallback(signers)}, func() {
		if conn != nil {
			conn.Close()
		}
	}
}

func readKey(path string) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	one, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("%s has a passphrase: add it to an agent (ssh-add)", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return one, nil
}

// fileError marks what a server will answer again.
func fileError(err error) error {
	for _, e := range []error{fs.ErrPermission, fs.ErrNotExist, fs.ErrExist} {
		if errors.Is(err, e) {
			return lasting(err)
		}
	}
	return err
}

func (f *sftpFar) open(ctx context.Context) (probe, error) {
	p := probe{free: -1}
	if err := f.connect(ctx); err != nil {
		return p, err
	}
	defer f.until(ctx)()
	if _, err := f.sftp.Lstat(f.path); err == nil {
		return p, fmt.Errorf("%s: %w", f.path, fs.ErrExist)
	}
	var err error
	f.file, err = f.sftp.OpenFile(f.path+PartSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		if _, there := f.sftp.Lstat(f.path + PartSuffix); there == nil {
			err = fs.ErrExist // version 3 of the protocol has no word for it
		}
		return p, fmt.Errorf("%s: %w", f.path+PartSuffix, err)
	}
	if err := f.file.Chmod(0o600); err != nil {
		return p, fmt.Errorf("%s: %w", f.path+PartSuffix, err)
	}
	if _, ok := f.sftp.HasExtension("statvfs@openssh.com"); ok {
		if st, err := f.sftp.StatVFS(filepath.Dir(f.path)); err == nil {
			p.free = int64(min(st.Bavail*st.Frsize, 1<<62))
		}
	}
	return p, nil
}

func (f *sftpFar) send(ctx context.Context, at int64, p []byte) error {
	if f.file == nil {
		return errors.New("not connected")
	}
	defer f.until(ctx)()
	_, err := f.file.WriteAt(p, at)
	return fileError(err)
}

// resume trusts no byte that was not acknowledged: requests are written in
// any order, so that what a broken one left behind may have holes.
func (f *sftpFar) resume(ctx context.Context, acknowledged int64) (int64, error) {
	if err := f.connect(ctx); err != nil {
		return 0, err
	}
	defer f.until(ctx)()
	var err error
	if f.file, err = f.sftp.OpenFile(f.path+PartSuffix, os.O_WRONLY); err != nil {
		if _, e := f.sftp.Lstat(f.path); e == nil { // a commit whose answer was lost
			return acknowledged, nil
		}
		return 0, fileError(err)
	}
	st, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	if st.Size() < acknowledged {
		return st.Size(), nil
	}
	return acknowledged, f.file.Truncate(acknowledged)
}

func (f *sftpFar) commit(ctx context.Context, all total) error {
	if f.sftp == nil {
		return errors.New("not connected")
	}
	defer f.until(ctx)()
	if f.file == nil {
		st, err := f.sftp.Lstat(f.path)
		if err != nil {
			return err
		}
		if st.Size() != all.size {
			return lasting(fmt.Errorf("%s: %w, with %d bytes", f.path, fs.ErrExist, st.Size()))
		}
		f.done = true
		return nil
	}
	if _, ok := f.sftp.HasExtension("fsync@openssh.com"); ok {
		if err := f.file.Sync(); err != nil {
			return err
		}
	}
	st, err := f.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() != all.size {
		return lasting(fmt.Errorf("%s has %d bytes, %d were sent", f.path+PartSuffix, st.Size(), all.size))
	}
	// The rename of version 3 does not overwrite, as posix-rename would.
	if err := f.sftp.Rename(f.path+PartSuffix, f.path); err != nil {
		return fileError(err)
	}
	f.done = true
	return nil
}

// until hangs up when ctx ends, which ends what waits for the far side.
func (f *sftpFar) until(ctx context.Context) func() bool {
	c := f.client
	return context.AfterFunc(ctx, func() { c.Close() })
}

func (f *sftpFar) close() {
	if f.client != nil {
		f.client.Close()
	}
	if f.sftp != nil {
		f.sftp.Close()
	}
	f.client, f.sftp, f.file = nil, nil, nil
}
