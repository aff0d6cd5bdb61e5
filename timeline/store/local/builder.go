package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Builder writes a timeline. Jobs may run in parallel; Close lists them in
// the manifest in the order (Order, Key). Until then nothing is visible to
// Open, and a build that dies leaves its finished jobs to the next Builder.
type Builder struct {
	dir     string
	limits  limits
	pending *pendingLog
	base    *manifest // nil where there is no manifest yet

	mu   sync.Mutex
	done map[string]bool

	writers chan *segmentWriter // one token per segment written at a time
	free    chan *rows
}

var _ timeline.Builder = (*Builder)(nil)

// Create opens the timeline in dir for building, and makes the folder where
// there is none. It fails with ErrBusy while another process builds there.
func Create(dir string) (*Builder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create timeline: %w", err)
	}
	pending, err := openPending(dir)
	if err != nil {
		return nil, err
	}
	b := &Builder{dir: dir, limits: standard, pending: pending, done: make(map[string]bool)}
	if b.base, err = readManifest(dir, nil); err != nil && !errors.Is(err, ErrNoTimeline) {
		pending.file.Close()
		return nil, err
	}
	b.adopt()
	if err := b.sweep(); err != nil {
		pending.file.Close()
		return nil, err
	}
	n := min(runtime.GOMAXPROCS(0), 4)
	b.writers, b.free = make(chan *segmentWriter, n), make(chan *rows, 2*n)
	for range n {
		b.writers <- newSegmentWriter()
	}
	return b, nil
}

// adopt takes over the jobs that an earlier build left: those of which the
// manifest does not know and all files are there.
func (b *Builder) adopt() {
	var kept []*pendingJob
	for _, job := range b.pending.jobs {
		if b.base != nil && b.base.jobs[job.Key] || b.done[job.Key] || !b.complete(job) {
			continue
		}
		b.done[job.Key] = true
		kept = append(kept, job)
	}
	b.pending.jobs = kept
	if b.base != nil {
		for key := range b.base.jobs {
			b.done[key] = true
		}
	}
}

func (b *Builder) complete(job *pendingJob) bool {
	for i := range job.Segments {
		s := &job.Segments[i]
		if s.checkFile(segmentDir, ".parquet") != nil || !hasSize(b.path(s.Name), s.Bytes) || !hasSize(b.path(s.tok()), s.TokBytes) {
			return false
		}
	}
	return true
}

func hasSize(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == size
}

// sweep removes the files of jobs that never ended: those that neither the
// manifest nor PENDING knows.
func (b *Builder) sweep() error {
	known := make(map[string]bool)
	keep := func(e *entry) { known[e.Name], known[e.tok()] = true, true }
	if b.base != nil {
		for i := range b.base.segments {
			keep(&b.base.segments[i])
		}
		for i := range b.base.tables {
			known[b.base.tables[i].Name] = true
		}
	}
	for _, job := range b.pending.jobs {
		for i := range job.Segments {
			keep(&job.Segments[i])
		}
	}
	for _, sub := range []string{segmentDir, tableDir} {
		err := filepath.WalkDir(b.path(sub), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
				return nil
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(b.dir, path)
			if err != nil || known[filepath.ToSlash(rel)] || !ourFile(d.Name()) {
				return err
			}
			return os.Remove(path)
		})
		if err != nil {
			return fmt.Errorf("remove leftovers: %w", err)
		}
	}
	return nil
}

func ourFile(name string) bool {
	for _, suffix := range []string{".parquet", ".tok", ".jsonl", tempSuffix} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

func (b *Builder) path(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

// Done implements timeline.Builder.
func (b *Builder) Done(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done[key]
}

// Begin implements timeline.Builder. The job's key must be 64 lower-case
// hexadecimal digits, its family 1 to 32 lower-case letters, digits, "_" and
// "-". A job without a parser records its source only.
func (b *Builder) Begin(_ context.Context, job timeline.Job) (timeline.JobWriter, error) {
	if _, err := evidence.ParseDigest(job.Key); err != nil {
		return nil, fmt.Errorf("begin job: key: %w", err)
	}
	if job.Family == "" || len(job.Family) > 32 || strings.Trim(job.Family, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return nil, fmt.Errorf("begin job: family %q", job.Family)
	}
	if job.Source == nil {
		return nil, errors.New("begin job: no source")
	}
	return &jobWriter{b: b, job: job}, nil
}

// takeRows returns an empty buffer, used before where there is one.
func (b *Builder) takeRows() *rows {
	select {
	case r := <-b.free:
		return r
	default:
		return newRows()
	}
}

func (b *Builder) giveRows(r *rows) {
	r.reset()
	select {
	case b.free <- r:
	default:
	}
}

// segment writes rows as the segment seg/<family>/<name>.
func (b *Builder) segment(family, name string, r *rows) (entry, error) {
	w := <-b.writers
	defer func() { b.writers <- w }()
	e := entry{Type: entrySegment, Family: family, Name: segmentDir + "/" + family + "/" + name + ".parquet"}
	order := r.sorted()
	var info segmentInfo
	sum, size, err := b.file(e.Name, func(f *hashedFile) (err error) {
		info, err = w.write(f, r, order)
		return err
	})
	if err != nil {
		return e, err
	}
	e.SHA256, e.Bytes, e.Rows, e.Undated = sum.String(), size, info.rows, info.undated
	if info.min != timeline.None {
		e.MinTS, e.MaxTS = &info.min, &info.max
	}
	sum, size, err = b.file(e.tok(), func(f *hashedFile) error { return writeTokens(f, r, order) })
	e.TokSHA256, e.TokBytes = sum.String(), size
	return e, err
}
