package argv

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func app() *cli.App {
	return &cli.App{
		Name:  "exhibit",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}, &cli.StringFlag{Name: "case", Aliases: []string{"C"}}},
		Commands: []*cli.Command{
			{Name: "verify", Flags: []cli.Flag{&cli.BoolFlag{Name: "explain"}, &cli.StringFlag{Name: "trust"}}},
			{Name: "timeline", Subcommands: []*cli.Command{
				{Name: "query", Flags: []cli.Flag{&cli.IntFlag{Name: "limit", Aliases: []string{"n"}}}},
				{Name: "build"},
			}},
		},
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"verify a.zst --json", "--json verify -- a.zst"},
		{"verify a.zst --explain b.zst", "verify --explain -- a.zst b.zst"},
		{"verify a.zst --trust keys --json", "--json verify --trust keys -- a.zst"},
		{"verify --trust=keys a.zst", "verify --trust=keys -- a.zst"},
		{"timeline query user:root -n 5 --case dir", "--case dir timeline query -n 5 -- user:root"},
		{"timeline query -- -user:root --json", "timeline query -- -user:root --json"},
		{"verify -", "verify -- -"},
		{"verify --help", "verify --help"},
		{"timeline query --help", "timeline query --help"},
		{"verify a --help", "verify --help"},
		{"--help", "--help"},
		{"timeline query a --limit -5", "timeline query --limit -5 -- a"},
	} {
		got, err := Arrange(app(), strings.Fields("exhibit "+c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if want := strings.Fields("exhibit " + c.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %q\nwant %q", c.in, got, want)
		}
	}
}

func TestMistakesAreNamedWithASuggestion(t *testing.T) {
	for _, c := range []struct{ in, message, hint string }{
		{"verfy a", `unknown command "verfy"`, `did you mean "verify"?`},
		{"verify a --jsn", `unknown flag "--jsn"`, "did you mean --json?"},
		{"verify a --nothing-like-it", `unknown flag "--nothing-like-it"`, "put -- before"},
		{"verify --trust", "flag --trust needs a value", "see: exhibit verify --help"},
		{"timeline", `"timeline" needs one of: query, build`, "see: exhibit timeline --help"},
		{"timeline qery", `unknown command "qery"`, `did you mean "query"?`},
	} {
		_, err := Arrange(app(), strings.Fields("exhibit "+c.in))
		var usage *UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: error %v, want a usage error", c.in, err)
			continue
		}
		if !strings.Contains(usage.Message, c.message) || !strings.Contains(usage.Hint, c.hint) {
			t.Errorf("%s: %q / %q, want %q / %q", c.in, usage.Message, usage.Hint, c.message, c.hint)
		}
		if strings.Contains(usage.Message+usage.Hint, "\n") {
			t.Errorf("%s: more than one line", c.in)
		}
	}
}
