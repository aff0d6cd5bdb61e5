package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/interop"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// writeBag makes a BagIt bag in a new folder. Its payload is a case folder with
// the exhibits' logs, what their verification needs, and the bundles. The
// folder has its name only when it is whole and on the disk; what pins it, the
// tag manifest, is returned.
func writeBag(ctx context.Context, cs *chainofcustody.Case, log interop.Log, to string) (pinned chainofcustody.Attachment, err error) {
	temp, err := os.MkdirTemp(filepath.Dir(to), ".exhibit-*")
	if err != nil {
		return pinned, named(err, to)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	root, err := os.OpenRoot(temp)
	if err != nil {
		return pinned, err
	}
	defer root.Close()
	b := bagWriter{ctx: ctx, root: root}
	if err := b.logs(cs, log); err != nil {
		return pinned, err
	}
	for i := range log.Exhibits {
		if err := b.bundles(cs, &log.Exhibits[i]); err != nil {
			return pinned, err
		}
	}
	tags, err := interop.BagIt(log, b.payload)
	if err != nil {
		return pinned, err
	}
	for _, t := range tags {
		if _, _, err := b.file(t.Name, strings.NewReader(string(t.Data))); err != nil {
			return pinned, err
		}
		pinned = chainofcustody.Attachment{Name: filepath.Base(to) + "/" + t.Name, SHA256: evidence.Sum(t.Data)}
	}
	if err := mustNotExist(to, "name a folder that is not there yet"); err != nil {
		return pinned, err
	}
	return pinned, named(os.Rename(temp, to), to)
}

type bagWriter struct {
	ctx     context.Context
	root    *os.Root
	payload []interop.Payload
}

// logs unpacks the portable log into the bag's payload.
func (b *bagWriter) logs(cs *chainofcustody.Case, log interop.Log) error {
	var names []string
	for _, x := range log.Exhibits {
		names = append(names, x.Report.Exhibit)
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(cs.Export(w, names)) }()
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := b.add(h.Name, in); err != nil {
			return err
		}
	}
}

// bundles copies what lies in the case for an exhibit: the bundle and what
// stands beside it.
func (b *bagWriter) bundles(cs *chainofcustody.Case, x *interop.Exhibit) error {
	dir, err := os.OpenRoot(cs.Path(chainofcustody.ExhibitsDir, x.Report.Exhibit))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		f, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := b.add(path.Join(chainofcustody.ExhibitsDir, x.Report.Exhibit, name), f); err != nil {
			return err
		}
		if got := b.payload[len(b.payload)-1].SHA256; x.Bundle != nil && name == x.Bundle.Name && got != x.Bundle.OuterSHA256 {
			return command.Failf(command.Integrity, "nobody else may write into the case folder meanwhile", "%s changed while it was copied", name)
		}
		return nil
	})
}

// add writes a payload file.
func (b *bagWriter) add(name string, r io.Reader) error {
	size, digest, err := b.file("data/"+name, r)
	b.payload = append(b.payload, interop.Payload{Path: name, Size: size, SHA256: digest})
	return err
}

// file writes a file of the bag and makes it durable.
func (b *bagWriter) file(name string, r io.Reader) (int64, evidence.Digest, error) {
	if err := b.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return 0, evidence.Digest{}, fmt.Errorf("bag: %w", err)
	}
	f, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, evidence.Digest{}, fmt.Errorf("bag: %w", err)
	}
	h := evidence.NewHash()
	n, err := io.Copy(io.MultiWriter(f, h), untilDone{b.ctx, r})
	return n, evidence.DigestOf(h), errors.Join(err, f.Sync(), f.Close())
}
