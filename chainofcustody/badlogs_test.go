package chainofcustody

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/hiddeco/sshsig"
)

// badLog is a log of the vectors that is wrong in one way: what to remove from
// the log of case/, what to write into it, and heads known from elsewhere.
type badLog struct {
	Verdict string            `json:"verdict"`
	Remove  []string          `json:"remove,omitempty"`
	Write   map[string]string `json:"write,omitempty"`
	Heads   []string          `json:"heads,omitempty"`
}

// badLogs makes them of the good log.
func badLogs(t testing.TB, whole map[string][]byte) map[string]badLog {
	t.Helper()
	var names []string
	for n := range whole {
		if strings.HasSuffix(n, eventSuffix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	out := map[string]badLog{}
	alice, bob, mallory := testIdentity(t, "alice@lab"), testIdentity(t, "bob@firm"), testIdentity(t, "mallory@evil")
	last := names[len(names)-1]
	head := evidence.Sum(whole[last])
	made := func(name string, verdict Verdict, do func(f *forger)) {
		f := &forger{t: t, files: maps.Clone(whole), names: names, alice: alice, mallory: mallory, head: head}
		do(f)
		bad := badLog{Verdict: string(verdict), Write: map[string]string{}}
		for n := range whole {
			if _, ok := f.files[n]; !ok {
				bad.Remove = append(bad.Remove, n)
			}
		}
		slices.Sort(bad.Remove)
		for n, b := range f.files {
			if !bytes.Equal(whole[n], b) {
				bad.Write[n] = string(b)
			}
		}
		out[name] = bad
	}
	// next is an event that follows the last one.
	next := func(f *forger, actor *Identity, change func(e *Event), key Signer, namespace string) {
		e := Event{Case: "2026-017", Exhibit: "EX-001", Kind: EventVerified, Prev: []evidence.Digest{head}, Actor: actor.person(), Time: at(6)}
		change(&e)
		f.put(e, 6, key, namespace)
	}
	none := func(*Event) {}
	edit := func(n, from, to string) func(f *forger) {
		return func(f *forger) {
			f.files[n] = bytes.Replace(f.files[n], []byte(from), []byte(to), 1)
			if bytes.Equal(f.files[n], whole[n]) {
				t.Fatalf("%s does not hold %q", n, from)
			}
		}
	}
	made("event-changed", VerdictAltered, edit(names[1], "Rack 4", "Rack 5"))
	made("event-cut-short", VerdictAltered, func(f *forger) { f.files[names[1]] = whole[names[1]][:100] })
	made("event-removed", VerdictDamaged, func(f *forger) { delete(f.files, names[1]) })
	made("event-removed-with-signature", VerdictDamaged, func(f *forger) { f.remove(names[1]) })
	made("first-event-removed", VerdictDamaged, func(f *forger) { f.remove(names[0]) })
	made("renumbered", VerdictAltered, func(f *forger) {
		to := strings.Replace(names[1], "0002", "0004", 1)
		f.files[to], f.files[to+sigSuffix] = whole[names[1]], whole[names[1]+sigSuffix]
		f.remove(names[1])
	})
	made("second-beginning", VerdictAltered, func(f *forger) {
		next(f, alice, func(e *Event) { e.Prev = nil }, alice.Key, NamespaceCustody)
	})
	made("of-another-case", VerdictAltered, func(f *forger) {
		next(f, alice, func(e *Event) { e.Case = "2026-018" }, alice.Key, NamespaceCustody)
	})
	made("of-another-exhibit", VerdictAltered, func(f *forger) {
		next(f, alice, func(e *Event) { e.Exhibit = "EX-002" }, alice.Key, NamespaceCustody)
	})
	made("signature-removed", VerdictDamaged, func(f *forger) { delete(f.files, names[2]+sigSuffix) })
	made("signatures-exchanged", VerdictAltered, func(f *forger) {
		a, b := names[0]+sigSuffix, names[1]+sigSuffix
		f.files[a], f.files[b] = whole[b], whole[a]
	})
	made("signature-in-other-lines", VerdictAltered, edit(names[0]+sigSuffix, "U1NI", "U1NI\n"))
	made("signature-with-text-around", VerdictAltered, edit(names[0]+sigSuffix, "-----BEGIN", "signed by me\n-----BEGIN"))
	made("signature-for-another-purpose", VerdictAltered, func(f *forger) { next(f, alice, none, alice.Key, NamespaceSeal) })
	made("signature-of-another-hash", VerdictAltered, func(f *forger) { f.files[names[0]+sigSuffix] = signSHA256(t, whole[names[0]]) })
	made("signed-by-another-key-than-named", VerdictAltered, func(f *forger) { next(f, alice, none, mallory.Key, NamespaceCustody) })
	made("signer-not-on-the-list", VerdictSignerUnknown, func(f *forger) { next(f, mallory, none, mallory.Key, NamespaceCustody) })
	made("signer-under-another-name", VerdictSignerUnknown, func(f *forger) {
		next(f, alice, func(e *Event) { e.Actor.ID = "bob@firm" }, alice.Key, NamespaceCustody)
	})
	made("signed-before-the-key-was-valid", VerdictSignerUnknown, func(f *forger) {
		next(f, bob, func(e *Event) { e.Time.UTC = time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC) }, bob.Key, NamespaceCustody)
	})
	made("newer-version", "NEWER", func(f *forger) {
		data := bytes.Replace(whole[last], []byte(`"v":1`), []byte(`"v":2,"new":true`), 1)
		sig, err := alice.Key.Sign(NamespaceCustody, data)
		if err != nil {
			t.Fatal(err)
		}
		name := eventFileName(6, EventReceived, evidence.Sum(data))
		f.files[name], f.files[name+sigSuffix] = data, sig
	})
	made("newer-version-not-signed", VerdictAltered, edit(last, `"v":1`, `"v":2`))
	made("end-cut-off", VerdictDamaged, func(f *forger) { f.remove(last) })
	bad := out["end-cut-off"]
	bad.Heads = []string{head.String()}
	out["end-cut-off"] = bad
	// These are no defects: a reader must not take them for any.
	made("end-cut-off-unknown", VerdictVerified, func(f *forger) { f.remove(last) })
	made("lines-of-70", VerdictVerified, func(f *forger) {
		sig, err := sshsig.Unarmor(whole[last+sigSuffix])
		if err != nil {
			t.Fatal(err)
		}
		f.files[last+sigSuffix] = []byte(opensshArmor(sig))
	})
	made("clock-goes-back", VerdictVerified, func(f *forger) { next(f, alice, func(e *Event) { e.Time = at(1) }, alice.Key, NamespaceCustody) })
	made("stray-file", VerdictVerified, func(f *forger) { f.files["notes.txt"] = []byte("not a file of the format\n") })
	return out
}

func TestBadLogsGetTheirVerdict(t *testing.T) {
	source := filepath.Join(t.TempDir(), "case")
	writeVectors(t, source)
	c, err := OpenCase(source)
	if err != nil {
		t.Fatal(err)
	}
	dir := c.Path(CustodyDir, "EX-001")
	whole := readFolder(t, dir)
	logs := badLogs(t, whole)
	for name, bad := range logs {
		files := maps.Clone(whole)
		for _, n := range bad.Remove {
			delete(files, n)
		}
		for n, text := range bad.Write {
			files[n] = []byte(text)
		}
		writeFolder(t, dir, files)
		opt := VerifyOptions{Now: at(60).UTC}
		for _, h := range bad.Heads {
			d, err := evidence.ParseDigest(h)
			if err != nil {
				t.Fatal(err)
			}
			opt.KnownHeads = append(opt.KnownHeads, d)
		}
		r, err := c.VerifyCustody("EX-001", opt)
		verdict := string(r.Verdict)
		if errors.Is(err, ErrNewerSchema) {
			verdict = "NEWER"
		}
		if verdict != bad.Verdict {
			t.Errorf("%s: verdict %s, want %s, %+v", name, verdict, bad.Verdict, r.Layers)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(logs); err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, filepath.Join(vectorsDir(t), "logs.json"), b.Bytes())
}
