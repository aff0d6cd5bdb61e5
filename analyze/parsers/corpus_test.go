package parsers

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// corpusRows reads a bundle of expected results: JSON lines, gzipped.
func corpusRows(t testing.TB, name string) []map[string]any {
	t.Helper()
	return corpusDecoded(t, name, func(*json.Decoder) {})
}

// corpusExact is corpusRows with numbers as json.Number: a float64 does not
// hold all of 64 bits.
func corpusExact(t testing.TB, name string) []map[string]any {
	t.Helper()
	return corpusDecoded(t, name, (*json.Decoder).UseNumber)
}

func corpusDecoded(t testing.TB, name string, option func(*json.Decoder)) []map[string]any {
	t.Helper()
	f, err := os.Open(filepath.Join(testenv.Corpus(t), "expected", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	dec := json.NewDecoder(bufio.NewReader(z))
	option(dec)
	for dec.More() {
		var row map[string]any
		if err := dec.Decode(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}
