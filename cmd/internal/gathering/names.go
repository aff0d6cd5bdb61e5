package gathering

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
)

// FileName returns the name of a bundle: <case>-<host>-<utc>, only letters,
// digits, dot, dash and underscore.
func FileName(caseID, host string, at time.Time) string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
				return r
			}
			return '_'
		}, s)
	}
	parts := []string{}
	for _, s := range []string{clean(caseID), clean(host), at.UTC().Format("20060102T150405Z")} {
		if s = strings.Trim(s, "."); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "-") + Suffix
}

// HostName is the name for the file: that of the running host, or of the
// mounted one.
func HostName(root string) string {
	if root != "/" && root != "" {
		// As evidence is read: links stay inside, and its access time alone.
		h, err := collect.OpenHost(root, false)
		if err != nil {
			return "mounted"
		}
		defer h.Close()
		b, err := h.ReadFile("/etc/hostname", 256)
		if err != nil {
			return "mounted"
		}
		return strings.TrimSpace(string(b))
	}
	name, err := os.Hostname()
	if err != nil {
		return "host"
	}
	return name
}

// absoluteRoot is filepath.Abs, but for the running host: "/" means that on
// every system, also where it is not the root of a drive.
func absoluteRoot(root string) (string, error) {
	if root == "/" {
		return root, nil
	}
	return filepath.Abs(root)
}
