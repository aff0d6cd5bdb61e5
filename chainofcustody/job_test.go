package chainofcustody

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func testJob() *Job {
	return &Job{
		Case: "CASE-7", Exhibit: "EX-001", NotBefore: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC),
		Authority: "warrant \u202e 12", OrderSHA256: evidence.Sum([]byte("order")), Selection: evidence.Sum([]byte("selection")),
		Run:      []string{"max-time=9m", "profile=triage", "recipient=age1a", "recipient=age1b"},
		Programs: []JobFile{{"exhibit-collector", evidence.Sum([]byte("program"))}},
		Files:    []JobFile{{"README.txt", evidence.Sum([]byte("readme"))}, {"order.json", evidence.Sum([]byte("order"))}},
	}
}

func signedJob(t testing.TB) (file, sig []byte, id *Identity) {
	t.Helper()
	key, err := NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	id = &Identity{ID: "alice@lab", Key: key}
	if file, sig, err = SignJob(testJob(), id); err != nil {
		t.Fatal(err)
	}
	return file, sig, id
}

func TestJobReadsBackAsItWasSigned(t *testing.T) {
	file, sig, id := signedJob(t)
	j, key, err := VerifyJob(file, sig)
	if err != nil {
		t.Fatal(err)
	}
	again, err := j.Encode()
	if err != nil || !bytes.Equal(again, file) || Fingerprint(key) != id.Fingerprint() || j.Digest != evidence.Sum(file) {
		t.Errorf("read back as %s (%v)", again, err)
	}
	if got := j.Settings("recipient"); !slices.Equal(got, []string{"age1a", "age1b"}) || j.Settings("cpu") != nil {
		t.Errorf("recipients %q, cpu %q", got, j.Settings("cpu"))
	}
	same, sameSig, err := SignJob(testJob(), id)
	if err != nil || !bytes.Equal(same, file) || !bytes.Equal(sameSig, sig) {
		t.Error("the same job signed again by an Ed25519 key has other bytes")
	}
}

// TestEveryChangedByteOfAJobIsSeen changes every byte of job and signature.
func TestEveryChangedByteOfAJobIsSeen(t *testing.T) {
	file, sig, _ := signedJob(t)
	for i := range file {
		for _, bit := range []byte{1, 0x20} {
			changed := bytes.Clone(file)
			changed[i] ^= bit
			if _, _, err := VerifyJob(changed, sig); err == nil {
				t.Fatalf("byte %d changed by %#x: still holds", i, bit)
			}
		}
	}
	// Armor has ways to be written; what it says must hold.
	inner := bytes.Index(sig, []byte("\n")) + 1
	end := bytes.LastIndex(sig, []byte("-----END"))
	for i := inner; i < end; i++ {
		if sig[i] == '\n' || sig[i] == '=' {
			continue
		}
		changed := bytes.Clone(sig)
		changed[i] = 'A' + (changed[i]-'A'+1)%26
		if changed[i] == sig[i] {
			continue
		}
		if _, _, err := VerifyJob(file, changed); err == nil && i < end-4 {
			t.Fatalf("byte %d of the signature changed: still holds", i)
		}
	}
}

func TestNoOrderIsAJobAndNoJobAnOrder(t *testing.T) {
	file, sig, _ := signedJob(t)
	if _, err := ParseOrder(file); err == nil {
		t.Error("a job passes for an order")
	}
	if _, _, err := VerifyOrder(file, sig); err == nil {
		t.Error("a signed job passes for an order")
	}
	if _, err := ParseJob([]byte(`{"v":1}` + "\n")); !errors.Is(err, ErrJob) {
		t.Errorf("an order read as a job: %v", err)
	}
	if _, err := ParseJob([]byte(`{"job":2}` + "\n")); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("a newer job: %v", err)
	}
}

func TestJobsThatCannotBeAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Job){
		"no program":       func(j *Job) { j.Programs = nil },
		"name with folder": func(j *Job) { j.Files[0].Name = "../README.txt" },
		"hidden name":      func(j *Job) { j.Files[0].Name = ".profile" },
		"same name twice":  func(j *Job) { j.Files[0].Name = "exhibit-collector" },
		"names that only differ in case": func(j *Job) {
			j.Files[0].Name = "Exhibit-Collector"
		},
		"no hash":            func(j *Job) { j.Files[0].SHA256 = evidence.Digest{} },
		"no window":          func(j *Job) { j.NotAfter = j.NotBefore },
		"window for ever":    func(j *Job) { j.NotAfter = j.NotBefore.AddDate(9, 0, 0) },
		"part of a second":   func(j *Job) { j.NotBefore = j.NotBefore.Add(1) },
		"setting by halves":  func(j *Job) { j.Run[0] = "max-time" },
		"setting in capital": func(j *Job) { j.Run[0] = "MAX=1" },
		"settings unordered": func(j *Job) { slices.Reverse(j.Run) },
		"bad exhibit":        func(j *Job) { j.Exhibit = "7" },
		"bad UTF-8":          func(j *Job) { j.Purpose = "\xff" },
	} {
		j := testJob()
		j.Signer = Person{ID: "alice@lab", Key: "SHA256:x"}
		if _, err := j.Encode(); err != nil {
			t.Fatal(err)
		}
		spoil(j)
		if _, err := j.Encode(); !errors.Is(err, ErrJob) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeparturesFromAJob(t *testing.T) {
	j := testJob()
	whole := JobUse{
		Case: "CASE-7", Exhibit: "EX-001", At: j.NotBefore, Program: j.Programs[0].SHA256, Order: j.OrderSHA256,
		Selection: j.Selection, Recipients: []string{"age1b", "age1a"},
	}
	if d := j.Departures(whole); d != nil {
		t.Fatalf("a use that keeps to it departs: %q", d)
	}
	for name, change := range map[string]func(*JobUse){
		"exhibit": func(u *JobUse) { u.Exhibit = "EX-002" }, "early": func(u *JobUse) { u.At = u.At.Add(-time.Second) },
		"late": func(u *JobUse) { u.At = j.NotAfter.Add(time.Second) }, "program": func(u *JobUse) { u.Program = evidence.Digest{} },
		"order": func(u *JobUse) { u.Order = evidence.Digest{} }, "selection": func(u *JobUse) { u.Selection = evidence.Digest{} },
		"recipients": func(u *JobUse) { u.Recipients = u.Recipients[:1] },
	} {
		u := whole
		change(&u)
		if d := j.Departures(u); len(d) != 1 {
			t.Errorf("%s: departures %q, want one", name, d)
		}
	}
}

func FuzzParseJob(f *testing.F) {
	file, _, _ := signedJob(f)
	f.Add(file)
	f.Add([]byte(`{"job":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := ParseJob(data)
		if err != nil {
			return
		}
		if again, err := j.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q is read, and written as %q (%v)", data, again, err)
		}
	})
}
