package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// JoinSuffix ends the name of the statement beside a fallback file.
const JoinSuffix = ".join.json"

const (
	splitVersion = 1
	maxSplit     = 64 << 10
)

// Split is the statement about a stream that lies in two places: the first
// HeadBytes of it at Head, the rest in the file Tail. It is one JSON object.
// While the tail grows, and for ever where the program died, Complete is
// false and the sums of the tail and of the whole are missing.
type Split struct {
	V          int    `json:"v"`                     // 1
	Head       string `json:"head"`                  // where the beginning lies, without secrets
	HeadBytes  int64  `json:"head_bytes"`            // of it that count; there may be more
	HeadSHA256 string `json:"head_sha256"`           // of these
	Tail       string `json:"tail"`                  // file name, in the folder of the statement
	TailBytes  int64  `json:"tail_bytes,omitempty"`  // of a complete tail
	TailSHA256 string `json:"tail_sha256,omitempty"` // of these
	Bytes      int64  `json:"bytes,omitempty"`       // of the whole stream
	SHA256     string `json:"sha256,omitempty"`      // of these
	Complete   bool   `json:"complete"`              // the collection ended and was sealed
	Why        string `json:"why"`                   // what became of the link
}

// tail is the file that takes what the link does not. It exists from the
// beginning, so that it is known to be writable, and is removed when nothing
// came of it. The methods of a nil tail do nothing.
type tail struct {
	path  string
	file  *os.File
	sum   hash.Hash
	size  int64
	split *Split
}

func newTail(path string) (*tail, error) {
	if path == "" {
		return nil, nil
	}
	for _, p := range []string{path, path + JoinSuffix} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = &fs.PathError{Op: "open", Path: p, Err: fs.ErrExist}
			}
			return nil, fmt.Errorf("%w: %w", ErrFallback, err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFallback, err)
	}
	return &tail{path: path, file: f, sum: evidence.NewHash()}, nil
}

// drop removes a fallback that nobody needed.
func (t *tail) drop() {
	if t == nil {
		return
	}
	t.file.Close()
	os.Remove(t.path)
}

// begin writes the statement first: a tail that does not say where it belongs
// is of no use.
func (t *tail) begin(head string, at int64, sum hash.Hash, why error) error {
	t.split = &Split{
		V: splitVersion, Head: head, HeadBytes: at, HeadSHA256: evidence.DigestOf(sum).String(),
		Tail: filepath.Base(t.path), Why: clip(why.Error()),
	}
	return t.state()
}

func clip(s string) string { return s[:min(len(s), 1<<10)] }

func (t *tail) state() error {
	text, err := json.Marshal(t.split)
	if err != nil {
		return err
	}
	name := t.path + JoinSuffix
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	syncFolder(filepath.Dir(name))
	return nil
}

func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() //nolint:errcheck // some file systems refuse; the file itself is synced
		d.Close()
	}
}

func (t *tail) write(p []byte) error {
	n, err := t.file.Write(p)
	t.size += int64(n)
	t.sum.Write(p[:n])
	return err
}

func (t *tail) sync() error { return t.file.Sync() }

// finish ends a tail that was used, and removes one that was not.
func (t *tail) finish(used, complete bool, size int64, sum hash.Hash) error {
	switch {
	case t == nil:
		return nil
	case !used:
		t.drop()
		return nil
	}
	s := t.split
	s.TailBytes, s.TailSHA256 = t.size, evidence.DigestOf(t.sum).String()
	s.Bytes, s.SHA256, s.Complete = size, evidence.DigestOf(sum).String(), complete
	if err := errors.Join(t.file.Sync(), t.file.Chmod(0o400), t.file.Close()); err != nil {
		return err
	}
	return t.state()
}

// ReadSplit reads the statement about a fallback file, beside it.
func ReadSplit(tailPath string) (*Split, error) {
	f, err := os.Open(tailPath + JoinSuffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSplit+1))
	if err != nil {
		return nil, err
	}
	return parseSplit(text)
}

// parseSplit reads a statement and refuses what cannot be one.
func parseSplit(text []byte) (*Split, error) {
	bad := func(what string) (*Split, error) { return nil, fmt.Errorf("statement about a split stream: %s", what) }
	if len(text) > maxSplit {
		return bad("too long")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var s Split
	if err := dec.Decode(&s); err != nil {
		return bad(err.Error())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("more than one object")
	}
	if s.V != splitVersion {
		return bad(fmt.Sprintf("version %d, want %d", s.V, splitVersion))
	}
	digests := []string{s.HeadSHA256}
	if s.Complete {
		digests = append(digests, s.TailSHA256, s.SHA256)
		if s.TailBytes < 0 || s.Bytes-s.HeadBytes != s.TailBytes {
			return bad("its lengths do not add up")
		}
	}
	for _, d := range digests {
		if _, err := evidence.ParseDigest(d); err != nil {
			return bad(err.Error())
		}
	}
	if s.HeadBytes < 0 {
		return bad("a negative length")
	}
	return &s, nil
}

// Errors of Join.
var (
	ErrShortHead = errors.New("the beginning is shorter than what was acknowledged")
	ErrNotJoined = errors.New("the halves do not belong together")
)

// Join writes the stream that a Split describes: the head's first HeadBytes,
// then the tail. Whatever does not have the sums stated is an error, and what
// was written until then is to be thrown away. Of a statement that was never
// completed only the head can be checked; the bundle's own checkpoints say
// what the rest proves.
func Join(s *Split, head io.Reader, tail io.Reader, w io.Writer) (int64, error) {
	whole := evidence.NewHash()
	out := io.MultiWriter(w, whole)
	n, err := io.Copy(out, io.LimitReader(head, s.HeadBytes))
	if err != nil {
		return n, err
	}
	if n < s.HeadBytes {
		return n, fmt.Errorf("%w: %d bytes of %d", ErrShortHead, n, s.HeadBytes)
	}
	if got := evidence.DigestOf(whole).String(); got != s.HeadSHA256 {
		return n, fmt.Errorf("%w: the beginning has SHA-256 %s, the statement says %s", ErrNotJoined, got, s.HeadSHA256)
	}
	m, err := io.Copy(out, tail)
	if err != nil || !s.Complete {
		return n + m, err
	}
	if got := evidence.DigestOf(whole).String(); m != s.TailBytes || got != s.SHA256 {
		return n + m, fmt.Errorf("%w: together %d bytes with SHA-256 %s, the statement says %d with %s", ErrNotJoined, n+m, got, s.Bytes, s.SHA256)
	}
	return n + m, nil
}
