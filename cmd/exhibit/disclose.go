package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func discloseCommand() *cli.Command {
	return &cli.Command{
		Name: "disclose", Usage: "give out chosen records with proof, and check such a package", ArgsUsage: "EXHIBIT|BUNDLE, or verify FILE", Category: catEvidence,
		Description: "Example:\n   exhibit disclose EX-001 --item /var/log/auth.log --to 'court of Bonn' --basis 'order of 3 May' -o log.disclosure.tar\n" +
			"   exhibit disclose EX-001 --item 4711 --metadata-only --to defence --basis 'privilege log' -o log.disclosure.tar\n" +
			"   exhibit disclose verify log.disclosure.tar --code MDP48-QJ7NK-DSMC4-9XZD5\n" +
			"   exhibit disclose EX-001 --item 4711 --to defence --basis 'order of 3 May' --recipient age1… -o log.disclosure.tar.age\n\n" +
			"--item takes a path as ls shows it, or the number of a record (index of ls --json). What is withheld\n" +
			"cannot be guessed from the package. A path that holds a comma is named by its number. Inside a case the disclosure is recorded in the exhibit's custody\n" +
			"log. The recipient needs no Exhibit: the package holds a script that checks it with stock programs.",
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "item", Usage: "disclose this `PATH|LEAF`; may be given again"},
			&cli.BoolFlag{Name: "content-only", Usage: "withhold what it was called and everything else the host said of it"},
			&cli.BoolFlag{Name: "metadata-only", Usage: "withhold the content and its hashes"},
			&cli.BoolFlag{Name: "existence-only", Usage: "withhold both: prove only that the bundle has such a record"},
			&cli.StringFlag{Name: "range", Usage: "of one item of 8 MiB or more only `OFFSET+LENGTH`, widened to blocks of 4 MiB"},
			&cli.BoolFlag{Name: "with-header", Usage: "also the header record, which names host, case and time"},
			&cli.BoolFlag{Name: "with-custody", Usage: "also the custody log up to this disclosure"},
			&cli.StringFlag{Name: "to", Usage: "`WHO` gets it"},
			&cli.StringFlag{Name: "basis", Usage: "by what right: order, consent, request"},
			&cli.StringFlag{Name: "purpose", Usage: "why, for the custody log"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
			&cli.StringFlag{Name: "signers", Usage: "verify: trust the keys of this allowed_signers `FILE` (default: the case's)"},
			&cli.StringFlag{Name: "code", Usage: "verify: the seal `CODE` that was written on paper"},
		}, gathering.RecipientFlags()...),
		Action: func(c *cli.Context) error {
			if c.Args().First() == "verify" {
				return verifyDisclosure(c)
			}
			return runDisclose(c)
		},
	}
}

// checkDisclose refuses what asks for nothing, or for two things at once.
func checkDisclose(c *cli.Context) error {
	for _, flag := range []string{"to", "basis", "output"} {
		if c.String(flag) == "" {
			return command.Failf(command.Usage, "see: exhibit disclose --help", "disclose needs --%s", flag)
		}
	}
	if len(c.StringSlice("item")) == 0 {
		return command.Failf(command.Usage, "exhibit ls shows the paths", "disclose needs --item")
	}
	forms := 0
	for _, flag := range []string{"content-only", "metadata-only", "existence-only"} {
		if c.Bool(flag) {
			forms++
		}
	}
	if forms > 1 || c.String("range") != "" && (c.Bool("metadata-only") || c.Bool("existence-only")) {
		return command.Failf(command.Usage, "make two packages", "disclose shows records in one way at a time")
	}
	return nil
}

func runDisclose(c *cli.Context) error {
	if err := checkDisclose(c); err != nil {
		return err
	}
	to, err := recipients(c)
	if err != nil {
		return err
	}
	o, err := openArgument(c, 1, "one exhibit or bundle")
	if err != nil {
		return err
	}
	defer o.file.Close()
	if o.exhibit == "" && c.Bool("with-custody") {
		return command.Failf(command.Usage, "run it in the case, with the exhibit's number", "--with-custody needs an exhibit of a case")
	}
	d := bundle.Disclosure{To: timeline.Printable(c.String("to")), Basis: timeline.Printable(c.String("basis"))}
	if d.Parts, err = chosenParts(c, o.Reader); err != nil {
		return err
	}
	id := o.id
	if id == nil {
		id, _ = identity(c) //nolint:errcheck // outside of a case a package may go unsigned
	}
	if id != nil {
		d.By = id.ID
		d.Sign = func(sums []byte) ([]byte, error) { return id.Key.Sign(chainofcustody.NamespaceCustody, sums) }
	}
	recorded := false
	record := func(sums evidence.Digest) error {
		recorded = true
		return o.disclosed(c, d, sums, len(to))
	}
	if c.Bool("with-custody") {
		d.Custody = func(sums evidence.Digest) (map[string][]byte, error) {
			if err := record(sums); err != nil {
				return nil, err
			}
			return logFiles(o.cs, o.exhibit)
		}
	}
	out, err := createOut(gathering.EncryptedName(c.String("output"), to), to)
	if err != nil {
		return err
	}
	res, err := bundle.Disclose(c.Context, out, o.Reader, d)
	err = out.finish(err, func(string) error {
		if recorded || o.exhibit == "" {
			return nil
		}
		return record(res.Sums)
	})
	if err != nil {
		return discloseError(err)
	}
	return printDisclosed(c, out, res, len(to))
}

