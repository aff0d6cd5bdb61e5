package bundle

import (
	"bytes"
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

func disclosureVector(t testing.TB, name string) string {
	return filepath.Join(testenv.Root(t), "testdata/vectors/disclosure", name)
}

// testLog makes the custody log of a case whose last event is a disclosure,
// of the package of the good vectors unless it is changed.
func testLog(t testing.TB, seal evidence.Digest, change ...func(*chainofcustody.Event)) func(evidence.Digest) (map[string][]byte, error) {
	return func(sums evidence.Digest) (map[string][]byte, error) {
		id := &chainofcustody.Identity{ID: "alice@lab", Key: testKey(t)}
		cs, err := chainofcustody.InitCase(filepath.Join(t.TempDir(), "case"), chainofcustody.CaseInfo{ID: "2026-031"})
		if err != nil {
			return nil, err
		}
		exhibit, err := cs.NextExhibit()
		if err != nil {
			return nil, err
		}
		at := chainofcustody.EventTime{UTC: testTime, TZ: "+01:00", Source: "system"}
		disclosed := chainofcustody.Event{
			Kind: chainofcustody.EventDisclosed, Time: at, Seal: seal, Refs: []string{"leaf:1", "leaf:2"},
			To: &chainofcustody.Person{ID: "court of Bonn"}, Authority: "order of 3 May, 7 Gs 12/26",
			Attach: []chainofcustody.Attachment{{Name: SumsName, SHA256: sums}},
		}
		for _, do := range change {
			do(&disclosed)
		}
		for _, ev := range []chainofcustody.Event{
			{Kind: chainofcustody.EventOrdered, Time: at},
			{Kind: chainofcustody.EventSealed, Time: at, Seal: seal},
			disclosed,
		} {
			if _, err := cs.Append(exhibit, ev, id); err != nil {
				return nil, err
			}
		}
		files := map[string][]byte{}
		entries, err := os.ReadDir(cs.Path(chainofcustody.CustodyDir, exhibit))
		for _, e := range entries {
			b, err := os.ReadFile(cs.Path(chainofcustody.CustodyDir, exhibit, e.Name()))
			if err != nil {
				return nil, err
			}
			files[e.Name()] = b
		}
		return files, err
	}
}

// goodDisclosures are packages that prove what they say.
func goodDisclosures(t testing.TB) map[string][]byte {
	file := small(t, testHeader().Bundle)
	seal := openBytes(t, file).Seal().ID
	two := []DisclosedPart{{Leaf: 1, Content: true, Meta: true}, {Leaf: 2, Content: true}}
	return map[string][]byte{
		"two":          discloseTest(t, file, Disclosure{Parts: two, By: "alice@lab", Sign: giver(t)}),
		"unsigned":     discloseTest(t, file, Disclosure{Parts: two}),
		"with-custody": discloseTest(t, file, Disclosure{Parts: two, By: "alice@lab", Sign: giver(t), Custody: testLog(t, seal)}),
		"every-form": discloseTest(t, file, Disclosure{By: "alice@lab", Sign: giver(t), Parts: []DisclosedPart{
			{Leaf: 0, Content: true, Meta: true},
			{Leaf: 1, Content: true},
			{Leaf: 2, Meta: true},
			{Leaf: 3},
			{Leaf: 4, Content: true, Meta: true},
			{Leaf: 5, Content: true, Meta: true},
		}}),
	}
}

type badDisclosure struct {
	verdict Verdict
	file    []byte
}

// badDisclosures are packages with one defect each; the list of members fits,
// and is signed again, unless that is the defect.
func badDisclosures(t testing.TB) map[string]badDisclosure {
	list := map[string]badDisclosure{}
	good := goodDisclosures(t)
	other := packageMembers(t, discloseTest(t, small(t, "0195a1c4-1f70-7abc-8def-ba9876543210"), Disclosure{Parts: []DisclosedPart{{Leaf: 2, Content: true}}}))
	file := func(name string, v Verdict, b []byte) { list[name] = badDisclosure{v, b} }
	change := func(name string, v Verdict, from string, do func(list []part) []part) {
		file(name, v, refit(t, do(packageMembers(t, good[from])), giver(t)))
	}
	flip := func(member string, at int) func([]part) []part {
		return func(list []part) []part {
			find(t, list, member).data[at] ^= 1
			return list
		}
	}
	drop := func(members ...string) func([]part) []part {
		return func(list []part) []part {
			return slices.DeleteFunc(list, func(p part) bool { return slices.Contains(members, p.name) })
		}
	}
	words := func(member, old, text string) func([]part) []part {
		return func(list []part) []part {
			p := find(t, list, member)
			changed := bytes.Replace(p.data, []byte(old), []byte(text), 1)
			if bytes.Equal(changed, p.data) {
				t.Fatalf("%s holds no %q", member, old)
			}
			p.data = changed
			return list
		}
	}
	change("content-changed", Altered, "two", flip("records/1/content", 2))
	change("content-line-changed", Altered, "two", words("records/1/content.jsonl", `"size":6`, `"size":7`))
	change("metadata-line-changed", Altered, "two", words("records/1/meta.jsonl", "/etc/hostname", "/etc/hostnama"))
	change("withheld-digest-changed", Altered, "two", func(list []part) []part {
		p := find(t, list, "records/2/meta.sha256")
		p.data[0] ^= 'a' ^ 'b'
		if p.data[0] != 'a' && p.data[0] != 'b' {
			p.data[0] = 'a'
		}
		return list
	})
	change("proof-of-another-record", Altered, "two", func(list []part) []part {
		find(t, list, "records/1/record.tlog-proof").data = slices.Clone(find(t, list, "records/2/record.tlog-proof").data)
		return list
	})
	change("lines-of-another-bundle", Altered, "two", func(list []part) []part {
		for _, name := range []string{"records/2/content.jsonl", "records/2/content"} {
			find(t, list, name).data = find(t, other, name).data
		}
		return list
	})
	change("seal-of-another-bundle", Altered, "two", func(list []part) []part {
		for _, name := range []string{disclosedSeal, disclosedSSHSig, disclosedNote} {
			find(t, list, name).data = find(t, other, name).data
		}
		return list
	})
	change("key-of-another-run", Altered, "two", func(list []part) []part {
		find(t, list, disclosedKey).data = CollectorPub(otherKey(t).PublicKey())
		return list
	})
	change("proof-in-other-words", Altered, "two", words("records/1/record.tlog-proof", "index 1", "index 01"))
	change("statement-in-other-words", Altered, "two", words(disclosedStatement, `{"v":1,`, `{"v": 1,`))
	change("statement-claims-metadata", Altered, "two", words(disclosedStatement, `"metadata":"withheld"`, `"metadata":"line"`))
	change("content-withdrawn", Altered, "two", drop("records/1/content"))
	change("record-withdrawn", Altered, "two", drop("records/2/content.jsonl", "records/2/meta.sha256", "records/2/record.tlog-proof", "records/2/content"))
	change("key-of-the-header-is-another", Altered, "every-form", func(list []part) []part {
		return slices.Insert(list, slices.IndexFunc(list, func(p part) bool { return p.name == disclosedSeal }),
			part{entry: entry{name: disclosedBinding, mtime: disclosureTime}, data: mustSign(t, CollectorPub(testKey(t).PublicKey()))})
	})
	change("member-added", Altered, "two", func(list []part) []part {
		return append(list, part{entry: entry{name: "records/9/content", mtime: disclosureTime}, data: []byte("x")})
	})
	change("member-twice", Altered, "two", func(list []part) []part { return append(list, list[0]) })
	change("time-stated", Altered, "two", func(list []part) []part {
		list[1].mtime = testTime.Truncate(time.Second)
		return list
	})
	change("members-in-another-order", Altered, "two", func(list []part) []part {
		list[1], list[2] = list[2], list[1]
		return list
	})
	change("name-escapes", Altered, "two", func(list []part) []part {
		return append(list, part{entry: entry{name: "custody/../../x.json", mtime: disclosureTime}, data: []byte("x")})
	})
	change("symbolic-link", Altered, "two", func(list []part) []part {
		return append(list, part{raw: rawHeader("custody/x.json", '2', "0000777")})
	})
	file("recipient-changed", Altered, refit(t, words(disclosedStatement, "Bonn", "Bern")(packageMembers(t, good["two"])), nil))
	file("list-does-not-fit", Altered, packed(words(disclosedReadme, "disclosure", "disclosura")(packageMembers(t, good["two"]))))
	change("custody-event-changed", Altered, "with-custody", func(list []part) []part {
		list[len(list)-2].data = bytes.Replace(list[len(list)-2].data, []byte("leaf:2"), []byte("leaf:3"), 1)
		return list
	})
	change("custody-of-another-disclosure", Altered, "with-custody", words(disclosedReadme, "disclosure", "disclosura"))
	change("custody-log-cut", Altered, "with-custody", func(list []part) []part { return list[:len(list)-2] })
	change("custody-event-missing", Altered, "with-custody", func(list []part) []part {
		i := slices.IndexFunc(list, func(p part) bool { return bytes.HasPrefix([]byte(p.name), []byte("custody/0001")) })
		return slices.Delete(list, i, i+2)
	})
	bundled := small(t, testHeader().Bundle)
	seal := openBytes(t, bundled).Seal().ID
	for name, do := range map[string]func(*chainofcustody.Event){
		"custody-to-another-recipient":  func(ev *chainofcustody.Event) { ev.To.ID = "court of Bern" },
		"custody-on-another-basis":      func(ev *chainofcustody.Event) { ev.Authority = "none" },
		"custody-names-a-record-less":   func(ev *chainofcustody.Event) { ev.Refs = ev.Refs[:1] },
		"custody-names-another-record":  func(ev *chainofcustody.Event) { ev.Refs[1] = "leaf:3" },
		"custody-names-one-record-more": func(ev *chainofcustody.Event) { ev.Refs = append(ev.Refs, "leaf:3") },
	} {
		file(name, Altered, discloseTest(t, bundled, Disclosure{
			Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}, {Leaf: 2, Content: true}},
			By:    "alice@lab", Sign: giver(t), Custody: testLog(t, seal, do),
		}))
	}
	change("custody-event-under-another-number", Altered, "with-custody", func(list []part) []part {
		for i := len(list) - 2; i < len(list); i++ {
			list[i].name = strings.Replace(list[i].name, "custody/0003", "custody/0004", 1)
		}
		return list
	})
	change("seal-signature-withdrawn", VerifiedPrefix, "two", drop(disclosedSSHSig))
	two := good["two"]
	file("bytes-behind-the-end", Altered, append(slices.Clone(two), make([]byte, tarBlock)...))
	file("cut", Damaged, two[:len(two)-3*tarBlock])
	file("cut-in-the-first-member", Unreadable, two[:tarBlock+3])
	file("other-tar", Unreadable, append(rawHeader("etc/passwd", '0', "0000644"), make([]byte, 2*tarBlock)...))
	padded := slices.Clone(two)
	padded[tarBlock+len(disclosureText)+1] = 1
	file("padding-not-zero", Altered, padded)
	stranger := Disclosure{To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 1, Content: true}}}
	for name, kind := range map[string]evidence.Kind{"header-in-another-place": evidence.KindHeader, "trailer-in-another-place": evidence.KindTrailer} {
		file(name, Altered, discloseTest(t, misplaced(t, kind), Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}}}))
	}
	file("unknown-key", SignerUnknown, discloseTest(t, minimal(t, otherKey(t)), stranger))
	return list
}

