package collectors

import (
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
)

func TestAProcThatHidesProcessesIsTold(t *testing.T) {
	for options, want := range map[string]bool{
		"rw": false, "rw,hidepid=0": false, "rw,hidepid=off": false, "": false,
		"rw,hidepid=2": true, "rw,gid=4,hidepid=invisible": true, "rw,hidepid=ptraceable,subset=pid": true, "hidepid=1": true,
	} {
		if got := hidesPIDs(collect.MountPoint{FSType: "proc", Options: "rw,relatime", SuperOpts: options}); got != want {
			t.Errorf("%q: %v", options, got)
		}
	}
}
