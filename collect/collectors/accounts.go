package collectors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// linuxAccounts writes who may log in and become whom, decoded. The files
// themselves are taken by linux_persistence and linux_users, but for those with
// password hashes, of which no line here holds one.
var linuxAccounts = register(collect.Collector{
	Name: "linux_accounts",
	Doc:  "Accounts and groups without their password hashes, keys that may log in as whom, rules of sudo, decoded",
	Tier: collect.TierUsers,
	Run:  collectAccounts,
})

// Bounds of what is decoded.
const (
	maxAccountFile  = 1 << 20 // authorized_keys, sshd_config, sudoers
	maxIncludes     = 500     // files that configuration includes
	maxIncludeDepth = 16
	maxSudoText     = 32 << 20 // bytes of all rules: users are repeated in each
	maxAccounts     = 100_000  // lines of passwd, shadow, group and gshadow
	maxMembers      = 500_000  // of all groups
	maxKeyFiles     = 100      // that sshd_config names
	maxKeyPaths     = 200_000  // that are looked at
	maxKeyText      = 64 << 20 // bytes of them
	maxNoKeys       = 1000     // lines of a file that are no keys
)

type accountLook struct {
	host *collect.Host
	out  collect.Taker

	keyText int64 // bytes of files with keys so far
}

func collectAccounts(ctx context.Context, h *collect.Host, out collect.Taker) error {
	a := &accountLook{host: h, out: out}
	accounts, badPasswd, badShadow := parseAccounts(a.lines("/etc/passwd"), a.lines("/etc/shadow"))
	a.broken("/etc/passwd", badPasswd)
	a.broken("/etc/shadow", badShadow)
	groups, bad := parseGroups(a.lines("/etc/group"), a.lines("/etc/gshadow"))
	a.broken("/etc/group", bad)
	err := writeRecords(ctx, out, record.Accounts, accounts)
	if err == nil {
		err = writeRecords(ctx, out, record.Groups, groups)
	}
	if err == nil {
		lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.AuthorizedKeys, Source: "file"})
		err = a.keys(ctx, accounts, lines)
		out.Seen(record.AuthorizedKeys, int(lines.Count()))
		err = errors.Join(err, lines.Close())
	}
	if err == nil {
		err = writeRecords(ctx, out, record.SudoRules, a.sudoers(ctx))
	}
	return err
}

// writeRecords writes a record set whole, an empty one too.
func writeRecords[T any](ctx context.Context, out collect.Taker, name string, list []T) error {
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: name, Source: "file"})
	var err error
	for _, v := range list {
		if err = lines.Write(v); err != nil {
			break
		}
	}
	out.Seen(name, len(list))
	return errors.Join(err, lines.Close())
}

// read returns a file, nil for one that is not there.
func (a *accountLook) read(name string, most int64) []byte {
	text, err := a.host.ReadFile(name, most)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.out.Problem(problemAt(codeOf(err), name, "decode: "+err.Error()))
	}
	return text
}

// lines returns a file with an account or a group in each line.
func (a *accountLook) lines(name string) []byte {
	text := a.read(name, maxPasswd)
	n := 0
	for i, c := range text {
		if c != '\n' {
			continue
		}
		if n++; n == maxAccounts && i+1 < len(text) {
			a.out.Problem(problemAt(evidence.TooBig, name, fmt.Sprintf("more than %d lines; the rest was not decoded", maxAccounts)))
			return text[:i+1]
		}
	}
	return text
}

func (a *accountLook) broken(name string, bad int) {
	if bad > 0 {
		a.out.Problem(problemAt(evidence.Corrupt, name, fmt.Sprintf("%d lines are not in the format of the file and were not decoded", bad)))
	}
}

// usualKeyFiles are those of sshd without configuration, the older name too,
// and of its forks and dropbear.
var usualKeyFiles = []string{".ssh/authorized_keys", ".ssh/authorized_keys2", ".ssh2/authorization", "/etc/dropbear/authorized_keys"}

