package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	definitions "github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// DefinitionsName is the collector of imported definitions.
const DefinitionsName = "definitions"

// Definitions collects what the definitions of a set ask for, in one walk. It
// is not on the shelf: whoever runs a collection brings the set.
func Definitions(set *definitions.Set, chosen []*definitions.Definition, secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     DefinitionsName,
		Doc:      "What imported definitions ask for: files, and metadata and hashes of paths",
		Tier:     collect.TierUsers,
		Deadline: 2 * time.Hour,
		Secret:   secrets.look(),
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			d := &definitionRun{host: h, out: out, set: set, known: knowledgeOf(h, out), secrets: secrets, matches: &collect.Spool{}, mostHeld: maxMatches}
			d.hasher = &fileWalk{host: h, out: out, hashes: defaultHashPolicy(time.Now())}
			return d.run(ctx, chosen)
		},
	}
}

// definitionRun is one run of a set on a host.
type definitionRun struct {
	host    *collect.Host
	out     collect.Taker
	set     *definitions.Set
	known   *definitions.Knowledge
	secrets Secrets

	table   []definition
	asked   []askedFor
	matches *collect.Spool
	held    int // bytes in matches
	parts   int // items of matches in the bundle
	hasher  *fileWalk

	mostHeld int // bytes in matches that make an item
	line     []byte
}

// askedFor is what became of one definition before the walk.
type askedFor struct {
	id      string
	entries []int    // in the table; none: nothing of it is looked for
	not     []string // what of it is not looked for, and why
}

func (r *definitionRun) run(ctx context.Context, chosen []*definitions.Definition) error {
	for _, d := range chosen {
		r.ask(d)
	}
	if err := r.describe(ctx); err != nil {
		return err
	}
	var homes []string
	for _, u := range r.known.Users {
		homes = append(homes, u.Home)
	}
	walked := takePaths(ctx, pathRun{
		collector: DefinitionsName, host: r.host, out: r.out, homes: homes, secrets: r.secrets, kernel: true, report: r.report,
	}, r.table)
	return errors.Join(walked, r.flush(ctx))
}

// maxMatches bounds the lines of metadata that are held before they go into
// the bundle, in bytes. Compressed they are a tenth of that.
const maxMatches = 32 << 20

// flush puts the lines of metadata that are held into the bundle, as an item
// of their own.
func (r *definitionRun) flush(ctx context.Context) error {
	text, size := r.matches.Take()
	if size == 0 {
		return nil
	}
	r.matches, r.held = &collect.Spool{}, 0
	r.parts++
	name := record.Matches
	if r.parts > 1 {
		name = strings.TrimSuffix(name, ".jsonl") + fmt.Sprintf("-%d.jsonl", r.parts)
	}
	return r.stream(ctx, name, size, text)
}

func (r *definitionRun) stream(ctx context.Context, name string, size int64, text io.Reader) error {
	return r.out.Stream(context.WithoutCancel(ctx), evidence.Item{
		Index: -1, Kind: evidence.KindStream, Source: "file", Path: name, Size: size, Collector: DefinitionsName, Rule: "definitions themselves",
	}, text)
}

// describe puts the set and what it was expanded with into the bundle: without
// both nobody can say what was looked for.
func (r *definitionRun) describe(ctx context.Context) error {
	var text bytes.Buffer
	if err := r.set.WriteTar(&text); err != nil {
		return err
	}
	if err := r.stream(ctx, record.DefinitionSet, int64(text.Len()), &text); err != nil {
		return err
	}
	var known bytes.Buffer
	for _, line := range knowledgeLines(r.known) {
		if err := json.NewEncoder(&known).Encode(line); err != nil {
			return err
		}
	}
	return r.stream(ctx, record.Knowledge, int64(known.Len()), &known)
}

// ask turns a definition into entries of the table.
func (r *definitionRun) ask(d *definitions.Definition) {
	a := askedFor{id: d.ID}
	not := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(a.not, text) {
			a.not = append(a.not, text)
		}
	}
	for i := range d.Sources {
		s := &d.Sources[i]
		why := s.NotRun()
		switch {
		case !d.For(r.known.OS) || !s.For(r.known.OS):
			of := s.OS
			if len(of) == 0 {
				of = d.OS
			}
			not("for %s, and this is %s", strings.Join(of, ", "), r.known.OS)
		case s.Kind == definitions.KindGroup:
			not("a group: each of its members has a line of its own")
		case why != "":
			not("%s: %s", s.Kind, why)
		case wholeWalk(s):
			not("%s of the whole file system: the collector %s records it for every name", s.Kind, WalkName)
		default:
			a.entries = append(a.entries, r.add(d.ID, s, not)...)
		}
	}
	r.asked = append(r.asked, a)
}

