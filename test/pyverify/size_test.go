package pyverify

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// Who wants to check the second verifier has to read all of it, so that neither
// of its files may grow, nor hide its length: one statement a line, and no code
// in strings.
func TestTheirVerifierIsShortAndPlain(t *testing.T) {
	const maxLines, maxWidth = 400, 120
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "test/pyverify", "*.py"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		if len(lines) > maxLines {
			t.Errorf("%s: %d lines, at most %d may be", filepath.Base(path), len(lines), maxLines)
		}
		for i, line := range lines {
			if n := utf8.RuneCountInString(line); n > maxWidth {
				t.Errorf("%s:%d: %d columns, at most %d may be", filepath.Base(path), i+1, n, maxWidth)
			}
		}
	}
	const plain = `
import sys, tokenize
for path in sys.argv[1:]:
    for token in tokenize.generate_tokens(open(path, encoding="utf-8").readline):
        if token.type == tokenize.OP and token.string == ";" or token.string in ("exec", "eval", "compile", "__import__"):
            sys.exit("%s:%d: %s" % (path, token.start[0], token.line))
`
	if out, err := exec.Command(testenv.Tool(t, "python3"), append([]string{"-B", "-c", plain}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("more than one statement a line, or code in a string: %v\n%s", err, out)
	}
}
