package local

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// sourceLine is a source and what was read from it, one line of a sources
// table. Path is text; where the original is no UTF-8, PathRaw has its bytes.
type sourceLine struct {
	ID        string     `json:"id"`
	Job       string     `json:"job"`
	Parser    string     `json:"parser"`
	Events    int64      `json:"events"`
	Problems  int64      `json:"problems"`
	Bundle    string     `json:"bundle,omitempty"`
	Member    string     `json:"member,omitempty"`
	Index     int64      `json:"index"`
	Chain     string     `json:"chain,omitempty"`
	Path      string     `json:"path"`
	PathRaw   string     `json:"path_raw,omitempty"`
	SHA256    string     `json:"sha256,omitempty"`
	Size      int64      `json:"size"`
	Inode     uint64     `json:"inode,omitempty"`
	Modified  *time.Time `json:"mtime,omitempty"`
	Accessed  *time.Time `json:"atime,omitempty"`
	Changed   *time.Time `json:"ctime,omitempty"`
	Born      *time.Time `json:"btime,omitempty"`
	Collector string     `json:"collector,omitempty"`
	Host      string     `json:"host,omitempty"`
	HostID    string     `json:"host_id,omitempty"`
}

func newSourceLine(s *timeline.Source) sourceLine {
	l := sourceLine{
		ID: s.ID, Bundle: digestText(s.Bundle), Member: s.Member, Index: s.Index, Chain: s.Chain,
		SHA256: digestText(s.SHA256), Size: s.Size, Inode: s.Inode, Collector: s.Collector, Host: s.Host, HostID: s.HostID,
		Modified: timePointer(s.Modified), Accessed: timePointer(s.Accessed), Changed: timePointer(s.Changed), Born: timePointer(s.Born),
	}
	l.Path, l.PathRaw = rawText(s.Path)
	return l
}

func (l *sourceLine) source() (*timeline.Source, error) {
	s := &timeline.Source{
		ID: l.ID, Member: l.Member, Index: l.Index, Chain: l.Chain, Size: l.Size, Inode: l.Inode,
		Collector: l.Collector, Host: l.Host, HostID: l.HostID,
		Modified: timeOf(l.Modified), Accessed: timeOf(l.Accessed), Changed: timeOf(l.Changed), Born: timeOf(l.Born),
	}
	var err error
	if s.Bundle, err = digestOf(l.Bundle); err != nil {
		return nil, fmt.Errorf("source %s: bundle: %w", l.ID, err)
	}
	if s.SHA256, err = digestOf(l.SHA256); err != nil {
		return nil, fmt.Errorf("source %s: %w", l.ID, err)
	}
	if s.Path, err = rawOf(l.Path, l.PathRaw); err != nil {
		return nil, fmt.Errorf("source %s: path: %w", l.ID, err)
	}
	return s, nil
}

// problemLine is one line of a problems table.
type problemLine struct {
	Stage   string     `json:"stage"`
	Code    string     `json:"code"`
	Bundle  string     `json:"bundle,omitempty"`
	Member  string     `json:"member,omitempty"`
	Chain   string     `json:"chain,omitempty"`
	Offset  int64      `json:"offset"`
	Length  int64      `json:"length"`
	Path    string     `json:"path"`
	PathRaw string     `json:"path_raw,omitempty"`
	Detail  string     `json:"detail"`
	At      *time.Time `json:"at,omitempty"`
}

func appendProblem(dst []byte, p *evidence.Problem) ([]byte, error) {
	l := problemLine{
		Stage: p.Stage, Code: string(p.Code), Bundle: digestText(p.Ref.Bundle), Member: p.Ref.Member, Chain: p.Ref.Chain,
		Offset: p.Ref.Offset, Length: p.Ref.Length, Detail: timeline.Printable(p.Detail), At: timePointer(p.At),
	}
	l.Path, l.PathRaw = rawText(p.Path)
	line, err := json.Marshal(l)
	if err != nil {
		return dst, fmt.Errorf("encode problem: %w", err)
	}
	return append(append(dst, line...), '\n'), nil
}

func parseProblem(line []byte) (evidence.Problem, error) {
	var l problemLine
	if err := json.Unmarshal(line, &l); err != nil {
		return evidence.Problem{}, err
	}
	p := evidence.Problem{
		Stage: l.Stage, Code: evidence.Code(l.Code), Detail: l.Detail, At: timeOf(l.At),
		Ref: evidence.Ref{Member: l.Member, Chain: l.Chain, Offset: l.Offset, Length: l.Length},
	}
	var err error
	if p.Ref.Bundle, err = digestOf(l.Bundle); err != nil {
		return p, fmt.Errorf("bundle: %w", err)
	}
	p.Path, err = rawOf(l.Path, l.PathRaw)
	return p, err
}

func digestText(d evidence.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func digestOf(s string) (evidence.Digest, error) {
	if s == "" {
		return evidence.Digest{}, nil
	}
	return evidence.ParseDigest(s)
}

func timePointer(t time.Time) *time.Time {
	if t.IsZero() || t.Year() > 9999 || t.Year() < 0 {
		return nil
	}
	u := t.UTC()
	return &u
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// rawText returns bytes as text and, where that loses something, in base64.
func rawText(s string) (text, raw string) {
	if text = timeline.Printable(s); text != s {
		raw = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return text, raw
}

func rawOf(text, raw string) (string, error) {
	if raw == "" {
		return text, nil
	}
	b, err := base64.StdEncoding.DecodeString(raw)
	return string(b), err
}
