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
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// outFile is a new file made from a bundle: never over an existing one, hashed
// while it is written, encrypted where recipients are given.
type outFile struct {
	io.Writer
	path string
	file *os.File
	end  func() error
	sum  hash.Hash
	size int64
}

func createOut(path string, to []envelope.Recipient) (*outFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, command.Fail(command.Failure, "choose another name: evidence is never overwritten", err)
	}
	if err != nil {
		return nil, err
	}
	o := &outFile{path: path, file: f, sum: evidence.NewHash()}
	if o.Writer, o.end, err = gathering.Sealing(hashed{o}, to); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
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

// finish makes the file durable and closes it.
func (o *outFile) finish() error { return errors.Join(o.end(), o.file.Sync(), o.file.Close()) }

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
