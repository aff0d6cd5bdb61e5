// Package gathering is the collect command that both programs have: its
// flags, its progress and its summary.
package gathering

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Suffix ends the name of a sealed bundle, Unfinished that of one that is
// being written.
const (
	Suffix     = ".exhibit.tar.zst"
	Unfinished = ".partial"
)

// Flags are the flags of collecting.
func Flags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "root", Value: "/", Usage: "collect the system mounted below `DIR` instead of the running one"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the bundle to `FILE`, or - for standard output"},
		&cli.DurationFlag{Name: "capture", Usage: "also capture network traffic for at most this `TIME`, for example 30s", DefaultText: "no capture"},
		&cli.StringSliceFlag{Name: "interface", Usage: "capture on this `INTERFACE` only (repeatable)"},
		&cli.StringFlag{Name: "max-file-size", Usage: "record files over this `SIZE` as skipped, for example 256M"},
		&cli.DurationFlag{Name: "deadline", Usage: "`TIME` for each collector", DefaultText: "15m, for logs 2h, for the walk 6h"},
		&cli.BoolFlag{Name: "all-hashes", Usage: "MD5 and SHA-1 beside SHA-256 for every item"},
		&cli.StringFlag{Name: "authority", Usage: "warrant, consent or policy: its `REFERENCE`"},
		&cli.StringFlag{Name: "order", Usage: "collect under the signed order in `DIR`: its case, exhibit, collectors and one-time key"},
		&cli.BoolFlag{Name: "outside-order", Usage: "collect although the run departs from its order; the verdict will say so"},
		&cli.StringFlag{Name: "continues", Usage: "this run continues `BUNDLE`, its .seal folder or its seal id"},
	}, SelectionFlags(), RecipientFlags())
}

// Who says in whose name a collection runs.
type Who struct {
	Case, Exhibit, Examiner string
	Authority               string
	Version                 string
	Identity                *chainofcustody.Identity // who attends; nil: nobody
	Order                   *Order                   // nil: none
	Recipients              []envelope.Recipient     // whom the bundle is encrypted to; none: not encrypted

	selection *Selection // what is collected, read once
}

// Summary is what a collection reports.
type Summary struct {
	Bundle     string           `json:"bundle"`
	Seal       string           `json:"seal"`
	Code       string           `json:"seal_code"`
	Partial    bool             `json:"partial"`
	Reason     string           `json:"reason,omitempty"`
	Items      int64            `json:"items"`
	Content    int64            `json:"content_bytes"`
	Written    int64            `json:"bundle_bytes"`
	Outcomes   map[string]int64 `json:"outcomes"`
	Problems   int64            `json:"problems"`
	Seconds    float64          `json:"seconds"`
	CPU        float64          `json:"cpu_seconds"`
	PeakRSS    int64            `json:"peak_rss_bytes"`
	Collectors []Line           `json:"collectors"`

	Recipients []string          `json:"recipients,omitempty"` // whom it is encrypted to
	Continues  string            `json:"continues,omitempty"`  // seal id of the bundle before it
	SealFiles  map[string]string `json:"seal_files,omitempty"` // the seal, where the bundle cannot be opened to read it

	Result *collect.Result `json:"-"`
}

// Line is one collector of a Summary.
type Line struct {
	Name    string  `json:"name"`
	Outcome string  `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	Items   int64   `json:"items"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// withCapture adds the packet capture where the flags ask for it.
func withCapture(c *cli.Context, all []collect.Collector) []collect.Collector {
	if d := c.Duration("capture"); d > 0 {
		all = append(slices.Clone(all), collectors.Capture(collectors.CaptureOptions{For: d, Interfaces: c.StringSlice("interface")}))
	}
	return all
}

func choose(all []collect.Collector, list string) ([]collect.Collector, error) {
	wanted, without := map[string]bool{}, map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if rest, ok := strings.CutPrefix(name, "!"); ok {
			without[rest] = true
		} else if name != "" {
			wanted[name] = true
		}
	}
	var out []collect.Collector
	known := map[string]bool{}
	for _, k := range all {
		known[k.Name] = true
		if !without[k.Name] && (len(wanted) == 0 || wanted[k.Name]) {
			out = append(out, k)
		}
	}
	for _, set := range []map[string]bool{wanted, without} {
		for name := range set {
			if !known[name] {
				return nil, command.Failf(command.Usage, "exhibit collectors, or exhibit-collector --list, shows the names", "no collector named %q", name)
			}
		}
	}
	return out, nil
}

