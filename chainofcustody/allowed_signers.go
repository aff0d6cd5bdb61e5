package chainofcustody

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Reasons why a key is not accepted for a signature.
var (
	ErrUnknownSigner   = errors.New("key is not in allowed_signers")
	ErrWrongPrincipal  = errors.New("key belongs to another person in allowed_signers")
	ErrWrongNamespace  = errors.New("key is not allowed to sign in this namespace")
	ErrKeyOutsideTerms = errors.New("key was not valid at that time")
)

// AllowedSigner is one line of an allowed_signers file (ssh-keygen(1),
// ALLOWED SIGNERS).
type AllowedSigner struct {
	Principals    string // comma-separated patterns, for example "alice@lab"
	CertAuthority bool   // the key signs certificates, it is nobody's own
	Namespaces    string // comma-separated patterns; "" allows every namespace
	ValidAfter    time.Time
	ValidBefore   time.Time
	Key           ssh.PublicKey
	Comment       string
}

// AllowedSigners is an allowed_signers file in order.
type AllowedSigners []AllowedSigner

const maxAllowedSigners = 4 << 20

// ParseAllowedSigners reads an allowed_signers file as ssh-keygen does, with
// one difference: a line it does not understand is an error naming the line,
// where ssh-keygen only fails when it gets that far. Times without a zone are
// in local time, as ssh-keygen reads them.
func ParseAllowedSigners(data []byte) (AllowedSigners, error) {
	if len(data) > maxAllowedSigners {
		return nil, fmt.Errorf("allowed_signers has %d bytes, more than %d", len(data), maxAllowedSigners)
	}
	var list AllowedSigners
	for i, line := range bytes.Split(data, []byte("\n")) {
		text := strings.TrimLeft(strings.TrimRight(string(line), "\r"), " \t")
		if text == "" || text[0] == '#' {
			continue
		}
		entry, err := parseSignerLine(text)
		if err != nil {
			return nil, fmt.Errorf("allowed_signers line %d: %w", i+1, err)
		}
		list = append(list, entry)
	}
	return list, nil
}

func parseSignerLine(line string) (AllowedSigner, error) {
	var s AllowedSigner
	principals, rest, err := cutField(line)
	if err != nil {
		return s, err
	}
	if s.Principals = principals; principals == "" {
		return s, errors.New("no principal")
	}
	if !startsWithKeyType(rest) {
		end, err := optionsEnd(rest)
		if err != nil {
			return s, err
		}
		if err := s.parseOptions(rest[:end]); err != nil {
			return s, err
		}
		rest = strings.TrimLeft(rest[end:], " \t")
	}
	// ParseAuthorizedKey would accept options here; the key type must come first.
	if !startsWithKeyType(rest) {
		return s, errors.New("no key")
	}
	if s.Key, s.Comment, _, _, err = ssh.ParseAuthorizedKey([]byte(rest)); err != nil {
		return s, fmt.Errorf("read key: %w", err)
	}
	if word, _, _ := strings.Cut(rest, " "); strings.TrimSpace(word) != s.Key.Type() {
		return s, fmt.Errorf("key type %q does not fit its key", word)
	}
	return s, nil
}

// cutField takes the first field, which may be quoted.
func cutField(line string) (field, rest string, err error) {
	if strings.HasPrefix(line, `"`) {
		field, rest, ok := strings.Cut(line[1:], `"`)
		if !ok {
			return "", "", errors.New("quote does not end")
		}
		return field, strings.TrimLeft(rest, " \t"), nil
	}
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return "", "", errors.New("no key")
	}
	return line[:i], strings.TrimLeft(line[i:], " \t"), nil
}

// startsWithKeyType tells a key from options: options hold '=' or are the
// one word cert-authority, key types are known by their families.
func startsWithKeyType(s string) bool {
	for _, family := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"} {
		if strings.HasPrefix(s, family) {
			return true
		}
	}
	return false
}

// optionsEnd finds the first white space outside quotes.
func optionsEnd(s string) (int, error) {
	quoted := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			return i, nil
		}
	}
	return 0, errors.New("no key after the options")
}

func (s *AllowedSigner) parseOptions(text string) error {
	seen := map[string]bool{}
	for text != "" {
		name, value, rest, err := cutOption(text)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("option %s stands twice", name)
		}
		seen[name] = true
		if err := s.setOption(name, value); err != nil {
			return err
		}
		text = rest
	}
	if !s.ValidBefore.IsZero() && !s.ValidAfter.Before(s.ValidBefore) {
		return errors.New("valid-after is not before valid-before")
	}
	return nil
}

