package collectors

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
)

// opens watches the folders of a tree and returns the names of files that
// were opened in them since.
func opens(t *testing.T, root string) func() []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_, err = unix.InotifyAddWatch(fd, path, unix.IN_OPEN)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() (names []string) {
		buf := make([]byte, 64<<10)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil || n <= 0 {
				return names
			}
			for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; { // inotify(7)
				size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
				if binary.NativeEndian.Uint32(rest[4:])&unix.IN_ISDIR == 0 {
					names = append(names, strings.TrimRight(string(rest[unix.SizeofInotifyEvent:size]), "\x00"))
				}
				rest = rest[size:]
			}
		}
	}
}

// What a plan says is what the run then takes; the plan itself opens nothing.
func TestAPlanOpensNoFileAndIsWhatTheRunTakes(t *testing.T) {
	root := t.TempDir()
	for name, size := range map[string]int{
		"etc/passwd": 90, "etc/hostname": 6, "etc/crontab": 300, "etc/shadow": 200, "var/log/auth.log": 3 << 20, "var/log/big.log": 9 << 20,
		"root/.bash_history": 77, "root/.ssh/authorized_keys": 400, "usr/bin/tool": 1000, "tmp/x": 10,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	opened := opens(t, root)
	opt := collect.Options{Root: root, Collectors: []collect.Collector{linuxLogs, linuxPersistence, linuxUsers, filesystemWalk}, MaxFileSize: 8 << 20}
	plan, err := collect.MakePlan(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if names := opened(); len(names) > 0 {
		t.Errorf("planning opened %v", names)
	}
	got := collecttest.Collect(t.Context(), t, opt)
	if len(opened()) == 0 {
		t.Error("the run opened nothing: the test shows nothing")
	}
	for i, res := range got.Result.Collectors {
		p := plan.Collectors[i]
		if p.Name != res.Name || !p.Known || p.Items != res.Items {
			t.Errorf("planned %+v, ran %+v", p, res)
		}
		if p.Name != WalkName && p.Bytes != res.Bytes { // the walk's lines are longer by the hashes
			t.Errorf("%s: %d bytes planned, %d taken", p.Name, p.Bytes, res.Bytes)
		}
	}
	if plan.Most < got.Result.Written {
		t.Errorf("the bundle has %d bytes, planned were at most %d", got.Result.Written, plan.Most)
	}
	var over, shadow bool
	for _, g := range plan.LeftOut {
		over = over || g.Path == "/var/log/big.log" && strings.Contains(g.Why, "over the limit")
		shadow = shadow || g.Path == "/etc/shadow"
	}
	if !over || !shadow || int64(len(plan.LeftOut)) != plan.LeftOutCount {
		t.Errorf("left out: %+v", plan.LeftOut)
	}
}

func TestAPlanOfARunningHostCountsItsProcesses(t *testing.T) {
	plan, err := collect.MakePlan(t.Context(), collect.Options{Collectors: []collect.Collector{linuxProcesses, linuxNetwork}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plan.Collectors {
		if p.Known != (p.Name == "linux_processes") || p.Known && (p.Names == 0 || p.Hashed == 0) {
			t.Errorf("%+v", p)
		}
	}
}
