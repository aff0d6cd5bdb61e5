package kit

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Forms of a kit.
const (
	FormFolder = "folder"
	FormTar    = "tar.zst"
	FormZip    = "zip"
	FormSingle = "single file"
)

// Loaded is a whole kit, read to be looked at.
type Loaded struct {
	*Kit
	Form string

	held memory
}

// Loaded gives all files of the kit, listed in the job or not.
func (l *Loaded) Loaded() map[string]File { return l.held }

// Load reads a kit whole, in whatever form it is, and checks the signature of
// its job; nothing else. Errors are ErrShape, ErrChanged, ErrNone.
func Load(name string) (*Loaded, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	l := &Loaded{Form: FormFolder}
	var m memory
	switch {
	case st.IsDir():
		m, err = loadFolder(name)
	case st.Mode().IsRegular() && st.Size() <= maxBytes:
		m, l.Form, err = loadFile(name)
	default:
		err = fmt.Errorf("%w: no folder, and no file of at most %d bytes", ErrShape, maxBytes)
	}
	if err != nil {
		return nil, err
	}
	if l.Kit, err = read(m, name, ""); errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChanged) {
		err = fmt.Errorf("%w: %s is not in it", ErrNone, JobFile)
	}
	l.held = m
	if err != nil {
		return nil, err
	}
	if l.Form == FormSingle {
		l.nameProgram()
	}
	return l, nil
}

// programOfFile is the name of the program of a single file until the job
// tells the one it had.
const programOfFile = "(program)"

func (l *Loaded) nameProgram() {
	f := l.held[programOfFile]
	delete(l.held, programOfFile)
	if len(l.Programs) == 1 {
		f.Name = l.Programs[0].Name
	}
	l.held[f.Name] = f
}

func loadFolder(dir string) (memory, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	m := memory{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%w: %.80q is no file", ErrShape, e.Name())
		}
		f, err := root.Open(e.Name())
		if err != nil {
			return nil, err
		}
		st, err := f.Stat()
		if err == nil {
			err = m.add(e.Name(), st.Mode(), f)
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func loadFile(name string) (memory, string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, "", err
	}
	r := bytes.NewReader(data)
	files, length, err := appended(r, int64(len(data)))
	if err == nil {
		m := files.(memory)
		m[programOfFile] = File{programOfFile, 0o755, data[:length]}
		return m, FormSingle, nil
	}
	if !errors.Is(err, ErrNone) {
		return nil, "", err
	}
	if bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")) {
		m, err := loadTar(r)
		return m, FormTar, err
	}
	zr, err := zip.NewReader(r, int64(len(data)))
	if err != nil {
		return nil, "", fmt.Errorf("%w: no folder, tar.zst, zip, and no collector with a kit behind its end", ErrShape)
	}
	m, err := fromZip(zr)
	return m, FormZip, err
}

func loadTar(r io.Reader) (memory, error) {
	zr, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	defer zr.Close()
	m := memory{}
	tr := tar.NewReader(io.LimitReader(zr, maxBytes+(1<<20)))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShape, err)
		}
		if err := m.add(h.Name, h.FileInfo().Mode(), tr); err != nil {
			return nil, err
		}
	}
}

// Problems compares every file of a kit with its job and says what does not
// fit, in words; none: all is as it was signed.
func (l *Loaded) Problems() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	known := map[string]bool{JobFile: true, JobSigFile: true, SumsFile: true}
	for _, f := range slices.Concat(l.Programs, l.Job.Files) {
		known[f.Name] = true
		have, ok := l.held[f.Name]
		switch {
		case !ok:
			say("%s is missing", f.Name)
		case evidence.Sum(have.Data) != f.SHA256:
			say("%s is not the file that was signed: its SHA-256 is %s", f.Name, evidence.Sum(have.Data))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.held)) {
		if !known[name] {
			say("%s does not belong to the kit", name)
		}
	}
	var listed []File
	for _, name := range slices.Sorted(maps.Keys(l.held)) {
		if f := l.held[name]; known[name] && name != SumsFile {
			listed = append(listed, f)
		}
	}
	have, ok := l.held[SumsFile]
	switch {
	case !ok:
		say("%s is missing", SumsFile)
	case len(out) == 0 && !bytes.Equal(have.Data, sums(listed)):
		say("%s is not the list that belongs to these files", SumsFile)
	}
	if b, ok := l.held["order.json"]; ok || !l.OrderSHA256.IsZero() {
		if evidence.Sum(b.Data) != l.OrderSHA256 {
			say("the order in the kit is not the one that the job names")
		}
	}
	return out
}

// SystemOf returns the system and machine that the name of a collector states,
// as GOOS/GOARCH; "" where it states none.
func SystemOf(name string) string {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(name), ".exe"), "exhibit-collector-")
	goos, goarch, found := strings.Cut(rest, "-")
	if !ok || !found {
		return ""
	}
	return goos + "/" + goarch
}