// discloseError gives what goes wrong its exit code.
func discloseError(err error) error {
	switch {
	case errors.Is(err, bundle.ErrNoBlocks):
		return command.Fail(command.Failure, "disclose it whole: only items of 8 MiB and more can be proven in parts", err)
	case errors.Is(err, bundle.ErrChanged), errors.Is(err, bundle.ErrMismatch), errors.Is(err, bundle.ErrNotProven):
		return command.Fail(command.Integrity, "exhibit verify --explain says what is wrong with the bundle", err)
	}
	return err
}

// chosenParts turns the flags into records.
func chosenParts(c *cli.Context, r *bundle.Reader) ([]bundle.DisclosedPart, error) {
	leaves, err := leavesOf(r, c.StringSlice("item"))
	if err != nil {
		return nil, err
	}
	form := bundle.DisclosedPart{
		Content: !c.Bool("metadata-only") && !c.Bool("existence-only"), Meta: !c.Bool("content-only") && !c.Bool("existence-only"),
	}
	if text := c.String("range"); text != "" {
		var x evidence.Extent
		if n, err := fmt.Sscanf(text, "%d+%d", &x.Offset, &x.Length); n != 2 || err != nil || fmt.Sprintf("%d+%d", x.Offset, x.Length) != text {
			return nil, command.Failf(command.Usage, "for example: --range 4194304+1000", "%q is no range", text)
		}
		if len(leaves) != 1 {
			return nil, command.Failf(command.Usage, "name it by its number: exhibit ls --json shows the index", "--range is of one record, %d are named", len(leaves))
		}
		form.Range = &x
	}
	var parts []bundle.DisclosedPart
	seen := map[int64]bool{}
	for _, leaf := range leaves {
		form.Leaf = leaf
		if !seen[leaf] {
			parts = append(parts, form)
		}
		seen[leaf] = true
	}
	if c.Bool("with-header") && !seen[0] {
		parts = append(parts, bundle.DisclosedPart{Leaf: 0, Content: true, Meta: true})
	}
	return parts, nil
}

// leavesOf finds records by number or by path: all records of a path, since
// each is something that was seen of it.
func leavesOf(r *bundle.Reader, wanted []string) ([]int64, error) {
	var leaves []int64
	paths := map[string]int{}
	for _, want := range wanted {
		n, err := strconv.ParseInt(strings.TrimPrefix(want, "leaf:"), 10, 64)
		switch {
		case err != nil:
			paths[want] = 0
		case n < 0 || n >= r.Seal().Size:
			return nil, command.Failf(command.Failure, "exhibit ls --json shows the index of each record", "the bundle has no record %d", n)
		default:
			leaves = append(leaves, n)
		}
	}
	if len(paths) == 0 {
		return leaves, nil
	}
	for it, err := range r.Items() {
		if err != nil {
			return nil, err
		}
		for _, name := range []string{it.Path, it.Member, term.Escape(it.Path)} {
			if _, ok := paths[name]; ok && name != "" {
				paths[name]++
				leaves = append(leaves, it.Index)
				break
			}
		}
	}
	for want, n := range paths {
		if n == 0 {
			return nil, command.Failf(command.Failure, "exhibit ls BUNDLE '*"+filepath.Base(want)+"*' looks for similar paths", "no record %q in the bundle", want)
		}
	}
	return leaves, nil
}

// disclosed writes the event by which a package is given.
func (o *opened) disclosed(c *cli.Context, d bundle.Disclosure, sums evidence.Digest, recipients int) error {
	ev := chainofcustody.Event{
		Kind: chainofcustody.EventDisclosed, Tool: tool(), Seal: o.Seal().ID, To: &chainofcustody.Person{ID: d.To},
		Authority: d.Basis, Purpose: timeline.Printable(c.String("purpose")), Note: disclosureNote(d.Parts),
		Attach: []chainofcustody.Attachment{{Name: bundle.SumsName, SHA256: sums}},
	}
	if recipients > 0 {
		ev.Note += fmt.Sprintf("; encrypted to %d recipients", recipients)
	}
	for _, p := range d.Parts {
		ev.Refs = append(ev.Refs, fmt.Sprintf("leaf:%d", p.Leaf))
	}
	_, err := o.cs.Append(o.exhibit, ev, o.id)
	return caseError(err)
}

