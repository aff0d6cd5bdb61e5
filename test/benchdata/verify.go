package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/pprof"

	"github.com/exhibit-dfir/exhibit/bundle"
)

// verify checks a bundle as the programs do, without a case or a terminal:
// what "measure" says of it is the work of package bundle alone. BENCHDATA_PROFILE
// names a file for a profile of the processor.
func verify(ctx context.Context, path string, out io.Writer) error {
	if name := os.Getenv("BENCHDATA_PROFILE"); name != "" {
		p, err := os.Create(name)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := pprof.StartCPUProfile(p); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	rep, err := bundle.Verify(ctx, f, st.Size(), bundle.VerifyOptions{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, rep.Verdict, rep.ContentBytes, "bytes of content")
	return err
}
