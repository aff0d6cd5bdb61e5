package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// during is a context that does something when it is first looked at, which
// a verification does while it reads.
type during struct {
	context.Context
	once sync.Once
	do   func()
}

func (d *during) Err() error {
	d.once.Do(d.do)
	return d.Context.Err()
}

// What is recorded as the bundle's hash is that of the bytes that were
// verified, even where another file has taken their place meanwhile.
func TestAFileSwappedDuringVerificationIsNotTheOneThatIsHashed(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(testenv.Root(t), "testdata", "vectors", "bundle", "minimal.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a.exhibit.tar.zst"), filepath.Join(dir, "b")
	for name, b := range map[string][]byte{path: whole, other: []byte("another file")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := flag.NewFlagSet("verify", flag.ContinueOnError)
	set.String("progress", "none", "")
	c := cli.NewContext(newApp(), set, nil)
	swapped := false
	c.Context = &during{Context: t.Context(), do: func() { swapped = os.Rename(other, path) == nil }}
	rep, digest, err := verifyFile(c, path, nil, nil, "")
	if err != nil || !swapped {
		t.Fatalf("%v, swapped: %v", err, swapped)
	}
	if digest != evidence.Sum(whole) || rep.Size != int64(len(whole)) || rep.SealID == "" {
		t.Errorf("hash %s of %d bytes", digest, rep.Size)
	}
}
