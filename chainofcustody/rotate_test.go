package chainofcustody

import (
	"errors"
	"testing"
	"time"
)

func TestARotatedKeySignsNoMoreAndItsOldSignaturesStand(t *testing.T) {
	c, old := testCase(t), testIdentity(t, "alice@lab")
	if err := c.Enroll(old, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	ex, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(ex, Event{Kind: EventOrdered}, old); err != nil {
		t.Fatal(err)
	}
	fresh := &Identity{ID: "alice@lab", Key: runKey(t).Signer}
	if err := c.Rotate(old, fresh, nil, "new token"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(ex, Event{Kind: EventVerified}, fresh); err != nil {
		t.Fatal(err)
	}
	rep, err := c.VerifyCustody(ex, VerifyOptions{Now: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	// The old key's events rest on their stated time from here on, and it is said.
	if rep.Verdict != VerdictTimeUnproven || len(rep.Events) != 3 || rep.Events[1].Kind != EventKeyChanged {
		t.Errorf("%s %+v", rep.Verdict, rep.Events)
	}
	late := Event{Kind: EventVerified, Time: Now()}
	late.Time.UTC = time.Now().Add(10 * time.Minute)
	if _, err := c.Append(ex, late, old); err != nil {
		t.Fatal(err)
	}
	if rep, err = c.VerifyCustody(ex, VerifyOptions{}); err != nil || rep.Verdict != VerdictSignerUnknown {
		t.Errorf("an event by the old key ten minutes later: %s, %v", rep.Verdict, err)
	}
	stranger := &Identity{ID: "bob@firm", Key: runKey(t).Signer}
	if err := c.Rotate(fresh, stranger, nil, ""); !errors.Is(err, ErrWrongPrincipal) {
		t.Errorf("rotated to another person: %v", err)
	}
}

func TestARevokedKeyIsNotTrustedFromThatTimeOn(t *testing.T) {
	c, alice, bob := testCase(t), testIdentity(t, "alice@lab"), &Identity{ID: "bob@firm", Key: runKey(t).Signer}
	for _, id := range []*Identity{alice, bob} {
		if err := c.Enroll(id, time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	ex, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(ex, Event{Kind: EventOrdered}, bob); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revoke(bob.Fingerprint(), time.Now().Add(-time.Hour), bob, nil, ""); err == nil {
		t.Error("a key revoked itself")
	}
	who, err := c.Revoke(bob.Fingerprint(), time.Now().Add(-time.Hour), alice, nil, "laptop stolen")
	if err != nil || who != "bob@firm" {
		t.Fatalf("%q, %v", who, err)
	}
	rep, err := c.VerifyCustody(ex, VerifyOptions{})
	if err != nil || rep.Verdict != VerdictSignerUnknown {
		t.Errorf("an event after the revocation's time: %s, %v", rep.Verdict, err)
	}
	list, err := c.Signers()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if Fingerprint(s.Key) == bob.Fingerprint() && s.ValidBefore.IsZero() {
			t.Errorf("still valid: %s", s.Line())
		}
	}
	// A later end does not give the key back what it lost.
	if _, err := c.Expire(bob.Fingerprint(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := mustSigners(t, c).Check("bob@firm", bob.Key.PublicKey(), NamespaceCustody, time.Now()); !errors.Is(err, ErrKeyOutsideTerms) {
		t.Errorf("%v", err)
	}
	if _, err := c.Expire("SHA256:nobody", time.Now()); !errors.Is(err, ErrNotListed) {
		t.Errorf("%v", err)
	}
}

func mustSigners(t *testing.T, c *Case) AllowedSigners {
	t.Helper()
	list, err := c.Signers()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAnOrderIsIssuedOnceAndUsedOnce(t *testing.T) {
	c, alice := testCase(t), testIdentity(t, "alice@lab")
	if err := c.Enroll(alice, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	o := sampleOrder()
	o.Key = ""
	issued, err := c.IssueOrder(o, true, alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, key, err := VerifyOrder(issued.File, issued.Sig); err != nil || Fingerprint(key) != alice.Fingerprint() {
		t.Fatal(err)
	}
	if cert, err := VerifyCertificate(issued.Certificate, issued.Key.PublicKey(), o.Exhibit, o.NotBefore); err != nil || cert.Nonce != o.NonceText() {
		t.Errorf("%+v %v", cert, err)
	}
	ref := o.Digest.String()
	if used, known, err := c.OrderUse(o.Exhibit, ref); err != nil || used || !known {
		t.Errorf("fresh: used %v, issued %v, %v", used, known, err)
	}
	if _, known, err := c.OrderUse(o.Exhibit, "00"+ref[2:]); err != nil || known {
		t.Errorf("another order: issued %v, %v", known, err)
	}
	if _, err := c.Append(o.Exhibit, Event{Kind: EventReceived, Seal: o.Digest, Refs: []string{ref}}, alice); err != nil {
		t.Fatal(err)
	}
	if used, _, err := c.OrderUse(o.Exhibit, ref); err != nil || !used {
		t.Errorf("after a bundle came of it: used %v, %v", used, err)
	}
	bad := sampleOrder()
	bad.NotAfter = bad.NotBefore
	if _, err := c.IssueOrder(bad, false, alice, nil); !errors.Is(err, ErrOrder) {
		t.Errorf("an order that makes no sense: %v", err)
	}
	if names, err := c.Exhibits(); err != nil || len(names) != 1 {
		t.Errorf("a number was spent on it: %v %v", names, err)
	}
}
