package local

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Types of manifest lines.
const (
	entryHeader   = "header"
	entrySegment  = "segment"
	entrySources  = "sources"
	entryProblems = "problems"
	entryJob      = "job"
)

// entry is one line of the manifest. Which fields are set depends on Type;
// docs/format/timeline.md lists them.
type entry struct {
	Prev   string `json:"prev"` // SHA-256 of the line before, without its line feed
	Type   string `json:"type"`
	Format string `json:"format,omitempty"`

	Name    string `json:"name,omitempty"` // relative to the folder, with slashes
	SHA256  string `json:"sha256,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Rows    int64  `json:"rows,omitempty"`
	Undated int64  `json:"undated,omitempty"`
	MinTS   *int64 `json:"min_ts,omitempty"`
	MaxTS   *int64 `json:"max_ts,omitempty"`
	Family  string `json:"family,omitempty"`

	TokSHA256 string `json:"tok_sha256,omitempty"`
	TokBytes  int64  `json:"tok_bytes,omitempty"`

	Key      string   `json:"key,omitempty"`
	Parser   string   `json:"parser,omitempty"`
	Source   string   `json:"source,omitempty"`
	Events   int64    `json:"events,omitempty"`
	Problems int64    `json:"problems,omitempty"`
	Segments []string `json:"segments,omitempty"`
}

// times returns the span of the dated rows; ok is false without any.
func (e *entry) times() (first, last int64, ok bool) {
	if e.MinTS == nil || e.MaxTS == nil {
		return 0, 0, false
	}
	return *e.MinTS, *e.MaxTS, true
}

func (e *entry) tok() string { return strings.TrimSuffix(e.Name, ".parquet") + ".tok" }

// Bounds of a manifest. A line of a job of 10^8 events names 400 segments.
const (
	maxLine     = 1 << 20
	maxManifest = 1 << 30
)

// chain writes manifest lines.
type chain struct {
	prev evidence.Digest
	out  bytes.Buffer
}

func (c *chain) add(e entry) error {
	e.Prev = c.prev.String()
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode manifest line: %w", err)
	}
	if len(line) > maxLine {
		return fmt.Errorf("manifest line of %d bytes is over the limit of %d", len(line), maxLine)
	}
	c.prev = evidence.Sum(line)
	c.out.Write(line)
	c.out.WriteByte('\n')
	return nil
}

// manifest is what a manifest says.
type manifest struct {
	head     evidence.Digest // SHA-256 of the last line
	bytes    int64
	segments []entry
	tables   []entry // sources and problems, in order
	jobs     map[string]bool
}

// readManifest reads and checks the manifest of dir. The error is
// ErrNoTimeline where there is none and a FileError where it is damaged.
func readManifest(dir string, each func(entry) error) (*manifest, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoTimeline)
	}
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	m, err := parseManifest(f, each)
	if err != nil && !errors.Is(err, ErrNewer) {
		return nil, &FileError{manifestName, err}
	}
	return m, err
}

func parseManifest(r io.Reader, each func(entry) error) (*manifest, error) {
	m := &manifest{jobs: make(map[string]bool)}
	in := bufio.NewReaderSize(io.LimitReader(r, maxManifest), 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) && n > 1 {
			return m, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Prev != m.head.String() {
			return nil, fmt.Errorf("line %d: the chain is broken: it follows %.16s, the line before is %.16s", n, e.Prev, m.head)
		}
		if err := m.take(&e, n); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		m.head = evidence.Sum(line)
		m.bytes += int64(len(line)) + 1
		if each != nil {
			if err := each(e); err != nil {
				return nil, err
			}
		}
	}
}

// readLine returns a line without its line feed, good until the next call.
// The last line must end in one.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	if errors.Is(err, io.EOF) {
		if len(line) > 0 {
			return nil, errors.New("ends in the middle of a line")
		}
		return nil, io.EOF
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxLine {
			return nil, fmt.Errorf("is longer than %d bytes", maxLine)
		}
		line, err = in.ReadSlice('\n')
		long = append(long, line...)
	}
	if err != nil {
		return nil, errors.New("ends in the middle of a line")
	}
	return long[:len(long)-1], nil
}

func (m *manifest) take(e *entry, n int) error {
	if n == 1 {
		switch {
		case e.Type != entryHeader:
			return errors.New("is no header of a timeline")
		case e.Format != FormatVersion:
			return fmt.Errorf("format %q: %w", e.Format, ErrNewer)
		}
		return nil
	}
	switch e.Type {
	case entrySegment:
		if err := e.checkFile(segmentDir, ".parquet"); err != nil {
			return err
		}
		if e.Rows <= 0 || e.Rows > math.MaxInt32 || e.Undated < 0 || e.Undated > e.Rows {
			return fmt.Errorf("segment of %d rows, %d undated", e.Rows, e.Undated)
		}
		if first, last, ok := e.times(); ok != (e.Undated < e.Rows) || first > last || ok && first == timeline.None {
			return errors.New("segment's times and counts disagree")
		}
		m.segments = append(m.segments, *e)
	case entrySources, entryProblems:
		if err := e.checkFile(tableDir, ".jsonl"); err != nil {
			return err
		}
		m.tables = append(m.tables, *e)
	case entryJob:
		m.jobs[e.Key] = true
	default:
		return fmt.Errorf("type %q: %w", e.Type, ErrNewer)
	}
	return nil
}

// checkFile refuses names that lead anywhere but below dir.
func (e *entry) checkFile(dir, suffix string) error {
	if !fs.ValidPath(e.Name) || !strings.HasPrefix(e.Name, dir+"/") || !strings.HasSuffix(e.Name, suffix) ||
		strings.ContainsAny(e.Name, "\\:\x00") {
		return fmt.Errorf("file name %q", e.Name)
	}
	if _, err := evidence.ParseDigest(e.SHA256); err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	if e.Bytes < 0 {
		return fmt.Errorf("%s: size %d", e.Name, e.Bytes)
	}
	return nil
}
