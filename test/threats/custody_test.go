package threats

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// tale is a log of five events by one person, an hour apart, up to an hour ago.
func tale(t testing.TB, id *chainofcustody.Identity) (c *chainofcustody.Case, ex string, events []chainofcustody.Event) {
	t.Helper()
	c, ex = folder(t, id)
	begin := time.Now().UTC().Add(-5 * time.Hour)
	for i, kind := range []chainofcustody.EventKind{
		chainofcustody.EventOrdered, chainofcustody.EventCollected, chainofcustody.EventSealed, chainofcustody.EventVerified, chainofcustody.EventOpened,
	} {
		ev := chainofcustody.Event{Kind: kind, Time: chainofcustody.EventTime{UTC: begin.Add(time.Duration(i) * time.Hour), Source: "system"}}
		if i > 1 {
			ev.Seal = evidence.Sum([]byte("seal"))
		}
		events = append(events, add(t, c, ex, ev, id))
	}
	return c, ex, events
}

// remove takes an event away, with its signature.
func remove(t testing.TB, c *chainofcustody.Case, ex, file string) {
	t.Helper()
	for _, suffix := range []string{"", ".sig"} {
		must(t, os.Remove(c.Path(chainofcustody.CustodyDir, ex, file+suffix)))
	}
}

// is checks the verdict on a log.
func is(t testing.TB, what string, rep chainofcustody.Report, wanted chainofcustody.Verdict) {
	t.Helper()
	if rep.Verdict != wanted {
		t.Errorf("%s: %s, want %s", what, rep.Verdict, wanted)
	}
}

func TestInsiderEditsRemovesOrReordersEvents(t *testing.T) {
	alice := person(t, "alice@lab")
	c, ex, events := tale(t, alice)
	is(t, "untouched", custody(t, c, ex, chainofcustody.VerifyOptions{}), chainofcustody.VerdictVerified)

	name := c.Path(chainofcustody.CustodyDir, ex, events[3].File)
	whole, err := os.ReadFile(name)
	must(t, err)
	must(t, os.Chmod(name, 0o600))
	must(t, os.WriteFile(name, bytes.Replace(whole, []byte(`"event":"verified"`), []byte(`"event":"arrived"`), 1), 0o600))
	is(t, "edited", custody(t, c, ex, chainofcustody.VerifyOptions{}), chainofcustody.VerdictAltered)
	must(t, os.WriteFile(name, whole, 0o600))

	c, ex, events = tale(t, alice)
	remove(t, c, ex, events[2].File)
	is(t, "one removed", custody(t, c, ex, chainofcustody.VerifyOptions{}), chainofcustody.VerdictDamaged)

	c, ex, events = tale(t, alice)
	old, swapped := c.Path(chainofcustody.CustodyDir, ex, events[1].File), c.Path(chainofcustody.CustodyDir, ex, events[2].File)
	must(t, os.Rename(old, old+"x"))
	must(t, os.Rename(swapped, old))
	must(t, os.Rename(old+"x", swapped))
	is(t, "two in each other's place", custody(t, c, ex, chainofcustody.VerifyOptions{}), chainofcustody.VerdictAltered)
}

func TestInsiderRollsTheEndOfALogBack(t *testing.T) {
	alice := person(t, "alice@lab")
	c, ex, events := tale(t, alice)
	head := chainofcustody.VerifyOptions{KnownHeads: []evidence.Digest{events[4].Digest}}
	is(t, "untouched", custody(t, c, ex, head), chainofcustody.VerdictVerified)
	remove(t, c, ex, events[4].File)
	remove(t, c, ex, events[3].File)
	rep := custody(t, c, ex, chainofcustody.VerifyOptions{})
	is(t, "cut, nothing known elsewhere", rep, chainofcustody.VerdictVerified)
	if !strings.Contains(said(rep, chainofcustody.LayerEnd), "not proven") {
		t.Errorf("it must be said that the end is not proven: %q", said(rep, chainofcustody.LayerEnd))
	}
	is(t, "cut, the head known elsewhere", custody(t, c, ex, head), chainofcustody.VerdictDamaged)

	key := put(t, "key", privateKey(t, alice))
	code, out := exhibit(t, "--case", c.Dir(), "--key", key, "--id", alice.ID, "custody", "verify", ex, "--head", events[4].Digest.String())
	if code != 4 || !strings.Contains(out, "DAMAGED") {
		t.Errorf("as an examiner does it: exit code %d\n%s", code, out)
	}
}

