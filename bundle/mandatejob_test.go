package bundle

import (
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// TestTheVerdictTellsOfTheJob seals bundles that state a job file, and runs
// that kept to it or did not.
func TestTheVerdictTellsOfTheJob(t *testing.T) {
	alice, mallory := examiner(t), examiner(t)
	program := evidence.Sum([]byte("program"))
	full := mandateFor(t, alice, nil)
	for _, tt := range []struct {
		name   string
		signer *chainofcustody.Identity
		change func(*chainofcustody.Job)
		header func(*Header)
		state  string
		says   string
	}{
		{name: "kept", signer: alice, state: "ok", says: "alice@lab signed"},
		{name: "late", signer: alice, change: func(j *chainofcustody.Job) { j.NotAfter = j.NotBefore.Add(time.Second) }, state: "failed", says: "it ended at"},
		{name: "another program", signer: alice, header: func(h *Header) { h.Options[OptionProgram] = evidence.Sum(nil).String() }, state: "failed", says: "other programs"},
		{name: "another exhibit", signer: alice, change: func(j *chainofcustody.Job) { j.Exhibit = "EX-008" }, state: "failed", says: "for exhibit EX-008"},
		{name: "another order", signer: alice, change: func(j *chainofcustody.Job) { j.OrderSHA256 = evidence.Digest{} }, state: "failed", says: "another order"},
		{name: "a stranger's", signer: mallory, state: "failed", says: "neither the examiner of the order"},
		{name: "changed", signer: alice, header: func(h *Header) { h.Options[OptionJob] = strings.Replace(h.Options[OptionJob], "EX-007", "EX-017", 1) }, state: "failed", says: "does not hold"},
		{name: "not signed", signer: alice, header: func(h *Header) { delete(h.Options, OptionJobSignature) }, state: "failed", says: "does not hold"},
	} {
		from := testTime.UTC().Truncate(time.Second).Add(-time.Minute)
		j := &chainofcustody.Job{
			Case: "2026-031", Exhibit: "EX-007", NotBefore: from, NotAfter: from.Add(time.Hour), OrderSHA256: evidence.Sum(full.Order),
			Programs: []chainofcustody.JobFile{{Name: "exhibit-collector", SHA256: program}},
		}
		if tt.change != nil {
			tt.change(j)
		}
		file, sig, err := chainofcustody.SignJob(j, tt.signer)
		if err != nil {
			t.Fatal(err)
		}
		rep := verifyBytes(t, mandated(t, full, func(h *Header) {
			h.Options = map[string]string{OptionJob: string(file), OptionJobSignature: string(sig), OptionProgram: program.String()}
			if tt.header != nil {
				tt.header(h)
			}
		}), alice)
		if got := layerState(rep, "job"); got != tt.state || !strings.Contains(strings.Join(rep.Sentences, " "), tt.says) {
			t.Errorf("%s: layer %q, want %q with %q:\n%q\n%q", tt.name, got, tt.state, tt.says, rep.Sentences, rep.JobDepartures)
		}
		if rep.Verdict != Verified {
			t.Errorf("%s: %s, but a job proves nothing of what was collected", tt.name, rep.Verdict)
		}
	}
	if rep := verifyBytes(t, mandated(t, full, nil), alice); layerState(rep, "job") != "" || rep.Job != "" {
		t.Error("a bundle without a job has a layer for it")
	}
}
