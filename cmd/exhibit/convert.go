package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func convertCommand() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "write a bundle as tar, tar.gz or zip, for machines that know no zstd", ArgsUsage: "EXHIBIT|BUNDLE", Category: catEvidence,
		Description: "Example:\n   exhibit convert EX-001 -o web01.tar.gz\n   exhibit convert host.exhibit.tar.zst -o host.zip\n" +
			"   exhibit convert host.exhibit.tar.zst.age --identity age.key --recipient age1pq1… -o host.tar.age\n\n" +
			"The name of the output says the form. A .tar or .tar.gz holds the sealed tar byte for byte: exhibit verify\n" +
			"accepts it as the same evidence. A .zip is checked by unpacking it: python3 exhibit/verify.py. It knows no\n" +
			"holes: those of sparse files become zeros, and of files with over 1 GiB of holes only the stored ranges are\n" +
			"written, below stored/. A .tar.zst is the bundle itself, decrypted or encrypted to others. Beside the output\n" +
			"a manifest states its SHA-256 and what it was made from. Nothing is overwritten, nothing in the original changes.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`: *.tar, *.tar.gz, *.zip, or *.tar.zst", Required: true},
			&cli.BoolFlag{Name: "plain", Usage: "write an encrypted bundle unencrypted"},
		}, gathering.RecipientFlags()...),
		Action: runConvert,
	}
}

// converted is the manifest beside an output.
type converted struct {
	Format  int             `json:"format"` // 1
	Form    string          `json:"form"`
	Made    time.Time       `json:"made"`
	Tool    string          `json:"tool"`
	Source  convertedFile   `json:"source"`
	SealID  string          `json:"seal_id"`
	Code    string          `json:"seal_code"`
	Verdict bundle.Verdict  `json:"verdict"` // of the source, nobody being trusted
	Outputs []convertedFile `json:"outputs"`
	Zip     *zipFacts       `json:"zip,omitempty"`
	Check   string          `json:"check"`
}

type convertedFile struct {
	File       string `json:"file"`
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"`
	Recipients int    `json:"recipients,omitempty"` // how many it is encrypted to
}

// zipFacts is what a zip's report says outside of an envelope: without names
// where the zip is encrypted.
type zipFacts struct {
	bundle.ZipReport
	StoredItems int `json:"stored_items"`
}

// formOfName reads the form off the output's name.
func formOfName(name string) (string, error) {
	name = strings.ToLower(strings.TrimSuffix(name, envelope.Suffix))
	for _, f := range []struct{ suffix, form string }{
		{".tar.gz", "tar.gz"}, {".tgz", "tar.gz"}, {".tar.zst", "tar.zst"}, {".tar", "tar"}, {".zip", "zip"},
	} {
		if strings.HasSuffix(name, f.suffix) {
			return f.form, nil
		}
	}
	return "", command.Failf(command.Usage, "end its name in .tar, .tar.gz, .zip or .tar.zst", "the name %q says no form", name)
}

func runConvert(c *cli.Context) error {
	arg, err := oneArgument(c, "EXHIBIT or BUNDLE")
	if err != nil {
		return err
	}
	form, err := formOfName(c.String("output"))
	if err != nil {
		return err
	}
	path, record, err := recorder(c, arg)
	if err != nil {
		return err
	}
	in, err := openFile(c, path)
	if err != nil {
		return err
	}
	defer in.Close()
	to, err := outward(c, in)
	if err != nil {
		return err
	}
	m := &converted{Format: 1, Form: form, Made: time.Now().UTC().Truncate(time.Second), Tool: "exhibit " + version}
	if err := m.source(c, in); err != nil {
		return err
	}
	out, err := m.write(c, in, form, gathering.EncryptedName(c.String("output"), to), to)
	if err != nil {
		return err
	}
	kind, what := chainofcustody.EventCopied, "a copy of the bundle as "+form
	if form == "zip" {
		kind, what = chainofcustody.EventDerived, "its members as zip"
	}
	if err := record(kind, out, what); err != nil {
		return err
	}
	return m.print(c, out)
}

