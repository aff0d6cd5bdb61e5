package parsers

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
)

// evtxColumn says that a value goes to a column.
type evtxColumn struct{ column, key string }

// evtxMeant is what an event of one provider and number means.
type evtxMeant struct {
	title                     string
	action, outcome, category string
	columns                   []evtxColumn
}

// evtxKey is a provider's name in lower case and an event number.
type evtxKey struct{ provider, code string }

var evtxKnown = readMeanings(evtxMeanings)

// evtxMeaning returns what is known of a record, nil when nothing is.
func evtxMeaning(rec *evtx.Record) *evtxMeant {
	var provider [64]byte
	name := rec.System[evtx.Provider]
	if len(name) > len(provider) {
		return nil
	}
	lower := provider[:len(name)]
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return evtxKnown[evtxKey{string(lower), string(rec.System[evtx.EventID])}]
}

// readMeanings reads the table of evtx_meanings.go.
func readMeanings(table string) map[evtxKey]*evtxMeant {
	known := map[evtxKey]*evtxMeant{}
	provider := ""
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# "); ok {
			provider = strings.ToLower(name)
			continue
		} else if line == "" {
			continue
		}
		f := strings.Split(line, "|")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		what := strings.Fields(f[1])
		m := &evtxMeant{action: what[0], category: what[1], title: f[2]}
		if len(what) > 2 {
			m.outcome = what[2]
		}
		for pair := range strings.FieldsSeq(f[3]) {
			column, key, _ := strings.Cut(pair, "=")
			m.columns = append(m.columns, evtxColumn{column, key})
		}
		for code := range strings.FieldsSeq(f[0]) {
			known[evtxKey{provider, code}] = m
		}
	}
	return known
}
