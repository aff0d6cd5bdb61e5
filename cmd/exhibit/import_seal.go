package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/intake"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// seals writes the bundle: the original, its members, where they lay, and the
// signed statement of what all this is.
func (im *importing) seals(ctx context.Context, f io.Writer) (err error) {
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		return err
	}
	opt := bundle.WriterOptions{}
	if opt.Mandate, err = gathering.Mandate(im.id, im.exhibit, nil)(key.PublicKey()); err != nil {
		return err
	}
	h := bundle.Header{
		Case: im.cs.Info.ID, Exhibit: im.exhibit, Examiner: im.id.ID, Authority: im.authority(), Profile: bundle.ProfileReceived,
		Tool: bundle.Tool{Name: "exhibit", Version: version, SHA256: command.OwnDigest().String()},
	}
	w, err := bundle.NewWriter(f, h, key, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	im.reception = bundle.Reception{
		Exhibit: im.exhibit, Name: im.src.Name, Size: im.src.Size, Operator: im.id.ID, Received: time.Now().UTC(),
		Host: timeline.Printable(im.c.String("host")), From: timeline.Printable(im.c.String("from")), Note: timeline.Printable(im.c.String("note")),
	}
	if err := im.original(ctx, w); err != nil {
		return err
	}
	if im.rep, err = intake.Take(ctx, im.src.Source, importSink{w}, im.opt); err != nil {
		return err
	}
	if err := im.unchanged(); err != nil {
		return err
	}
	if err := im.states(ctx, w); err != nil {
		return err
	}
	end := bundle.Trailer{Reason: "completed", Complete: true, Finished: time.Now()}
	if im.rep.Limited {
		end.Reason, end.Complete = "limit", false
	}
	im.seal, err = w.Seal(end)
	return err
}

func (im *importing) authority() string {
	return cmp.Or(im.c.String("authority"), im.cs.Info.Authority)
}

// original keeps an archive as it is, and takes the digest of whatever is a
// file.
func (im *importing) original(ctx context.Context, w *bundle.Writer) error {
	r, form := &im.reception, intake.FormFolder
	var err error
	if im.src.File != nil {
		if form, err = intake.FormOf(im.src.Name, im.src.File, im.src.Size); err != nil {
			return err
		}
	}
	if form != intake.FormFile && im.c.String("as") != "" {
		return command.Failf(command.Usage, "leave --as out: it is for a single file", "%s is of form %s: its members have names of their own", im.src.Name, form)
	}
	if form == intake.FormFolder {
		return nil // it has no bytes of its own
	}
	r.Kept = form == intake.FormFile || !im.c.Bool("no-original")
	if form == intake.FormFile || !r.Kept {
		r.SHA256, err = command.DigestOf(ctx, im.src.File, im.src.Size)
		return err
	}
	got, err := w.Add(ctx, evidence.Item{
		Kind: evidence.KindFile, Source: evidence.SourceOriginal, Path: r.Name, Collector: "import", Size: im.src.Size,
	}, bundle.Input{R: io.NewSectionReader(im.src.File, 0, im.src.Size), At: im.src.File})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(got.Unread) > 0 {
		return command.Failf(command.Failure, "copy it from its medium with a tool that says what is lost (ddrescue), then import the copy",
			"%s cannot be read at byte %d: %s", r.Name, got.Unread[0].Offset, got.Unread[0].Reason)
	}
	r.SHA256 = got.SHA256
	return nil
}

// unchanged makes sure that the members are those of the original whose digest
// is stated.
func (im *importing) unchanged() error {
	if im.src.File == nil {
		return nil
	}
	st, err := im.src.File.Stat()
	if err == nil && (st.Size() != im.src.stat.Size() || !st.ModTime().Equal(im.src.stat.ModTime())) {
		err = command.Failf(command.Failure, "import it again when nothing writes to it", "%s changed while it was read", im.src.Name)
	}
	return err
}

// states adds the statement and its signature.
func (im *importing) states(ctx context.Context, w *bundle.Writer) error {
	r, rep := &im.reception, im.rep
	r.Form, r.Layout, r.Tool, r.Members, r.Lost = rep.Form, rep.Layout, rep.Tool, rep.Members, rep.Lost
	im.statement = r.Encode()
	sig, err := im.id.Key.Sign(chainofcustody.NamespaceCustody, im.statement)
	if err != nil {
		return err
	}
	for _, item := range []struct {
		path string
		text []byte
	}{{bundle.ReceptionPath, im.statement}, {bundle.ReceptionSigPath, sig}} {
		it := evidence.Item{Kind: evidence.KindFile, Source: bundle.DerivationSource, Path: item.path, Size: int64(len(item.text))}
		if _, err := w.Add(ctx, it, bundle.Input{R: bytes.NewReader(item.text)}); err != nil {
			return err
		}
	}
	return nil
}

