package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/agentless"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// visit is one attempt at one host.
type visit struct {
	f       *fleet
	row     *row
	target  agentless.Target
	exhibit string // "": not begun, or outside of a case
	path    string
	file    *os.File // under its unfinished name; nil: nothing came yet
	res     *agentless.Result
}

// attempt collects a host once. What came of a bundle before an error stays
// beside its exhibit under an unfinished name.
func (f *fleet) attempt(row *row, t agentless.Target) error {
	v := &visit{f: f, row: row, target: t}
	opt := f.options
	opt.Step, opt.Out, opt.Args = row.set, v, v.begin
	opt.Say = func(line string) { row.said(line) }
	if f.password != "" {
		opt.Password = func() (string, error) { return f.password, nil }
	}
	opt.Attend = func(key []byte) ([]byte, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return gathering.Attend(f.id, v.exhibit, nil)(key)
	}
	var err error
	v.res, err = agentless.Run(f.c.Context, t, opt)
	row.connected(v.res)
	if err == nil && v.res.Exit != command.OK && v.res.Exit != command.Partial && v.res.Exit != command.Interrupted {
		err = fmt.Errorf("the collector on %s ended with %d: %s", t, v.res.Exit, term.Escape(row.lastSaid()))
	}
	if err = errors.Join(err, v.close()); err == nil {
		err = v.keep()
	}
	if err != nil {
		return v.failed(err)
	}
	return nil
}

// begin takes a number for a host that has answered, and says what its
// collector is to be told.
func (v *visit) begin() ([]string, error) {
	f := v.f
	f.mu.Lock()
	defer f.mu.Unlock()
	args := []string{"--json", "--progress=none", "-o", "-"}
	who := gathering.Who{Authority: f.c.String("authority")}
	v.path = f.alone
	if f.cs != nil {
		var err error
		if v.exhibit, err = f.cs.NextExhibit(); err != nil {
			return nil, caseError(err)
		}
		if who.Authority == "" {
			who.Authority = f.cs.Info.Authority
		}
		if err := v.record(chainofcustody.Event{Kind: chainofcustody.EventOrdered, Purpose: f.cs.Info.Purpose, Note: "collection of " + v.target.String()}); err != nil {
			return nil, err
		}
		dir := f.cs.Path(chainofcustody.ExhibitsDir, v.exhibit)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		v.path = filepath.Join(dir, gathering.FileName(f.cs.Info.ID, v.target.Host, time.Now()))
		args = append(args, "--case-number="+f.cs.Info.ID, "--exhibit="+v.exhibit)
	}
	v.path = gathering.EncryptedName(v.path, f.to)
	if f.id != nil {
		args = append(args, "--attended", "--examiner="+f.id.ID)
	}
	if who.Authority != "" {
		args = append(args, "--authority="+who.Authority)
	}
	for _, r := range envelope.Texts(f.to) {
		args = append(args, "--recipient="+r)
	}
	v.row.begun(v.exhibit, v.path)
	return append(args, passedOn(f.c)...), nil
}

// Write takes the bundle as it comes.
func (v *visit) Write(p []byte) (int, error) {
	if v.file == nil {
		if err := mustNotExist(v.path, "choose another name: evidence is never overwritten"); err != nil {
			return 0, err
		}
		file, err := os.OpenFile(v.path+gathering.Unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return 0, err
		}
		v.file = file
	}
	n, err := v.file.Write(p)
	atomic.AddInt64(&v.row.Size, int64(n))
	return n, err
}

func (v *visit) close() error {
	if v.file == nil {
		return nil
	}
	return errors.Join(v.file.Sync(), v.file.Close())
}

// keep verifies what came, gives it its name and records it.
func (v *visit) keep() error {
	if v.file == nil {
		return fmt.Errorf("collect %s: the collector sent nothing: %s", v.target, term.Escape(v.row.lastSaid()))
	}
	var sum gathering.Summary
	if err := json.Unmarshal(v.res.Summary, &sum); err != nil {
		return fmt.Errorf("collect %s: the collector's summary cannot be read: %w", v.target, err)
	}
	v.row.set("verifying")
	seal, digest, err := v.check(&sum)
	if err != nil {
		return err
	}
	if err := os.Rename(v.path+gathering.Unfinished, v.path); err != nil {
		return err
	}
	if err := os.Chmod(v.path, 0o400); err != nil {
		return err
	}
	if len(v.f.to) > 0 {
		if err := writeSeal(v.path, sum.SealFiles); err != nil {
			return err
		}
	}
	v.row.kept(&sum, seal, digest)
	if v.exhibit == "" {
		return nil
	}
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	return v.records(&sum, seal, digest)
}

