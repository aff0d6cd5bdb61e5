package chainofcustody

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func vectorsDir(t testing.TB) string {
	return filepath.Join(testenv.Root(t), "testdata", "vectors", "custody")
}

// vectorEvents are the events of the vectors: the smallest, one with every
// field and text that needs escapes, a hand-over and its receipt.
func vectorEvents() []Event {
	seal := evidence.Sum([]byte("exhibit.bundle.v1/vector\n"))
	return []Event{
		{Kind: EventOrdered, Time: at(0), Purpose: "Find out how the web shop was entered", Authority: "Mandate 12/2026"},
		{
			Kind: EventCollected, Place: "Rack 4", Tool: &ToolInfo{Name: "exhibit-collector", Ver: "1.0.0", SHA256: evidence.Sum([]byte("tool"))},
			Time: EventTime{
				UTC: time.Date(2026, 3, 1, 12, 1, 0, 123456789, time.UTC), TZ: "-03:30", Source: "ntp",
				OffsetMS: new(int64(-1250)), UncertaintyMS: new(int64(0)), Mono: 86_400_000_000_001, BootID: "5a3e0c1e-3a57-4a3c-9c0e-0d8b7f0a4c11",
			},
		},
		{
			Kind: EventSealed, Time: at(2), Seal: seal, OuterSHA256: evidence.Sum([]byte("outer")), Size: 1 << 40,
			Check:  &Check{Before: "none", After: seal.String(), Result: "VERIFIED"},
			Refs:   []string{"leaf:0", evidence.Sum([]byte("leaf")).String()},
			Note:   "quote \" backslash \\ line\nend tab\t bell \a C1 \u009b bidi \u202e zürich <&> \U0001F50D",
			Attach: []Attachment{{"photo.jpg", evidence.Sum([]byte("photo"))}, {"scan.pdf", evidence.Sum([]byte("scan"))}},
		},
		{
			Kind: EventTransferred, Time: at(3), Seal: seal, To: &Person{ID: "bob@firm", Name: "Bob Example", Org: "Firm", Role: "counsel"},
			Medium: &Medium{Type: "USB disk", Make: "Acme", Model: "D1", Serial: "S2-9913", SealBag: "B-77"},
		},
		{Kind: EventReceived, Time: at(5), Seal: seal},
	}
}