// keys writes what lets keys log in.
func (a *accountLook) keys(ctx context.Context, accounts []*record.Account, lines *collect.Records) error {
	configured := a.keyFiles()
	patterns := slices.Clone(configured)
	for _, usual := range usualKeyFiles {
		if !slices.Contains(patterns, usual) {
			patterns = append(patterns, usual)
		}
	}
	seen := map[string]bool{}
	for i, pattern := range patterns {
		for _, who := range accounts {
			if err := ctx.Err(); err != nil {
				return err
			}
			if who.UID == nil {
				continue
			}
			name := keyFileOf(pattern, who)
			user := who.Name
			everybodys := strings.HasPrefix(pattern, "/") && !strings.Contains(pattern, "%")
			if everybodys {
				user = nil
			}
			asked := name + "\x00" + string(user) // accounts may share a home
			if name != "" && !seen[asked] {
				if len(seen) >= maxKeyPaths {
					a.out.Problem(problemAt(evidence.TooBig, record.AuthorizedKeys, fmt.Sprintf("more than %d files may hold keys; the rest was not looked at", maxKeyPaths)))
					return nil
				}
				seen[asked] = true
				if err := a.keysOf(name, user, i < len(configured), lines); err != nil {
					return err
				}
			}
			if everybodys {
				break
			}
		}
	}
	return nil
}

// keyFileOf replaces the tokens of AuthorizedKeysFile (sshd_config(5)); "" for
// an account without a home.
func keyFileOf(pattern string, who *record.Account) string {
	home := string(who.Home)
	if !strings.HasPrefix(home, "/") {
		home = ""
	}
	name := strings.NewReplacer("%%", "%", "%h", home, "%u", string(who.Name), "%U", fmt.Sprint(*who.UID)).Replace(pattern)
	if !strings.HasPrefix(name, "/") {
		if home == "" {
			return ""
		}
		name = home + "/" + name
	}
	if strings.IndexByte(name, 0) >= 0 {
		return ""
	}
	return path.Clean(name)
}

// keyFiles are the values of AuthorizedKeysFile, of every Match block, too: a
// block may hold for the very user who logged in. Without one they are those
// that sshd has by itself.
func (a *accountLook) keyFiles() (files []string) {
	seen := map[string]bool{}
	global, beyond := false, false
	var read func(name string, depth int)
	read = func(name string, depth int) {
		if seen[name] || len(seen) >= maxIncludes || depth > maxIncludeDepth {
			return
		}
		seen[name] = true
		inMatch := false
		for line := range bytes.Lines(a.read(name, maxAccountFile)) {
			words := strings.Fields(strings.Replace(string(line), "=", " ", 1))
			if len(words) == 0 || strings.HasPrefix(words[0], "#") {
				continue
			}
			switch strings.ToLower(words[0]) {
			case "match":
				inMatch = true
			case "include":
				for _, pattern := range words[1:] {
					for _, found := range a.glob(strings.Trim(pattern, `"`), "/etc/ssh") {
						read(found, depth+1)
					}
				}
			case "authorizedkeysfile":
				global = global || !inMatch
				for _, f := range words[1:] {
					if f = strings.Trim(f, `"`); f == "none" || slices.Contains(files, f) {
						continue
					}
					if len(files) < maxKeyFiles {
						files = append(files, f)
					} else if !beyond {
						beyond = true
						a.out.Problem(problemAt(evidence.TooBig, name, fmt.Sprintf("AuthorizedKeysFile names more than %d files; the rest was not decoded", maxKeyFiles)))
					}
				}
			}
		}
	}
	read("/etc/ssh/sshd_config", 0)
	if !global {
		files = append(files, ".ssh/authorized_keys", ".ssh/authorized_keys2")
	}
	return slices.Compact(files)
}

