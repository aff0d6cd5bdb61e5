package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/intake/archive"
)

// collector is the name that stands beside every item of an import.
const collector = "import"

// walk is one import.
type walk struct {
	ctx   context.Context //nolint:containedctx // one import
	sink  Sink
	opt   Options
	rep   Report
	list  memberList
	hosts int   // collections that were entered
	seen  int64 // entries of all archives
	out   int64 // bytes of content
	full  bool  // a limit was reached and said
	buf   [smallMax]byte
}

// smallMax is how much of an item is held, so that most have a known size.
const smallMax = 1 << 20

// level is one container within another.
type level struct {
	form    string
	name    string // as it is called
	path    string // of the archive as an item; "" for the outermost
	chain   string // its name in the one around it
	depth   int
	layout  layout
	times   map[string]times
	entries func() (archive.Entries, error)
}

// Bounds of the look at names before anything is taken: a layout shows early,
// and a packed tar has to be unpacked for it.
const (
	surveyNames = 100_000
	surveyBytes = 1 << 30
)

// members takes a container's members.
func (w *walk) members(lv *level) error {
	entries, err := lv.entries()
	if err != nil {
		return w.problem(evidence.Corrupt, evidence.KindError, lv.path, "it cannot be read: "+err.Error())
	}
	for e, d := range entries {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if d != nil {
			if err = w.damaged(lv, d); err != nil {
				return err
			}
			continue
		}
		if w.seen++; w.seen > w.opt.Limits.Entries || w.out >= w.opt.Limits.Bytes {
			return w.limit(lv, e)
		}
		if err := w.entry(lv, e); err != nil {
			return err
		}
	}
	return nil
}

// survey looks at names and finds the layout.
func (w *walk) survey(lv *level) error {
	entries, err := lv.entries()
	if err != nil {
		return nil //nolint:nilerr // said when it is read
	}
	d := newDetector()
	names, size := 0, int64(0)
	for e := range entries {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		if e == nil {
			continue
		}
		d.see(lv.slashed(e.Name))
		if names++; names >= surveyNames || size >= surveyBytes {
			break
		}
		if lv.form != formZip && lv.form != FormFolder {
			size += max(e.Size, 0)
		}
	}
	want := ""
	if lv.depth == 0 {
		want = w.opt.Layout
	}
	lv.layout = d.layout(want)
	if lv.layout.name != LayoutPlain {
		if lv.layout.hosts > 1 {
			return ErrManyHosts
		}
		w.hosts++
		w.rep.Layout, w.rep.Tool = lv.layout.name, lv.layout.tool
	}
	if lv.layout.name == LayoutVelociraptor && (lv.form == formZip || lv.form == FormFolder) {
		lv.times, err = w.fileTimes(lv)
	}
	return err
}

// limit says that no more is taken.
func (w *walk) limit(lv *level, e *archive.Entry) error {
	if w.full {
		return nil
	}
	w.full = true
	what := fmt.Sprintf("the limit of %d bytes is reached", w.opt.Limits.Bytes)
	if w.seen > w.opt.Limits.Entries {
		what = fmt.Sprintf("the limit of %d entries is reached", w.opt.Limits.Entries)
	}
	return w.problem(evidence.Skipped, evidence.KindSkipped, lv.itemPath(e.Name), what+": this entry and all behind it are left out")
}

// itemPath is the path of something that is no file of the host.
func (lv *level) itemPath(name string) string {
	if lv.path == "" {
		return clean(name)
	}
	return lv.path + "/" + strings.TrimLeft(clean(name), "/")
}

// problem records what was not taken, or is doubtful.
func (w *walk) problem(code evidence.Code, kind evidence.Kind, path, detail string) error {
	w.rep.Lost++
	if len(w.rep.Problems) < problemMax {
		w.rep.Problems = append(w.rep.Problems, Problem{code, path, detail})
	}
	return w.sink.Note(evidence.Item{Kind: kind, Source: evidence.SourceTool, Path: short(path), Detail: short(detail), Collector: collector})
}

// nameMax bounds names in records: what is longer is cut, and the whole name
// is in the original.
const nameMax = 8 << 10

