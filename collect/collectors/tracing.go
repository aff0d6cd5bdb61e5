package collectors

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// tracingFiles are read from tracefs. None of them changes by being read, as
// trace_pipe would.
var tracingFiles = []string{
	"kprobe_events", "uprobe_events", "dynamic_events", "synthetic_events", "enabled_functions", "touched_functions",
	"kprobe_profile", "uprobe_profile", "current_tracer", "tracing_on", "set_event", "set_ftrace_filter", "set_ftrace_notrace", "set_ftrace_pid", "set_graph_function",
}

// parseProbe reads a line of kprobe_events, uprobe_events or dynamic_events:
//
//	p:kprobes/opened do_sys_openat2 file=+0($arg2):string
//	r3:kprobes/left vfs_read $retval
//	p:uprobes/readline /bin/bash:0x00000000000d5ba0
//	e:eprobes/e1 sched/sched_switch …     s:synthetic/name type field; …
func parseProbe(source, line string) (record.Probe, bool) {
	head, rest, _ := strings.Cut(line, " ")
	kind, name, ok := strings.Cut(head, ":")
	if !ok || kind == "" || name == "" {
		return record.Probe{}, false
	}
	group, event, ok := strings.Cut(name, "/")
	if !ok {
		group, event = "", name // synthetic_events has no group
	}
	target, args, _ := strings.Cut(rest, " ")
	p := record.Probe{Source: source, Group: record.Bytes(group), Event: record.Bytes(event), Text: record.Bytes(line)}
	program := strings.HasPrefix(target, "/") && strings.Contains(target, ":0x")
	switch kind[0] {
	case 'p':
		p.Kind = "kprobe"
		if program {
			p.Kind = "uprobe"
		}
	case 'r':
		p.Kind = "kretprobe"
		if program {
			p.Kind = "uretprobe"
		}
	case 'e':
		p.Kind = "eprobe"
	case 'f':
		p.Kind = "fprobe"
	case 's':
		p.Kind = "synthetic"
		target, args = "", rest
	}
	p.Target, p.Args = record.Bytes(target), record.Bytes(args)
	return p, true
}

// parseTraced reads a line of enabled_functions:
//
//	__x64_sys_kill (1) R I     	tramp: 0xffffffffc0a01000 (hook+0x0/0x90 [rk]) ->ftrace_ops_assist_func+0x0/0xf0
//	ext4_open [ext4] (1)
func parseTraced(line string) (record.TracedFunction, bool) {
	open := strings.Index(line, " (")
	if open <= 0 {
		return record.TracedFunction{}, false
	}
	end := strings.IndexByte(line[open:], ')')
	if end < 0 {
		return record.TracedFunction{}, false
	}
	count, err := strconv.ParseInt(line[open+2:open+end], 10, 64)
	if err != nil {
		return record.TracedFunction{}, false
	}
	name, module, _ := strings.Cut(line[:open], " ")
	f := record.TracedFunction{Name: record.Bytes(name), Count: count}
	if module = strings.Trim(strings.TrimSpace(module), "[]"); module != "" {
		f.Module = record.Bytes(module)
	}
	rest := line[open+end+1:]
	at := 0
	for at < len(rest) && (rest[at] == ' ' || rest[at] >= 'A' && rest[at] <= 'Z') {
		at++
	}
	f.Flags = strings.Join(strings.Fields(rest[:at]), "")
	if callback := strings.TrimSpace(rest[at:]); callback != "" {
		f.Callback = record.Bytes(callback)
	}
	return f, true
}

// efiFlag reads a variable of efivarfs that is one byte: four of attributes
// (UEFI specification 8.2), then the value. nil for anything else.
func efiFlag(b []byte) *bool {
	if len(b) != 5 || b[4] > 1 {
		return nil
	}
	on := b[4] == 1
	return &on
}

// lockdownState is the word in brackets: "none [integrity] confidentiality".
func lockdownState(b []byte) string {
	_, after, ok := bytes.Cut(b, []byte{'['})
	state, _, closed := bytes.Cut(after, []byte{']'})
	if !ok || !closed {
		return ""
	}
	return string(state)
}
