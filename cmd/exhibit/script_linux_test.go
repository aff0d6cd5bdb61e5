package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"exhibit": main, "bulkserver": bulkServer})
}

func TestScripts(t *testing.T) { clitest.Run(t) }

// TestEveryCommandIsAskedForJSON holds json.txtar to the command tree.
func TestEveryCommandIsAskedForJSON(t *testing.T) {
	script, err := os.ReadFile("testdata/script/json.txtar")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(t *testing.T, path []string, c *cli.Command) {
		line := "exhibit --json " + strings.Join(path, " ")
		if len(c.Subcommands) == 0 && !strings.Contains(string(script), line) {
			t.Errorf("json.txtar has no line with %q", line)
		}
	})
}
