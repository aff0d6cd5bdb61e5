package bundle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// The seal code was never shown for a run that was cut short: what is
// disclosed of it leads to a checkpoint, and that is said.
func TestRecordsOfARunThatWasCutShortLeadToItsCheckpoint(t *testing.T) {
	file, _, _ := sample(t)
	table, err := readSeekTable(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	cut, _ := recovered(t, file[:table.at(table.len()-1).file])
	for i := range table.len() {
		out, rep := recovered(t, file[:table.at(i).file+int64(table.at(i).packed)])
		if rep.Proven > 2 && !openBytes(t, out).Sealed() {
			cut = out
			break
		}
	}
	b := discloseTest(t, cut, Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}, {Leaf: 0, Content: true}}})
	r := verifyPackage(t, b, trustTest(t))
	if r.Verdict != VerifiedPrefix || r.ExitCode() != 3 || r.Sealed {
		t.Errorf("%s %v %v", r.Verdict, r.Sentences, r.Problems)
	}
}

func TestADisclosureLeadsToTheExaminerAsTheBundleDoes(t *testing.T) {
	alice := examiner(t)
	full := mandateFor(t, alice, nil)
	for why, m := range map[string]Mandate{
		"statement":   {Grade: GradeAttended, Statement: full.Statement},
		"certificate": {Grade: GradeDelegated, Certificate: full.Certificate},
		"both":        full,
	} {
		for _, header := range []bool{false, true} {
			parts := []DisclosedPart{{Leaf: 1, Content: true}}
			if header {
				parts = append(parts, DisclosedPart{Leaf: 0, Content: true, Meta: true})
			}
			b := discloseTest(t, mandated(t, m, nil), Disclosure{Parts: parts})
			opt := VerifyOptions{Trusted: trusts(alice), Now: func() time.Time { return testTime }}
			if r := verifyPackage(t, b, opt); r.Verdict != Verified || r.Signer != "alice@lab" {
				t.Errorf("%s, header %v: %s %v %v", why, header, r.Verdict, r.Sentences, r.Problems)
			}
			opt.Trusted = trusts(examiner(t))
			if r := verifyPackage(t, b, opt); r.Verdict != SignerUnknown {
				t.Errorf("%s, header %v, another examiner trusted: %s", why, header, r.Verdict)
			}
			if !header && bytes.Contains(b, []byte("web01.")) {
				t.Errorf("%s: the host is named", why)
			}
			withoutBonds(t, b, header)
		}
	}
	// A certificate for another exhibit vouches for nobody once the header says
	// which exhibit it is.
	other := mandated(t, Mandate{Grade: GradeDelegated, Certificate: full.Certificate}, func(h *Header) { h.Started = testTime.AddDate(1, 0, 0) })
	opt := VerifyOptions{Trusted: trusts(alice), Now: func() time.Time { return testTime }}
	b := discloseTest(t, other, Disclosure{Parts: []DisclosedPart{{Leaf: 0, Content: true}}})
	if r := verifyPackage(t, b, opt); r.Verdict != SignerUnknown {
		t.Errorf("run outside of its certificate's window: %s", r.Verdict)
	}
}

// withoutBonds takes away what ties the key to the examiner: a header in the
// package notices.
func withoutBonds(t *testing.T, b []byte, header bool) {
	t.Helper()
	list := slices.DeleteFunc(packageMembers(t, b), func(p part) bool {
		return p.name == disclosedBinding || p.name == disclosedCert || p.name == disclosedCertSig
	})
	want := SignerUnknown
	if header {
		want = Altered
	}
	if r := verifyPackage(t, refit(t, list, nil), VerifyOptions{}); r.Verdict != want {
		t.Errorf("bonds taken away, header %v: %s, want %s", header, r.Verdict, want)
	}
}

// A key that may only seal, that of a machine, gives nothing out in its name.
func TestAKeyThatMayOnlySealStandsForNoDisclosure(t *testing.T) {
	b := goodDisclosures(t)["with-custody"]
	opt := trustTest(t)
	opt.People = func(ssh.PublicKey, time.Time) (string, bool) { return "", false }
	if r := verifyPackage(t, b, opt); r.Verdict != Verified || r.GivenBy != "" || r.Custody != 3 || r.Known != 0 {
		t.Errorf("%s, given by %q, %d events, %d by people who are known", r.Verdict, r.GivenBy, r.Custody, r.Known)
	}
}

