package gathering

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// What both programs say of their resume command.
const (
	ResumeUsage = "finish an interrupted collection in a second bundle that continues the first"
	ResumeText  = "The first BUNDLE is the one to continue; bundles that it continues in turn may follow. What a signature\n" +
		"proves to be whole in them, and has not changed on the host since, is not stored again; the rest is."
)

// Interrupted is a bundle whose run did not come to its end.
type Interrupted struct {
	Path string
	R    io.ReaderAt // its own bytes, out of any envelope
	Size int64
	File *os.File // as it lies there: never collected
}

// Resumed is what an interrupted collection left, and what it was asked.
type Resumed struct {
	Header    bundle.Header // of the bundle to continue
	Continues string        // its seal id, or that of its last checkpoint
	Held      *collect.HeldBefore
	Files     []*os.File
	Inherited []string // flags of the budget that were not given now
	Secrets   bool     // they are taken because the interrupted run took them
}

// OpenInterrupted opens bundles as they lie there. Encrypted ones are
// refused: nothing on the host of a collection can open them.
func OpenInterrupted(paths []string) (list []Interrupted, done func(), err error) {
	done = func() {
		for _, in := range list {
			in.File.Close()
		}
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			done()
			return nil, nil, command.Fail(command.Failure, "give the file that the interrupted collection left: NAME"+Unfinished, err)
		}
		list = append(list, Interrupted{Path: path, R: f, File: f})
		st, err := f.Stat()
		switch {
		case err != nil:
		case !st.Mode().IsRegular():
			err = command.Failf(command.Failure, "give the file that the interrupted collection left: NAME"+Unfinished, "%s is not a file", path)
		case envelope.Is(f, st.Size()):
			err = command.Failf(command.WrongKey, "resume it with exhibit and --identity where the key is, or collect anew with --continues",
				"%s is encrypted, and nothing on this host can open it", path)
		}
		if err != nil {
			done()
			return nil, nil, err
		}
		list[len(list)-1].Size = st.Size()
	}
	return list, done, nil
}

// Resume reads interrupted bundles, the one to continue first, each of the
// others continued by the one before it, and gives the flags that are not set
// the values that its run had.
func Resume(c *cli.Context, list []Interrupted) (*Resumed, error) {
	if len(list) == 0 {
		return nil, command.Failf(command.Usage, "see: "+c.Command.HelpName+" --help", "resume needs the bundle of an interrupted collection")
	}
	r := &Resumed{Held: &collect.HeldBefore{}}
	next := ""
	for i, in := range list {
		s, err := r.survey(c, in)
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			r.Header, r.Continues = s.Header, s.Report.SealID
		case s.Report.SealID != next:
			return nil, command.Failf(command.Integrity, "give the bundles in the order in which each continues the next: exhibit verify BUNDLE… says it",
				"%s is not the bundle that %s continues", in.Path, list[i-1].Path)
		}
		next = s.Header.Continues
	}
	return r, r.settle(c, list[0].Path)
}

// survey takes in one bundle.
func (r *Resumed) survey(c *cli.Context, in Interrupted) (*bundle.Survey, error) {
	r.Held.Begin()
	s, err := bundle.SurveyOf(c.Context, in.R, in.Size, r.Held.Add)
	if err != nil {
		return nil, err
	}
	rep := s.Report
	switch {
	case rep.Verdict == bundle.Altered:
		return nil, command.Failf(command.Integrity, "exhibit verify "+in.Path+" says what; collect anew, with nothing of it left out",
			"%s was changed after it was written", in.Path)
	case s.Proven == 0:
		return nil, command.Failf(command.Failure, "there is nothing to continue: collect anew", "no signature in %s proves anything", in.Path)
	case rep.Sealed && rep.Complete && len(r.Files) == 0:
		return nil, command.Failf(command.Usage, "to collect again and link it: --continues "+in.Path, "%s is complete: there is nothing to resume", in.Path)
	}
	r.Held.End(s.Header.Bundle, s.Proven)
	r.Files = append(r.Files, in.File)
	return s, nil
}

