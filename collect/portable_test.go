//go:build windows || darwin || freebsd

package collect

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func planted(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := OpenHost(root, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestFilesBelowAFolderAreReadAndWalked(t *testing.T) {
	h := planted(t, map[string]string{"a/b/file": "content", "a/größe 😀": "x", "top": ""})
	if b, err := h.ReadFile("/a/b/file", 100); err != nil || string(b) != "content" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := h.ReadFile("/a/b/file", 3); !errors.Is(err, ErrTooBig) {
		t.Errorf("longer than allowed: %v", err)
	}
	if _, err := h.Open("/a/b"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := h.Stat("/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	st, err := h.Stat("/a/b/file")
	if err != nil || st.Mode&modeType != modeRegular || st.Size != 7 || time.Since(st.Modified).Abs() > time.Hour {
		t.Errorf("%+v %v", st, err)
	}
	f, err := h.Open("/a/b/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if open, err := h.StatFile(f); err != nil || open.Inode != st.Inode || open.Dev != st.Dev || !open.Modified.Equal(st.Modified) {
		t.Errorf("the open file is %+v, its name %+v: %v", open, st, err)
	}
	var got []string
	err = h.Walk(context.Background(), "/", func(path string, st *evidence.Stat) error {
		if st == nil {
			t.Errorf("%s was not read", path)
		}
		got = append(got, path)
		return nil
	})
	if want := []string{"/", "/a", "/a/b", "/a/b/file", "/a/größe 😀", "/top"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
}

func TestNothingLeadsOutOfTheRoot(t *testing.T) {
	h := planted(t, map[string]string{"a/file": "inside"})
	secret := filepath.Join(filepath.Dir(h.Root), "outside")
	if err := os.WriteFile(secret, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/../outside", "/a/../../outside", "/..\\outside", "/a/..\\..\\outside"} {
		if b, err := h.ReadFile(path, 100); err == nil {
			t.Errorf("%s gave %q", path, b)
		}
	}
	if err := os.Symlink(filepath.Dir(secret), filepath.Join(h.Root, "a", "link")); err != nil {
		t.Logf("no links here: %v", err)
		return
	}
	if b, err := h.ReadFile("/a/link/outside", 100); err == nil {
		t.Errorf("a link led out: %q", b)
	}
	if st, err := h.Stat("/a/link"); err != nil || st.Mode&modeType != modeLink {
		t.Errorf("the link: %+v %v", st, err)
	}
}

func TestTheRunningHostHasARoot(t *testing.T) {
	h, err := OpenHost("/", true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.System() != runtime.GOOS {
		t.Error(h.System())
	}
	mounts, err := h.Mounts()
	if err != nil || len(mounts) == 0 {
		t.Fatalf("mounts: %v %v", mounts, err)
	}
	entries, err := h.ReadDir("/")
	if err != nil || len(entries) == 0 {
		t.Errorf("the root has %v: %v", entries, err)
	}
	if runtime.GOOS != "windows" {
		return
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	st, err := h.Stat("/" + strings.ReplaceAll(own, `\`, "/"))
	if info, e := os.Stat(own); err != nil || e != nil || st.Size != info.Size() || st.Modified.UnixNano()/100 != info.ModTime().UnixNano()/100 {
		t.Errorf("own program: %+v %v", st, err)
	}
}
