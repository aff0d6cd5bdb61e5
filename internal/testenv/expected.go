package testenv

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
)

// ExpectedRows is what an independent tool says of one file of the corpus: a
// table with named columns.
type ExpectedRows struct {
	Path    string     `json:"path"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Get returns one cell, "" where there is no such column.
func (e *ExpectedRows) Get(row int, column string) string {
	i := slices.Index(e.Columns, column)
	if i < 0 || i >= len(e.Rows[row]) {
		return ""
	}
	return e.Rows[row][i]
}

// Int returns one cell as a number, -1 where it is none.
func (e *ExpectedRows) Int(row int, column string) int64 {
	n, err := strconv.ParseInt(e.Get(row, column), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Expected reads a bundle of expected results of the corpus.
func Expected(t testing.TB, path string) []ExpectedRows {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bufio.NewReader(z))
	var all []ExpectedRows
	for dec.More() {
		var e ExpectedRows
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, e)
	}
	return all
}

// Epoch writes ns since 1970 as seconds with nine decimals, as Wireshark does.
func Epoch(ns int64) string { return fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9) }
