package report

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestReportIsAsReviewed(t *testing.T) {
	got, _ := papers(t, "report", report(t, sample(t)))
	testenv.Golden(t, "testdata/report.html", got)
}

func TestSameDataGivesTheSameBytes(t *testing.T) {
	if a, b := render(t, sample(t)), render(t, sample(t)); a != b {
		t.Error("two reports of the same data differ")
	}
}

// A report that holds a time stamp must not say that there is none, and must
// not say more than it proves.
func TestOutsideTime(t *testing.T) {
	without, with := sample(t), sample(t)
	at := time.Date(2026, 3, 1, 12, 0, 7, 0, time.UTC)
	for i := range with.Events[:4] {
		with.Events[i].Proven, with.Events[i].ProvenBy = at.Add(time.Duration(i)*time.Hour), "TSA One"
	}
	absent := []string{"no outside time stamp is on record", "there is no independent proof of them"}
	present := []string{
		"prove that 4 of the 7 entries of the custody log existed by",
		"so the seal itself, existed by 1 March 2026, 14:00:07 UTC, as TSA One proves",
		"existed by 1 March 2026, 12:00:07 UTC, TSA One",
		"never that it did not exist before",
	}
	for _, c := range []struct {
		page     string
		yes, not []string
	}{{render(t, with), present, absent}, {render(t, without), absent, present}} {
		for _, s := range c.yes {
			if !strings.Contains(c.page, s) {
				t.Errorf("it does not say: %s", s)
			}
		}
		for _, s := range c.not {
			if strings.Contains(c.page, s) {
				t.Errorf("it says: %s", s)
			}
		}
	}
}

// Of a stamp that was not verified the report claims neither that it proves
// anything nor that it is not there.
func TestAStampThatIsNotProvenIsNotDenied(t *testing.T) {
	d := sample(t)
	d.Events[2].Kind = string(chainofcustody.EventTimestamped)
	page := render(t, d)
	if strings.Contains(page, "no outside time stamp is on record") || !strings.Contains(page, "what the log says of outside time stamps is not proven here") {
		t.Error("it denies the stamp on record")
	}
}

// Nothing in the report of received evidence may say that we collected it.
func TestReceivedEvidenceIsNotSaidToBeCollected(t *testing.T) {
	d := sample(t)
	collected := []string{"one run of the collector sealed", "How it was collected", "Collected by program", "<dt>Collected</dt>", "None were recorded. Running any program", "It was not measured against"}
	received := []string{"sealed when it was taken in", "How it was taken in", "Taken in by program", "<dt>Taken in</dt>", "what collecting it did to the machine is not known", "Whether it was measured against"}
	d.Method.Effects, d.Clock.Offset = nil, ""
	before := render(t, d)
	d.Exhibit.Received = "triage.zip"
	after := render(t, d)
	for i := range collected {
		if !strings.Contains(before, collected[i]) || strings.Contains(after, collected[i]) {
			t.Errorf("%q: of collected evidence %t, of received %t", collected[i], strings.Contains(before, collected[i]), strings.Contains(after, collected[i]))
		}
		if strings.Contains(before, received[i]) || !strings.Contains(after, received[i]) {
			t.Errorf("%q: of collected evidence %t, of received %t", received[i], strings.Contains(before, received[i]), strings.Contains(after, received[i]))
		}
	}
}

func TestRenderLeavesTheCallersDataAlone(t *testing.T) {
	d := sample(t)
	d.Items.Failures[0].Path = "/x\x1b[2J"
	d.Timeline.Sources[0].Label = "a\u202eb"
	render(t, d)
	if d.Items.Failures[0].Path != "/x\x1b[2J" || d.Timeline.Sources[0].Label != "a\u202eb" {
		t.Error("Render changed its input")
	}
}

func TestPageNamesWhatItLeavesOut(t *testing.T) {
	d := sample(t)
	d.Items.Failures, d.Items.FailuresTotal = many(900), 5000
	if page := render(t, d); !strings.Contains(page, "Showing 300 of 5,000; the other 4,700 are in the bundle") {
		t.Error("the number of failures left out is not stated")
	}
	d.Items.Failures, d.Items.FailuresTotal = many(3), 3
	if page := render(t, d); !strings.Contains(page, "All 3 are shown.") {
		t.Error("a complete list does not say so")
	}
}

func TestHeadlineNeverSaysMoreThanTheVerdict(t *testing.T) {
	for _, v := range []chainofcustody.Verdict{
		chainofcustody.VerdictAltered, chainofcustody.VerdictDamaged, chainofcustody.VerdictUnreadable, "", "NEW-WORD",
	} {
		d := sample(t)
		d.Verdict = v
		page := render(t, d)
		for _, claim := range []string{"Nothing in this exhibit has changed", "are exactly those"} {
			if strings.Contains(page, claim) {
				t.Errorf("verdict %q, yet the page says %q", v, claim)
			}
		}
		if !strings.Contains(page, `<section class="verdict bad">`) {
			t.Errorf("verdict %q is not marked bad", v)
		}
	}
}

func TestEmptyDataGivesAPageThatClaimsNothing(t *testing.T) {
	page := render(t, Data{})
	for _, want := range []string{"could not be read. Nothing about it is proven", "What this does not prove", "No check was made", "not recorded"} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
}

func TestGapIsShownWhereNobodySignedTheHandover(t *testing.T) {
	d := sample(t) // Robert Haas received it; Alice Moreau analyses it later without receiving it back
	page := render(t, d)
	if !strings.Contains(page, "both parties signed") || !strings.Contains(page, "No hand-over signed by both sides is recorded between the last act of Robert Haas") {
		t.Error("hand-over or gap is not told")
	}
}

func TestVerdictIsNeverBetterThanALayer(t *testing.T) {
	d := sample(t)
	d.Layers[2].Verdict = chainofcustody.VerdictDamaged
	if page := render(t, d); !strings.Contains(page, `<p class="badge">DAMAGED</p>`) || strings.Contains(page, `<p class="badge">VERIFIED</p>`) {
		t.Error("one layer is damaged, and the page says otherwise")
	}
}

func TestPolicyAllowsThisStyleAlone(t *testing.T) {
	page := render(t, sample(t))
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, ok := strings.Cut(rest, "</style>")
	if !ok {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(style))
	want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if !strings.Contains(html.UnescapeString(page), want) {
		t.Errorf("policy does not hold %s", want)
	}
}
