package chainofcustody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Errors of the case folder.
var (
	ErrNoCase      = errors.New("no case here or above")
	ErrCaseLocked  = errors.New("case is locked by another writer")
	ErrNewerSchema = errors.New("written by a newer version of this program")
	ErrCaseExists  = errors.New("a case is here already")
	ErrCaseID      = errors.New("a case's id is 1-64 letters, digits, '.', '_' or '-'")
	ErrCaseDamaged = errors.New("the case's own file is damaged")
)

// Names inside a case folder (docs/format/custody.md).
const (
	CaseFile     = "case.json"
	SignersFile  = "allowed_signers"
	PeopleFile   = "people.json"
	ExhibitsDir  = "exhibits"
	CustodyDir   = "custody"
	TimelineDir  = "timeline"
	ReportsDir   = "reports"
	FindingsDir  = "findings"
	caseVersion  = 1
	maxCaseFile  = 1 << 20
	lockFileName = ".lock"
)

// CaseInfo is what case.json says.
type CaseInfo struct {
	ID        string    // short and fit for file names, for example "2026-017"
	Title     string    // one line for people
	Org       string    // who runs the case
	Authority string    // warrant, mandate or policy: its reference
	Purpose   string    // why evidence is collected
	Created   time.Time // InitCase fills it where it is zero
}

type caseRecord struct {
	V         int    `json:"v"`
	ID        string `json:"id"`
	Title     string `json:"title,omitempty"`
	Org       string `json:"org,omitempty"`
	Authority string `json:"authority,omitempty"`
	Purpose   string `json:"purpose,omitempty"`
	Created   string `json:"created"`
}

// Case is a case folder. It holds no open files: many programs may have the
// same case open, and writers take turns (ErrCaseLocked after ten seconds).
type Case struct {
	Info     CaseInfo
	dir      string
	lockWait time.Duration
}

// Dir is the folder as an absolute path.
func (c *Case) Dir() string { return c.dir }

// Path joins names to the case folder.
func (c *Case) Path(names ...string) string {
	return filepath.Join(append([]string{c.dir}, names...)...)
}

// validCaseID allows what is one file name component on every system.
func validCaseID(s string) bool { return validName(s, 64) }

func validName(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && (i == 0 || strings.IndexByte("._-", c) < 0) {
			return false
		}
	}
	return s[len(s)-1] != '.'
}

// InitCase makes a case folder. The folder may exist, but not hold a case
// (ErrCaseExists). It is readable by its owner only.
func InitCase(dir string, info CaseInfo) (*Case, error) {
	if !validCaseID(info.ID) {
		return nil, fmt.Errorf("make case %q: %w", info.ID, ErrCaseID)
	}
	if info.Created.IsZero() {
		info.Created = time.Now()
	}
	info.Created = info.Created.UTC().Truncate(time.Second)
	for _, s := range []string{info.Title, info.Org, info.Authority, info.Purpose} {
		if err := checkText(s); err != nil {
			return nil, fmt.Errorf("make case: %w", err)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("make case: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(abs, CaseFile)); err == nil {
		return nil, fmt.Errorf("make case %s: %w", dir, ErrCaseExists)
	}
	for _, sub := range []string{"", ExhibitsDir, CustodyDir, TimelineDir, ReportsDir, FindingsDir} {
		if err := os.MkdirAll(filepath.Join(abs, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make case: %w", err)
		}
	}
	c := &Case{info, abs, defaultLockWait}
	if err := c.writeFirstFiles(); err != nil {
		return nil, fmt.Errorf("make case %s: %w", dir, err)
	}
	return c, nil
}

// writeFirstFiles leaves case.json to the end: a folder without it is no case.
func (c *Case) writeFirstFiles() error {
	root, unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	header := "# Who may sign in this case: ssh-keygen(1), ALLOWED SIGNERS.\n"
	for _, f := range []struct{ name, text string }{
		{SignersFile, header}, {PeopleFile, "{\"v\":1,\"people\":[]}\n"},
	} {
		if _, err := root.Lstat(f.name); errors.Is(err, fs.ErrNotExist) {
			if err := writeAtomic(root, f.name, []byte(f.text), 0o600); err != nil {
				return err
			}
		}
	}
	i := c.Info
	text, err := json.MarshalIndent(caseRecord{
		caseVersion, i.ID, i.Title, i.Org, i.Authority, i.Purpose,
		i.Created.Format(time.RFC3339),
	}, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(root, CaseFile, append(text, '\n'), 0o600)
}

// OpenCase opens a case folder: ErrNoCase where there is none,
// ErrNewerSchema where a newer program wrote it.
func OpenCase(dir string) (*Case, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open case: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open case %s: %w", dir, ErrNoCase)
	}
	if err != nil {
		return nil, fmt.Errorf("open case %s: %w", dir, err)
	}
	defer root.Close()
	data, err := readBounded(root, CaseFile, maxCaseFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open case %s: %w", dir, ErrNoCase)
	}
	if err != nil {
		return nil, fmt.Errorf("open case %s: %w", dir, err)
	}
	info, err := parseCase(data)
	if errors.Is(err, ErrNewerSchema) {
		return nil, fmt.Errorf("open case %s: read %s: %w", dir, CaseFile, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open case %s: read %s: %w: %w", dir, CaseFile, ErrCaseDamaged, err)
	}
	return &Case{info, abs, defaultLockWait}, nil
}

func parseCase(data []byte) (CaseInfo, error) {
	var version struct{ V int }
	if err := json.Unmarshal(data, &version); err != nil {
		return CaseInfo{}, err
	}
	if version.V > caseVersion {
		return CaseInfo{}, fmt.Errorf("version %d: %w", version.V, ErrNewerSchema)
	}
	var r caseRecord
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return CaseInfo{}, err
	}
	if r.V != caseVersion || !validCaseID(r.ID) {
		return CaseInfo{}, fmt.Errorf("version %d, id %q", r.V, r.ID)
	}
	created, err := time.Parse(time.RFC3339, r.Created)
	if err != nil {
		return CaseInfo{}, fmt.Errorf("created: %w", err)
	}
	return CaseInfo{r.ID, r.Title, r.Org, r.Authority, r.Purpose, created}, nil
}

// FindCase opens the case that start lies in: start itself or the nearest
// folder above it, as git looks for its repository.
func FindCase(start string) (*Case, error) {
	abs, err := filepath.Abs(start)
	if err != nil {
		return nil, fmt.Errorf("find case: %w", err)
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		c, err := OpenCase(dir)
		if err == nil || !errors.Is(err, ErrNoCase) {
			return c, err
		}
		if dir == filepath.Dir(dir) {
			return nil, fmt.Errorf("find case from %s: %w", start, ErrNoCase)
		}
	}
}
