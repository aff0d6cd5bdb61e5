package collect_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/internal/hungfs"
)

// Links are read and followed in a copy of the mounts that was made when the
// run began. What is mounted since is found all the same.
func TestLinksLeadToWhatIsMountedSince(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("m/in", "covered")
	put("dir/in", "in")
	link("m", "to-mount")
	link("/m/new/deep", "to-new")
	link("dir", "to-dir")
	link("to-dir/../dir", "twice")
	link("covered target", "m/link")
	h, err := collect.OpenHost(root, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := unix.Mount("tmpfs", filepath.Join(root, "m"), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(root, "m"), unix.MNT_DETACH) })
	put("m/in", "mounted since")
	put("m/new/deep/in", "deep in it")
	link("target", "m/link")
	for path, want := range map[string]string{
		"/to-mount/in": "mounted since", "/to-new/in": "deep in it", "/to-dir/in": "in", "/twice/in": "in", "/to-dir/../m/in": "mounted since",
	} {
		if got, err := h.ReadFile(path, 100); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if got, err := h.Readlink("/m/link"); err != nil || got != "target" {
		t.Errorf("a link that was covered: %q, %v", got, err)
	}
	if got, err := h.Readlink("/to-dir"); err != nil || got != "dir" {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{"/to-dir/none", "/to-dir/none/below", "/to-mount/none", "/to-new/none/below/it"} {
		if _, err := h.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// One of these lies in what was mounted since.
	if n := h.LinksRead(); n != 1 {
		t.Errorf("%d links were read in the tree itself, want 1", n)
	}
}

// A copy of the mounts leaves out what may not be bound elsewhere, and has what
// was covered since: links there are others than those that a path leads through.
func TestLinksOfWhatIsCoveredAreNotFollowed(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	root := t.TempDir()
	tree := func(target string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(root, "m/link")); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"m", "one", "two"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "in"), []byte(dir), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree("../one")
	mount := func() {
		t.Helper()
		if err := unix.Mount("tmpfs", filepath.Join(root, "m"), "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(filepath.Join(root, "m"), unix.MNT_DETACH) })
	}
	read := func(when string, h *collect.Host, want string) {
		t.Helper()
		if got, err := h.ReadFile("/m/link/in", 100); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", when, got, err, want)
		}
	}
	h, err := collect.OpenHost(root, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	read("before", h, "one")
	mount()
	tree("../two")
	read("covered since", h, "two")
	if err := unix.Mount("", filepath.Join(root, "m"), "", unix.MS_UNBINDABLE, ""); err != nil {
		t.Fatal(err)
	}
	later, err := collect.OpenHost(root, false)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	read("not to be bound", later, "two")
}

// Links of procfs to the root and the folders of a process are no text.
func TestLinksThatLeadByMagicAreRefused(t *testing.T) {
	h, err := collect.OpenHost("/", true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if text, err := h.ReadFile("/proc/self/comm", 100); err != nil || len(text) == 0 {
		t.Errorf("%q, %v", text, err)
	}
	for _, path := range []string{"/proc/self/root/proc/version", "/proc/self/cwd/spared_linux_test.go"} {
		if text, err := h.ReadFile(path, 1<<20); err == nil {
			t.Errorf("%s has %d bytes", path, len(text))
		}
	}
}
