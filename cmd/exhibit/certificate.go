package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	counsel "github.com/exhibit-dfir/exhibit/chainofcustody/report"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
)

func certificateCommand() *cli.Command {
	return &cli.Command{
		Name: "certificate", Usage: "draft a certificate on an exhibit, for counsel to review", Category: catCustody,
		Description: "Example:\n   exhibit certificate --form fre-902-14 --exhibit EX-001 -o ex-001-902-14.pdf\n\n" +
			"Forms: fre-902-13, fre-902-14 (United States), in-bsa-63 (India), iso-27037 (elsewhere).\n" +
			"Facts are filled in from a fresh verification; qualifications, opinions and signatures stay blank.",
		Flags: append(paperFlags("write to `FILE`, .html or .pdf (default: reports/<exhibit>-<form>.html in the case)"),
			&cli.StringFlag{Name: "form", Usage: "which `FORM`"},
			&cli.StringFlag{Name: "exhibit", Usage: "on this exhibit (default: the only one of the case)"},
			&cli.IntSliceFlag{Name: "item", Usage: "list record `N` of the bundle as relied on (exhibit ls --json shows the numbers)"}, signersFlag),
		Action: runCertificate,
	}
}

func runCertificate(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	form := counsel.Form(strings.ToLower(c.String("form")))
	if !slices.Contains(counsel.Forms(), form) {
		return command.Failf(command.Usage, "choose fre-902-13, fre-902-14, in-bsa-63 or iso-27037", "no form %q", c.String("form"))
	}
	return onPaper(c, c.String("exhibit"), "-"+string(form), func(job *paperJob) error {
		items, err := relied(c, job.cs, job.exhibit, c.IntSlice("item"))
		if err != nil {
			return err
		}
		doc, err := counsel.Certificate(form, *job.data, items...)
		if err != nil {
			return err
		}
		return job.write(c, doc, "draft certificate "+string(form))
	})
}

// noArguments refuses what a command without arguments would ignore.
func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		return command.Failf(command.Usage, "see --help; exhibits are named with --exhibit", "unexpected argument %q", c.Args().First())
	}
	return nil
}

func privilegeCommand() *cli.Command {
	return &cli.Command{
		Name: "privilege-log", Usage: "list items that are withheld, without their content", ArgsUsage: "[EXHIBIT]", Category: catCustody,
		Description: "Example:\n   exhibit privilege-log EX-001 --item '17=attorney-client' --item '23=work product'\n" +
			"   exhibit privilege-log EX-001 --from withheld.csv -o privilege.pdf\n\n" +
			"Items are records of the bundle (exhibit ls --json shows their numbers). The CSV has a heading line with\n" +
			"some of the columns record, basis, author, date, description. Each line of the log carries the hash of its\n" +
			"record, proven to belong to the seal, and never the hash of the content.",
		Flags: append(paperFlags("write to `FILE`, .html or .pdf (default: reports/<exhibit>-privilege-log.html in the case)"),
			&cli.StringSliceFlag{Name: "item", Usage: "withhold record N on this basis: `N=BASIS`"},
			&cli.StringFlag{Name: "from", Usage: "read the items from this CSV `FILE`"},
			&cli.BoolFlag{Name: "withhold-names", Usage: "leave out names and times of the items too"}, signersFlag),
		Action: runPrivilege,
	}
}

func runPrivilege(c *cli.Context) error {
	items, err := withheldItems(c)
	if err != nil {
		return err
	}
	exhibit := ""
	if c.NArg() > 0 {
		if exhibit, err = oneArgument(c, "EXHIBIT"); err != nil {
			return err
		}
	}
	return onPaper(c, exhibit, "-privilege-log", func(job *paperJob) error {
		if err := describe(c, job.cs, job.exhibit, items, c.Bool("withhold-names")); err != nil {
			return err
		}
		doc, err := counsel.PrivilegeLog(*job.data, items)
		if err != nil {
			return err
		}
		return job.write(c, doc, "privilege log of "+strconv.Itoa(len(items))+" items")
	})
}

