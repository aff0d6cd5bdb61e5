package threats

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// lies is what the intruder would rather have been found.
func lies() host {
	h := maps.Clone(truth)
	h["/etc/cron.d/sysupd"] = "# nothing here\n"
	return h
}

// The bundle is streamed to the laboratory, which keeps what arrives. An
// intruder with root reads the run's key from memory, takes the bundle that
// lies on the host away and seals another one with that very key.
func TestRootkitRewritesTheBundleAfterItWasStreamed(t *testing.T) {
	alice, key := person(t, "alice@lab"), runKey(t, "run")
	r := run{key: key, mandate: attended(t, alice, key)}
	var honest, stream, forged bytes.Buffer
	r.collect(t, truth, &honest)
	part := r
	part.stop = 2
	part.collect(t, truth, &stream) // what had arrived when the intruder stepped in
	r.collect(t, lies(), &forged)

	if rep := verify(t, forged.Bytes(), bundle.VerifyOptions{Trusted: trusting(alice)}); rep.Verdict != bundle.Verified {
		t.Fatalf("the key was stolen: by itself the forgery is whole, %s", rep.Verdict)
	}
	// Salts are random, so the stream of another writer stands for nothing; the
	// beginning of the honest file is what the laboratory has.
	held := honest.Bytes()[:honest.Len()*2/3]
	for _, n := range []int{honest.Len() * 2 / 3, honest.Len() * 3 / 4, honest.Len()} {
		note, err := bundle.LastCheckpoint(t.Context(), bytes.NewReader(honest.Bytes()), int64(n))
		must(t, err)
		opt := bundle.VerifyOptions{Trusted: trusting(alice), Held: [][]byte{note}}
		want(t, "the honest bundle", verify(t, honest.Bytes(), opt).Verdict, bundle.Verified)
		want(t, "the forged one", verify(t, forged.Bytes(), opt).Verdict, bundle.Altered)
		want(t, "the forged one, cut", verify(t, forged.Bytes()[:forged.Len()-100], opt).Verdict, bundle.Altered)
	}
	// A bundle shorter than what is held: the end was taken away.
	note, err := bundle.LastCheckpoint(t.Context(), bytes.NewReader(honest.Bytes()), int64(honest.Len()))
	must(t, err)
	want(t, "the honest one, cut", verify(t, honest.Bytes()[:len(held)], bundle.VerifyOptions{Held: [][]byte{note}}).Verdict, bundle.Damaged)

	// As an examiner does it.
	good, bad, kept, atHand := put(t, "good", honest.Bytes()), put(t, "bad", forged.Bytes()), put(t, "stream", held), put(t, "note", note)
	signers := put(t, "allowed_signers", []byte(alice.ID+` namespaces="exhibit-custody,exhibit-seal" `+line(alice)+"\n"))
	for _, program := range [][]string{{"exhibit", "verify"}, {"exhibit-verify"}} {
		check := func(path, held string) (int, string) {
			return runProgram(t, program[0], append(program[1:], path, "--signers", signers, "--held", held)...)
		}
		for _, h := range []string{kept, atHand} {
			if code, out := check(good, h); code != 0 || !strings.Contains(out, "VERIFIED") {
				t.Errorf("%s: honest: exit code %d\n%s", program, code, out)
			}
			if code, out := check(bad, h); code != 4 || !strings.Contains(out, "written again") {
				t.Errorf("%s: forged: exit code %d\n%s", program, code, out)
			}
		}
		if code, _ := check(bad, put(t, "noise", []byte("nothing"))); code != 1 {
			t.Errorf("%s: compared with what is no checkpoint: exit code %d", program, code)
		}
	}
}

// line is a public key as allowed_signers has it.
func line(id *chainofcustody.Identity) string {
	fields := strings.Fields(string(bundle.CollectorPub(id.Key.PublicKey())))
	return fields[0] + " " + fields[1]
}

