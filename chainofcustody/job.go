package chainofcustody

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// jobVersion is the "job" of every job file.
const jobVersion = 1

// Bounds of the lists of a job.
const (
	maxJobRun   = 256
	maxJobFiles = 64
)

// Job is a signed instruction to a collector that runs by itself: with which
// settings, whose programs, beside which files, from when until when. It says
// how a collection is made; an order, which it may name, says by what right.
// The file is one line of JSON in one spelling (docs/format/custody.md),
// signed in NamespaceOrder: its first key tells it from an order.
type Job struct {
	Case      string // "" without one
	Exhibit   string // "" without one
	NotBefore time.Time
	NotAfter  time.Time
	Signer    Person // ID and Key required; of the one-time key where that signed
	Authority string
	Purpose   string

	OrderSHA256 evidence.Digest // of the order's file; zero: none
	Selection   evidence.Digest // of collectors and definitions; zero: not pinned
	Run         []string        // NAME=VALUE: flags of the collector, by name; a name may repeat
	Programs    []JobFile       // the collectors of the kit, by name
	Files       []JobFile       // what else lies in the kit, by name

	Digest evidence.Digest // SHA-256 of the file; not part of the record
}

// JobFile is one file of a kit.
type JobFile struct {
	Name   string // without a folder
	SHA256 evidence.Digest
}

// line is the file as sha256sum writes it.
func (f JobFile) line() string { return f.SHA256.String() + "  " + f.Name }

// Settings returns the values that the job gives a flag; none: it does not
// say.
func (j *Job) Settings(flag string) []string {
	var out []string
	for _, text := range j.Run {
		if name, value, _ := strings.Cut(text, "="); name == flag {
			out = append(out, value)
		}
	}
	return out
}

// HasProgram reports whether the job is for an executable.
func (j *Job) HasProgram(d evidence.Digest) bool {
	return slices.ContainsFunc(j.Programs, func(f JobFile) bool { return f.SHA256 == d })
}

// Encode returns the job's file, line end included. Errors are ErrJob.
func (j *Job) Encode() ([]byte, error) {
	if err := j.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJob, err)
	}
	w := object{buf: make([]byte, 0, 2048)}
	w.open()
	w.integer("job", jobVersion)
	w.text("case", j.Case)
	w.text("exhibit", j.Exhibit)
	w.required("not_before", j.NotBefore.UTC().Format(orderTimeLayout))
	w.required("not_after", j.NotAfter.UTC().Format(orderTimeLayout))
	w.person("signer", &j.Signer)
	w.text("authority", j.Authority)
	w.text("purpose", j.Purpose)
	w.digest("order_sha256", j.OrderSHA256)
	w.digest("selection_sha256", j.Selection)
	w.list("run", j.Run)
	for _, l := range []struct {
		name  string
		files []JobFile
	}{{"programs", j.Programs}, {"files", j.Files}} {
		lines := make([]string, len(l.files))
		for i, f := range l.files {
			lines[i] = f.line()
		}
		w.list(l.name, lines)
	}
	w.close()
	line := append(w.buf, '\n')
	if len(line) > MaxOrderSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrJob, len(line), MaxOrderSize)
	}
	return line, nil
}

