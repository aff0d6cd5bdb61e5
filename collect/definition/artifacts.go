package definition

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseArtifacts reads ForensicArtifacts YAML. A definition with an error is
// left out, and the others are kept.
func parseArtifacts(text string) (list []Definition, issues []Issue) {
	for _, doc := range documents(text) {
		var d Definition
		err := doc.err
		if err == nil {
			d, err = artifact(doc.node)
		}
		if err != nil {
			issues = append(issues, issueOf(d.ID, err, doc.line))
			continue
		}
		if doc.note != "" {
			issues = append(issues, Issue{ID: d.ID, Line: doc.line + doc.node.Line, Text: doc.note})
		}
		list = append(list, d)
	}
	return list, issues
}

func artifact(doc *yaml.Node) (Definition, error) {
	f := fieldsOf(doc, "definition")
	d := Definition{ID: f.needText("name"), Doc: strings.TrimSpace(f.needText("doc"))}
	if strings.ContainsAny(d.ID, " \t:,/\\") {
		f.fail(f.line, "the name %q has characters that names do not have", d.ID)
	}
	d.Aliases, d.Labels, d.URLs = f.list("aliases"), f.list("labels"), f.list("urls")
	d.OS = f.systems("supported_os")
	// The old keys, which the format no longer has, and one that says which
	// variables a definition fills in: nothing of that changes what is taken.
	f.node("conditions")
	f.node("provides")
	sources := f.node("sources")
	if sources == nil || sources.Kind != yaml.SequenceNode || len(sources.Content) == 0 {
		f.fail(f.line, "definition has no list of sources")
		return d, f.done()
	}
	for _, n := range sources.Content {
		s, err := artifactSource(n, d.OS)
		if err != nil && f.err == nil {
			f.err = err
		}
		d.Sources = append(d.Sources, s)
	}
	return d, f.done()
}

func (f *fields) systems(key string) []string {
	list, unknown := osNames(f.list(key))
	if unknown != "" {
		f.fail(f.line, "%s: %s names the unknown system %q", f.what, key, unknown)
	}
	return list
}

func artifactSource(n *yaml.Node, all []string) (Source, error) {
	f := fieldsOf(n, "source")
	typ := f.needText("type")
	s := Source{OS: f.systems("supported_os")}
	for _, os := range s.OS {
		if len(all) > 0 && !slices.Contains(all, os) {
			f.fail(f.line, "source is for %s, its definition is not", os)
		}
	}
	f.node("conditions")
	f.node("provides")
	attributes := f.node("attributes")
	if attributes == nil {
		f.fail(f.line, "source has no attributes")
		return s, f.done()
	}
	a := fieldsOf(attributes, "source "+typ)
	switch typ {
	case "FILE", "PATH", "DIRECTORY":
		s.Kind = KindFile
		if typ != "FILE" {
			s.Kind = KindPath
		}
		a.artifactPaths(&s, all)
	case "ARTIFACT_GROUP":
		s.Kind, s.Members = KindGroup, a.list("names")
		a.some("names", len(s.Members))
	case "COMMAND":
		s.Kind = KindCommand
		args := a.list("args")
		if a.of["args"] == nil {
			a.fail(a.line, "source COMMAND has no args")
		}
		s.Text = []string{strings.Join(append([]string{a.needText("cmd")}, args...), " ")}
	case "REGISTRY_KEY":
		s.Kind, s.Text = KindRegistryKey, a.list("keys")
		a.some("keys", len(s.Text))
		for _, key := range s.Text {
			a.hive(key)
		}
	case "REGISTRY_VALUE":
		s.Kind = KindRegistryValue
		a.values(&s)
	case "WMI":
		s.Kind, s.Text = KindWMI, []string{a.needText("query")}
		a.text("base_object")
	default:
		a.fail(f.line, "source has the unknown type %q", typ)
	}
	if err := a.done(); err != nil && f.err == nil {
		f.err = err
	}
	return s, f.done()
}

func (f *fields) some(key string, n int) {
	if n == 0 {
		f.fail(f.line, "%s has no %s", f.what, key)
	}
}

func (f *fields) artifactPaths(s *Source, all []string) {
	separator := f.text("separator")
	paths := f.list("paths")
	f.some("paths", len(paths))
	switch separator {
	case "", "/", `\`:
	default:
		f.fail(f.line, "%s: the separator is %q, neither / nor \\", f.what, separator)
	}
	of := s.OS
	if len(of) == 0 {
		of = all
	}
	s.FoldCase = len(of) > 0 && !slices.ContainsFunc(of, func(os string) bool { return os != "windows" && os != "darwin" })
	for _, p := range paths {
		pattern, err := artifactPattern(p, separator)
		if err != nil {
			f.fail(f.line, "path %q: %v", p, err)
			return
		}
		s.Patterns = append(s.Patterns, pattern)
	}
}

// values reads the key_value_pairs of a REGISTRY_VALUE.
func (f *fields) values(s *Source) {
	pairs := f.node("key_value_pairs")
	if pairs == nil || pairs.Kind != yaml.SequenceNode || len(pairs.Content) == 0 {
		f.fail(f.line, "%s has no key_value_pairs", f.what)
		return
	}
	for _, n := range pairs.Content {
		p := fieldsOf(n, "key_value_pair")
		key := p.needText("key")
		p.hive(key)
		if p.of["value"] == nil {
			p.fail(p.line, "key_value_pair has no value")
		}
		s.Text = append(s.Text, key+`\`+p.text("value"))
		if err := p.done(); err != nil && f.err == nil {
			f.err = err
		}
	}
}

// hive checks how a registry key begins. HKEY_CURRENT_USER is refused: whose
// that is depends on who asks.
func (f *fields) hive(key string) {
	for _, start := range []string{`HKEY_LOCAL_MACHINE\`, `HKEY_USERS\`, `HKEY_CLASSES_ROOT\`, `%%current_control_set%%\`} {
		if strings.HasPrefix(strings.ToUpper(key), strings.ToUpper(start)) || strings.EqualFold(key+`\`, start) {
			return
		}
	}
	if strings.HasPrefix(strings.ToUpper(key), "HKEY_CURRENT_USER") {
		f.fail(f.line, `key %q: write HKEY_USERS\%%%%users.sid%%%% for HKEY_CURRENT_USER`, key)
		return
	}
	f.fail(f.line, "key %q is in no hive that the format knows", key)
}
