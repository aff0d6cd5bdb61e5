package chainofcustody

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	eventSuffix = ".json"
	sigSuffix   = ".sig"
	maxSigFile  = 16 << 10
	maxLogFiles = 1 << 18
	maxLogBytes = 256 << 20 // of one exhibit's log: some 200,000 events
)

// node is one event file as found, readable or not.
type node struct {
	file   string
	digest evidence.Digest
	event  Event // valid when err is nil
	err    error
	data   []byte
	sig    []byte
	sigErr error

	countersigs []companion
	tokens      []companion
}

// logFiles is what lies in custody/<exhibit>/.
type logFiles struct {
	nodes   []*node // sorted by file name
	orphans []string
	strays  []string
}

// readLog reads a log folder. Files that are not of the format are kept by
// name; only an unreadable folder is an error.
func readLog(root *os.Root, exhibit string) (*logFiles, error) {
	dir := path.Join(CustodyDir, exhibit)
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxLogFiles {
		return nil, fmt.Errorf("%s: %w: %d files", dir, errTooBig, len(entries))
	}
	var l logFiles
	have := map[string]bool{}
	for _, entry := range entries {
		have[entry.Name()] = true
	}
	total := 0
	var companions []string
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, eventSuffix):
			n := readNode(root, dir, name)
			if total += len(n.data) + len(n.sig); total > maxLogBytes {
				return nil, fmt.Errorf("%s: %w: more than %d bytes", dir, errTooBig, maxLogBytes)
			}
			l.nodes = append(l.nodes, n)
		case strings.HasSuffix(name, eventSuffix+sigSuffix):
			if !have[strings.TrimSuffix(name, sigSuffix)] {
				l.orphans = append(l.orphans, name)
			}
		case isCompanion(name, have):
			companions = append(companions, name)
		default:
			l.strays = append(l.strays, name)
		}
	}
	l.attach(root, dir, companions)
	return &l, nil
}

// attach files companions with their events.
func (l *logFiles) attach(root *os.Root, dir string, names []string) {
	byFile := make(map[string]*node, len(l.nodes))
	for _, n := range l.nodes {
		byFile[n.file] = n
	}
	for _, name := range names {
		base, _, _ := strings.Cut(name, eventSuffix+".")
		if n := byFile[base+eventSuffix]; n != nil {
			n.readCompanion(root, dir, name)
		}
	}
}

// isCompanion knows the files that lie beside an event: counter-signatures and
// time stamps of a present event, and certificates.
func isCompanion(name string, have map[string]bool) bool {
	if strings.HasSuffix(name, "-cert.pub") {
		return true
	}
	base, rest, ok := strings.Cut(name, eventSuffix+".")
	return ok && have[base+eventSuffix] && (strings.HasSuffix("."+rest, countersigSuffix) || strings.HasSuffix("."+rest, tokenSuffix))
}

func readNode(root *os.Root, dir, name string) *node {
	n := &node{file: name}
	if n.data, n.err = readBounded(root, path.Join(dir, name), MaxEventSize); n.err == nil {
		n.digest = evidence.Sum(n.data)
		n.event, n.err = ParseEvent(n.data)
		n.event.File = name
	}
	n.sig, n.sigErr = readBounded(root, path.Join(dir, name+sigSuffix), maxSigFile)
	return n
}

// heads are the files that no readable event names as parent. Unreadable
// files count too, so that the next event pins them as they are.
func (l *logFiles) heads() []evidence.Digest {
	parents := map[evidence.Digest]bool{}
	for _, n := range l.nodes {
		for _, d := range n.event.Prev {
			parents[d] = true
		}
	}
	var heads []evidence.Digest
	for _, n := range l.nodes {
		if !n.digest.IsZero() && !parents[n.digest] {
			heads = append(heads, n.digest)
		}
	}
	slices.SortFunc(heads, compareDigests)
	return slices.Compact(heads)
}

func compareDigests(a, b evidence.Digest) int { return bytes.Compare(a[:], b[:]) }