// check verifies the bundle, or, where nobody here can open it, that its seal
// holds. Nothing that the host says of it is taken for granted.
func (v *visit) check(sum *gathering.Summary) (seal, digest evidence.Digest, err error) {
	path := v.path + gathering.Unfinished
	if digest, err = command.FileDigest(path); err != nil {
		return seal, digest, err
	}
	if len(v.f.to) > 0 {
		s, _, err := readSealTexts(sum.SealFiles)
		if err != nil {
			return seal, digest, command.Fail(command.Integrity, "collect the host again", fmt.Errorf("the seal that %s sent does not hold: %w", v.target, err))
		}
		v.row.Verdict = string(bundle.Unopened)
		return s.ID, digest, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return seal, digest, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return seal, digest, err
	}
	// A run that was interrupted has a seal like any other.
	rep, err := verifying.Bundle(context.WithoutCancel(v.f.c.Context), file, st.Size(), verifying.BundleOptions{Name: path, Signers: v.f.signers})
	if err != nil {
		return seal, digest, err
	}
	v.row.Verdict = string(rep.Verdict)
	wrong := rep.Verdict != bundle.Verified
	if v.f.cs == nil {
		wrong = rep.Verdict != bundle.SignerUnknown && rep.Verdict != bundle.Verified
	}
	if wrong {
		return seal, digest, command.Failf(command.Integrity, "exhibit verify --explain says why; exhibit recover saves what is proven", "the bundle of %s is %s", v.target, rep.Verdict)
	}
	r, err := bundle.Open(file, st.Size())
	if err != nil {
		return seal, digest, err
	}
	if sent := v.f.digestOf(v.res); r.Header().Tool.SHA256 != sent.String() {
		v.row.Remark = "the collector there states another SHA-256 of itself than the one that was sent"
	}
	v.row.Host = r.Header().Host.Hostname
	return r.Seal().ID, digest, nil
}

// records writes the events of a bundle that came.
func (v *visit) records(sum *gathering.Summary, seal, digest evidence.Digest) error {
	how := fmt.Sprintf("over SSH from %s", v.target)
	if v.res.Peer != "" {
		how += ", " + v.res.Peer
	}
	if v.res.HostKey != "" {
		how += ", host key " + v.res.HostKey
	}
	how += fmt.Sprintf("; collector in %s, its name removed before it ran", term.Escape(v.res.Place))
	if v.row.Remark != "" {
		how += "; " + v.row.Remark
	}
	if err := v.record(chainofcustody.Event{
		Kind: chainofcustody.EventCollected, Seal: seal,
		Note: fmt.Sprintf("%d items, %s of content, %d problems, %s", sum.Items, term.Size(sum.Content), sum.Problems, how),
	}); err != nil {
		return err
	}
	if sum.Partial {
		if err := v.record(chainofcustody.Event{Kind: chainofcustody.EventInterrupted, Seal: seal, Note: "the collection ended early: " + term.Escape(sum.Reason)}); err != nil {
			return err
		}
	}
	note := "seal code " + bundle.CodeOf(seal)
	if n := len(v.f.to); n > 0 {
		note += fmt.Sprintf("; encrypted to %d recipients", n)
	}
	return v.record(chainofcustody.Event{
		Kind: chainofcustody.EventSealed, Seal: seal, OuterSHA256: digest, Size: atomic.LoadInt64(&v.row.Size), Note: note,
		Attach: []chainofcustody.Attachment{{Name: filepath.Base(v.path), SHA256: digest}},
	})
}

func (v *visit) record(ev chainofcustody.Event) error {
	ev.Tool, ev.Authority = tool(), v.f.c.String("authority")
	if ev.Authority == "" {
		ev.Authority = v.f.cs.Info.Authority
	}
	_, err := v.f.cs.Append(v.exhibit, ev, v.f.id)
	return caseError(err)
}

// failed notes in the custody log what became of a number that was taken.
func (v *visit) failed(err error) error {
	if v.file != nil {
		v.row.Left = v.path + gathering.Unfinished
	}
	if v.exhibit == "" {
		return err
	}
	note := "the collection failed: " + term.Escape(err.Error())
	if v.file != nil {
		note += fmt.Sprintf("; %d bytes came and are kept as %s", atomic.LoadInt64(&v.row.Size), filepath.Base(v.path)+gathering.Unfinished)
	}
	v.f.mu.Lock()
	defer v.f.mu.Unlock()
	return errors.Join(err, v.record(chainofcustody.Event{Kind: chainofcustody.EventException, Note: note}))
}

// readSealTexts checks a seal that came as text: of the names in it only those
// of a seal's files are taken.
func readSealTexts(texts map[string]string) (bundle.Seal, []bundle.SealFile, error) {
	dir, err := os.MkdirTemp("", "exhibit-seal-*")
	if err != nil {
		return bundle.Seal{}, nil, err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"seal.txt", "seal.txt.sig", "seal.note"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(texts[name]), 0o600); err != nil {
			return bundle.Seal{}, nil, err
		}
	}
	s, key, err := bundle.ReadSealFolder(os.DirFS(dir))
	if err != nil {
		return s, nil, err
	}
	files, err := bundle.SealFiles(s, key)
	return s, files, err
}

// writeSeal writes the seal beside an encrypted bundle, made anew from what was
// checked.
func writeSeal(path string, texts map[string]string) error {
	_, files, err := readSealTexts(texts)
	if err != nil {
		return err
	}
	return gathering.WriteSealFolder(path, files)
}
