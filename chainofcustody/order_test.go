package chainofcustody

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

func sampleOrder() *Order {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	return &Order{
		Nonce: [16]byte{1, 2, 3}, Case: "2026-017", Exhibit: "EX-007", Issued: at, NotBefore: at, NotAfter: at.Add(48 * time.Hour),
		Authority: "Mandate 12/2026", Purpose: "find the way in", Scope: "logs and configuration of web01; no mail",
		Profile: "linux_logs", ProfileSHA256: evidence.Sum([]byte("p")), Tools: []evidence.Digest{evidence.Sum([]byte("a"))},
		Recipients: []string{"age1example"}, Key: "SHA256:abc",
	}
}

func TestOrdersHaveOneSpellingAndOneSigner(t *testing.T) {
	alice := &Identity{ID: "alice@lab", Name: "Alice", Key: runKey(t).Signer}
	o := sampleOrder()
	file, sig, err := SignOrder(o, alice)
	if err != nil {
		t.Fatal(err)
	}
	got, key, err := VerifyOrder(file, sig)
	if err != nil || !reflect.DeepEqual(got, o) || Fingerprint(key) != alice.Fingerprint() {
		t.Fatalf("%v\n%+v\n%+v", err, got, o)
	}
	// ssh-keygen agrees.
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"sig": sig, "signers": append([]byte("alice@lab namespaces=\"exhibit-order\" "), ssh.MarshalAuthorizedKey(alice.Key.PublicKey())...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := tool(t, string(file), "ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "signers"), "-I", "alice@lab", "-n", NamespaceOrder, "-s", filepath.Join(dir, "sig"))
	if err != nil {
		t.Errorf("ssh-keygen: %v\n%s", err, out)
	}
	// Every changed byte is refused, by the spelling or by the signature.
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if _, _, err := VerifyOrder(bad, sig); err == nil {
			t.Fatalf("byte %d changed: accepted", i)
		}
	}
	// Another signer than the one it names.
	mallory := runKey(t)
	forged, err := mallory.Sign(NamespaceOrder, file)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyOrder(file, forged); !errors.Is(err, ErrBadSignature) {
		t.Errorf("signed by another key: %v", err)
	}
	other, err := alice.Key.Sign(NamespaceCustody, file)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := VerifyOrder(file, other); !errors.Is(err, ErrBadSignature) {
		t.Errorf("signed in another namespace: %v", err)
	}
}

func TestOrdersThatMakeNoSenseAreRefused(t *testing.T) {
	for why, change := range map[string]func(*Order){
		"no nonce": func(o *Order) { o.Nonce = [16]byte{} }, "case": func(o *Order) { o.Case = "../x" },
		"exhibit": func(o *Order) { o.Exhibit = "7" }, "window": func(o *Order) { o.NotAfter = o.NotBefore },
		"long window": func(o *Order) { o.NotAfter = o.NotBefore.AddDate(2, 0, 0) },
		"fractions":   func(o *Order) { o.NotBefore = o.NotBefore.Add(time.Millisecond) },
		"not UTF-8":   func(o *Order) { o.Scope = "\xff" }, "recipient": func(o *Order) { o.Recipients = []string{""} },
		"tools":    func(o *Order) { o.Tools = append(o.Tools, o.Tools[0]) },
		"too long": func(o *Order) { o.Scope = strings.Repeat("x", MaxOrderSize) },
	} {
		o := sampleOrder()
		change(o)
		if _, _, err := SignOrder(o, &Identity{ID: "alice@lab", Key: runKey(t).Signer}); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", why, err)
		}
	}
	newer := []byte(`{"v":2,"what":"ever"}` + "\n")
	if _, err := ParseOrder(newer); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("newer: %v", err)
	}
}

func TestDeparturesFromAnOrderAreNamed(t *testing.T) {
	o := sampleOrder()
	good := Use{Case: o.Case, Exhibit: o.Exhibit, At: o.NotBefore, Tool: o.Tools[0], Profile: o.Profile, ProfileSHA256: o.ProfileSHA256, Recipients: o.Recipients, Key: o.Key}
	if d := o.Departures(good); len(d) != 0 {
		t.Errorf("%q", d)
	}
	for want, change := range map[string]func(*Use){
		"exhibit EX-007": func(u *Use) { u.Exhibit = "EX-008" }, "from 2026-03-01": func(u *Use) { u.At = u.At.Add(-time.Second) },
		"ended at 2026-03-03": func(u *Use) { u.At = u.At.Add(49 * time.Hour) }, "other programs": func(u *Use) { u.Tool = evidence.Digest{} },
		"asks for the collectors": func(u *Use) { u.Profile = "all" }, "pins collectors and definitions": func(u *Use) { u.ProfileSHA256 = evidence.Sum(nil) },
		"none stated": func(u *Use) { u.ProfileSHA256 = evidence.Digest{} },
		"encryption":  func(u *Use) { u.Recipients = nil }, "one-time key": func(u *Use) { u.Key = "SHA256:other" },
	} {
		u := good
		change(&u)
		if d := o.Departures(u); len(d) != 1 || !strings.Contains(d[0], want) {
			t.Errorf("%s: %q", want, d)
		}
	}
	free := &Order{Case: o.Case, Exhibit: o.Exhibit, NotBefore: o.NotBefore, NotAfter: o.NotAfter}
	if d := free.Departures(Use{Case: o.Case, Exhibit: o.Exhibit, At: o.NotBefore, Profile: "all"}); len(d) != 0 {
		t.Errorf("an order without limits: %q", d)
	}
}

func FuzzParseOrder(f *testing.F) {
	file, _, err := SignOrder(sampleOrder(), &Identity{ID: "alice@lab", Key: must(NewRunKey()).Signer})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseOrder(data)
		if err != nil {
			return
		}
		again, err := o.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%v\n%q\n%q", err, data, again)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
