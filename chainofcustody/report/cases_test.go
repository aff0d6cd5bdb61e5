package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// scene is a case folder in which the tests let people act.
type stage struct {
	t      testing.TB
	c      *chainofcustody.Case
	minute int
	people map[string]*chainofcustody.Identity
}

// newStage makes a case with one exhibit; the people named are known to it.
func newStage(t testing.TB, known ...string) *stage {
	t.Helper()
	c, err := chainofcustody.InitCase(filepath.Join(t.TempDir(), "case"), chainofcustody.CaseInfo{ID: "2026-031", Title: "Leak of the price list"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, c: c, people: map[string]*chainofcustody.Identity{}}
	for _, name := range []string{"Alice Moreau", "Robert Haas", "Chandra Iyer", "Dora Novak"} {
		id := strings.ToLower(name[:strings.IndexByte(name, ' ')])
		s.people[id] = person(t, id+"@lab", name, "Nordlicht Forensics", "examiner")
	}
	for _, id := range known {
		if err := c.Enroll(s.people[id], time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.NextExhibit(); err != nil {
		t.Fatal(err)
	}
	return s
}

var stageSeal = evidence.Sum([]byte("seal"))

// act lets a person act, a good hour after the act before.
func (s *stage) act(who string, kind chainofcustody.EventKind, to ...string) chainofcustody.Event {
	s.t.Helper()
	s.minute += 67
	ev := chainofcustody.Event{Kind: kind, Seal: stageSeal}
	if len(to) > 0 {
		ev.To = &chainofcustody.Person{ID: s.people[to[0]].ID, Name: s.people[to[0]].Name}
	}
	ev.Time = chainofcustody.EventTime{UTC: time.Date(2026, 4, 7, 8, s.minute, 0, 0, time.UTC), TZ: "+02:00", Source: "ntp"}
	ev, err := s.c.Append("EX-001", ev, s.people[who])
	if err != nil {
		s.t.Fatal(err)
	}
	return ev
}

// fork copies the case folder; what the copy's people do there comes back
// with join, beside what happened here meanwhile.
func (s *stage) fork() *stage {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.c.Dir())); err != nil {
		s.t.Fatal(err)
	}
	c, err := chainofcustody.OpenCase(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return &stage{s.t, c, s.minute, s.people}
}

func (s *stage) join(other *stage) {
	s.t.Helper()
	dir := other.c.Path(chainofcustody.CustodyDir, "EX-001")
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		to := s.c.Path(chainofcustody.CustodyDir, "EX-001", e.Name())
		if _, err := os.Stat(to); err == nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.minute = max(s.minute, other.minute)
}

// data verifies the log and puts it into a sample report.
func (s *stage) data() Data {
	s.t.Helper()
	rep, err := s.c.VerifyCustody("EX-001", chainofcustody.VerifyOptions{Bundle: &chainofcustody.BundleFacts{Seal: stageSeal}, Now: time.Date(2026, 4, 20, 9, 0, 0, 0, time.UTC)})
	if err != nil {
		s.t.Fatal(err)
	}
	d := sample(s.t)
	d.Case = Case{ID: "2026-031", Title: "Leak of the price list", Org: "Nordlicht Forensics", Authority: "Order of 2 April 2026", Purpose: "Find out who sent the price list"}
	d.Layers, d.Events, d.Heads = d.Layers[:3], nil, nil
	d.Why = nil
	d.AddCustody(rep)
	d.Verdict = rep.Verdict
	return d
}

// remove takes the file of an event out of the folder.
func (s *stage) remove(e chainofcustody.Event) {
	s.t.Helper()
	path := s.c.Path(chainofcustody.CustodyDir, "EX-001", e.File)
	for _, p := range []string{path, path + ".sig"} {
		if err := os.Remove(p); err != nil {
			s.t.Fatal(err)
		}
	}
}

// The cases whose papers were looked at.
func unknownSigner(t testing.TB) Data {
	s := newStage(t, "alice")
	s.act("alice", chainofcustody.EventCollected)
	s.act("alice", chainofcustody.EventSealed)
	s.act("alice", chainofcustody.EventTransferred, "robert")
	s.act("robert", chainofcustody.EventReceived)
	s.act("robert", chainofcustody.EventVerified)
	return s.data()
}

func missingParent(t testing.TB) Data {
	s := newStage(t, "alice", "robert")
	s.act("alice", chainofcustody.EventCollected)
	s.act("alice", chainofcustody.EventSealed)
	s.act("alice", chainofcustody.EventTransferred, "robert")
	gone := s.act("robert", chainofcustody.EventReceived)
	s.act("robert", chainofcustody.EventVerified)
	s.act("robert", chainofcustody.EventAnalysed)
	s.remove(gone)
	return s.data()
}

func branchAndMerge(t testing.TB) Data {
	s := newStage(t, "alice", "robert", "chandra", "dora")
	s.act("alice", chainofcustody.EventCollected)
	s.act("alice", chainofcustody.EventSealed)
	s.act("alice", chainofcustody.EventCopied)
	f := s.fork()
	f.act("alice", chainofcustody.EventTransferred, "chandra")
	f.act("chandra", chainofcustody.EventReceived)
	f.act("chandra", chainofcustody.EventVerified)
	f.act("chandra", chainofcustody.EventAnalysed)
	f.act("chandra", chainofcustody.EventTransferred, "alice")
	s.act("alice", chainofcustody.EventStored)
	s.act("alice", chainofcustody.EventVerified)
	s.act("robert", chainofcustody.EventOpened)
	s.act("robert", chainofcustody.EventTransferred, "alice")
	s.act("alice", chainofcustody.EventReceived)
	s.join(f)
	s.act("alice", chainofcustody.EventReceived)
	s.act("alice", chainofcustody.EventTransferred, "dora")
	s.act("dora", chainofcustody.EventReceived)
	return s.data()
}

func oneSided(t testing.TB) Data {
	s := newStage(t, "alice", "robert")
	s.act("alice", chainofcustody.EventCollected)
	s.act("alice", chainofcustody.EventSealed)
	s.act("alice", chainofcustody.EventTransferred, "robert")
	return s.data()
}

func noEvents(t testing.TB) Data { return newStage(t).data() }

func alteredBundle(t testing.TB) Data {
	d := branchAndMerge(t)
	d.Layers[1] = Layer{Subject: "bundle", Name: "contents", Verdict: chainofcustody.VerdictAltered, Sentence: "2 items are not what their records say", Details: []string{
		"files/root/etc/passwd: the content has another SHA-256 than its record", "files/root/var/log/auth.log: the content has another SHA-256 than its record",
	}}
	d.Verdict = chainofcustody.VerdictAltered
	return d
}

func crowd(t testing.TB) Data {
	s := newStage(t, "alice", "robert", "chandra", "dora")
	s.act("alice", chainofcustody.EventCollected)
	names := []string{"alice", "robert", "chandra", "dora"}
	for i := range 40 {
		a, b := names[i%4], names[(i+1)%4]
		s.act(a, chainofcustody.EventTransferred, b)
		if i%3 > 0 {
			s.act(b, chainofcustody.EventReceived)
		} else {
			s.act(b, chainofcustody.EventVerified)
		}
	}
	return s.data()
}

var cases = map[string]func(testing.TB) Data{
	"unknown-signer": unknownSigner, "missing-parent": missingParent, "branch-merge": branchAndMerge, "one-sided": oneSided,
	"no-events": noEvents, "altered": alteredBundle, "crowd": crowd,
}

func TestPapersOfEveryCase(t *testing.T) {
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			page, _ := papers(t, name, report(t, make(t)))
			if len(page) > 1<<20 {
				t.Errorf("the page has %d bytes", len(page))
			}
		})
	}
}
