package bundle

import (
	"fmt"
	"sort"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Verdict is the one word about a bundle.
type Verdict string

// The verdicts, best first.
const (
	Verified       Verdict = "VERIFIED"              // whole, unchanged, by a known signer
	VerifiedPrefix Verdict = "VERIFIED-PREFIX"       // interrupted; unchanged up to a signed checkpoint
	SignerUnknown  Verdict = "INTACT-SIGNER-UNKNOWN" // unchanged since it was sealed, by nobody knows whom
	TimeUnproven   Verdict = "INTACT-TIME-UNPROVEN"  // the signer's key is valid only if the stated time is true
	Damaged        Verdict = "DAMAGED"               // parts are lost; what is listed as proven still is
	Altered        Verdict = "ALTERED"               // something was changed, added or removed
	Unreadable     Verdict = "UNREADABLE"            // nothing can be said
)

// Layer is the result of one step of the verification.
type Layer struct {
	Name   string `json:"name"`  // container, contents, records, checkpoints, seal, held, order, certificate, signer, time
	State  string `json:"state"` // ok, failed, lost, unknown, absent
	Detail string `json:"detail,omitempty"`
}

// Finding is one thing that is not as it must be.
type Finding struct {
	Class  string `json:"class"` // damage or alteration
	Member string `json:"member,omitempty"`
	Offset int64  `json:"offset"` // in the tar
	Detail string `json:"detail"`
}

// ItemFinding is an item whose content is not what its record says.
type ItemFinding struct {
	Index  int64  `json:"index"`
	Member string `json:"member"`
	Path   string `json:"path"` // of the host, made valid UTF-8
	Detail string `json:"detail"`

	span evidence.Extent // of the tar, from its first stored byte to its last
}

// maxShown bounds a path from a record in a report.
const maxShown = 4096

// span64 is the stretch of the tar that holds all pieces of an item.
func span64(pieces []piece) evidence.Extent {
	var from, to int64
	for i, p := range pieces {
		if end := p.tar + max(p.length, 0); i == 0 {
			from, to = p.tar, end
		} else {
			from, to = min(from, p.tar), max(to, end)
		}
	}
	return evidence.Extent{Offset: from, Length: to - from}
}

// listLimit bounds each list of a report; the totals go on counting.
const listLimit = 1000

// Report is what a verification found.
type Report struct {
	Verdict   Verdict   `json:"verdict"`
	Sentences []string  `json:"sentences"` // plain words, the verdict first
	Layers    []Layer   `json:"layers"`
	Bundle    string    `json:"bundle,omitempty"`
	Case      string    `json:"case,omitempty"`
	Exhibit   string    `json:"exhibit,omitempty"`
	Grade     Grade     `json:"grade,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	Finished  time.Time `json:"finished,omitzero"` // as the trailer states it
	Reason    string    `json:"reason,omitempty"`  // of the end, as the trailer states it
	Complete  bool      `json:"complete"`          // the run looked at everything it was asked for
	Size      int64     `json:"size"`              // bytes of the file

	SealID   string `json:"seal_id,omitempty"` // of the seal, or of the last checkpoint proven
	SealCode string `json:"seal_code,omitempty"`
	Sealed   bool   `json:"sealed"` // a seal is there and its signatures hold
	Prefix   bool   `json:"prefix"` // the end of the bundle is missing
	Key      string `json:"key,omitempty"`
	Signer   string `json:"signer,omitempty"` // name of whom the signature is trusted as
	SignedBy string `json:"signed_by,omitempty"`

	Order      string   `json:"order,omitempty"`      // nonce of the collection order, where its signature holds
	Departures []string `json:"departures,omitempty"` // how the run departs from it, in words
	Job        string   `json:"job,omitempty"`        // SHA-256 of the job file, where its signature holds

	JobDepartures []string `json:"job_departures,omitempty"` // how the run departs from it, in words

	Records        int64            `json:"records"`         // read
	Proven         int64            `json:"proven"`          // records that a signed statement covers
	Unproven       int64            `json:"unproven"`        // records behind the last checkpoint
	LostRecords    int64            `json:"lost_records"`    // known to have been, not readable
	Contents       int64            `json:"contents"`        // items whose bytes agree with their record
	ContentBytes   int64            `json:"content_bytes"`   // of those
	Unsealed       int64            `json:"unsealed"`        // members behind the last records
	DamagedItems   int64            `json:"damaged_items"`   // items whose bytes are lost, in part or whole
	AlteredItems   int64            `json:"altered_items"`   // items whose bytes were changed
	UnreadItems    int64            `json:"unread_items"`    // items of which the collector could not read all
	UnreadBytes    int64            `json:"unread_bytes"`    // stored as zeros in their place, as far as known
	FindingsTotal  int64            `json:"findings_total"`  //
	Kinds          map[string]int64 `json:"kinds,omitempty"` // records by kind
	Checkpoints    int              `json:"checkpoints"`     // that hold
	DamagedList    []ItemFinding    `json:"damaged_list,omitempty"`
	AlteredList    []ItemFinding    `json:"altered_list,omitempty"`
	Findings       []Finding        `json:"findings,omitempty"`
	damaged, wrong bool

	ErasedItems int64     `json:"erased_items"`       // records that somebody took out, as the erasures state
	Erasures    []Removal `json:"erasures,omitempty"` // in order

	Form      string    `json:"form,omitempty"`      // of a converted file: tar or tar.gz
	Continues string    `json:"continues,omitempty"` // seal id of the bundle that this one continues
	Envelope  *Envelope `json:"envelope,omitempty"`  // nil: not encrypted
}

// ExitCode is the exit code of a command that reports this verdict.
func (r *Report) ExitCode() int {
	switch r.Verdict {
	case Verified:
		return 0
	case VerifiedPrefix:
		return 3
	case SignerUnknown, TimeUnproven, Unopened:
		return 5
	case Damaged, Altered:
		return 4
	}
	return 1
}

func (r *Report) find(class, member string, at int64, detail string) {
	r.FindingsTotal++
	if len(r.Findings) < listLimit {
		r.Findings = append(r.Findings, Finding{class, member[:min(len(member), maxShown)], at, detail[:min(len(detail), maxShown)]})
	}
}

// damage notes that bytes are lost.
func (r *Report) damage(member string, at int64, detail string) {
	r.damaged = true
	r.find("damage", plainText(member), at, detail)
}

// altered notes that something is there that the format or a signature forbids.
func (r *Report) altered(member string, at int64, detail string) {
	r.wrong = true
	r.find("alteration", plainText(member), at, detail)
}

// brokenLimit bounds the items that a later statement of loss may explain.
const brokenLimit = 100_000

// broken notes an item whose content is not what its record says.
func (r *Report) broken(f ItemFinding, lost bool) {
	if lost {
		r.DamagedItems++
		if len(r.DamagedList) < listLimit {
			r.DamagedList = append(r.DamagedList, f)
		}
		return
	}
	r.AlteredItems++
	if len(r.AlteredList) < brokenLimit {
		r.AlteredList = append(r.AlteredList, f)
	}
}

// explain moves items from altered to damaged that lie in ranges which a
// recovery says were lost.
func (r *Report) explain(lost []evidence.Extent) {
	left := r.AlteredList[:0]
	for _, f := range r.AlteredList {
		if !overlaps(f.span, lost) {
			left = append(left, f)
			continue
		}
		r.AlteredItems--
		r.broken(f, true)
	}
	r.AlteredList = left
}

// overlaps reports whether a range meets one of a list in ascending order.
func overlaps(x evidence.Extent, list []evidence.Extent) bool {
	i := sort.Search(len(list), func(i int) bool { return list[i].Offset+list[i].Length > x.Offset })
	return i < len(list) && list[i].Offset < x.Offset+x.Length
}

func (r *Report) layer(name, state, detail string) {
	r.Layers = append(r.Layers, Layer{name, state, detail})
}

func (r *Report) say(format string, args ...any) {
	r.Sentences = append(r.Sentences, fmt.Sprintf(format, args...))
}
