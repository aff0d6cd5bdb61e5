package definition

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Bounds of a set. The largest known have 430 files and 0.5 MB.
const (
	maxFiles    = 20_000
	maxFileSize = 4 << 20
	maxSetSize  = 64 << 20
	maxIssues   = 10_000
)

// ErrSet says that something is no set of definitions, or one over the bounds.
var ErrSet = errors.New("no definitions")

// File is one file of a set.
type File struct {
	Name string // below the folder of the set, with '/'
	Data []byte
}

// Set is definitions as they were read from files.
type Set struct {
	Definitions []Definition // by ID
	Files       []File       // those with definitions or errors, by name
	Profiles    int          // files of UAC that only list others, not kept
	Issues      []Issue
	Digest      evidence.Digest // SHA-256 of the set as one file: see WriteTar

	names map[string]int // every name, lower case → index in Definitions
}

// Open reads sets, each from a folder, from a tar file, or from one file of
// definitions, as one.
func Open(names ...string) (*Set, error) {
	var all []File
	for _, name := range names {
		files, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("read definitions %s: %w", name, err)
		}
		all = append(all, files...)
	}
	return Parse(all)
}

func read(name string) ([]File, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return readFolder(root.FS())
	}
	if !st.Mode().IsRegular() || st.Size() > maxSetSize {
		return nil, fmt.Errorf("%w: no folder and no file of at most %d bytes", ErrSet, maxSetSize)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if isDefinitionName(name) {
		data, err := readBounded(f, maxFileSize)
		return []File{{filepath.Base(name), data}}, err
	}
	return readTar(f)
}

func isDefinitionName(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml" || ext == ".tkape"
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: more than %d bytes in one file", ErrSet, limit)
	}
	return data, err
}

// gather collects files within the bounds of a set.
type gather struct {
	files []File
	size  int
}

func (g *gather) add(name string, r io.Reader) error {
	if len(g.files) >= maxFiles {
		return fmt.Errorf("%w: more than %d files", ErrSet, maxFiles)
	}
	data, err := readBounded(r, maxFileSize)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if g.size += len(data); g.size > maxSetSize {
		return fmt.Errorf("%w: more than %d bytes in all", ErrSet, maxSetSize)
	}
	g.files = append(g.files, File{name, data})
	return nil
}

// readFolder reads the files of a folder whose names are those of definitions.
// Links are not followed.
func readFolder(fsys fs.FS) ([]File, error) {
	var g gather
	looked := 0
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if looked++; looked > 10*maxFiles {
			return fmt.Errorf("%w: more than %d names: name the folder of the definitions themselves", ErrSet, 10*maxFiles)
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // what a repository keeps of its own
		}
		if !d.Type().IsRegular() || !isDefinitionName(name) {
			return nil
		}
		f, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return g.add(name, f)
	})
	return g.files, err
}

func readTar(r io.Reader) ([]File, error) {
	var g gather
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: not a folder, a tar file, .yaml or .tkape: %w", ErrSet, err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "/"))
		if h.Typeflag != tar.TypeReg || !isDefinitionName(name) || strings.Contains("/"+name, "/.") {
			continue
		}
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("%w: the tar file has the name %q", ErrSet, h.Name)
		}
		if err := g.add(name, t); err != nil {
			return nil, err
		}
	}
	return g.files, nil
}

// Parse reads files of any dialect. What is wrong with one of them is an
// Issue; the error is ErrSet when nothing is left.
func Parse(files []File) (*Set, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	s := &Set{names: map[string]int{}}
	for i, f := range files {
		if i > 0 && f.Name == files[i-1].Name {
			s.issue(Issue{File: f.Name, Error: true, Text: "a second file of this name is left out"})
			continue
		}
		list, issues, kept := parseFile(f)
		if !kept {
			s.Profiles++
			continue
		}
		s.Files = append(s.Files, f)
		for _, is := range issues {
			is.File = f.Name
			s.issue(is)
		}
		for _, d := range list {
			d.File = f.Name
			s.add(d)
		}
	}
	if len(s.Definitions) == 0 {
		if len(s.Issues) > 0 {
			return nil, fmt.Errorf("%w: %s", ErrSet, s.Issues[0])
		}
		return nil, fmt.Errorf("%w: nothing there is ForensicArtifacts YAML, a KAPE target or a UAC artifact", ErrSet)
	}
	slices.SortStableFunc(s.Definitions, func(a, b Definition) int { return strings.Compare(a.ID, b.ID) })
	clear(s.names)
	for i := range s.Definitions {
		s.name(i)
	}
	s.links()
	h := evidence.NewHash()
	if err := s.WriteTar(h); err != nil {
		return nil, err
	}
	s.Digest = evidence.DigestOf(h)
	return s, nil
}

