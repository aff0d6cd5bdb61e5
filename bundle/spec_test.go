package bundle

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// workedExample is the part of docs/format/bundle.md that shows how the
// minimal vector's root comes about.
func workedExample(t *testing.T) string {
	t.Helper()
	file, err := os.ReadFile(vectorPath(t, "minimal.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	r := openBytes(t, file)
	p, err := r.Prove(1)
	if err != nil {
		t.Fatal(err)
	}
	l := r.leaves
	left, right := nodeHash(l[0], l[1]), nodeHash(l[2], l[3])
	var b strings.Builder
	for _, line := range []struct {
		what string
		d    evidence.Digest
	}{
		{"content line 1", p.ContentHash},
		{"metadata line 1", p.MetaHash},
		{"leaf 0", l[0]},
		{"leaf 1", l[1]},
		{"leaf 2", l[2]},
		{"leaf 3", l[3]},
		{"node 0-1", left},
		{"node 2-3", right},
		{"root", nodeHash(left, right)},
		{"seal id", r.Seal().ID},
	} {
		fmt.Fprintf(&b, "    %-16s %s\n", line.what, line.d)
	}
	fmt.Fprintf(&b, "    %-16s %s\n\n", "seal code", r.Seal().Code())
	b.WriteString("seal.txt:\n\n")
	for line := range strings.Lines(string(r.Seal().Text)) {
		b.WriteString("    " + line)
	}
	return b.String()
}

func TestSpecificationShowsWhatTheVectorHolds(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs/format/bundle.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := workedExample(t); !strings.Contains(string(doc), want) {
		t.Errorf("the worked example must read:\n%s", want)
	}
	file, err := os.ReadFile(vectorPath(t, "minimal.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	content, meta, err := openBytes(t, file).linesOf(1)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc, append(content, meta...)) {
		t.Errorf("the worked example must show record 1:\n%s%s", content, meta)
	}
	for _, name := range []string{certMember, orderMember, orderSigMember, certSigMember, recoveryMember[len("exhibit/"):], recoveryNote[len("exhibit/"):], bindingMember} {
		if !strings.Contains(string(doc), name) {
			t.Errorf("%s is not specified", name)
		}
	}
}
