//go:build linux

package clitest

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// isJSON [-one|-doc] FILE: every line is one JSON value, and there is at
// least one; with -one exactly one; with -doc the whole file is one value.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	mode := ""
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		mode, args = args[0], args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json [-one|-doc] stdout|FILE")
	}
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	values := strings.Split(text, "\n")
	if mode == "-doc" {
		values = []string{text}
	}
	if mode == "-one" && len(values) != 1 {
		ts.Fatalf("want one line of JSON, have %d", len(values))
	}
	for _, v := range values {
		if !json.Valid([]byte(v)) || !utf8.ValidString(v) {
			ts.Fatalf("no JSON: %q", v)
		}
	}
}

// ownControls are the control sequences that the programs write themselves
// on a terminal: colours, and the line of progress.
var ownControls = regexp.MustCompile(`\x1b\[(0|1|2|31;1|32|33)m|\r\x1b\[K|\r\n`)

// inert [-pty] FILE…: nothing in it can act on a terminal or turn text
// around. With -pty our own colours and progress are allowed.
func inert(ts *testscript.TestScript, neg bool, args []string) {
	onTerminal := len(args) > 0 && args[0] == "-pty"
	if onTerminal {
		args = args[1:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: inert [-pty] stdout|stderr|FILE...")
	}
	for _, name := range args {
		text := ts.ReadFile(name)
		if onTerminal {
			text = ownControls.ReplaceAllString(text, "\n")
		}
		checkText(ts, name, text)
	}
}

func checkInert(ts *testscript.TestScript, name string) { checkText(ts, name, ts.ReadFile(name)) }

func checkText(ts *testscript.TestScript, name, text string) {
	for i, r := range text {
		switch {
		case r == '\n', r == '\t', r == '\r' && strings.HasPrefix(text[i:], "\r\n"):
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			ts.Fatalf("%s: byte %#x at %d is no UTF-8, in %q", name, text[i], i, around(text, i))
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == '\u2028', r == '\u2029':
			ts.Fatalf("%s: %U at %d, in %q", name, r, i, around(text, i))
		}
	}
}

func around(text string, i int) string { return text[max(i-40, 0):min(i+40, len(text))] }

// noFormula FILE: a CSV file of which a spreadsheet computes no cell.
func noFormula(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: noformula FILE")
	}
	rows, err := csv.NewReader(strings.NewReader(ts.ReadFile(args[0]))).ReadAll()
	ts.Check(err)
	for _, row := range rows {
		for _, cell := range row {
			if _, err := strconv.ParseFloat(cell, 64); err != nil && cell != "" && cell != "-" && // a sign alone computes nothing
				strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				ts.Fatalf("a spreadsheet takes this cell for a formula: %q", cell)
			}
		}
	}
}

// contents returns the content of every file below dir.
func contents(ts *testscript.TestScript, dir string) map[string]string {
	m := map[string]string{}
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		m[rel] = "(" + d.Type().String() + ")"
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			m[rel] = string(b)
			return err
		}
		return nil
	}))
	return m
}

// difference names the first file in which two folders differ.
func difference(before, after map[string]string) string {
	for name, b := range before {
		if a, ok := after[name]; !ok {
			return name + " is gone"
		} else if a != b {
			return name + " has other content"
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			return name + " is new"
		}
	}
	return ""
}

type shots map[string]map[string]string

var shotsKey = new(int)

// snapshot DIR…: remembers what lies there for unchanged.
func snapshot(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range args {
		ts.Value(shotsKey).(shots)[dir] = contents(ts, ts.MkAbs(dir))
	}
}

// unchanged DIR…: everything there is as snapshot saw it, and nothing is new.
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range args {
		if diff := difference(ts.Value(shotsKey).(shots)[dir], contents(ts, ts.MkAbs(dir))); (diff != "") != neg {
			ts.Fatalf("%s: %s", dir, diff)
		}
	}
}

// flip FILE: changes one bit in the middle of the file.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.Chmod(path, 0o600))
	ts.Check(os.WriteFile(path, b, 0o600))
}

// fill FILE MIB [LINE]: a file of that size which does not compress, or which
// repeats a line, numbered.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fill FILE MIB [LINE]")
	}
	mib, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for n, i := 0, 0; n < mib<<20; i++ {
		part := binary.LittleEndian.AppendUint64(nil, random.Uint64())
		if len(args) > 2 {
			part = fmt.Appendf(nil, "%s %d\n", args[2], i)
		}
		_, err := w.Write(part)
		ts.Check(err)
		n += len(part)
	}
	ts.Check(w.Flush())
	ts.Check(f.Close())
}

// hostileNames are file names, as bytes, that somebody chose to mislead.
var hostileNames = []string{
	"esc\x1b[2J\x1b]0;pwned\x07", "new\nline", "tab\tcr\r", "bidi\u202etxt.exe", "zero\u200bwidth", "c1\u009b31m", "bad\xff\xfeutf8",
	"=cmd|' C calc'!A0", "+1", "-2+3", "@SUM(1)", "--json", "-rf", "..\\..\\up", "<b>bold", `"quoted"'`, "%s%n", "a:b*c?",
}

// rawnames DIR: makes a file for every hostile name there, one with the
// longest name there can be, and a symbolic link whose target is hostile.
func rawNames(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: rawnames DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Join(dir, "<script>alert(1)<"), 0o755))
	for _, name := range append(hostileNames, strings.Repeat("x", 255), "<script>alert(1)</script>") {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o644))
	}
	ts.Check(os.Symlink("/etc/\x1b[31m\u202epasswd\xff", filepath.Join(dir, "link")))
}