// Somebody takes the stick home, edits, cuts, and at last seals it all anew.
func TestThiefOfTheStickEditsCutsAndSealsAnew(t *testing.T) {
	var file bytes.Buffer
	seal := run{key: runKey(t, "run")}.collect(t, truth, &file)
	onPaper := bundle.VerifyOptions{Confirmed: func(s bundle.Seal) (string, bool) { return "paper", s.Code() == seal.Code() }}
	want(t, "untouched", verify(t, file.Bytes(), onPaper).Verdict, bundle.Verified)
	for at := 0; at < file.Len(); at += 37 {
		bad := bytes.Clone(file.Bytes())
		bad[at] ^= 0x41
		// A flipped byte in the seek table loses what it says and nothing else.
		// A few bits of a compressed frame mean nothing to any decoder: with them
		// changed it is the same tar, compressed anew, which anybody may do.
		if v := verify(t, bad, onPaper).Verdict; v == bundle.Verified && !sameTar(t, bad, file.Bytes()) {
			t.Fatalf("byte %d was changed: %s", at, v)
		}
		if v := verify(t, file.Bytes()[:at], onPaper).Verdict; v == bundle.Verified {
			t.Fatalf("cut at byte %d: %s", at, v)
		}
	}
	var forged bytes.Buffer
	again := run{key: runKey(t, "thief")}.collect(t, lies(), &forged)
	rep := verify(t, forged.Bytes(), onPaper)
	if rep.Verdict != bundle.SignerUnknown || again.Code() == seal.Code() {
		t.Errorf("sealed anew: %s, code %s, on paper %s", rep.Verdict, again.Code(), seal.Code())
	}
	if code, out := exhibit(t, "verify", put(t, "good", file.Bytes()), "--code", seal.Code()); code != 0 {
		t.Errorf("the stick as it was: exit code %d\n%s", code, out)
	}
	if code, out := exhibit(t, "verify", put(t, "bad", forged.Bytes()), "--code", seal.Code()); code != 4 || !strings.Contains(out, "not the bundle whose code was written down") {
		t.Errorf("sealed anew: exit code %d\n%s", code, out)
	}
}

// sameTar asks zstd whether two bundles hold the same tar.
func sameTar(t *testing.T, a, b []byte) bool {
	t.Helper()
	unpack := func(file []byte) []byte {
		cmd := exec.Command(testenv.Tool(t, "zstd"), "-q", "-d", "-c")
		cmd.Stdin = bytes.NewReader(file)
		tar, err := cmd.Output()
		if err != nil {
			return nil
		}
		return tar
	}
	tar := unpack(a)
	return tar != nil && bytes.Equal(tar, unpack(b))
}

// Whoever takes the folder of a delegated order has its key until it ends.
func TestThiefOfTheKitUsesADelegatedOrder(t *testing.T) {
	alice := person(t, "alice@lab")
	c, _ := folder(t, alice) // takes EX-001
	now := time.Now().UTC().Truncate(time.Second)
	order := &chainofcustody.Order{Nonce: [16]byte{1, 2, 3}, Case: "CASE-7", Issued: now, NotBefore: now, NotAfter: now.Add(time.Hour), Purpose: "find out"}
	issued, err := c.IssueOrder(order, true, alice, nil)
	must(t, err)
	kit := bundle.Mandate{Certificate: issued.Certificate, Order: issued.File, OrderSig: issued.Sig}
	kitRun := func(change func(*run)) []byte {
		// The kit's key is used by the examiner and by the thief.
		key, err := chainofcustody.RunKeyOf(slices.Clone(issued.Key.Private))
		must(t, err)
		r := run{key: key, mandate: kit, exhibit: order.Exhibit, started: now.Add(time.Minute)}
		if change != nil {
			change(&r)
		}
		var out bytes.Buffer
		r.collect(t, lies(), &out)
		return out.Bytes()
	}
	opt := bundle.VerifyOptions{Trusted: trusting(alice)}
	first, second := kitRun(nil), kitRun(nil)
	rep := verify(t, first, opt)
	if rep.Verdict != bundle.Verified || rep.Grade != bundle.GradeDelegated || len(rep.Departures) != 0 {
		t.Fatalf("within the order: %s, grade %s, %q", rep.Verdict, rep.Grade, rep.Departures)
	}
	want(t, "before the order", verify(t, kitRun(func(r *run) { r.started = now.Add(-time.Hour) }), opt).Verdict, bundle.SignerUnknown)
	want(t, "after the order", verify(t, kitRun(func(r *run) { r.started = now.Add(2 * time.Hour) }), opt).Verdict, bundle.SignerUnknown)
	late := opt
	late.Now = func() time.Time { return now.Add(3 * time.Hour) }
	want(t, "after the order, dated back", verify(t, kitRun(nil), late).Verdict, bundle.TimeUnproven)
	want(t, "for another exhibit", verify(t, kitRun(func(r *run) { r.exhibit = "EX-099" }), opt).Verdict, bundle.SignerUnknown)
	own := kitRun(func(r *run) {
		r.key, r.mandate.Certificate = runKey(t, "thief"), nil
	})
	if rep := verify(t, own, opt); rep.Verdict != bundle.SignerUnknown || len(rep.Departures) == 0 {
		t.Errorf("with a key of the thief's own: %s, %q", rep.Verdict, rep.Departures)
	}

	// Two bundles within the window are both whole. The case takes one.
	keyFile := put(t, "key", privateKey(t, alice))
	receive := func(file []byte) (int, string) {
		return exhibit(t, "--case", c.Dir(), "--key", keyFile, "--id", alice.ID, "custody", "receive", put(t, "host.exhibit.tar.zst", file))
	}
	if code, out := receive(first); code != 0 {
		t.Fatalf("the first: exit code %d\n%s", code, out)
	}
	if code, out := receive(second); code == 0 || !strings.Contains(out, "order") {
		t.Errorf("a second bundle for the same order: exit code %d\n%s", code, out)
	}
}

