package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFullDiskLeavesAPrefixThatVerifies(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting a small tmpfs needs root")
	}
	for _, size := range []string{"1m", "3m", "7m"} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Skipf("skipped: cannot mount a tmpfs here: %v", err)
		}
		path := filepath.Join(dir, "bundle")
		f, err := os.Create(path)
		if err == nil {
			err = writeUntilError(t, f, f.Sync)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("disk of %s: writer says %v", size, err)
		}
		checkCutOff(t, path)
		if err := errors.Join(f.Close(), syscall.Unmount(dir, 0)); err != nil {
			t.Fatal(err)
		}
	}
}
