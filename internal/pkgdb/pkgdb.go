// Package pkgdb reads the databases in which package managers note what they
// installed: dpkg, rpm, apk and pacman. It decodes bytes and opens nothing. The
// databases come from a host that is not trusted: lines and fields are
// bounded, and what breaks the format is counted and left out.
package pkgdb

import (
	"bufio"
	"bytes"
	"crypto/md5"  //nolint:gosec // what the databases have, beside SHA-256
	"crypto/sha1" //nolint:gosec // the same
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"path"
	"strings"
	"time"
)

// Package is one installed package.
type Package struct {
	Name, Version, Arch string
	// State is what the database says of it: dpkg's "install ok installed";
	// "" where installed is all it can be.
	State string
	// Configs are the configuration files of it and the digest they were
	// shipped with, where the database tells them by package (dpkg).
	Configs []File
	// Installed is when, where the database says so.
	Installed time.Time
}

// File is one file of a package.
type File struct {
	Path   string // absolute, clean
	Algo   Algo
	Digest []byte // of Algo's length; nil: the database has none
	Config bool   // meant to be edited
	// Optional: it may be missing, though its digest is known (rpm).
	Optional bool
	// Varies: the package says that its content may change (rpm).
	Varies bool
}

// Algo is the hash with which a database knows its files.
type Algo uint8

// The hashes of package databases.
const (
	NoDigest Algo = iota
	MD5
	SHA1
	SHA256
)

func (a Algo) String() string {
	return [...]string{"", "md5", "sha1", "sha256"}[a]
}

// Size is the length of a digest in bytes.
func (a Algo) Size() int { return [...]int{0, 16, 20, 32}[a] }

// New returns the hash itself; nil for NoDigest.
func (a Algo) New() hash.Hash {
	switch a {
	case MD5:
		return md5.New() //nolint:gosec // as above
	case SHA1:
		return sha1.New() //nolint:gosec // as above
	case SHA256:
		return sha256.New()
	}
	return nil
}

// maxLine bounds one line: a list of the files of a package has one path a
// line, which Linux bounds by 4096 bytes; a field of dpkg's status may be
// longer.
const maxLine = 1 << 20

// eachLine calls fn for each line without its end. The bytes are good until fn
// returns. It counts lines that are too long, which are left out.
func eachLine(r io.Reader, fn func(line []byte)) (bad int, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for {
		part, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(long) <= maxLine {
				long = append(long, part...)
			}
			continue
		}
		line := part
		if long != nil {
			if len(long)+len(part) > maxLine {
				bad, line = bad+1, nil
			} else {
				line = append(long, part...)
			}
			long = nil
		}
		if line = bytes.TrimSuffix(line, []byte{'\n'}); line != nil && (len(line) > 0 || err == nil) {
			fn(line)
		}
		if err == io.EOF {
			return bad, nil
		}
		if err != nil {
			return bad, err
		}
	}
}

// clean makes the path of a database absolute; ok is false for what is none.
func clean(name string) (string, bool) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return "", false
	}
	return path.Clean("/" + name), true
}
