package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// seal writes a bundle that holds exactly the files named, so that what is
// measured afterwards is the reading of them and nothing else.
func seal(ctx context.Context, path string, members []string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	err = sealTo(ctx, out, members)
	return errors.Join(err, out.Close())
}

func sealTo(ctx context.Context, out *os.File, members []string) error {
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		return err
	}
	w, err := bundle.NewWriter(out, bundle.Header{
		Case: "bench", Exhibit: "EX-001", Profile: "bench", Started: start,
		Host: bundle.Host{Hostname: "web01", MachineID: "8d0f2c3a4b5c6d7e8f90a1b2c3d4e5f6", OS: "linux"},
		Tool: bundle.Tool{Name: "benchdata", Version: "1"}, Clock: bundle.Clock{Wall: start, Zone: "UTC"},
	}, key, bundle.WriterOptions{})
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := sealOne(ctx, w, m); err != nil {
			return errors.Join(fmt.Errorf("add %s: %w", m, err), w.Close())
		}
	}
	_, err = w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: start})
	return err
}

func sealOne(ctx context.Context, w *bundle.Writer, member string) error {
	path, file, ok := strings.Cut(member, "=")
	if !ok {
		return errUsage
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	it := evidence.Item{Kind: evidence.KindStream, Source: "bench", Path: path, Size: st.Size(), Started: start}
	if strings.HasPrefix(path, "/") {
		it.Kind, it.Source = evidence.KindFile, "file"
		later := start.AddDate(0, 1, 0)
		it.Stat = &evidence.Stat{Mode: 0o100640, Inode: 1, Dev: "8:1", Nlink: 1, Size: st.Size(), Modified: later, Accessed: later, Changed: later}
	}
	_, err = w.Add(ctx, it, bundle.Input{R: f, At: f})
	return err
}
