package verifying

import (
	"fmt"
	"io"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Link is what a verified bundle says of the one before it.
func Link(path string, rep *bundle.Report) bundle.Link {
	code := rep.ExitCode()
	return bundle.Link{
		Name: path, Seal: rep.SealID, Continues: rep.Continues,
		Unknown: rep.Verdict == bundle.Unopened || code == command.Integrity || code == command.Failure,
	}
}

// PrintChain says how the bundles of one call continue each other, and returns
// the exit code that stands for it. Of one bundle alone that continues another
// it says so: a verdict about it is none about the collection.
func PrintChain(w io.Writer, links []bundle.Link, asJSON bool) int {
	chain := bundle.CheckChain(links)
	switch {
	case chain == nil && len(links) == 1 && links[0].Continues != "" && !links[0].Unknown && !asJSON:
		fmt.Fprintf(w, "%s continues a bundle that is not given here: give both to have the link checked\n", term.Escape(links[0].Name))
	case chain == nil:
	case asJSON:
		_ = command.JSON(w, map[string]any{"chain": chain})
	default:
		fmt.Fprintf(w, "chain %s\n", chain.State)
		for _, s := range chain.Sentences {
			fmt.Fprintf(w, "  %s\n", term.Escape(s))
		}
	}
	if chain == nil || chain.State == bundle.ChainHolds {
		return command.OK
	}
	return command.Partial
}