// withheldItems reads what counsel wants kept back, from flags and file.
func withheldItems(c *cli.Context) ([]counsel.Withheld, error) {
	var items []counsel.Withheld
	for _, arg := range c.StringSlice("item") {
		number, basis, _ := strings.Cut(arg, "=")
		leaf, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || leaf < 0 || basis == "" {
			return nil, command.Failf(command.Usage, "for example --item '17=attorney-client'", "--item %q is not N=BASIS", arg)
		}
		items = append(items, counsel.Withheld{Leaf: leaf, Basis: basis})
	}
	if path := c.String("from"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, openError(err, path)
		}
		defer f.Close()
		more, err := withheldCSV(f)
		if err != nil {
			return nil, command.Fail(command.Usage, "the first line names the columns: record,basis,author,date,description", fmt.Errorf("read %s: %w", path, err))
		}
		items = append(items, more...)
	}
	switch {
	case len(items) == 0:
		return nil, command.Failf(command.Usage, "name items with --item N=BASIS or --from FILE", "no item to withhold")
	case len(items) > counsel.MaxWithheld:
		return nil, command.Failf(command.Usage, "write several logs", "%d items are more than one log takes, %d", len(items), counsel.MaxWithheld)
	}
	return items, nil
}

// withheldCSV reads items whose columns the first line names.
func withheldCSV(r io.Reader) ([]counsel.Withheld, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	head, err := in.Read()
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	if _, ok := column["record"]; !ok {
		return nil, errors.New("no column is named record")
	}
	var items []counsel.Withheld
	for line := 2; ; line++ {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, err
		}
		cell := func(name string) string {
			if i, ok := column[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		leaf, err := strconv.ParseInt(cell("record"), 10, 64)
		if err != nil || leaf < 0 {
			return nil, fmt.Errorf("line %d: record %q is no number", line, cell("record"))
		}
		items = append(items, counsel.Withheld{Leaf: leaf, Basis: cell("basis"), Author: cell("author"), Date: cell("date"), Description: cell("description")})
		if len(items) > counsel.MaxWithheld {
			return items, nil // the caller says that it is too many
		}
	}
}

// recordOf returns what the bundle records of a leaf, and the hash of the
// record, proven to belong to the seal.
func recordOf(r *bundle.Reader, exhibit string, leaf int64) (evidence.Item, string, error) {
	it, err := r.Item(leaf)
	if err != nil {
		return it, "", command.Fail(command.Usage, "exhibit ls "+exhibit+" --json shows the numbers of the records", fmt.Errorf("record %d: %w", leaf, err))
	}
	proof, err := r.Prove(leaf)
	if err != nil {
		return it, "", command.Fail(command.Integrity, "exhibit verify "+exhibit+" --explain says what is wrong", err)
	}
	return it, proof.Leaf.String(), nil
}

// relied looks up the items a certificate is about.
func relied(c *cli.Context, cs *chainofcustody.Case, exhibit string, leaves []int) ([]counsel.Relied, error) {
	if len(leaves) == 0 {
		return nil, nil
	}
	if len(leaves) > counsel.MaxRelied {
		return nil, command.Failf(command.Usage, "write several certificates", "%d items are more than one certificate lists, %d", len(leaves), counsel.MaxRelied)
	}
	path, err := verifying.BundleOf(cs, exhibit)
	if err != nil {
		return nil, err
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var items []counsel.Relied
	for _, leaf := range leaves {
		it, hash, err := recordOf(r, exhibit, int64(leaf))
		if err != nil {
			return nil, err
		}
		w := counsel.Relied{Leaf: int64(leaf), LeafHash: hash, Path: it.Path, Size: -1, Remark: remarkOn(it)}
		if it.Kind.HasContent() {
			w.Size, w.SHA256 = it.Size, it.SHA256.String()
		}
		items = append(items, w)
	}
	return items, nil
}

// remarkOn is what whoever relies on an item has to know.
func remarkOn(it evidence.Item) string {
	var said []string
	if it.Kind.Negative() {
		said = append(said, "not obtained: "+string(it.Kind)+" "+it.Detail)
	}
	if it.Changed {
		said = append(said, "changed while it was read")
	}
	lost := int64(0)
	for _, u := range it.Unread {
		lost += u.Length
	}
	if lost > 0 {
		said = append(said, fmt.Sprintf("%d bytes could not be read and are stored as zeros", lost))
	}
	if it.SumsStored {
		said = append(said, "the hash covers the stored ranges; the holes between them are zeros by the file system's own word")
	}
	return strings.Join(said, "; ")
}

// describe fills in what the bundle records of each item, and proves that the
// record belongs to the seal.
func describe(c *cli.Context, cs *chainofcustody.Case, exhibit string, items []counsel.Withheld, unnamed bool) error {
	path, err := verifying.BundleOf(cs, exhibit)
	if err != nil {
		return err
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range items {
		w := &items[i]
		it, hash, err := recordOf(r, exhibit, w.Leaf)
		if err != nil {
			return err
		}
		w.LeafHash, w.Kind, w.Size = hash, string(it.Kind), -1
		if it.Kind.HasContent() {
			w.Size = it.Size
		}
		if unnamed {
			continue
		}
		w.Path, w.Modified = it.Path, modified(it)
	}
	return nil
}
