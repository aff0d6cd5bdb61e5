package report

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// person has a fixed key, so that reports of the sample are the same bytes.
func person(t testing.TB, id, name, org, role string) *chainofcustody.Identity {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, id)
	key, err := chainofcustody.RunKeyOf(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	return &chainofcustody.Identity{ID: id, Name: name, Org: org, Role: role, Key: key}
}

func hexOf(s string) string { return evidence.Sum([]byte(s)).String() }

// sampleCase is a real case folder with seven signed events and two people.
func sampleCase(t testing.TB) *chainofcustody.Case {
	t.Helper()
	c, err := chainofcustody.InitCase(filepath.Join(t.TempDir(), "case"), chainofcustody.CaseInfo{ID: "2026-017", Title: "Unauthorised access to the web shop"})
	if err != nil {
		t.Fatal(err)
	}
	alice := person(t, "alice@lab", "Alice Moreau", "Nordlicht Forensics", "examiner")
	bob := person(t, "bob@firm", "Robert Haas", "Haas & Partner", "counsel")
	for _, id := range []*chainofcustody.Identity{alice, bob} {
		if err := c.Enroll(id, time.Time{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	ex, err := c.NextExhibit()
	if err != nil {
		t.Fatal(err)
	}
	tool := &chainofcustody.ToolInfo{Name: "exhibit", Ver: "1.0.0", SHA256: evidence.Sum([]byte("tool"))}
	seal := evidence.Sum([]byte("seal"))
	for _, e := range []struct {
		minute int
		id     *chainofcustody.Identity
		ev     chainofcustody.Event
	}{
		{0, alice, chainofcustody.Event{Kind: chainofcustody.EventOrdered, Purpose: "Find out how the web shop was entered", Authority: "Mandate of 27 February 2026"}},
		{12, alice, chainofcustody.Event{Kind: chainofcustody.EventCollected, Place: "Rack 4, Basel", Tool: tool}},
		{14, alice, chainofcustody.Event{Kind: chainofcustody.EventSealed, Seal: seal, Tool: tool}},
		{20, alice, chainofcustody.Event{Kind: chainofcustody.EventVerified, Seal: seal, Tool: tool, Check: &chainofcustody.Check{Result: "VERIFIED"}}},
		{2900, alice, chainofcustody.Event{Kind: chainofcustody.EventTransferred, Seal: seal, To: &chainofcustody.Person{ID: "bob@firm", Name: "Robert Haas"}, Medium: &chainofcustody.Medium{Type: "USB disk", Serial: "S2-9913"}}},
		{3080, bob, chainofcustody.Event{Kind: chainofcustody.EventReceived, Seal: seal, Note: "Seal code compared by telephone"}},
		{4400, alice, chainofcustody.Event{Kind: chainofcustody.EventAnalysed, Seal: seal, Tool: tool, Purpose: "Timeline and root cause"}},
	} {
		e.ev.Time = chainofcustody.EventTime{UTC: time.Date(2026, 3, 1, 9, e.minute, 0, 0, time.UTC), TZ: "+01:00", Source: "ntp"}
		if _, err := c.Append(ex, e.ev, e.id); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// sample is a report in which everything occurs once.
func sample(t testing.TB) Data {
	t.Helper()
	c := sampleCase(t)
	custody, err := c.VerifyCustody("EX-001", chainofcustody.VerifyOptions{
		Bundle: &chainofcustody.BundleFacts{Seal: evidence.Sum([]byte("seal"))},
		Now:    time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	d := Data{
		Generated: time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC),
		Tool:      Tool{"exhibit", "1.0.0", hexOf("tool")},
		Inputs: []Input{
			{"exhibits/EX-001/2026-017-shop01-20260301T091402Z.exhibit.tar.zst", hexOf("file"), 38_211_904},
			{"allowed_signers", hexOf("signers"), 412},
		},
		Case: Case{"2026-017", "Unauthorised access to the web shop", "Nordlicht Forensics", "Mandate of 27 February 2026", "Find out how the web shop was entered"},
		Exhibit: Exhibit{
			Number: "EX-001", Host: "shop01", MachineID: "8a0f2c6b4d5e4f708192a3b4c5d6e7f8", OS: "Debian GNU/Linux 12", Kernel: "6.1.0-18-amd64", Arch: "x86_64",
			Examiner: "Alice Moreau (examiner, Nordlicht Forensics)", Authority: "Mandate of 27 February 2026",
			Started: time.Date(2026, 3, 1, 9, 12, 0, 0, time.UTC), Finished: time.Date(2026, 3, 1, 9, 14, 2, 0, time.UTC), Complete: true, EndReason: "completed",
		},
		Bundle: Bundle{
			BoundBy: "alice@lab",
			Path:    "exhibits/EX-001/2026-017-shop01-20260301T091402Z.exhibit.tar.zst",
			File:    "2026-017-shop01-20260301T091402Z.exhibit.tar.zst", Size: 38_211_904, SHA256: hexOf("file"),
			SealID: hexOf("seal"), SealCode: "7QK2M-9XV4T-B3HND-0PWZ6", Sealed: time.Date(2026, 3, 1, 9, 14, 2, 0, time.UTC),
			Root: hexOf("root"), Records: 48_112, Grade: "A", Fingerprint: "SHA256:0uQ1vT5oVZq8n2m0Yb7oC7q8aC1cH4dY2E5rF6gH7i8",
			CollectorKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh2Zm9yIHRoZSBzYW1wbGUgcmVwb3J0IG9ubHkgICAg",
			Sample:       Sample{"files/root/etc/passwd", hexOf("passwd")},
		},
		Clock: Clock{Wall: time.Date(2026, 3, 1, 9, 12, 0, 0, time.UTC), Zone: "Europe/Zurich", Source: "ntp", Synced: "yes"},
		Method: Method{
			Tool:    Tool{"exhibit-collector", "1.0.0", hexOf("collector")},
			Profile: "triage", Command: "exhibit collect --case 2026-017 --profile triage",
			Collectors: []Collector{
				{"clock", "The machine's clocks and the collector itself", "done", 2},
				{"network", "Sockets, routes and neighbours, per network namespace", "done", 9},
				{"processes", "Every running process with its memory map, files and executable", "done", 212},
				{"logs", "System, audit, login and service logs", "done, 3 items not obtained", 46_120},
			},
			Effects: []string{"The collector ran as one process for 2 minutes 2 seconds and used at most 58 MB of memory.", "Access times of 4 files changed, because the file system did not permit reading without that.", "Nothing was written to the machine's disks."},
		},
		Items: Items{
			Counts: []Count{
				{"files", 46_120, 548_201_113, true},
				{"record sets and streams", 223, 9_120_004, true},
				{"folders, links and devices (metadata)", 1_766, -1, true},
				{"not there", 412, -1, false},
				{"access refused", 2, -1, false},
				{"could not be read", 1, -1, false},
				{"left out by the rules of the profile", 37, -1, false},
			},
			Content: 557_321_117, Unread: 4096,
			Failures: []Failure{
				{"refused", "/proc/1412/mem", "EPERM"},
				{"refused", "/var/lib/private/keys", "EACCES"},
				{"error", "/var/log/nginx/access.log.3.gz", "EIO at offset 81920"},
			},
			FailuresTotal: 452,
		},
		Verdict: custody.Verdict,
		Layers: []Layer{
			{"bundle", "container", chainofcustody.VerdictVerified, false, "12 frames", nil},
			{"bundle", "records", chainofcustody.VerdictVerified, false, "All 48,112 records give the root that the seal states.", nil},
			{"bundle", "seal", chainofcustody.VerdictVerified, false, "both signatures hold", nil},
		},
		Timeline: &Timeline{
			Events: 1_204_881, Undated: 312, First: time.Date(2025, 11, 2, 4, 1, 9, 0, time.UTC), Last: time.Date(2026, 3, 1, 9, 13, 58, 0, time.UTC),
			Sources: []Count{{"journald", 801_220, -1, true}, {"auth log", 91_002, -1, true}, {"file system", 312_659, -1, true}}, Problems: 4, SHA256: hexOf("timeline"),
		},
		Why: &Why{
			Question: "how did /var/www/shop/.cache/x come to run?", Entry: "HTTP upload to /admin/import.php from 203.0.113.77 on 27 February 2026, 23:41:07 UTC",
			Sentences:  []string{"On 27 February 2026 at 23:41:07 UTC a request from 203.0.113.77 wrote /var/www/shop/.cache/x [access.log, bytes 81,204–81,391].", "Four seconds later the web server started it as process 20114 [audit.log, bytes 1,204,881–1,205,310]."},
			Others:     []string{"Password login as deploy from 198.51.100.4 (fits in time, no link by record)"},
			Assumption: []string{"The clocks of web server and audit log are one clock."},
		},
	}
	d.AddCustody(custody)
	return d
}

// many makes n failures.
func many(n int) []Failure {
	list := make([]Failure, n)
	for i := range list {
		list[i] = Failure{"refused", fmt.Sprintf("/x/%d", i), "EACCES"}
	}
	return list
}