// The analyst who holds the file changes it in every way that tar and zstd allow.
func TestInsiderEditsRepacksDropsOrSwapsTheBundle(t *testing.T) {
	alice, key := person(t, "alice@lab"), runKey(t, "run")
	opt := bundle.VerifyOptions{Trusted: trusting(alice)}
	var file, other bytes.Buffer
	seal := run{key: key, mandate: attended(t, alice, key)}.collect(t, truth, &file)
	otherSeal := run{key: key, mandate: attended(t, alice, key)}.collect(t, lies(), &other)
	tar := unpack(t, file.Bytes())
	want(t, "the same tar in other frames", verify(t, repack(t, tar), opt).Verdict, bundle.Verified)
	edited := bytes.Replace(tar, []byte("Accepted password"), []byte("Rejected password"), 1)
	want(t, "edited", verify(t, repack(t, edited), opt).Verdict, bundle.Altered)
	list := members(t, tar)
	for i, m := range list {
		dropped := slices.Concat(tar[:m.from], tar[m.to:])
		want(t, "without "+m.name, verify(t, repack(t, dropped), opt).Verdict, map[bool]bundle.Verdict{true: bundle.Unreadable, false: bundle.Altered}[i == 0])
	}

	// A whole bundle in the place of another is found by the log.
	c, ex := folder(t, alice)
	add(t, c, ex, chainofcustody.Event{Kind: chainofcustody.EventSealed, Seal: seal.ID}, alice)
	facts := func(s bundle.Seal) chainofcustody.VerifyOptions {
		return chainofcustody.VerifyOptions{Bundle: &chainofcustody.BundleFacts{Seal: s.ID}}
	}
	if v := custody(t, c, ex, facts(seal)).Verdict; v != chainofcustody.VerdictVerified {
		t.Errorf("the bundle of the log: %s", v)
	}
	if v := custody(t, c, ex, facts(otherSeal)).Verdict; v != chainofcustody.VerdictAltered {
		t.Errorf("another bundle in its place: %s", v)
	}
}

// Network and storage cut, damage and mix what they carry.
func TestNetworkOrStorageCutsAndReordersStreams(t *testing.T) {
	alice, key := person(t, "alice@lab"), runKey(t, "run")
	opt := bundle.VerifyOptions{Trusted: trusting(alice)}
	var file bytes.Buffer
	run{key: key, mandate: attended(t, alice, key)}.collect(t, truth, &file)
	prefixes := 0
	for n := 0; n < file.Len(); n += 11 {
		switch rep := verify(t, file.Bytes()[:n], opt); rep.Verdict {
		case bundle.VerifiedPrefix:
			prefixes++
			if !rep.Prefix {
				t.Fatalf("cut at %d: the report does not say that the end is missing", n)
			}
		case bundle.Unreadable, bundle.Damaged:
		default:
			t.Fatalf("cut at %d: %s", n, rep.Verdict)
		}
	}
	if prefixes == 0 {
		t.Error("no cut bundle is proven up to a checkpoint")
	}
	list := frames(t, file.Bytes())
	for i := range list[:len(list)-1] {
		for j := range i {
			swapped := slices.Clone(list)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if v := verify(t, bytes.Join(swapped, nil), opt).Verdict; v == bundle.Verified || v == bundle.SignerUnknown || v == bundle.TimeUnproven {
				t.Errorf("frames %d and %d in each other's place: %s", i, j, v)
			}
		}
		lost := slices.Delete(slices.Clone(list), i, i+1)
		if v := verify(t, bytes.Join(lost, nil), opt).Verdict; v == bundle.Verified {
			t.Errorf("frame %d is lost: %s", i, v)
		}
	}
	if got := fmt.Sprint(len(list)); len(list) < 5 {
		t.Errorf("%s frames: nothing to reorder", got)
	}
}
