package collect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/hungfs"
)

// A folder whose mount is given up halfway is closed.
func TestAListingThatIsRefusedHalfwayIsClosed(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	root := t.TempDir()
	dir := filepath.Join(root, "m")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	for i := range walkChunk + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := OpenHost(root, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	opened := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := opened()
	err = h.ListDir("/m", func([]DirEntry) error {
		m, ok := h.MountOf("/m")
		if !ok || m.Point != "/m" {
			t.Fatalf("%+v", m)
		}
		h.strikes = map[int64]int{m.ID: maxStrikes}
		h.struck.Store(true)
		return nil
	})
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("%v", err)
	}
	if after := opened(); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}
