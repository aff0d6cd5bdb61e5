package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// cat gives a ledger whole that was written in pieces, also one whose end is
// missing, and takes nothing else for a piece of it.
func TestCatGivesARecordSetWhole(t *testing.T) {
	const rest = "collection/ledger.jsonl"
	for _, tc := range []struct {
		name  string
		items [][2]string // source and path
		want  string      // which of them, one letter each; "" for none
	}{
		{"in one piece", [][2]string{{"collector", "collection/log.jsonl"}, {"collector", rest}}, "b"},
		{"in pieces", [][2]string{
			{"collector", "collection/ledger.000001.jsonl"},
			{"collector", "collection/log.000002.jsonl"},
			{"file", "collection/ledger.000003.jsonl"},
			{"collector", "collection/ledger.000004.jsonl"},
			{"collector", rest},
		}, "ade"},
		{"without its end", [][2]string{{"collector", "collection/ledger.000001.jsonl"}, {"collector", "collection/ledger.000002.jsonl"}}, "ab"},
		{"other names", [][2]string{{"collector", "collection/ledger..jsonl"}, {"collector", "collection/ledger.x.jsonl"}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := chainofcustody.NewRunKey()
			if err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			w, err := bundle.NewWriter(&file, bundle.Header{}, key, bundle.WriterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, it := range tc.items {
				_, err := w.Add(t.Context(), evidence.Item{Kind: evidence.KindStream, Source: it[0], Path: it[1], Size: 1},
					bundle.Input{R: strings.NewReader(string(rune('a' + i)))})
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.Seal(bundle.Trailer{}); err != nil {
				t.Fatal(err)
			}
			r, err := bundle.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
			if err != nil {
				t.Fatal(err)
			}
			members, err := membersOf(r, collect.LedgerSet)
			if (err != nil) != (tc.want == "") {
				t.Fatalf("%q, %v", members, err)
			}
			got := ""
			for _, m := range members {
				if m == "" {
					continue
				}
				c, err := r.Open(m)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(c)
				if err != nil {
					t.Fatal(err)
				}
				got += string(text)
			}
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
