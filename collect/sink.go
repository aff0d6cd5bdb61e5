package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// bundleSink is a bundle.Writer as the engine's sink.
type bundleSink struct {
	w    *bundle.Writer
	lost func(it evidence.Item, err error) // a record the format has no room for
}

// openBundle writes the header: who collects what, in whose name, on which
// host, with which program.
func (r *run) openBundle() (*bundleSink, error) {
	key := r.opt.Key
	if key == nil {
		fresh, err := chainofcustody.NewRunKey()
		if err != nil {
			return nil, fmt.Errorf("make run key: %w", err)
		}
		key = fresh
	}
	wo := bundle.WriterOptions{
		Workers: packers, FrameSize: frameSize, SegmentSize: segmentSize,
		Sync: r.opt.Sync, MD5: r.opt.HashMD5SHA1, SHA1: r.opt.HashMD5SHA1,
	}
	if r.opt.Budget.MaxSize > 0 || r.opt.Split > 0 {
		// Records that wait for a checkpoint count as if they did not compress.
		wo.CheckpointItems = 256
	}
	h := r.header()
	if r.opt.Bind != nil {
		mandate, err := r.opt.Bind(key.PublicKey())
		if err != nil {
			return nil, fmt.Errorf("bind run key to examiner: %w", err)
		}
		wo.Mandate = mandate
	}
	w, err := bundle.NewWriter(r.out, h, key, wo)
	if err != nil {
		return nil, err
	}
	return &bundleSink{w: w, lost: func(it evidence.Item, err error) {
		r.ledger.problem(evidence.Problem{
			Stage: it.Collector, Code: evidence.TooBig, Path: clip(it.Path), Detail: clip(err.Error()),
			Ref: evidence.Ref{Offset: -1, Length: -1},
		})
	}}, nil
}

func (r *run) header() bundle.Header {
	h := bundle.Header{
		Case: r.opt.Case, Exhibit: r.opt.Exhibit, Examiner: r.opt.Examiner,
		Authority: r.opt.Authority, Profile: r.opt.Profile,
		Recipients: r.opt.Recipients, Continues: r.opt.Continues,
		Host:    r.hostFacts(),
		Tool:    bundle.Tool{Name: "exhibit", Version: r.opt.Version, Revision: r.opt.Revision},
		Started: r.bundleBegan, Clock: clockOf(ReadClock()), Argv: r.opt.Command,
		Options: map[string]string{
			"root": r.opt.Root, "max_file_size": strconv.FormatInt(r.opt.MaxFileSize, 10),
			"deadline": r.opt.Deadline.String(), "md5_sha1": strconv.FormatBool(r.opt.HashMD5SHA1),
			"capture_for": r.opt.CaptureFor.String(), "capture_interfaces": strings.Join(r.opt.CaptureInterfaces, ","),
		},
	}
	r.opt.Budget.Describe(h.Options)
	r.opt.Held.describe(h.Options)
	if r.opt.Split > 0 || r.parts.number > 1 {
		h.Options["split"], h.Options["part"] = strconv.FormatInt(r.opt.Split, 10), strconv.Itoa(max(r.parts.number, 1))
	}
	maps.Copy(h.Options, r.opt.Facts)
	if r.opt.Origin != "" {
		h.Options["origin"] = r.opt.Origin
	}
	maps.Copy(h.Options, r.opt.CaptureOptions)
	names := make([]string, 0, len(r.opt.Collectors))
	for _, c := range r.opt.Collectors {
		names = append(names, c.Name)
	}
	h.Options["collectors"] = strings.Join(names, ",")
	if !r.opt.SelectionSHA256.IsZero() {
		h.Options[bundle.OptionSelection] = r.opt.SelectionSHA256.String()
	}
	if _, sum, _, err := OwnExecutable(); err == nil {
		h.Tool.SHA256 = sum
	}
	return h
}

// hostFacts describes the host by its own files. Of a mounted one the kernel
// that runs is not its own, so that neither it nor a boot id is stated.
func (r *run) hostFacts() bundle.Host {
	line := func(path string) string {
		text, err := r.host.ReadFile(path, 4096)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	f := bundle.Host{Hostname: line("/etc/hostname"), MachineID: line("/etc/machine-id"), OS: osName(line)}
	if system := r.host.System(); system != "linux" && f.OS == "" {
		f.OS = system
	}
	if r.host.Live {
		liveFacts(&f, line)
		f.Arch = runtime.GOARCH
	}
	return f
}

// osName is PRETTY_NAME of os-release(5).
func osName(line func(string) string) string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		for l := range strings.Lines(line(path)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(l), "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return ""
}

func clockOf(c record.Clock, err error) bundle.Clock {
	out := bundle.Clock{Wall: time.Unix(0, c.Realtime).UTC(), Mono: c.Boottime, Zone: c.Zone, Source: "system"}
	if err == nil {
		out.Synced, out.ErrorNS = &c.Synced, &c.MaxErrNS
	}
	return out
}

func (b *bundleSink) add(ctx context.Context, it evidence.Item, c content) (evidence.Item, error) {
	in := bundle.Input{R: c.r, At: c.at, After: c.after}
	it.Detail = clip(it.Detail)
	out, err := b.w.Add(ctx, it, in)
	if errors.Is(err, bundle.ErrTooLarge) {
		b.lost(it, err)
		return it, nil
	}
	return out, err
}

func (b *bundleSink) note(it evidence.Item) error {
	it.Detail = clip(it.Detail)
	err := b.w.Note(it)
	if errors.Is(err, bundle.ErrTooLarge) {
		b.lost(it, err)
		return nil
	}
	return err
}

func (b *bundleSink) room() int64 { return b.w.Room() }

func (b *bundleSink) length() int64 { return b.w.Length() }

// maxText bounds what a record says in words; a stack trace can be long.
const maxText = 4 << 10

func clip(s string) string { return s[:min(len(s), maxText)] }

// seal closes the bundle with its trailer.
func (b *bundleSink) seal(res *Result) (bundle.Seal, error) {
	t := bundle.Trailer{Reason: "completed", Complete: !res.Partial, Clock: clockOf(ReadClock())}
	if res.Partial {
		t.Reason = res.Reason
	}
	for _, c := range res.Collectors {
		t.Ledger = append(t.Ledger, bundle.Outcome{
			Rule: c.Name, Collector: c.Name, State: stateOf(c.Outcome), Matched: c.Items, Taken: c.Counts[Collected], Detail: clip(c.Detail),
		})
	}
	t.Ledger = append(t.Ledger, res.definitions...)
	t.Note = "every path: item " + LedgerSet + "; what was lost: item " + ProblemSet
	return b.w.Seal(t)
}

// stateOf is an outcome in the words of the trailer.
func stateOf(o Outcome) string {
	switch o {
	case Collected:
		return "done"
	case TimedOut:
		return "timeout"
	}
	return string(o)
}
