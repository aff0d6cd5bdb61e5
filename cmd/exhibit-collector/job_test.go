package main

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
)

// TestEveryFlagHasARuleBesideAJob keeps a new flag from being taken beside a
// signed job without anybody having thought of it. What has no rule is refused
// there, which is safe, but must be meant.
func TestEveryFlagHasARuleBesideAJob(t *testing.T) {
	for _, f := range newApp(&result{}).Flags {
		if name := f.Names()[0]; !gathering.JobKnows(name) {
			t.Errorf("--%s has no rule in gathering's jobRules", name)
		}
	}
	for _, name := range []string{"order", "outside-order", "ssh-key", "client-key", "header-file", "s3-credentials", "capture-filter-ddd", "detach", "log", "job"} {
		if gathering.JobMaySay(name) {
			t.Errorf("a job may say --%s", name)
		}
	}
}
