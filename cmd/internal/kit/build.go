package kit

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// folder is the one folder of an archive.
const folder = "exhibit-kit/"

// epoch is the time of every file of a kit, the first that zip can state: the
// same kit has the same bytes.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Contents are what a kit is made of. What is in them must not change between
// two kits that are to have the same bytes.
type Contents struct {
	Job      *chainofcustody.Job // without signer, programs and files
	Programs map[string][]byte   // collectors, by the names they get
	Files    map[string][]byte   // what the job needs, by name
	Readme   func(*chainofcustody.Job) string
}

// Build signs the job and returns all files of the kit, by name. An Ed25519
// or RSA key makes the same bytes of the same contents; other kinds of keys
// sign with random bytes.
func Build(in Contents, id *chainofcustody.Identity) ([]File, error) {
	j := in.Job
	j.Signer = chainofcustody.Person{ID: id.ID, Name: id.Name, Org: id.Org, Role: id.Role, Key: id.Fingerprint()}
	j.Programs, j.Files = nil, nil
	var files []File
	for _, name := range slices.Sorted(maps.Keys(in.Programs)) {
		files = append(files, File{name, 0o755, in.Programs[name]})
		j.Programs = append(j.Programs, chainofcustody.JobFile{Name: name, SHA256: evidence.Sum(in.Programs[name])})
	}
	carried := maps.Clone(in.Files)
	if carried == nil {
		carried = map[string][]byte{}
	}
	carried[ReadmeFile] = []byte(in.Readme(j))
	for _, name := range slices.Sorted(maps.Keys(carried)) {
		files = append(files, File{name, mode(name), carried[name]})
		j.Files = append(j.Files, chainofcustody.JobFile{Name: name, SHA256: evidence.Sum(carried[name])})
	}
	file, sig, err := chainofcustody.SignJob(j, id)
	if err != nil {
		return nil, err
	}
	files = append(files, File{JobFile, 0o644, file}, File{JobSigFile, 0o644, sig})
	byName := func(a, b File) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(files, byName)
	files = append(files, File{SumsFile, 0o644, sums(files)})
	slices.SortFunc(files, byName)
	return files, nil
}

// mode keeps a key from others, where a medium knows permissions.
func mode(name string) fs.FileMode {
	if name == "collector_key" {
		return 0o600
	}
	return 0o644
}

// sums is the file for sha256sum -c.
func sums(files []File) []byte {
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%s  %s\n", evidence.Sum(f.Data), f.Name)
	}
	return b.Bytes()
}

// WriteFolder writes a kit into a new folder.
func WriteFolder(dir string, files []File) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := os.WriteFile(path, f.Data, f.Mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.Mode); err != nil { // whatever the umask
			return err
		}
	}
	return nil
}

// WriteTar writes a kit as tar, compressed by zstd.
func WriteTar(w io.Writer, files []File) error {
	zw, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	for _, f := range files {
		h := &tar.Header{Name: folder + f.Name, Mode: int64(f.Mode), Size: int64(len(f.Data)), ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(f.Data); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return zw.Close()
}

// WriteZip writes a kit as a zip archive, not compressed: what compresses
// differs from one version of a library to the next.
func WriteZip(w io.Writer, files []File) error { return writeZip(w, files, folder, 0, "") }

// WriteSingle writes a kit as one file: its only program, and the rest behind
// the program's end.
func WriteSingle(w io.Writer, files []File) error {
	var program *File
	var rest []File
	for i, f := range files {
		switch {
		case f.Mode != 0o755:
			rest = append(rest, f)
		case program != nil:
			return fmt.Errorf("%w: one file holds one program", ErrShape)
		default:
			program = &files[i]
		}
	}
	if program == nil {
		return fmt.Errorf("%w: no program", ErrShape)
	}
	if _, err := w.Write(program.Data); err != nil {
		return err
	}
	return writeZip(w, rest, "", int64(len(program.Data)), comment(len(program.Data)))
}

func writeZip(w io.Writer, files []File, folder string, offset int64, comment string) error {
	zw := zip.NewWriter(w)
	zw.SetOffset(offset)
	if err := zw.SetComment(comment); err != nil {
		return err
	}
	for _, f := range files {
		h := &zip.FileHeader{Name: folder + f.Name, Method: zip.Store, Modified: epoch}
		h.SetMode(f.Mode)
		fw, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := fw.Write(f.Data); err != nil {
			return err
		}
	}
	return zw.Close()
}
