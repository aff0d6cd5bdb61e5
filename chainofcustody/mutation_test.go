package chainofcustody

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// forger is what an attack on a log works with.
type forger struct {
	*rand.Rand
	t                  testing.TB
	files              map[string][]byte // of the log under attack; may be changed
	names              []string          // its events in order
	elsewhere, sibling map[string][]byte // logs of another case and another exhibit
	alice, mallory     *Identity
	head               evidence.Digest
}

func (f *forger) pick(n int) int { return f.IntN(n) }

func (f *forger) event() string { return f.names[f.pick(len(f.names))] }

// readFolder reads all files of a log.
func readFolder(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, e := range entries {
		if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// put signs an event and stores it under the name that belongs to it.
func (f *forger) put(e Event, number int, key Signer, namespace string) {
	data, err := e.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	sig, err := key.Sign(namespace, data)
	if err != nil {
		f.t.Fatal(err)
	}
	name := eventFileName(number, e.Kind, evidence.Sum(data))
	f.files[name], f.files[name+sigSuffix] = data, sig
}

// parsed is one event of the log, to be changed.
func (f *forger) parsed(name string) Event {
	e, err := ParseEvent(f.files[name])
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

func (f *forger) remove(name string) {
	delete(f.files, name)
	delete(f.files, name+sigSuffix)
}

// custodyAttack is one kind of mutation; may are the verdicts that are right
// besides DAMAGED and ALTERED, with the reason where it is made.
type custodyAttack struct {
	name string
	may  []Verdict
	do   func(f *forger)
}

func custodyAttacks() []custodyAttack {
	intact := []Verdict{VerdictSignerUnknown, VerdictTimeUnproven}
	last := func(f *forger) string { return f.names[len(f.names)-1] }
	return []custodyAttack{
		{"byte of an event", nil, func(f *forger) { flip(f, f.event()) }},
		{"byte of a signature", nil, func(f *forger) { flip(f, f.event()+sigSuffix) }},
		{"event cut", nil, func(f *forger) { n := f.event(); f.files[n] = f.files[n][:f.pick(len(f.files[n]))] }},
		{"signature cut", nil, func(f *forger) { n := f.event() + sigSuffix; f.files[n] = f.files[n][:f.pick(len(f.files[n]))] }},
		{"bytes added", nil, func(f *forger) {
			n := []string{f.event(), f.event() + sigSuffix}[f.pick(2)]
			more := []string{"\n", " ", "{}\n", "x", "\x00", "-----BEGIN SSH SIGNATURE-----\n"}[f.pick(6)]
			if f.pick(2) == 0 {
				f.files[n] = append([]byte(more), f.files[n]...)
			} else {
				f.files[n] = append(bytes.Clone(f.files[n]), more...)
			}
		}},
		{"event removed", nil, func(f *forger) { delete(f.files, f.event()) }},
		{"signature removed", nil, func(f *forger) { delete(f.files, f.event()+sigSuffix) }},
		{"event and signature removed", nil, func(f *forger) { f.remove(f.names[f.pick(len(f.names)-1)]) }},
		{"end removed, known from elsewhere", nil, func(f *forger) { f.remove(last(f)) }},
		{"signatures exchanged", nil, func(f *forger) {
			i := f.pick(len(f.names) - 1)
			a, b := f.names[i]+sigSuffix, f.names[i+1]+sigSuffix
			f.files[a], f.files[b] = f.files[b], f.files[a]
		}},
		{"events exchanged", nil, func(f *forger) {
			i := f.pick(len(f.names) - 1)
			a, b := f.names[i], f.names[i+1]
			f.files[a], f.files[b] = f.files[b], f.files[a]
		}},
		{"event under another name", nil, func(f *forger) {
			n := f.event()
			to := []string{"9" + n[1:], strings.Replace(n, "-", "-x", 1), n[:len(n)-8] + "000.json", "0" + n}[f.pick(4)]
			f.files[to], f.files[to+sigSuffix] = f.files[n], f.files[n+sigSuffix]
			if f.pick(2) == 0 {
				f.remove(n)
			}
		}},
		{"event of another case", nil, func(f *forger) { f.replay(f.elsewhere) }},
		{"event of another exhibit", nil, func(f *forger) { f.replay(f.sibling) }},
		{"log of another case", nil, func(f *forger) { f.files = maps.Clone(f.elsewhere) }},
		{"log of another exhibit", nil, func(f *forger) { f.files = maps.Clone(f.sibling) }},
		{"event changed and signed by somebody", nil, func(f *forger) {
			n := f.event()
			e := f.parsed(n)
			e.Note = "changed"
			f.remove(n)
			f.put(e, slices.Index(f.names, n)+1, f.mallory.Key, NamespaceCustody)
		}},
		{"event signed for another purpose", nil, func(f *forger) {
			e := f.parsed(last(f))
			e.Kind, e.Prev = EventVerified, []evidence.Digest{f.head}
			f.put(e, len(f.names)+1, f.alice.Key, NamespaceSeal)
		}},
		{"signature over another hash", nil, func(f *forger) {
			n := f.event()
			f.files[n+sigSuffix] = signSHA256(f.t, f.files[n])
		}},
		{"second beginning", nil, func(f *forger) {
			e := f.parsed(f.names[0])
			e.Note = "another beginning"
			f.put(e, 1, f.alice.Key, NamespaceCustody)
		}},
		{"version raised", nil, func(f *forger) {
			n := f.event()
			f.files[n] = bytes.Replace(f.files[n], []byte(`"v":1`), []byte(`"v":2`), 1)
		}},
		// Such an event is what its signer signed: the verdict is about the signer.
		{"somebody unknown adds an event", intact, func(f *forger) {
			e := f.parsed(last(f))
			e.Prev, e.Actor = []evidence.Digest{f.head}, f.mallory.person()
			f.put(e, len(f.names)+1, f.mallory.Key, NamespaceCustody)
		}},
		{"somebody unknown takes a known name", intact, func(f *forger) {
			e := f.parsed(last(f))
			e.Prev, e.Actor.Key = []evidence.Digest{f.head}, f.mallory.person().Key
			f.put(e, len(f.names)+1, f.mallory.Key, NamespaceCustody)
		}},
		{"lapsed key dates an event back", intact, func(f *forger) { f.lapsed(-48 * time.Hour) }},
		{"lapsed key signs later", intact, func(f *forger) { f.lapsed(48 * time.Hour) }},
		{"another person's name on a known key", intact, func(f *forger) {
			e := f.parsed(last(f))
			e.Prev, e.Actor.ID = []evidence.Digest{f.head}, "carol@lab"
			f.put(e, len(f.names)+1, f.alice.Key, NamespaceCustody)
		}},
		// The armor of a signature may have lines of 64 or of 70 characters: the
		// signature is the same. It is the one freedom that section 2.1 leaves.
		{"lines of a signature 70 long", []Verdict{VerdictVerified}, func(f *forger) {
			n := f.event() + sigSuffix
			sig, err := sshsig.Unarmor(f.files[n])
			if err != nil {
				f.t.Fatal(err)
			}
			f.files[n] = []byte(opensshArmor(sig))
		}},
	}
}

func flip(f *forger, name string) {
	b := bytes.Clone(f.files[name])
	b[f.pick(len(b))] ^= byte(1 + f.pick(255))
	f.files[name] = b
}

// replay puts an event of another log in, in place of one or besides all.
func (f *forger) replay(from map[string][]byte) {
	var names []string
	for n := range from {
		if strings.HasSuffix(n, eventSuffix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	n := names[f.pick(len(names))]
	if f.pick(2) == 0 {
		f.remove(f.names[slices.Index(names, n)])
	}
	f.files[n], f.files[n+sigSuffix] = from[n], from[n+sigSuffix]
}

// lapsed adds an event by somebody whose key was valid until a time, so much
// before or after it.
func (f *forger) lapsed(after time.Duration) {
	bob := testIdentity(f.t, "bob@firm")
	e := f.parsed(f.names[len(f.names)-1])
	e.Prev, e.Actor = []evidence.Digest{f.head}, bob.person()
	e.Time.UTC = lapse.Add(after)
	f.put(e, len(f.names)+1, bob.Key, NamespaceCustody)
}

var lapse = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

func signSHA256(t testing.TB, data []byte) []byte {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, "alice@lab")
	key, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := sshsig.Sign(bytes.NewReader(data), key, sshsig.HashSHA256, NamespaceCustody)
	if err != nil {
		t.Fatal(err)
	}
	return sshsig.Armor(sig)
}

// No mutation of a log may be VERIFIED, or INTACT but where the attack says so.
// EXHIBIT_MUTATIONS makes more of them.
func TestNoMutationOfALogIsVerified(t *testing.T) {
	total := 1500
	if s := os.Getenv("EXHIBIT_MUTATIONS"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	c, ex, alice, events := testLog(t)
	bob := testIdentity(t, "bob@firm")
	if err := c.Enroll(bob, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), lapse); err != nil {
		t.Fatal(err)
	}
	whole := readFolder(t, c.Path(CustodyDir, ex))
	elsewhere := logOf(t, "2026-018", "EX-001", alice)
	sibling := logOf(t, c.Info.ID, "EX-002", alice)
	dir := c.Path(CustodyDir, ex)
	list, counts := custodyAttacks(), map[string]map[Verdict]int{}
	for i := range total {
		a := list[i%len(list)]
		f := &forger{
			Rand: rand.New(rand.NewPCG(uint64(i), 9)), t: t, files: maps.Clone(whole), elsewhere: elsewhere, sibling: sibling,
			alice: alice, mallory: testIdentity(t, "mallory@evil"), head: events[len(events)-1].Digest,
		}
		for _, e := range events {
			f.names = append(f.names, e.File)
		}
		a.do(f)
		writeFolder(t, dir, f.files)
		r, err := c.VerifyCustody(ex, VerifyOptions{KnownHeads: []evidence.Digest{f.head}, Now: at(60).UTC})
		if err != nil {
			t.Fatalf("%s, number %d: %v", a.name, i, err)
		}
		if counts[a.name] == nil {
			counts[a.name] = map[Verdict]int{}
		}
		counts[a.name][r.Verdict]++
		if r.Verdict != VerdictDamaged && r.Verdict != VerdictAltered && !slices.Contains(a.may, r.Verdict) {
			t.Errorf("%s, number %d: verdict %s, %+v", a.name, i, r.Verdict, r.Layers)
		}
	}
	for _, a := range list {
		t.Logf("%-40s %v", a.name, counts[a.name])
	}
}

// logOf makes a log of five events for an exhibit of a case.
func logOf(t testing.TB, id, exhibit string, who *Identity) map[string][]byte {
	t.Helper()
	c, err := InitCase(filepath.Join(t.TempDir(), "case"), CaseInfo{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	for ex := ""; ex != exhibit; {
		if ex, err = c.NextExhibit(); err != nil {
			t.Fatal(err)
		}
	}
	for i, kind := range []EventKind{EventOrdered, EventCollected, EventSealed, EventVerified, EventAnalysed} {
		if _, err := c.Append(exhibit, Event{Kind: kind, Time: at(i)}, who); err != nil {
			t.Fatal(err)
		}
	}
	return readFolder(t, c.Path(CustodyDir, exhibit))
}

func writeFolder(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A changed version is an alteration; a newer program's signed event is not
// ours to judge.
func TestSignedEventOfANewerVersionIsNotJudged(t *testing.T) {
	c, ex, alice, events := testLog(t)
	data, err := os.ReadFile(c.Path(CustodyDir, ex, events[4].File))
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte(`"v":1`), []byte(`"v":2,"new":true`), 1)
	sig, err := alice.Key.Sign(NamespaceCustody, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		sig   []byte
		newer bool
	}{{sig, true}, {[]byte(base64.StdEncoding.EncodeToString(sig)), false}} {
		name := c.Path(CustodyDir, ex, "0006-analysed-000000000000.json")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+".sig", test.sig, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := c.VerifyCustody(ex, VerifyOptions{})
		if newer := err != nil; newer != test.newer || !newer && r.Verdict != VerdictAltered {
			t.Errorf("verdict %s, error %v", r.Verdict, err)
		}
	}
}
