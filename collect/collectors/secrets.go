package collectors

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Secrets says what to do with what would let its holder act as somebody
// else: private keys, password hashes, stored credentials. They are rarely
// needed to find out what happened, and a bundle that holds them has to be
// guarded like them.
type Secrets bool

// By default secrets stay where they are: a "skipped" record says that the
// file exists, its metadata, and of a private key its fingerprints. Taking
// them needs an order.
const (
	LeaveSecrets Secrets = false
	TakeSecrets  Secrets = true
)

// maxKeyFile bounds what is searched for a private key; certificates with
// their chains stay far below.
const maxKeyFile = 1 << 20

// takeSecret leaves a file out because its place says that it is a secret.
func takeSecret(ctx context.Context, w *pathWalk, name, rule string) error {
	if w.secrets == TakeSecrets {
		return w.out.File(ctx, name, rule)
	}
	st, err := w.tree.Stat(name)
	if err != nil {
		return w.out.File(ctx, name, rule) // records why
	}
	return w.note(ctx, name, rule, rule+" are left out unless ordered", st)
}

// takeUnlessSecret takes a file unless its content is a private key.
func takeUnlessSecret(ctx context.Context, w *pathWalk, name, rule string) error {
	if w.secrets == TakeSecrets {
		return w.out.File(ctx, name, rule)
	}
	text, whole, err := w.head(name)
	if err != nil {
		return w.out.File(ctx, name, rule) // records why
	}
	kind, public := privateKey(text)
	if kind == "" {
		return w.out.File(ctx, name, rule)
	}
	st, _ := w.tree.Stat(name)
	detail := "private key (" + kind + ") is left out unless ordered; public part: " + public
	if whole {
		detail += "; SHA-256 of the file: " + evidence.Sum(text).String()
	}
	return w.note(ctx, name, rule, detail, st)
}

// maxKey bounds one key: RSA with 16384 bits has 13 KB. What is longer is
// something else in the clothes of a key, and is taken.
const maxKey = 32 << 10

// maxDerived bounds a key whose public part is derived, in bytes without its
// armour: RSA with 16384 bits has 9300. The time that checking the numbers of
// one takes grows with more than the square of its length: minutes for a megabyte.
const maxDerived = 10 << 10

// leaveKeys is Collector.Secret of every collector that leaves secrets where
// they are: a file that is a private key stays on the host wherever it lies,
// with its fingerprints recorded. What holds a key among other things - a log,
// a program - is taken: a key that somebody appends to a log must not keep the
// log out of the evidence.
func leaveKeys(text []byte) (leave bool, detail string) {
	kind, public := privateKey(text)
	if kind == "" {
		return false, ""
	}
	detail = "private key (" + kind + ")"
	if 2*keyBytes(text) < len(bytes.TrimSpace(text)) {
		return false, "holds a " + detail + " among other content; public part: " + public
	}
	return true, detail + " is left out unless ordered; public part: " + public + "; SHA-256 of the file: " + evidence.Sum(text).String()
}

// keyBytes is how many bytes of a file with a private key are keys and the
// certificates that go with them.
func keyBytes(text []byte) (n int) {
	if other := max(puttyBytes(text), dropbearBytes(text)); other > 0 {
		if other > maxKey {
			return 0
		}
		return other
	}
	for rest := text; ; {
		begin := bytes.Index(rest, []byte("-----BEGIN "))
		block, after := pem.Decode(rest)
		if block == nil || begin < 0 {
			return n
		}
		// What is before the block is none of it, unless it broke like one.
		if long := min(len(rest)-len(after)-begin, 2*len(pem.EncodeToMemory(block))); long <= maxKey {
			n += long
		}
		rest = after
	}
}

// look is what a collector under this policy does with the content of files.
func (s Secrets) look() func([]byte) (leave bool, detail string) {
	if s == TakeSecrets {
		return nil
	}
	return leaveKeys
}

// WithSecrets makes collectors of the shelf take what they leave otherwise.
func WithSecrets(all []collect.Collector) []collect.Collector {
	ordered := map[string]func(Secrets) collect.Collector{
		linuxPersistenceName: Persistence, linuxUsersName: Users, linuxContainersName: Containers,
		windowsFilesName: WindowsFiles, darwinFilesName: DarwinFiles, freebsdFilesName: FreeBSDFiles,
	}
	out := make([]collect.Collector, len(all))
	for i, c := range all {
		if with := ordered[c.Name]; with != nil {
			c = with(TakeSecrets)
		}
		c.Secret = nil
		out[i] = c
	}
	return out
}