func (j *Job) validate() error {
	switch {
	case j.Case != "" && !validCaseID(j.Case):
		return fmt.Errorf("case id %q", j.Case)
	case j.Exhibit != "" && !IsExhibit(j.Exhibit):
		return fmt.Errorf("exhibit number %q", j.Exhibit)
	case j.Signer.ID == "" || j.Signer.Key == "":
		return fmt.Errorf("signer has no id or no key")
	case len(j.Programs) == 0 || len(j.Programs)+len(j.Files) > maxJobFiles || len(j.Run) > maxJobRun:
		return fmt.Errorf("%d programs, %d files, %d settings", len(j.Programs), len(j.Files), len(j.Run))
	}
	if err := checkWindow(j.NotBefore, j.NotAfter); err != nil {
		return err
	}
	last := ""
	for _, text := range j.Run {
		name, _, ok := strings.Cut(text, "=")
		if !ok || name == "" || name < last || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("setting %.80q is no NAME=VALUE, or its name is out of order", text)
		}
		last = name
	}
	seen := map[string]bool{}
	for _, list := range [][]JobFile{j.Programs, j.Files} {
		for i, f := range list {
			if f.SHA256.IsZero() || !plainName(f.Name) || i > 0 && list[i-1].Name >= f.Name || seen[strings.ToLower(f.Name)] {
				return fmt.Errorf("file %.80q is out of order, or has no plain name or no hash", f.Name)
			}
			seen[strings.ToLower(f.Name)] = true
		}
	}
	texts := slices.Concat([]string{j.Authority, j.Purpose, j.Signer.ID, j.Signer.Name, j.Signer.Org, j.Signer.Role, j.Signer.Key}, j.Run)
	for _, s := range texts {
		if err := checkText(s); err != nil {
			return err
		}
	}
	return nil
}

// checkWindow holds for the times of a mandate: whole seconds, not for ever.
func checkWindow(from, to time.Time) error {
	for _, t := range []time.Time{from, to} {
		if y := t.UTC().Year(); t.IsZero() || y < 1970 || y > 9999 || t.Nanosecond() != 0 {
			return fmt.Errorf("time %v is not a whole second from 1970 on", t)
		}
	}
	if !from.Before(to) {
		return fmt.Errorf("its window ends before it begins")
	}
	if to.Sub(from) > maxOrderWindow {
		return fmt.Errorf("its window is longer than %d days", int(maxOrderWindow.Hours()/24))
	}
	return nil
}

// plainName reports whether a name is safe as a file's in one folder, on every
// system: no folder, no device, nothing that hides.
func plainName(name string) bool {
	return name != "" && len(name) <= 100 && name[0] != '.' && name[0] != '-' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

type jobRecord struct {
	Job       int64     `json:"job"`
	Case      string    `json:"case"`
	Exhibit   string    `json:"exhibit"`
	NotBefore string    `json:"not_before"`
	NotAfter  string    `json:"not_after"`
	Signer    personRec `json:"signer"`
	Authority string    `json:"authority"`
	Purpose   string    `json:"purpose"`
	Order     string    `json:"order_sha256"`
	Selection string    `json:"selection_sha256"`
	Run       []string  `json:"run"`
	Programs  []string  `json:"programs"`
	Files     []string  `json:"files"`
}

// ParseJob reads a job file. Only the one spelling that Encode writes is
// accepted; a higher version is ErrNewerSchema, anything else ErrJob.
func ParseJob(data []byte) (*Job, error) {
	if len(data) > MaxOrderSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrJob, len(data), MaxOrderSize)
	}
	var version struct {
		Job int64 `json:"job"`
	}
	if err := json.Unmarshal(data, &version); err == nil && version.Job > jobVersion {
		return nil, fmt.Errorf("job file of version %d: %w", version.Job, ErrNewerSchema)
	}
	var r jobRecord
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJob, err)
	}
	j, err := r.read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJob, err)
	}
	canonical, err := j.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canonical, data) {
		return nil, fmt.Errorf("%w: byte %d departs from the one spelling", ErrJob, firstDifference(canonical, data))
	}
	j.Digest = evidence.Sum(data)
	return j, nil
}

