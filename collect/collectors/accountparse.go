package collectors

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

const dayNS = 24 * 3600 * 1e9

// parseAccounts joins passwd(5) and shadow(5). Without shadow - nil - it is not
// known whether there is a password. bad counts lines that are none: of NIS
// ("+::::::") and comments there is no account.
func parseAccounts(passwd, shadow []byte) (accounts []*record.Account, badPasswd, badShadow int) {
	byName := map[string]*record.Account{}
	number := 0
	for line := range strings.Lines(string(passwd)) {
		number++
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if f[0] == "" && len(f) == 1 || strings.ContainsAny(line[:1], "#+-") {
			continue
		}
		uid, err1 := strconv.ParseInt(at(f, 2), 10, 64)
		gid, err2 := strconv.ParseInt(at(f, 3), 10, 64)
		if len(f) != 7 || f[0] == "" || err1 != nil || err2 != nil {
			badPasswd++
			continue
		}
		a := &record.Account{
			Name: record.Bytes(f[0]), Line: number, UID: &uid, GID: &gid, Password: "unknown",
			Gecos: record.Bytes(f[4]), Home: record.Bytes(f[5]), Shell: record.Bytes(f[6]),
		}
		if f[1] != "x" {
			a.In = "passwd"
			describePassword(a, f[1])
		}
		if byName[f[0]] == nil { // the first counts (getpwnam)
			byName[f[0]] = a
		}
		accounts = append(accounts, a)
	}
	number = 0
	for line := range strings.Lines(string(shadow)) {
		number++
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if f[0] == "" && len(f) == 1 || strings.ContainsAny(line[:1], "#+-") {
			continue
		}
		if len(f) < 2 || f[0] == "" {
			badShadow++
			continue
		}
		a := byName[f[0]]
		if a == nil {
			a = &record.Account{Name: record.Bytes(f[0])}
			accounts = append(accounts, a)
			byName[f[0]] = a
		}
		if a.ShadowLine != 0 {
			badShadow++ // a second one: nothing looks at it
			continue
		}
		a.ShadowLine = number
		if a.In != "passwd" {
			a.In = "shadow"
			describePassword(a, f[1])
		}
		if days := shadowDays(f, 2); days != nil {
			a.Changed, a.MustChange = *days*dayNS, *days == 0
		}
		if days := shadowDays(f, 7); days != nil {
			a.Expires = *days * dayNS
		}
		a.MinDays, a.MaxDays, a.WarnDays, a.Inactive = shadowDays(f, 3), shadowDays(f, 4), shadowDays(f, 5), shadowDays(f, 6)
	}
	return accounts, badPasswd, badShadow
}

func at(fields []string, i int) string {
	if i < len(fields) {
		return fields[i]
	}
	return ""
}

// shadowDays is a field of shadow that counts days; nil for an empty one, and
// for what no calendar has.
func shadowDays(f []string, i int) *int64 {
	n, err := strconv.ParseInt(at(f, i), 10, 64)
	if err != nil || n < -1 || n > 100_000 {
		return nil
	}
	return &n
}

// describePassword reads the second field of passwd or shadow (crypt(5)).
func describePassword(a *record.Account, field string) {
	hash := strings.TrimLeft(field, "!")
	a.Locked = hash != field
	switch {
	case field == "":
		a.Password = "empty"
		return
	case hash == "", strings.ContainsAny(hash[:1], "*"), hash == "x", hash == "NP":
		a.Password = "none"
		return
	}
	salt := ""
	a.Password = "set"
	a.Algorithm, salt = cryptAlgorithm(hash)
	if len(salt) >= minSalt {
		sum := sha256.Sum256([]byte(hash))
		a.Fingerprint = hex.EncodeToString(sum[:])
	}
}

// minSalt is how long the salt of a hash must be, in characters of 6 bits, for
// its fingerprint to be told: who knows the fingerprint and not the salt
// cannot try guesses.
const minSalt = 8

// cryptAlgorithm names the method of crypt(5) and returns the salt.
func cryptAlgorithm(hash string) (name, salt string) {
	f := strings.Split(hash, "$")
	if len(f) >= 4 && f[0] == "" {
		name = map[string]string{
			"y": "yescrypt", "gy": "gost-yescrypt", "7": "scrypt", "2a": "bcrypt", "2b": "bcrypt", "2x": "bcrypt", "2y": "bcrypt",
			"6": "sha512-crypt", "5": "sha256-crypt", "sha1": "sha1-crypt", "1": "md5-crypt", "3": "nt", "argon2id": "argon2id", "argon2i": "argon2i",
		}[f[1]]
		switch {
		case name == "" && strings.HasPrefix(f[1], "md5"):
			return "sunmd5", ""
		case name == "":
			return "?", ""
		case name == "nt":
			return name, "" // it has none
		case name == "bcrypt":
			if len(f[3]) >= 22 {
				return name, f[3][:22]
			}
			return name, ""
		case name == "scrypt":
			return name, f[2] // parameters and salt in one
		}
		return name, f[len(f)-2]
	}
	switch {
	case strings.HasPrefix(hash, "_") && len(hash) == 20:
		return "bsdi-crypt", ""
	case len(hash) == 13 && !strings.ContainsAny(hash, "$:*!{"):
		return "des-crypt", ""
	}
	return "?", ""
}

// parseGroups joins group(5) and gshadow(5).
func parseGroups(group, gshadow []byte) (groups []*record.Group, bad int) {
	byName := map[string]*record.Group{}
	number, members := 0, 0
	for line := range strings.Lines(string(group)) {
		number++
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if f[0] == "" && len(f) == 1 || strings.ContainsAny(line[:1], "#+-") {
			continue
		}
		gid, err := strconv.ParseInt(at(f, 2), 10, 64)
		if len(f) != 4 || f[0] == "" || err != nil {
			bad++
			continue
		}
		if members += strings.Count(f[3], ",") + 1; members > maxMembers {
			bad++
			continue
		}
		g := &record.Group{Name: record.Bytes(f[0]), Line: number, GID: gid, Members: names(f[3]), Password: "unknown"}
		if f[1] != "x" {
			g.Password = passwordState(f[1])
		}
		if byName[f[0]] == nil {
			byName[f[0]] = g
		}
		groups = append(groups, g)
	}
	shadowed := map[*record.Group]bool{}
	for line := range strings.Lines(string(gshadow)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		g := byName[f[0]]
		if len(f) != 4 || g == nil || shadowed[g] {
			continue // glibc does not look at it either
		}
		shadowed[g] = true
		if members += strings.Count(f[2], ",") + strings.Count(f[3], ",") + 2; members > 3*maxMembers {
			bad++
			continue
		}
		if g.Password == "unknown" {
			g.Password = passwordState(f[1])
		}
		g.Admins = names(f[2])
		known := map[string]bool{}
		for _, m := range g.Members {
			known[string(m)] = true
		}
		for _, m := range names(f[3]) { // who is in either is in the group for newgrp(1)
			if !known[string(m)] {
				known[string(m)] = true
				g.Members = append(g.Members, m)
			}
		}
	}
	return groups, bad
}

func passwordState(field string) string {
	var a record.Account
	describePassword(&a, field)
	return a.Password
}

func names(list string) []record.Bytes {
	out := []record.Bytes{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, record.Bytes(name))
		}
	}
	return out
}
