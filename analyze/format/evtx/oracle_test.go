package evtx_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// tick writes ns since 1970 with the seven digits that libevtx writes.
func tick(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.0000000Z") }

// systemNames are the fields of System under the names that keyed gives them.
var systemNames = map[evtx.Field]string{
	evtx.Provider: "Provider.Name", evtx.ProviderGUID: "Provider.Guid", evtx.EventSourceName: "Provider.EventSourceName", evtx.EventID: "EventID",
	evtx.Qualifiers: "EventID.Qualifiers", evtx.Version: "Version", evtx.Level: "Level", evtx.Task: "Task", evtx.Opcode: "Opcode",
	evtx.Keywords: "Keywords", evtx.TimeCreated: "TimeCreated.SystemTime", evtx.EventRecordID: "EventRecordID",
	evtx.ActivityID: "Correlation.ActivityID", evtx.RelatedActivityID: "Correlation.RelatedActivityID", evtx.ProcessID: "Execution.ProcessID",
	evtx.ThreadID: "Execution.ThreadID", evtx.Channel: "Channel", evtx.Computer: "Computer", evtx.UserID: "Security.UserID",
}

type keyed struct{ key, value string }

// element is one that is open while XML is read.
type element struct {
	name, key, text string
	children        bool
}

// keyedValues reads an event as XML, and names its values as package evtx
// does.
func keyedValues(doc []byte) (values []keyed, err error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.Strict = false
	var open []element
	inside := func(depth int, name string) bool { return len(open) >= depth && open[depth-1].name == name }
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return values, err
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := element{name: x.Name.Local, key: x.Name.Local}
			plain := len(open) < 2 || inside(2, "UserData") && len(open) <= 3 || (inside(2, "EventData") || inside(2, "System")) && len(open) == 2
			if !plain {
				e.key = open[len(open)-1].key + "." + e.name
			}
			if len(open) > 0 {
				open[len(open)-1].children = true
			}
			for _, a := range x.Attr {
				switch {
				case a.Name.Local == "xmlns" || a.Name.Space == "xmlns":
				case a.Name.Local == "Name" && inside(2, "EventData") && len(open) == 2:
					e.key = a.Value
				default:
					values = append(values, keyed{e.key + "." + a.Name.Local, a.Value})
				}
			}
			open = append(open, e)
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(x)
			}
		case xml.EndElement:
			e := open[len(open)-1]
			open = open[:len(open)-1]
			data := inside(2, "EventData") && len(open) == 2 || inside(2, "UserData") && len(open) == 3
			if !e.children && (e.text != "" || data) {
				values = append(values, keyed{e.key, e.text})
			}
		}
	}
}

var (
	hexNumber = regexp.MustCompile(`^0x0*([0-9a-f]+)$`)
	timeStamp = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d*?)?0*Z$`)
)

// alike removes what evtxexport writes otherwise: zeros before a hexadecimal
// number and behind a time, white space at the ends.
func alike(s string) string {
	if m := hexNumber.FindStringSubmatch(s); m != nil {
		return "0x" + m[1]
	}
	if m := timeStamp.FindStringSubmatch(s); m != nil {
		return m[1] + strings.TrimSuffix(m[2], ".")
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
}

// TestValuesAsEvtxexport compares every value of every undamaged log of the
// corpus with the XML that libevtx's exporter writes.
func TestValuesAsEvtxexport(t *testing.T) {
	tool := testenv.Tool(t, "evtxexport")
	var files []string
	err := filepath.WalkDir(testenv.Corpus(t), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".evtx" && !strings.Contains(path, "damaged") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	events, values := 0, 0
	for _, path := range files {
		// It ends with an error where it meets what it cannot read, after
		// writing what is before.
		out, err := exec.Command(tool, "-f", "xml", path).Output()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		want := map[string][]keyed{}
		for doc := range bytes.SplitAfterSeq(out, []byte("</Event>\n")) {
			at := bytes.Index(doc, []byte("<Event "))
			if at < 0 || !bytes.HasSuffix(doc, []byte("</Event>\n")) {
				continue
			}
			v, err := keyedValues(doc[at:])
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			var id, created string
			for _, k := range v {
				switch k.key {
				case "EventRecordID":
					id = k.value
				case "TimeCreated.SystemTime":
					created = alike(k.value)
				}
			}
			want[id+" "+created] = v
		}
		n, m := compareValues(t, path, want)
		events += n
		values += m
	}
	t.Logf("%d events, %d values", events, values)
	if events < 4000 || values < 90_000 {
		t.Errorf("compared %d events with %d values only", events, values)
	}
}

// compareValues takes the events that it finds out of want.
func compareValues(t *testing.T, path string, want map[string][]keyed) (events, values int) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := evtx.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if err != nil {
			break
		}
		id := string(rec.System[evtx.EventRecordID]) + " " + alike(string(rec.System[evtx.TimeCreated]))
		theirs, ok := want[id]
		if rec.Carved || !ok {
			continue
		}
		delete(want, id)
		events++
		ours := map[keyed]int{}
		for f, v := range rec.System {
			if len(v) > 0 {
				ours[keyed{systemNames[evtx.Field(f)], alike(string(v))}]++
			}
		}
		for _, d := range rec.Data {
			ours[keyed{d.Key, alike(string(d.Value))}]++
		}
		for _, k := range theirs {
			values++
			if ours[keyed{k.key, alike(k.value)}]--; ours[keyed{k.key, alike(k.value)}] < 0 {
				t.Errorf("%s: event %s: %s is %q for evtxexport only", filepath.Base(path), id, k.key, k.value)
			}
		}
		for k, n := range ours {
			if n > 0 {
				t.Errorf("%s: event %s: %s is %q for us only", filepath.Base(path), id, k.key, k.value)
			}
		}
	}
	for id := range want {
		t.Errorf("%s: event %s is missing", filepath.Base(path), id)
	}
	return events, values
}
