package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func lsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the items of a bundle", ArgsUsage: "EXHIBIT|BUNDLE [PATTERN]", Category: catEvidence,
		Description: "Example:\n   exhibit ls EX-001 '/var/log/*'\n   exhibit ls EX-001 --json\n\n" +
			"PATTERN matches original paths; * stands for any run of characters. EXHIBIT is a number of the case,\n" +
			"such as EX-001; BUNDLE is the path of a file. Inside a case, looking is recorded in the custody log.",
		Action: runLs,
	}
}

func catCommand() *cli.Command {
	return &cli.Command{
		Name: "cat", Usage: "write one item's content to standard output", ArgsUsage: "EXHIBIT|BUNDLE PATH", Category: catEvidence,
		Description: "Example:\n   exhibit cat EX-001 /var/log/auth.log | less\n\n" +
			"PATH is as ls shows it, or the member name of ls --json. Bytes come out as they are, but not onto a\n" +
			"terminal: there, what could act on it is shown as an escape such as \\u{1b}.",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "raw", Usage: "bytes as they are on a terminal, too"}},
		Action: runCat,
	}
}

func extractCommand() *cli.Command {
	return &cli.Command{
		Name: "extract", Usage: "write items into a folder, checked against their records", ArgsUsage: "EXHIBIT|BUNDLE [PATTERN]", Category: catEvidence,
		Description: "Example:\n   exhibit extract EX-001 '/etc/*' -d out/\n\n" +
			"Files are written read-only under inert names; no link, device or owner is recreated. Each record is\n" +
			"proven by the seal of the file and each content by its record; exhibit verify says whose the seal is.",
		Flags:  []cli.Flag{&cli.StringFlag{Name: "dir", Aliases: []string{"d"}, Usage: "into this `FOLDER`, made new"}},
		Action: runExtract,
	}
}

// opened is a bundle that a command works on.
type opened struct {
	cs      *chainofcustody.Case
	id      *chainofcustody.Identity
	exhibit string
	path    string
	file    *bundleFile
	*bundle.Reader
}

func openArgument(c *cli.Context, atMost int, usage string) (*opened, error) {
	if c.NArg() == 0 || c.NArg() > atMost {
		return nil, command.Failf(command.Usage, "see: exhibit "+commandPath(c)+" --help", "%s takes %s", commandPath(c), usage)
	}
	cs, id, err := mayRecord(c)
	if err != nil {
		return nil, err
	}
	path, exhibit, err := bundlePath(cs, c.Args().First())
	if err != nil {
		return nil, err
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil, err
	}
	return &opened{cs, id, exhibit, path, f, r}, nil
}

// note records that somebody looked into the exhibit.
func (o *opened) note(what string) error {
	if o.exhibit == "" {
		return nil
	}
	_, err := o.cs.Append(o.exhibit, chainofcustody.Event{
		Kind: chainofcustody.EventOpened, Tool: tool(), Seal: o.Seal().ID, Note: what,
	}, o.id)
	return caseError(err)
}

// itemRow is an item as JSON shows it.
type itemRow struct {
	Index     int64         `json:"index"`
	Kind      evidence.Kind `json:"kind"`
	Path      string        `json:"path"`
	PathB64   []byte        `json:"path_b64,omitempty"` // the bytes, where they are no UTF-8
	Member    string        `json:"member,omitempty"`
	Size      int64         `json:"size"`
	SHA256    string        `json:"sha256,omitempty"`
	Modified  string        `json:"modified,omitempty"`
	Mode      string        `json:"mode,omitempty"`
	Owner     string        `json:"owner,omitempty"`
	Link      string        `json:"link,omitempty"`
	LinkB64   []byte        `json:"link_b64,omitempty"`
	Collector string        `json:"collector,omitempty"`
	Rule      string        `json:"rule,omitempty"`
	Detail    string        `json:"detail,omitempty"`
}

func rowOfItem(it *evidence.Item) itemRow {
	r := itemRow{
		Index: it.Index, Kind: it.Kind, Path: timeline.Printable(it.Path), Member: it.Member, Size: it.Size,
		Link: timeline.Printable(it.Link), Collector: it.Collector, Rule: it.Rule, Detail: it.Detail,
	}
	if !utf8.ValidString(it.Path) {
		r.PathB64 = []byte(it.Path)
	}
	if !utf8.ValidString(it.Link) {
		r.LinkB64 = []byte(it.Link)
	}
	if !it.SHA256.IsZero() {
		r.SHA256 = it.SHA256.String()
	}
	if st := it.Stat; st != nil {
		r.Owner = st.Owner
		if st.Unknown&evidence.StatMode == 0 {
			r.Mode = fmt.Sprintf("%06o", st.Mode)
		}
		if !st.Modified.IsZero() {
			r.Modified = st.Modified.UTC().Format(time.RFC3339Nano)
		}
	}
	return r
}

