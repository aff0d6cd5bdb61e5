// Package packettest gives tests a network of their own.
package packettest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

const variable = "EXHIBIT_TEST_NETNS"

// Elsewhere runs the calling test again in a process with a network namespace
// of its own, in which only the loopback interface exists and is up, and
// reports true when that is done: the caller returns. In the new process it
// reports false. The test is skipped where the system does not let us.
func Elsewhere(t testing.TB) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		IP(t, "link set lo up")
		return false
	}
	arguments := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=60s"}
	b, benchmark := t.(*testing.B)
	if benchmark {
		arguments = []string{"-test.run=^$", "-test.bench=^" + t.Name() + "$"}
	}
	cmd := exec.Command(os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	if !separate(cmd) {
		t.Skip("skipped: no network namespaces on this system")
	}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("skipped: no network namespace for us: %v", err)
	case err != nil:
		t.Fatalf("in the namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("skipped in the namespace:\n%s", out)
	}
	t.Logf("in the namespace:\n%s", out)
	if benchmark { // the figures are in the output; here is nothing to measure
		for b.Loop() {
		}
		b.ReportMetric(0, "ns/op")
	}
	return true
}

// IP calls ip(8) with blank-separated arguments.
func IP(t testing.TB, arguments string) {
	t.Helper()
	out, err := exec.Command(testenv.Tool(t, "ip"), strings.Fields(arguments)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", arguments, err, out)
	}
}
