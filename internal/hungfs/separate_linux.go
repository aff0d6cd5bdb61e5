package hungfs

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const variable = "EXHIBIT_TEST_MOUNTNS"

// Elsewhere runs the calling test again in a process with mounts and processes
// of its own and reports true when that is done: the caller returns. In the new
// process it reports false. The test is skipped where the system does not let
// us. Two such tests must not see each other's processes: each would wait for
// the file system of the other, and neither could end.
func Elsewhere(t *testing.T) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Skipf("skipped: mounts are shared: %v", err)
		}
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			t.Skipf("skipped: no /proc of our own: %v", err)
		}
		return false
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	// The other process dies with the thread that made it, and threads come and
	// go with collectors: killed while its own file system hangs, it would stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=170s")
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("skipped: no mount namespace for us: %v", err)
	case err != nil:
		t.Fatalf("in the namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("skipped in the namespace:\n%s", out)
	}
	return true
}
