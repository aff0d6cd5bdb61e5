// Package parsertest is the suite that every parser passes: golden events,
// damage, determinism, and provenance inside the item.
//
// A folder of samples holds the items of one parser. Beside a sample NAME may
// lie NAME.item, a JSON object of the fields of Facts, which says what the
// item and its host are; NAME.golden is what the parser makes of it. A sample
// whose name starts with "damaged" must give a problem, any other none.
package parsertest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Facts is what a test says about an item and the host it came from.
type Facts struct {
	Path      string            `json:"path"`       // original path; default: the sample's name
	Kind      evidence.Kind     `json:"kind"`       // default: file
	Collector string            `json:"collector"`  // default: none
	Modified  time.Time         `json:"modified"`   // st_mtime of the item
	GzipTime  time.Time         `json:"gzip_time"`  // time in the gzip header
	Year      int               `json:"year"`       // year given by the user
	Host      string            `json:"host"`       // default: testhost
	MachineID string            `json:"machine_id"` // default: none
	BootID    string            `json:"boot_id"`
	BootTime  time.Time         `json:"boot_time"`
	Collected time.Time         `json:"collected"`
	Zone      string            `json:"zone"` // IANA name; default: UTC, assumed
	Users     map[uint32]string `json:"users"`
	Holes     []evidence.Extent `json:"holes"`
	Beside    string            `json:"beside"` // sample that is the file beside the item, from the folder's place
}

// Sample is the content of one item with what is known about it.
type Sample struct {
	Name   string
	Data   []byte
	Beside []byte // content of the file beside it
	Facts  Facts
}

// Item returns the item as a container would describe it.
func (s *Sample) Item() *evidence.Item {
	it := &evidence.Item{
		Index: 1, Kind: s.Facts.Kind, Member: s.Name, Source: "file", Path: s.Facts.Path,
		Collector: s.Facts.Collector, Size: int64(len(s.Data)), Stored: int64(len(s.Data)),
		SHA256: evidence.Sum(s.Data), Holes: s.Facts.Holes,
	}
	if it.Kind == "" {
		it.Kind = evidence.KindFile
	}
	if it.Path == "" {
		it.Path = s.Name
	}
	if !s.Facts.Modified.IsZero() {
		it.Stat = &evidence.Stat{Mode: 0o100644, Size: it.Size, Modified: s.Facts.Modified}
	}
	return it
}

// Host returns the host as gathering would have described it.
func (s *Sample) Host(t testing.TB) *analyze.Host {
	t.Helper()
	h := analyze.NewHost()
	h.Name, h.MachineID, h.BootID = s.Facts.Host, s.Facts.MachineID, s.Facts.BootID
	h.BootTime, h.Collected = s.Facts.BootTime, s.Facts.Collected
	if h.Name == "" {
		h.Name = "testhost"
	}
	for uid, name := range s.Facts.Users {
		h.Users[uid] = name
	}
	if s.Facts.Zone != "" {
		zone, err := time.LoadLocation(s.Facts.Zone)
		if err != nil {
			t.Fatal(err)
		}
		h.Zone, h.ZoneSrc = zone, timeline.ZoneHostConfig
	}
	return h
}

// Load returns the samples of a folder in the order of their names.
func Load(t testing.TB, dir string) []Sample {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var samples []Sample
	for _, entry := range names {
		name := entry.Name()
		if entry.IsDir() || strings.HasSuffix(name, ".item") || strings.HasSuffix(name, ".golden") {
			continue
		}
		s := Sample{Name: name}
		if s.Data, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if facts, err := os.ReadFile(filepath.Join(dir, name+".item")); err == nil {
			dec := json.NewDecoder(bytes.NewReader(facts))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&s.Facts); err != nil {
				t.Fatalf("%s.item: %v", name, err)
			}
		}
		if s.Facts.Beside != "" {
			if s.Beside, err = os.ReadFile(filepath.Join(dir, s.Facts.Beside)); err != nil {
				t.Fatal(err)
			}
		}
		samples = append(samples, s)
	}
	if len(samples) == 0 {
		t.Fatalf("no samples in %s", dir)
	}
	return samples
}
