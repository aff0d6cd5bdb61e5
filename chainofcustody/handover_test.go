package chainofcustody

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// twoPeople is a case with one sealed exhibit, in which two people may sign.
func twoPeople(t *testing.T) (c *Case, alice, bob *Identity, exhibit string) {
	t.Helper()
	c, alice = testCase(t), testIdentity(t, "alice@lab")
	bob = &Identity{ID: "bob@firm", Name: "Bob", Key: runKey(t).Signer}
	for _, id := range []*Identity{alice, bob} {
		if err := c.Enroll(id, time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	exhibit, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	add(t, c, exhibit, Event{Kind: EventSealed, Seal: evidence.Sum([]byte("seal"))}, alice)
	return c, alice, bob, exhibit
}

func add(t *testing.T, c *Case, exhibit string, ev Event, id *Identity) Event {
	t.Helper()
	ev, err := c.Append(exhibit, ev, id)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// exported is the portable form of a case's logs.
func exported(t *testing.T, c *Case) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.Export(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAHandOverIsSignedByBothOnTheSameBytesAndComesHome(t *testing.T) {
	home, alice, bob, ex := twoPeople(t)
	given := add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	if l := layerOf(t, verify(t, home, ex, VerifyOptions{}), LayerHandovers); !strings.Contains(l.Sentence, "one side only") {
		t.Errorf("before: %q", l.Sentence)
	}
	away, err := Import(bytes.NewReader(exported(t, home)), filepath.Join(t.TempDir(), "away"))
	if err != nil || !away.New || away.Events != 2 {
		t.Fatalf("%+v, %v", away, err)
	}
	if err := away.Case.Countersign(ex, given.Digest, bob); err != nil {
		t.Fatal(err)
	}
	if err := away.Case.Countersign(ex, given.Digest, alice); err == nil {
		t.Error("the giver counter-signed the own event")
	}
	// The counter-signature alone is the receiver's word.
	if l := layerOf(t, verify(t, away.Case, ex, VerifyOptions{}), LayerHandovers); l.Sentence != "Both sides signed the one hand-over." {
		t.Errorf("counter-signed: %q", l.Sentence)
	}
	add(t, away.Case, ex, Event{Kind: EventReceived, Seal: evidence.Sum([]byte("seal"))}, bob)
	add(t, home, ex, Event{Kind: EventNoted, Note: "meanwhile"}, alice)

	back, err := Import(bytes.NewReader(exported(t, away.Case)), home.Dir())
	if err != nil || back.New || back.Events != 1 || len(back.Unknown) != 0 {
		t.Fatalf("%+v, %v", back, err)
	}
	rep := verify(t, home, ex, VerifyOptions{})
	if rep.Verdict != VerdictVerified || len(rep.Heads) != 2 || rep.Events[1].Witness[0] != "bob@firm" {
		t.Errorf("%s, %d heads, %+v", rep.Verdict, len(rep.Heads), rep.Events[1].Witness)
	}
	joined := add(t, home, ex, Event{Kind: EventVerified, Check: &Check{Result: "VERIFIED"}}, alice)
	if rep = verify(t, home, ex, VerifyOptions{}); len(rep.Heads) != 1 || len(joined.Prev) != 2 {
		t.Errorf("%d heads, %d parents", len(rep.Heads), len(joined.Prev))
	}
	// The same again brings nothing.
	if again, err := Import(bytes.NewReader(exported(t, away.Case)), home.Dir()); err != nil || again.Files != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	// An edited copy of an event is not taken in.
	edited := bytes.Replace(exported(t, away.Case), []byte(`"event":"transferred"`), []byte(`"event":"transfErred"`), 1)
	if _, err := Import(bytes.NewReader(edited), home.Dir()); err == nil || !strings.Contains(err.Error(), "differs") {
		t.Errorf("edited: %v", err)
	}
}

func TestContradictoryHandOversAreSaid(t *testing.T) {
	home, alice, _, ex := twoPeople(t)
	copyOf := exported(t, home)
	add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	other, err := Import(bytes.NewReader(copyOf), filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	add(t, other.Case, ex, Event{Kind: EventTransferred, To: &Person{ID: "carol@x"}}, alice)
	if _, err := Import(bytes.NewReader(exported(t, other.Case)), home.Dir()); err != nil {
		t.Fatal(err)
	}
	if l := layerOf(t, verify(t, home, ex, VerifyOptions{}), LayerHandovers); !strings.Contains(l.Sentence, "contradict") || len(l.Details) != 3 {
		t.Errorf("two branches: %q %q", l.Sentence, l.Details)
	}

	// With a copy made before, each branch has one.
	home, alice, _, ex = twoPeople(t)
	add(t, home, ex, Event{Kind: EventCopied}, alice)
	copyOf = exported(t, home)
	add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	if other, err = Import(bytes.NewReader(copyOf), filepath.Join(t.TempDir(), "other")); err != nil {
		t.Fatal(err)
	}
	add(t, other.Case, ex, Event{Kind: EventTransferred, To: &Person{ID: "carol@x"}}, alice)
	if _, err := Import(bytes.NewReader(exported(t, other.Case)), home.Dir()); err != nil {
		t.Fatal(err)
	}
	if l := layerOf(t, verify(t, home, ex, VerifyOptions{}), LayerHandovers); strings.Contains(l.Sentence, "contradict") {
		t.Errorf("original and copy: %q %q", l.Sentence, l.Details)
	}

	var bob *Identity
	home, alice, bob, ex = twoPeople(t)
	add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	add(t, home, ex, Event{Kind: EventReceived}, bob)
	add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "carol@x"}}, alice)
	if l := layerOf(t, verify(t, home, ex, VerifyOptions{}), LayerHandovers); !strings.Contains(l.Sentence, "contradict") {
		t.Errorf("given by who no longer held it: %q", l.Sentence)
	}
	home, alice, bob, ex = twoPeople(t)
	add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	add(t, home, ex, Event{Kind: EventRefused, Note: "bag open"}, bob)
	add(t, home, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	if l := layerOf(t, verify(t, home, ex, VerifyOptions{}), LayerHandovers); strings.Contains(l.Sentence, "contradict") {
		t.Errorf("given again after a refusal: %q %q", l.Sentence, l.Details)
	}
}

func TestForgedCompanionsAreFound(t *testing.T) {
	c, alice, bob, ex := twoPeople(t)
	given := add(t, c, ex, Event{Kind: EventTransferred, To: &Person{ID: "bob@firm"}}, alice)
	mallory := runKey(t)
	dir := c.Path(CustodyDir, ex)
	name := filepath.Join(dir, given.File+".bob@firm"+countersigSuffix)
	data, err := c.EventBytes(ex, given.Digest)
	if err != nil {
		t.Fatal(err)
	}
	put := func(sig []byte) Report {
		t.Helper()
		_ = os.Remove(name)
		if err := os.WriteFile(name, sig, 0o600); err != nil {
			t.Fatal(err)
		}
		return verify(t, c, ex, VerifyOptions{})
	}
	forged := must(mallory.Sign(NamespaceCustody, data))
	if rep := put(forged); len(rep.Events[1].Witness) != 0 || !strings.Contains(layerOf(t, rep, LayerHandovers).Sentence, "one side") {
		t.Errorf("by a stranger: %+v", rep.Events[1])
	}
	own := must(alice.Key.Sign(NamespaceCustody, data))
	if rep := put(own); rep.Verdict != VerdictAltered {
		t.Errorf("the giver's signature under the receiver's name: %s", rep.Verdict)
	}
	other := must(bob.Key.Sign(NamespaceCustody, append(data, ' ')))
	if rep := put(other); rep.Verdict != VerdictAltered {
		t.Errorf("over other bytes: %s", rep.Verdict)
	}
	if rep := put([]byte("nonsense")); rep.Verdict != VerdictAltered {
		t.Errorf("no signature: %s", rep.Verdict)
	}
	if rep := put(must(bob.Key.Sign(NamespaceCustody, data))); rep.Verdict != VerdictVerified || rep.Events[1].Witness[0] != "bob@firm" {
		t.Errorf("the good one: %s", rep.Verdict)
	}
}

func TestAStampCoversEverythingBeforeIt(t *testing.T) {
	c, alice, _, ex := twoPeople(t)
	first := add(t, c, ex, Event{Kind: EventNoted, Note: "one"}, alice)
	if _, err := c.AddToken(ex, first.Digest, []byte("token")); err != nil {
		t.Fatal(err)
	}
	if again, err := c.AddToken(ex, first.Digest, []byte("token")); err != nil || again != first.File+tokenSuffix {
		t.Errorf("%q, %v", again, err)
	}
	add(t, c, ex, Event{Kind: EventNoted, Note: "two"}, alice)
	at := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	read := func(token, data []byte) (time.Time, string, error) {
		if string(token) != "token" || evidence.Sum(data) != first.Digest {
			return time.Time{}, "", errors.New("not over this")
		}
		return at, "TSA", nil
	}
	rep := verify(t, c, ex, VerifyOptions{TokenTime: read})
	if len(rep.Events) != 3 || !rep.Events[0].Proven.Equal(at) || !rep.Events[1].Proven.Equal(at) || !rep.Events[2].Proven.IsZero() {
		t.Errorf("%+v", rep.Events)
	}
	if l := layerOf(t, rep, LayerTime); !strings.Contains(l.Sentence, "2 of 3") {
		t.Errorf("%q %q", l.Sentence, l.Details)
	}
	// A key that expired since: the proven time is inside its window.
	if _, err := c.Expire(alice.Fingerprint(), at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	later := VerifyOptions{Now: at.Add(48 * time.Hour)}
	if rep = verify(t, c, ex, later); rep.Verdict != VerdictTimeUnproven {
		t.Errorf("without the stamp: %s", rep.Verdict)
	}
	later.TokenTime = read
	rep = verify(t, c, ex, later)
	if l := layerOf(t, rep, LayerSigners); len(l.Details) != 1 {
		t.Errorf("with the stamp only the last event is open: %q", l.Details)
	}
	// A token that proves nothing is a remark; an event that claims to be older
	// than it can be is one too.
	never := func(_, _ []byte) (time.Time, string, error) { return time.Time{}, "", errors.New("untrusted") }
	if l := layerOf(t, verify(t, c, ex, VerifyOptions{TokenTime: never}), LayerTime); !strings.Contains(strings.Join(l.Details, " "), "proves nothing") {
		t.Errorf("%q", l.Details)
	}
	early := func(token, data []byte) (time.Time, string, error) {
		_, by, err := read(token, data)
		return at.Add(-time.Hour), by, err
	}
	if l := layerOf(t, verify(t, c, ex, VerifyOptions{TokenTime: early}), LayerTime); !strings.Contains(strings.Join(l.Details, " "), "it existed by") {
		t.Errorf("%q", l.Details)
	}
}

func TestPortableLogsFromElsewhereAreReadStrictly(t *testing.T) {
	c, _, _, ex := twoPeople(t)
	good := exported(t, c)
	if again := exported(t, c); !bytes.Equal(again, good) {
		t.Error("two exports of one log differ")
	}
	caseJSON := must(os.ReadFile(c.Path(CaseFile)))
	signers := must(os.ReadFile(c.Path(SignersFile)))
	type member struct {
		h    tar.Header
		data []byte
	}
	base := []member{{tar.Header{Name: CaseFile}, caseJSON}, {tar.Header{Name: SignersFile}, signers}}
	for why, m := range map[string]member{
		"a way out":     {tar.Header{Name: "../evil.json"}, []byte("x")},
		"absolute":      {tar.Header{Name: "/etc/passwd"}, []byte("x")},
		"hidden":        {tar.Header{Name: CustodyDir + "/" + ex + "/.hidden.json"}, []byte("x")},
		"a link":        {tar.Header{Name: CustodyDir + "/" + ex + "/0001-x.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, nil},
		"a device":      {tar.Header{Name: CustodyDir + "/" + ex + "/0001-x.json", Typeflag: tar.TypeChar}, nil},
		"something":     {tar.Header{Name: "exhibits/EX-001/b.exhibit.tar.zst"}, []byte("x")},
		"bad exhibit":   {tar.Header{Name: CustodyDir + "/EX-1/0001-x.json"}, []byte("x")},
		"twice":         {tar.Header{Name: CaseFile}, caseJSON},
		"too long":      {tar.Header{Name: CustodyDir + "/" + ex + "/0001-x.json"}, make([]byte, MaxEventSize+1)},
		"control bytes": {tar.Header{Name: CustodyDir + "/" + ex + "/0001-\x1b.json"}, []byte("x")},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, m := range append(base, m) {
			m.h.Size, m.h.Mode = int64(len(m.data)), 0o644
			if err := w.WriteHeader(&m.h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(m.data); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "x")
		if _, err := Import(&b, dir); !errors.Is(err, ErrPortable) {
			t.Errorf("%s: %v", why, err)
		}
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%s: a folder was made", why)
		}
	}
	for i := range 40 {
		if _, err := Import(bytes.NewReader(good[:i*len(good)/40]), filepath.Join(t.TempDir(), "x")); err == nil {
			t.Errorf("cut at %d: accepted", i)
		}
	}
	other := must(InitCase(filepath.Join(t.TempDir(), "o"), CaseInfo{ID: "other"}))
	if _, err := Import(bytes.NewReader(good), other.Dir()); !errors.Is(err, ErrOtherCase) {
		t.Errorf("into another case: %v", err)
	}
}

func TestAMissingExhibitIsNoticed(t *testing.T) {
	c, _, _, _ := twoPeople(t)
	for range 2 {
		if _, err := c.NextExhibit(); err != nil {
			t.Fatal(err)
		}
	}
	if missing, err := c.MissingExhibits(); err != nil || len(missing) != 0 {
		t.Errorf("%v, %v", missing, err)
	}
	if err := os.Remove(c.Path(CustodyDir, "EX-002")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(c.Path(ExhibitsDir, "EX-004"), 0o700); err != nil {
		t.Fatal(err)
	}
	if missing, err := c.MissingExhibits(); err != nil || len(missing) != 2 || missing[0] != "EX-002" || missing[1] != "EX-004" {
		t.Errorf("%v, %v", missing, err)
	}
}

func FuzzImport(f *testing.F) {
	c := testCase(f)
	alice := testIdentity(f, "alice@lab")
	if err := c.Enroll(alice, time.Time{}, time.Time{}); err != nil {
		f.Fatal(err)
	}
	ex := must(c.NextExhibit())
	must(c.Append(ex, Event{Kind: EventSealed}, alice))
	var b bytes.Buffer
	if err := c.Export(&b, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := readPortable(bytes.NewReader(data))
		for name := range files {
			if err == nil && (!filepath.IsLocal(name) || portableLimit(name) == 0) {
				t.Errorf("member %q was taken", name)
			}
		}
	})
}
