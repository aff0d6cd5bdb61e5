package pkgdb

import (
	"encoding/hex"
	"io"
	"strings"
)

// maxConfigs bounds the configuration files of one package.
const maxConfigs = 10_000

// DpkgStatus reads /var/lib/dpkg/status (deb-control(5), dpkg(1)): stanzas of
// "Field: value" that an empty line ends, in which a line that begins with a
// blank goes on with the field before it. Conffiles is a list of
//
//	/etc/path md5 [obsolete] [remove-on-upgrade]
//
// bad counts what was left out: stanzas without a name, broken entries.
func DpkgStatus(r io.Reader, each func(Package)) (bad int, err error) {
	var p Package
	var begun, conffiles bool
	flush := func() {
		switch {
		case !begun:
		case p.Name == "":
			bad++
		default:
			each(p)
		}
		p, begun, conffiles = Package{}, false, false
	}
	long, err := eachLine(r, func(line []byte) {
		if len(line) == 0 {
			flush()
			return
		}
		begun = true
		if line[0] == ' ' || line[0] == '\t' {
			if !conffiles {
				return
			}
			f, ok := dpkgConfig(string(line))
			if !ok || len(p.Configs) >= maxConfigs {
				bad++
				return
			}
			p.Configs = append(p.Configs, f)
			return
		}
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			bad++
			return
		}
		value, conffiles = strings.TrimSpace(value), false
		switch key {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Status":
			p.State = value
		case "Conffiles":
			conffiles = true
		}
	})
	flush()
	return bad + long, err
}

func dpkgConfig(line string) (File, bool) {
	line = strings.TrimSpace(line)
	for _, flag := range []string{" remove-on-upgrade", " obsolete"} {
		line = strings.TrimSuffix(line, flag)
	}
	i := strings.LastIndexByte(line, ' ') // the path may hold blanks
	if i < 0 {
		return File{}, false
	}
	name, ok := clean(line[:i])
	f := File{Path: name, Config: true}
	if digest, err := hex.DecodeString(line[i+1:]); err == nil && len(digest) == MD5.Size() {
		f.Algo, f.Digest = MD5, digest // else "newconffile": not yet known
	}
	return f, ok
}

// DpkgSums reads info/PACKAGE.md5sums (deb-md5sums(5)): 32 digits, two blanks,
// and the path without its leading slash.
func DpkgSums(r io.Reader, each func(File)) (bad int, err error) {
	broken := 0
	long, err := eachLine(r, func(line []byte) {
		if len(line) < 35 {
			broken++
			return
		}
		digest := make([]byte, MD5.Size())
		_, err := hex.Decode(digest, line[:32])
		name, ok := clean(string(line[34:]))
		if err != nil || !ok || line[32] != ' ' {
			broken++
			return
		}
		each(File{Path: name, Algo: MD5, Digest: digest})
	})
	return broken + long, err
}

// DpkgList reads info/PACKAGE.list: one path a line, folders too.
func DpkgList(r io.Reader, each func(path string)) (bad int, err error) {
	broken := 0
	long, err := eachLine(r, func(line []byte) {
		if name, ok := clean(string(line)); ok && name != "/" {
			each(name)
		} else if !ok {
			broken++
		}
	})
	return broken + long, err
}

// Diversion is one of dpkg-divert(1): what any package but By has at From is
// at To. By is ":" for one made by the administrator, which all follow.
type Diversion struct{ From, To, By string }

// Diversions reads /var/lib/dpkg/diversions: three lines for each.
func Diversions(r io.Reader) (list []Diversion, bad int, err error) {
	var lines []string
	bad, err = eachLine(r, func(line []byte) {
		if lines = append(lines, string(line)); len(lines) < 3 {
			return
		}
		from, ok1 := clean(lines[0])
		to, ok2 := clean(lines[1])
		if ok1 && ok2 {
			list = append(list, Diversion{from, to, lines[2]})
		}
		lines = lines[:0]
	})
	if len(lines) > 0 {
		bad++
	}
	return list, bad, err
}
