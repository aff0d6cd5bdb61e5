package command

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestInterruptedProgramsSaySoByTheirCode(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: Interrupted, syscall.SIGTERM: Terminated} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(&signalError{sig})
		var stderr bytes.Buffer
		if code := Guard(ctx, "prog", &stderr, func(context.Context) error { return Exit(Partial) }); code != want {
			t.Errorf("%v: code %d, want %d", sig, code, want)
		}
	}
}

// A file that takes the place of an open one does not get its hash: neither
// under its name, nor where the open file has grown since.
func TestTheDigestIsThatOfTheOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other := path + ".other"
	if err := os.WriteFile(other, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if d, err := DigestOf(t.Context(), f, 5); err != nil || d != evidence.Sum([]byte("first")) {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := DigestOf(t.Context(), f, 6); err == nil {
		t.Error("a file shorter than it was has a digest")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DigestOf(ctx, f, 5); err == nil {
		t.Error("a cancelled read has a digest")
	}
}
