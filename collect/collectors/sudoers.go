package collectors

import (
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// sudoInclude is an include of sudoers(5): a file, or a folder of files.
type sudoInclude struct {
	path   string
	folder bool
	line   int
}

// parseSudoers reads one file of sudoers(5):
//
//	user,%group host,… = (runas:group) TAG: command, command : host = command
//
// and Defaults, aliases and includes. An entry goes on after a backslash. What
// the grammar does not have is a record of kind unread, with its text.
func parseSudoers(name string, text []byte) (rules []record.SudoRule, includes []sudoInclude) {
	number := 0
	for rest := string(text); rest != ""; {
		var joined strings.Builder
		first := number + 1
		for goesOn := true; goesOn && rest != ""; {
			var part string
			part, rest, _ = strings.Cut(rest, "\n")
			number++
			part = strings.TrimSuffix(part, "\r")
			part, goesOn = strings.CutSuffix(part, "\\")
			joined.WriteString(part)
		}
		entry := joined.String()
		if in, ok := sudoersInclude(entry, first); ok {
			includes = append(includes, in)
			continue
		}
		if entry = strings.TrimSpace(sudoersComment(entry)); entry == "" {
			continue
		}
		for _, r := range sudoersEntry(entry) {
			r.File, r.Line = record.Bytes(name), first
			rules = append(rules, r)
		}
	}
	return rules, includes
}

func sudoersInclude(entry string, line int) (in sudoInclude, ok bool) {
	entry = strings.TrimLeft(entry, " \t")
	if entry == "" || entry[0] != '#' && entry[0] != '@' {
		return in, false
	}
	for word, folder := range map[string]bool{"includedir": true, "include": false} {
		if path, found := strings.CutPrefix(entry[1:], word); found && path != "" && strings.ContainsAny(path[:1], " \t") {
			path = strings.Trim(strings.TrimSpace(path), `"`)
			return sudoInclude{strings.ReplaceAll(path, `\ `, " "), folder, line}, true
		}
	}
	return in, false
}

// sudoersComment cuts a comment off. A # before a number is a user's.
func sudoersComment(entry string) string {
	quoted := false
	for i := 0; i < len(entry); i++ {
		switch entry[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '#':
			number := i+1 < len(entry) && (entry[i+1] >= '0' && entry[i+1] <= '9' || entry[i+1] == '-')
			if !quoted && (!number || i > 0 && !strings.ContainsRune(" \t,(:%!", rune(entry[i-1]))) {
				return entry[:i]
			}
		}
	}
	return entry
}

var sudoAliases = []string{"User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias"}

func sudoersEntry(entry string) []record.SudoRule {
	if rest, ok := strings.CutPrefix(entry, "Defaults"); ok && (rest == "" || strings.ContainsAny(rest[:1], " \t@:!>")) {
		r := record.SudoRule{Kind: "defaults", Text: record.Bytes(strings.TrimSpace(rest))}
		if rest != "" && strings.ContainsAny(rest[:1], "@:!>") {
			who, text, _ := strings.Cut(rest, " ")
			r.Who, r.Text = []record.Bytes{record.Bytes(who)}, record.Bytes(strings.TrimSpace(text))
		}
		return []record.SudoRule{r}
	}
	unread := []record.SudoRule{{Kind: "unread", Text: record.Bytes(entry)}}
	for _, kind := range sudoAliases {
		rest, ok := strings.CutPrefix(entry, kind)
		if !ok || rest == "" || !strings.ContainsAny(rest[:1], " \t") {
			continue
		}
		var rules []record.SudoRule
		for _, one := range splitSudo(rest, ':') {
			parts := splitSudo(one, '=')
			if len(parts) < 2 {
				return unread
			}
			rules = append(rules, record.SudoRule{
				Kind: "alias", Text: record.Bytes(kind), Who: []record.Bytes{record.Bytes(strings.TrimSpace(parts[0]))},
				Commands: sudoList(strings.Join(parts[1:], "=")),
			})
		}
		return rules
	}
	if rules := sudoersRule(entry); len(rules) > 0 {
		return rules
	}
	return unread
}

// sudoersRule reads who may do what; nil for what is none.
func sudoersRule(entry string) (rules []record.SudoRule) {
	left, _, rest := cutSudo(entry, "=")
	who, hosts := sudoLists(left)
	if len(who) == 0 || len(hosts) == 0 {
		return nil
	}
	for {
		var r record.SudoRule
		begin := func(runas record.Bytes, tags []string) {
			r = record.SudoRule{Kind: "rule", Who: who, Hosts: hosts, RunAs: runas, Tags: append([]string(nil), tags...)}
		}
		begin(nil, nil)
		next := ""
		for {
			runas, tags, after := sudoersHead(strings.TrimLeft(rest, " \t"), r.RunAs, r.Tags)
			if (string(runas) != string(r.RunAs) || strings.Join(tags, " ") != strings.Join(r.Tags, " ")) && len(r.Commands) > 0 {
				rules = append(rules, r)
				begin(runas, tags)
			}
			r.RunAs, r.Tags = runas, tags
			command, sep, more := cutSudo(after, ",:")
			if command = strings.TrimSpace(command); command == "" {
				return nil
			}
			r.Commands = append(r.Commands, record.Bytes(command))
			if rest = more; sep == ':' {
				next = more
			}
			if sep != ',' {
				break
			}
		}
		rules = append(rules, r)
		if next == "" {
			return rules
		}
		left, _, rest = cutSudo(next, "=")
		if hosts = sudoList(left); len(hosts) == 0 {
			return nil
		}
	}
}

var (
	sudoTags = []string{"EXEC", "NOEXEC", "FOLLOW", "NOFOLLOW", "INTERCEPT", "NOINTERCEPT", "LOG_INPUT", "NOLOG_INPUT", "LOG_OUTPUT", "NOLOG_OUTPUT", "MAIL", "NOMAIL", "NOPASSWD", "PASSWD", "SETENV", "NOSETENV"}
	// sudoOptions come before tags: TYPE=value.
	sudoOptions = []string{"ROLE", "TYPE", "APPARMOR_PROFILE", "PRIVS", "LIMITPRIVS", "NOTBEFORE", "NOTAFTER", "TIMEOUT", "CWD", "CHROOT"}
)

// sudoersHead reads what stands before a command: as whom, options and tags.
// Each holds for the commands after it, too.
func sudoersHead(text string, runas record.Bytes, tags []string) (record.Bytes, []string, string) {
	if strings.HasPrefix(text, "(") {
		if inside, after, ok := strings.Cut(text[1:], ")"); ok {
			runas, text = record.Bytes(strings.TrimSpace(inside)), strings.TrimLeft(after, " \t")
		}
	}
	tags = append([]string(nil), tags...)
again:
	for _, o := range sudoOptions {
		if rest, ok := strings.CutPrefix(text, o); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), "=") {
			value := strings.TrimLeft(strings.TrimLeft(rest, " \t")[1:], " \t")
			end := strings.IndexAny(value, " \t")
			if end < 0 {
				break
			}
			tags = slices.DeleteFunc(tags, func(t string) bool { return strings.HasPrefix(t, o+"=") }) // the last counts
			tags, text = append(tags, o+"="+value[:end]), strings.TrimLeft(value[end:], " \t")
			goto again
		}
	}
	for _, t := range sudoTags {
		if rest, ok := strings.CutPrefix(text, t); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ":") {
			tags = withTag(tags, t)
			text = strings.TrimLeft(strings.TrimLeft(rest, " \t")[1:], " \t")
			goto again
		}
	}
	return runas, tags, text
}

