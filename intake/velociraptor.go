package intake

import (
	"bufio"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/intake/archive"
)

// Velociraptor's offline collector writes a zip: uploads/<accessor>/<path>
// with each component percent-encoded, uploads.json, results/<artifact>.json
// with one JSON object a line, collection_context.json, client_info.json,
// log.json. The artifacts that copy files (KapeFiles.Targets and its like)
// list in results/… "All File Metadata" what times each had on its host.

// decodePercent undoes percent-encoding; bytes that are none stay.
func decodePercent(s string) string {
	if t, err := url.PathUnescape(s); err == nil {
		return t
	}
	return s
}

// velociraptorPlace says where a member belongs.
func velociraptorPlace(rel string) place {
	parts := strings.Split(rel, "/")
	for i := 0; i+2 < len(parts); i++ {
		if parts[i] == "uploads" && slices.Contains(accessors, parts[i+1]) {
			return uploadPlace(parts[i+1], parts[i+2:])
		}
	}
	for i := range parts {
		parts[i] = decodePercent(parts[i])
	}
	p := strings.Join(parts, "/")
	return place{path: p, odd: oddName(p)}
}

func uploadPlace(accessor string, parts []string) place {
	for i := range parts {
		parts[i] = decodePercent(parts[i])
		if odd := oddName(parts[i]); odd != "" {
			return place{path: "uploads/" + accessor + "/" + strings.Join(parts, "/"), odd: odd}
		}
	}
	// \\.\C: is the raw device of drive C:.
	if d, ok := strings.CutPrefix(parts[0], `\\.\`); ok && isDrive(d) {
		parts[0] = d
	}
	p := "/" + strings.Join(parts, "/")
	if strings.HasSuffix(p, ".idx") && strings.Contains(accessor, "ntfs") {
		return place{path: "uploads/" + accessor + p} // the map of a sparse file
	}
	return place{path: p, host: true}
}

// times are what a tool states of a file.
type times struct{ modified, accessed, changed, born time.Time }

// Bounds of what is held of a tool's own records.
const (
	metadataMax  = 200_000
	metadataLine = 1 << 20
	metadataFile = 256 << 20
)

// fileTimes reads the metadata of files that a Velociraptor collection states,
// by sourceKey of their path on the host.
func (w *walk) fileTimes(lv *level) (map[string]times, error) {
	all := map[string]times{}
	entries, err := lv.entries()
	if err != nil {
		return nil, err
	}
	for e := range entries {
		if w.ctx.Err() != nil {
			break
		}
		if e == nil || e.Open == nil || e.Type != archive.File {
			continue
		}
		name := decodePercent(e.Name)
		if !strings.HasSuffix(name, "Metadata.json") || !strings.Contains(name, "results/") {
			continue
		}
		r, err := e.Open()
		if err != nil {
			continue // said when the member itself is taken
		}
		lines := bufio.NewScanner(io.LimitReader(r, metadataFile))
		lines.Buffer(nil, metadataLine)
		for lines.Scan() && len(all) < metadataMax {
			metadataRow(all, lines.Bytes())
		}
	}
	return all, nil
}

func metadataRow(all map[string]times, line []byte) {
	var row struct {
		SourceFile, Created, LastAccessed, Modified, Changed, Ctime, Mtime, Atime, Btime string
	}
	if json.Unmarshal(line, &row) != nil || row.SourceFile == "" {
		return
	}
	at := func(texts ...string) time.Time {
		for _, s := range texts {
			if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.Year() > 1601 {
				return t.UTC()
			}
		}
		return time.Time{}
	}
	all[sourceKey(row.SourceFile)] = times{
		modified: at(row.Modified, row.Mtime), accessed: at(row.LastAccessed, row.Atime), changed: at(row.Changed, row.Ctime), born: at(row.Created, row.Btime),
	}
}

// sourceKey is the path on the host of a path as Velociraptor writes it; of a
// drive in lower case, since Windows tells no cases apart and others do.
func sourceKey(p string) string {
	if d := strings.TrimPrefix(p, `\\.\`); isDrive(d[:min(2, len(d))]) {
		p = "/" + strings.ReplaceAll(d, `\`, "/")
	}
	if len(p) > 2 && isDrive(p[1:3]) {
		p = strings.ToLower(p)
	}
	return p
}
