package chainofcustody

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

var testSeal = evidence.Sum([]byte("seal"))

// at is a fixed moment, n minutes into the test's day.
func at(n int) EventTime {
	return EventTime{UTC: time.Date(2026, 3, 1, 12, n, 0, 0, time.UTC), TZ: "+01:00", Source: "system"}
}

// testLog is a case with one exhibit of five events, signed by an enrolled
// identity.
func testLog(t testing.TB) (*Case, string, *Identity, []Event) {
	t.Helper()
	c, id := testCase(t), testIdentity(t, "alice@lab")
	if err := c.Enroll(id, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	ex, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	for i, kind := range []EventKind{EventOrdered, EventCollected, EventSealed, EventVerified, EventAnalysed} {
		ev := Event{Kind: kind, Time: at(i)}
		if i >= 2 {
			ev.Seal, ev.OuterSHA256, ev.Size = testSeal, evidence.Sum([]byte("file")), 4
		}
		ev, err := c.Append(ex, ev, id)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, ev)
	}
	return c, ex, id, events
}

func verify(t testing.TB, c *Case, ex string, opt VerifyOptions) Report {
	t.Helper()
	r, err := c.VerifyCustody(ex, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func layerOf(t testing.TB, r Report, name string) Layer {
	t.Helper()
	for _, l := range r.Layers {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no layer %s in %+v", name, r.Layers)
	return Layer{}
}

func TestUntouchedLogIsVerified(t *testing.T) {
	c, ex, _, events := testLog(t)
	r := verify(t, c, ex, VerifyOptions{
		KnownHeads: []evidence.Digest{events[4].Digest},
		Bundle:     &BundleFacts{testSeal, evidence.Sum([]byte("file")), 4},
	})
	if r.Verdict != VerdictVerified || r.Verdict.ExitCode() != 0 {
		t.Errorf("verdict %s, layers %+v", r.Verdict, r.Layers)
	}
	if len(r.Events) != 5 || r.Events[4].Signer != "alice@lab" || !slices.Equal(r.Heads, []evidence.Digest{events[4].Digest}) {
		t.Errorf("events %+v, heads %v", r.Events, r.Heads)
	}
	for _, l := range r.Layers {
		if l.Sentence == "" || len(l.Details) > 0 {
			t.Errorf("layer %s: %q %v", l.Name, l.Sentence, l.Details)
		}
	}
}

func TestEveryChangedByteOfEventAndSignatureIsDetected(t *testing.T) {
	c, ex, _, events := testLog(t)
	for _, ev := range []Event{events[2], events[4]} {
		for _, name := range []string{ev.File, ev.File + ".sig"} {
			path := c.Path(CustodyDir, ex, name)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			os.Chmod(path, 0o600)
			for i := range whole {
				changed := bytes.Clone(whole)
				changed[i] ^= 1 << (i % 8)
				if err := os.WriteFile(path, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				if r := verify(t, c, ex, VerifyOptions{}); r.Verdict.ExitCode() != 4 {
					t.Fatalf("%s byte %d (%q to %q): verdict %s", name, i, whole[i], changed[i], r.Verdict)
				}
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := verify(t, c, ex, VerifyOptions{}); r.Verdict != VerdictVerified {
		t.Errorf("restored log: %s", r.Verdict)
	}
}

func TestRemovedAndReorderedEventsAreDetected(t *testing.T) {
	dir := func(c *Case, ex string) func(string) string {
		return func(name string) string { return c.Path(CustodyDir, ex, name) }
	}
	tests := []struct {
		name    string
		damage  func(path func(string) string, e []Event)
		opt     func(e []Event) VerifyOptions
		layer   string
		verdict Verdict
	}{
		{"middle event and signature removed", func(p func(string) string, e []Event) {
			os.Remove(p(e[2].File))
			os.Remove(p(e[2].File + ".sig"))
		}, nil, LayerLinks, VerdictDamaged},
		{"first event removed", func(p func(string) string, e []Event) {
			os.Remove(p(e[0].File))
			os.Remove(p(e[0].File + ".sig"))
		}, nil, LayerLinks, VerdictDamaged},
		{"last event removed, signature forgotten", func(p func(string) string, e []Event) {
			os.Remove(p(e[4].File))
		}, nil, LayerFiles, VerdictDamaged},
		{"last event removed, known from elsewhere", func(p func(string) string, e []Event) {
			os.Remove(p(e[4].File))
			os.Remove(p(e[4].File + ".sig"))
		}, func(e []Event) VerifyOptions { return VerifyOptions{KnownHeads: []evidence.Digest{e[4].Digest}} }, LayerEnd, VerdictDamaged},
		{"signature removed", func(p func(string) string, e []Event) {
			os.Remove(p(e[1].File + ".sig"))
		}, nil, LayerSignatures, VerdictDamaged},
		{"signatures exchanged", func(p func(string) string, e []Event) {
			os.Rename(p(e[1].File+".sig"), p("t"))
			os.Rename(p(e[2].File+".sig"), p(e[1].File+".sig"))
			os.Rename(p("t"), p(e[2].File+".sig"))
		}, nil, LayerSignatures, VerdictAltered},
		{"event renumbered", func(p func(string) string, e []Event) {
			moved := strings.Replace(e[1].File, "0002", "0004", 1)
			os.Rename(p(e[1].File), p(moved))
			os.Rename(p(e[1].File+".sig"), p(moved+".sig"))
		}, nil, LayerFiles, VerdictAltered},
		{
			"another bundle", func(func(string) string, []Event) {},
			func([]Event) VerifyOptions {
				return VerifyOptions{Bundle: &BundleFacts{Seal: evidence.Sum([]byte("other"))}}
			},
			LayerExhibit, VerdictAltered,
		},
		{"event is a directory", func(p func(string) string, e []Event) {
			os.Mkdir(p("0006-verified-000000000000.json"), 0o700)
		}, nil, LayerFiles, VerdictDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, ex, _, events := testLog(t)
			test.damage(dir(c, ex), events)
			var opt VerifyOptions
			if test.opt != nil {
				opt = test.opt(events)
			}
			r := verify(t, c, ex, opt)
			if l := layerOf(t, r, test.layer); l.Verdict != test.verdict || len(l.Details) == 0 {
				t.Errorf("layer %s says %s %v, want %s", l.Name, l.Verdict, l.Details, test.verdict)
			}
			if r.Verdict.ExitCode() != 4 {
				t.Errorf("verdict %s", r.Verdict)
			}
		})
	}
}

// The limit that docs/format/custody.md states: without a head known from
// elsewhere a cleanly cut tail verifies, and the report says it is unproven.
func TestCleanlyCutTailIsSaidToBeUnproven(t *testing.T) {
	c, ex, _, events := testLog(t)
	os.Remove(c.Path(CustodyDir, ex, events[4].File))
	os.Remove(c.Path(CustodyDir, ex, events[4].File+".sig"))
	r := verify(t, c, ex, VerifyOptions{})
	if l := layerOf(t, r, LayerEnd); r.Verdict != VerdictVerified || !strings.Contains(l.Sentence, "not proven") {
		t.Errorf("verdict %s, %q", r.Verdict, l.Sentence)
	}
}

func TestSignersAreJudgedByTheList(t *testing.T) {
	c, ex, id, _ := testLog(t)
	key := id.Key.PublicKey()
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name string
		list AllowedSigners
		want Verdict
	}{
		{"nobody", AllowedSigners{}, VerdictSignerUnknown},
		{"somebody else's key", AllowedSigners{{Principals: "alice@lab", Key: testIdentity(t, "bob").Key.PublicKey()}}, VerdictSignerUnknown},
		{"key of another person", AllowedSigners{{Principals: "bob@lab", Key: key}}, VerdictSignerUnknown},
		{"key for another purpose", AllowedSigners{{Principals: "alice@lab", Namespaces: "git", Key: key}}, VerdictSignerUnknown},
		{"not yet valid", AllowedSigners{{Principals: "alice@lab", ValidAfter: day(2), Key: key}}, VerdictSignerUnknown},
		{"valid then and now", AllowedSigners{{Principals: "alice@lab", ValidBefore: day(20), Key: key}}, VerdictVerified},
		{"valid then, not now", AllowedSigners{{Principals: "alice@lab", ValidBefore: day(5), Key: key}}, VerdictTimeUnproven},
		{"renewed", AllowedSigners{
			{Principals: "alice@lab", ValidBefore: day(5), Key: key}, {Principals: "*@lab", ValidAfter: day(4), Key: key},
		}, VerdictVerified},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := verify(t, c, ex, VerifyOptions{Signers: test.list, Now: day(10)})
			if r.Verdict != test.want {
				t.Errorf("verdict %s, want %s: %+v", r.Verdict, test.want, layerOf(t, r, LayerSigners))
			}
		})
	}
}

func TestEventSignedByAnotherKeyThanItNamesIsAltered(t *testing.T) {
	c, ex, alice, _ := testLog(t)
	mallory := testIdentity(t, "mallory@lab")
	liar := *alice
	liar.Key = mismatchedSigner{alice.Key, mallory.Key}
	if _, err := c.Append(ex, Event{Kind: EventOpened, Time: at(9)}, &liar); err != nil {
		t.Fatal(err)
	}
	r := verify(t, c, ex, VerifyOptions{})
	if l := layerOf(t, r, LayerSigners); l.Verdict != VerdictAltered {
		t.Errorf("layer says %s %v", l.Verdict, l.Details)
	}
}

// mismatchedSigner states one key and signs with another.
type mismatchedSigner struct {
	Signer
	actual Signer
}

func (m mismatchedSigner) Sign(namespace string, message []byte) ([]byte, error) {
	return m.actual.Sign(namespace, message)
}

func TestBackwardClockIsARemarkNotAFailure(t *testing.T) {
	c, ex, id, _ := testLog(t)
	if _, err := c.Append(ex, Event{Kind: EventOpened, Time: at(0)}, id); err != nil {
		t.Fatal(err)
	}
	r := verify(t, c, ex, VerifyOptions{})
	if l := layerOf(t, r, LayerTime); r.Verdict != VerdictVerified || !l.Note || len(l.Details) != 1 {
		t.Errorf("verdict %s, layer %+v", r.Verdict, l)
	}
	day := int64(24 * time.Hour / time.Millisecond)
	vague := at(0)
	vague.UncertaintyMS = &day
	c, ex, id, _ = testLog(t)
	if _, err := c.Append(ex, Event{Kind: EventOpened, Time: vague}, id); err != nil {
		t.Fatal(err)
	}
	if l := layerOf(t, verify(t, c, ex, VerifyOptions{}), LayerTime); len(l.Details) != 0 {
		t.Errorf("within the stated uncertainty, yet: %v", l.Details)
	}
}

func TestHandoverWithoutReceiverIsOneSided(t *testing.T) {
	c, ex, alice, _ := testLog(t)
	bob := testIdentity(t, "bob@firm")
	if err := c.Enroll(bob, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	given := Event{Kind: EventTransferred, Time: at(10), To: &Person{ID: "bob@firm", Name: "Bob"}}
	if _, err := c.Append(ex, given, alice); err != nil {
		t.Fatal(err)
	}
	if l := layerOf(t, verify(t, c, ex, VerifyOptions{}), LayerHandovers); len(l.Details) != 1 || !strings.Contains(l.Sentence, "one side") {
		t.Errorf("before receipt: %+v", l)
	}
	if _, err := c.Append(ex, Event{Kind: EventReceived, Time: at(11)}, bob); err != nil {
		t.Fatal(err)
	}
	if l := layerOf(t, verify(t, c, ex, VerifyOptions{}), LayerHandovers); len(l.Details) != 0 {
		t.Errorf("after receipt: %+v", l)
	}
}

func TestBranchesAreLegalAndJoin(t *testing.T) {
	c, ex, id, events := testLog(t)
	dir := c.Path(CustodyDir, ex)
	last := events[4]
	hide := func(e Event, back bool) {
		for _, n := range []string{e.File, e.File + ".sig"} {
			from, to := filepath.Join(dir, n), filepath.Join(t.TempDir(), "..", n)
			if back {
				from, to = to, from
			}
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A copy of the log goes on without the last event.
	hide(last, false)
	branch, err := c.Append(ex, Event{Kind: EventCopied, Time: at(6)}, id)
	if err != nil {
		t.Fatal(err)
	}
	hide(last, true)
	r := verify(t, c, ex, VerifyOptions{})
	if r.Verdict != VerdictVerified || len(r.Heads) != 2 || branch.Number != last.Number {
		t.Fatalf("branched: %s, heads %v, numbers %d and %d", r.Verdict, r.Heads, branch.Number, last.Number)
	}
	join, err := c.Append(ex, Event{Kind: EventVerified, Time: at(7)}, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(join.Prev) != 2 || join.Number != last.Number+1 {
		t.Errorf("joined: parents %v, number %d", join.Prev, join.Number)
	}
	if r := verify(t, c, ex, VerifyOptions{}); r.Verdict != VerdictVerified || len(r.Heads) != 1 {
		t.Errorf("joined: %s, heads %v", r.Verdict, r.Heads)
	}
}

func TestEmptyAndAbsentLogsAreNotVerified(t *testing.T) {
	c := testCase(t)
	ex, _ := c.NextExhibit()
	if r := verify(t, c, ex, VerifyOptions{}); r.Verdict != VerdictUnreadable {
		t.Errorf("empty log: %s", r.Verdict)
	}
	emptied := VerifyOptions{KnownHeads: []evidence.Digest{testSeal}}
	if r := verify(t, c, ex, emptied); r.Verdict != VerdictDamaged {
		t.Errorf("emptied log: %s", r.Verdict)
	}
	for _, name := range []string{"EX-099", "../EX-001", "EX-01", "EX-0001", ""} {
		if _, err := c.VerifyCustody(name, VerifyOptions{}); !errors.Is(err, ErrNoExhibit) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func BenchmarkVerifyCustody(b *testing.B) {
	c, ex, id, _ := testLog(b)
	for range 95 {
		if _, err := c.Append(ex, Event{Kind: EventVerified}, id); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := verify(b, c, ex, VerifyOptions{}); r.Verdict != VerdictVerified || len(r.Events) != 100 {
			b.Fatalf("%s, %d events", r.Verdict, len(r.Events))
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAppend(b *testing.B) {
	c, id := testCase(b), testIdentity(b, "alice@lab")
	ex, err := c.NextExhibit()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(ex, Event{Kind: EventVerified}, id); err != nil {
			b.Fatal(err)
		}
	}
}
