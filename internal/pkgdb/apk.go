package pkgdb

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
)

// Apk reads /lib/apk/db/installed (apk-tools, database.c): one field a line, a
// letter and a colon before it, and an empty line after each package.
//
//	P:busybox  V:1.36.1-r15  A:x86_64  F:bin  R:busybox  a:0:0:755  Z:Q1Pl8R…=
//
// F names a folder without its leading slash, R a file in it, Z its digest:
// Q1 and SHA-1 in base64, or Q2 and SHA-256. Of a symbolic link the digest is
// that of the link's text: none is told of those here, which the database does
// not tell from files. File is called before the package it belongs to ends.
func Apk(r io.Reader, file func(File), each func(Package)) (bad int, err error) {
	var p Package
	var f File
	dir := ""
	flushFile := func() {
		if f.Path != "" {
			file(f)
		}
		f = File{}
	}
	flush := func() {
		flushFile()
		if p.Name != "" {
			each(p)
		}
		p, dir = Package{}, ""
	}
	long, err := eachLine(r, func(line []byte) {
		if len(line) == 0 {
			flush()
			return
		}
		if len(line) < 2 || line[1] != ':' {
			bad++
			return
		}
		value := string(line[2:])
		switch line[0] {
		case 'P':
			p.Name = value
		case 'V':
			p.Version = value
		case 'A':
			p.Arch = value
		case 'F':
			flushFile()
			dir = value
		case 'R':
			flushFile()
			name, ok := clean(dir + "/" + value)
			if !ok {
				bad++
				return
			}
			f = File{Path: name, Config: strings.HasPrefix(name, "/etc/")}
		case 'Z':
			var ok bool
			if f.Algo, f.Digest, ok = apkDigest(value); !ok {
				bad++
			}
		}
	})
	flush()
	return bad + long, err
}

func apkDigest(text string) (Algo, []byte, bool) {
	algo := NoDigest
	switch {
	case strings.HasPrefix(text, "Q1"):
		algo = SHA1
	case strings.HasPrefix(text, "Q2"):
		algo = SHA256
	default:
		return NoDigest, nil, false
	}
	digest, err := base64.StdEncoding.DecodeString(text[2:])
	if err != nil {
		digest, err = hex.DecodeString(text[2:])
	}
	if err != nil || len(digest) != algo.Size() {
		return NoDigest, nil, false
	}
	return algo, digest, true
}