func short(s string) string {
	if len(s) > nameMax {
		return s[:nameMax] + "…"
	}
	return s
}

func (w *walk) damaged(lv *level, d *archive.Damage) error {
	where := ""
	if d.Offset >= 0 {
		where = fmt.Sprintf("at byte %d of %s: ", d.Offset, lv.title())
	}
	path := lv.itemPath(d.Name)
	if d.Name == "" {
		path = lv.name
	}
	return w.problem(evidence.Corrupt, evidence.KindError, path, where+d.Text)
}

func (lv *level) title() string {
	switch {
	case lv.path != "":
		return fmt.Sprintf("%q", lv.path)
	case lv.form == FormFolder:
		return "the folder"
	}
	return "the archive"
}

// slashed is a name with slashes between its parts: some programs write zips
// with the backslashes of Windows.
func (lv *level) slashed(name string) string {
	if lv.form == formZip && !strings.Contains(name, "/") {
		return strings.ReplaceAll(name, `\`, "/")
	}
	return name
}

// entry takes one member.
func (w *walk) entry(lv *level, e *archive.Entry) error {
	at := lv.layout.place(lv.slashed(e.Name))
	if at.odd != "" {
		if err := w.problem(evidence.Inconsistent, evidence.KindError, lv.itemPath(e.Name), at.odd+": it is not taken for a file of the host"); err != nil {
			return err
		}
		at.path = lv.itemPath(e.Name)
	} else if !at.host || lv.layout.name == LayoutPlain && lv.path != "" {
		at.path = lv.itemPath(at.path)
	}
	it := evidence.Item{Source: evidence.SourceTool, Path: short(at.path), Link: short(e.Link), Collector: collector}
	if at.host {
		it.Source = evidence.SourceImport
		it.Stat = w.stat(lv, e, at.path)
	}
	if it.Path == "" || it.Path == "." {
		return nil // the folder that all is in
	}
	switch e.Type {
	case archive.Dir:
		it.Kind = evidence.KindDir
	case archive.Symlink:
		it.Kind = evidence.KindSymlink
	case archive.Device:
		it.Kind = evidence.KindDevice
	case archive.Hardlink:
		it.Kind, it.Detail = evidence.KindSkipped, "by the archive another name of "+short(lv.layout.place(e.Link).path)+": it holds no content under this one"
	default:
		it.Kind = evidence.KindFile
		return w.file(lv, e, it, at.odd)
	}
	if !at.host {
		return nil // a folder or link of the tool's own says nothing
	}
	return w.sink.Note(it)
}

// stat is what the container, or the tool's own record, states of a file.
func (w *walk) stat(lv *level, e *archive.Entry, path string) *evidence.Stat {
	s := &evidence.Stat{
		Mode: e.Mode, UID: e.UID, GID: e.GID, Owner: short(e.Owner), Group: short(e.Group), Size: e.Size,
		Modified: e.Modified, Accessed: e.Accessed, Changed: e.Changed, Born: e.Born,
		Unknown: evidence.StatInode | evidence.StatNlink | evidence.StatBlocks,
	}
	if e.Size < 0 {
		s.Size, s.Unknown = 0, s.Unknown|evidence.StatSize
	}
	if e.Known&archive.KnowsMode == 0 {
		s.Unknown |= evidence.StatMode
	}
	if e.Known&archive.KnowsIDs == 0 {
		s.Unknown |= evidence.StatIDs
	}
	switch lv.layout.name {
	case LayoutAcquire, LayoutVelociraptor, LayoutDrives: // modes and owners there are the tool's, not the host's
		s.Unknown |= evidence.StatMode | evidence.StatIDs
		s.Owner, s.Group = "", ""
	}
	if (lv.form == FormFolder || lv.form == FormFile) && e.Copied && !w.opt.TrustTimes {
		s.Modified = time.Time{}
	}
	if s.Modified.IsZero() && e.Local != "" && w.opt.Zone != nil {
		if t, err := time.ParseInLocation(archive.LocalLayout, e.Local, w.opt.Zone); err == nil {
			s.Modified = t.UTC()
		}
	}
	if t, ok := lv.times[sourceKey(path)]; ok {
		s.Modified, s.Accessed, s.Changed, s.Born = t.modified, t.accessed, t.changed, t.born
	}
	return s
}

// file takes a member with content.
func (w *walk) file(lv *level, e *archive.Entry, it evidence.Item, note string) error {
	w.progress(it.Path)
	r, err := e.Open()
	if err != nil {
		if errors.Is(err, archive.ErrPassword) || errors.Is(err, archive.ErrSealed) && !w.opt.Locked {
			return fmt.Errorf("%s: %w", name(e.Name), err)
		}
		return w.problem(evidence.Unsupported, evidence.KindError, it.Path, err.Error())
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	in := &metered{r: r, left: w.opt.Limits.Bytes - w.out, full: errFull}
	if e.Method == "sparse" && in.left > sparseMax {
		in.left, in.full = sparseMax, errSparse
	}
	n, err := io.ReadFull(in, w.buf[:])
	head := w.buf[:n]
	whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && in.err == nil
	if lv.opens(e, head) {
		return w.nested(lv, e, it, io.MultiReader(bytes.NewReader(head), in), in)
	}
	got, err := w.add(it, head, in, whole)
	if err != nil {
		return err
	}
	return w.taken(lv, e, &got, in, note)
}

// add gives content to the sink: with its size when all of it is in head.
func (w *walk) add(it evidence.Item, head []byte, rest *metered, whole bool) (evidence.Item, error) {
	if whole {
		it.Size = int64(len(head))
		return w.sink.Add(w.ctx, it, bytes.NewReader(head))
	}
	it.Size = -1
	var r io.Reader = rest
	if rest.err != nil {
		r = failing{rest.err}
	}
	return w.sink.Add(w.ctx, it, io.MultiReader(bytes.NewReader(head), r))
}

// taken notes where an item lay, and what is wrong with its content.
func (w *walk) taken(lv *level, e *archive.Entry, got *evidence.Item, in *metered, note string) error {
	w.rep.Members++
	w.rep.Bytes += got.Size
	if got.Member != bundle.MemberName(got.Source, got.Path) {
		text := "another entry has this name, or one that differs from it in case only: this one is " + got.Member
		note = join(note, text)
		if err := w.problem(evidence.Inconsistent, evidence.KindError, got.Path, text); err != nil {
			return err
		}
	}
	w.out += got.Size
	if in.err != nil {
		code := evidence.Corrupt
		if errors.Is(in.err, errFull) || errors.Is(in.err, errSparse) {
			code = evidence.TooBig
		}
		text := fmt.Sprintf("after %d bytes: %v", got.Size, in.err)
		note = join(note, text)
		if err := w.problem(code, evidence.KindError, got.Path, text); err != nil {
			return err
		}
	}
	m := &Member{
		Leaf: got.Index, Path: record.Bytes(got.Path), In: record.Bytes(lv.chain), Name: record.Bytes(short(e.Name)),
		Offset: e.Offset, Packed: e.Packed, Method: e.Method, Sealed: e.Sealed, Size: got.Size, SHA256: got.SHA256.String(), Note: note,
	}
	if e.Modified.IsZero() {
		m.Local = e.Local
	}
	return w.list.add(m)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// name makes a name fit for an error.
func name(s string) string {
	q := fmt.Sprintf("%q", s)
	return q[:min(len(q), 200)]
}

// Errors that end content at a limit of what is taken out of archives.
var (
	errFull   = errors.New("the limit of what is taken is reached")
	errSparse = errors.New("the rest of a sparse file is left out")
)

// sparseMax is how much is taken of a file that a tar holds without its holes:
// a lastlog can claim a terabyte, and what is in it stands at its beginning.
const sparseMax = 1 << 30

// metered reads an entry's content up to the limit and remembers the error
// that ended it.
type metered struct {
	r    io.Reader
	left int64
	full error // what ends it when nothing is left
	err  error
}

func (m *metered) Read(p []byte) (int, error) {
	if m.left <= 0 {
		// One more byte tells a file that just fits from one that does not.
		var one [1]byte
		if n, err := m.r.Read(one[:]); n == 0 && err != nil {
			return 0, m.ended(err)
		}
		m.err = m.full
		return 0, m.full
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.r.Read(p)
	m.left -= int64(n)
	if err != nil {
		err = m.ended(err)
	}
	return n, err
}

// ended keeps an error that is no honest end.
func (m *metered) ended(err error) error {
	if err != io.EOF && m.err == nil { //nolint:errorlint // a reader's end is io.EOF itself
		m.err = err
	}
	return err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (w *walk) progress(path string) {
	if w.opt.Progress != nil {
		w.opt.Progress(Progress{Items: w.rep.Members, Bytes: w.rep.Bytes, Problems: w.rep.Lost, Current: path})
	}
}

// nested takes an archive in an archive: as an item, and its members as items
// of their own.
func (w *walk) nested(lv *level, e *archive.Entry, it evidence.Item, content io.Reader, in *metered) error {
	temp, err := os.CreateTemp(w.opt.TempDir, ".exhibit-nested-*")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(temp.Close(), os.Remove(temp.Name())) }() //nolint:errcheck // scratch
	copyTo := &upTo{w: temp, left: w.opt.Limits.Nested}
	why := ""
	if lv.depth+1 > w.opt.Limits.Depth {
		why = fmt.Sprintf("it is an archive in %d others, and %d are opened", lv.depth+1, w.opt.Limits.Depth)
	}
	it.Size = -1
	if why == "" {
		it.Source, it.Stat = evidence.SourceOriginal, nil
		content = io.TeeReader(content, copyTo)
	}
	got, err := w.sink.Add(w.ctx, it, content)
	if err != nil {
		return err
	}
	if copyTo.err != nil {
		return copyTo.err
	}
	if err := w.taken(lv, e, &got, in, ""); err != nil {
		return err
	}
	if copyTo.full {
		why = fmt.Sprintf("it is an archive of more than %d bytes in another one", w.opt.Limits.Nested)
	}
	if why != "" {
		return w.problem(evidence.Skipped, evidence.KindSkipped, got.Path, why+": its members are not taken")
	}
	return w.inner(lv, e, got, temp)
}

func (w *walk) inner(lv *level, e *archive.Entry, got evidence.Item, temp *os.File) error {
	form, err := FormOf(e.Name, temp, got.Size)
	if err != nil {
		return err
	}
	chain := e.Name
	if lv.chain != "" {
		chain = lv.chain + "//" + e.Name
	}
	chain = short(chain)
	in := level{form: form, name: got.Path, path: got.Path, chain: chain, depth: lv.depth + 1}
	in.entries = func() (archive.Entries, error) { return w.open(form, temp, got.Size) }
	layout, tool, hosts := w.rep.Layout, w.rep.Tool, w.hosts
	switch err := w.survey(&in); {
	case errors.Is(err, ErrManyHosts), err == nil && w.hosts > 1:
		w.rep.Layout, w.rep.Tool, w.hosts = layout, tool, hosts
		return w.problem(evidence.Skipped, evidence.KindSkipped, got.Path, "it is another collection: import it on its own")
	case err != nil:
		return err
	}
	return w.members(&in)
}

// opens reports whether an entry is an archive whose members are to be taken:
// one in plain surroundings, by its name and by what it begins with. What a
// host had in archives stays in them.
func (lv *level) opens(e *archive.Entry, head []byte) bool {
	return lv.layout.name == LayoutPlain && lv.form != FormFile && namedArchive(e.Name) && formByContent(head) != FormFile
}

// upTo copies up to a limit. It never fails, for what goes through it must
// reach the bundle.
type upTo struct {
	w    io.Writer
	left int64
	full bool
	err  error
}

func (u *upTo) Write(p []byte) (int, error) {
	if u.full = u.full || int64(len(p)) > u.left; !u.full && u.err == nil {
		_, u.err = u.w.Write(p)
		u.left -= int64(len(p))
	}
	return len(p), nil
}
