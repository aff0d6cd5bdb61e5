package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
)

func resumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: gathering.ResumeUsage, ArgsUsage: "BUNDLE [EARLIER…]", Category: catCollect,
		Description: "Example:\n   sudo exhibit resume exhibits/EX-001/web01.exhibit.tar.zst.partial   (inside a case: a new exhibit)\n" +
			"   sudo exhibit resume host.exhibit.tar.zst.partial -o rest.exhibit.tar.zst\n\n" + gathering.ResumeText,
		Flags: gathering.Flags(), Action: runResume,
	}
}

func runResume(c *cli.Context) error {
	var list []gathering.Interrupted
	for _, path := range c.Args().Slice() {
		in, err := openFile(c, path)
		if err != nil {
			return err
		}
		defer in.Close()
		list = append(list, gathering.Interrupted{Path: path, R: in, Size: in.size, File: in.file})
	}
	resumed, err := gathering.Resume(c, list)
	if err != nil {
		return err
	}
	if err := gathering.Check(c); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		fmt.Fprintln(c.App.ErrWriter, resumed.Told())
	}
	who := gathering.Who{Resumed: resumed, Origin: resumed.Header.Options["origin"]}
	if out := c.String("output"); out != "" {
		return collectAlone(c, out, who)
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	return collectExhibit(c, cs, id, who)
}