// ParseSize reads a number of bytes with an optional K, M, G or T.
func ParseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	unit := int64(1)
	digits := strings.TrimRight(strings.ToUpper(s), "IB")
	if i := strings.IndexByte("KMGT", digits[max(len(digits)-1, 0)]); i >= 0 {
		unit = 1 << (10 * (i + 1))
		digits = digits[:len(digits)-1]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, command.Failf(command.Usage, "write for example 256M or 2G", "bad size %q", s)
	}
	return n * unit, nil
}

// Check refuses flags that no collection can begin with.
func Check(c *cli.Context) error {
	if _, err := chosenCollectors(c); err != nil {
		return err
	}
	if _, err := ParseSize(c.String("max-file-size")); err != nil {
		return err
	}
	root := c.String("root")
	st, err := os.Stat(root)
	if err == nil && !st.IsDir() {
		err = fmt.Errorf("%s is not a folder", root)
	}
	if err != nil && !errors.Is(err, os.ErrPermission) {
		return command.Fail(command.Failure, "--root wants the folder below which the system is mounted", fmt.Errorf("collect: %w", err))
	}
	if f, ok := c.App.Writer.(*os.File); ok && c.String("output") == "-" && term.IsTerminal(f) {
		return command.Failf(command.Usage, "pipe it: -o - | ssh lab 'cat > host"+Suffix+"', or name a file: -o FILE", "a bundle does not go to a terminal")
	}
	return err
}

// Run collects into path, or to standard output where it is "-". The bundle
// lies under an unfinished name until it is sealed.
func Run(c *cli.Context, who Who, path string) (*Summary, error) {
	if err := who.TakeOrder(c); err != nil {
		return nil, err
	}
	if err := Check(c); err != nil {
		return nil, err
	}
	limit, err := ParseSize(c.String("max-file-size"))
	if err != nil {
		return nil, err
	}
	continues, err := Continues(c.String("continues"))
	if err != nil {
		return nil, err
	}
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		return nil, err
	}
	progress, err := frame.Progress(c, "collecting")
	if err != nil {
		return nil, err
	}
	defer progress.Done()
	opt := collect.Options{
		Case: who.Case, Exhibit: who.Exhibit, Examiner: who.Examiner, Authority: who.Authority, Version: who.Version,
		Root: c.String("root"), Collectors: withCapture(c, who.selection.Collectors), Deadline: c.Duration("deadline"), MaxFileSize: limit,
		HashMD5SHA1: c.Bool("all-hashes"), CaptureFor: c.Duration("capture"), CaptureInterfaces: c.StringSlice("interface"), Bind: Mandate(who.Identity, who.Exhibit, who.Order),
		Recipients: envelope.Texts(who.Recipients), Continues: continues, Key: key,
		Profile: who.selection.Text, SelectionSHA256: who.selection.Digest(), Progress: func(p collect.Progress) {
			progress.Set(term.Status{Bytes: p.Bytes, Items: p.Items, Current: p.Collector + " " + p.Path})
		},
	}
	// What this run itself writes would grow for as long as it is read.
	opt.OwnFiles = regular(os.Stdout, os.Stderr)
	ctx, done := untilHangup(c.Context)
	defer done()
	if who.Order != nil && who.Order.Key != nil {
		opt.Key = who.Order.Key
	}
	var sum *Summary
	if path == "-" {
		sum, err = toStream(ctx, opt, who.Recipients, c.App.Writer)
	} else {
		sum, err = toFile(ctx, opt, who.Recipients, EncryptedName(path, who.Recipients))
	}
	if sum != nil {
		sum.Recipients, sum.Continues = opt.Recipients, continues
	}
	return sum, err
}