// cutOption takes name or name="value" off a comma-separated list.
func cutOption(text string) (name, value, rest string, err error) {
	i := strings.IndexAny(text, ",=")
	if i < 0 {
		return strings.ToLower(text), "", "", nil
	}
	name = strings.ToLower(text[:i])
	if text[i] == '=' {
		if i+1 >= len(text) || text[i+1] != '"' {
			return "", "", "", fmt.Errorf("option %s has no quoted value", name)
		}
		var ok bool
		if value, rest, ok = strings.Cut(text[i+2:], `"`); !ok {
			return "", "", "", fmt.Errorf("option %s has a quote that does not end", name)
		}
		if strings.Contains(value, `\`) || value == "" {
			return "", "", "", fmt.Errorf("option %s has the value %q", name, value)
		}
		if rest == "" {
			return name, value, "", nil
		}
		if rest[0] != ',' {
			return "", "", "", fmt.Errorf("option %s is followed by %q", name, rest)
		}
		i, text = 0, rest
	}
	if rest = text[i+1:]; rest == "" {
		return "", "", "", errors.New("options end with a comma")
	}
	return name, value, rest, nil
}

func (s *AllowedSigner) setOption(name, value string) (err error) {
	switch {
	case name == "cert-authority" && value == "":
		s.CertAuthority = true
	case name == "namespaces" && value != "":
		s.Namespaces = value
	case name == "valid-after" && value != "":
		s.ValidAfter, err = parseSignerTime(value)
	case name == "valid-before" && value != "":
		s.ValidBefore, err = parseSignerTime(value)
	default:
		err = fmt.Errorf("option %q is not known", name)
	}
	return err
}

// parseSignerTime reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, each with
// an optional Z for UTC.
func parseSignerTime(s string) (time.Time, error) {
	digits, utc := strings.CutSuffix(s, "Z")
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(layout) == len(digits) {
			return time.ParseInLocation(layout, digits, zone)
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not YYYYMMDD[HHMM[SS]][Z]", s)
}

// Line is the entry as a line of an allowed_signers file, without line end.
func (s AllowedSigner) Line() string {
	var options []string
	if s.CertAuthority {
		options = append(options, "cert-authority")
	}
	if s.Namespaces != "" {
		options = append(options, `namespaces="`+s.Namespaces+`"`)
	}
	if !s.ValidAfter.IsZero() {
		options = append(options, `valid-after="`+s.ValidAfter.UTC().Format("20060102150405Z")+`"`)
	}
	if !s.ValidBefore.IsZero() {
		options = append(options, `valid-before="`+s.ValidBefore.UTC().Format("20060102150405Z")+`"`)
	}
	line := s.Principals
	if strings.ContainsAny(line, " \t") {
		line = `"` + line + `"`
	}
	if len(options) > 0 {
		line += " " + strings.Join(options, ",")
	}
	return line + " " + publicLine(s.Key, s.Comment)
}

// Lookup says whose key it is: the principals of the first entry that lets
// the key sign in the namespace at that time (ssh-keygen -Y find-principals,
// with the namespace). Errors are ErrUnknownSigner, ErrWrongNamespace and
// ErrKeyOutsideTerms.
func (l AllowedSigners) Lookup(key ssh.PublicKey, namespace string, at time.Time) (string, error) {
	return l.find(key, "", namespace, at)
}

// Check says whether a principal may sign with the key in the namespace at
// that time (ssh-keygen -Y verify -I principal). Errors are those of Lookup
// and ErrWrongPrincipal.
func (l AllowedSigners) Check(principal string, key ssh.PublicKey, namespace string, at time.Time) error {
	_, err := l.find(key, principal, namespace, at)
	return err
}

func (l AllowedSigners) find(key ssh.PublicKey, principal, namespace string, at time.Time) (string, error) {
	reason := ErrUnknownSigner
	blob := key.Marshal()
	for _, s := range l {
		switch {
		case s.CertAuthority || !bytes.Equal(s.Key.Marshal(), blob):
		case principal != "" && !matchList(principal, s.Principals):
			reason = worse(reason, ErrWrongPrincipal)
		case s.Namespaces != "" && !matchList(namespace, s.Namespaces):
			reason = worse(reason, ErrWrongNamespace)
		case !s.validAt(at):
			reason = worse(reason, ErrKeyOutsideTerms)
		default:
			return s.Principals, nil
		}
	}
	return "", fmt.Errorf("%s: %w", Fingerprint(key), reason)
}

// worse keeps the reason that came nearest to acceptance.
func worse(a, b error) error {
	rank := map[error]int{ErrUnknownSigner: 0, ErrWrongPrincipal: 1, ErrWrongNamespace: 2, ErrKeyOutsideTerms: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// validAt takes both bounds as inclusive, as sshsig.c does.
func (s AllowedSigner) validAt(at time.Time) bool {
	at = at.Truncate(time.Second)
	return (s.ValidAfter.IsZero() || !at.Before(s.ValidAfter)) &&
		(s.ValidBefore.IsZero() || !at.After(s.ValidBefore))
}

// matchList is match_pattern_list of OpenSSH's match.c: '*' and '?' are
// wildcards, and a pattern after '!' that fits refuses at once.
func matchList(s, list string) bool {
	fits := false
	for pattern := range strings.SplitSeq(list, ",") {
		negated := strings.HasPrefix(pattern, "!")
		if !matchPattern(s, strings.TrimPrefix(pattern, "!")) {
			continue
		}
		if negated {
			return false
		}
		fits = true
	}
	return fits
}

// matchPattern backtracks only to the last star, so hostile patterns cost at
// most len(s)·len(pattern).
func matchPattern(s, pattern string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, mark = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}
