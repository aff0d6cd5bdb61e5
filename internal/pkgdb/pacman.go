package pkgdb

import (
	"bytes"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"time"
)

// PacmanDesc reads local/NAME-VERSION/desc: "%NAME%", then its value on the
// lines up to an empty one.
func PacmanDesc(r io.Reader) (p Package, bad int, err error) {
	key := ""
	bad, err = eachLine(r, func(line []byte) {
		text := string(line)
		switch {
		case strings.HasPrefix(text, "%") && strings.HasSuffix(text, "%"):
			key = text
		case text == "":
			key = ""
		case key == "%NAME%":
			p.Name = text
		case key == "%VERSION%":
			p.Version = text
		case key == "%ARCH%":
			p.Arch = text
		case key == "%INSTALLDATE%":
			if at, err := strconv.ParseInt(text, 10, 64); err == nil && at > 0 && at < 1<<33 {
				p.Installed = time.Unix(at, 0)
			}
		}
	})
	return p, bad, err
}

// PacmanFiles reads local/NAME-VERSION/files for the paths after %BACKUP%,
// which are the configuration files: path, tab, MD5 of what was shipped.
func PacmanFiles(r io.Reader) (configs map[string]bool, bad int, err error) {
	configs = map[string]bool{}
	backup := false
	bad, err = eachLine(r, func(line []byte) {
		switch {
		case len(line) > 0 && line[0] == '%':
			backup = string(line) == "%BACKUP%"
		case backup && len(line) > 0 && len(configs) < maxConfigs:
			name, _, _ := bytes.Cut(line, []byte{'\t'})
			if path, ok := clean(string(name)); ok {
				configs[path] = true
			}
		}
	})
	return configs, bad, err
}

// Mtree reads local/NAME-VERSION/mtree, decompressed (mtree(5)): paths that
// begin with "./", then keywords; "/set" gives those that hold from there on.
// Only files with a digest are told. Bytes of a path that are not printable
// are written as \ooo.
func Mtree(r io.Reader, each func(File)) (bad int, err error) {
	inherited := ""
	broken := 0
	long, err := eachLine(r, func(line []byte) {
		words := strings.Fields(string(line))
		if len(words) == 0 || words[0][0] == '#' {
			return
		}
		if words[0] == "/set" {
			inherited = keyword(words[1:], "type", inherited)
			return
		}
		if !strings.HasPrefix(words[0], "./") || strings.HasPrefix(words[0], "./.") && !strings.Contains(words[0][2:], "/") {
			return // package metadata: ./.PKGINFO, ./.INSTALL
		}
		if keyword(words[1:], "type", inherited) != "file" {
			return
		}
		name, ok := clean(unescape(words[0][2:]))
		algo, text := SHA256, keyword(words[1:], "sha256digest", "")
		if text == "" {
			algo, text = MD5, keyword(words[1:], "md5digest", "")
		}
		digest, err := hex.DecodeString(text)
		if err != nil || len(digest) != algo.Size() || !ok {
			broken++
			return
		}
		each(File{Path: name, Algo: algo, Digest: digest})
	})
	return broken + long, err
}

func keyword(words []string, key, otherwise string) string {
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok && k == key {
			return v
		}
	}
	return otherwise
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
