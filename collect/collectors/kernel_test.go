package collectors

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
)

func TestNoLookMountsWhatAutofsWaitsWith(t *testing.T) {
	waits := collect.MountPoint{Point: "/proc/sys/fs/binfmt_misc", FSType: "autofs"}
	covers := collect.MountPoint{Point: "/proc/sys/fs/binfmt_misc", FSType: "binfmt_misc"}
	for _, tc := range []struct {
		name   string
		mounts []collect.MountPoint
		path   string
		want   bool
	}{
		{"waiting", []collect.MountPoint{waits}, waits.Point, true},
		{"mounted over it", []collect.MountPoint{waits, covers}, waits.Point, false},
		{"beside it", []collect.MountPoint{waits}, "/proc/sys/fs", false},
		{"nothing", nil, waits.Point, false},
	} {
		if got := wouldMount(tc.mounts, tc.path); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
