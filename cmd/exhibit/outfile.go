package main

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// outFile is a new file made from a bundle: never over an existing one, hashed
// while it is written, encrypted where recipients are given. It has its name
// only when it is whole and on the disk.
type outFile struct {
	io.Writer
	path string
	file *os.File
	end  func() error
	sum  hash.Hash
	size int64
}

func createOut(path string, to []envelope.Recipient) (*outFile, error) {
	if err := mustNotExist(path, "choose another name: evidence is never overwritten"); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".exhibit-*")
	if err != nil {
		return nil, named(err, path)
	}
	o := &outFile{path: path, file: f, sum: evidence.NewHash()}
	if o.Writer, o.end, err = gathering.Sealing(hashed{o}, to); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return o, nil
}

// hashed is the file with what it counts and sums.
type hashed struct{ o *outFile }

func (h hashed) Write(p []byte) (int, error) {
	n, err := h.o.file.Write(p)
	h.o.size += int64(n)
	h.o.sum.Write(p[:n])
	return n, err
}

// finish ends the file after whatever wrote it, and makes it durable. check,
// where there is one, reads what lies there before it gets its name; after an
// error nothing of it is left.
func (o *outFile) finish(written error, check func(path string) error) error {
	err := written
	if err == nil {
		err = o.end()
	}
	if err == nil {
		err = errors.Join(o.file.Chmod(0o400), o.file.Sync())
	}
	err = errors.Join(err, o.file.Close())
	if err == nil && check != nil {
		err = check(o.file.Name())
	}
	if err == nil {
		err = os.Rename(o.file.Name(), o.path)
	}
	if err != nil {
		return errors.Join(named(err, o.path), os.Remove(o.file.Name()))
	}
	return nil
}

// digest is the SHA-256 of the file as it lies there.
func (o *outFile) digest() evidence.Digest { return evidence.DigestOf(o.sum) }

// recorder returns the function that writes the custody event for a file made
// from the bundle of an exhibit. Whether it can be signed is settled before
// anything is made; outside of a case it does nothing.
func recorder(c *cli.Context, arg string) (path string, record func(kind chainofcustody.EventKind, out *outFile, what string) error, err error) {
	none := func(chainofcustody.EventKind, *outFile, string) error { return nil }
	cs, err := openCase(c)
	if errors.Is(err, chainofcustody.ErrNoCase) && c.String("case") == "" {
		return arg, none, nil
	}
	if err != nil {
		return "", nil, err
	}
	path, exhibit, err := bundlePath(cs, arg)
	if err != nil || exhibit == "" {
		return path, none, err
	}
	id, err := identity(c)
	if err != nil {
		return "", nil, err
	}
	return path, func(kind chainofcustody.EventKind, out *outFile, what string) error {
		_, err := cs.Append(exhibit, chainofcustody.Event{
			Kind: kind, Tool: tool(), Refs: []string{out.digest().String()},
			Note:   fmt.Sprintf("%s: %s, %d bytes", what, filepath.Base(out.path), out.size),
			Attach: []chainofcustody.Attachment{{Name: filepath.Base(out.path), SHA256: out.digest()}},
		}, id)
		return caseError(err)
	}, nil
}
