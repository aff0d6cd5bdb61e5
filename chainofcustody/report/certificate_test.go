package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func withheld() []Withheld {
	return []Withheld{
		{Leaf: 12, LeafHash: hexOf("leaf 12"), Kind: "file", Path: "/home/alice/mail/to-counsel.eml", Size: 18_211, Modified: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Basis: "attorney-client privilege", Author: "A. Client", Date: "3 February 2026", Description: "Letter to counsel asking for advice"},
		{Leaf: 4711, LeafHash: hexOf("leaf 4711"), Kind: "file", Size: 90, Basis: "work product"},
		{Leaf: 5000, LeafHash: hexOf("leaf 5000"), Kind: "dir", Path: "/srv/\u202egpj.exe\x1b[2J", Size: -1, Basis: "trade secret <b>"},
	}
}

func relied() []Relied {
	return []Relied{
		{Leaf: 17, LeafHash: hexOf("leaf 17"), Path: "/var/log/nginx/access.log", Size: 81_204, SHA256: hexOf("access"), Remark: "changed while it was read"},
		{Leaf: 23, LeafHash: hexOf("leaf 23"), Path: "/var/www/shop/.cache/\u202ex", Size: 9_112, SHA256: hexOf("x")},
	}
}

func TestCertificateListsWhatIsReliedOn(t *testing.T) {
	for _, form := range Forms() {
		with, err := Certificate(form, sample(t), relied()...)
		if err != nil {
			t.Fatal(err)
		}
		without, err := Certificate(form, sample(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{hexOf("access"), hexOf("leaf 23"), "changed while it was read", `/var/www/shop/.cache/\u{202e}x`} {
			if !strings.Contains(text(with), want) {
				t.Errorf("%s lacks %s", form, want)
			}
		}
		if strings.Contains(text(with), "The list of the items relied on, each") || !strings.Contains(text(without), "The list of the items relied on, each") {
			t.Errorf("%s asks for a list it has, or lacks one and does not say so", form)
		}
	}
	if _, err := Certificate(FRE90214, sample(t), make([]Relied, MaxRelied+1)...); err == nil {
		t.Error("a certificate without bound")
	}
}

func TestCertificatesAreAsReviewed(t *testing.T) {
	for _, form := range Forms() {
		doc, err := Certificate(form, sample(t), relied()...)
		if err != nil {
			t.Fatal(err)
		}
		page, _ := papers(t, string(form), doc)
		testenv.Golden(t, "testdata/"+string(form)+".html", page)
	}
}

func TestPrivilegeLogIsAsReviewed(t *testing.T) {
	doc, err := PrivilegeLog(sample(t), withheld())
	if err != nil {
		t.Fatal(err)
	}
	page, _ := papers(t, "privilege", doc)
	testenv.Golden(t, "testdata/privilege.html", page)
	for _, banned := range []string{"<b>", "\u202e", "\x1b"} {
		if strings.Contains(strings.ReplaceAll(string(page), `<b class="hash"`, ""), banned) {
			t.Errorf("the page holds %q", banned)
		}
	}
}

func TestSceneFormIsAsReviewed(t *testing.T) {
	page, _ := papers(t, "scene", Scene(sample(t)))
	testenv.Golden(t, "testdata/scene.html", page)
	if strings.Contains(string(page), ">7</b>") {
		t.Error("the seal code is written into the boxes: a hand must do that")
	}
	papers(t, "scene-blank", Scene(Data{}))
}

func TestCaseReportIsAsReviewed(t *testing.T) {
	page, _ := papers(t, "case", report(t, sample(t), second(t), alteredBundle(t)))
	testenv.Golden(t, "testdata/case.html", page)
}

// Who signs for received evidence must not swear to its collection.
func TestDraftsOfReceivedEvidenceClaimNoCollection(t *testing.T) {
	claims := []string{"Collected by", "by that machine's clock", "read it from the device", "reads what its collection rules name", "looked at the following", "were copied with the program", "The acquisition was made with", "changes a running machine"}
	met := map[string]bool{}
	for _, form := range Forms() {
		d := sample(t)
		d.Method.Effects = nil
		before, err := Certificate(form, d)
		if err != nil {
			t.Fatal(err)
		}
		d.Exhibit.Received = "triage.zip"
		after, err := Certificate(form, d)
		if err != nil {
			t.Fatal(err)
		}
		for _, claim := range claims {
			met[claim] = met[claim] || strings.Contains(text(before), claim)
			if strings.Contains(text(after), claim) {
				t.Errorf("%s of received evidence says %q", form, claim)
			}
		}
		if !strings.Contains(text(after), "This exhibit was received, not collected") || strings.Contains(text(before), "was received, not collected") {
			t.Errorf("%s does not say what was received", form)
		}
	}
	for _, claim := range claims {
		if !met[claim] {
			t.Errorf("no draft says %q of collected evidence", claim)
		}
	}
}

func TestNoDraftFillsInWhatOnlyAPersonCanSay(t *testing.T) {
	for _, form := range Forms() {
		d := sample(t)
		doc, err := Certificate(form, d)
		if err != nil {
			t.Fatal(err)
		}
		if doc.Draft == "" {
			t.Errorf("%s is no draft", form)
		}
		blanks := 0
		for _, b := range doc.Blocks {
			fill, ok := b.(paper.Fill)
			if !ok {
				continue
			}
			for _, f := range fill.Fields {
				for _, personal := range []string{"name", "employer", "training", "opinion", "ground", "method", "own part", "residing"} {
					if strings.Contains(strings.ToLower(f.Label), personal) && !strings.Contains(f.Label, "machine") {
						if blanks++; f.Value != "" {
							t.Errorf("%s fills in %q with %q", form, f.Label, f.Value)
						}
					}
				}
			}
		}
		if blanks < 4 {
			t.Errorf("%s has only %d fields for a person", form, blanks)
		}
	}
}

// text is all words of a document.
func text(doc paper.Document) string { return strings.Join(wordsOf(doc), " ") }

func TestDraftsClaimNothingThatWasNotVerified(t *testing.T) {
	for _, form := range Forms() {
		good := sample(t)
		good.Layers = append(good.Layers, Layer{Subject: "bundle", Name: "contents", Verdict: chainofcustody.VerdictVerified, Sentence: "all agree"})
		bad := sample(t)
		bad.Layers = append(bad.Layers, Layer{Subject: "bundle", Name: "contents", Verdict: chainofcustody.VerdictAltered, Sentence: "2 differ"})
		unsaid := sample(t) // no layer speaks of contents
		const claim = "each equals the value recorded when the item was read"
		for _, c := range []struct {
			name   string
			d      Data
			claims bool
		}{{"good", good, true}, {"altered", bad, false}, {"not checked", unsaid, false}, {"empty", Data{}, false}} {
			doc, err := Certificate(form, c.d)
			if err != nil {
				t.Fatal(err)
			}
			all := text(doc)
			if strings.Contains(all, claim) != c.claims {
				t.Errorf("%s, %s: claims that contents are equal: %v", form, c.name, !c.claims)
			}
			if !strings.Contains(all, "hashed in the same pass") || strings.Contains(all, "second read confirmed") {
				t.Errorf("%s, %s does not say that read and copy were hashed in one pass", form, c.name)
			}
			if c.name != "good" && c.name != "not checked" && !strings.Contains(all, "did not come out without reservation") {
				t.Errorf("%s, %s does not warn of the verdict", form, c.name)
			}
		}
		gap := oneSided(t)
		doc, err := Certificate(form, gap)
		if err != nil {
			t.Fatal(err)
		}
		if all := text(doc); !strings.Contains(all, "Custody has 1 gap") || strings.Contains(all, "shows no gap") {
			t.Errorf("%s does not tell of the gap in custody", form)
		}
	}
	if _, err := Certificate("fre-902-11", sample(t)); err == nil {
		t.Error("an unknown form is drafted")
	}
}

func TestPrivilegeLogShowsNoContentAndItsLimit(t *testing.T) {
	d := sample(t)
	doc, err := PrivilegeLog(d, withheld())
	if err != nil {
		t.Fatal(err)
	}
	all := text(doc)
	for _, want := range []string{hexOf("leaf 12"), hexOf("leaf 4711"), "name withheld", "work product", "18,211 bytes", "sed -n '13p'"} {
		if !strings.Contains(all, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if _, err := PrivilegeLog(d, make([]Withheld, MaxWithheld+1)); err == nil {
		t.Error("a log without bound")
	}
	d.Verdict = chainofcustody.VerdictAltered
	doc, err = PrivilegeLog(d, withheld())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text(doc), "did not pass its check") {
		t.Error("the log of an altered exhibit does not say so")
	}
}

func TestStoryOfHands(t *testing.T) {
	has := func(t *testing.T, d Data, wants ...string) {
		t.Helper()
		all := ""
		for _, s := range handsOf(d.Events).story() {
			all += fmt.Sprintf("%v %s\n", s.bad, s.text)
		}
		for _, w := range wants {
			if !strings.Contains(all, w) {
				t.Errorf("lacks %q:\n%s", w, all)
			}
		}
	}
	has(t, branchAndMerge(t), "The log branches after entry 3", "branches of the log join here", "both parties signed", "true No hand-over signed by both sides is recorded between the last act of Alice Moreau")
	has(t, unknownSigner(t), "true A hand-over from Alice Moreau", "not both signatures are proven", "true In the name of Robert Haas stand 2 acts")
	has(t, missingParent(t), "true Handed over to Robert Haas", "true What stands before the act of Robert Haas")
	has(t, oneSided(t), "asserted by the giver only")
	if n := handsOf(noEvents(t).Events).gaps; n != 0 {
		t.Errorf("a log without events has %d gaps", n)
	}
	for _, s := range handsOf(unknownSigner(t).Events).story() {
		if strings.Contains(s.text, "both parties signed") {
			t.Errorf("an unproven signature counts as a signature: %s", s.text)
		}
	}
}

func TestJoiningForeignBranchesIsAGap(t *testing.T) {
	s := newStage(t, "alice", "robert", "chandra")
	s.act("alice", chainofcustody.EventCollected)
	f := s.fork()
	f.act("chandra", chainofcustody.EventOpened)
	s.act("alice", chainofcustody.EventVerified)
	s.join(f)
	s.act("robert", chainofcustody.EventOpened)
	if gaps := handsOf(s.data().Events).gaps; gaps != 3 {
		t.Errorf("%d gaps, want 3: nobody handed it to chandra or robert", gaps)
	}
}