// settle takes over what the interrupted run was asked, and what it might cost,
// where the flags do not say otherwise.
func (r *Resumed) settle(c *cli.Context, name string) error {
	h := &r.Header
	if h.Order != "" && c.String("order") == "" {
		return command.Failf(command.Usage, "an order is good for one bundle: give a new one with --order", "%s was collected under an order", name)
	}
	if h.Options["origin"] != "" && !c.IsSet("root") {
		return command.Failf(command.Usage, "mount it again, read-only, and give --root DIR", "%s is of %s, which is no longer mounted", name, term.Escape(h.Options["origin"]))
	}
	var names []string
	for name := range strings.SplitSeq(h.Options["collectors"], ",") {
		if name != "packet_capture" && name != collectors.ProcessMemoryName { // --capture and --process-memory bring them
			names = append(names, name)
		}
	}
	values := map[string]string{
		"root": h.Options["root"], "collectors": strings.Join(names, ","), "max-file-size": h.Options["max_file_size"],
		"deadline": h.Options["deadline"], "all-hashes": h.Options["md5_sha1"], "no-walk-hashes": h.Options[factNoWalkHashes], "capture": h.Options["capture_for"],
		"interface": h.Options["capture_interfaces"], "authority": h.Authority,
		"case-number": h.Case, "exhibit": h.Exhibit, "examiner": h.Examiner,
	}
	for flag, value := range values {
		if value == "0" || value == "0s" || value == "false" {
			continue
		}
		if _, err := take(c, flag, value, name); err != nil {
			return err
		}
	}
	if err := r.takeBudget(c, name); err != nil {
		return err
	}
	if err := resumeCapture(c, h.Options, name); err != nil {
		return err
	}
	if err := r.takeSecrets(c); err != nil {
		return err
	}
	if err := resumeProcesses(c, h, name); err != nil {
		return err
	}
	return r.sameHost(c.String("root"), name)
}

// takeSecrets takes secrets where the interrupted run did. What follows in its
// profile are names.
func (r *Resumed) takeSecrets(c *cli.Context) error {
	text := r.Header.Profile
	for _, names := range []string{artifactsIn, frozenIn, processesIn} {
		text, _, _ = strings.Cut(text, names)
	}
	if !strings.HasSuffix(text, secretsIn) || c.IsSet("take-secrets") {
		return nil
	}
	r.Secrets = true
	return c.Set("take-secrets", "true")
}

// take gives a flag that is not set a value of the interrupted run, "" where it
// had none, and reports whether it did.
func take(c *cli.Context, flag, value, name string) (bool, error) {
	if value == "" || c.IsSet(flag) || !defined(c, flag) {
		return false, nil
	}
	if err := c.Set(flag, value); err != nil {
		return false, command.Failf(command.Failure, "give --"+flag+" yourself", "%s was made with %s = %s, which is no value here", name, flag, term.Escape(value))
	}
	return true, nil
}

// takeBudget takes over the budget. What the header does not name had no bound.
func (r *Resumed) takeBudget(c *cli.Context, name string) error {
	for _, f := range budgetFlags() {
		flag := f.Names()[0]
		value := r.Header.Options[strings.ReplaceAll(flag, "-", "_")]
		switch {
		case value == "0",
			flag == "split" && !splits(c),
			flag == "polite" && value == strconv.FormatBool(c.String("root") == "/"): // as it is anyway
			continue
		}
		taken, err := take(c, flag, value, name)
		if err != nil {
			return err
		}
		if taken {
			r.Inherited = append(r.Inherited, flag)
		}
	}
	return nil
}

// splits reports whether this run may have several bundles, as the one before
// had, although nobody says so now.
func splits(c *cli.Context) bool {
	out := c.String("output")
	return out != "" && out != "-" && !sink.IsURL(out) && c.String("order") == "" && c.Duration("capture") == 0
}

// defined reports whether a command or the program has a flag.
func defined(c *cli.Context, name string) bool {
	flags := append([]cli.Flag{}, c.App.Flags...)
	if c.Command != nil {
		flags = append(flags, c.Command.Flags...)
	}
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return true
			}
		}
	}
	return false
}

// sameHost refuses to leave out files of one host because another has them.
func (r *Resumed) sameHost(root, name string) error {
	h, err := collect.OpenHost(root, root == "/")
	if err != nil {
		return err
	}
	defer h.Close()
	id, err := h.ReadFile("/etc/machine-id", 4096)
	if was := r.Header.Host.MachineID; err == nil && was != "" && was != strings.TrimSpace(string(id)) {
		return command.Failf(command.Failure, "resume on the host where the collection was interrupted", "%s is of another machine: %s", name, term.Escape(was))
	}
	return nil
}

// Told says what is resumed, for people.
func (r *Resumed) Told() string {
	told := fmt.Sprintf("%d files are held by the bundle that this one continues", r.Held.Len())
	if len(r.Inherited) > 0 {
		told += "; its budget holds again: --" + strings.Join(r.Inherited, " --")
	}
	if r.Secrets {
		told += "; secrets are taken as before, unless --take-secrets=false"
	}
	return told
}
