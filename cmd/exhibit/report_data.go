package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	counsel "github.com/exhibit-dfir/exhibit/chainofcustody/report"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
)

// gather verifies an exhibit anew and takes what is known of it for a paper.
// It leaves out the timeline, which is of the whole case.
func gather(c *cli.Context, cs *chainofcustody.Case, exhibit string) (*counsel.Data, error) {
	d := &counsel.Data{
		Generated: time.Now().UTC().Truncate(time.Second), Tool: counsel.Tool{Name: "exhibit", Version: version, SHA256: command.OwnDigest().String()},
		Case: counsel.Case{ID: cs.Info.ID, Title: cs.Info.Title, Org: cs.Info.Org, Authority: cs.Info.Authority, Purpose: cs.Info.Purpose},
	}
	d.Exhibit.Number = exhibit
	path, err := verifying.BundleOf(cs, exhibit)
	if err != nil {
		// The number is spent and the log is there: that is worth a report.
		d.Verdict = chainofcustody.VerdictUnreadable
		d.Layers = append(d.Layers, counsel.Layer{
			Subject: "bundle", Name: "container", Verdict: chainofcustody.VerdictUnreadable,
			Sentence: "no bundle lies in the folder of this exhibit: the collection failed, or the file was taken elsewhere",
		})
	} else if err := addBundle(c, cs, d, path); err != nil {
		return nil, err
	}
	return d, addCustody(c, cs, d, exhibit)
}

// addBundle verifies the bundle and takes what it states into the report.
func addBundle(c *cli.Context, cs *chainofcustody.Case, d *counsel.Data, path string) error {
	var signers chainofcustody.AllowedSigners
	var err error
	if file := c.String("signers"); file != "" {
		signers, err = verifying.ReadSigners(file)
	} else {
		signers, err = cs.Signers()
	}
	if err != nil {
		return err
	}
	rep, digest, err := verifyFile(c, path, signers, cs, d.Exhibit.Number)
	if err != nil {
		return err
	}
	d.Verdict = chainofcustody.Verdict(rep.Verdict)
	for _, l := range rep.Layers {
		d.Layers = append(d.Layers, counsel.Layer{
			Subject: "bundle", Name: l.Name, Verdict: layerVerdict(l.State), Sentence: l.Detail, Details: findings(rep, l),
			Note: l.State == "unknown" || l.State == "absent",
		})
	}
	d.Bundle = counsel.Bundle{
		File: filepath.Base(path), Size: rep.Size, SHA256: digest.String(), SealID: rep.SealID, SealCode: rep.SealCode,
		Sealed: rep.Finished, Records: rep.Records, Grade: string(rep.Grade), Fingerprint: rep.Key,
	}
	if rel, err := filepath.Rel(cs.Dir(), path); err == nil && filepath.IsLocal(rel) {
		d.Bundle.Path = filepath.ToSlash(rel)
	}
	d.Inputs = append(d.Inputs, counsel.Input{Name: filepath.Base(path), SHA256: digest.String(), Size: rep.Size})
	d.Exhibit.Complete, d.Exhibit.EndReason, d.Exhibit.Started, d.Exhibit.Finished = rep.Complete, rep.Reason, rep.Started, rep.Finished
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil //nolint:nilerr // the verification has said what is wrong with it
	}
	defer f.Close()
	if m, err := r.Mandate(); err == nil {
		if len(m.Statement) > 0 {
			d.Bundle.BoundBy = rep.Signer
		}
		if len(m.Certificate) > 0 && len(r.Seal().CertSig) > 0 {
			d.Bundle.CertifiedBy = rep.Signer
		}
	}
	addHeader(d, r)
	return addItems(d, r)
}