// toStream writes the bundle where nothing can be named or synced. Its seal
// goes into the summary: nobody can read it from the stream without a key.
func toStream(ctx context.Context, opt collect.Options, recipients []envelope.Recipient, w io.Writer) (*Summary, error) {
	out := &counted{w: w}
	var end func() error
	var err error
	if opt.Out, end, err = Sealing(out, recipients); err != nil {
		return nil, err
	}
	res, err := collect.Run(ctx, opt)
	if ended := end(); err == nil {
		err = ended
	}
	if err != nil {
		return nil, sinkError(err)
	}
	files, err := bundle.SealFiles(res.Seal, opt.Key.PublicKey())
	if err != nil {
		return nil, err
	}
	sum := summarise("-", res)
	sum.Written, sum.SealFiles = out.n, sealTexts(files)
	return sum, nil
}

// counted counts what one goroutine writes.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// regular returns those of the files that are regular ones: a standard output
// that was redirected into a file.
func regular(files ...*os.File) []*os.File {
	var own []*os.File
	for _, f := range files {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			own = append(own, f)
		}
	}
	return own
}

// toFile writes the bundle durably and gives it its name when it is sealed.
func toFile(ctx context.Context, opt collect.Options, recipients []envelope.Recipient, path string) (*Summary, error) {
	beside := []string{path}
	if len(recipients) > 0 {
		beside = append(beside, path+bundle.SealFolder)
	}
	for _, p := range beside {
		if _, err := os.Lstat(p); err == nil {
			return nil, command.Failf(command.Failure, "choose another name: evidence is never overwritten", "%s exists", p)
		}
	}
	f, err := os.OpenFile(path+Unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, command.Fail(command.Failure, "an earlier run left it: exhibit recover saves what it holds", err)
	}
	if err != nil {
		return nil, fileError(err)
	}
	out := &counted{w: f}
	var end func() error
	if opt.Out, end, err = Sealing(out, recipients); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path+Unfinished))
	}
	opt.Sync, opt.OwnFiles = f.Sync, append(opt.OwnFiles, f)
	res, err := collect.Run(ctx, opt)
	if err != nil {
		// The last chunk of an envelope is what a recovery would miss.
		_ = end() //nolint:errcheck // the first error is the one that matters
		f.Close()
		return nil, kept(err, path+Unfinished)
	}
	if err := errors.Join(end(), f.Sync(), f.Close()); err != nil {
		return nil, kept(err, path+Unfinished)
	}
	if err := os.Rename(path+Unfinished, path); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o400); err != nil {
		return nil, err
	}
	sum := summarise(path, res)
	sum.Written = out.n
	if len(recipients) > 0 {
		files, err := bundle.SealFiles(res.Seal, opt.Key.PublicKey())
		if err != nil {
			return nil, err
		}
		if err := WriteSealFolder(path, files); err != nil {
			return nil, err
		}
		sum.SealFiles = sealTexts(files)
	}
	syncFolder(filepath.Dir(path))
	return sum, nil
}

// kept says where a run that failed left what it had.
func kept(err error, path string) error {
	return command.Fail(command.Failure, "what was collected until then is in "+path+": exhibit recover saves it", err)
}

func fileError(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return command.Fail(command.Privilege, "write to a folder of your own: -o FILE", err)
	}
	return err
}

func sinkError(err error) error {
	if err == nil {
		return nil
	}
	return command.Fail(command.Failure, "what left until then verifies up to its last checkpoint: exhibit recover saves it", err)
}

// syncFolder makes a rename durable where the system can.
func syncFolder(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync() //nolint:errcheck // some file systems refuse; the file itself is synced
}

func summarise(path string, res *collect.Result) *Summary {
	if res == nil {
		return nil
	}
	s := &Summary{
		Bundle: path, Seal: res.Seal.ID.String(), Code: res.Seal.Code(), Partial: res.Partial, Reason: res.Reason,
		Items: res.Items, Content: res.Bytes, Written: res.Written, Problems: res.ProblemCount,
		Seconds: res.Finished.Sub(res.Started).Seconds(), Outcomes: map[string]int64{}, Result: res,
		CPU: float64(res.Footprint.UserNS+res.Footprint.SystemNS) / 1e9, PeakRSS: res.Footprint.PeakRSS,
	}
	for k, n := range res.Counts {
		s.Outcomes[string(k)] = n
	}
	for _, k := range res.Collectors {
		s.Collectors = append(s.Collectors, Line{k.Name, string(k.Outcome), k.Detail, k.Items, k.Bytes, k.Duration.Seconds()})
	}
	return s
}

