package chainofcustody

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const exhibitPrefix = "EX-"

// exhibitNumber reads EX-001, EX-012, EX-1234: three digits or more, no
// needless zeros, 0 for anything else.
func exhibitNumber(s string) int {
	digits, ok := strings.CutPrefix(s, exhibitPrefix)
	if !ok || len(digits) < 3 || len(digits) > 9 || len(digits) > 3 && digits[0] == '0' {
		return 0
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// IsExhibit reports whether a name is an exhibit's number: EX-001.
func IsExhibit(name string) bool { return exhibitNumber(name) > 0 }

// Exhibits lists the exhibit numbers of the case in ascending order.
func (c *Case) Exhibits() ([]string, error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, fmt.Errorf("list exhibits: %w", err)
	}
	defer root.Close()
	names, err := exhibitNames(root)
	if err != nil {
		return nil, fmt.Errorf("list exhibits: %w", err)
	}
	return names, nil
}

func exhibitNames(root *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), CustodyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		if IsExhibit(entry.Name()) && entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return exhibitNumber(a) - exhibitNumber(b) })
	return names, err
}

// MissingExhibits lists exhibit numbers below the highest that have no custody
// folder: numbers are never skipped, so somebody removed it.
func (c *Case) MissingExhibits() ([]string, error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return nil, fmt.Errorf("list exhibits: %w", err)
	}
	defer root.Close()
	names, err := exhibitNames(root)
	if err != nil {
		return nil, fmt.Errorf("list exhibits: %w", err)
	}
	there := map[string]bool{}
	highest := 0
	for _, n := range names {
		there[n] = true
		highest = max(highest, exhibitNumber(n))
	}
	entries, err := fs.ReadDir(root.FS(), ExhibitsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list exhibits: %w", err)
	}
	for _, e := range entries {
		highest = max(highest, exhibitNumber(e.Name()))
	}
	if highest > maxLogFiles {
		return nil, fmt.Errorf("list exhibits: number %d is not one that this program gave", highest)
	}
	var missing []string
	for i := 1; i <= highest; i++ {
		if name := fmt.Sprintf("%s%03d", exhibitPrefix, i); !there[name] {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// NextExhibit takes the next free exhibit number, EX-001 at first. The number
// is spent by making its custody folder: no two callers get the same one, and
// a number whose collection failed is not given out again.
func (c *Case) NextExhibit() (string, error) {
	root, unlock, err := c.lock()
	if err != nil {
		return "", fmt.Errorf("number exhibit: %w", err)
	}
	defer unlock()
	names, err := exhibitNames(root)
	if err != nil {
		return "", fmt.Errorf("number exhibit: %w", err)
	}
	next := 1
	if len(names) > 0 {
		next = exhibitNumber(names[len(names)-1]) + 1
	}
	name := fmt.Sprintf("%s%03d", exhibitPrefix, next)
	if err := root.Mkdir(path.Join(CustodyDir, name), 0o700); err != nil {
		return "", fmt.Errorf("number exhibit: %w", err)
	}
	if err := syncRootDir(root, CustodyDir); err != nil {
		return "", fmt.Errorf("number exhibit: %w", err)
	}
	return name, nil
}
