package gathering

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Summary is what a collection reports.
type Summary struct {
	Bundle     string           `json:"bundle"`
	Seal       string           `json:"seal"`
	Root       string           `json:"root"` // of the tree that the seal signs
	Code       string           `json:"seal_code"`
	Partial    bool             `json:"partial"`
	Reason     string           `json:"reason,omitempty"`
	Items      int64            `json:"items"`
	Content    int64            `json:"content_bytes"`
	Written    int64            `json:"bundle_bytes"` // of the last bundle, as are seal and code
	Outcomes   map[string]int64 `json:"outcomes"`
	Problems   int64            `json:"problems"`
	Seconds    float64          `json:"seconds"`
	CPU        float64          `json:"cpu_seconds"`
	PeakRSS    int64            `json:"peak_rss_bytes"`
	Collectors []Line           `json:"collectors"`

	Recipients []string          `json:"recipients,omitempty"`      // whom it is encrypted to
	Continues  string            `json:"continues,omitempty"`       // seal id of the bundle before it
	Sent       *sink.Result      `json:"sent,omitempty"`            // how it went to another machine
	Place      string            `json:"evidence_volume,omitempty"` // the bundle lies on a file system that was collected: which, by whose leave
	SealFiles  map[string]string `json:"seal_files,omitempty"`      // the seal, where the bundle cannot be opened to read it

	Before []Sealed `json:"bundles_before,omitempty"` // those of this run that Bundle continues, in order

	Result *collect.Result `json:"-"`
}

// Line is one collector of a Summary.
type Line struct {
	Name    string  `json:"name"`
	Outcome string  `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	Items   int64   `json:"items"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func summarise(path string, res *collect.Result) *Summary {
	if res == nil {
		return nil
	}
	s := &Summary{
		Bundle: path, Seal: res.Seal.ID.String(), Root: res.Seal.Root.String(), Code: res.Seal.Code(), Partial: res.Partial, Reason: res.Reason,
		Items: res.Items, Content: res.Bytes, Written: res.Written, Problems: res.ProblemCount,
		Seconds: res.Finished.Sub(res.Started).Seconds(), Outcomes: map[string]int64{}, Result: res,
		CPU: float64(res.Footprint.UserNS+res.Footprint.SystemNS) / 1e9, PeakRSS: res.Footprint.PeakRSS,
	}
	for k, n := range res.Counts {
		s.Outcomes[string(k)] = n
	}
	for _, k := range res.Collectors {
		s.Collectors = append(s.Collectors, Line{k.Name, string(k.Outcome), k.Detail, k.Items, k.Bytes, k.Duration.Seconds()})
	}
	return s
}

// Print writes a summary for people.
func (s *Summary) Print(w io.Writer, pal term.Palette) {
	for _, k := range s.Collectors {
		word := fmt.Sprintf("%-10s", k.Outcome)
		switch collect.Outcome(k.Outcome) {
		case collect.Collected:
			word = pal.Good(word)
		case collect.Empty, collect.Skipped, collect.Absent:
			word = pal.Dim(word)
		default:
			word = pal.Warn(word)
		}
		fmt.Fprintf(w, "  %s %-20s %7d items %10s %6.1f s  %s\n", word, k.Name, k.Items, term.Size(k.Bytes), k.Seconds, term.Escape(k.Detail))
	}
	bundles, written := "a bundle", s.Written
	if n := len(s.Before); n > 0 {
		bundles = fmt.Sprintf("%d bundles", n+1)
	}
	for _, b := range s.Before {
		written += b.Written
	}
	fmt.Fprintf(w, "%d items, %s of content in %s of %s; %.1f s, %.1f CPU s, peak memory %s\n",
		s.Items, term.Size(s.Content), bundles, term.Size(written), s.Seconds, s.CPU, term.Size(s.PeakRSS))
	var parts []string
	for _, o := range []collect.Outcome{collect.Collected, collect.Absent, collect.Denied, collect.Failed, collect.Skipped, collect.TimedOut, collect.OverBudget, collect.Held} {
		if n := s.Outcomes[string(o)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	fmt.Fprintf(w, "paths: %s; %d problems (all of it is in the bundle)\n", strings.Join(parts, ", "), s.Problems)
	if s.Partial {
		fmt.Fprintf(w, "%s: the run ended early (%s); the bundle is sealed and says so\n", pal.Warn("PARTIAL"), s.Reason)
	}
	for _, b := range s.Before {
		fmt.Fprintf(w, "bundle     %s (%s)\nseal code  %s   write it on paper now\n", term.Escape(b.Bundle), term.Size(b.Written), pal.Bold(b.Code))
	}
	fmt.Fprintf(w, "bundle     %s\nseal code  %s   write it on paper now\n", term.Escape(s.Bundle), pal.Bold(s.Code))
	if len(s.Recipients) > 0 {
		fmt.Fprintf(w, "encrypted  to %d recipients; nothing on this host can open it\n", len(s.Recipients))
	}
	for _, line := range s.sentLines() {
		fmt.Fprintln(w, term.Escape(line))
	}
	if s.Continues != "" {
		fmt.Fprintf(w, "continues  %s\n", s.Continues)
	}
	if s.Bundle != "-" && s.Sent == nil || len(s.Recipients) == 0 {
		if len(s.Recipients) > 0 {
			fmt.Fprintf(w, "seal       %s%s, for those who keep the bundle and cannot open it\n", term.Escape(s.Bundle), bundle.SealFolder)
		}
		return
	}
	fmt.Fprintf(w, "Keep the seal with the bundle; --json writes all of its files:\n\n%s\n%s", s.SealFiles["seal.note"], s.SealFiles["collector.pub"])
}

// Exit is the exit code of a collection: partial where something that exists
// could not be read, interrupted where somebody stopped it.
func (s *Summary) Exit(ctx context.Context) error {
	if ctx.Err() != nil {
		return command.Exit(command.Interrupted)
	}
	for _, o := range []collect.Outcome{collect.Denied, collect.Failed, collect.TimedOut} {
		if s.Outcomes[string(o)] > 0 {
			return command.Exit(command.Partial)
		}
	}
	if s.Partial || s.Problems > 0 || s.Sent != nil && s.Sent.Fallback != nil {
		return command.Exit(command.Partial)
	}
	return nil
}
