package definition

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

const uacPrefix = "uac:"

// uacID names a UAC artifact by its place below the folder "artifacts", as
// UAC's own profiles do.
func uacID(name string) string {
	name = strings.TrimSuffix(name, path.Ext(name))
	if i := strings.LastIndex("/"+name, "/artifacts/"); i >= 0 {
		name = name[i+len("artifacts/"):]
	}
	return uacPrefix + name
}

// uacEntry is one entry below "artifacts:", key by key.
type uacEntry struct {
	line int
	keys map[string]string
}

// The keys of UAC's artifacts file: of the file, and of each entry.
var (
	uacFileKeys  = []string{"version", "description", "condition", "output_directory", "modifier", "artifacts"}
	uacEntryKeys = []string{
		"description", "supported_os", "collector", "condition", "foreach", "command", "output_directory", "output_file", "compress_output_file", "redirect_stderr_to_stdout",
		"path", "is_file_list", "path_pattern", "name_pattern", "exclude_path_pattern", "exclude_name_pattern", "exclude_file_system",
		"max_depth", "file_type", "min_file_size", "max_file_size", "permissions", "no_user", "no_group", "ignore_date_range", "exclude_nologin_users",
	}
)

// uacEntries splits the text of a UAC artifacts file. Each line is a comment,
// a key of the file, a dash that begins an entry, or a key of an entry; a
// command or condition goes on over the lines that are indented deeper.
func uacEntries(text string) (file map[string]string, entries []uacEntry, err error) {
	file = map[string]string{}
	inside, last, lastIndent := false, "", 0
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, " \t\r\n")
		body := strings.TrimLeft(line, " ")
		indent := len(line) - len(body)
		if body == "" || strings.HasPrefix(body, "#") {
			continue
		}
		if strings.HasPrefix(body, "\t") {
			return nil, nil, lineError{number, "indented with a tab"}
		}
		if last != "" && indent > lastIndent {
			entries[len(entries)-1].keys[last] += "\n" + body
			continue
		}
		last = ""
		if rest, dash := strings.CutPrefix(body, "-"); dash && inside && indent > 0 {
			entries = append(entries, uacEntry{number, map[string]string{}})
			indent += 1 + len(rest) - len(strings.TrimLeft(rest, " "))
			if body = strings.TrimLeft(rest, " "); body == "" || strings.HasPrefix(body, "#") {
				continue
			}
		}
		key, value, ok := strings.Cut(body, ":")
		value = strings.TrimSpace(value)
		keys, known := file, uacFileKeys
		if indent > 0 {
			if len(entries) == 0 {
				return nil, nil, lineError{number, fmt.Sprintf("%.40q belongs to no entry", body)}
			}
			keys, known = entries[len(entries)-1].keys, uacEntryKeys
		}
		if !ok || !slices.Contains(known, key) {
			return nil, nil, lineError{number, fmt.Sprintf("%.40q is no key that UAC knows there", key)}
		}
		if _, twice := keys[key]; twice {
			return nil, nil, lineError{number, fmt.Sprintf("%s is there twice", key)}
		}
		keys[key] = value
		if indent == 0 {
			inside = key == "artifacts"
		} else if slices.Contains([]string{"command", "condition", "foreach"}, key) && (value == "" || value == "|" || value == ">") {
			last, lastIndent = key, indent
		}
	}
	return file, entries, nil
}

func parseUAC(name, text string) ([]Definition, []Issue) {
	d := Definition{ID: uacID(name)}
	file, entries, err := uacEntries(text)
	if err == nil && len(entries) == 0 {
		err = errors.New("has no entry below its key artifacts")
	}
	if err != nil {
		return nil, []Issue{issueOf(d.ID, err, 0)}
	}
	var issues []Issue
	var docs []string
	anyOS := false
	for _, e := range entries {
		s, err := uacSource(e)
		if err != nil {
			issues = append(issues, issueOf(d.ID, lineError{e.line, err.Error()}, 0))
			s.Why = "its entry has an error: " + err.Error()
		}
		if s.NotRun() == "" && (e.keys["condition"] != "" || file["condition"] != "") {
			issues = append(issues, Issue{Line: e.line, ID: d.ID, Text: "its condition is a shell command, which is never run: collected as if it held"})
		}
		if doc := e.keys["description"]; doc != "" && !slices.Contains(docs, doc) && len(docs) < 3 {
			docs = append(docs, doc)
		}
		for _, os := range s.OS {
			if !slices.Contains(d.OS, os) {
				d.OS = append(d.OS, os)
			}
		}
		anyOS = anyOS || len(s.OS) == 0
		d.Sources = append(d.Sources, s)
	}
	if anyOS {
		d.OS = nil
	}
	slices.Sort(d.OS)
	d.Doc = strings.Join(docs, " ")
	return []Definition{d}, issues
}

func uacSource(e uacEntry) (Source, error) {
	var s Source
	list, err := uacList(e.keys["supported_os"])
	if err != nil {
		return s, fmt.Errorf("supported_os: %w", err)
	}
	unknown := ""
	if s.OS, unknown = osNames(list); unknown != "" {
		return s, fmt.Errorf("supported_os has the unknown system %q", unknown)
	}
	switch e.keys["collector"] {
	case "command":
		s.Kind = KindCommand
		s.Text = []string{strings.TrimSpace(strings.TrimLeft(e.keys["command"], "|>\n"))}
		if s.Text[0] == "" {
			return s, errors.New("collector command has no command")
		}
		return s, nil
	case "file":
		s.Kind, s.Filter.Types = KindFile, "fl"
	case "find", "stat":
		s.Kind = KindPath
	case "hash":
		s.Kind, s.Filter.Types = KindHash, "f"
	default:
		return s, fmt.Errorf("unknown collector %q", e.keys["collector"])
	}
	if e.keys["is_file_list"] == "true" || e.keys["foreach"] != "" || strings.Contains(e.keys["path"], "%temp_directory%") {
		s.Kind, s.Text = KindFileList, []string{e.keys["path"]}
		return s, nil
	}
	s.Login = e.keys["exclude_nologin_users"] == "true"
	if err := s.Filter.uac(e.keys); err != nil {
		return s, err
	}
	s.Patterns, err = uacPaths(e.keys["path"], e.keys["max_depth"])
	return s, err
}