// findings are the lines behind the answer of one layer: items under the
// layer of contents, the rest under the first layer that does not hold.
func findings(rep *bundle.Report, l bundle.Layer) []string {
	var lines []string
	if l.Name == "contents" {
		for _, list := range [][]bundle.ItemFinding{rep.AlteredList, rep.DamagedList} {
			for _, f := range list {
				lines = append(lines, f.Member+": "+f.Detail)
			}
		}
	}
	for _, other := range rep.Layers {
		if other.State != "failed" && other.State != "lost" {
			continue
		}
		if other.Name == l.Name {
			for _, f := range rep.Findings {
				lines = append(lines, strings.TrimPrefix(f.Member+": "+f.Detail, ": "))
			}
		}
		break
	}
	return lines
}

// layerVerdict turns the state of one layer into a verdict.
func layerVerdict(state string) chainofcustody.Verdict {
	switch state {
	case "failed":
		return chainofcustody.VerdictAltered
	case "lost":
		return chainofcustody.VerdictDamaged
	}
	return chainofcustody.VerdictVerified
}

func addHeader(d *counsel.Data, r *bundle.Reader) {
	h, t := r.Header(), r.Trailer()
	d.Bundle.CollectorKey = strings.TrimSpace(h.Key)
	d.Bundle.Root = r.Seal().Root.String()
	x := &d.Exhibit
	x.Host, x.MachineID, x.OS, x.Kernel, x.Arch = h.Host.Hostname, h.Host.MachineID, h.Host.OS, h.Host.Kernel, h.Host.Arch
	x.Examiner, x.Authority = h.Examiner, h.Authority
	x.Description = "evidence collected from " + h.Host.Hostname
	switch got, _, err := r.Reception(); {
	case err == nil:
		x.Received, x.Host = got.Name, cmp.Or(x.Host, "not known: it was received")
		x.Description = "evidence that was received: " + receivedWords(got)
	case h.Profile == bundle.ProfileReceived || !errors.Is(err, bundle.ErrNoMember):
		x.Received, x.Host = "what it holds", cmp.Or(x.Host, "not known: it was received")
		x.Description = "evidence that was received, as it says itself; the statement of whoever took it in does not hold: " + err.Error()
	}
	if h.Continues != "" {
		x.Description += ", continuing " + verifying.SealName(h.Continues)
	}
	if len(h.Recipients) > 0 {
		x.Description += fmt.Sprintf(", encrypted to %d recipients", len(h.Recipients))
	}
	d.Method.Tool = counsel.Tool{Name: h.Tool.Name, Version: h.Tool.Version, SHA256: h.Tool.SHA256}
	d.Clock = counsel.Clock{Wall: h.Clock.Wall, Zone: h.Clock.Zone, Source: h.Clock.Source}
	if h.Clock.Synced != nil {
		d.Clock.Synced = map[bool]string{true: "yes", false: "no"}[*h.Clock.Synced]
	}
	if h.Clock.OffsetNS != nil {
		d.Clock.Offset = time.Duration(*h.Clock.OffsetNS).String()
	}
	d.Method.Profile, d.Method.Command = h.Profile, strings.Join(h.Argv, " ")
	docs := map[string]string{}
	for _, k := range collectors.All() {
		docs[k.Name] = k.Doc
	}
	for _, o := range t.Ledger {
		if o.Rule == o.Collector { // the line of a collector; the others are of its definitions
			d.Method.Collectors = append(d.Method.Collectors, counsel.Collector{Name: o.Collector, Doc: docs[o.Collector], Outcome: o.State, Items: o.Matched})
		}
	}
	d.Method.Effects = effects(r)
}