// facts reads what the evidence says of its host.
func (im *importing) facts(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := bundle.Open(f, st.Size())
	if err != nil {
		return err
	}
	im.host, err = analyze.HostFacts(r.Evidence())
	return err
}

// record writes the custody events.
func (im *importing) record() error {
	digest, err := command.FileDigest(im.path)
	if err != nil {
		return err
	}
	st, err := os.Stat(im.path)
	if err != nil {
		return err
	}
	r := &im.reception
	var refs []string
	if !r.SHA256.IsZero() {
		refs = []string{r.SHA256.String()}
	}
	for _, e := range []chainofcustody.Event{
		{
			Kind: chainofcustody.EventReceived, Refs: refs, Purpose: im.cs.Info.Purpose, Authority: im.authority(),
			Note:   timeline.Printable(receivedWords(r) + im.hostWords()),
			Attach: []chainofcustody.Attachment{{Name: bundle.ReceptionPath, SHA256: evidence.Sum(im.statement)}},
		},
		{
			Kind: chainofcustody.EventSealed, Seal: im.seal.ID, OuterSHA256: digest, Size: st.Size(), Note: "seal code " + im.seal.Code(),
			Attach: []chainofcustody.Attachment{{Name: filepath.Base(im.path), SHA256: digest}},
		},
	} {
		e.Tool = tool()
		if _, err := im.cs.Append(im.exhibit, e, im.id); err != nil {
			return caseError(err)
		}
	}
	return nil
}

// receivedWords says in one sentence what a reception is of.
func receivedWords(r *bundle.Reception) string {
	what := r.Name + " (" + r.Form
	if !r.SHA256.IsZero() {
		what += fmt.Sprintf(", %d bytes, SHA-256 %s", r.Size, r.SHA256)
	}
	what += ") was received, not collected"
	if r.Host != "" {
		what += ", as evidence of the host " + r.Host
	}
	if r.From != "" {
		what += ", from " + r.From
	}
	if r.Tool != "" {
		what += "; by its own account it was made with " + r.Tool
	}
	what += fmt.Sprintf("; %d files were taken from it", r.Members)
	if r.Lost > 0 {
		what += fmt.Sprintf(", and %d problems met", r.Lost)
	}
	switch {
	case r.Form == intake.FormFolder || r.Form == intake.FormFile:
	case r.Kept:
		what += "; it is kept here byte for byte"
	default:
		what += "; it is not kept here"
	}
	if r.Note != "" {
		what += "; " + r.Note
	}
	return what
}

func (im *importing) hostWords() string {
	if im.host.Name == "" || im.host.Name == im.reception.Host {
		return ""
	}
	return "; it names its host " + im.host.Name
}

// importSummary is what import reports.
type importSummary struct {
	Exhibit  string           `json:"exhibit"`
	Bundle   string           `json:"bundle"`
	Seal     string           `json:"seal"`
	SealCode string           `json:"seal_code"`
	Name     string           `json:"name"`
	Form     string           `json:"form"`
	Layout   string           `json:"layout"`
	Tool     string           `json:"tool,omitempty"`
	SHA256   string           `json:"sha256,omitempty"`
	Size     int64            `json:"size,omitempty"`
	Kept     bool             `json:"original_kept"`
	Members  int64            `json:"members"`
	Bytes    int64            `json:"bytes"`
	Problems int64            `json:"problems"`
	List     []intake.Problem `json:"problem_list"`
	Host     hostSummary      `json:"host"`
}

// hostSummary is what evidence says of its host.
type hostSummary struct {
	Name      string     `json:"name,omitempty"`
	MachineID string     `json:"machine_id,omitempty"`
	BootID    string     `json:"boot_id,omitempty"`
	BootTime  *time.Time `json:"boot_time,omitempty"`
	Collected *time.Time `json:"collected,omitempty"`
	Zone      string     `json:"zone"`
	ZoneSrc   string     `json:"zone_source"`
	Users     int        `json:"users"`
}

