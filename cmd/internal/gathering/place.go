package gathering

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/sink"
)

const (
	allowEvidence = "allow-evidence-volume"
	factVolume    = "evidence_volume" // option of a bundle's header
)

func placeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: allowEvidence, Usage: "write to a file system that is being collected; it overwrites what was deleted there, and is recorded"},
	}
}

// MayWrite refuses a file on a volume that is evidence, unless the caller says
// that there is no other way.
func MayWrite(c *cli.Context, path string) error {
	return place(c, &collect.Options{Root: c.String("root")}, path)
}

// place is MayWrite, and has the bundle state what was allowed.
func place(c *cli.Context, opt *collect.Options, path string) error {
	p, err := sink.Look(opt.Root, path)
	switch {
	case errors.Is(err, collect.ErrUnsupported):
		return nil // the collection says so itself
	case errors.Is(err, fs.ErrPermission):
		return fileError(err)
	case err != nil:
		return err
	case !p.Evidence:
		return nil
	case !c.Bool(allowEvidence):
		return command.Failf(command.Failure, "mount a medium and write there, or stream it away with -o - or a URL; --"+allowEvidence+" if there is no other way",
			"%s lies on evidence: %s, and writing there overwrites what was deleted", path, p.Why)
	}
	if opt.Facts == nil {
		opt.Facts = map[string]string{}
	}
	opt.Facts[factVolume] = fmt.Sprintf("allowed by --%s: %s lies on evidence, %s; %d bytes free before", allowEvidence, p.Dir, p.Why, p.Free)
	return nil
}