// uac fills a filter from the keys of an entry.
func (f *Filter) uac(keys map[string]string) error {
	for key, to := range map[string]*[]string{
		"name_pattern": &f.Names, "exclude_name_pattern": &f.NotNames, "path_pattern": &f.Paths, "exclude_path_pattern": &f.NotPaths, "exclude_file_system": &f.NotMounts,
	} {
		list, err := uacList(keys[key])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		*to = list
	}
	for key, to := range map[string]*int64{"min_file_size": &f.MinSize, "max_file_size": &f.MaxSize} {
		if text := uncommented(keys[key]); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("%s is %q, no number of bytes", key, text)
			}
			*to = n
		}
	}
	types, err := uacList(keys["file_type"])
	if err != nil {
		return fmt.Errorf("file_type: %w", err)
	}
	if len(types) > 0 {
		f.Types = strings.Join(types, "")
		if strings.Trim(f.Types, "fdlpsbc") != "" {
			return fmt.Errorf("file_type has %q, find(1) knows f d l p s b c", f.Types)
		}
	}
	perms, err := uacList(keys["permissions"])
	if err != nil {
		return fmt.Errorf("permissions: %w", err)
	}
	for _, text := range perms {
		digits := strings.TrimLeft(text, "-/+")
		bits, err := strconv.ParseUint(digits, 8, 12)
		if err != nil || len(text)-len(digits) > 1 {
			return fmt.Errorf("permissions has %q, which is nothing that find -perm takes", text)
		}
		f.Permissions = append(f.Permissions, Permission{Bits: uint32(bits), Any: text[0] == '/' || text[0] == '+', Same: text == digits})
	}
	f.NoUser, f.NoGroup = keys["no_user"] == "true", keys["no_group"] == "true"
	return nil
}

// uncommented cuts a comment off a value.
func uncommented(s string) string {
	if i := strings.Index(s, " #"); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSpace(s)
}

// uacList reads [a, "b c", d], or one value without brackets.
func uacList(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	inner, ok := strings.CutPrefix(s, "[")
	if !ok {
		return []string{strings.Trim(uncommented(s), `"'`)}, nil
	}
	var out []string
	for {
		inner = strings.TrimLeft(inner, " ,")
		if inner == "" {
			return nil, fmt.Errorf("the list %.60q does not end", s)
		}
		if inner[0] == ']' {
			return out, nil
		}
		if q := inner[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(inner[1:], q)
			if end < 0 {
				return nil, fmt.Errorf("a quotation in %.60q does not end", s)
			}
			out, inner = append(out, inner[1:1+end]), inner[2+end:]
			continue
		}
		end := strings.IndexAny(inner, ",]")
		if end < 0 {
			return nil, fmt.Errorf("the list %.60q does not end", s)
		}
		out, inner = append(out, strings.TrimSpace(inner[:end])), inner[end:]
	}
}

// uacPaths turns the words of a path into patterns: each word itself and what
// lies below it, as find(1) goes. Words are split as a shell does it, because
// UAC leaves that to one: quotes and backslashes take away the meaning of
// blanks and globs.
func uacPaths(text, depth string) ([]string, error) {
	levels := -1
	if depth = uncommented(depth); depth != "" {
		n, err := strconv.Atoi(depth)
		if err != nil || n < 0 || n > 1000 {
			return nil, fmt.Errorf("max_depth is %q", depth)
		}
		levels = n
	}
	words, err := shellWords(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("has no path")
	}
	var out []string
	for _, w := range words {
		w = strings.ReplaceAll(strings.ReplaceAll(w, "%user_home%", "%%users.homedir%%"), "%user%", "%%users.username%%")
		if !strings.HasPrefix(w, "/") && !strings.HasPrefix(w, "%%users.homedir%%") {
			return nil, fmt.Errorf("path %q does not begin at the root", w)
		}
		w = "/" + strings.Trim(cleanSlashes(w), "/")
		w = strings.Replace(w, "/%%users.homedir%%", "%%users.homedir%%", 1)
		below := strings.TrimRight(w, "/")
		if below != "" {
			out = append(out, w)
		}
		switch {
		case levels < 0:
			out = append(out, below+"/**")
		case levels > 0:
			out = append(out, fmt.Sprintf("%s/**%d", below, levels))
		}
	}
	return out, nil
}

func cleanSlashes(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

func shellWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	open, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteString(QuoteGlob(string(c)))
		case c == '"' || c == '\'':
			quote, open = c, true
		case c == '\\' && i+1 < len(text):
			i++
			word.WriteString(QuoteGlob(string(text[i])))
			open = true
		case c == ' ' || c == '\t':
			if open {
				words, open = append(words, word.String()), false
				word.Reset()
			}
		case c == '#' && !open:
			i = len(text)
		case c == '{':
			word.WriteString(`\{`)
			open = true
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quotation in %.60q does not end", text)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
