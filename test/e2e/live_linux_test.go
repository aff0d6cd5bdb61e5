package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// cannot skips the test with the reason, but fails where CI says that
// everything it needs is there.
func cannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" && os.Geteuid() == 0 {
		t.Fatalf(format, args...)
	}
	t.Skipf("skipped: "+format, args...)
}

// visit is one life of the guest: what it planted, and the bundles that were
// made of it.
type visit struct {
	truth
	dir string
}

func (v *visit) file(name string) string { return filepath.Join(v.dir, name) }

// visitGuest has a guest live in namespaces of its own and collects it.
func visitGuest(t *testing.T) *visit {
	t.Helper()
	if os.Geteuid() != 0 {
		cannot(t, "planting on a running host needs root")
	}
	for _, tool := range []string{"sshd", "ip", "ldd", "sleep", "sh"} {
		testenv.Tool(t, tool)
	}
	v := &visit{dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(v.dir, "guest")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, own)
	cmd.Env = append(os.Environ(), role+"="+roleBuild, "EXHIBIT_E2E_DIR="+root, "EXHIBIT_E2E_COLLECTOR="+program(t, "exhibit-collector"))
	separate(cmd, syscall.CLONE_NEWNS|syscall.CLONE_NEWPID|syscall.CLONE_NEWNET|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC)
	for _, name := range []string{"truth.json", "live.exhibit.tar.zst", "killed.exhibit.tar.zst.partial", "pipe.exhibit.tar.zst", "plain.exhibit.tar.zst"} {
		f, err := os.Create(v.file(name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cannot(t, "no namespaces for us: %v", err)
	}
	err = cmd.Wait()
	t.Logf("%s", out.Bytes())
	switch {
	case err != nil && strings.Contains(out.String(), errNotPermitted.Error()):
		cannot(t, "this system does not let us: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	b, err := os.ReadFile(v.file("truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v.truth); err != nil {
		t.Fatal(err)
	}
	return v
}

// summary is what a collector says at its end.
type summary struct {
	Seal    string `json:"seal"`
	Code    string `json:"seal_code"`
	Partial bool   `json:"partial"`
}

func (r *ran) summary(t *testing.T) *summary {
	t.Helper()
	var s summary
	if err := json.Unmarshal([]byte(r.Summary), &s); err != nil {
		t.Fatalf("%v in %q (%s)", err, r.Summary, r.Stderr)
	}
	return &s
}

// TestARunningHost plants an intrusion on this kernel, in namespaces of its
// own, and has the programs find all of it and nothing else.
func TestARunningHost(t *testing.T) {
	v := visitGuest(t)
	l := newLab(t)
	sum := v.Main.summary(t)
	if v.Main.Code != 0 && v.Main.Code != 3 || sum.Partial {
		t.Fatalf("the collector ended with %d: %s", v.Main.Code, v.Main.Stderr)
	}
	received := ask[map[string]string](l, []int{0}, "custody", "receive", v.file("live.exhibit.tar.zst"), "--code", sum.Code)
	if received["seal"] != sum.Seal || received["exhibit"] != "EX-001" {
		t.Errorf("received %v, the collector said %s", received, sum.Seal)
	}
	l.run([]int{0}, "verify", "EX-001")
	l.run(complete, "timeline", "build")
	r := openBundle(t, l.bundlePath("EX-001"))
	t.Run("records", func(t *testing.T) { recordsAreThere(t, r, v) })
	t.Run("nothing else", func(t *testing.T) { nothingElse(t, r, v) })
	t.Run("capture", func(t *testing.T) { captureAgrees(t, r, v) })
	t.Run("footprint", func(t *testing.T) { footprintIsTrue(t, r, v) })
	t.Run("rows", func(t *testing.T) { factsAreProven(t, l.in(t), v) })
	t.Run("every row resolves", func(t *testing.T) {
		everyRowResolves(t, l.in(t), []string{
			"bash_history", "fs_records", "linux_lastlog", "linux_syslog", "linux_utmp",
			"live_mounts", "live_processes", "live_sockets", "net_pcap",
		})
	})
	t.Run("why", func(t *testing.T) { whyReachesTheLogin(t, l.in(t)) })
	t.Run("papers", func(t *testing.T) {
		l.run([]int{0}, "timeline", "verify")
		l.run([]int{0}, "report", "EX-001")
		l.run([]int{0}, "custody", "verify")
	})
	t.Run("without a receipt", func(t *testing.T) { nobodyVouches(t, l.in(t), v) })
	t.Run("killed", func(t *testing.T) {
		t.Run("file", func(t *testing.T) { killedIsSaved(t, v.file("killed.exhibit.tar.zst.partial"), &v.Killed) })
		t.Run("pipe", func(t *testing.T) { killedIsSaved(t, v.file("pipe.exhibit.tar.zst"), &v.KilledIn) })
	})
	t.Run("without privileges", func(t *testing.T) { plainSaysSo(t, openBundle(t, v.file("plain.exhibit.tar.zst")), v) })
}
