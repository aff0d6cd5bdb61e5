package local

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// group is a run of small jobs of one family that share a segment.
type group struct {
	family  string
	jobs    []*pendingJob
	rows    int64
	bytes   int64
	segment entry
}

// Close lists the committed jobs in the manifest and releases the folder.
// Small jobs are put together by family, in the order (Order, Key). Where
// nothing was committed the timeline stays as it was.
func (b *Builder) Close() error {
	defer b.pending.file.Close()
	jobs := b.pending.jobs
	slices.SortFunc(jobs, func(x, y *pendingJob) int {
		return cmp.Or(cmp.Compare(x.Order, y.Order), cmp.Compare(x.Key, y.Key))
	})
	if len(jobs) > 0 || b.base == nil {
		if err := b.list(jobs); err != nil {
			return fmt.Errorf("close timeline: %w", err)
		}
	}
	b.pending.file.Close()
	if err := os.Remove(b.path(pendingName)); err != nil {
		return fmt.Errorf("close timeline: %w", err)
	}
	return nil
}

// Suspend releases the folder and leaves the committed jobs in PENDING, as a
// killed build would: the next Builder takes them over, and what it writes is
// what one uninterrupted build would have written.
func (b *Builder) Suspend() error {
	err := errors.Join(b.pending.file.Sync(), b.pending.file.Close())
	if err != nil {
		return fmt.Errorf("suspend timeline: %w", err)
	}
	return nil
}

func (b *Builder) list(jobs []*pendingJob) error {
	groups := groupSmall(jobs, b.limits)
	if err := b.writeGroups(groups); err != nil {
		return err
	}
	lines := &chain{}
	if b.base != nil {
		lines.prev = b.base.head
	} else if err := lines.add(entry{Type: entryHeader, Format: FormatVersion}); err != nil {
		return err
	}
	shared := make(map[string]string) // key of a small job to its segment
	for _, job := range jobs {
		for _, e := range job.Segments {
			if err := lines.add(e); err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		if err := lines.add(g.segment); err != nil {
			return err
		}
		for _, job := range g.jobs {
			shared[job.Key] = g.segment.Name
		}
	}
	if err := b.listTables(lines, jobs); err != nil {
		return err
	}
	for _, job := range jobs {
		e := entry{
			Type: entryJob, Key: job.Key, Parser: job.Source.Parser, Source: job.Source.ID, Family: job.Family,
			Events: job.Source.Events, Problems: job.Source.Problems,
		}
		for i := range job.Segments {
			e.Segments = append(e.Segments, job.Segments[i].Name)
		}
		if name := shared[job.Key]; name != "" {
			e.Segments = []string{name}
		}
		if err := lines.add(e); err != nil {
			return err
		}
	}
	return b.writeManifest(lines)
}

// groupSmall forms groups in the order of the jobs, families by name.
func groupSmall(jobs []*pendingJob, l limits) []*group {
	open := make(map[string]*group)
	var groups []*group
	for _, job := range jobs {
		if job.Small == 0 {
			continue
		}
		g := open[job.Family]
		if g == nil || g.rows+job.Small > int64(l.segmentRows) || g.bytes+job.Records > int64(l.segmentBytes/2) {
			g = &group{family: job.Family}
			open[job.Family] = g
			groups = append(groups, g)
		}
		g.jobs = append(g.jobs, job)
		g.rows += job.Small
		g.bytes += job.Records
	}
	slices.SortStableFunc(groups, func(x, y *group) int { return cmp.Compare(x.family, y.family) })
	return groups
}

// writeGroups writes the shared segments, a few at a time.
func (b *Builder) writeGroups(groups []*group) error {
	todo := make(chan *group)
	errs := make([]error, cap(b.writers))
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			for g := range todo {
				if errs[i] == nil {
					errs[i] = b.writeGroup(g)
				}
			}
		})
	}
	for _, g := range groups {
		todo <- g
	}
	close(todo)
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	synced := make(map[string]bool)
	for _, g := range groups {
		if dir := filepath.Dir(b.path(g.segment.Name)); !synced[dir] {
			synced[dir] = true
			if err := syncDir(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Builder) writeGroup(g *group) error {
	r := b.takeRows()
	defer b.giveRows(r)
	for _, job := range g.jobs {
		records, err := b.pending.records(job)
		if err != nil {
			return err
		}
		source, err := job.Source.source()
		if err != nil {
			return err
		}
		if err := addRecords(r, records, source); err != nil {
			return err
		}
	}
	var err error
	g.segment, err = b.segment(g.family, "g"+keysID(g.jobs), r)
	return err
}

// keysID names what was made of these jobs.
func keysID(jobs []*pendingJob) string {
	h := evidence.NewHash()
	for _, job := range jobs {
		h.Write([]byte(job.Key))
	}
	return evidence.DigestOf(h).String()[:31]
}

// listTables writes the sources and problems of the jobs.
func (b *Builder) listTables(lines *chain, jobs []*pendingJob) error {
	if len(jobs) == 0 {
		return nil
	}
	id, rows := keysID(jobs), int64(len(jobs))
	add := func(kind string, write func(*hashedFile) error) error {
		name := fmt.Sprintf("%s/%s.%s.jsonl", tableDir, id, kind)
		sum, size, err := b.file(name, write)
		if err != nil {
			return err
		}
		return lines.add(entry{Type: kind, Name: name, SHA256: sum.String(), Bytes: size, Rows: rows})
	}
	err := add(entrySources, func(f *hashedFile) error {
		for _, job := range jobs {
			line, err := json.Marshal(&job.Source)
			if err != nil {
				return err
			}
			if _, err := f.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows = 0
	for _, job := range jobs {
		rows += min(job.Source.Problems, problemsMax+1)
	}
	if rows > 0 {
		err = add(entryProblems, func(f *hashedFile) error { return b.copyProblems(f, jobs) })
		if err != nil {
			return err
		}
	}
	return syncDir(b.path(tableDir))
}

func (b *Builder) copyProblems(f *hashedFile, jobs []*pendingJob) error {
	for _, job := range jobs {
		text, err := b.pending.problems(job)
		if err != nil {
			return err
		}
		if _, err := f.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// writeManifest replaces the manifest by itself with lines after it. It is
// written anew so that a crash leaves either the old one or the new one.
func (b *Builder) writeManifest(lines *chain) error {
	var old []byte
	if b.base != nil {
		var err error
		if old, err = os.ReadFile(b.path(manifestName)); err != nil {
			return err
		}
		if int64(len(old)) != b.base.bytes {
			return &FileError{manifestName, errors.New("has changed while the timeline was built")}
		}
	}
	_, _, err := b.file(manifestName, func(f *hashedFile) error {
		if _, err := f.Write(old); err != nil {
			return err
		}
		_, err := f.Write(lines.out.Bytes())
		return err
	})
	if err != nil {
		return err
	}
	return syncDir(b.dir)
}
