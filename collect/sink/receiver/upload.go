package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/wire"
)

// Upload is one stream in its folder.
type Upload struct {
	ID     string `json:"upload"`
	Client string `json:"client"` // fingerprint of the key that began it, and alone may go on
	Name   string `json:"name"`   // fit for a file of ours
	From   string `json:"from"`   // address it began from
	Began  string `json:"began"`  // RFC 3339, by the receiver's clock
	Size   int64  `json:"-"`      // bytes held
	Path   string `json:"-"`      // of the stream

	dir     string
	file    *os.File
	receipt *wire.Signed // of one that was taken over
}

// Names in the folder of an upload.
const (
	factsFile   = "upload.json"
	receiptFile = "receipt.json"
	partSuffix  = ".partial"
	defaultName = "received.exhibit.tar.zst"
	maxFacts    = 1 << 20
)

func validUpload(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// safeName keeps of a name that a client proposes what is one harmless file
// name on every system.
func safeName(s string) string {
	var b strings.Builder
	for _, c := range s[:min(len(s), 128)] {
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_':
			b.WriteRune(c)
		default:
			b.WriteByte('_')
		}
	}
	name := b.String()
	for last := ""; name != last; {
		last, name = name, strings.TrimSuffix(strings.Trim(name, "."), partSuffix)
	}
	if name == "" || strings.HasPrefix(name, "-") {
		return defaultName
	}
	return name
}

// openUpload begins an upload or goes on with it. What the client was never
// told to be held is given up: after a crash it may be anything.
func (s *Server) openUpload(h wire.Greeting, client, from string) (*Upload, error) {
	dir := filepath.Join(s.Dir, h.Upload)
	u, err := readUpload(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if h.Acknowledged > 0 {
			return nil, refuse("nothing is held of this upload")
		}
		u = &Upload{ID: h.Upload, Client: client, Name: safeName(h.Name), From: from, Began: time.Now().UTC().Format(time.RFC3339), dir: dir}
		err = u.begin()
	}
	if err != nil {
		return nil, s.trouble(err)
	}
	if u.Client != client {
		return nil, refuse("this upload was begun with another key")
	}
	if u.receipt != nil {
		u.Size = h.Acknowledged
		return u, nil
	}
	u.Path = filepath.Join(dir, u.Name+partSuffix)
	if u.file, err = os.OpenFile(u.Path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, s.trouble(err)
	}
	st, err := u.file.Stat()
	if err == nil && st.Size() < h.Acknowledged {
		u.close()
		return nil, refuse("only %d bytes are left of the %d acknowledged", st.Size(), h.Acknowledged)
	}
	if err == nil {
		err = u.file.Truncate(h.Acknowledged)
	}
	if err == nil {
		_, err = u.file.Seek(h.Acknowledged, io.SeekStart)
	}
	if err != nil {
		u.close()
		return nil, s.trouble(err)
	}
	u.Size = h.Acknowledged
	s.Log.Info("upload", "id", u.ID, "client", client, "from", from, "name", u.Name, "held", u.Size)
	return u, nil
}

// trouble is an error of this machine. Its text stays here.
func (s *Server) trouble(err error) error {
	s.Log.Error("store", "error", err.Error())
	return &refusal{"the receiver cannot store the stream", true}
}

func (u *Upload) begin() error {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return err
	}
	return writeJSON(filepath.Join(u.dir, factsFile), u)
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readJSON(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, maxFacts)); err != nil {
		return err
	}
	return json.Unmarshal(b.Bytes(), into)
}

func readUpload(dir string) (*Upload, error) {
	u := &Upload{dir: dir}
	if err := readJSON(filepath.Join(dir, factsFile), u); err != nil {
		return nil, err
	}
	if u.Name != safeName(u.Name) {
		return nil, fmt.Errorf("%s: its name is no file name", dir)
	}
	var r wire.Signed
	err := readJSON(filepath.Join(dir, receiptFile), &r)
	if err == nil {
		u.receipt = &r
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return u, nil
}

// append has bytes on the disk when it returns.
func (u *Upload) append(p []byte) error {
	if u.receipt != nil {
		return refuse("this upload has ended")
	}
	n, err := u.file.Write(p)
	if err == nil {
		err = u.file.Sync()
	}
	if err != nil {
		// What is held stays what was acknowledged.
		why := "the receiver cannot store the stream"
		if errors.Is(err, syscall.ENOSPC) {
			why = "the receiver has no space left"
		}
		if err := u.file.Truncate(u.Size); err != nil {
			why += ", nor take back what it stored of it"
		}
		return refuse("%s", why)
	}
	u.Size += int64(n)
	return nil
}

func (u *Upload) close() {
	if u.file != nil {
		u.file.Close()
	}
}

// take reads the stream once more from the disk, and has it taken over.
func (s *Server) take(ctx context.Context, u *Upload, all wire.Total) (*wire.Signed, error) {
	if u.receipt != nil {
		return u.receipt, nil
	}
	h := evidence.NewHash()
	n, err := io.Copy(h, io.NewSectionReader(u.file, 0, u.Size))
	if err != nil {
		return nil, s.trouble(err)
	}
	if got := evidence.DigestOf(h).String(); n != all.Bytes || got != all.SHA256 {
		return nil, refuse("%d bytes with SHA-256 %s arrived, %d with %s were sent", n, got, all.Bytes, all.SHA256)
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	signed, err := s.Take(ctx, u)
	if err != nil {
		s.Log.Error("not taken over", "id", u.ID, "error", err.Error())
		return nil, refuse("the stream is there, but the receiver could not sign for it")
	}
	if err := writeJSON(filepath.Join(u.dir, receiptFile), signed); err != nil {
		return nil, s.trouble(err)
	}
	u.receipt = signed
	u.close()
	// It lies in the case now, verified.
	if err := os.Remove(u.Path); err != nil {
		s.Log.Warn("left behind", "path", u.Path, "error", err.Error())
	}
	return signed, nil
}

// Unfinished lists the uploads in a folder that nobody signed for.
func Unfinished(dir string) ([]Upload, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Upload
	for _, e := range entries {
		if !validUpload(e.Name()) {
			continue
		}
		u, err := readUpload(filepath.Join(dir, e.Name()))
		if err != nil || u.receipt != nil {
			continue
		}
		u.Path = filepath.Join(u.dir, u.Name+partSuffix)
		if st, err := os.Stat(u.Path); err == nil {
			u.Size = st.Size()
			all = append(all, *u)
		}
	}
	return all, nil
}
