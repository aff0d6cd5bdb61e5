package local

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Get implements timeline.Engine.
func (e *Engine) Get(ctx context.Context, id timeline.ID) (*timeline.Event, error) {
	sources, err := e.sources()
	if err != nil && !e.goOn(err) {
		return nil, err
	}
	for n := range e.manifest.segments {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		ev, err := e.getFrom(n, id, sources)
		if err != nil && !e.goOn(err) {
			return nil, err
		}
		if ev != nil {
			return ev, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", id, timeline.ErrNoEvent)
}

// getFrom looks for an event in one segment, nil where it is not there.
func (e *Engine) getFrom(n int, id timeline.ID, sources map[string]*timeline.Source) (ev *timeline.Event, err error) {
	seg, err := e.acquire(n)
	if err != nil {
		return nil, err
	}
	defer e.release(seg)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
		err = inFile(seg, err)
	}()
	if filter := seg.chunks[idLeaf].BloomFilter(); filter != nil {
		ok, err := filter.Check(parquet.FixedLenByteArrayValue(id[:]))
		if err != nil || !ok {
			return nil, err
		}
	}
	a := newAccess(seg)
	defer a.close()
	for row := int64(0); row < seg.entry.Rows; {
		p, err := a.page(idLeaf, row)
		if err != nil {
			return nil, err
		}
		for i := range p.rows {
			if timeline.ID(p.fixed[i*16:]) == id {
				return a.event(p.first+i, sources)
			}
		}
		row = p.first + p.rows
	}
	return nil, nil
}

// lines yields the lines of a table.
func (e *Engine) lines(table *entry) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := os.Open(filepath.Join(e.dir, filepath.FromSlash(table.Name)))
		if err != nil {
			yield(nil, &FileError{table.Name, bare(err)})
			return
		}
		defer f.Close()
		in := bufio.NewScanner(f)
		in.Buffer(make([]byte, 0, 64<<10), 4<<20)
		rows := int64(0)
		for in.Scan() {
			rows++
			if !yield(in.Bytes(), nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield(nil, &FileError{table.Name, bare(err)})
		} else if rows != table.Rows {
			yield(nil, &FileError{table.Name, fmt.Errorf("has %d lines, the manifest says %d", rows, table.Rows)})
		}
	}
}

// table yields the decoded lines of all tables of a kind.
func table[T any](ctx context.Context, e *Engine, kind string, decode func([]byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for i := range e.manifest.tables {
			t := &e.manifest.tables[i]
			if t.Type != kind {
				continue
			}
			for line, err := range e.lines(t) {
				var v T
				if err == nil {
					if v, err = decode(line); err != nil {
						err = &FileError{t.Name, err}
					}
				}
				if err == nil {
					err = context.Cause(ctx)
				}
				if err != nil {
					if e.goOn(err) {
						continue
					}
					yield(zero, err)
					return
				}
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// Problems implements timeline.Engine.
func (e *Engine) Problems(ctx context.Context) iter.Seq2[evidence.Problem, error] {
	return table(ctx, e, entryProblems, parseProblem)
}

// Sources implements timeline.Engine.
func (e *Engine) Sources(ctx context.Context) iter.Seq2[timeline.SourceInfo, error] {
	return table(ctx, e, entrySources, parseSource)
}

func parseSource(line []byte) (timeline.SourceInfo, error) {
	var l sourceLine
	if err := json.Unmarshal(line, &l); err != nil {
		return timeline.SourceInfo{}, err
	}
	s, err := l.source()
	return timeline.SourceInfo{Source: s, Parser: l.Parser, Events: l.Events, Problems: l.Problems}, err
}

// readSources returns the sources that have events, by identity.
func (e *Engine) readSources() (map[string]*timeline.Source, error) {
	m := make(map[string]*timeline.Source)
	for info, err := range e.Sources(context.Background()) {
		if err != nil {
			return m, err
		}
		if info.Events > 0 {
			m[info.Source.ID] = info.Source
		}
	}
	return m, nil
}

// Explain implements timeline.Engine.
func (e *Engine) Explain(ctx context.Context, q timeline.Query) (string, error) {
	p, err := newPlan(q)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	segments, rows := 0, int64(0)
	for i := range e.manifest.segments {
		if s := &e.manifest.segments[i]; p.touches(s) {
			segments++
			rows += s.Rows
		}
	}
	fmt.Fprintf(&b, "segments: %d of %d by time, %d rows\n", segments, len(e.manifest.segments), rows)
	if p.where == nil {
		b.WriteString("no condition besides time\n")
		return b.String(), nil
	}
	blocks, kept, err := e.blocks(ctx, p)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "blocks of %d rows: %d of %d by word filters\n", tokBlockRows, kept, blocks)
	b.WriteString("then, cheapest first:\n")
	p.where.explain(&b, 1)
	return b.String(), nil
}

// blocks counts the blocks of the plan and those its word filters leave.
func (e *Engine) blocks(ctx context.Context, p *plan) (all, kept int, err error) {
	for n := range e.manifest.segments {
		if err := context.Cause(ctx); err != nil {
			return 0, 0, err
		}
		if !p.touches(&e.manifest.segments[n]) {
			continue
		}
		seg, err := e.acquire(n)
		if err != nil {
			if e.goOn(err) {
				continue
			}
			return 0, 0, err
		}
		s := &scan{access: newAccess(seg), plan: p}
		for s.block = range int((seg.entry.Rows + tokBlockRows - 1) / tokBlockRows) {
			clear(s.words_)
			all++
			if ok, mayErr := p.where.may(s); mayErr != nil {
				err = mayErr
			} else if ok {
				kept++
			}
		}
		e.release(seg)
		if err = inFile(seg, err); err != nil && !e.goOn(err) {
			return 0, 0, err
		}
	}
	return all, kept, nil
}