func runLs(c *cli.Context) error {
	o, err := openArgument(c, 2, "a bundle and at most one pattern")
	if err != nil {
		return err
	}
	defer o.file.Close()
	pattern := c.Args().Get(1)
	shown := false
	for it, err := range o.Items() {
		if err != nil {
			return err
		}
		if pattern != "" && !timeline.WildcardMatch(pattern, it.Path) {
			continue
		}
		shown = true
		if before := o.Header().Continues; it.Kind == evidence.KindHeader && before != "" {
			it.Detail = "continues " + verifying.SealName(before)
		}
		if it.Path == collect.FootprintAt && it.Collector == "engine" {
			it.Detail = strings.Join(effects(o.Reader), " ")
		}
		r := rowOfItem(&it)
		if c.Bool("json") {
			err = command.JSON(c.App.Writer, r)
		} else {
			name := term.Escape(it.Path)
			if it.Link != "" {
				name += " -> " + term.Escape(it.Link)
			}
			if it.Detail != "" {
				name += "  (" + term.Escape(it.Detail) + ")"
			}
			_, err = fmt.Fprintf(c.App.Writer, "%-8s %12d  %-20s %s\n", it.Kind, it.Size, shortTime(r.Modified), name)
		}
		if err != nil {
			return errors.Join(err, o.note("listed in part"))
		}
	}
	if !shown {
		return noMatch(pattern)
	}
	return o.note("listed")
}

func shortTime(s string) string {
	if len(s) < 19 {
		return s
	}
	return s[:10] + " " + s[11:19]
}

func runCat(c *cli.Context) error {
	o, err := openArgument(c, 2, "a bundle and one path")
	if err != nil {
		return err
	}
	defer o.file.Close()
	want := c.Args().Get(1)
	switch {
	case want == "":
		return command.Failf(command.Usage, "exhibit ls shows the paths", "cat needs a path")
	case c.Bool("json"):
		return command.Failf(command.Usage, "exhibit ls --json BUNDLE PATH describes the item", "cat writes bytes as they are, not JSON")
	}
	members, err := membersOf(o.Reader, want)
	if err != nil {
		return err
	}
	for i, member := range members {
		content, err := o.Open(member)
		if errors.Is(err, bundle.ErrErased) {
			err = command.Fail(command.Failure, "exhibit verify says who erased what, and why", err)
		}
		if err == nil {
			err = errors.Join(catContent(c, content), content.Close())
		} else if i == 0 {
			return err // nothing was read
		}
		if err != nil {
			return errors.Join(err, o.note("read "+timeline.Printable(want))) // also where the reader had enough half-way
		}
	}
	return o.note("read " + timeline.Printable(want))
}

// catContent writes content to standard output.
func catContent(c *cli.Context, content io.Reader) error {
	in := untilDone{c.Context, content}
	if f, ok := c.App.Writer.(*os.File); ok && !c.Bool("raw") && term.IsTerminal(f) {
		text := term.NewText(f)
		_, err := io.Copy(text, in)
		return errors.Join(err, text.Close())
	}
	_, err := io.Copy(c.App.Writer, in)
	return err
}

// membersOf is memberOf, but of a record set that the collector wrote in pieces
// (collection/ledger.jsonl) it returns all of them, in order: they are what is
// meant, and of a run that was killed all that there is.
func membersOf(r *bundle.Reader, want string) (members []string, err error) {
	if set, ok := collect.SetOf(evidence.Item{Source: "collector", Path: want}); ok && set == want {
		for it, err := range r.Items() {
			if err != nil {
				return nil, err
			}
			if of, ok := collect.SetOf(it); ok && of == want && it.Kind.HasContent() {
				members = append(members, it.Member)
			}
		}
	}
	if len(members) > 0 {
		return members, nil
	}
	member, err := memberOf(r, want)
	return []string{member}, err
}

// memberOf finds an item by member name or by original path, which may be
// written as ls shows it. The first to fit has it: a path is exact before a
// spelling of another one is.
func memberOf(r *bundle.Reader, want string) (string, error) {
	if _, err := r.Leaf(want); err == nil {
		return want, nil
	}
	var shown string
	for it, err := range r.Items() {
		if err != nil {
			return "", err
		}
		if it.Path == want && it.Kind.HasContent() {
			return it.Member, nil
		}
		if it.Path == want {
			return "", command.Failf(command.Failure, "exhibit ls shows what is there", "%s has no content: %s %s", want, it.Kind, it.Detail)
		}
		if shown == "" && it.Kind.HasContent() && term.Escape(it.Path) == want {
			shown = it.Member
		}
	}
	if shown != "" {
		return shown, nil
	}
	return "", command.Failf(command.Failure, "exhibit ls BUNDLE '*"+path.Base(want)+"*' looks for similar paths", "no item %q in the bundle", want)
}

