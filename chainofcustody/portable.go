package chainofcustody

import (
	"archive/tar"
	"bytes"
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
)

// ErrPortable says that a file is no custody log in its portable form.
var ErrPortable = errors.New("not a custody log in its portable form")

// ErrOtherCase says that a log and the folder it is to come into are of two cases.
var ErrOtherCase = errors.New("the log is of another case")

// RootsDir is the folder of a case that keeps the roots of time authorities.
const RootsDir = "tsa-roots"

// Bounds of a portable log.
const (
	maxPortableFiles = 1 << 18
	maxPortableBytes = 512 << 20
	maxRootFile      = 1 << 20
)

// Export writes the custody logs of exhibits (none named: all) with what their
// verification needs: case.json, allowed_signers, people.json, orders and the
// roots of time authorities. It is a plain tar (POSIX ustar, names in order,
// the case's creation as the time of all members): equal logs give equal
// bytes. The bundles are not in it.
func (c *Case) Export(w io.Writer, exhibits []string) error {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return fmt.Errorf("export custody: %w", err)
	}
	defer root.Close()
	if len(exhibits) == 0 {
		if exhibits, err = exhibitNames(root); err != nil {
			return fmt.Errorf("export custody: %w", err)
		}
	}
	names, err := c.portableNames(root, exhibits)
	if err != nil {
		return fmt.Errorf("export custody: %w", err)
	}
	out := tar.NewWriter(w)
	for _, name := range names {
		data, err := readBounded(root, name, portableLimit(name))
		if err != nil {
			return fmt.Errorf("export custody: %w", err)
		}
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o444, ModTime: c.Info.Created, Format: tar.FormatUSTAR,
		}
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("export custody: %s: %w", name, err)
		}
		if _, err := out.Write(data); err != nil {
			return fmt.Errorf("export custody: %w", err)
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("export custody: %w", err)
	}
	return nil
}

// portableNames lists the files of a portable log, case.json first.
func (c *Case) portableNames(root *os.Root, exhibits []string) ([]string, error) {
	names := []string{CaseFile, PeopleFile, SignersFile}
	for _, ex := range exhibits {
		if !IsExhibit(ex) {
			return nil, fmt.Errorf("%q: %w", ex, ErrNoExhibit)
		}
		entries, err := fs.ReadDir(root.FS(), path.Join(CustodyDir, ex))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", ex, ErrNoExhibit)
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if name := path.Join(CustodyDir, ex, e.Name()); portableLimit(name) > 0 && e.Type().IsRegular() {
				names = append(names, name)
			}
		}
	}
	for _, dir := range []string{OrdersDir, RootsDir} {
		entries, err := fs.ReadDir(root.FS(), dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			ex, _, _ := strings.Cut(e.Name(), ".")
			if name := path.Join(dir, e.Name()); portableLimit(name) > 0 && e.Type().IsRegular() && (dir == RootsDir || slices.Contains(exhibits, ex)) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names[1:])
	return names, nil
}

// portableLimit is how long a file of a portable log may be; 0: it is none.
func portableLimit(name string) int64 {
	switch name {
	case CaseFile:
		return maxCaseFile
	case PeopleFile:
		return maxPeopleFile
	case SignersFile:
		return maxAllowedSigners
	}
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if !validFileName(base) {
		return 0
	}
	switch ex, inLog := strings.CutPrefix(dir, CustodyDir+"/"); {
	case dir == OrdersDir && (strings.HasSuffix(base, ".json") || strings.HasSuffix(base, ".json"+sigSuffix)):
		return MaxOrderSize
	case dir == RootsDir && strings.HasSuffix(base, ".pem"):
		return maxRootFile
	case !inLog || !IsExhibit(ex):
		return 0
	case strings.HasSuffix(base, eventSuffix):
		return MaxEventSize
	case strings.HasSuffix(base, sigSuffix), strings.HasSuffix(base, countersigSuffix):
		return maxSigFile
	case strings.HasSuffix(base, tokenSuffix), strings.HasSuffix(base, "-cert.pub"):
		return maxToken
	}
	return 0
}

// validFileName keeps names from elsewhere to what is one plain component on
// every system.
func validFileName(s string) bool {
	if s == "" || len(s) > 250 || s[0] == '.' || s[0] == '-' || s[len(s)-1] == '.' {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(`/\:*?"<>|`, r) || escapedRune(r) {
			return false
		}
	}
	return checkText(s) == nil
}

// Imported says what an import brought.
type Imported struct {
	Case     *Case
	New      bool     // the folder held no case before
	Events   int      // event files that were not there
	Files    int      // files that were not there, events included
	Exhibits []string // in the portable log, ascending
	Unknown  []string // principals of the sender's list that this case does not know
}

