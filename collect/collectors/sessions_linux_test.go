package collectors

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
)

// TestSessionsAreTakenFromTheirFolders runs the collector on a root of our
// own, told to be the running one.
func TestSessionsAreTakenFromTheirFolders(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"run/utmp":                "records",
		"run/systemd/sessions/5":  "UID=1000\nUSER=alice\nACTIVE=1\n",
		"run/systemd/users/1000":  "NAME=alice\nSTATE=active\n",
		"run/systemd/sessions/c1": "UID=0\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mounted := linuxSessions
	mounted.Live = false
	got := collecttest.Collect(t.Context(), t, collect.Options{Root: root, Collectors: []collect.Collector{mounted}})
	for path, want := range map[string]string{
		"/run/utmp": "records", "/run/systemd/sessions/5": "UID=1000\nUSER=alice\nACTIVE=1\n", "/run/systemd/users/1000": "NAME=alice\nSTATE=active\n",
	} {
		if text := string(got.Content(t, path)); text != want {
			t.Errorf("%s holds %q, want %q", path, text, want)
		}
	}
}
