package chainofcustody

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Now reads this computer's clocks for an event: wall clock, zone, time since
// boot and boot id. Source is "system": nothing is claimed about accuracy.
func Now() EventTime {
	now := time.Now()
	mono, boot := bootClock()
	return EventTime{UTC: now.UTC(), TZ: zoneOf(now), Source: "system", Mono: mono, BootID: boot}
}

func zoneOf(t time.Time) string {
	zone := t.Format("-07:00")
	if zone == "-00:00" {
		return "+00:00"
	}
	return zone
}

// Append signs an event with the identity's key and adds it to the exhibit's
// log; its parents are all current heads. The caller fills Kind and what
// applies of the other fields; Case, Exhibit, Prev, Actor and (where zero)
// Time are filled here. The event is either written whole, with its
// signature and durably, or not at all. The stored event is returned.
//
// Append does not ask whether the log verifies: that something is wrong must
// be recordable too. Errors: ErrNoExhibit, ErrIdentity, ErrEvent,
// ErrCaseLocked, and those of the key.
func (c *Case) Append(exhibit string, ev Event, id *Identity) (Event, error) {
	fail := func(err error) (Event, error) {
		return Event{}, fmt.Errorf("record %s of %s: %w", ev.Kind, exhibit, err)
	}
	if err := id.check(); err != nil {
		return fail(err)
	}
	if !IsExhibit(exhibit) {
		return fail(ErrNoExhibit)
	}
	root, unlock, err := c.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	dir := path.Join(CustodyDir, exhibit)
	if err := finishInterrupted(root, dir); err != nil {
		return fail(err)
	}
	l, err := readLog(root, exhibit)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(ErrNoExhibit)
	}
	if err != nil {
		return fail(err)
	}
	ev.Case, ev.Exhibit, ev.Prev, ev.Actor = c.Info.ID, exhibit, l.heads(), id.person()
	if ev.Time.UTC.IsZero() {
		ev.Time = Now()
	}
	ev.Time.UTC = ev.Time.UTC.UTC()
	l.numberEvents()
	ev.Number = 1
	for _, n := range l.nodes {
		ev.Number = max(ev.Number, n.event.Number+1)
	}
	if err := writeEvent(root, dir, &ev, id.Key); err != nil {
		return fail(err)
	}
	return ev, nil
}

// writeEvent makes both files durable under temporary names, then renames
// the signature and, as the moment the event comes to be, the event.
func writeEvent(root *os.Root, dir string, ev *Event, key Signer) error {
	data, err := ev.Encode()
	if err != nil {
		return err
	}
	sig, err := key.Sign(NamespaceCustody, data)
	if err != nil {
		return err
	}
	if _, err := Verify(NamespaceCustody, data, sig); err != nil {
		return fmt.Errorf("check own signature: %w", err)
	}
	ev.Digest = evidence.Sum(data)
	ev.File = eventFileName(ev.Number, ev.Kind, ev.Digest)
	final := path.Join(dir, ev.File)
	temp := path.Join(dir, "."+ev.File+tempSuffix)
	if err := writeTemp(root, temp, data, 0o444); err != nil {
		return err
	}
	if err := writeAtomic(root, final+sigSuffix, sig, 0o444); err != nil {
		return errors.Join(err, root.Remove(temp))
	}
	if err := root.Rename(temp, final); err != nil {
		return errors.Join(err, root.Remove(final+sigSuffix), root.Remove(temp))
	}
	return syncRootDir(root, dir)
}

// finishInterrupted clears what a crash in writeEvent left: an event whose
// signature is in place is completed, anything earlier is removed.
func finishInterrupted(root *os.Root, dir string) error {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return nil // the caller reads the folder next and reports why it cannot
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, tempSuffix) {
			continue
		}
		temp := path.Join(dir, name)
		final := path.Join(dir, strings.TrimSuffix(name[1:], tempSuffix))
		if pairVerifies(root, temp, final+sigSuffix) {
			err = root.Rename(temp, final)
		} else {
			err = root.Remove(temp)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func pairVerifies(root *os.Root, event, sig string) bool {
	data, err := readBounded(root, event, MaxEventSize)
	if err != nil {
		return false
	}
	armored, err := readBounded(root, sig, maxSigFile)
	if err != nil {
		return false
	}
	_, err = Verify(NamespaceCustody, data, armored)
	return err == nil
}
