package collect_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/hungfs"
)

// A file system that the mount table does not show when it is read - it was
// mounted later, or lies below an overlay - costs its own names and nothing
// else.
func TestAFileSystemThatHangsCostsItsOwnNamesOnly(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	root := t.TempDir()
	for _, name := range []string{"a", "m/in", "z"} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var fs *hungfs.FS
	begun := time.Now()
	paths := []string{"/a", "/m/one", "/m/two", "/m/three", "/m/four", "/z"}
	look := collect.Collector{Name: "look", Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
		if _, err := h.Mounts(); err != nil {
			return err
		}
		fs = hungfs.Mount(t, filepath.Join(root, "m"), []byte("x"))
		fs.Hang()
		for _, path := range paths {
			if err := out.File(ctx, path, "rule"); err != nil {
				return err
			}
		}
		return h.Walk(ctx, "/", func(path string, st *evidence.Stat) error {
			return out.Note(ctx, evidence.Item{Kind: evidence.KindDir, Path: "walked " + path})
		})
	}}
	got := collecttest.Collect(t.Context(), t, collect.Options{Root: root, Collectors: []collect.Collector{look}})
	if res := got.Result.Collectors[0]; res.Outcome != collect.Collected {
		t.Errorf("outcome %s: %s", res.Outcome, res.Detail)
	}
	for _, path := range paths {
		it := got.Find(path)
		want := evidence.KindFile
		if filepath.Dir(path) == "/m" {
			want = evidence.KindError // the first of them
			if it.Kind == evidence.KindSkipped {
				want = it.Kind // told by the mount table, read anew
			}
		}
		if it.Kind != want {
			t.Errorf("%s: %s (%s), want %s", path, it.Kind, it.Detail, want)
		}
	}
	if it := got.Find("/m/one"); it.Detail == "" || got.Result.Counts[collect.TimedOut] == 0 {
		t.Errorf("nothing timed out: %+v, %v", it, got.Result.Counts)
	}
	if got.Find("walked /z").Path == "" {
		t.Error("the walk did not come past the mount")
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if fs.Unanswered() == 0 {
		t.Error("nobody asked the file system: the test shows nothing")
	}
}

// A daemon that never says whether a file is ready would lock the runtime's
// poller, and with it the whole program, beyond all deadlines.
func TestNoFileIsPolled(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	var fs *hungfs.FS
	look := collect.Collector{Name: "look", Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
		if _, err := h.Mounts(); err != nil { // what is mounted later is not known to be of FUSE
			return err
		}
		fs = hungfs.Mount(t, filepath.Join(root, "m"), []byte("content"))
		fs.HangAtPoll()
		return out.File(ctx, "/m/"+hungfs.File, "rule")
	}}
	got := collecttest.Collect(t.Context(), t, collect.Options{Root: root, Collectors: []collect.Collector{look}})
	if it := got.Find("/m/" + hungfs.File); it.Kind != evidence.KindFile || it.Size != 7 {
		t.Errorf("%s of %d bytes: %s", it.Kind, it.Size, it.Detail)
	}
	if n := fs.Unanswered(); n > 0 {
		t.Errorf("asked %d times whether it is ready", n)
	}
}

func TestPatienceEndsAndTheLateAnswerIsCleanedUp(t *testing.T) {
	h, err := collect.OpenHost(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	stuck, cleaned := make(chan struct{}), make(chan int)
	_, err = collect.Patiently(h, time.Millisecond, func(v int) { cleaned <- v }, func() (int, error) { <-stuck; return 7, nil })
	if !errors.Is(err, collect.ErrTimeout) {
		t.Fatalf("error %v", err)
	}
	for range 3 { // others are served meanwhile
		if v, err := collect.Patiently(h, time.Minute, nil, func() (int, error) { return 1, nil }); v != 1 || err != nil {
			t.Fatalf("got %d, %v", v, err)
		}
	}
	close(stuck)
	if v := <-cleaned; v != 7 {
		t.Errorf("cleaned up %d", v)
	}
}
