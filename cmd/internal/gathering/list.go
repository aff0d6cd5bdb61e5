package gathering

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
)

// List prints the shelf in the order in which it runs.
func List(c *cli.Context, all []collect.Collector) error {
	type row struct {
		Name string `json:"name"`
		Tier int    `json:"tier"`
		Live bool   `json:"live"`
		Doc  string `json:"doc"`
	}
	for _, k := range all {
		r := row{k.Name, int(k.Tier), k.Live, k.Doc}
		if c.Bool("json") {
			if err := command.JSON(c.App.Writer, r); err != nil {
				return err
			}
			continue
		}
		live := "    "
		if r.Live {
			live = "live"
		}
		fmt.Fprintf(c.App.Writer, "T%d %s %-20s %s\n", r.Tier, live, r.Name, r.Doc)
	}
	return nil
}
