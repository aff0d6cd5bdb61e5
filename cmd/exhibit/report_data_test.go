package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	counsel "github.com/exhibit-dfir/exhibit/chainofcustody/report"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// A bundle that claims to be received evidence is not called collected where
// the statement of its reception is missing or not as it was signed.
func TestAReceptionThatDoesNotHoldIsNoCollection(t *testing.T) {
	for name, c := range map[string]struct {
		profile, statement, want string
	}{
		"collected":                   {"default", "", "evidence collected from web01"},
		"without a statement":         {bundle.ProfileReceived, "", "evidence that was received, as it says itself; the statement"},
		"with one that does not hold": {"default", "{}\n", "evidence that was received, as it says itself; the statement"},
	} {
		key, err := chainofcustody.NewRunKey()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		h := bundle.Header{Case: "c", Exhibit: "EX-001", Examiner: "a@lab", Profile: c.profile}
		h.Host.Hostname = "web01"
		w, err := bundle.NewWriter(&b, h, key, bundle.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c.statement != "" {
			it := evidence.Item{Kind: evidence.KindFile, Source: bundle.DerivationSource, Path: bundle.ReceptionPath, Size: int64(len(c.statement))}
			if _, err := w.Add(t.Context(), it, bundle.Input{R: strings.NewReader(c.statement)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := bundle.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var d counsel.Data
		addHeader(&d, r)
		if !strings.HasPrefix(d.Exhibit.Description, c.want) || (d.Exhibit.Received == "") != (name == "collected") {
			t.Errorf("%s: %q, received %q", name, d.Exhibit.Description, d.Exhibit.Received)
		}
	}
}
