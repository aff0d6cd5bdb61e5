package rootcause

import (
	"encoding/json"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Graph is the answer to "why": what led to the alert, and what else came of
// the same entry. Equal events and options give an equal Graph.
type Graph struct {
	Alert        Alert      `json:"alert"`
	Conclusion   string     `json:"conclusion"`   // one sentence: what was found, and how much of the alert it explains
	Unexplained  float64    `json:"unexplained"`  // part of the alert that leads to what nothing explains, 0..1
	Entries      []Entry    `json:"entries"`      // at most three, the likeliest first
	Narrative    []Sentence `json:"narrative"`    // in time order
	Assumptions  []Note     `json:"assumptions"`  // what had to be taken for granted
	Gaps         []Note     `json:"gaps"`         // what is missing or was removed
	Alternatives []Note     `json:"alternatives"` // other explanations with their shares
	Nodes        []Node     `json:"nodes"`
	Edges        []Edge     `json:"edges"`
	Counts       Counts     `json:"counts"`
}

// Alert is what was asked about.
type Alert struct {
	Events Citations `json:"events"`
	Nodes  []int     `json:"nodes"` // positions in Graph.Nodes
	Time   time.Time `json:"time,omitzero"`
	Text   string    `json:"text"`
}

// Role says why a node is shown.
type Role string

// The roles of nodes.
const (
	RoleAlert Role = "alert" // asked about
	RoleEntry Role = "entry" // where somebody came in
	RolePath  Role = "path"  // between the two
	RoleScope Role = "scope" // came of the same entry, besides the alert
)

// Node is an entity: a process instance, a session, a file.
type Node struct {
	Kind   Kind      `json:"kind"`
	Role   Role      `json:"role"`
	Label  string    `json:"label"`
	Detail string    `json:"detail,omitempty"`
	Host   string    `json:"host,omitempty"`
	Time   time.Time `json:"time,omitzero"` // when it came about, UTC
	Impact float64   `json:"impact"`        // part of the alert that its paths account for, 0..1
	Events Citations `json:"events,omitempty"`
}

// Edge leads from a cause to its effect.
type Edge struct {
	From   int       `json:"from"` // positions in Graph.Nodes
	To     int       `json:"to"`
	Class  Class     `json:"class"`
	Rule   string    `json:"rule"` // Rule.Name
	Time   time.Time `json:"time,omitzero"`
	Events Citations `json:"events,omitempty"`
	Score  float64   `json:"score"` // part of the alert that flows over it; 0 for scope
	Why    string    `json:"why"`
}

// Entry is a point where somebody can have come in.
type Entry struct {
	Node       int       `json:"node"`       // position in Graph.Nodes, -1 when not shown
	Kind       string    `json:"kind"`       // "ssh password guessing", "remote login", "web request", ...
	Title      string    `json:"title"`      // one line
	Score      float64   `json:"score"`      // 0..1; the scores of all entries and what stays unexplained sum to 1
	Confidence string    `json:"confidence"` // high, medium, low: by the inferred edges of its best path; low where it explains little
	Reason     string    `json:"reason"`     // in plain words
	Time       time.Time `json:"time,omitzero"`
	Host       string    `json:"host,omitempty"`
	Account    string    `json:"account,omitempty"`
	Address    string    `json:"address,omitempty"`
	Events     Citations `json:"events"`
}

// Sentence is one statement of the narrative with the events that prove it.
type Sentence struct {
	Stage  string    `json:"stage"` // heading it belongs under
	Text   string    `json:"text"`
	Class  Class     `json:"class"`
	Time   time.Time `json:"time,omitzero"`
	Events Citations `json:"events"`
}

// Note is an assumption, a gap or an alternative.
type Note struct {
	Text   string    `json:"text"`
	Score  float64   `json:"score,omitempty"` // of an alternative
	Events Citations `json:"events,omitempty"`
}

// Counts says how much was looked at.
type Counts struct {
	Events     int64 `json:"events"`     // read
	Facts      int   `json:"facts"`      // kept because they can be part of a cause
	Considered int   `json:"considered"` // nodes of the walk
	Pruned     int   `json:"pruned"`     // paths cut because they carried next to nothing, or a bound was reached
	Shown      int   `json:"shown"`      // nodes in this graph
	Hidden     int   `json:"hidden"`     // effects of the entry that are not shown
}

// Citations are identities of events, written as hexadecimal in JSON.
type Citations []timeline.ID

// MarshalJSON writes an array of strings of 32 hexadecimal digits.
func (c Citations) MarshalJSON() ([]byte, error) {
	out := make([]string, len(c))
	for i, id := range c {
		out[i] = id.String()
	}
	return json.Marshal(out)
}
