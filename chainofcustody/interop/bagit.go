package interop

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrBag says that something does not fit into a bag.
var ErrBag = errors.New("does not fit into a bag")

// Payload is a file that lies in the bag's folder data.
type Payload struct {
	Path   string // below data, "/" between names
	Size   int64
	SHA256 evidence.Digest
}

// TagFile is a file of the bag's own.
type TagFile struct {
	Name string
	Data []byte
}

// Names of the tag files (RFC 8493, sections 2.1 and 2.2).
const (
	bagDeclaration = "bagit.txt"
	bagInfo        = "bag-info.txt"
	bagManifest    = "manifest-sha256.txt"
	// BagTagManifest pins all other tag files, and with them the payload.
	BagTagManifest = "tagmanifest-sha256.txt"
)

// BagIt writes the tag files of a BagIt 1.0 bag (RFC 8493) around a payload, in
// the order in which they should be written: the tag manifest is the last.
func BagIt(l Log, payload []Payload) ([]TagFile, error) {
	payload = slices.Clone(payload)
	slices.SortFunc(payload, func(a, b Payload) int { return strings.Compare(a.Path, b.Path) })
	var manifest bytes.Buffer
	total := int64(0)
	for i, p := range payload {
		switch {
		case !safeBagPath(p.Path):
			return nil, fmt.Errorf("payload file %q: %w", p.Path, ErrBag)
		case i > 0 && payload[i-1].Path == p.Path:
			return nil, fmt.Errorf("payload file %q is there twice: %w", p.Path, ErrBag)
		}
		total += p.Size
		fmt.Fprintf(&manifest, "%s  data/%s\n", p.SHA256, bagPath(p.Path))
	}
	info := []string{
		"Source-Organization: " + bagValue(l.Case.Org),
		"External-Description: " + bagValue(l.Case.Title),
		"External-Identifier: " + bagValue(l.Case.ID),
	}
	info = slices.DeleteFunc(info, func(s string) bool { return strings.HasSuffix(s, ": ") })
	for _, x := range l.Exhibits {
		info = append(info, "Internal-Sender-Identifier: "+bagValue(x.Report.Exhibit),
			"Internal-Sender-Description: "+bagValue(x.Report.Exhibit+": "+string(x.Report.Verdict)+". "+x.Report.Verdict.Sentence()))
	}
	info = append(info, fmt.Sprintf("Payload-Oxum: %d.%d", total, len(payload)))
	files := []TagFile{
		{bagDeclaration, []byte("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")},
		{bagInfo, []byte(strings.Join(info, "\n") + "\n")},
		{bagManifest, manifest.Bytes()},
	}
	var tags bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&tags, "%s  %s\n", evidence.Sum(f.Data), f.Name)
	}
	return append(files, TagFile{BagTagManifest, tags.Bytes()}), nil
}

// safeBagPath keeps what a receiver unpacks inside the bag's folder.
func safeBagPath(s string) bool {
	return s != "" && s == path.Clean(s) && !path.IsAbs(s) && s != ".." && !strings.HasPrefix(s, "../") && s[0] != '~' && !strings.Contains(s, `\`)
}

// bagPath escapes what would end a manifest's line (RFC 8493, section 2.1.3).
func bagPath(s string) string {
	return strings.NewReplacer("%", "%25", "\n", "%0A", "\r", "%0D").Replace(s)
}

// bagValue keeps a value on its line, and from acting on a terminal.
func bagValue(s string) string {
	return strings.TrimSpace(visible(s, func(r rune) bool { return r < 0x20 || active(r) }))
}
