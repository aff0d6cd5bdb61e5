package collectors

import (
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// Laid out after sysctl_procargsx in bsd/kern/kern_sysctl.c of xnu.
func TestArgumentsOfMacOSAreReadWithoutTheEnvironment(t *testing.T) {
	text := "\x03\x00\x00\x00/bin/zsh\x00\x00\x00\x00zsh\x00-c\x00\x00HOME=/secret\x00"
	exe, args, err := procArgs([]byte(text))
	if err != nil || string(exe) != "/bin/zsh" || len(args) != 3 || !slices.EqualFunc(args, []string{"zsh", "-c", ""}, func(a record.Bytes, b string) bool { return string(a) == b }) {
		t.Errorf("%q %q %v", exe, args, err)
	}
	for _, bad := range []string{"", "\x01\x00\x00", "\x01\x00\x00\x00/bin", "\x02\x00\x00\x00/bin/a\x00a\x00", "\xff\xff\xff\xff/bin/a\x00a\x00"} {
		if _, _, err := procArgs([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzArgumentsOfMacOS(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00/bin/a\x00\x00a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		exe, args, _ := procArgs(b)
		total := len(exe)
		for _, a := range args {
			total += len(a)
		}
		if total > len(b) {
			t.Errorf("%d bytes out of %d", total, len(b))
		}
	})
}