// misplaced is a sealed bundle whose record 1 is a second header, or an early trailer.
func misplaced(t testing.TB, kind evidence.Kind) []byte {
	t.Helper()
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	if err := w.record(&record{off: -1, item: evidence.Item{Kind: kind, Started: testTime}, body: []byte(`{"finished":"2026-01-01T00:00:00Z"}`)}); err != nil {
		t.Fatal(err)
	}
	sealBundle(t, w)
	return out.Bytes()
}

func mustSign(t testing.TB, message []byte) []byte {
	t.Helper()
	sig, err := testKey(t).Sign(chainofcustody.NamespaceCustody, message)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestGoodDisclosureVectorsAreVerifiedAndWrittenByteForByte(t *testing.T) {
	for name, b := range goodDisclosures(t) {
		path := disclosureVector(t, name+".disclosure.tar")
		testenv.Golden(t, path, b)
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := verifyPackage(t, kept, trustTest(t))
		if r.Verdict != Verified {
			t.Errorf("%s: %s %v", name, r.Verdict, r.Problems)
		}
		if events := map[string]int{"with-custody": 3}[name]; r.Custody != events || r.Known != events {
			t.Errorf("%s: %d events, %d of known people, want %d", name, r.Custody, r.Known, events)
		}
		report, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, disclosureVector(t, name+".json"), append(report, '\n'))
	}
	line := `alice@lab namespaces="exhibit-seal,exhibit-custody" ` + string(CollectorPub(testKey(t).PublicKey()))
	testenv.Golden(t, disclosureVector(t, "allowed_signers"), []byte(line))
}

func TestBadDisclosureVectorsGetTheirVerdict(t *testing.T) {
	verdicts := map[string]Verdict{}
	for name, v := range badDisclosures(t) {
		path := disclosureVector(t, "bad/"+name+".disclosure.tar")
		testenv.Golden(t, path, v.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		verdicts[name] = v.verdict
		if r := verifyPackage(t, b, trustTest(t)); r.Verdict != v.verdict {
			t.Errorf("%s: verdict %s, want %s: %v %v", name, r.Verdict, v.verdict, r.Sentences, r.Problems)
		}
	}
	b, err := json.MarshalIndent(verdicts, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, disclosureVector(t, "bad/verdicts.json"), append(b, '\n'))
}

// Every byte of a log that travels along is signed for, too.
func TestEveryChangedByteOfAnAttachedLogIsRefused(t *testing.T) {
	good := goodDisclosures(t)["with-custody"]
	from := bytes.Index(good, []byte("custody/0001"))
	for i := from; i < len(good); i += 3 {
		b := slices.Clone(good)
		b[i] ^= 1 << (i % 8)
		if r := verifyPackage(t, b, trustTest(t)); r.ExitCode() != 4 {
			t.Fatalf("byte %d changed: %s", i, r.Verdict)
		}
	}
}
