package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

// Limits of the page. What is left out is counted on the page.
const (
	maxFailures = 200
	maxEvents   = 2000
	maxHands    = 60
)

// page is what the template sees: sanitized data and what follows from it.
type page struct {
	Data
	Style                               template.CSS
	StyleHash                           string
	Headline, Meaning, Remark           string
	Proves, DoesNot                     []string
	Hands                               []hand
	HandsFigure, QR                     template.HTML
	Recipe                              []step
	FailuresLeft, EventsLeft, HandsLeft int64
	DataSHA256                          string
	TakenCounts, MissedCounts           []Count
	Keys                                []keyLine
}

// Render writes the report as one HTML page. The same data gives the same
// bytes. Errors are those of w.
func Render(w io.Writer, d Data) error {
	digest, err := fingerprint(d)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	p := newPage(sanitized(d))
	p.DataSHA256 = digest
	functions := template.FuncMap{
		"moment": moment, "count": count, "size": size, "plural": plural,
		"tone": tone, "layerTone": layerTone, "answer": answer, "question": question, "sentence": sentence, "shell": shell,
		"clip": clipLines, "len64": func(f []Failure) int64 { return int64(len(f)) },
	}
	t, err := template.New("page").Funcs(functions).Parse(pageText)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// fingerprint is the SHA-256 of the data as JSON: two reports with the same
// value say the same.
func fingerprint(d Data) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	return evidence.Sum(text).String(), nil
}

func newPage(d Data) *page {
	for _, l := range d.Layers { // never better than what it lists
		d.Verdict = d.Verdict.Worse(l.Verdict)
	}
	p := &page{Data: d}
	p.Headline, p.Meaning = d.headline(), d.Verdict.Sentence()
	p.Proves, p.DoesNot = d.proves(), d.doesNotProve()
	p.Recipe = d.recipe()
	p.Hands = handsOf(d.Events)
	p.Remark = remark(p.Hands)
	p.HandsLeft = int64(max(len(p.Hands)-maxHands, 0))
	p.Hands = p.Hands[:min(len(p.Hands), maxHands)]
	p.HandsFigure = handsFigure(p.Hands)
	p.QR = qrCode(d.Bundle.SealCode)
	for _, c := range d.Items.Counts {
		if c.Taken {
			p.TakenCounts = append(p.TakenCounts, c)
		} else {
			p.MissedCounts = append(p.MissedCounts, c)
		}
	}
	p.Items.FailuresTotal = max(d.Items.FailuresTotal, int64(len(d.Items.Failures)))
	p.Items.Failures = slices.Clip(d.Items.Failures[:min(len(d.Items.Failures), maxFailures)])
	p.FailuresLeft = p.Items.FailuresTotal - int64(len(p.Items.Failures))
	p.EventsLeft = int64(max(len(d.Events)-maxEvents, 0))
	p.Events = d.Events[:min(len(d.Events), maxEvents)]
	p.Keys = keysOf(d.Events)
	css := styleText + footer(d.Case.ID, d.Exhibit.Number)
	sum := sha256.Sum256([]byte(css))
	p.Style = template.CSS(css) // ours; footer keeps what it takes from the data to plain letters
	p.StyleHash = base64.StdEncoding.EncodeToString(sum[:])
	return p
}

// footer names case and exhibit at the foot of each printed page.
func footer(names ...string) string {
	var plain []string
	for _, name := range names {
		name = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_. ", r) {
				return r
			}
			return -1
		}, name)
		if name != "" {
			plain = append(plain, name[:min(len(name), 64)])
		}
	}
	return fmt.Sprintf("@page { @bottom-left { content: %q } }\n", strings.Join(plain, " · "))
}

// clipLines bounds a list of lines and says how many were left out.
func clipLines(lines []string, limit int) []string {
	if len(lines) <= limit {
		return lines
	}
	return append(slices.Clone(lines[:limit]), fmt.Sprintf("… and %s more", count(int64(len(lines)-limit))))
}

// keyLine is a person and a key they signed with.
type keyLine struct{ Who, Key string }

func keysOf(events []Event) []keyLine {
	var keys []keyLine
	for i := range events {
		k := keyLine{nameOf(&events[i]) + " <" + events[i].ActorID + ">", events[i].Key}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}