func TestInsiderRewritesTheWholeLog(t *testing.T) {
	alice, mallory := person(t, "alice@lab"), person(t, "mallory@lab")
	_, _, honest := tale(t, alice)
	forged, ex, _ := tale(t, mallory) // with an allowed_signers that lists Mallory
	is(t, "by the folder's own list", custody(t, forged, ex, chainofcustody.VerifyOptions{}), chainofcustody.VerdictVerified)
	list, err := chainofcustody.ParseAllowedSigners([]byte("alice@lab " + line(alice) + "\n"))
	must(t, err)
	is(t, "by a list from elsewhere", custody(t, forged, ex, chainofcustody.VerifyOptions{Signers: list}), chainofcustody.VerdictSignerUnknown)
	is(t, "with a head known elsewhere", custody(t, forged, ex, chainofcustody.VerifyOptions{KnownHeads: []evidence.Digest{honest[4].Digest}}), chainofcustody.VerdictDamaged)
}

func TestInsiderRemovesAnExhibit(t *testing.T) {
	c, _ := folder(t, person(t, "alice@lab"))
	for range 2 {
		_, err := c.NextExhibit()
		must(t, err)
	}
	must(t, os.RemoveAll(c.Path(chainofcustody.CustodyDir, "EX-002")))
	must(t, os.RemoveAll(c.Path(chainofcustody.ExhibitsDir, "EX-002")))
	missing, err := c.MissingExhibits()
	if err != nil || len(missing) != 1 || missing[0] != "EX-002" {
		t.Errorf("missing %v, %v", missing, err)
	}
	if next, err := c.NextExhibit(); err != nil || next != "EX-004" {
		t.Errorf("the number is given out again: %s, %v", next, err)
	}
}

func TestInsiderSignsUnderAnotherName(t *testing.T) {
	alice, bob := person(t, "alice@lab"), person(t, "bob@lab")
	c, ex := folder(t, alice, bob)
	add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventNoted, Note: "I did not"}, &chainofcustody.Identity{ID: "alice@lab", Key: bob.Key})
	rep := custody(t, c, ex, chainofcustody.VerifyOptions{})
	is(t, "Bob's key for Alice", rep, chainofcustody.VerdictSignerUnknown)
	if !strings.Contains(said(rep, chainofcustody.LayerSigners), "bob@lab") {
		t.Errorf("whose key it is must be said: %q", said(rep, chainofcustody.LayerSigners))
	}
}

// What one side says of a hand-over is not what both say.
func TestInsiderClaimsAHandOverThatNobodySigned(t *testing.T) {
	alice, bob := person(t, "alice@lab"), person(t, "bob@firm")
	c, ex := folder(t, alice, bob)
	given := add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventTransferred, To: &chainofcustody.Person{ID: bob.ID}}, alice)
	if got := said(custody(t, c, ex, chainofcustody.VerifyOptions{}), chainofcustody.LayerHandovers); !strings.Contains(got, "one side only") {
		t.Errorf("claimed by the giver: %q", got)
	}
	if err := c.Countersign(ex, given.Digest, alice); err == nil {
		t.Error("the giver counter-signed for the receiver")
	}
	must(t, c.Countersign(ex, given.Digest, bob))
	if got := said(custody(t, c, ex, chainofcustody.VerifyOptions{}), chainofcustody.LayerHandovers); strings.Contains(got, "one side only") {
		t.Errorf("signed by both: %q", got)
	}
}

