package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/intake/archive"
)

// Forms of a source that are no archive.
const (
	FormFolder = "folder"
	FormFile   = "file"
	formZip    = "zip"
	formTar    = "tar"
)

// suffixes are the names that archives have, and the tar in a compression.
var suffixes = []string{".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4"}

// namedArchive reports whether a name says that it is an archive.
func namedArchive(name string) bool {
	name = strings.ToLower(name)
	for _, s := range suffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

// packed are the short names of compressions behind "tar.".
var packed = map[string]string{"gzip": "gz", "bzip2": "bz2", "xz": "xz", "zstd": "zst", "lz4": "lz4"}

// formByContent says what content is that begins with head.
func formByContent(head []byte) string {
	switch {
	case archive.IsZip(head):
		return formZip
	case archive.IsTar(head):
		return formTar
	}
	content, chain, err := analyze.Decode(bytes.NewReader(head), int64(len(head)))
	if err != nil || chain == "" {
		return FormFile
	}
	block := make([]byte, 512)
	if _, err := io.ReadFull(content, block); err != nil || !archive.IsTar(block) {
		return FormFile
	}
	return formTar + "." + packed[chain]
}

// FormOf says what content is: "zip", "tar", "tar.gz" and so on, or FormFile.
// Its first bytes decide; the name only where these are damaged.
func FormOf(name string, r io.ReaderAt, size int64) (string, error) {
	head := make([]byte, headMax)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if form := formByContent(head[:n]); form != FormFile {
		return form, nil
	}
	name = strings.ToLower(name)
	switch {
	case !namedArchive(name):
		return FormFile, nil
	case strings.HasSuffix(name, ".zip"):
		return formZip, nil
	}
	_, chain, err := analyze.Decode(bytes.NewReader(head[:n]), size)
	switch {
	case err == nil && chain != "":
		return formTar + "." + packed[chain], nil
	case err == nil && strings.HasSuffix(name, ".tar"):
		return formTar, nil
	}
	return FormFile, nil
}

// headMax is how much of a file is looked at for its form: one block of bzip2
// has up to 900,000 bytes.
const headMax = 1 << 20

// ending reads until the import ends: to look for the next entry may take long
// by itself.
type ending struct {
	ctx context.Context //nolint:containedctx // one import
	r   io.ReaderAt
}

func (e ending) ReadAt(p []byte, off int64) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	return e.r.ReadAt(p, off)
}

// open lists an archive of a form.
func (w *walk) open(form string, r io.ReaderAt, size int64) (archive.Entries, error) {
	r = ending{w.ctx, r}
	switch form {
	case formZip:
		return archive.Zip(r, size, w.opt.Password), nil
	case formTar:
		return archive.Tar(io.NewSectionReader(r, 0, size), size), nil
	}
	content, _, err := analyze.Decode(io.NewSectionReader(r, 0, size), size)
	if err != nil {
		return nil, err
	}
	return archive.Tar(content, -1), nil
}
