package rootcause_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestDocumentationListsEveryRuleAsItIs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "rootcause.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, r := range rootcause.Rules() {
		row := fmt.Sprintf("| `%s` | %s | %s → %s | %s |", r.Name, r.Class, r.From, r.To, r.Why)
		if !strings.Contains(text, row) {
			t.Errorf("docs/rootcause.md lacks the row\n%s", row)
		}
	}
	if have, want := strings.Count(text, " → "), len(rootcause.Rules()); have < want {
		t.Errorf("%d rows, want %d", have, want)
	}
}