// head reads the beginning of a file and says whether that was all of it. The
// text is good until the next call: a walk reads tens of thousands of heads.
func (w *pathWalk) head(name string) (text []byte, whole bool, err error) {
	f, err := w.host.Open(name)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("read %q: not a regular file: %w", name, err)
	}
	if w.headText == nil {
		w.headText = make([]byte, maxKeyFile+1)
	}
	n, err := io.ReadFull(f, w.headText)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return w.headText[:n], err == nil && n <= maxKeyFile, err
}

// privateKey recognises private keys: PEM (RFC 7468, and OpenSSH's
// PROTOCOL.key in PEM), PuTTY's text form, and Dropbear's binary form, which
// starts like an SSH wire-format key. kind is "" for everything else. A PEM
// block counts only when it decodes, the others when most of the file is made
// like one: a mere line of text that looks like one must not keep a file out of
// the evidence.
func privateKey(text []byte) (kind, public string) {
	if n := puttyBytes(text); n > 0 && 2*n >= len(text) {
		return "PuTTY", puttyPublic(string(text))
	}
	if n := dropbearBytes(text); n > 0 && 2*n >= len(text) {
		return "Dropbear", "not derived"
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return "", ""
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			if len(block.Bytes) > maxDerived {
				return block.Type, "not derivable, longer than any key in use"
			}
			return block.Type, publicPart(pem.EncodeToMemory(block))
		}
	}
}

// publicPart derives the fingerprint of a private key's public part, which
// OpenSSH's format keeps readable even when the key is encrypted.
func publicPart(key []byte) string {
	signer, err := ssh.ParsePrivateKey(key)
	if err == nil {
		return describeKey(signer.PublicKey())
	}
	if missing, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		if missing.PublicKey != nil {
			return describeKey(missing.PublicKey) + ", encrypted"
		}
		return "not derivable, encrypted"
	}
	return "not derivable"
}

func describeKey(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

// puttyPublic reads the Public-Lines of a PuTTY key file: a count, then that
// many lines of base64.
func puttyPublic(text string) string {
	algorithm, _, _ := strings.Cut(text, "\n")
	_, algorithm, _ = strings.Cut(algorithm, ": ")
	_, after, ok := strings.Cut(text, "\nPublic-Lines: ")
	if !ok {
		return "not derivable"
	}
	var lines int
	number, after, _ := strings.Cut(after, "\n")
	if _, err := fmt.Sscanf(number, "%d", &lines); err != nil || lines < 1 || lines > 1000 {
		return "not derivable"
	}
	var blob strings.Builder
	for range lines {
		line, rest, _ := strings.Cut(after, "\n")
		blob.WriteString(strings.TrimSpace(line))
		after = rest
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(algorithm) + " " + blob.String()))
	if err != nil {
		return "not derivable"
	}
	return describeKey(key)
}

// puttyFields are what a line of a PuTTY key file may begin with, besides its
// base64 (PuTTY's manual, appendix C).
var puttyFields = []string{"PuTTY-User-Key-File-", "Encryption: ", "Comment: ", "Public-Lines: ", "Key-Derivation: ", "Argon2-", "Private-Lines: ", "Private-MAC: ", "Private-Hash: "}

// puttyBytes is how many bytes of a file that begins as one of PuTTY are such
// lines.
func puttyBytes(text []byte) (n int) {
	if !bytes.HasPrefix(text, []byte("PuTTY-User-Key-File-")) {
		return 0
	}
	for line := range bytes.Lines(text) {
		word := bytes.TrimSpace(line)
		field := slices.ContainsFunc(puttyFields, func(f string) bool { return bytes.HasPrefix(word, []byte(f)) })
		base64 := len(word) <= 128 && bytes.IndexFunc(word, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("+/=", r)
		}) < 0
		if base64 || field && len(word) <= 512 {
			n += len(line)
		}
	}
	return n
}

// dropbearBytes is how many bytes of a file that begins as Dropbear's host keys
// do - a length, a key type - are the numbers of such a key, each behind its
// length. The last may be cut.
func dropbearBytes(text []byte) (n int) {
	numbers, rest, first := 0, text, true
	for ; len(rest) >= 4 && (first || numbers > 0); numbers-- {
		length := int64(binary.BigEndian.Uint32(rest))
		if length > maxKeyNumber {
			break
		}
		field := rest[4:min(4+length, int64(len(rest)))]
		if first {
			first = false
			switch kind := string(field); {
			case strings.HasPrefix(kind, "ecdsa-sha2-"):
				numbers = 4 // the curve, the point, the secret; and this one
			case strings.HasPrefix(kind, "ssh-ed25519"):
				numbers = 2
			case strings.HasPrefix(kind, "ssh-"):
				numbers = 6
			default:
				return 0
			}
		}
		n, rest = n+4+len(field), rest[4+len(field):]
	}
	return n
}

// maxKeyNumber is the longest number of a key, in bytes: of RSA with 16384 bits.
const maxKeyNumber = 2048 + 1