func (r *jobRecord) read() (*Job, error) {
	j := &Job{Case: r.Case, Exhibit: r.Exhibit, Signer: Person(r.Signer), Authority: r.Authority, Purpose: r.Purpose, Run: r.Run}
	var err error
	if j.NotBefore, err = time.Parse(orderTimeLayout, r.NotBefore); err != nil {
		return nil, fmt.Errorf("time %.40q", r.NotBefore)
	}
	if j.NotAfter, err = time.Parse(orderTimeLayout, r.NotAfter); err != nil {
		return nil, fmt.Errorf("time %.40q", r.NotAfter)
	}
	var digests digestReader
	j.OrderSHA256, j.Selection = digests.read(r.Order), digests.read(r.Selection)
	for _, l := range []struct {
		lines []string
		to    *[]JobFile
	}{{r.Programs, &j.Programs}, {r.Files, &j.Files}} {
		if len(l.lines) > maxJobFiles {
			return nil, fmt.Errorf("%d files", len(l.lines))
		}
		for _, line := range l.lines {
			sum, name, _ := strings.Cut(line, "  ")
			*l.to = append(*l.to, JobFile{name, digests.read(sum)})
		}
	}
	return j, digests.err
}

// SignJob fills Signer and Digest, and returns the job's file and its
// signature.
func SignJob(j *Job, id *Identity) (file, sig []byte, err error) {
	if err := id.check(); err != nil {
		return nil, nil, fmt.Errorf("sign job: %w", err)
	}
	j.Signer = id.person()
	if file, err = j.Encode(); err != nil {
		return nil, nil, err
	}
	j.Digest = evidence.Sum(file)
	if sig, err = id.Key.Sign(NamespaceOrder, file); err != nil {
		return nil, nil, fmt.Errorf("sign job: %w", err)
	}
	return file, sig, nil
}

// VerifyJob reads a job and checks that the key it names signed it. Whether
// that key is trusted is another question: it is returned for that.
func VerifyJob(file, sig []byte) (*Job, ssh.PublicKey, error) {
	j, err := ParseJob(file)
	if err != nil {
		return nil, nil, err
	}
	key, err := Verify(NamespaceOrder, file, sig)
	if err != nil {
		return nil, nil, fmt.Errorf("signature of the job: %w", err)
	}
	if Fingerprint(key) != j.Signer.Key {
		return nil, nil, fmt.Errorf("%w: the job names the key %s, and %s signed it", ErrBadSignature, j.Signer.Key, Fingerprint(key))
	}
	return j, key, nil
}

// JobUse is what a run did, for comparison with its job.
type JobUse struct {
	Case, Exhibit string
	At            time.Time
	Program       evidence.Digest // of the executable, without a kit appended to it; zero: not known
	Order         evidence.Digest // zero: none
	Selection     evidence.Digest // zero: not known
	Recipients    []string
}

// Departures says in plain words how a use departs from the job; none: it
// keeps to it. Settings beyond these stand in the bundle's header, and the
// collector compares them before it runs.
func (j *Job) Departures(u JobUse) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if u.Case != j.Case || u.Exhibit != j.Exhibit {
		say("it is for exhibit %s of case %s, the run was for %s of %s", orNone(j.Exhibit), orNone(j.Case), orNone(u.Exhibit), orNone(u.Case))
	}
	if u.At.Before(j.NotBefore) {
		say("it holds from %s on, the run began at %s", j.NotBefore.Format(orderTimeLayout), u.At.UTC().Format(orderTimeLayout))
	}
	if u.At.After(j.NotAfter) {
		say("it ended at %s, the run began at %s", j.NotAfter.Format(orderTimeLayout), u.At.UTC().Format(orderTimeLayout))
	}
	if !j.HasProgram(u.Program) {
		say("it is for other programs than the one that ran")
	}
	if u.Order != j.OrderSHA256 {
		say("it belongs to another order than that of the run, or only one of them has an order")
	}
	if !j.Selection.IsZero() && u.Selection != j.Selection {
		say("it pins collectors and definitions by the SHA-256 %s, those of the run have %s", j.Selection, orUnknown(u.Selection))
	}
	if want := j.Settings("recipient"); len(want) > 0 && !sameSet(want, u.Recipients) {
		say("it asks for encryption for %d recipients, the bundle was encrypted for others or not at all", len(want))
	}
	return out
}