// source verifies what is to be converted.
func (m *converted) source(c *cli.Context, in *bundleFile) error {
	progress, err := frame.Progress(c, "verifying "+filepath.Base(in.path))
	if err != nil {
		return err
	}
	defer progress.Done()
	rep, err := bundle.Verify(c.Context, in, in.size, bundle.VerifyOptions{Progress: func(done, total, records int64) {
		progress.Set(term.Status{Bytes: done, BytesTotal: total, Items: records})
	}})
	if err != nil {
		return err
	}
	if code := rep.ExitCode(); code != command.Trust {
		return command.Failf(max(code, command.Failure), "exhibit verify "+in.path+" --explain says more; exhibit recover saves what is proven of a damaged bundle",
			"%s is %s and was not converted", in.path, rep.Verdict)
	}
	digest, err := command.FileDigest(in.path)
	if err != nil {
		return err
	}
	m.Source = convertedFile{File: filepath.Base(in.path), Size: in.outer, SHA256: digest.String()}
	m.SealID, m.Code, m.Verdict = rep.SealID, rep.SealCode, rep.Verdict
	return nil
}

func (m *converted) manifestPath(out string) string { return out + ".manifest.json" }

// write makes the output and the manifest beside it, or neither.
func (m *converted) write(c *cli.Context, in *bundleFile, form, path string, to []envelope.Recipient) (*outFile, error) {
	if err := mustNotExist(m.manifestPath(path), "choose another name: evidence is never overwritten"); err != nil {
		return nil, err
	}
	out, err := createOut(path, to)
	if err != nil {
		return nil, err
	}
	var check func(path string) error
	if len(to) == 0 && form != "zip" {
		check = func(path string) error { return m.readBack(c, path) }
	}
	if err := out.finish(m.convert(c, in, form, out), check); err != nil {
		return nil, fmt.Errorf("convert %s: %w", in.path, err)
	}
	m.Outputs = []convertedFile{{File: filepath.Base(out.path), Size: out.size, SHA256: out.digest().String(), Recipients: len(to)}}
	if m.Zip != nil && len(to) > 0 {
		m.Zip.Stored = nil // names stay inside the envelope
	}
	switch {
	case form == "zip":
		m.Check = "unzip " + filepath.Base(strings.TrimSuffix(out.path, envelope.Suffix)) + " && python3 exhibit/verify.py"
	default:
		m.Check = "exhibit verify " + filepath.Base(out.path)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(m.manifestPath(out.path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(append(text, '\n'))
	return out, errors.Join(err, f.Sync(), f.Close())
}

func (m *converted) convert(c *cli.Context, in *bundleFile, form string, out *outFile) error {
	switch form {
	case "tar":
		return bundle.WriteTar(c.Context, in, in.size, out)
	case "tar.gz":
		return bundle.WriteGzip(c.Context, in, in.size, out)
	case "zip":
		rep, err := bundle.WriteZip(c.Context, in, in.size, out)
		if err == nil {
			m.Zip = &zipFacts{*rep, len(rep.Stored) + int(rep.Left)}
		}
		return err
	}
	if other := bundle.FormOf(in, in.size); other != "" {
		return command.Failf(command.Usage, "convert the original bundle", "a %s cannot become the file that was sealed again", other)
	}
	_, err := io.Copy(out, untilDone{c.Context, io.NewSectionReader(in, 0, in.size)})
	return err
}

// readBack verifies what was written: a copy that nobody has read is no copy.
func (m *converted) readBack(c *cli.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	rep, err := bundle.Verify(c.Context, f, st.Size(), bundle.VerifyOptions{})
	if err != nil {
		return err
	}
	if rep.Verdict != m.Verdict || rep.SealID != m.SealID {
		return command.Failf(command.Integrity, "write to another medium", "what was written does not read back as the same evidence: %s", rep.Verdict)
	}
	return nil
}

func (m *converted) print(c *cli.Context, out *outFile) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, m)
	}
	fmt.Fprintf(c.App.Writer, "%s (%s)\n  SHA-256    %s\n  seal code  %s\n  check      %s\n",
		term.Escape(out.path), term.Size(out.size), m.Outputs[0].SHA256, m.Code, term.Escape(m.Check))
	if m.Zip != nil && m.Zip.StoredItems > 0 {
		fmt.Fprintf(c.App.ErrWriter, "%d sparse files have more holes than a zip can hold: their stored ranges are below %s, and verify.py names them as missing\n",
			m.Zip.StoredItems, bundle.StoredFolder)
	}
	return nil
}