// effects says what the collection did to its source, from its own record.
func effects(r *bundle.Reader) []string {
	content, err := openPath(r, collect.FootprintAt)
	if err != nil {
		return nil
	}
	defer content.Close()
	var f collect.Footprint
	if err := json.NewDecoder(io.LimitReader(content, 1<<20)).Decode(&f); err != nil {
		return nil
	}
	files := fmt.Sprintf("%d files were opened for reading; %d of them without protection of their access time.", f.FilesOpened, f.OpenedAtime)
	if f.ProcOpened > 0 {
		files += fmt.Sprintf(" Besides, %d files were opened that the kernel makes while they are read, of processes, namespaces and tracing.", f.ProcOpened)
	}
	if f.LinksRead > 0 {
		files += fmt.Sprintf(" %d symbolic links were read without protection of theirs.", f.LinksRead)
	}
	out := []string{files}
	if n := len(f.Atimes.Files); n > 0 {
		out = append(out, fmt.Sprintf("Of %d files that were opened, %d chosen at random were looked at before and after: the access time of %d had moved, by whomever; %d could not be looked at again.",
			f.Atimes.Of, n, f.Atimes.Moved, f.Atimes.Lost))
	}
	for _, effect := range f.Effects {
		out = append(out, "It was told to do this: "+effect+".")
	}
	if f.Stopped != "" {
		out = append(out, "The collection was ended by a limit it had been given: "+f.Stopped+".")
	}
	if waited := paused(f.Pauses); waited > 0 {
		out = append(out, fmt.Sprintf("It stood still for %.1f seconds to spare the host.", waited.Seconds()))
	}
	return append(out,
		"No other program was started.",
		written(&f),
		fmt.Sprintf("The collector itself used at most %s of memory and %.1f seconds of processor time.", term.Size(f.PeakRSS), float64(f.UserNS+f.SystemNS)/1e9),
		fmt.Sprintf("%s of bundle had been written when this was recorded.", term.Size(f.Written)),
	)
}

// paused adds up how long a run stood still.
func paused(pauses []collect.Pause) (d time.Duration) {
	for _, p := range pauses {
		d += p.Total
	}
	return d
}

// written says what a run had open for writing, and its sockets.
func written(f *collect.Footprint) string {
	if f.Sockets == nil {
		return "What it had open for writing was not recorded."
	}
	var names []string
	for _, name := range f.Writing {
		names = append(names, string(name))
	}
	sockets := int64(0)
	for _, n := range f.Sockets {
		sockets += n
	}
	return fmt.Sprintf("Open for writing: %s. The collectors opened %d sockets, to ask the kernel or to listen.",
		cmp.Or(strings.Join(names, ", "), "nothing"), sockets)
}

// openPath opens the item of an original path.
func openPath(r *bundle.Reader, path string) (evidence.Content, error) {
	member, err := memberOf(r, path)
	if err != nil {
		return nil, err
	}
	return r.Open(member)
}

// failuresShown bounds the list of failures in a report.
const failuresShown = 1000

// itemLabels names the kinds of records for people, in the report's order.
var itemLabels = []struct {
	kind  evidence.Kind
	label string
}{
	{evidence.KindFile, "files"},
	{evidence.KindStream, "records and streams"},
	{evidence.KindDir, "folders (metadata)"},
	{evidence.KindSymlink, "symbolic links"},
	{evidence.KindDevice, "devices, pipes and sockets (metadata)"},
	{evidence.KindAbsent, "looked for and not there"},
	{evidence.KindDenied, "access refused"},
	{evidence.KindError, "could not be read"},
	{evidence.KindSkipped, "left out by policy or limit"},
}

// addItems counts what was collected and lists what was not.
func addItems(d *counsel.Data, r *bundle.Reader) error {
	counts, sizes := map[evidence.Kind]int64{}, map[evidence.Kind]int64{}
	for it, err := range r.Items() {
		if err != nil {
			return fmt.Errorf("list items: %w", err)
		}
		counts[it.Kind]++
		if it.Kind.HasContent() {
			sizes[it.Kind] += max(it.Size, 0)
			d.Items.Content += max(it.Size, 0)
			if d.Bundle.Sample.Member == "" && it.Kind == evidence.KindFile && it.Size > 0 && len(it.Holes) == 0 && it.Size < 1<<20 {
				d.Bundle.Sample = counsel.Sample{Member: it.Member, SHA256: it.SHA256.String()}
			}
		}
		for _, u := range it.Unread {
			d.Items.Unread += u.Length
		}
		if it.Kind.Negative() && it.Kind != evidence.KindAbsent {
			d.Items.FailuresTotal++
			if len(d.Items.Failures) < failuresShown {
				d.Items.Failures = append(d.Items.Failures, counsel.Failure{Kind: string(it.Kind), Path: it.Path, Reason: it.Detail})
			}
		}
	}
	for _, l := range itemLabels {
		n := counsel.Count{Label: l.label, Items: counts[l.kind], Bytes: -1, Taken: !l.kind.Negative()}
		if l.kind.HasContent() {
			n.Bytes = sizes[l.kind]
		}
		if n.Items > 0 {
			d.Items.Counts = append(d.Items.Counts, n)
		}
	}
	return nil
}

