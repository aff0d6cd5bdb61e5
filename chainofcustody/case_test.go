package chainofcustody

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testIdentity has a fixed key: Ed25519 signatures are deterministic.
func testIdentity(t testing.TB, id string) *Identity {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, id)
	key, err := RunKeyOf(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	return &Identity{ID: id, Name: "Alice Example", Org: "Lab", Role: "examiner", Key: key}
}

func testCase(t testing.TB) *Case {
	t.Helper()
	c, err := InitCase(filepath.Join(t.TempDir(), "case"), CaseInfo{ID: "2026-017", Title: "Web server intrusion"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCaseIsFoundFromAnyFolderInside(t *testing.T) {
	c := testCase(t)
	deep := c.Path(TimelineDir, "seg", "x")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := FindCase(deep)
	if err != nil {
		t.Fatal(err)
	}
	if found.Dir() != c.Dir() || found.Info != c.Info {
		t.Errorf("found %s %+v, want %s %+v", found.Dir(), found.Info, c.Dir(), c.Info)
	}
}

func TestCaseErrorsAreTyped(t *testing.T) {
	c := testCase(t)
	if _, err := OpenCase(t.TempDir()); !errors.Is(err, ErrNoCase) {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := OpenCase(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNoCase) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := InitCase(c.Dir(), CaseInfo{ID: "x"}); !errors.Is(err, ErrCaseExists) {
		t.Errorf("second init: %v", err)
	}
	if err := os.WriteFile(c.Path(CaseFile), []byte(`{"v":2,"id":"x","more":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCase(c.Dir()); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("newer schema: %v", err)
	}
}

func TestInitCaseRefusesIDsThatAreNoFileNames(t *testing.T) {
	for _, id := range []string{"", "..", "a/b", "a b", "-x", "x.", "a\nb", string(make([]byte, 65))} {
		if _, err := InitCase(filepath.Join(t.TempDir(), "c"), CaseInfo{ID: id}); err == nil {
			t.Errorf("id %q was accepted", id)
		}
	}
}

func TestNextExhibitNeverGivesANumberTwice(t *testing.T) {
	c := testCase(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			name, err := c.NextExhibit()
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[name] {
				t.Errorf("got %q, %v (seen before: %v)", name, err, seen[name])
			}
			seen[name] = true
		})
	}
	wg.Wait()
	names, err := c.Exhibits()
	if err != nil || len(names) != 8 || names[0] != "EX-001" || names[7] != "EX-008" {
		t.Errorf("exhibits %v, %v", names, err)
	}
}

func TestWritersTakeTurnsAndLinkToEachOther(t *testing.T) {
	c, id := testCase(t), testIdentity(t, "alice@lab")
	ex, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := c.Append(ex, Event{Kind: EventVerified}, id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	events, problems, err := c.Log(ex)
	if err != nil || len(problems) > 0 || len(events) != 6 {
		t.Fatalf("%d events, problems %v, %v", len(events), problems, err)
	}
	for i, e := range events {
		if e.Number != i+1 {
			t.Errorf("event %d has number %d", i, e.Number)
		}
		if i > 0 && (len(e.Prev) != 1 || e.Prev[0] != events[i-1].Digest) {
			t.Errorf("event %d does not name its predecessor alone: %v", i+1, e.Prev)
		}
	}
}

func TestInterruptedAppendIsCompletedByTheNext(t *testing.T) {
	c, id := testCase(t), testIdentity(t, "alice@lab")
	ex, _ := c.NextExhibit()
	ev, err := c.Append(ex, Event{Kind: EventOrdered}, id)
	if err != nil {
		t.Fatal(err)
	}
	dir := c.Path(CustodyDir, ex)
	// As after a crash between the two renames.
	if err := os.Rename(filepath.Join(dir, ev.File), filepath.Join(dir, "."+ev.File+".tmp")); err != nil {
		t.Fatal(err)
	}
	// As after a crash before any rename.
	if err := os.WriteFile(filepath.Join(dir, ".0002-sealed-000000000000.json.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := c.Append(ex, Event{Kind: EventCollected}, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.Prev) != 1 || next.Prev[0] != ev.Digest || next.Number != 2 {
		t.Errorf("next event has number %d, parents %v; want 2, %v", next.Number, next.Prev, ev.Digest)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 4 {
		t.Errorf("folder holds %v, want two events with signatures", entries)
	}
}

func TestEventTimeIsKeptToTheNanosecond(t *testing.T) {
	c, id := testCase(t), testIdentity(t, "alice@lab")
	ex, _ := c.NextExhibit()
	when := time.Date(2026, 3, 1, 12, 0, 0, 7, time.FixedZone("", 7200))
	ev, err := c.Append(ex, Event{Kind: EventOrdered, Time: EventTime{UTC: when, Source: "manual"}}, id)
	if err != nil {
		t.Fatal(err)
	}
	events, _, err := c.Log(ex)
	if err != nil || len(events) != 1 || !events[0].Time.UTC.Equal(when) || events[0].Digest != ev.Digest {
		t.Errorf("read back %+v, %v", events, err)
	}
}