// Print writes a summary for people.
func (s *Summary) Print(w io.Writer, pal term.Palette) {
	for _, k := range s.Collectors {
		word := fmt.Sprintf("%-10s", k.Outcome)
		switch collect.Outcome(k.Outcome) {
		case collect.Collected:
			word = pal.Good(word)
		case collect.Empty, collect.Skipped, collect.Absent:
			word = pal.Dim(word)
		default:
			word = pal.Warn(word)
		}
		fmt.Fprintf(w, "  %s %-20s %7d items %10s %6.1f s  %s\n", word, k.Name, k.Items, term.Size(k.Bytes), k.Seconds, term.Escape(k.Detail))
	}
	fmt.Fprintf(w, "%d items, %s of content in a bundle of %s; %.1f s, %.1f CPU s, peak memory %s\n",
		s.Items, term.Size(s.Content), term.Size(s.Written), s.Seconds, s.CPU, term.Size(s.PeakRSS))
	var parts []string
	for _, o := range []collect.Outcome{collect.Collected, collect.Absent, collect.Denied, collect.Failed, collect.Skipped, collect.TimedOut} {
		if n := s.Outcomes[string(o)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	fmt.Fprintf(w, "paths: %s; %d problems (all of it is in the bundle)\n", strings.Join(parts, ", "), s.Problems)
	if s.Partial {
		fmt.Fprintf(w, "%s: the run ended early (%s); the bundle is sealed and says so\n", pal.Warn("PARTIAL"), s.Reason)
	}
	fmt.Fprintf(w, "bundle     %s\nseal code  %s   write it on paper now\n", term.Escape(s.Bundle), pal.Bold(s.Code))
	if len(s.Recipients) > 0 {
		fmt.Fprintf(w, "encrypted  to %d recipients; nothing on this host can open it\n", len(s.Recipients))
	}
	if s.Continues != "" {
		fmt.Fprintf(w, "continues  %s\n", s.Continues)
	}
	if s.Bundle != "-" || len(s.Recipients) == 0 {
		if len(s.Recipients) > 0 {
			fmt.Fprintf(w, "seal       %s%s, for those who keep the bundle and cannot open it\n", term.Escape(s.Bundle), bundle.SealFolder)
		}
		return
	}
	fmt.Fprintf(w, "Keep the seal with the bundle; --json writes all of its files:\n\n%s\n%s", s.SealFiles["seal.note"], s.SealFiles["collector.pub"])
}

// Exit is the exit code of a collection: partial where something that exists
// could not be read, interrupted where somebody stopped it.
func (s *Summary) Exit(ctx context.Context) error {
	if ctx.Err() != nil {
		return command.Exit(command.Interrupted)
	}
	for _, o := range []collect.Outcome{collect.Denied, collect.Failed, collect.TimedOut} {
		if s.Outcomes[string(o)] > 0 {
			return command.Exit(command.Partial)
		}
	}
	if s.Partial || s.Problems > 0 {
		return command.Exit(command.Partial)
	}
	return nil
}

// FileName returns the name of a bundle: <case>-<host>-<utc>, only letters,
// digits, dot, dash and underscore.
func FileName(caseID, host string, at time.Time) string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
				return r
			}
			return '_'
		}, s)
	}
	parts := []string{}
	for _, s := range []string{clean(caseID), clean(host), at.UTC().Format("20060102T150405Z")} {
		if s = strings.Trim(s, "."); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "-") + Suffix
}

// HostName is the name for the file: that of the running host, or of the
// mounted one.
func HostName(root string) string {
	if root != "/" && root != "" {
		b, err := os.ReadFile(filepath.Join(root, "etc/hostname"))
		if err != nil || len(b) > 256 {
			return "mounted"
		}
		return strings.TrimSpace(string(b))
	}
	name, err := os.Hostname()
	if err != nil {
		return "host"
	}
	return name
}
