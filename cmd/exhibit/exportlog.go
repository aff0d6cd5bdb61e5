package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/interop"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func exportLogCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write custody logs as one portable file, or in a standard", ArgsUsage: "[EXHIBIT...]",
		Description: "Example:\n   exhibit custody export EX-001 -o EX-001.custody.tar\n   exhibit custody export EX-001 --format case -o EX-001.jsonld\n" +
			"   exhibit custody export EX-001 --format bagit -o EX-001-bag\n\n" +
			"portable is a plain tar of the logs, the list of signers, orders and roots of time authorities; the bundles are not in it.\n" +
			"case (CASE/UCO JSON-LD), prov (PROV-JSON), in-toto (Statement v1, one exhibit) and premis (PREMIS 3 XML) say of every event\n" +
			"what its signature is worth; they cannot be verified themselves. bagit makes a folder, a BagIt 1.0 bag around the logs and\n" +
			"the bundles. All but portable are recorded in the custody log. docs/exports.md says what goes where and what is lost.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "portable", Usage: "`FORMAT`: portable, case, prov, in-toto, premis or bagit"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`, or for bagit the folder"},
		},
		Action: runExportLog,
	}
}

// documents are the formats that are one document.
var documents = map[string]func(interop.Log) ([]byte, error){
	interop.FormatCASE.Name:   interop.CASE,
	interop.FormatPROV.Name:   interop.PROV,
	interop.FormatInToto.Name: interop.InToto,
	interop.FormatPREMIS.Name: interop.PREMIS,
}

func runExportLog(c *cli.Context) error {
	format := c.String("format")
	write, document := documents[format]
	if !document && format != "portable" && format != interop.FormatBagIt.Name {
		return command.Failf(command.Usage, "choose portable, case, prov, in-toto, premis or bagit", "unknown format %q", format)
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	names, err := exhibitArgs(c, cs)
	if err != nil {
		return err
	}
	if err := given(c, "output", "EX-001.custody.tar"); err != nil {
		return err
	}
	path := c.String("output")
	if format == "portable" {
		if err := exportTo(cs, names, path); err != nil {
			return err
		}
		digest, err := command.FileDigest(path)
		if err != nil {
			return err
		}
		return showExport(c, path, digest, names, nil)
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	if err := mustNotExist(path, "name a file that is not there yet"); err != nil {
		return err
	}
	log, err := verifiedLog(c, cs, names)
	if err != nil {
		return err
	}
	var pinned chainofcustody.Attachment // what the custody event names
	if document {
		pinned, err = writeDocument(path, log, write)
	} else {
		pinned, err = writeBag(c.Context, cs, log, path)
	}
	switch {
	case errors.Is(err, interop.ErrOneExhibit):
		return command.Fail(command.Usage, "name one exhibit: exhibit custody export EX-001 --format "+format, err)
	case err != nil:
		return caseError(err)
	}
	verdicts := map[string]string{}
	worst := chainofcustody.VerdictVerified
	for _, x := range log.Exhibits {
		ev := chainofcustody.Event{
			Kind: chainofcustody.EventExported, Tool: tool(), Note: "custody log as " + standard(format) + "; verdict " + string(x.Report.Verdict),
			Attach: []chainofcustody.Attachment{pinned},
		}
		if !document && x.Bundle != nil {
			ev.Seal, ev.OuterSHA256, ev.Size = x.Bundle.Seal, x.Bundle.OuterSHA256, x.Bundle.Size
			ev.Note += "; with the bundle"
		}
		if _, err := cs.Append(x.Report.Exhibit, ev, id); err != nil {
			return caseError(err)
		}
		verdicts[x.Report.Exhibit] = string(x.Report.Verdict)
		worst = worst.Worse(x.Report.Verdict)
	}
	if err := showExport(c, path, pinned.SHA256, names, verdicts); err != nil {
		return err
	}
	return command.Exit(worst.ExitCode())
}

func standard(format string) string {
	for _, f := range interop.Formats() {
		if f.Name == format {
			return f.Standard
		}
	}
	return format
}

// verifiedLog verifies what is to be exported, bundles included.
func verifiedLog(c *cli.Context, cs *chainofcustody.Case, exhibits []string) (interop.Log, error) {
	log := interop.Log{Case: cs.Info}
	for _, name := range exhibits {
		x := interop.Exhibit{}
		opt := chainofcustody.VerifyOptions{Bundle: factsOf(c, cs, name)}
		if opt.Bundle != nil {
			file, err := verifying.BundleOf(cs, name)
			if err != nil {
				return log, err
			}
			x.Bundle = &interop.Bundle{Name: filepath.Base(file), BundleFacts: *opt.Bundle}
		}
		var err error
		if x.Report, err = verifying.Log(cs, name, opt); err != nil {
			return log, err
		}
		log.Exhibits = append(log.Exhibits, x)
	}
	return log, nil
}

func writeDocument(path string, log interop.Log, write func(interop.Log) ([]byte, error)) (chainofcustody.Attachment, error) {
	data, err := write(log)
	if err != nil {
		return chainofcustody.Attachment{}, err
	}
	err = writeFile(path, false, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return chainofcustody.Attachment{Name: filepath.Base(path), SHA256: evidence.Sum(data)}, err
}

// showExport says what was written. The verdicts are those of the logs in it.
func showExport(c *cli.Context, path string, digest evidence.Digest, exhibits []string, verdicts map[string]string) error {
	if c.Bool("json") {
		row := map[string]any{"file": path, "format": c.String("format"), "sha256": digest.String(), "exhibits": exhibits}
		if verdicts != nil {
			row["verdicts"] = verdicts
		}
		return command.JSON(c.App.Writer, row)
	}
	fmt.Fprintf(c.App.Writer, "%s written: %s\n  SHA-256  %s", term.Escape(path), strings.Join(exhibits, ", "), digest)
	if c.String("format") == interop.FormatBagIt.Name {
		fmt.Fprintf(c.App.Writer, "  (%s)", interop.BagTagManifest)
	}
	fmt.Fprintln(c.App.Writer)
	for _, ex := range exhibits {
		if v := verdicts[ex]; v != "" {
			fmt.Fprintf(c.App.Writer, "  %s  %s\n", ex, v)
		}
	}
	return nil
}

// exportTo writes a portable log into a file that must not exist.
func exportTo(cs *chainofcustody.Case, exhibits []string, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return command.Failf(command.Failure, "name a file that is not there yet", "%s exists", path)
	}
	if err != nil {
		return err
	}
	err = errors.Join(cs.Export(f, exhibits), f.Sync(), f.Close())
	if err != nil {
		return errors.Join(caseError(err), os.Remove(path))
	}
	return nil
}