// numberEvents sets Event.Number from the links alone: 1 for a first event,
// one more than the highest parent for others. Parents that are missing count
// by the file's own name, so that a gap does not renumber what follows.
func (l *logFiles) numberEvents() {
	byDigest := map[evidence.Digest]*node{}
	for _, n := range l.nodes {
		byDigest[n.digest] = n
	}
	for _, n := range l.nodes {
		stack := []*node{n}
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			number, open := 1, false
			for _, d := range top.event.Prev {
				parent := byDigest[d]
				switch {
				case parent == nil || parent.err != nil:
					number = max(number, nameNumber(top.file))
				case parent.event.Number == 0:
					stack, open = append(stack, parent), true
				default:
					number = max(number, parent.event.Number+1)
				}
			}
			if !open {
				if top.err != nil {
					number = nameNumber(top.file)
				}
				top.event.Number = max(number, 1)
				stack = stack[:len(stack)-1]
			}
		}
	}
}

// nameNumber reads the number a file name starts with; 0 where there is none.
func nameNumber(file string) int {
	digits, _, _ := strings.Cut(file, "-")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// eventFileName is where an event belongs.
func eventFileName(number int, kind EventKind, digest evidence.Digest) string {
	return fmt.Sprintf("%04d-%s-%.12s%s", number, kind, digest, eventSuffix)
}

// ordered returns the readable nodes so that parents precede children and
// branches run by their times.
func (l *logFiles) ordered() []*node {
	l.numberEvents()
	var nodes []*node
	for _, n := range l.nodes {
		if n.err == nil {
			nodes = append(nodes, n)
		}
	}
	slices.SortStableFunc(nodes, func(a, b *node) int {
		return cmp.Or(
			cmp.Compare(a.event.Number, b.event.Number),
			a.event.Time.UTC.Compare(b.event.Time.UTC),
			compareDigests(a.digest, b.digest),
		)
	})
	return nodes
}

// Log returns the readable events of an exhibit, parents before children, and
// a Problem for each file that is not a readable event. It does not judge:
// VerifyCustody does.
func (c *Case) Log(exhibit string) ([]Event, []evidence.Problem, error) {
	l, err := c.readLog(exhibit)
	if err != nil {
		return nil, nil, fmt.Errorf("read custody log: %w", err)
	}
	var events []Event
	for _, n := range l.ordered() {
		events = append(events, n.event)
	}
	return events, l.problems(exhibit), nil
}

func (l *logFiles) problems(exhibit string) []evidence.Problem {
	var problems []evidence.Problem
	add := func(file string, code evidence.Code, detail string) {
		problems = append(problems, evidence.Problem{
			Stage: "custody", Code: code, Detail: detail,
			Ref: evidence.Ref{Member: path.Join(CustodyDir, exhibit, file), Offset: -1, Length: -1},
		})
	}
	for _, n := range l.nodes {
		if n.err != nil {
			add(n.file, evidence.Corrupt, n.err.Error())
		}
		if errors.Is(n.sigErr, fs.ErrNotExist) {
			add(n.file, evidence.Missing, "the event has no signature file")
		} else if n.sigErr != nil {
			add(n.file+sigSuffix, evidence.Corrupt, n.sigErr.Error())
		}
	}
	for _, name := range l.orphans {
		add(name, evidence.Missing, "a signature without its event")
	}
	for _, name := range l.strays {
		add(name, evidence.Unsupported, "not a file of the custody format")
	}
	return problems
}

// ErrNoExhibit says that the case has no exhibit of that number.
var ErrNoExhibit = errors.New("no such exhibit")

func (c *Case) readLog(exhibit string) (*logFiles, error) {
	if !IsExhibit(exhibit) {
		return nil, fmt.Errorf("%q: %w", exhibit, ErrNoExhibit)
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l, err := readLog(root, exhibit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", exhibit, ErrNoExhibit)
	}
	return l, err
}
