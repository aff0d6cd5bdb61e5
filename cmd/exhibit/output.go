package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
)

// mustNotExist refuses what would take the place of something.
func mustNotExist(path, hint string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return command.Fail(command.Failure, hint, fmt.Errorf("%s: %w", path, fs.ErrExist))
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// newFile makes the file that write fills. It has its name only when it is
// whole and on the disk; until then, and where anything fails or interrupts,
// there is nothing under that name, or what was there before.
func newFile(path string, write func(*os.File) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".exhibit-*")
	if err != nil {
		return named(err, path)
	}
	err = write(temp)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(named(err, path), os.Remove(temp.Name()))
	}
	return nil
}

// named makes an error name the file that was asked for, not the one that
// stands for it while it is written.
func named(err error, path string) error {
	var p *fs.PathError
	if errors.As(err, &p) && strings.HasPrefix(filepath.Base(p.Path), ".exhibit-") {
		return &fs.PathError{Op: p.Op, Path: path, Err: p.Err}
	}
	return err
}

// writeFile writes a result into a file of its own; only force lets it take
// the place of another.
func writeFile(path string, force bool, write func(io.Writer) error) error {
	if !force {
		if err := mustNotExist(path, "choose another file, or overwrite it with --force"); err != nil {
			return err
		}
	}
	return newFile(path, func(f *os.File) error { return write(f) })
}

// recordExport notes in the custody log of every exhibit that something was
// written out.
func recordExport(cs *chainofcustody.Case, id *chainofcustody.Identity, path, note string) error {
	digest, err := command.FileDigest(path)
	if err != nil {
		return err
	}
	names, err := cs.Exhibits()
	if err != nil {
		return err
	}
	for _, name := range names {
		ev := chainofcustody.Event{
			Kind: chainofcustody.EventExported, Tool: tool(), Note: note,
			Attach: []chainofcustody.Attachment{{Name: filepath.Base(path), SHA256: digest}},
		}
		if _, err := cs.Append(name, ev, id); err != nil {
			return caseError(err)
		}
	}
	return nil
}