// parseFile finds out which dialect a file is in. kept is false for a file
// that holds no definitions by right: UAC's profiles and settings.
func parseFile(f File) (list []Definition, issues []Issue, kept bool) {
	text := strings.TrimPrefix(string(f.Data), "\ufeff")
	switch {
	case strings.EqualFold(path.Ext(f.Name), ".tkape"):
		list, issues = parseKape(f.Name, text)
	case hasLine(text, "artifacts:"):
		if !strings.Contains(text, "collector:") {
			return nil, nil, false
		}
		list, issues = parseUAC(f.Name, text)
	case hasLine(text, "name:") || hasLine(text, "sources:"):
		list, issues = parseArtifacts(text)
	default:
		return nil, nil, false
	}
	return list, issues, true
}

func hasLine(text, start string) bool {
	return strings.HasPrefix(text, start) || strings.Contains(text, "\n"+start)
}

func (s *Set) issue(i Issue) {
	if len(s.Issues) < maxIssues {
		s.Issues = append(s.Issues, i)
	}
}

func (s *Set) add(d Definition) {
	for _, name := range append([]string{d.ID}, d.Aliases...) {
		if other, taken := s.names[strings.ToLower(name)]; taken {
			s.issue(Issue{File: d.File, ID: d.ID, Error: true, Text: fmt.Sprintf("left out: the name %s is taken by %s in %s", name, s.Definitions[other].ID, s.Definitions[other].File)})
			return
		}
	}
	s.Definitions = append(s.Definitions, d)
	s.name(len(s.Definitions) - 1)
}

func (s *Set) name(i int) {
	d := &s.Definitions[i]
	for _, name := range append([]string{d.ID}, d.Aliases...) {
		s.names[strings.ToLower(name)] = i
	}
}

// links checks what groups name.
func (s *Set) links() {
	for i := range s.Definitions {
		d := &s.Definitions[i]
		for _, src := range d.Sources {
			for _, m := range src.Members {
				if _, ok := s.names[strings.ToLower(m)]; !ok {
					s.issue(Issue{File: d.File, ID: d.ID, Error: true, Text: "names " + m + ", which the set does not have"})
				}
			}
		}
	}
}

// Find returns the definition of a name or alias, in any case.
func (s *Set) Find(name string) (*Definition, bool) {
	i, ok := s.names[strings.ToLower(name)]
	if !ok {
		return nil, false
	}
	return &s.Definitions[i], true
}

// Select returns what the names ask for, groups with all they lead to, by ID;
// no names are everything. An error names what is not there.
func (s *Set) Select(names []string) ([]*Definition, error) {
	chosen := make([]bool, len(s.Definitions))
	var queue []string
	for _, name := range names {
		if _, ok := s.Find(name); !ok {
			return nil, fmt.Errorf("no definition %q in the set%s", name, s.near(name))
		}
		queue = append(queue, name)
	}
	if len(names) == 0 {
		for i := range chosen {
			chosen[i] = true
		}
	}
	for len(queue) > 0 {
		i, ok := s.names[strings.ToLower(queue[0])]
		queue = queue[1:]
		if !ok || chosen[i] {
			continue
		}
		chosen[i] = true
		for _, src := range s.Definitions[i].Sources {
			queue = append(queue, src.Members...)
		}
	}
	var out []*Definition
	for i, yes := range chosen {
		if yes {
			out = append(out, &s.Definitions[i])
		}
	}
	return out, nil
}

// near names a definition that was perhaps meant.
func (s *Set) near(name string) string {
	for _, d := range s.Definitions {
		if strings.Contains(strings.ToLower(d.ID), strings.ToLower(name)) {
			return "; there is " + d.ID
		}
	}
	return ""
}

// WriteTar writes the set as one file, the same bytes for the same files: a
// tar of regular files by name, mode 0444, no owner, no time. Its SHA-256 is
// the Digest, whether the set was read from a folder or from such a file.
func (s *Set) WriteTar(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, f := range s.Files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: int64(len(f.Data)), Mode: 0o444, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("write definitions: %w", err)
		}
		if _, err := t.Write(f.Data); err != nil {
			return fmt.Errorf("write definitions: %w", err)
		}
	}
	return t.Close()
}
