package collectors

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestAuditRulesAreThoseOfAuditctl(t *testing.T) {
	auditctl := testenv.Tool(t, "auditctl")
	status := func() string {
		out, err := exec.Command(auditctl, "-s").CombinedOutput()
		if err != nil {
			t.Skipf("skipped: auditctl -s: %v: %s", err, out)
		}
		return string(out)
	}
	before := status()
	// Nothing matches it: there is no such file.
	rule := strings.Fields("always,exit -F arch=b64 -S 59,322 -F path=/exhibit-" + strconv.Itoa(os.Getpid()) + " -F auid>=1000 -F auid!=-1 -F key=exhibit-test")
	if out, err := exec.Command(auditctl, append([]string{"-a"}, rule...)...).CombinedOutput(); err != nil {
		t.Skipf("skipped: auditctl -a: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command(auditctl, append([]string{"-d"}, rule...)...).Run() })
	got := live(t, linuxAudit)
	rules := collecttest.Lines[record.AuditRule](t, got, record.AuditRules)
	want := "-a " + strings.Join(rule, " ")
	if !slices.ContainsFunc(rules, func(r record.AuditRule) bool { return string(r.Text) == want && len(r.Data) >= 2*1040 }) {
		for _, r := range rules {
			t.Errorf("have %s", r.Text)
		}
		t.Errorf("want %s", want)
	}
	st := collecttest.Lines[record.AuditStatus](t, got, record.Audit)
	if len(st) != 1 {
		t.Fatalf("got %+v", st)
	}
	for key, v := range map[string]int64{"enabled": st[0].Enabled, "failure": st[0].Failure, "pid": st[0].PID, "backlog_limit": st[0].BacklogLimit} {
		if !strings.Contains(before, key+" "+strconv.FormatInt(v, 10)+"\n") {
			t.Errorf("%s %d, auditctl says %s", key, v, before)
		}
	}
	if field := func(s string) string { i := strings.Index(s, "pid "); return s[i : i+strings.IndexByte(s[i:], '\n')] }; field(status()) != field(before) {
		t.Errorf("the auditor changed: %s, was %s", status(), before)
	}
}
