package definition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// User is what a host says of an account, or of a home directory that no
// account owns. Its names are raw bytes of the host.
type User struct {
	Name  string // "" for a home directory without an account
	ID    string // decimal user id; "" where there is none
	SID   string // Windows
	Home  string // absolute path on the host
	Shell string
	Login bool // its shell is one that people use
}

// Knowledge is what is known of a host before anything is looked for.
type Knowledge struct {
	OS        string              // linux, windows, darwin
	Users     []User              //
	Variables map[string][]string // lower case name without %% → paths of the host, raw bytes
}

// MaxDepth is how many levels `**` of ForensicArtifacts goes down where it
// does not say, and at most.
const MaxDepth = 10

// maxExpanded bounds the patterns that one source becomes.
const maxExpanded = 100_000

// artifactPattern turns a path of ForensicArtifacts into a pattern.
func artifactPattern(p, separator string) (string, error) {
	if separator != `\` {
		p = strings.ReplaceAll(p, `\`, `\\`)
		separator = "/"
	}
	if len(p) >= 2 && p[1] == ':' && separator == `\` {
		p = p[2:] // a drive: whatever is collected
	}
	var out []string
	for i, part := range strings.Split(p, separator) {
		if part == "" {
			if i == 0 {
				out = append(out, "")
			}
			continue
		}
		if rest, deep := strings.CutPrefix(part, "**"); deep {
			n := MaxDepth
			if rest != "" {
				var err error
				if n, err = strconv.Atoi(rest); err != nil {
					return "", fmt.Errorf("%q is neither ** nor ** and a number", part)
				}
				if n < 1 || n > MaxDepth {
					n = MaxDepth
				}
			}
			out = append(out, "**"+strconv.Itoa(n))
			continue
		}
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(part, "{", `\{`), "**", "*"))
	}
	if len(out) == 0 || out[0] != "" && !strings.HasPrefix(out[0], "%%") {
		return "", fmt.Errorf("begins neither at the root nor with a variable")
	}
	if len(out) == 1 && out[0] == "" {
		return "", fmt.Errorf("is the root itself")
	}
	return strings.Join(out, "/"), nil
}

// QuoteGlob escapes a name so that a pattern takes it literally.
func QuoteGlob(name string) string {
	var out strings.Builder
	for i := range len(name) {
		if strings.IndexByte(`*?[\{`, name[i]) >= 0 {
			out.WriteByte('\\')
		}
		out.WriteByte(name[i])
	}
	return out.String()
}

// Expand replaces the variables of a source by what is known: one pattern for
// each user and value, `~` for the home directories of all. unknown names the
// variables without a value, whose patterns are left out.
func (s *Source) Expand(k *Knowledge) (patterns, unknown []string) {
	for _, p := range s.Patterns {
		if rest, ok := strings.CutPrefix(p, "%%users.homedir%%/"); ok && !s.FoldCase && !s.Login && !strings.Contains(rest, "%%") {
			patterns = append(patterns, "~/"+rest)
			continue
		}
		users := []User{{}}
		if strings.Contains(strings.ToLower(p), "%%users.") {
			users = k.Users
			if len(users) == 0 {
				unknown = append(unknown, "no user is known for "+p)
			}
		}
		missing := ""
		for i := range users {
			if s.Login && !users[i].Login && users[i].Name != "" {
				continue
			}
			list, why := replace(p, k, &users[i])
			if why != "" {
				missing = why
			}
			patterns = append(patterns, list...)
			if len(patterns) > maxExpanded {
				return patterns[:maxExpanded], append(unknown, fmt.Sprintf("more than %d patterns for %s", maxExpanded, p))
			}
		}
		if missing != "" && !slices.Contains(unknown, missing) {
			unknown = append(unknown, missing)
		}
	}
	return patterns, unknown
}

// replace replaces each %%name%% of a pattern by all of its values.
func replace(p string, k *Knowledge, u *User) (out []string, missing string) {
	at := strings.Index(p, "%%")
	if at < 0 {
		return []string{p}, ""
	}
	length := strings.Index(p[at+2:], "%%")
	if length < 0 {
		return []string{p}, ""
	}
	name, tail := p[at+2:at+2+length], p[at+4+length:]
	tails, missing := replace(tail, k, u)
	values := k.values(strings.ToLower(name), u)
	if len(values) == 0 {
		return nil, "%%" + name + "%% is not known of this host"
	}
	for _, v := range values {
		for _, t := range tails {
			joined := p[:at] + QuoteGlob(v) + t
			if at == 0 {
				joined = "/" + strings.TrimLeft(joined, "/")
			}
			out = append(out, joined)
		}
		if len(out) > maxExpanded {
			break
		}
	}
	return out, missing
}

// values are those of one variable for one user. What stands for the root of
// a drive is "/".
func (k *Knowledge) values(name string, u *User) []string {
	home := strings.TrimRight(u.Home, "/")
	below := func(dirs ...string) []string {
		var out []string
		for _, d := range dirs {
			if home != "" {
				out = append(out, home+d)
			}
		}
		return out
	}
	some := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	switch name {
	case "users.homedir", "users.userprofile":
		return below("")
	case "users.username":
		return some(u.Name)
	case "users.uid":
		return some(u.ID)
	case "users.sid":
		return some(u.SID)
	case "users.appdata":
		return below("/AppData/Roaming", "/Application Data")
	case "users.localappdata":
		return below("/AppData/Local", "/Local Settings/Application Data")
	case "users.localappdata_low":
		return below("/AppData/LocalLow")
	case "users.temp":
		return below("/AppData/Local/Temp", "/Local Settings/Temp")
	}
	if v := k.Variables[name]; len(v) > 0 {
		return v
	}
	if k.OS == "windows" {
		return windowsVariables[name]
	}
	return nil
}

// windowsVariables are where Windows has its folders unless its registry says
// otherwise, by version: Windows NT and 2000, XP, Vista and later.
var windowsVariables = map[string][]string{
	"environ_systemdrive": {""}, "environ_systemroot": {"/Windows", "/WINNT"}, "environ_windir": {"/Windows", "/WINNT"},
	"environ_programfiles": {"/Program Files"}, "environ_programfilesx86": {"/Program Files (x86)"},
	"environ_programdata": {"/ProgramData"}, "environ_allusersappdata": {"/ProgramData", "/Documents and Settings/All Users/Application Data"},
	"environ_allusersprofile":    {"/ProgramData", "/Documents and Settings/All Users"},
	"environ_commonprogramfiles": {"/Program Files/Common Files"}, "environ_commonprogramfilesx86": {"/Program Files (x86)/Common Files"},
}