func addCustody(c *cli.Context, cs *chainofcustody.Case, d *counsel.Data, exhibit string) error {
	opt, err := custodyOptions(c)
	if err != nil {
		return err
	}
	if d.Bundle.File != "" {
		opt.Bundle = &chainofcustody.BundleFacts{Seal: mustDigest(d.Bundle.SealID), OuterSHA256: mustDigest(d.Bundle.SHA256), Size: d.Bundle.Size}
	}
	rep, err := verifying.Log(cs, exhibit, opt)
	if err != nil {
		return err
	}
	d.AddCustody(rep)
	d.Verdict = d.Verdict.Worse(rep.Verdict)
	return nil
}

// addTimeline sums up the timeline and, where asked, the root cause.
func addTimeline(c *cli.Context, cs *chainofcustody.Case, d *counsel.Data) error {
	dir := cs.Path(chainofcustody.TimelineDir)
	eng, err := local.Open(dir, local.Options{})
	if errors.Is(err, local.ErrNoTimeline) {
		return nil
	}
	if err != nil {
		return timelineError(err)
	}
	defer eng.Close()
	if d.Timeline, err = summary(c.Context, eng); err != nil {
		return err
	}
	if digest, err := command.FileDigest(filepath.Join(dir, "MANIFEST")); err == nil {
		d.Timeline.SHA256 = digest.String()
	}
	if q := c.String("why"); q != "" {
		return addWhy(c, eng, d, q)
	}
	return nil
}

func summary(ctx context.Context, eng timeline.Engine) (*counsel.Timeline, error) {
	st, err := timeline.Summarize(ctx, eng, timeline.Query{})
	if err != nil {
		return nil, err
	}
	t := &counsel.Timeline{Events: st.Events, Undated: st.Undated, Problems: st.Problems}
	if st.First != timeline.None {
		t.First, t.Last = time.Unix(0, st.First).UTC(), time.Unix(0, st.Last).UTC()
	}
	for _, v := range st.Parsers {
		t.Sources = append(t.Sources, counsel.Count{Label: v.Value, Items: v.Count, Bytes: -1, Taken: true})
	}
	return t, nil
}

func addWhy(c *cli.Context, eng timeline.Engine, d *counsel.Data, question string) error {
	start, err := startFrom(c, eng, question)
	if err != nil {
		return err
	}
	g, err := rootcause.Why(c.Context, eng, start, rootcause.Options{})
	if err != nil {
		return err
	}
	w := &counsel.Why{Question: question}
	for i, e := range g.Entries {
		line := e.Title + " (score " + strconv.FormatFloat(e.Score, 'f', 2, 64) + ", confidence " + e.Confidence + ")"
		if i == 0 {
			w.Entry = line
		} else {
			w.Others = append(w.Others, line)
		}
	}
	for _, s := range g.Narrative {
		w.Sentences = append(w.Sentences, s.Text+cited(s.Events))
	}
	for _, n := range g.Assumptions {
		w.Assumption = append(w.Assumption, n.Text)
	}
	d.Why = w
	return nil
}

// cited writes the first citations of a sentence.
func cited(ids rootcause.Citations) string {
	if len(ids) == 0 {
		return ""
	}
	var parts []string
	for _, id := range ids[:min(len(ids), 3)] {
		parts = append(parts, id.String())
	}
	if more := len(ids) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return " [" + strings.Join(parts, ", ") + "]"
}