// glob lists the files of a pattern whose last component alone may have
// wildcards; others are left to linux_persistence, which takes all of /etc.
func (a *accountLook) glob(pattern, base string) (found []string) {
	if !strings.HasPrefix(pattern, "/") {
		pattern = base + "/" + pattern
	}
	dir, last := path.Split(path.Clean(pattern))
	g, literal, plain, err := parseGlob(last)
	switch {
	case err != nil:
		return nil
	case plain:
		return []string{dir + literal}
	}
	entries, err := a.host.ReadDir(path.Clean(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.out.Problem(problemAt(codeOf(err), dir, err.Error()))
	}
	for _, e := range entries {
		if g.match(e.Name) && !strings.HasPrefix(e.Name, ".") {
			found = append(found, dir+e.Name)
		}
	}
	return found
}

func (a *accountLook) keysOf(name string, user record.Bytes, configured bool, lines *collect.Records) error {
	if m, ok := a.host.MountOf(name); ok && m.Storage() == collect.Remote {
		return nil // linux_users records that it is not entered
	}
	text := a.read(name, maxAccountFile)
	if a.keyText += int64(len(text)); a.keyText > maxKeyText {
		a.out.Problem(problemAt(evidence.TooBig, name, fmt.Sprintf("not decoded: the files with keys are longer than %d bytes together", maxKeyText)))
		return nil
	}
	about := record.AuthorizedKey{User: user, File: record.Bytes(name), Configured: configured}
	if st, err := a.host.Stat(name); err == nil {
		about.Mode, about.UID, about.Mtime, about.Ctime = st.Mode, st.UID, nanoseconds(st.Modified), nanoseconds(st.Changed)
	}
	broken := 0
	for line := range bytes.Lines(text) {
		about.Line++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		key := decodeKey(about, line)
		if key.Error != "" {
			if broken++; broken > maxNoKeys {
				continue
			}
		}
		if err := lines.Write(key); err != nil {
			return err
		}
	}
	a.broken(name, max(broken-maxNoKeys, 0))
	return nil
}

// decodeKey reads one line of authorized_keys.
func decodeKey(k record.AuthorizedKey, line []byte) record.AuthorizedKey {
	key, comment, options, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		k.Error = "no key that can be read" // the line may hold a password by mistake: it is not repeated
		return k
	}
	for _, o := range options {
		k.Options = append(k.Options, record.Bytes(o))
	}
	k.Type, k.Fingerprint = key.Type(), ssh.FingerprintSHA256(key)
	if comment != "" {
		k.Comment = record.Bytes(comment)
	}
	return k
}

// sudoers reads the rules of sudo in the order in which sudo does.
func (a *accountLook) sudoers(ctx context.Context) (list []record.SudoRule) {
	files, left := 0, maxSudoText
	add := func(rules ...record.SudoRule) {
		for _, r := range rules {
			for _, part := range [][]record.Bytes{r.Who, r.Hosts, r.Commands, {r.Text}} {
				for _, b := range part {
					left -= len(b) + 4
				}
			}
			if left -= 100; left >= 0 {
				list = append(list, r)
			}
		}
	}
	var read func(name string, depth int)
	read = func(name string, depth int) {
		if files++; files > maxIncludes || depth > maxIncludeDepth || ctx.Err() != nil {
			add(record.SudoRule{File: record.Bytes(name), Kind: "unread", Detail: "more files, or deeper, than are read"})
			return
		}
		rules, includes := parseSudoers(name, a.read(name, maxAccountFile))
		for _, in := range includes {
			if strings.Contains(in.path, "%h") {
				add(record.SudoRule{File: record.Bytes(name), Line: in.line, Kind: "unread", Text: record.Bytes(in.path), Detail: "the file depends on the host's name"})
				continue
			}
			for len(rules) > 0 && rules[0].Line < in.line {
				add(rules[0])
				rules = rules[1:]
			}
			file := in.path
			if !strings.HasPrefix(file, "/") {
				file = path.Dir(name) + "/" + file
			}
			if !in.folder {
				read(path.Clean(file), depth+1)
				continue
			}
			entries, err := a.host.ReadDir(path.Clean(file))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				a.out.Problem(problemAt(codeOf(err), file, err.Error()))
			}
			for _, e := range entries {
				if !strings.Contains(e.Name, ".") && !strings.HasSuffix(e.Name, "~") && e.Type != modeDir {
					read(path.Clean(file)+"/"+e.Name, depth+1)
				}
			}
		}
		add(rules...)
	}
	read("/etc/sudoers", 0)
	if left < 0 {
		a.out.Problem(problemAt(evidence.TooBig, record.SudoRules, "the rules of sudo are longer than any that are used, and were not all decoded"))
	}
	return list
}
