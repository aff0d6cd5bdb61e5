// Package kit makes and reads collector kits: the unmodified collector, a
// signed job file that says what it is to do, and what that needs, in one
// folder, one archive, or one file.
//
// A kit in one file is the collector with an uncompressed zip archive behind
// its end, which loaders of ELF, PE and Mach-O do not look at. The comment of
// the archive (APPNOTE.TXT 4.3.16) is "exhibit kit 1, after N bytes", N in
// twelve digits being the length of the collector. Stock unzip lists it.
package kit

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Names of the files of every kit.
const (
	JobFile    = "job.json"
	JobSigFile = "job.json.sig"
	ReadmeFile = "README.txt"
	SumsFile   = "SHA256SUMS"
)

// Bounds of what is read: a kit has programs for ten systems, of 18 MB at most,
// and definitions of 64 MiB.
const (
	maxFiles = 80
	maxBytes = 512 << 20
)

// Errors of kits.
var (
	ErrNone    = errors.New("no kit")                          // there is none here
	ErrChanged = errors.New("not the kit that was signed")     // a hash or a signature does not fit
	ErrShape   = errors.New("not a kit of a collector's form") // what no kit of ours looks like
)

// Kit is a kit whose job file has a good signature. Its other files are
// compared with the job when they are read.
type Kit struct {
	*chainofcustody.Job
	File, Sig []byte // the job and its signature
	Where     string // for messages
	Dir       string // its folder; "" where it is no folder

	files fs.FS
}

// read reads the job of a kit and checks its signature.
func read(files fs.FS, where, dir string) (*Kit, error) {
	k := &Kit{Where: where, Dir: dir, files: files}
	var err error
	if k.File, err = bounded(files, JobFile, chainofcustody.MaxOrderSize); err != nil {
		return nil, err
	}
	if k.Sig, err = bounded(files, JobSigFile, chainofcustody.MaxOrderSize); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if k.Job, _, err = chainofcustody.VerifyJob(k.File, k.Sig); err != nil {
		if errors.Is(err, chainofcustody.ErrNewerSchema) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return k, nil
}

// bounded reads a small regular file.
func bounded(files fs.FS, name string, limit int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("%w: %s is no file of at most %d bytes", ErrShape, name, limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: %s is longer than %d bytes", ErrShape, name, limit)
	}
	return data, err
}

// Has reports whether the job lists a file beside the programs.
func (k *Kit) Has(name string) bool {
	for _, f := range k.Files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// Check compares every file beside the programs with the job. What the
// collector does not use is compared, too: a kit is whole or it is not.
func (k *Kit) Check() error {
	for _, f := range k.Files {
		data, err := bounded(k.files, f.Name, maxBytes)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrChanged, err)
		}
		if evidence.Sum(data) != f.SHA256 {
			return fmt.Errorf("%w: %s was changed", ErrChanged, f.Name)
		}
	}
	return nil
}

// FS gives the files of the kit.
func (k *Kit) FS() fs.FS { return k.files }

// Beside finds the kit that the running program belongs to: behind its own
// end, or in its folder. Errors are ErrNone where there is none.
func Beside() (*Kit, error) {
	_, files, name, err := Own()
	switch {
	case err != nil:
		return nil, err
	case files != nil:
		k, err := read(files, "the end of the collector's own file", "")
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrChanged, err)
		}
		return k, err
	case name == "":
		return nil, ErrNone
	}
	return ReadFolder(filepath.Dir(name))
}

// Own looks at the file of the running program: the SHA-256 of the program
// itself, the files of the kit behind its end (nil: none), and its name ("":
// it has none any more). Errors are ErrNone where the file cannot be found.
func Own() (program evidence.Digest, files fs.FS, name string, err error) {
	f, name, err := openSelf()
	if err != nil {
		return program, nil, "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return program, nil, "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	// What has no name any more, or another program's, has no folder either.
	if named, err := os.Stat(name); err != nil || !os.SameFile(st, named) {
		name = ""
	}
	length := st.Size()
	// The files of such a kit are small and stay in memory: the program's own
	// file is not kept open.
	held, end, err := appended(f, length)
	switch {
	case err == nil:
		files, length = held, end
	case !errors.Is(err, ErrNone):
		return program, nil, name, err
	}
	program, err = digestOf(io.NewSectionReader(f, 0, length))
	return program, files, name, err
}

// ReadFolder reads the kit in a folder, or to which a job file belongs.
func ReadFolder(dir string) (*Kit, error) {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() && filepath.Base(dir) == JobFile {
		dir = filepath.Dir(dir)
	}
	k, err := read(os.DirFS(dir), dir, dir)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChanged) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return k, err
}

