package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// unpackLab returns the root folder of the laboratory's host.
func unpackLab(t *testing.T) string {
	t.Helper()
	data := testenv.Lab(t)
	zstd, tar := testenv.Tool(t, "zstd"), testenv.Tool(t, "tar")
	root := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(filepath.Join(root, "var/log"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := `"$1" -dqc "$3/trees.tar.zst" | "$2" x -C "$4" --no-same-owner; "$1" -dqc "$3/veth.pcap.zst" > "$4/var/log/veth.pcap"`
	if out, err := exec.Command("sh", "-c", script, "sh", zstd, tar, data, root).CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	return root
}

// TestChainOnACompromisedHost collects once and asks everything of it.
func TestChainOnACompromisedHost(t *testing.T) {
	root := unpackLab(t)
	l := newLab(t)
	l.run(complete, "collect", "--root", root)
	l.run([]int{0}, "verify", "EX-001")
	one := filepath.Join(l.dir, "one-worker")
	l.run(complete, "timeline", "build", "--workers", "1")
	if err := os.Rename(filepath.Join(l.dir, "timeline"), one); err != nil {
		t.Fatal(err)
	}
	l.run(complete, "timeline", "build", "--workers", "8")
	t.Run("the timeline is the same for any number of workers", func(t *testing.T) { sameFolders(t, one, filepath.Join(l.dir, "timeline")) })
	t.Run("every row resolves to sealed bytes", func(t *testing.T) {
		everyRowResolves(t, l.in(t), []string{
			"apache_error", "apt_history", "bash_history", "dpkg_log", "fs_records", "linux_audit", "linux_journal",
			"linux_lastlog", "linux_syslog", "linux_utmp", "net_pcap", "web_access",
		})
	})
	t.Run("why names the initial access", func(t *testing.T) { whyNamesTheWayIn(t, l.in(t)) })
	t.Run("papers", func(t *testing.T) {
		l.run([]int{0}, "timeline", "verify")
		l.run([]int{0}, "report", "EX-001")
		l.run([]int{0}, "custody", "verify")
	})
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		m[rel] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sameFolders(t *testing.T, a, b string) {
	x, y := files(t, a), files(t, b)
	if names, others := slices.Sorted(maps.Keys(x)), slices.Sorted(maps.Keys(y)); !slices.Equal(names, others) || len(names) < 5 {
		t.Fatalf("files %v and %v", names, others)
	}
	for name := range x {
		if !bytes.Equal(x[name], y[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

func whyNamesTheWayIn(t *testing.T, l *lab) {
	for _, question := range []string{
		`file:"/etc/cron.d/sysupd"`, `listen 31337`, `cmdline:*w.tgz* AND cmdline:*curl*`, `cmdline:*wt.py*`,
		`user:root AND src_ip:198.51.100.23 AND action:user-login`, `file:"/root/.ssh/authorized_keys" AND has:action`,
	} {
		var g struct {
			Entries []struct{ Address, Account string } `json:"entries"`
		}
		if err := json.Unmarshal(l.run([]int{0}, "why", "--json", question), &g); err != nil {
			t.Fatal(err)
		}
		if len(g.Entries) == 0 || g.Entries[0].Address != "203.0.113.45" || g.Entries[0].Account != "deploy" {
			t.Errorf("why %s: entries %+v", question, g.Entries)
		}
		for _, e := range g.Entries {
			if e.Address == "198.51.100.99" || e.Account == "alice" || e.Account == "bob" {
				t.Errorf("why %s: names the harmless %+v", question, e)
			}
		}
	}
}