// disclosureNote says in words what is shown of the records.
func disclosureNote(parts []bundle.DisclosedPart) string {
	counts := map[string]int{}
	for _, p := range parts {
		switch {
		case p.Range != nil && p.Meta:
			counts["as a range of the content, with metadata"]++
		case p.Range != nil:
			counts["as a range of the content, without metadata"]++
		case p.Content && p.Meta:
			counts["in full"]++
		case p.Content:
			counts["without metadata"]++
		case p.Meta:
			counts["without content"]++
		default:
			counts["by existence only"]++
		}
	}
	var words []string
	for _, how := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[how], how))
	}
	return "records disclosed: " + strings.Join(words, ", ")
}

// logFiles reads the events of an exhibit, their signatures and
// counter-signatures.
func logFiles(cs *chainofcustody.Case, exhibit string) (map[string][]byte, error) {
	root, err := os.OpenRoot(cs.Path(chainofcustody.CustodyDir, exhibit))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := os.ReadDir(cs.Path(chainofcustody.CustodyDir, exhibit))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		name := e.Name()
		event := strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".json.sig") || strings.HasSuffix(name, ".countersig")
		if !event || strings.HasPrefix(name, ".") || !e.Type().IsRegular() {
			continue
		}
		f, err := root.Open(name)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(f, chainofcustody.MaxEventSize+1))
		f.Close()
		if err != nil {
			return nil, err
		}
		files[name] = b
	}
	return files, nil
}

func printDisclosed(c *cli.Context, out *outFile, res *bundle.Disclosed, recipients int) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, disclosedFile{
			File: out.path, SHA256: out.digest().String(), Size: out.size, Members: res.Sums.String(), Package: res.Size,
			Recipients: recipients, Records: res.Records,
		})
	}
	w := c.App.Writer
	fmt.Fprintf(w, "%d records disclosed in %s (%s)\n  SHA-256  %s\n", len(res.Records), term.Escape(out.path), term.Size(out.size), out.digest())
	if recipients > 0 {
		fmt.Fprintf(w, "  encrypted to %d recipients\n", recipients)
	}
	for _, r := range res.Records {
		if r.Length > 0 {
			fmt.Fprintf(w, "  record %d: bytes %d to %d, whole blocks\n", r.Leaf, r.Offset, r.Offset+r.Length)
		}
	}
	name := term.Escape(filepath.Base(out.path))
	verify, unpack := "exhibit disclose verify "+name, "tar xf "+name
	if recipients > 0 {
		verify, unpack = "exhibit --identity KEY disclose verify "+name, "age -d -i KEY "+name+" | tar x"
	}
	fmt.Fprintf(c.App.ErrWriter, "The recipient checks it with: %s, or: %s; sh disclosure/check.sh\n", verify, unpack)
	return nil
}

// disclosedFile is what was written, for JSON.
type disclosedFile struct {
	File       string                 `json:"file"`
	SHA256     string                 `json:"sha256"`
	Size       int64                  `json:"size"`
	Members    string                 `json:"members_sha256"` // names the package, encrypted or not
	Package    int64                  `json:"package_size"`   // bytes of the tar
	Recipients int                    `json:"recipients,omitempty"`
	Records    []bundle.DisclosedSpan `json:"records"`
}

// verifyDisclosure says what a package proves.
func verifyDisclosure(c *cli.Context) error {
	if c.NArg() != 2 {
		return command.Failf(command.Usage, "see: exhibit disclose --help", "disclose verify takes one package")
	}
	opt, err := disclosureOptions(c)
	if err != nil {
		return err
	}
	path := c.Args().Get(1)
	rep, err := checkPackage(c, path, opt)
	if err != nil {
		return err
	}
	if code := bundle.NormalCode(c.String("code")); code != "" && rep.SealCode != "" && rep.SealCode != code {
		return command.Failf(command.Integrity, "this is not from the bundle whose code was written down, or the code was misread",
			"%s leads to seal code %s, not %s", path, rep.SealCode, code)
	}
	if err := printDisclosure(c, path, rep); err != nil {
		return err
	}
	return command.Exit(rep.ExitCode())
}

func checkPackage(c *cli.Context, path string, opt bundle.VerifyOptions) (*bundle.DisclosureReport, error) {
	f, err := openFile(c, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rep, err := bundle.VerifyDisclosure(c.Context, f, f.size, opt)
	if err == nil && f.env != nil && (!f.env.Whole() || len(f.env.Damage()) > 0) {
		return nil, command.Failf(command.Integrity, "have it sent again: nothing of a damaged package counts",
			"%s: its envelope is cut or damaged: not all of it can be decrypted", path)
	}
	return rep, err
}
