package gathering

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// PlanUsage is the one line about the plan command of both programs.
const PlanUsage = "show what a collection would read and write, without doing it"

// planned is what the plan command prints with --json.
type planned struct {
	*collect.Plan
	Root      string `json:"root"`
	Bundle    string `json:"bundle"`              // - for standard output
	Encrypted int    `json:"recipients"`          // number of them
	Free      int64  `json:"free_bytes"`          // where it would be written; -1: not known
	Fits      *bool  `json:"fits,omitempty"`      // even if nothing compresses
	Writes    []path `json:"writes"`              // everything that would be written
	Refused   string `json:"refused,omitempty"`   // why the run would not begin
	Privilege string `json:"privilege,omitempty"` // what is missing to read everything
}

type path struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// Plan prints what a collection with these flags would look at and write.
func Plan(c *cli.Context, recipients []envelope.Recipient, out string) error {
	if c.NArg() > 0 {
		return command.Failf(command.Usage, "see: "+c.Command.HelpName+" --help", "plan takes no argument, got %q", c.Args().First())
	}
	if err := Check(c); err != nil {
		return err
	}
	selected, err := Select(c)
	if err != nil {
		return err
	}
	opt, err := what(c, selected)
	if err != nil {
		return err
	}
	progress, err := frame.Progress(c, "planning")
	if err != nil {
		return err
	}
	defer progress.Done()
	opt.Progress = func(p collect.Progress) { progress.Set(status(p)) }
	opt.OwnFiles = regular(os.Stdout, os.Stderr)
	plan, err := collect.MakePlan(c.Context, opt)
	if err != nil {
		return err
	}
	progress.Done()
	p := &planned{Plan: plan, Root: opt.Root, Encrypted: len(recipients), Free: -1}
	p.place(c, EncryptedName(out, recipients))
	if os.Geteuid() != 0 {
		p.Privilege = "not root: files that only root may read will be recorded as denied"
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, p)
	}
	p.print(c.App.Writer, term.NewPalette(os.Stdout))
	return nil
}

// place says where the bundle would go and whether it fits.
func (p *planned) place(c *cli.Context, out string) {
	p.Bundle = out
	if out == "-" || sink.IsURL(out) {
		p.Writes = []path{}
		if f := c.String("fallback"); f != "" {
			p.Writes = []path{{f, "what a broken link does not take; empty and removed where it takes all"}}
			p.refuse(MayWrite(c, f))
		}
		return
	}
	p.Writes = []path{{out + Unfinished, "the bundle while it is written"}, {out, "the bundle: the same file, renamed when it is sealed"}}
	beside := []string{out, out + Unfinished}
	if p.Encrypted > 0 {
		beside = append(beside, out+bundle.SealFolder)
		p.Writes = append(p.Writes, path{out + bundle.SealFolder, "the seal, for those who cannot open the bundle"})
	}
	for _, name := range beside {
		if _, err := os.Lstat(name); err == nil {
			p.Refused = name + " exists: evidence is never overwritten"
		}
	}
	abs, err := filepath.Abs(filepath.Dir(out))
	if err != nil {
		return
	}
	for { // the folder of an exhibit is made by the run
		if _, err := os.Stat(abs); err == nil || abs == "/" {
			break
		}
		abs = filepath.Dir(abs)
	}
	p.refuse(MayWrite(c, filepath.Join(abs, filepath.Base(out))))
	h, err := collect.OpenHost("/", false)
	if err != nil {
		return
	}
	defer h.Close()
	if _, free, err := h.StatFS(abs); err == nil {
		fits := free >= p.Most
		p.Free, p.Fits = free, &fits
	}
}

// refuse notes the first reason for which the run would not begin.
func (p *planned) refuse(err error) {
	if err != nil && p.Refused == "" {
		p.Refused = err.Error()
	}
}

func (p *planned) print(w io.Writer, pal term.Palette) {
	fmt.Fprintf(w, "%s\n", pal.Bold("would read, in this order"))
	for _, k := range p.Collectors {
		text := "its size is known afterwards"
		switch {
		case !k.Runs:
			text = "does not run: " + k.Why
		case k.Known:
			text = fmt.Sprintf("%d items, %s of content", k.Items, term.Size(k.Bytes))
			if k.Hashed > 0 {
				text += fmt.Sprintf(", %s only hashed", term.Size(k.Hashed))
			}
			text += fmt.Sprintf(", %d names", k.Names)
		case k.Tier < collect.TierAlongside && k.Why != "":
			text = k.Why
		}
		if k.Deadline > 0 && k.Runs {
			text += fmt.Sprintf("; at most %v", time.Duration(k.Deadline*float64(time.Second)).Round(time.Second))
		}
		fmt.Fprintf(w, "  T%d %-20s %s\n", k.Tier, k.Name, term.Escape(text))
	}
	fmt.Fprintf(w, "in all %d items with %s of content, %s read only to be hashed; at least %s on one core\n",
		p.Items, term.Size(p.Bytes), term.Size(p.Hashed), (time.Duration(p.Seconds*1000) * time.Millisecond).Round(100*time.Millisecond))
	if len(p.Unknown) > 0 {
		fmt.Fprintf(w, "not counted: %s\n", strings.Join(p.Unknown, ", "))
	}
	fmt.Fprintf(w, "%s\n", pal.Bold("would write"))
	if len(p.Writes) == 0 {
		to := "standard output"
		if p.Bundle != "-" {
			to = term.Escape(p.Bundle)
		}
		fmt.Fprintf(w, "  nothing on this host: the bundle goes to %s, at most %s\n", to, term.Size(p.Most))
	}
	for _, f := range p.Writes {
		fmt.Fprintf(w, "  %s  (%s)\n", term.Escape(f.Path), f.What)
	}
	if p.Fits != nil {
		word := "enough even if nothing compresses"
		if !*p.Fits {
			word = pal.Warn("not enough if it does not compress: --max-size, --max-file-size or another place")
		}
		fmt.Fprintf(w, "  at most %s, %s free: %s\n", term.Size(p.Most), term.Size(p.Free), word)
	}
	if p.Refused != "" {
		fmt.Fprintf(w, "  %s %s\n", pal.Bad("the run would not begin:"), term.Escape(p.Refused))
	}
	fmt.Fprintf(w, "%s\n", pal.Bold("would not take"))
	const shown = 20
	for i, g := range p.LeftOut {
		if i == shown {
			break
		}
		fmt.Fprintf(w, "  %s  (%s: %s)\n", term.Escape(g.Path), g.Collector, term.Escape(g.Why))
	}
	if more := p.LeftOutCount - int64(min(len(p.LeftOut), shown)); more > 0 {
		fmt.Fprintf(w, "  and %d more; --json lists a thousand\n", more)
	}
	for _, r := range append(p.Remarks, p.Privilege) {
		if r != "" {
			fmt.Fprintf(w, "  %s\n", term.Escape(r))
		}
	}
	fmt.Fprintf(w, "for this plan %d folders were listed (%d of them without protection of their access time), %d links read without it, no file opened\n",
		p.Folders, p.WithAtime, p.LinksRead)
}