// Import takes a portable log into the case at dir, or makes a case of it
// where there is none. Files that are there already must be the same, byte for
// byte; then nothing of the log is taken. Of the sender's allowed_signers and
// people nothing is taken into a case that exists: whom to trust is decided
// here. Errors in what is read are ErrPortable.
func Import(r io.Reader, dir string) (*Imported, error) {
	files, err := readPortable(r)
	if err != nil {
		return nil, fmt.Errorf("import custody: %w", err)
	}
	info, err := parseCase(files[CaseFile])
	if err != nil {
		return nil, fmt.Errorf("import custody: %w: %w", ErrPortable, err)
	}
	out := &Imported{}
	out.Case, err = OpenCase(dir)
	switch {
	case errors.Is(err, ErrNoCase):
		out.New = true
		if out.Case, err = InitCase(dir, info); err != nil {
			return nil, fmt.Errorf("import custody: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("import custody: %w", err)
	case out.Case.Info.ID != info.ID:
		return nil, fmt.Errorf("import custody: %w: the log is of case %s, this is case %s", ErrOtherCase, info.ID, out.Case.Info.ID)
	}
	root, unlock, err := out.Case.lock()
	if err != nil {
		return nil, fmt.Errorf("import custody: %w", err)
	}
	defer unlock()
	if err := out.take(root, files); err != nil {
		return nil, fmt.Errorf("import custody: %w", err)
	}
	return out, nil
}

// readPortable reads a portable log strictly.
func readPortable(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	total := int64(0)
	end := &tailReader{r: r}
	in := tar.NewReader(end)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			if end.last != [2 * tarBlock]byte{} || end.n < 2*tarBlock {
				return nil, fmt.Errorf("%w: its end is missing", ErrPortable)
			}
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPortable, err)
		}
		limit := portableLimit(h.Name)
		switch {
		case h.Typeflag != tar.TypeReg || limit == 0:
			return nil, fmt.Errorf("%w: member %q does not belong in it", ErrPortable, h.Name)
		case h.Size > limit:
			return nil, fmt.Errorf("%w: member %q is longer than %d bytes", ErrPortable, h.Name, limit)
		case files[h.Name] != nil:
			return nil, fmt.Errorf("%w: member %q is there twice", ErrPortable, h.Name)
		}
		if total += h.Size; total > maxPortableBytes || len(files) >= maxPortableFiles {
			return nil, fmt.Errorf("%w: it is too large", ErrPortable)
		}
		data := make([]byte, h.Size)
		if _, err := io.ReadFull(in, data); err != nil {
			return nil, fmt.Errorf("%w: member %q: %w", ErrPortable, h.Name, err)
		}
		files[h.Name] = data
	}
	if files[CaseFile] == nil || files[SignersFile] == nil {
		return nil, fmt.Errorf("%w: it has no %s or no %s", ErrPortable, CaseFile, SignersFile)
	}
	return files, nil
}

const tarBlock = 512

// tailReader remembers the last two blocks that were read: a tar that was cut
// between two members ends as cleanly as one that was not.
type tailReader struct {
	r    io.Reader
	n    int64
	last [2 * tarBlock]byte
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	if tail := p[:n]; n >= len(t.last) {
		copy(t.last[:], tail[n-len(t.last):])
	} else {
		copy(t.last[:], t.last[n:])
		copy(t.last[len(t.last)-n:], tail)
	}
	return n, err
}

// take compares first and writes then, signatures before their events.
func (im *Imported) take(root *os.Root, files map[string][]byte) error {
	var fresh []string
	for name, data := range files {
		if strings.HasPrefix(name, CustodyDir+"/") {
			if ex := path.Base(path.Dir(name)); !slices.Contains(im.Exhibits, ex) {
				im.Exhibits = append(im.Exhibits, ex)
			}
		}
		if name == CaseFile {
			continue
		}
		have, err := readBounded(root, name, max(portableLimit(name), 1))
		local := name == SignersFile || name == PeopleFile
		switch {
		case errors.Is(err, fs.ErrNotExist), local && im.New:
			fresh = append(fresh, name)
		case err != nil:
			return err
		case !local && !bytes.Equal(have, data):
			return fmt.Errorf("%s differs from the one that is here; nothing was taken", name)
		}
	}
	slices.SortFunc(im.Exhibits, func(a, b string) int { return exhibitNumber(a) - exhibitNumber(b) })
	slices.SortFunc(fresh, func(a, b string) int {
		if x, y := strings.HasSuffix(a, eventSuffix), strings.HasSuffix(b, eventSuffix); x != y {
			if x {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	if !im.New {
		if err := im.unknown(root, files[SignersFile]); err != nil {
			return err
		}
	}
	for _, name := range fresh {
		if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o700); err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if name == SignersFile || name == PeopleFile {
			mode = 0o600
		}
		if err := writeAtomic(root, name, files[name], mode); err != nil {
			return err
		}
		im.Files++
		if strings.HasPrefix(name, CustodyDir+"/") && strings.HasSuffix(name, eventSuffix) {
			im.Events++
		}
	}
	return nil
}

// unknown lists whom the sender trusts and this case does not know.
func (im *Imported) unknown(root *os.Root, theirs []byte) error {
	list, err := ParseAllowedSigners(theirs)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPortable, err)
	}
	data, err := readBounded(root, SignersFile, maxAllowedSigners)
	if err != nil {
		return err
	}
	ours, err := ParseAllowedSigners(data)
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.CertAuthority {
			continue
		}
		if _, err := ours.Lookup(s.Key, NamespaceCustody, time.Now()); errors.Is(err, ErrUnknownSigner) {
			im.Unknown = append(im.Unknown, s.Principals+" "+Fingerprint(s.Key))
		}
	}
	return nil
}
