// Package intake takes apart what other tools collected: archives and folders
// as UAC, Velociraptor, KAPE, CyLR and acquire write them, and any other. Each
// member becomes an item under the path it had on its host, with the times
// that the archive or the tool's own records state, and a line that says where
// in the archive it lay.
//
// The package reads only. Where items go is the caller's Sink.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/intake/archive"
)

// Sink takes items, as bundle.Writer does.
type Sink interface {
	// Add stores content of size bytes, -1 when that is not known.
	Add(ctx context.Context, it evidence.Item, content io.Reader) (evidence.Item, error)
	// Note stores an item without content.
	Note(it evidence.Item) error
}

// Limits bound what is taken out of archives. The zero value of a field is its
// default.
type Limits struct {
	Depth   int   // archives in archives; 3
	Entries int64 // of all archives together; 4,194,304
	Bytes   int64 // of content, all together; 16 GiB or 1000 times the input, whichever is more
	Nested  int64 // of one archive in an archive; 64 GiB
}

// Bounds where a caller gives none. Logs pack 10 to 100 times.
const (
	defaultDepth   = 3
	defaultEntries = archive.ZipMax
	defaultFloor   = 16 << 30
	defaultRatio   = 1000
	defaultNested  = 64 << 30
)

func (l Limits) filled(input int64) Limits {
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Entries <= 0 {
		l.Entries = defaultEntries
	}
	if l.Bytes <= 0 {
		l.Bytes = max(defaultFloor, defaultRatio*min(input, 1<<50))
	}
	if l.Nested <= 0 {
		l.Nested = defaultNested
	}
	return l
}

// Options say how a source is read.
type Options struct {
	Layout     string         // one of Layouts; "": by what is in it
	As         string         // path of a single file on its host; "": its name
	Zone       *time.Location // of times that an archive states without a zone; nil: such times are not used
	TrustTimes bool           // take times of files in a folder as the host's
	Password   []byte         // of encrypted zips
	Locked     bool           // go on without what is encrypted, where no password is given
	Limits     Limits
	TempDir    string         // where archives in archives are unpacked for a while
	Progress   func(Progress) // called now and then
}

// Progress says how far an import is.
type Progress struct {
	Items, Bytes, Problems int64
	Current                string
}

// Problem is something of the source that was not taken, or is doubtful.
type Problem struct {
	Code   evidence.Code `json:"code"`
	Path   string        `json:"path,omitempty"`
	Detail string        `json:"detail"`
}

// Report says what was taken.
type Report struct {
	Form     string // "zip", "tar", "tar.gz", …, "folder", "file"
	Layout   string // one of Layouts
	Tool     string // program that collected it, by the layout; "" when not known
	Members  int64  // items with content
	Bytes    int64  // their sizes
	Problems []Problem
	Lost     int64 // problems, also those beyond the first problemMax
	Limited  bool  // what is behind a limit was left out
}

// problemMax bounds the problems that are held; all are in the bundle.
const problemMax = 1000

// Errors that end an import.
var (
	ErrManyHosts = errors.New("it holds collections of more than one host")
	ErrLayout    = errors.New("unknown layout")
	ErrEmpty     = errors.New("nothing in it could be read")
)

// Source is what was received: a file, or a folder.
type Source struct {
	Name string   // as it was called
	File *os.File // nil for a folder
	Size int64    // of the file
	Root *os.Root // of a folder
}

// Take reads a source and gives its items to sink. It ends early only when ctx
// is done, the sink fails, a password is wrong, or with ErrManyHosts.
func Take(ctx context.Context, src Source, sink Sink, opt Options) (*Report, error) {
	if opt.Layout != "" && !known(opt.Layout) {
		return nil, fmt.Errorf("%w: %s", ErrLayout, opt.Layout)
	}
	opt.Limits = opt.Limits.filled(src.Size)
	w := &walk{ctx: ctx, sink: sink, opt: opt}
	w.rep.Layout = LayoutPlain
	if err := w.list.open(opt.TempDir); err != nil {
		return nil, err
	}
	defer w.list.close()
	if err := w.source(src); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return &w.rep, w.list.store(ctx, sink)
}

// source reads the outermost container.
func (w *walk) source(src Source) error {
	lv := level{name: src.Name}
	if src.Root != nil {
		w.rep.Form = FormFolder
		lv.form = FormFolder
		lv.entries = func() (archive.Entries, error) { return archive.Folder(src.Root), nil }
		return w.container(&lv)
	}
	form, err := FormOf(src.Name, src.File, src.Size)
	if err != nil {
		return err
	}
	w.rep.Form, lv.form = form, form
	if form == FormFile {
		return w.single(src)
	}
	lv.entries = func() (archive.Entries, error) { return w.open(form, src.File, src.Size) }
	if err := w.container(&lv); err != nil || w.rep.Members > 0 {
		return err
	}
	// What is left of it is evidence all the same.
	if err := w.problem(evidence.Corrupt, evidence.KindError, src.Name, "nothing could be taken out of it: it is taken as one file"); err != nil {
		return err
	}
	return w.single(src)
}

// container takes the outermost container.
func (w *walk) container(lv *level) error {
	if err := w.survey(lv); err != nil {
		return err
	}
	return w.members(lv)
}

// single takes a file that is no archive.
func (w *walk) single(src Source) error {
	path := w.opt.As
	if path == "" {
		path = src.Name
	}
	it := evidence.Item{Kind: evidence.KindFile, Source: evidence.SourceImport, Path: path, Collector: collector}
	e := &archive.Entry{Name: src.Name, Size: src.Size, Packed: src.Size, Offset: -1}
	st, err := src.File.Stat()
	if err != nil {
		return err
	}
	// What was read from standard input lies in a file of ours.
	e.Modified, e.Copied = st.ModTime().UTC(), archive.Copied(st)
	lv := level{name: src.Name, form: FormFile}
	it.Stat = w.stat(&lv, e, path)
	e.Open = func() (io.Reader, error) { return io.NewSectionReader(src.File, 0, src.Size), nil }
	return w.file(&lv, e, it, "")
}
