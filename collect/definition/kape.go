package definition

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const kapePrefix = "kape:"

// parseKape reads a KAPE target. Its ID is the file's name, which is how
// compound targets refer to it.
func parseKape(name, text string) ([]Definition, []Issue) {
	base := path.Base(name)
	d := Definition{ID: kapePrefix + base[:len(base)-len(path.Ext(base))], OS: []string{"windows"}}
	docs := documents(text)
	if len(docs) != 1 {
		return nil, []Issue{issueOf(d.ID, fmt.Errorf("a target is one document, there are %d", len(docs)), 0)}
	}
	before := docs[0].line
	if docs[0].err != nil {
		return nil, []Issue{issueOf(d.ID, docs[0].err, before)}
	}
	f := fieldsOf(docs[0].node, "target")
	d.Doc = strings.TrimSpace(f.needText("Description"))
	for _, key := range []string{"Author", "Version", "Id", "RecreateDirectories"} {
		f.text(key)
	}
	targets := f.node("Targets")
	if targets == nil || targets.Kind != yaml.SequenceNode || len(targets.Content) == 0 {
		f.fail(f.line, "target has no list of Targets")
		return nil, []Issue{issueOf(d.ID, f.done(), before)}
	}
	var issues []Issue
	for _, n := range targets.Content {
		s, note, err := kapeEntry(n)
		if err != nil {
			issues = append(issues, issueOf(d.ID, err, before))
			s.Why = "its entry has an error: " + err.Error()
		}
		if note != "" {
			issues = append(issues, Issue{Line: before + n.Line, ID: d.ID, Text: note})
		}
		d.Sources = append(d.Sources, s)
	}
	if err := f.done(); err != nil {
		return nil, append(issues, issueOf(d.ID, err, before))
	}
	return []Definition{d}, issues
}

func kapeEntry(n *yaml.Node) (s Source, note string, err error) {
	f := fieldsOf(n, "entry")
	f.needText("Name")
	f.needText("Category")
	f.text("Comment")
	where, mask := f.needText("Path"), f.text("FileMask")
	recursive, always := f.flag("Recursive"), f.flag("AlwaysAddToQueue")
	_ = always               // reads a file raw even if it is not locked: every file is read as it is here
	f.text("SaveAsFileName") // files keep their names
	s = Source{Kind: KindFile, FoldCase: true, Filter: Filter{Types: "f", MinSize: f.number("MinSize"), MaxSize: f.number("MaxSize")}}
	if err := f.done(); err != nil {
		return s, "", err
	}
	if strings.EqualFold(path.Ext(where), ".tkape") {
		ref := path.Base(strings.ReplaceAll(where, `\`, "/"))
		return Source{Kind: KindGroup, Members: []string{kapePrefix + ref[:len(ref)-len(path.Ext(ref))]}}, "", nil
	}
	dir, err := kapePath(where)
	if err != nil {
		return s, "", lineError{f.line, err.Error()}
	}
	last := "*"
	if rest, isRegexp := cutFold(mask, "regex:"); isRegexp {
		if s.Filter.NameRegexp, note, err = kapeRegexp(rest); err != nil {
			return s, "", lineError{f.line, fmt.Sprintf("FileMask %q: %v", mask, err)}
		}
	} else if mask != "" {
		last = plainGlob(mask)
	}
	if recursive {
		last = "**/" + last
	}
	s.Patterns = []string{strings.TrimRight(dir, "/") + "/" + last}
	return s, note, nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// kapeRegexp compiles a mask, which may match anywhere in a name. Some begin
// with a star that repeats nothing.
func kapeRegexp(text string) (*regexp.Regexp, string, error) {
	note := ""
	if rest, ok := strings.CutPrefix(text, "*"); ok {
		text, note = rest, "FileMask begins with a star that repeats nothing; it is read without it"
	}
	re, err := regexp.Compile("(?i)" + text)
	return re, note, err
}

// kapePath turns C:\Users\%user%\x into /Users/*/x: the drive is whatever is
// collected, and %user% each folder there.
func kapePath(p string) (string, error) {
	if len(p) >= 2 && p[1] == ':' {
		p = p[2:]
	}
	p = strings.ReplaceAll(p, `\`, "/")
	for {
		at := strings.Index(strings.ToLower(p), "%user%")
		if at < 0 {
			break
		}
		p = p[:at] + "*" + p[at+len("%user%"):]
	}
	if strings.Contains(p, "%") {
		return "", fmt.Errorf("path %q has a variable that KAPE does not expand either", p)
	}
	if !strings.HasPrefix(p, "/") {
		return "", fmt.Errorf("path %q does not begin at a drive", p)
	}
	var out []string
	for part := range strings.SplitSeq(p, "/") {
		if part != "" {
			out = append(out, plainGlob(part))
		}
	}
	return "/" + strings.Join(out, "/"), nil
}

// plainGlob keeps * and ? and takes everything else as it is.
func plainGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "{", `\{`, "**", "*").Replace(s)
}

func (f *fields) flag(key string) bool {
	s := f.text(key)
	switch strings.ToLower(s) {
	case "", "false":
		return false
	case "true":
		return true
	}
	f.fail(f.line, "%s: %s is %q, neither true nor false", f.what, key, s)
	return false
}

func (f *fields) number(key string) int64 {
	s := f.text(key)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		f.fail(f.line, "%s: %s is %q, no number of bytes", f.what, key, s)
	}
	return n
}