// A key is stolen and revoked from a time on. What an outside stamp proves to
// be older stays good; what the thief dates back does not become so.
func TestThiefOfAnExaminersKeyDatesBack(t *testing.T) {
	alice, bob := person(t, "alice@lab"), person(t, "bob@lab")
	c, ex := folder(t, alice, bob)
	at := func(d time.Duration) chainofcustody.EventTime {
		return chainofcustody.EventTime{UTC: time.Now().UTC().Add(d), Source: "system"}
	}
	good := add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventSealed, Seal: evidence.Sum([]byte("seal")), Time: at(-5 * time.Hour)}, alice)
	tsa := newAuthority(t, "Authority")
	data, err := c.EventBytes(ex, good.Digest)
	must(t, err)
	_, err = c.AddToken(ex, good.Digest, tsa.stamp(data, time.Now().Add(-4*time.Hour)))
	must(t, err)
	_, err = c.Revoke(alice.Fingerprint(), time.Now().Add(-2*time.Hour), bob, nil, "stolen")
	must(t, err)
	forged := add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventNoted, Note: "by the thief", Time: at(-3 * time.Hour)}, alice)
	late := add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventNoted, Note: "by the thief", Time: at(-time.Hour)}, alice)

	rep := custody(t, c, ex, chainofcustody.VerifyOptions{TokenTime: tsa.read})
	is(t, "all of it", rep, chainofcustody.VerdictSignerUnknown)
	problems := map[evidence.Digest]string{}
	for _, e := range rep.Events {
		problems[e.Digest] = strings.Join(e.Problems, " ")
	}
	if problems[good.Digest] != "" {
		t.Errorf("the event before the theft, with a proven time: %q", problems[good.Digest])
	}
	if problems[forged.Digest] == "" || problems[late.Digest] == "" {
		t.Errorf("dated back: %q; after the revocation: %q", problems[forged.Digest], problems[late.Digest])
	}
}

func TestWhoeverSetsClocksIsSeenByTheOrderOfEvents(t *testing.T) {
	alice := person(t, "alice@lab")
	c, ex, _ := tale(t, alice)
	add(t, c, ex, chainofcustody.Event{
		Kind: chainofcustody.EventNoted, Time: chainofcustody.EventTime{UTC: time.Now().UTC().AddDate(-3, 0, 0), Source: "system"},
	}, alice)
	rep := custody(t, c, ex, chainofcustody.VerifyOptions{})
	is(t, "a clock set back", rep, chainofcustody.VerdictVerified)
	if !strings.Contains(said(rep, chainofcustody.LayerTime), "before") {
		t.Errorf("it must be said: %q", said(rep, chainofcustody.LayerTime))
	}
}

// A folder from elsewhere leads out of itself, hangs its reader, or holds text
// that two programs would read differently.
func TestHostileCaseFolderLeadsOutHangsOrDisguises(t *testing.T) {
	alice := person(t, "alice@lab")
	c, ex, events := tale(t, alice)
	dir := c.Path(chainofcustody.CustodyDir, ex)
	secret := put(t, "secret", []byte("outside"))
	must(t, os.Symlink(secret, filepath.Join(dir, "0006-noted-000000000000.json")))
	if v := custody(t, c, ex, chainofcustody.VerifyOptions{}).Verdict; v == chainofcustody.VerdictVerified {
		t.Errorf("a link in the place of an event: %s", v)
	}
	must(t, os.Remove(filepath.Join(dir, "0006-noted-000000000000.json")))
	whole, err := os.ReadFile(filepath.Join(dir, events[0].File))
	must(t, err)
	for what, bad := range map[string][]byte{
		"a key twice":        bytes.Replace(whole, []byte(`"v":1`), []byte(`"v":1,"v":1`), 1),
		"white space":        bytes.Replace(whole, []byte(`"v":1`), []byte(`"v": 1`), 1),
		"an escape for text": bytes.Replace(whole, []byte(`alice@lab`), []byte(`\u0061lice@lab`), 1),
		"a direction mark":   bytes.Replace(whole, []byte(`alice@lab`), []byte("alice\u202e@lab"), 1),
		"another line":       append(bytes.Clone(whole), whole...),
	} {
		if _, err := chainofcustody.ParseEvent(bad); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
