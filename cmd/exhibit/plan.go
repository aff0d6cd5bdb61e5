package main

import (
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: gathering.PlanUsage, Category: catCollect, ArgsUsage: " ",
		Description: "Example:\n   sudo exhibit plan                  (inside a case: as exhibit collect would go)\n" +
			"   sudo exhibit plan --root /mnt/image -c linux_logs -o host.exhibit.tar.zst\n\n" +
			"It lists folders and looks at metadata. It opens no file, writes nothing and records nothing in the case.",
		Flags: gathering.Flags(), Action: runPlan,
	}
}

func runPlan(c *cli.Context) error {
	to, err := recipients(c)
	if err != nil {
		return err
	}
	out := c.String("output")
	if out == "" {
		name := gathering.FileName("", gathering.HostName(c.String("root")), time.Now())
		cs, err := openCase(c)
		if err != nil {
			return gathering.Plan(c, to, name)
		}
		name = gathering.FileName(cs.Info.ID, gathering.HostName(c.String("root")), time.Now())
		out = filepath.Join(cs.Path(chainofcustody.ExhibitsDir, "EX-…"), name) // the number is spent when it is given
	}
	return gathering.Plan(c, to, out)
}
