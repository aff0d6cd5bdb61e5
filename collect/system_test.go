package collect

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestASystemIsToldByItsFolders(t *testing.T) {
	for _, c := range []struct{ want, folder string }{
		{"linux", "etc"},
		{"windows", "Windows/System32"},
		{"windows", "WINNT/system32"},
		{"windows", "wInDoWs/SYSTEM32"},
		{"windows", "System Volume Information"},
		{"windows", "$RECYCLE.BIN"},
		{"linux", "Windows"},
		{"darwin", "System/Library/CoreServices"},
		{"freebsd", "bin/freebsd-version"},
		{"linux", "bin"},
	} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, c.folder), 0o755); err != nil {
			t.Fatal(err)
		}
		h, err := OpenHost(root, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.System(); got != c.want {
			t.Errorf("%s: %s, want %s", c.folder, got, c.want)
		}
		h.Close()
	}
}

func TestOnlyCollectorsOfTheSystemRun(t *testing.T) {
	list := []Collector{{Name: "linux_logs"}, {Name: "windows_files"}, {Name: "filesystem_walk"}, {Name: "darwin_files"}, {Name: "memory"}}
	ours, others := suits(list, "windows")
	names := func(list []Collector) (all []string) {
		for _, c := range list {
			all = append(all, c.Name)
		}
		return all
	}
	if got := names(ours); !slices.Equal(got, []string{"windows_files", "filesystem_walk", "memory"}) {
		t.Errorf("run: %v", got)
	}
	if got := names(others); !slices.Equal(got, []string{"linux_logs", "darwin_files"}) {
		t.Errorf("left out: %v", got)
	}
}
