package collectors

import (
	"fmt"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// Lines as in the kernel's trace/kprobetrace, trace/uprobetracer and
// trace/ftrace.
func TestProbesAreRead(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"p:kprobes/opened do_sys_openat2 file=+0($arg2):string", "kprobe kprobes/opened at do_sys_openat2 (file=+0($arg2):string)"},
		{"r3:kprobes/left vfs_read $retval", "kretprobe kprobes/left at vfs_read ($retval)"},
		{"p:uprobes/readline /bin/bash:0x00000000000d5ba0", "uprobe uprobes/readline at /bin/bash:0x00000000000d5ba0 ()"},
		{"r:uprobes/ret /bin/a b:0x1", "kretprobe uprobes/ret at /bin/a (b:0x1)"},
		{"r:uprobes/ret /bin/ab:0x1 arg1=%ax", "uretprobe uprobes/ret at /bin/ab:0x1 (arg1=%ax)"},
		{"e:eprobes/e1 syscalls/sys_enter_openat file=$filename", "eprobe eprobes/e1 at syscalls/sys_enter_openat (file=$filename)"},
		{"f:fprobes/f1 vfs_write", "fprobe fprobes/f1 at vfs_write ()"},
		{"s:synthetic/lat u64 lat; pid_t pid", "synthetic synthetic/lat at  (u64 lat; pid_t pid)"},
		{"x:new/kind there", " new/kind at there ()"},
	} {
		p, ok := parseProbe("dynamic_events", tc.line)
		if got := fmt.Sprintf("%s %s/%s at %s (%s)", p.Kind, p.Group, p.Event, p.Target, p.Args); !ok || got != tc.want || string(p.Text) != tc.line {
			t.Errorf("%q: %q, want %q", tc.line, got, tc.want)
		}
	}
	for _, line := range []string{"", "no colon", ":name", "p:", " p:x"} {
		if p, ok := parseProbe("kprobe_events", line); ok && line != " p:x" {
			t.Errorf("%q was read as %+v", line, p)
		}
	}
}

func TestTracedFunctionsAreRead(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"__x64_sys_kill (1) R I     \ttramp: 0xffffffffc0a01000 (hook+0x0/0x90 [rk]) ->assist+0x0/0xf0", "__x64_sys_kill[] 1 RI: tramp: 0xffffffffc0a01000 (hook+0x0/0x90 [rk]) ->assist+0x0/0xf0"},
		{"ext4_open [ext4] (2)            ", "ext4_open[ext4] 2 : "},
		{"vfs_read (1)     D   \tdirect-->bpf_trampoline_1+0x0/0x80", "vfs_read[] 1 D: direct-->bpf_trampoline_1+0x0/0x80"},
	} {
		f, ok := parseTraced(tc.line)
		if got := fmt.Sprintf("%s[%s] %d %s: %s", f.Name, f.Module, f.Count, f.Flags, f.Callback); !ok || got != tc.want {
			t.Errorf("%q: %q, want %q", tc.line, got, tc.want)
		}
	}
	for _, line := range []string{"", "name", "name (x)", " (1)", "name (1"} {
		if f, ok := parseTraced(line); ok {
			t.Errorf("%q was read as %+v", line, f)
		}
	}
}

func TestBootSecurityIsDecoded(t *testing.T) {
	for text, want := range map[string]string{"\x06\x00\x00\x00\x01": "true", "\x06\x00\x00\x00\x00": "false", "\x06\x00\x00\x00\x02": "none", "\x01": "none", "": "none"} {
		got := "none"
		if on := efiFlag([]byte(text)); on != nil {
			got = fmt.Sprint(*on)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"none [integrity] confidentiality\n": "integrity", "[none] integrity": "none", "none": "", "[open": ""} {
		if got := lockdownState([]byte(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func FuzzTracingLines(f *testing.F) {
	f.Add("p:kprobes/opened do_sys_openat2 file=+0($arg2):string")
	f.Add("__x64_sys_kill (1) R I     \ttramp: 0xff (hook+0x0/0x90 [rk])")
	f.Fuzz(func(t *testing.T, line string) {
		if p, ok := parseProbe("dynamic_events", line); ok && string(p.Text) != line {
			t.Fatalf("%q became %q", line, p.Text)
		}
		if r, ok := parseTraced(line); ok && len(r.Name) == 0 {
			t.Fatalf("%q has no name: %+v", line, record.TracedFunction(r))
		}
	})
}