// withTag adds a tag in place of its opposite.
func withTag(tags []string, tag string) []string {
	bare := strings.TrimPrefix(tag, "NO")
	out := tags[:0]
	for _, t := range tags {
		if strings.TrimPrefix(t, "NO") != bare {
			out = append(out, t)
		}
	}
	return append(out, tag)
}

// cutSudo cuts at the first of some characters that is neither quoted nor
// escaped nor part of a command's digest ("sha256:…").
func cutSudo(text, seps string) (before string, sep byte, after string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(seps, c) >= 0:
			word := text[strings.LastIndexAny(text[:i], " \t,")+1 : i]
			if c == ':' && (word == "sha224" || word == "sha256" || word == "sha384" || word == "sha512") {
				continue
			}
			return text[:i], c, text[i+1:]
		}
	}
	return text, 0, ""
}

func splitSudo(text string, sep byte) (parts []string) {
	for {
		part, found, after := cutSudo(text, string(sep))
		parts = append(parts, part)
		if found == 0 {
			return parts
		}
		text = after
	}
}

func sudoList(text string) (list []record.Bytes) {
	for _, item := range splitSudo(text, ',') {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, record.Bytes(item))
		}
	}
	return list
}

// sudoLists reads two lists that only a blank separates: users and hosts. The
// blank that does has no comma before or after it.
func sudoLists(text string) (first, second []record.Bytes) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			before, after := text[:i], strings.TrimLeft(text[i:], " \t")
			if before == "" || after == "" || strings.HasSuffix(before, ",") || strings.HasSuffix(before, "!") || after[0] == ',' {
				i = len(text) - len(after) - 1 // once for each run of blanks
				continue
			}
			return sudoList(before), sudoList(after)
		}
	}
	return nil, nil
}
