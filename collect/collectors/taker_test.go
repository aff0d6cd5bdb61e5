package collectors

import (
	"context"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// memoryTaker keeps what collectors give it, reading content the way the
// engine does but without a bundle.
type memoryTaker struct {
	host     *collect.Host
	mu       sync.Mutex
	files    []evidence.Item
	rules    map[string]string
	content  map[string][]byte
	notes    []evidence.Item
	streams  map[string][]byte
	seen     map[string]int
	went     map[string]wentLine
	problems []evidence.Problem
	discard  bool // keep no content
}

func newMemoryTaker(h *collect.Host) *memoryTaker {
	return &memoryTaker{host: h, rules: map[string]string{}, content: map[string][]byte{}, streams: map[string][]byte{}, seen: map[string]int{}, went: map[string]wentLine{}}
}

func (m *memoryTaker) File(ctx context.Context, path, rule string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	it := evidence.Item{Path: path, Rule: rule, Kind: evidence.KindDevice}
	st, err := m.host.Stat(path)
	it.Stat = st
	var text []byte
	switch {
	case codeOf(err) == evidence.Missing && err != nil:
		it.Kind = evidence.KindAbsent
	case err != nil:
		it.Kind = evidence.KindError
	case st.Mode&modeType == modeRegular:
		it.Kind = evidence.KindFile
		if text, err = m.read(path); err != nil {
			it.Kind, it.Detail = evidence.KindDenied, err.Error()
		}
	case st.Mode&modeType == modeDir:
		it.Kind = evidence.KindDir
	case st.Mode&modeType == modeLink:
		it.Kind = evidence.KindSymlink
		it.Link, err = m.host.Readlink(path)
		if err != nil {
			it.Kind = evidence.KindError
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files = append(m.files, it)
	m.rules[path] = rule
	m.content[path] = text
	return nil
}

func (m *memoryTaker) read(path string) ([]byte, error) {
	f, err := m.host.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if m.discard {
		_, err = io.Copy(io.Discard, f)
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

func (m *memoryTaker) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if m.discard {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	text, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[it.Path] = text
	return err
}

func (m *memoryTaker) Open(context.Context, evidence.Item, collect.ReaderAt) error { return nil }

func (m *memoryTaker) Note(_ context.Context, it evidence.Item) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes = append(m.notes, it)
	return nil
}

func (m *memoryTaker) Seen(rule string, matched int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[rule] += matched
}

func (m *memoryTaker) Went(rule string, matched int, outcome collect.Outcome, detail string) {
	m.Seen(rule, matched)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.went[rule] = wentLine{matched, outcome, detail}
}

// wentLine is what Went was told of a definition.
type wentLine struct {
	matched int
	outcome collect.Outcome
	detail  string
}

func (m *memoryTaker) Problem(p evidence.Problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problems = append(m.problems, p)
}

// paths returns what File was asked for and found, sorted.
func (m *memoryTaker) paths() []string {
	var out []string
	for _, it := range m.files {
		if it.Kind != evidence.KindAbsent {
			out = append(out, it.Path)
		}
	}
	slices.Sort(out)
	return out
}

func (m *memoryTaker) absent() []string {
	var out []string
	for _, it := range m.files {
		if it.Kind == evidence.KindAbsent {
			out = append(out, it.Path)
		}
	}
	slices.Sort(out)
	return out
}

func (m *memoryTaker) file(path string) (evidence.Item, bool) {
	i := slices.IndexFunc(m.files, func(it evidence.Item) bool { return it.Path == path })
	if i < 0 {
		return evidence.Item{}, false
	}
	return m.files[i], true
}

func (m *memoryTaker) note(path string) (evidence.Item, bool) {
	i := slices.IndexFunc(m.notes, func(it evidence.Item) bool { return it.Path == path })
	if i < 0 {
		return evidence.Item{}, false
	}
	return m.notes[i], true
}

// shell runs a command and returns what it printed.
func shell(t testing.TB, command string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, errors.String())
	}
	return string(out)
}
