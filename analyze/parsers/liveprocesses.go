package parsers

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveProcesses reads the processes the collector met. One event per process
// at the time it started, which the kernel states in clock ticks since boot:
// ts_lo and ts_hi are the bounds of that tick. uid is the real user id, euid
// an attribute where it differs; session is the audit session; proc_guid is
// boot id, pid and start tick, which together name one process for ever. A
// process whose start is not known is dated by the look, action process-state.
// Open files and executable mappings, 64 of each at most, are attributes
// fd.N and map.
var liveProcesses = register(analyze.Parser{
	Name:    "live_processes",
	Doc:     "processes that ran during collection, at the time they started",
	Version: 1,
	Family:  "live",
	Types:   []string{"linux:process:state"},
	Match: func(it *evidence.Item, head []byte) bool {
		return len(head) > 0 && head[0] == '{' && isRecordSet(it, record.Processes)
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return eachRecord(src, out, func(p *record.Process, off, length int64) error {
			return processEvent(src, out, p, off, length)
		})
	},
})

// unset is the audit id of a process outside any login.
const unset = math.MaxUint32

func processEvent(src *analyze.Source, out *timeline.Appender, p *record.Process, off, length int64) error {
	if p.PID <= 0 {
		return errNoSubject
	}
	ev := stateEvent(src, out, off, length, p.Taken, "linux:process:state")
	ev.Action, ev.Category = "process-state", "process"
	if p.Start > 0 {
		ev.Action = "process-started"
		ev.SetNanos(p.Start)
		ev.TSDesc, ev.TSKind = "Process Start", timeline.Recorded
		ev.TSPrec, ev.TZSrc = timeline.Millisecond, timeline.ZoneFormat
		if src.Host.Ticks > 0 && p.Start < math.MaxInt64-1e9 {
			ev.TSLo, ev.TSHi = p.Start, p.Start+1e9/src.Host.Ticks
		}
	}
	ev.PID, ev.PPID, ev.UID = p.PID, p.PPID, p.UID[0]
	ev.User = userName(src.Host, p.UID[0])
	ev.Exe, ev.CWD = out.Text(cutText(p.Exe)), out.Text(cutText(p.CWD))
	ev.Cmdline = joined(out, p.Args)
	ev.SHA256 = out.Str(digestText(p.ExeSHA256))
	if p.SessionID != unset && p.SessionID != 0 {
		ev.Session = out.Int(p.SessionID)
	}
	ev.ContainerID = out.Str(containerOf(p.Cgroup))
	if ev.BootID != "" && p.StartTicks > 0 {
		ev.ProcGUID = out.Join(ev.BootID, "-", out.Int(p.PID), "-", out.Int(p.StartTicks))
	}
	ev.Message = processMessage(out, ev, p)
	processAttrs(out, p)
	processFiles(out, p)
	return nil
}

func processMessage(out *timeline.Appender, ev *timeline.Event, p *record.Process) string {
	what := ev.Cmdline
	if what == "" {
		what = ev.Exe
	}
	if what == "" {
		what = out.Join("[", out.Text(cutText(p.Comm)), "]")
	}
	m := out.Join("process ", out.Int(p.PID), ": ", what)
	if p.ExeDeleted {
		m = out.Join(m, " (its program file was deleted)")
	}
	if p.Hidden {
		m = out.Join(m, " (hidden from the process list)")
	}
	return m
}

func processAttrs(out *timeline.Appender, p *record.Process) {
	a := attrs{out}
	if p.Start > 0 && p.Taken > 0 {
		out.AttrRaw("taken", out.Str(time.Unix(0, p.Taken).UTC().Format(time.RFC3339Nano)), 't')
	}
	a.text("comm", p.Comm)
	a.str("state", p.State)
	a.yes("deleted", p.ExeDeleted)
	a.yes("hidden", p.Hidden)
	a.yes("kthread", p.KThread)
	if p.LoginUID != unset {
		out.AttrInt("auid", p.LoginUID)
	}
	if p.UID[1] != p.UID[0] {
		out.AttrInt("euid", p.UID[1])
	}
	out.AttrInt("gid", p.GID[0])
	if p.GID[1] != p.GID[0] {
		out.AttrInt("egid", p.GID[1])
	}
	a.text("cgroup", p.Cgroup)
	if string(p.Root) != "/" {
		a.text("root", p.Root)
	}
	a.num("pgid", p.PGID)
	a.num("sid", p.SID)
	a.num("tty", p.TTY)
	a.num("tracer", p.Tracer)
	a.num("threads", p.Threads)
	a.num("start_ticks", p.StartTicks)
	a.num("exe_size", p.ExeSize)
	a.unum("exe_inode", p.ExeInode)
	a.str("exe_dev", p.ExeDev)
	a.str("cap_eff", p.CapEff)
	a.text("label", p.Label)
	names := make([]string, 0, len(p.Namespaces))
	for name := range p.Namespaces {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names[:min(len(names), listMax)] {
		out.AttrRaw(out.Join("ns.", name), out.Str(p.Namespaces[name]), 's')
	}
	for _, e := range p.Errors[:min(len(p.Errors), listMax)] {
		a.str("unread", e)
	}
}

// processFiles adds open files and mapped files other than the program.
func processFiles(out *timeline.Appender, p *record.Process) {
	a := attrs{out}
	a.num("fds", int64(len(p.FDs)))
	for _, fd := range p.FDs[:min(len(p.FDs), listMax)] {
		if len(fd.Target) > 0 {
			out.AttrRaw(out.Join("fd.", strconv.FormatInt(fd.FD, 10)), out.Text(cutText(fd.Target)), 's')
		}
	}
	seen := map[string]bool{string(p.Exe): true, "": true}
	for _, m := range p.Maps {
		if len(seen) > listMax {
			break
		}
		if path := string(m.Path); !seen[path] {
			seen[path] = true
			a.text("map", m.Path)
		}
	}
}

// digestText returns s when it is a SHA-256 in hexadecimal.
func digestText(s string) string {
	if _, err := evidence.ParseDigest(s); err != nil {
		return ""
	}
	return s
}

// containerOf finds the 64 hexadecimal digits by which container engines name
// the control group of a container.
func containerOf(cgroup []byte) string {
	run := 0
	for i := 0; i <= len(cgroup); i++ {
		if i < len(cgroup) && isHex(cgroup[i]) {
			run++
			continue
		}
		if run == 64 {
			return string(cgroup[i-64 : i])
		}
		run = 0
	}
	return ""
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