func TestHugeSparseItemsTravelByTheirStoredRanges(t *testing.T) {
	b := discloseTest(t, sparseBundle(t), Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}}})
	if len(b) > 64<<10 {
		t.Errorf("package of %d bytes", len(b))
	}
	r := verifyPackage(t, b, trustTest(t))
	if r.Verdict != Verified || !slices.Contains(r.Records[0].Proven, ProvenContent) || r.Records[0].Size != farSize {
		t.Errorf("%s %v %+v", r.Verdict, r.Problems, r.Records)
	}
	for _, tool := range []string{"tar", "sha256sum", "xxd", "base64", "openssl"} {
		testenv.Tool(t, tool)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.tar"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, "tar", "xf", "p.tar")
	if out := mustRun(t, dir, "sh", "disclosure/check.sh"); !strings.Contains(out, "records/1 holds") {
		t.Errorf("says %q", out)
	}
}

// A bundle whose bytes are not those of its record gives nothing out.
func TestChangedContentIsNotDisclosed(t *testing.T) {
	tar := unpackAll(t, minimal(t, testKey(t)))
	file := repack(t, replace(t, tar, hostname, "web01", "web02"))
	d := Disclosure{To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 1, Content: true}}}
	if _, err := Disclose(context.Background(), io.Discard, openBytes(t, file), d); !errors.Is(err, ErrChanged) {
		t.Errorf("disclosed: %v", err)
	}
	d.Parts = []DisclosedPart{{Leaf: 1, Meta: true}}
	if _, err := Disclose(context.Background(), io.Discard, openBytes(t, file), d); err != nil {
		t.Errorf("the metadata line holds all the same: %v", err)
	}
}

// failingAt is a medium that cannot be read from some byte on.
type failingAt struct {
	b  []byte
	at int64
}

func (f failingAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(p, f.b[off:]), nil
}

func TestAMediumThatFailsIsNoVerdict(t *testing.T) {
	b := discloseTest(t, small(t, testHeader().Bundle), Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true, Meta: true}}})
	for at := int64(2000); at < int64(len(b)); at += 512 {
		if r, err := VerifyDisclosure(context.Background(), failingAt{b, at}, int64(len(b)), trustTest(t)); err == nil {
			t.Fatalf("unreadable from byte %d on: %s", at, r.Verdict)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := VerifyDisclosure(ctx, bytes.NewReader(b), int64(len(b)), trustTest(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Disclose(ctx, io.Discard, openBytes(t, large(t)), Disclosure{To: "x", Basis: "y", Parts: []DisclosedPart{{Leaf: 1, Range: &evidence.Extent{Length: 1}}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while writing: %v", err)
	}
}

// A script that somebody else put into a package is said to be somebody
// else's before anybody runs it.
func TestAnotherScriptIsSaidToBeAnother(t *testing.T) {
	b := discloseTest(t, small(t, testHeader().Bundle), Disclosure{Parts: []DisclosedPart{{Leaf: 1, Content: true}}})
	list := packageMembers(t, b)
	find(t, list, disclosedScript).data = []byte("#!/bin/sh\nrm -rf ~\n")
	r := verifyPackage(t, refit(t, list, nil), trustTest(t))
	if text := strings.Join(r.Sentences, " "); !strings.Contains(text, disclosedScript+" is not the one") {
		t.Errorf("says %s", text)
	}
	if text := strings.Join(verifyPackage(t, b, trustTest(t)).Sentences, " "); strings.Contains(text, "is not the one") {
		t.Errorf("says %s", text)
	}
}

// The commands of docs/format/disclosure.md, section 7, on the vectors.
func TestTheRecipeOfTheSpecificationChecksTheVectors(t *testing.T) {
	for _, tool := range []string{"tar", "sha256sum", "xxd", "base64", "openssl", "ssh-keygen"} {
		testenv.Tool(t, tool)
	}
	signers, err := os.ReadFile(disclosureVector(t, "allowed_signers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"two", "every-form", "with-custody"} {
		dir := t.TempDir()
		b, err := os.ReadFile(disclosureVector(t, name+".disclosure.tar"))
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{"FILE.disclosure.tar": b, "allowed_signers": signers} {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		script := `tar xf FILE.disclosure.tar && sh disclosure/check.sh &&
ssh-keygen -Y verify -f allowed_signers -I alice@lab -n exhibit-custody \
  -s disclosure/members.sha256.sig < disclosure/members.sha256`
		mustRun(t, dir, "sh", "-c", script)
		flipByte(t, filepath.Join(dir, disclosedSums), 3)
		if out, err := run(t, dir, "sh", "-c", strings.TrimPrefix(script, "tar xf FILE.disclosure.tar && sh disclosure/check.sh &&")); err == nil {
			t.Errorf("%s: changed list accepted: %s", name, out)
		}
	}
}