// wholeWalk reports whether a source asks for the metadata of every name, or
// for the hashes of all programs: that is the walk of the file system, and to
// do it twice would cost a host as much again.
func wholeWalk(s *definitions.Source) bool {
	f := s.Filter
	narrow := len(f.Names)+len(f.Paths) > 0 || f.NoUser || f.NoGroup || f.MinSize+f.MaxSize > 0 || f.NameRegexp != nil
	switch {
	case len(s.Patterns) != 1 || s.Patterns[0] != "/**" || narrow:
		return false
	case s.Kind == definitions.KindHash:
		return !slices.ContainsFunc(f.Permissions, func(p definitions.Permission) bool { return p.Bits&^modeExec != 0 })
	}
	return s.Kind == definitions.KindPath && len(f.Permissions) == 0 && f.Types == ""
}

// add puts the patterns of one source into the table.
func (r *definitionRun) add(id string, s *definitions.Source, not func(string, ...any)) []int {
	patterns, unknown := s.Expand(r.known)
	for _, why := range unknown {
		not("%s", why)
	}
	narrow, err := newNarrowing(s.Filter)
	if err != nil {
		not("%v", err)
		return nil
	}
	d := definition{rule: id, quiet: true, foldCase: s.FoldCase || r.known.OS == "windows", narrow: narrow, each: true}
	d.asLinks = s.Filter.Types != ""
	switch s.Kind {
	case definitions.KindPath, definitions.KindHash:
		d.asLinks = true
		d.hash = s.Kind == definitions.KindHash
		hash := d.hash
		d.record = func(ctx context.Context, w *pathWalk, path string, rules []string) error {
			return r.match(ctx, w, path, rules, hash)
		}
	}
	for _, p := range patterns {
		if _, err := compile([]definition{{rule: id, patterns: []string{p}, foldCase: d.foldCase}}); err != nil {
			not("%v", err)
			continue
		}
		d.patterns = append(d.patterns, p)
	}
	if len(d.patterns) == 0 {
		return nil
	}
	r.table = append(r.table, d)
	return []int{len(r.table) - 1}
}

// match writes the metadata of a path, and its hash where that is asked for.
func (r *definitionRun) match(ctx context.Context, w *pathWalk, path string, rules []string, hash bool) error {
	st, err := w.statOf(path)
	if err != nil {
		return r.out.File(ctx, path, rules[0]) // records why
	}
	f := fileRecord(path, st)
	if st.Mode&modeType == modeLink {
		target, err := r.host.Readlink(path)
		if err != nil {
			f.HashNote = "link not read: " + err.Error()
		}
		f.Link = record.Bytes(target)
	}
	if hash && st.Mode&modeType == modeRegular {
		f.SHA256, f.HashNote = r.hasher.hash(ctx, path, st)
	}
	names, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	// {"definitions":[…],"path":…}: the members of a File behind the names.
	r.line = append(append(r.line[:0], `{"definitions":`...), names...)
	at := len(r.line)
	r.line = appendFileLine(r.line, &f)
	r.line[at] = ','
	if _, err = r.matches.Write(r.line); err != nil {
		return err
	}
	if r.held += len(r.line); r.held > r.mostHeld {
		return r.flush(ctx)
	}
	return nil
}

// maxDetail bounds what a line of the ledger says of one definition.
const maxDetail = 1000

// report gives each definition its line in the ledger.
func (r *definitionRun) report(w *pathWalk, ended error) {
	for _, a := range r.asked {
		outcome, details := collect.Outcome(""), slices.Clone(a.not)
		matched := w.perRule[a.id]
		switch {
		case len(a.entries) == 0:
			outcome = collect.Skipped
		case ended != nil:
			outcome = collect.Skipped
			if errors.Is(ended, context.DeadlineExceeded) {
				outcome = collect.TimedOut
			}
			details = append(details, "the walk ended before its end: "+ended.Error())
		}
		for _, i := range a.entries {
			b := w.blocked[i]
			if b.outcome == "" {
				continue
			}
			if matched == 0 && outcome == "" {
				outcome = b.outcome
			}
			details = append(details, fmt.Sprintf("not looked into %q: %s", b.path, b.why))
		}
		detail := strings.Join(slices.Compact(details), "; ")
		if len(detail) > maxDetail {
			detail = strings.ToValidUTF8(detail[:maxDetail], "") + " …"
		}
		r.out.Went(a.id, matched, outcome, detail)
	}
}