// openSelf opens the running program, whose name may be gone. Where there is no
// /proc, the name is the one it was called by.
func openSelf() (f *os.File, name string, err error) {
	if name, err = os.Executable(); err != nil {
		if name = os.Args[0]; filepath.Base(name) == name {
			return nil, "", err
		}
		if name, err = filepath.Abs(name); err != nil {
			return nil, "", err
		}
	}
	if f, err = os.Open("/proc/self/exe"); err != nil {
		f, err = os.Open(name)
	}
	return f, name, err
}

func digestOf(r io.Reader) (evidence.Digest, error) {
	h := evidence.NewHash()
	if _, err := io.Copy(h, r); err != nil {
		return evidence.Digest{}, err
	}
	return evidence.DigestOf(h), nil
}

const (
	commentBefore = "exhibit kit 1, after "
	commentAfter  = " bytes"
	commentLength = len(commentBefore) + 12 + len(commentAfter)
	endLength     = 22 // of the end of central directory record, without its comment
)

func comment(length int) string { return fmt.Sprintf("%s%012d%s", commentBefore, length, commentAfter) }

// appended finds the kit behind the end of a program of size bytes, and the
// length of the program without it. Errors are ErrNone where there is none.
func appended(r io.ReaderAt, size int64) (files fs.FS, length int64, err error) {
	var tail [endLength + commentLength]byte
	if size < int64(len(tail)) {
		return nil, 0, ErrNone
	}
	if _, err := r.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return nil, 0, err
	}
	text := string(tail[endLength:])
	digits, ok := strings.CutPrefix(text, commentBefore)
	if digits, found := strings.CutSuffix(digits, commentAfter); found && ok && string(tail[:4]) == "PK\x05\x06" {
		length, err = strconv.ParseInt(digits, 10, 64)
		if err != nil || length <= 0 || length > size-int64(len(tail)) || comment(int(length)) != text {
			return nil, 0, fmt.Errorf("%w: its end does not say how long the program is", ErrShape)
		}
		zr, err := zip.NewReader(r, size)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", ErrShape, err)
		}
		held, err := fromZip(zr)
		return held, length, err
	}
	return nil, 0, ErrNone
}

// fromZip reads an archive as we write it: stored, and without folders but
// the one.
func fromZip(zr *zip.Reader) (memory, error) {
	m := memory{}
	for _, f := range zr.File {
		if f.Method != zip.Store || f.UncompressedSize64 > maxBytes {
			return nil, fmt.Errorf("%w: %.80q is compressed or too long", ErrShape, f.Name)
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShape, err)
		}
		err = m.add(f.Name, f.Mode(), r)
		r.Close()
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// File is one file of a kit.
type File struct {
	Name string
	Mode fs.FileMode
	Data []byte
}

// memory is the files of a kit by name.
type memory map[string]File

// add takes in a file of an archive.
func (m memory) add(name string, mode fs.FileMode, r io.Reader) error {
	name = strings.TrimPrefix(name, folder)
	total := int64(0)
	for have, f := range m {
		total += int64(len(f.Data))
		if strings.EqualFold(have, name) {
			return fmt.Errorf("%w: %.80q is there twice", ErrShape, name)
		}
	}
	if len(m) >= maxFiles || !mode.IsRegular() || name == "" || name != path.Base(name) || strings.ContainsAny(name, `/\:`) || name[0] == '.' {
		return fmt.Errorf("%w: %.80q is no file of a kit, or there are too many", ErrShape, name)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxBytes-total+1))
	if errors.Is(err, zip.ErrChecksum) || errors.Is(err, zstd.ErrCRCMismatch) {
		return fmt.Errorf("%w: %s: %w", ErrChanged, name, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrShape, name, err)
	}
	if total+int64(len(data)) > maxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrShape, maxBytes)
	}
	m[name] = File{name, mode.Perm(), data}
	return nil
}

// Open is fs.FS.
func (m memory) Open(name string) (fs.File, error) {
	f, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &opened{Reader: bytes.NewReader(f.Data), file: f}, nil
}

// opened is an open file of memory, and its own fs.FileInfo through info.
type opened struct {
	*bytes.Reader
	file File
}

func (o *opened) Stat() (fs.FileInfo, error) { return info{o.file}, nil }
func (o *opened) Close() error               { return nil }
