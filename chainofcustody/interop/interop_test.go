package interop

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// hostile is text that means something to XML, JSON, terminals and BagIt, with
// characters that XML cannot spell.
const hostile = "<b>&amp;]]></premis> \"quote\" \\u0007 back\\slash \a\x00 \r\nBag-Group-Identifier: x\t\u009b31m \u202e\ufffe \u2028 zürich 🔍 {\"@id\":1}"

// stage is a case in which the tests let people act.
type stage struct {
	t      testing.TB
	c      *chainofcustody.Case
	minute int
	people map[string]*chainofcustody.Identity
}

// newStage makes a case of two exhibits. Alice and Bob are known to it,
// Mallory is not. Keys are fixed, and Ed25519 signs the same way every time.
func newStage(t testing.TB) *stage {
	t.Helper()
	c, err := chainofcustody.InitCase(filepath.Join(t.TempDir(), "case"), chainofcustody.CaseInfo{
		ID: "2026-031", Title: "Leak of the price list", Org: "Nordlicht Forensics", Authority: "Mandate 7", Purpose: "Find the leak",
		Created: time.Date(2026, 4, 7, 7, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, c: c, people: map[string]*chainofcustody.Identity{}}
	for _, p := range []chainofcustody.Identity{
		{ID: "alice@lab", Name: "Alice Moreau", Org: "Nordlicht Forensics", Role: "examiner"},
		{ID: "bob@firm", Name: "Robert Haas", Org: "Haas & Partner"},
		{ID: "mallory@nowhere", Name: "Mallory " + hostile},
	} {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, p.ID)
		key, err := chainofcustody.RunKeyOf(ed25519.NewKeyFromSeed(seed))
		if err != nil {
			t.Fatal(err)
		}
		p.Key = key
		name, _, _ := strings.Cut(p.ID, "@")
		s.people[name] = &p
	}
	for _, who := range []string{"alice", "bob"} {
		if err := c.Enroll(s.people[who], time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := c.NextExhibit(); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// act lets a person act, a good hour after the act before.
func (s *stage) act(who, exhibit string, ev chainofcustody.Event) chainofcustody.Event {
	s.t.Helper()
	s.minute += 67
	ev.Time.UTC = time.Date(2026, 4, 7, 8, s.minute, 0, 123456789, time.UTC)
	if ev.Time.Source == "" {
		ev.Time.Source, ev.Time.TZ = "ntp", "+02:00"
	}
	ev, err := s.c.Append(exhibit, ev, s.people[who])
	if err != nil {
		s.t.Fatal(err)
	}
	return ev
}

// path is where an event lies.
func (s *stage) path(e chainofcustody.Event) string {
	return s.c.Path(chainofcustody.CustodyDir, e.Exhibit, e.File)
}

// resign puts another person's signature under an event.
func (s *stage) resign(e chainofcustody.Event, who string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(e))
	if err != nil {
		s.t.Fatal(err)
	}
	sig, err := s.people[who].Key.Sign(chainofcustody.NamespaceCustody, data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.replace(s.path(e)+".sig", sig)
}

func (s *stage) replace(path string, data []byte) {
	s.t.Helper()
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o444); err != nil {
		s.t.Fatal(err)
	}
}

// verified is the log as an export gets it.
func (s *stage) verified(hand *Bundle, exhibit string) Log {
	s.t.Helper()
	opt := chainofcustody.VerifyOptions{Now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	if hand != nil {
		opt.Bundle = &hand.BundleFacts
	}
	r, err := s.c.VerifyCustody(exhibit, opt)
	if err != nil {
		s.t.Fatal(err)
	}
	return Log{Case: s.c.Info, Exhibits: []Exhibit{{r, hand}}}
}

var (
	testSeal   = evidence.Sum([]byte("seal"))
	testBundle = evidence.Sum([]byte("bundle"))
	forged     = evidence.Sum([]byte("what a stranger says the bundle is"))
)

// sound is a log in which nothing is wrong, with every unit of an event.
func sound(t testing.TB) (*stage, Log) {
	s := newStage(t)
	s.act("alice", "EX-001", chainofcustody.Event{Kind: chainofcustody.EventOrdered, Purpose: "Find the leak", Authority: "Mandate 7"})
	s.act("alice", "EX-001", chainofcustody.Event{
		Kind: chainofcustody.EventCollected, Place: "Rack 4", Tool: &chainofcustody.ToolInfo{Name: "exhibit-collector", Ver: "1.0.0", SHA256: evidence.Sum([]byte("tool"))},
		Time: chainofcustody.EventTime{Source: "ntp", TZ: "-03:30", OffsetMS: new(int64(-1250)), UncertaintyMS: new(int64(0)), Mono: 86_400_000_000_001, BootID: "5a3e0c1e-3a57-4a3c-9c0e-0d8b7f0a4c11"},
	})
	s.act("alice", "EX-001", chainofcustody.Event{
		Kind: chainofcustody.EventSealed, Seal: testSeal, OuterSHA256: testBundle, Size: 1 << 40,
		Check: &chainofcustody.Check{Before: "none", After: testSeal.String(), Result: "VERIFIED"}, Refs: []string{"leaf:0", "leaf:12"},
		Attach: []chainofcustody.Attachment{{Name: "photo.jpg", SHA256: evidence.Sum([]byte("photo"))}},
	})
	given := s.act("alice", "EX-001", chainofcustody.Event{
		Kind: chainofcustody.EventTransferred, Seal: testSeal, OuterSHA256: testBundle, Size: 1 << 40,
		To:     &chainofcustody.Person{ID: "bob@firm", Name: "Robert Haas", Org: "Haas & Partner", Role: "counsel"},
		Medium: &chainofcustody.Medium{Type: "USB disk", Make: "Acme", Model: "D1", Serial: "S2-9913", SealBag: "B-77"},
	})
	if err := s.c.Countersign("EX-001", given.Digest, s.people["bob"]); err != nil {
		t.Fatal(err)
	}
	s.act("bob", "EX-001", chainofcustody.Event{Kind: chainofcustody.EventReceived, Seal: testSeal, OuterSHA256: testBundle, Size: 1 << 40, To: &chainofcustody.Person{ID: "alice@lab"}})
	s.act("alice", "EX-002", chainofcustody.Event{Kind: chainofcustody.EventArrived, Place: "Rack 4", Note: "machine running"})
	hand := Bundle{"web01.exhibit.tar.zst", chainofcustody.BundleFacts{Seal: testSeal, OuterSHA256: testBundle, Size: 1 << 40}}
	l := s.verified(&hand, "EX-001")
	l.Exhibits = append(l.Exhibits, s.verified(nil, "EX-002").Exhibits...)
	return s, l
}

// unsound is a log with an event by a stranger, one under another's signature
// and one that cannot be read.
func unsound(t testing.TB) Log {
	s := newStage(t)
	s.act("alice", "EX-001", chainofcustody.Event{Kind: chainofcustody.EventSealed, Seal: testSeal, OuterSHA256: testBundle, Size: 10})
	s.act("mallory", "EX-001", chainofcustody.Event{
		Kind: chainofcustody.EventVerified, Seal: forged, OuterSHA256: forged, Size: 11, Note: hostile, Place: hostile,
		To: &chainofcustody.Person{ID: "alice@lab", Name: "Alice Moreau", Org: hostile}, Attach: []chainofcustody.Attachment{{Name: "../../" + hostile, SHA256: forged}},
		Tool: &chainofcustody.ToolInfo{Name: hostile, Ver: hostile}, Refs: []string{hostile}, Medium: &chainofcustody.Medium{Model: hostile},
	})
	s.resign(s.act("alice", "EX-001", chainofcustody.Event{Kind: chainofcustody.EventClosed, Note: "not hers"}), "mallory")
	cut := s.act("bob", "EX-001", chainofcustody.Event{Kind: chainofcustody.EventNoted, Note: "cut"})
	s.replace(s.path(cut), []byte(`{"v":1,"case":`))
	return s.verified(nil, "EX-001")
}

// writers are the formats that are one document.
var writers = []struct {
	format Format
	file   string
	write  func(Log) ([]byte, error)
}{
	{FormatCASE, "case.jsonld", CASE},
	{FormatPROV, "prov.json", PROV},
	{FormatInToto, "statement.json", InToto},
	{FormatPREMIS, "premis.xml", PREMIS},
}

// forFormat keeps the exhibits that a format takes.
func forFormat(f Format, l Log) Log {
	if f.Name == "in-toto" {
		l.Exhibits = l.Exhibits[:1]
	}
	return l
}

func TestGoldens(t *testing.T) {
	_, good := sound(t)
	bad := unsound(t)
	for _, w := range writers {
		for name, l := range map[string]Log{"sound": good, "unsound": bad} {
			got, err := w.write(forFormat(w.format, l))
			if err != nil {
				t.Fatal(err)
			}
			testenv.Golden(t, filepath.Join("testdata", name+"."+w.file), got)
			again, err := w.write(forFormat(w.format, l))
			if err != nil || string(again) != string(got) {
				t.Errorf("%s: the same log gives other bytes the second time (%v)", w.format.Name, err)
			}
		}
	}
}

func TestInTotoSpeaksOfOneExhibit(t *testing.T) {
	_, l := sound(t)
	if _, err := InToto(l); err == nil {
		t.Error("two exhibits were put into one statement")
	}
}

// names reads what stands under a key, one value or several.
func names(v any) []string {
	var list []string
	switch v := v.(type) {
	case string:
		list = append(list, v)
	case []any:
		for _, x := range v {
			list = append(list, names(x)...)
		}
	}
	return list
}

func decode(t *testing.T, data []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Who reads PROV alone must not take a forged event for Alice's.
func TestUnprovenEventsAreMarkedAndTheirPeopleKeptApart(t *testing.T) {
	data, err := PROV(unsound(t))
	if err != nil {
		t.Fatal(err)
	}
	doc := decode(t, data)
	alices := map[string]string{}
	for id, a := range doc["agent"].(object) {
		if a.(object)["exhibit:principal"] == "alice@lab" {
			alices[id] = a.(object)["prov:label"].(string)
		}
	}
	plain := 0
	for _, label := range alices {
		if label == "Alice Moreau" {
			plain++
		} else if !strings.HasPrefix(label, "UNPROVEN, ") {
			t.Errorf("an Alice who did not sign is called %q", label)
		}
	}
	if plain != 1 || len(alices) != 3 {
		t.Errorf("%d of %d Alices are she who signed, want 1 of 3: %v", plain, len(alices), alices)
	}
	marked := 0
	for _, a := range doc["activity"].(object) {
		if label := a.(object)["prov:label"].(string); strings.HasPrefix(label, "UNPROVEN, ") {
			marked++
		}
	}
	if marked != 2 {
		t.Errorf("%d activities are marked as unproven, want 2", marked)
	}
	if n := len(doc["wasAttributedTo"].(object)); n != 1 {
		t.Errorf("%d event files are attributed to somebody, want the 1 that Alice signed", n)
	}
}

func TestABundleThatTheLogDeniesIsNoSubject(t *testing.T) {
	s, _ := sound(t)
	other := Bundle{"other.exhibit.tar.zst", chainofcustody.BundleFacts{Seal: forged, OuterSHA256: forged, Size: 5}}
	data, err := InToto(s.verified(&other, "EX-001"))
	if err != nil {
		t.Fatal(err)
	}
	doc := decode(t, data)
	subjects, _ := json.Marshal(doc["subject"])
	if text := string(subjects); strings.Contains(text, forged.String()) || !strings.Contains(text, "last event of EX-001") {
		t.Errorf("the subjects are %s", subjects)
	}
}

func TestNoExportVouchesForWhatIsUnproven(t *testing.T) {
	l := unsound(t)
	data, err := InToto(l)
	if err != nil {
		t.Fatal(err)
	}
	subjects, _ := json.Marshal(decode(t, data)["subject"])
	if strings.Contains(string(subjects), forged.String()) {
		t.Error("a digest that only a stranger states is a subject")
	}
	if !strings.Contains(string(subjects), testBundle.String()) {
		t.Error("the bundle that Alice sealed is no subject")
	}
	data, err = CASE(l)
	if err != nil {
		t.Fatal(err)
	}
	verified := map[bool]int{}
	for _, n := range decode(t, data)["@graph"].([]any) {
		facets, _ := n.(object)["core:hasFacet"].([]any)
		for _, f := range facets {
			if ok, is := f.(object)["observable:signatureVerified"].(bool); is {
				verified[ok]++
			}
		}
	}
	if verified[true] != 1 || verified[false] != 2 {
		t.Errorf("signatureVerified is true %d times and false %d times, want 1 and 2", verified[true], verified[false])
	}
	for _, w := range writers {
		data, err := w.write(l)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(data); !strings.Contains(text, "cannot be read") || !strings.Contains(text, string(l.Exhibits[0].Report.Verdict)) {
			t.Errorf("%s does not say that an event cannot be read, or not the verdict", w.format.Name)
		}
	}
}

// Whoever doubts a node finds the signed event behind it.
func TestEveryNodeTracesBackToItsEvents(t *testing.T) {
	_, good := sound(t)
	for _, l := range []Log{good, unsound(t)} {
		known := map[string]bool{}
		l.events(func(_ *Exhibit, e *chainofcustody.EventCheck) { known[e.Digest.String()] = true })
		check := func(format, id string, node object) {
			from := names(node["exhibit:stated_in"])
			if len(from) == 0 {
				t.Errorf("%s: nothing says which event states %s: %v", format, id, node)
			}
			for _, d := range from {
				if !known[d] {
					t.Errorf("%s: %s is stated in %s, which is no event of the log", format, id, d)
				}
			}
		}
		data, err := CASE(l)
		if err != nil {
			t.Fatal(err)
		}
		facts := []string{"urn:uuid:" + nodeID("investigation", l.Case.ID)} // not from events
		for _, x := range l.Exhibits {
			facts = append(facts, "urn:uuid:"+l.exhibitID(x.Report.Exhibit))
			if x.Bundle != nil {
				facts = append(facts, "urn:uuid:"+nodeID("at hand", l.Case.ID, x.Report.Exhibit, x.Bundle.OuterSHA256.String()))
			}
		}
		for _, n := range decode(t, data)["@graph"].([]any) {
			if id := n.(object)["@id"].(string); !slices.Contains(facts, id) {
				check("case", id, n.(object))
			}
		}
		if data, err = PROV(l); err != nil {
			t.Fatal(err)
		}
		doc := decode(t, data)
		for id, n := range doc["activity"].(object) {
			if d := names(n.(object)["exhibit:digest"]); len(d) != 1 || !known[d[0]] || n.(object)["exhibit:verdict"] == nil || n.(object)["exhibit:signed"] == nil {
				t.Errorf("prov: activity %s has not the digest, verdict and signature of an event", id)
			}
		}
		for _, kind := range []string{"entity", "agent"} {
			for id, n := range doc[kind].(object) {
				if !slices.Contains(facts, strings.Replace(id, "id:", "urn:uuid:", 1)) {
					check("prov", id, n.(object))
				}
			}
		}
	}
}
