//go:build linux || darwin

package chainofcustody

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFoldersFromElsewhereCannotLeadOutOrHang(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, ex, id, events := testLog(t)
	log := func(name string) string { return c.Path(CustodyDir, ex, name) }
	if err := errors.Join(
		syscall.Mkfifo(log("0007-verified-000000000000.json"), 0o600),
		os.Symlink(outside, log("0008-verified-000000000000.json")),
		os.WriteFile(log("0009-verified-000000000000.json"), bytes.Repeat([]byte(" "), MaxEventSize+1), 0o600),
		os.Symlink("/dev/zero", log(events[0].File+".sig.json")),
	); err != nil {
		t.Fatal(err)
	}
	r := verify(t, c, ex, VerifyOptions{})
	if l := layerOf(t, r, LayerFiles); l.Verdict != VerdictDamaged || len(l.Details) != 4 || len(r.Events) != 5 {
		t.Errorf("%d events, %+v", len(r.Events), l)
	}
	if _, problems, err := c.Log(ex); err != nil || len(problems) < 4 {
		t.Errorf("problems %v, %v", problems, err)
	}
	if _, err := c.Append(ex, Event{Kind: EventException, Note: "strange files"}, id); err != nil {
		t.Errorf("the damage cannot be recorded: %v", err)
	}
	elsewhere := testCase(t)
	if err := os.Symlink(c.Path(CustodyDir, ex), elsewhere.Path(CustodyDir, "EX-001")); err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.VerifyCustody("EX-001", VerifyOptions{}); err == nil {
		t.Error("a link led out of the case")
	}
}

func TestLockedCaseIsSaidSo(t *testing.T) {
	c, ex, id, _ := testLog(t)
	c.lockWait = 50 * time.Millisecond
	f, err := os.OpenFile(c.Path(lockFileName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if busy, err := tryLock(f); busy || err != nil {
		t.Fatalf("busy %v, %v", busy, err)
	}
	if _, err := c.Append(ex, Event{Kind: EventVerified}, id); !errors.Is(err, ErrCaseLocked) {
		t.Errorf("append: %v", err)
	}
	if _, err := c.NextExhibit(); !errors.Is(err, ErrCaseLocked) {
		t.Errorf("next exhibit: %v", err)
	}
	if r := verify(t, c, ex, VerifyOptions{}); r.Verdict != VerdictVerified {
		t.Errorf("readers need no lock, yet: %s", r.Verdict)
	}
}

func TestAppendRefusesWhatCannotBeWritten(t *testing.T) {
	c, ex, id, events := testLog(t)
	tests := []struct {
		name    string
		exhibit string
		event   Event
		id      *Identity
		want    error
	}{
		{"no identity", ex, Event{Kind: EventVerified}, nil, ErrIdentity},
		{"no key", ex, Event{Kind: EventVerified}, &Identity{ID: "x"}, ErrIdentity},
		{"no kind", ex, Event{}, id, ErrEvent},
		{"bytes that are no text", ex, Event{Kind: EventVerified, Note: "\xff"}, id, ErrEvent},
		{"too long", ex, Event{Kind: EventVerified, Note: strings.Repeat("x", MaxEventSize)}, id, ErrEvent},
		{"attachment without hash", ex, Event{Kind: EventExported, Attach: []Attachment{{Name: "x"}}}, id, ErrEvent},
		{"no such exhibit", "EX-404", Event{Kind: EventVerified}, id, ErrNoExhibit},
		{"path for an exhibit", "../" + ex, Event{Kind: EventVerified}, id, ErrNoExhibit},
	}
	for _, test := range tests {
		if _, err := c.Append(test.exhibit, test.event, test.id); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	after, _, err := c.Log(ex)
	if err != nil || len(after) != len(events) {
		t.Errorf("%d events after refusals, want %d (%v)", len(after), len(events), err)
	}
}

func TestLongLogsWithWideBranchesAreReadInLinearTime(t *testing.T) {
	c, ex, id, events := testLog(t)
	dir := c.Path(CustodyDir, ex)
	root, err := os.OpenRoot(c.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	// Layers of events in which each names all of the layer before: as many
	// paths as 20^12, were they walked one by one.
	parents, last := events[4:5], Event{}
	for layer := range 12 {
		var next []Event
		for i := range 20 {
			ev := Event{Case: c.Info.ID, Exhibit: ex, Kind: EventVerified, Actor: id.person(), Time: at(20 + layer), Note: fmt.Sprint(i), Number: 6 + layer}
			for _, p := range parents {
				ev.Prev = append(ev.Prev, p.Digest)
			}
			if err := writeEvent(root, CustodyDir+"/"+ex, &ev, id.Key); err != nil {
				t.Fatal(err)
			}
			next, last = append(next, ev), ev
		}
		sortByDigest(next)
		parents = next
	}
	r := verify(t, c, ex, VerifyOptions{})
	if r.Verdict != VerdictVerified || len(r.Heads) != 20 || len(r.Events) != 245 {
		t.Errorf("%s, %d heads, %d events in %s", r.Verdict, len(r.Heads), len(r.Events), dir)
	}
	if last.Number != 17 {
		t.Errorf("last number %d", last.Number)
	}
}

func sortByDigest(events []Event) {
	for i := range events {
		for j := i; j > 0 && compareDigests(events[j].Digest, events[j-1].Digest) < 0; j-- {
			events[j], events[j-1] = events[j-1], events[j]
		}
	}
}
