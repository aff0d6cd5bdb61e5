package definition

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNesting bounds how deep lists and mappings lie in each other. No known
// definition goes beyond five.
const maxNesting = 20

// document is one document of a YAML stream.
type document struct {
	node *yaml.Node
	line int    // lines before it in the file
	note string // what had to be mended
	err  error  // what is wrong with it
}

// maxDocuments bounds the documents of one file. The largest known has 280.
const maxDocuments = 10_000

// documents reads the documents of a YAML stream one by one, so that one that
// is broken costs no other.
func documents(text string) []document {
	var docs []document
	var part strings.Builder
	line, number := 0, 0
	flush := func() {
		if strings.TrimSpace(withoutComments(part.String())) != "" && len(docs) < maxDocuments {
			docs = append(docs, readDocument(part.String(), line))
		}
		part.Reset()
		line = number
	}
	for l := range strings.Lines(text) {
		number++
		if strings.TrimRight(l, " \t\r\n") == "---" {
			flush()
			continue
		}
		part.WriteString(l)
	}
	flush()
	return docs
}

func withoutComments(text string) string {
	var out strings.Builder
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, "#") {
			out.WriteString(l)
		}
	}
	return out.String()
}

func readDocument(text string, line int) document {
	d := document{line: line}
	if d.node, d.err = decode(text); d.err == nil {
		return d
	}
	if mended := spaceBeforeFlow(text); mended != text {
		if node, err := decode(mended); err == nil {
			d.node, d.err, d.note = node, nil, "a key in braces has no blank behind its colon, which other YAML readers refuse"
		}
	}
	return d
}

// decode reads one document. Anchors and aliases are refused, because a few
// hundred bytes of them stand for gigabytes.
func decode(text string) (node *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil { // a mistake of the reader, met by a file made to find it
			err = fmt.Errorf("the YAML reader gave up: %v", p)
		}
	}()
	dec := yaml.NewDecoder(strings.NewReader(text))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, yamlError(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("an empty document")
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, lineError{more.Line, "more than one document without --- on a line of its own"}
	}
	if err := tame(&doc, 0); err != nil {
		return nil, err
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

func yamlError(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits; a number too long is line 0
		return lineError{n, "yaml: " + text[len(m[0]):]}
	}
	return errors.New(text)
}

// spaceBeforeFlow writes {paths:['/x']} as {paths: ['/x']}: YAML 1.1 readers
// take both for the same.
func spaceBeforeFlow(text string) string {
	var out strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		out.WriteByte(c)
		switch {
		case c == '\n' || quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote == 0 && c == ':' && i+1 < len(text) && (text[i+1] == '[' || text[i+1] == '{'):
			out.WriteByte(' ')
		}
	}
	return out.String()
}

func tame(n *yaml.Node, depth int) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return lineError{n.Line, "anchors and aliases are not taken"}
	case depth > maxNesting:
		return lineError{n.Line, fmt.Sprintf("nested more than %d deep", maxNesting)}
	}
	for _, c := range n.Content {
		if err := tame(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// fields reads the mapping of a node strictly, and keeps the first error.
type fields struct {
	what string
	line int
	of   map[string]*yaml.Node
	used map[string]bool
	err  error
}

func fieldsOf(n *yaml.Node, what string) *fields {
	f := &fields{what: what, line: n.Line, of: map[string]*yaml.Node{}, used: map[string]bool{}}
	if n.Kind != yaml.MappingNode {
		f.fail(n.Line, "%s is no mapping", what)
		return f
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if _, twice := f.of[key]; twice {
			f.fail(n.Content[i].Line, "%s has %q twice", what, key)
		}
		f.of[key] = n.Content[i+1]
	}
	return f
}

func (f *fields) fail(line int, format string, args ...any) {
	if f.err == nil {
		f.err = lineError{line, fmt.Sprintf(format, args...)}
	}
}

// lineError is an error at a line of a file.
type lineError struct {
	line int
	text string
}

func (e lineError) Error() string { return e.text }

// issueOf makes an issue of an error in a document that begins after some
// lines of its file.
func issueOf(id string, err error, before int) Issue {
	i := Issue{ID: id, Error: true, Text: err.Error()}
	if at, ok := errors.AsType[lineError](err); ok {
		i.Line = before + at.line
	}
	return i
}

func (f *fields) node(key string) *yaml.Node {
	f.used[key] = true
	return f.of[key]
}

// text returns a scalar, "" where there is none.
func (f *fields) text(key string) string {
	n := f.node(key)
	if n == nil || n.Tag == "!!null" {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		f.fail(n.Line, "%s: %s is no text", f.what, key)
	}
	return n.Value
}

// needText is text for what must be there.
func (f *fields) needText(key string) string {
	s := f.text(key)
	if strings.TrimSpace(s) == "" {
		f.fail(f.line, "%s has no %s", f.what, key)
	}
	return s
}

// list returns a list of scalars, none where there is none.
func (f *fields) list(key string) []string {
	n := f.node(key)
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		f.fail(n.Line, "%s: %s is no list", f.what, key)
		return nil
	}
	var out []string
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			f.fail(c.Line, "%s: %s has an entry that is no text", f.what, key)
			return nil
		}
		out = append(out, c.Value)
	}
	return out
}

// done complains of keys that nobody asked for.
func (f *fields) done() error {
	var unknown []string
	for key := range f.of {
		if !f.used[key] {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		f.fail(f.of[unknown[0]].Line, "%s has %q, which the format does not know", f.what, unknown[0])
	}
	return f.err
}