func runExtract(c *cli.Context) error {
	if err := given(c, "dir", "./out"); err != nil {
		return err
	}
	o, err := openArgument(c, 2, "a bundle and at most one pattern")
	if err != nil {
		return err
	}
	defer o.file.Close()
	dir, pattern := c.String("dir"), c.Args().Get(1)
	if err := mustNotExist(dir, "name a folder that does not exist yet"); err != nil {
		return err
	}
	res, err := extractInto(c, o.Reader, dir, pattern)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, res)
	} else {
		fmt.Fprintf(c.App.Writer, "%d items, %s, into %s\nseal code %s\n", res.Items, term.Size(res.Bytes), term.Escape(dir), res.SealCode)
	}
	if err = errors.Join(err, o.note(fmt.Sprintf("extracted %d items", res.Items))); err != nil {
		return err
	}
	for _, it := range res.Erased {
		fmt.Fprintf(c.App.ErrWriter, "not written: record %d, %s: %s\n", it.Leaf, term.Escape(it.Path), term.Escape(it.Detail))
	}
	if len(res.Unproven) > 0 {
		return command.Failf(command.Integrity, "exhibit verify "+o.path+" --explain says more",
			"the seal does not prove the records of %d items, the first: %s", len(res.Unproven), res.Unproven[0])
	}
	if len(res.Changed) > 0 {
		return command.Failf(command.Integrity, "exhibit verify "+o.path+" --explain says more",
			"%d items are not what their records say, the first: %s", len(res.Changed), res.Changed[0])
	}
	if len(res.Erased) > 0 {
		return command.Exit(command.Partial)
	}
	return nil
}

// extractInto extracts into a folder that has its name only when all is in
// it: who finds the name can rely on what is there.
func extractInto(c *cli.Context, r *bundle.Reader, dir, pattern string) (res extraction, err error) {
	progress, err := frame.Progress(c, "extracting")
	if err != nil {
		return res, err
	}
	defer progress.Done()
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".exhibit-*")
	if err != nil {
		return res, named(err, dir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	root, err := os.OpenRoot(temp)
	if err != nil {
		return res, err
	}
	defer root.Close()
	res.Dir, res.SealCode = dir, r.Seal().Code()
	err = bundle.Extract(c.Context, r, root, func(it evidence.Item) bool {
		return pattern == "" || timeline.WildcardMatch(pattern, it.Path)
	}, bundle.ExtractOptions{Done: func(it evidence.Item, err error) error {
		res.Items++
		res.Bytes += it.Size
		progress.Set(term.Status{Bytes: res.Bytes, Items: res.Items, Current: it.Path})
		changed, unproven := errors.Is(err, bundle.ErrChanged), errors.Is(err, bundle.ErrNotProven)
		if changed {
			res.Changed = append(res.Changed, it.Member)
		}
		if unproven {
			res.Unproven = append(res.Unproven, it.Member)
		}
		if changed || unproven {
			return nil
		}
		return err
	}})
	if err == nil {
		res.Erased, err = erasedIn(r, pattern)
	}
	if err == nil && res.Items == 0 {
		err = noMatch(pattern)
		if len(res.Erased) > 0 {
			err = command.Failf(command.Failure, "exhibit verify says who erased what, and why", "%s: %s", timeline.Printable(res.Erased[0].Path), res.Erased[0].Detail)
		}
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	return res, err
}

// erasedIn are the items that a pattern selects and that were erased. Those
// whose names are gone may have been any.
func erasedIn(r *bundle.Reader, pattern string) ([]erasedItem, error) {
	var list []erasedItem
	if len(r.Erasures()) == 0 {
		return nil, nil
	}
	for it, err := range r.Items() {
		if err != nil {
			return nil, err
		}
		if it.Kind == evidence.KindErased && (pattern == "" || it.Path == "" || timeline.WildcardMatch(pattern, it.Path)) {
			list = append(list, erasedItem{it.Index, timeline.Printable(it.Path), timeline.Printable(it.Detail)})
		}
	}
	return list, nil
}

// erasedItem is an item that cannot be extracted any more.
type erasedItem struct {
	Leaf   int64  `json:"leaf"`
	Path   string `json:"path,omitempty"`
	Detail string `json:"detail"`
}

// noMatch is the answer to a pattern that fits nothing: an empty result could
// be taken for evidence of absence.
func noMatch(pattern string) error {
	return command.Failf(command.Failure, "exhibit ls BUNDLE lists the paths; * stands for any run of characters, quote it from the shell", "no item matches %q", pattern)
}

// extraction sums up what was written.
type extraction struct {
	Dir      string   `json:"dir"`
	SealCode string   `json:"seal_code"` // of the seal that proves the records
	Items    int64    `json:"items"`
	Bytes    int64    `json:"bytes"`
	Changed  []string `json:"changed,omitempty"`
	Unproven []string `json:"unproven,omitempty"`

	Erased []erasedItem `json:"erased,omitempty"` // on a legal order: nothing of them is there
}