// writeVectors makes the case of the vectors in a folder.
func writeVectors(t testing.TB, dir string) {
	t.Helper()
	c, err := InitCase(dir, CaseInfo{
		ID: "2026-017", Title: "Vectors", Org: "Lab", Authority: "none", Purpose: "test vectors",
		Created: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := testIdentity(t, "alice@lab"), testIdentity(t, "bob@firm")
	bob.Name, bob.Org, bob.Role = "Bob Example", "Firm", "counsel"
	for _, id := range []*Identity{alice, bob} {
		if err := c.Enroll(id, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	ex, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range vectorEvents() {
		id := alice
		if ev.Kind == EventReceived {
			id = bob
		}
		if _, err := c.Append(ex, ev, id); err != nil {
			t.Fatal(err)
		}
	}
}

// The generator of the vectors: run with -update to write them anew.
func TestVectorsAreWrittenByteForByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "case")
	writeVectors(t, dir)
	var made, kept []string
	collect := func(root string, into *[]string) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && d.Name() != lockFileName {
				name, _ := filepath.Rel(root, path)
				*into = append(*into, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	collect(dir, &made)
	for _, name := range made {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, filepath.Join(vectorsDir(t), "case", name), data)
	}
	collect(filepath.Join(vectorsDir(t), "case"), &kept)
	if !slices.Equal(made, kept) {
		t.Errorf("the vectors hold %v, the generator makes %v", kept, made)
	}
}

func TestVectorsVerifyAndReencodeByteForByte(t *testing.T) {
	c, err := OpenCase(filepath.Join(vectorsDir(t), "case"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.VerifyCustody("EX-001", VerifyOptions{Now: at(10).UTC})
	if err != nil || r.Verdict != VerdictVerified {
		t.Fatalf("verdict %s, %v, %+v", r.Verdict, err, r.Layers)
	}
	for _, e := range r.Events {
		data, err := os.ReadFile(c.Path(CustodyDir, "EX-001", e.File))
		if err != nil {
			t.Fatal(err)
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s re-encodes as %s, %v", e.File, again, err)
		}
	}
}

// badEvent is a vector that must be refused, made from a good event.
type badEvent struct{ name, from, to string }

// replacements on the second event of the vectors, whose text is plain.
func badEvents() []badEvent {
	return []badEvent{
		{"unknown-field", `,"place"`, `,"colour":"red","place"`},
		{"repeated-field", `,"place":"Rack 4"`, `,"place":"Rack 4","place":"Rack 4"`},
		{"repeated-field-inside", `"source":"ntp"`, `"source":"ntp","source":"ntp"`},
		{"other-case-of-key", `"place"`, `"Place"`},
		{"other-order", `"case":"2026-017","exhibit":"EX-001"`, `"exhibit":"EX-001","case":"2026-017"`},
		{"white-space", `,"place"`, `, "place"`},
		{"no-line-end", "\n", ""},
		{"two-line-ends", "\n", "\n\n"},
		{"carriage-return", "\n", "\r\n"},
		{"second-value", "\n", "{}\n"},
		{"needless-escape", "Rack", `\u0052ack`},
		{"upper-case-escape", "Rack 4", `\u202E`},
		{"raw-control", "Rack", "R\u0085ck"},
		{"invalid-utf8", "Rack", "R\xffck"},
		{"empty-text", `"Rack 4"`, `""`},
		{"null", `"Rack 4"`, `null`},
		{"number-for-text", `"Rack 4"`, `4`},
		{"float", `"mono":86400000000001`, `"mono":86400000000001.0`},
		{"exponent", `"mono":86400000000001`, `"mono":8e1`},
		{"negative-uncertainty", `"uncertainty_ms":0`, `"uncertainty_ms":-1`},
		{"negative-zero", `"uncertainty_ms":0`, `"uncertainty_ms":-0`},
		{"short-time", `.123456789Z`, `.123Z`},
		{"time-with-offset", `.123456789Z`, `.123456789+00:00`},
		{"no-such-day", `2026-03-01T`, `2026-02-30T`},
		{"time-source", `"ntp"`, `"sundial"`},
		{"zone", `"-03:30"`, `"CET"`},
		{"upper-case-digest", `"sha256":"`, `"sha256":"A`},
		{"event-not-in-vocabulary", `"event":"collected"`, `"event":"polished"`},
		{"exhibit-number", `EX-001`, `EX-1`},
		{"case-id", `"case":"2026-017"`, `"case":"../x"`},
		{"no-actor", `"actor":{`, `"author":{`},
		{"no-key", `,"key":"SHA256:`, `,"note":"SHA256:`},
		{"prev-not-a-list", `"prev":[`, `"prev":"[`},
		{"byte-order-mark", `{"v"`, "\ufeff" + `{"v"`},
		{"version-zero", `"v":1`, `"v":0`},
	}
}

func TestBadVectorsAreRefused(t *testing.T) {
	c, err := OpenCase(filepath.Join(vectorsDir(t), "case"))
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := c.Log("EX-001")
	if err != nil {
		t.Fatal(err)
	}
	good, err := events[1].Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range badEvents() {
		text := strings.Replace(string(good), bad.from, bad.to, 1)
		if text == string(good) {
			t.Errorf("%s: %q does not occur", bad.name, bad.from)
		}
		testenv.Golden(t, filepath.Join(vectorsDir(t), "bad", bad.name+".json"), []byte(text))
		if _, err := ParseEvent([]byte(text)); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v", bad.name, err)
		}
	}
	if _, err := ParseEvent(bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1)); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("newer version: %v", err)
	}
	if _, err := ParseEvent(bytes.Repeat([]byte("x"), MaxEventSize+1)); !errors.Is(err, ErrEvent) {
		t.Errorf("too big: %v", err)
	}
	unordered := events[4]
	unordered.Prev = []evidence.Digest{evidence.Sum([]byte("b")), evidence.Sum([]byte("b"))}
	if _, err := unordered.Encode(); !errors.Is(err, ErrEvent) {
		t.Errorf("the same parent twice: %v", err)
	}
}

func FuzzParseEvent(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(vectorsDir(f), "*", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	events, err := filepath.Glob(filepath.Join(vectorsDir(f), "case", CustodyDir, "EX-001", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, events...) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEvent(data)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("accepted %q, which encodes as %q, %v", data, again, err)
		}
		if e.Sentence() == "" {
			t.Error("no sentence")
		}
	})
}
