package local

import (
	"container/list"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Options of Open. The zero value is ready.
type Options struct {
	// OnDamage is asked about a missing or damaged file (a *FileError). True
	// leaves the file out of the answer; false, and a nil OnDamage, ends the
	// query with the error. It may be called by several goroutines at once.
	OnDamage func(error) bool
	// Workers bounds how many segments are read at a time; 0: one per CPU.
	Workers int
}

// Engine answers queries over a timeline folder. It is safe for use by many
// goroutines. It sees what the manifest listed when it was opened.
type Engine struct {
	dir      string
	opt      Options
	manifest *manifest

	mu     sync.Mutex
	open   map[int]*segment // by number
	recent *list.List       // numbers of open segments nobody uses, oldest first
	closed bool

	sources func() (map[string]*timeline.Source, error)
}

var _ timeline.Engine = (*Engine)(nil)

// openSegments bounds the segments kept open with their footers.
const openSegments = 128

// Open opens the timeline in dir for reading.
func Open(dir string, opt Options) (*Engine, error) {
	m, err := readManifest(dir, nil)
	if err != nil {
		return nil, err
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	e := &Engine{dir: dir, opt: opt, manifest: m, open: make(map[int]*segment), recent: list.New()}
	e.sources = sync.OnceValues(e.readSources)
	return e, nil
}

// Head returns the SHA-256 of the manifest's last line: it stands for the
// whole timeline.
func (e *Engine) Head() evidence.Digest { return e.manifest.head }

// Close implements timeline.Engine. Segments in use stay open until their
// query ends.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for n, s := range e.open {
		if s.users == 0 {
			s.close()
			delete(e.open, n)
		}
	}
	e.recent.Init()
	return nil
}

var errClosed = errors.New("timeline is closed")

// segment is an open segment.
type segment struct {
	entry  *entry
	number int
	file   *os.File
	tok    *os.File
	tokens *tokens // nil: no filter, everything may occur
	chunks []*parquet.FileColumnChunk
	filled []int // columns of schema in which some row has a value

	users int
	place *list.Element
}

// acquire opens segment n, or finds it open. release it after use.
func (e *Engine) acquire(n int) (*segment, error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, errClosed
	}
	if s := e.open[n]; s != nil {
		if s.users++; s.place != nil {
			e.recent.Remove(s.place)
			s.place = nil
		}
		e.mu.Unlock()
		return s, nil
	}
	e.mu.Unlock()
	s, err := e.openSegment(n)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.open[n]; other != nil {
		s.close()
		if other.users++; other.place != nil {
			e.recent.Remove(other.place)
			other.place = nil
		}
		return other, nil
	}
	s.users = 1
	e.open[n] = s
	return s, nil
}

func (e *Engine) release(s *segment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	if e.closed {
		s.close()
		delete(e.open, s.number)
		return
	}
	s.place = e.recent.PushBack(s.number)
	for len(e.open) > openSegments && e.recent.Len() > 0 {
		n := e.recent.Remove(e.recent.Front()).(int)
		e.open[n].close()
		delete(e.open, n)
	}
}

func (s *segment) close() {
	s.file.Close()
	if s.tok != nil {
		s.tok.Close()
	}
}

func (e *Engine) openSegment(n int) (s *segment, err error) {
	entry := &e.manifest.segments[n]
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
		if err != nil {
			if s != nil {
				s.close()
			}
			s, err = nil, &FileError{entry.Name, err}
		}
	}()
	f, err := os.Open(filepath.Join(e.dir, filepath.FromSlash(entry.Name)))
	if err != nil {
		return nil, bare(err)
	}
	s = &segment{entry: entry, number: n, file: f}
	info, err := f.Stat()
	if err != nil {
		return s, bare(err)
	}
	if info.Size() != entry.Bytes {
		return s, fmt.Errorf("has %d bytes, the manifest says %d", info.Size(), entry.Bytes)
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return s, err
	}
	if err := s.bind(file); err != nil {
		return s, err
	}
	s.openTokens(e.dir)
	return s, nil
}

// bind finds the columns of the schema in the file.
func (s *segment) bind(file *parquet.File) error {
	groups := file.RowGroups()
	if len(groups) != 1 || groups[0].NumRows() != s.entry.Rows {
		return fmt.Errorf("has %d rows in %d groups, the manifest says %d in 1", file.NumRows(), len(groups), s.entry.Rows)
	}
	chunks := groups[0].ColumnChunks()
	want := parquetSchema.Fields()
	if len(chunks) != len(want) {
		return fmt.Errorf("has %d columns, want %d", len(chunks), len(want))
	}
	for i, field := range file.Schema().Fields() {
		if field.Name() != want[i].Name() || field.Leaf() != want[i].Leaf() || field.Optional() != want[i].Optional() ||
			field.Repeated() || field.Type().Kind() != want[i].Type().Kind() || field.Type().Length() != want[i].Type().Length() {
			return fmt.Errorf("column %d is %s, want %s", i, field, want[i])
		}
		chunk, ok := chunks[i].(*parquet.FileColumnChunk)
		if !ok || chunk.NumValues() != s.entry.Rows {
			return fmt.Errorf("column %s has %d values in %d rows", field.Name(), chunks[i].NumValues(), s.entry.Rows)
		}
		s.chunks = append(s.chunks, chunk)
		if i >= leavesBefore && chunk.NullCount() != chunk.NumValues() {
			s.filled = append(s.filled, i-leavesBefore)
		}
	}
	return nil
}

// openTokens opens the word filter. Without it the answers are the same and
// take longer; Verify reports it.
func (s *segment) openTokens(dir string) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(s.entry.tok())))
	if err != nil {
		return
	}
	if info, err := f.Stat(); err == nil && info.Size() == s.entry.TokBytes {
		if t, err := openTokens(f, info.Size(), s.entry.Rows); err == nil {
			s.tok, s.tokens = f, t
			return
		}
	}
	f.Close()
}

// bare takes the path off an error: FileError names the file.
func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