func (im *importing) summary() *importSummary {
	r, h := &im.reception, im.host
	s := &importSummary{
		Exhibit: im.exhibit, Bundle: im.path, Seal: im.seal.ID.String(), SealCode: im.seal.Code(), Name: r.Name, Form: r.Form, Layout: r.Layout, Tool: r.Tool,
		Size: r.Size, Kept: r.Kept, Members: r.Members, Bytes: im.rep.Bytes, Problems: r.Lost, List: im.rep.Problems,
		Host: hostSummary{Name: h.Name, MachineID: h.MachineID, BootID: h.BootID, Zone: h.Zone.String(), ZoneSrc: h.ZoneSrc, Users: len(h.Users)},
	}
	if s.List == nil {
		s.List = []intake.Problem{}
	}
	if !r.SHA256.IsZero() {
		s.SHA256 = r.SHA256.String()
	}
	if !h.BootTime.IsZero() {
		s.Host.BootTime = &h.BootTime
	}
	if !h.Collected.IsZero() {
		s.Host.Collected = &h.Collected
	}
	return s
}

// problemsShown bounds what is printed for people; --json has more.
const problemsShown = 20

func (im *importing) report() error {
	s, c := im.summary(), im.c
	if c.Bool("json") {
		if err := command.JSON(c.App.Writer, s); err != nil {
			return err
		}
	} else {
		im.print(c.App.Writer, s)
		for i, p := range s.List {
			if i == problemsShown {
				fmt.Fprintf(c.App.ErrWriter, "  … and %d more: exhibit ls %s shows them\n", s.Problems-problemsShown, s.Exhibit)
				break
			}
			fmt.Fprintf(c.App.ErrWriter, "  %s: %s\n", term.Escape(p.Path), term.Escape(p.Detail))
		}
	}
	if s.Problems > 0 {
		return command.Exit(command.Partial)
	}
	return nil
}

func (im *importing) print(w io.Writer, s *importSummary) {
	fmt.Fprintf(w, "%s: %s, received and not collected: %s\n", s.Exhibit, term.Escape(s.Name), term.Escape(s.Bundle))
	what := s.Form + ", layout " + s.Layout
	if s.Tool != "" {
		what += " (" + s.Tool + ")"
	}
	fmt.Fprintf(w, "  %s: %d files, %s, %d problems\n", what, s.Members, term.Size(s.Bytes), s.Problems)
	switch {
	case s.Form == intake.FormFolder || s.Form == intake.FormFile:
	case s.Kept:
		fmt.Fprintf(w, "  original   kept byte for byte, SHA-256 %s\n", s.SHA256)
	default:
		fmt.Fprintf(w, "  original   not kept: look after the file with SHA-256 %s\n", s.SHA256)
	}
	h := s.Host
	fmt.Fprintf(w, "  host       %s, zone %s (%s), %d accounts\n", term.Escape(cmp.Or(h.Name, "unknown")), term.Escape(h.Zone), h.ZoneSrc, h.Users)
	if h.MachineID != "" {
		fmt.Fprintf(w, "  machine id %s\n", term.Escape(h.MachineID))
	}
	if h.BootTime != nil {
		fmt.Fprintf(w, "  boot       %s %s\n", h.BootTime.Format(time.RFC3339), term.Escape(h.BootID))
	}
	fmt.Fprintf(w, "  seal code  %s   write it on paper now\n", s.SealCode)
}

// reception says in words that a bundle's content was received, for the reader
// of a verdict; nothing for a bundle that was collected, or does not stand.
func receptionWords(c *cli.Context, path string, rep *bundle.Report, signers chainofcustody.AllowedSigners) []string {
	if !stands(rep) {
		return nil
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil
	}
	defer f.Close()
	d, key, err := r.Reception()
	switch {
	case errors.Is(err, bundle.ErrNoMember) && r.Header().Profile != bundle.ProfileReceived:
		return nil
	case err != nil:
		return []string{"It claims to be evidence that was received, but that statement does not hold: " + err.Error() + "."}
	}
	who := signerWords(signers, key, r.Header().Started)
	return []string{fmt.Sprintf("Received, not collected: %s. So states %s, of %s. Whether it is what its host had, and what became of it before that moment, this bundle does not prove.",
		receivedWords(d), who, d.Received.Format(time.RFC3339))}
}
