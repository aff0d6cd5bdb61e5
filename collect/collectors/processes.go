package collectors

import (
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// linuxProcesses writes two record sets in one pass over all processes.
//
// live/processes.jsonl holds one record.Process each: what is parsed.
//
// live/proc-raw.jsonl (ProcRaw) holds what it was parsed from and everything
// else procfs says, as it says it: one RawFile line for each file that is not
// empty. One record set instead of forty small files for each process, because
// a record in the bundle costs more than most of these files have bytes, and
// because equal lines of neighbouring processes compress to almost nothing.
// File "fd" lists, as number, blank, target and a zero byte each, the open
// files of a process that has more than its record holds.
// What many processes share is written once: mountinfo for each mount
// namespace.
//
// Processes are looked for in two ways: by listing procfs, and by asking for
// each number up to the highest with signal 0, which is not sent. One that
// answers but is not listed, or whose folder is covered by a mount, is marked
// hidden.
var linuxProcesses = register(collect.Collector{
	Name: "linux_processes",
	Doc:  "Processes and threads with everything procfs says of them, hashes of their executables, and hidden ones",
	Tier: collect.TierProcesses,
	Live: true,
	Run:  collectProcesses,

	Expect: expectProcesses,
})

// ProcRaw is the name of the record set of RawFile lines.
const ProcRaw = "live/proc-raw.jsonl"

// RawFile is one file of /proc/PID (or of /proc/PID/task/TID) as it was read.
type RawFile struct {
	PID   int64  `json:"pid"`
	Start int64  `json:"start_ticks"` // with the pid it names the process
	TID   int64  `json:"tid,omitempty"`
	File  string `json:"file"`
	// Offset is where Data belongs: a long file takes several lines.
	Offset int64        `json:"offset,omitempty"`
	Data   record.Bytes `json:"data"`
	Cut    bool         `json:"cut,omitempty"` // longer than the limit, which is Offset
	Error  string       `json:"error,omitempty"`
}

// rawFiles of each process, and threadFiles of each thread but the first.
var (
	rawFiles = []string{
		"stat", "statm", "status", "cmdline", "environ", "auxv", "comm", "cgroup", "maps", "limits", "io", "sched",
		"schedstat", "wchan", "stack", "syscall", "loginuid", "sessionid", "attr/current", "attr/exec",
		"uid_map", "gid_map", "setgroups", "oom_score_adj", "timens_offsets", "autogroup", "personality",
		"coredump_filter", "cpuset", "timers", "seccomp_cache", "patch_state", "oom_score", "smaps_rollup",
	}
	threadFiles = []string{"stat", "status", "comm", "wchan", "stack", "syscall", "attr/current", "children"}
	// threadNamespaces are links of a thread that are written, as files of
	// that name, where they differ from the process's: unshare(2) and setns(2)
	// move single threads.
	threadNamespaces = []string{"net", "mnt", "user", "uts", "ipc"}
)

// ProcessViews is the name of the record set of disagreements about which
// processes there are: ProcessView a line. It is there only where there are any.
const ProcessViews = "live/process-views.jsonl"

// ProcessView is a process that not all ways of looking show.
type ProcessView struct {
	PID     int64 `json:"pid"`
	Listed  bool  `json:"listed"`  // by the host's own /proc
	Private bool  `json:"private"` // by a procfs of our own; never where there is none
	Opens   bool  `json:"opens"`   // its folder opens by number
	Answers bool  `json:"answers"` // to signal 0, which is not sent
	Covered bool  `json:"covered"` // by a mount over its folder
	// Cgroup is the group whose cgroup.procs lists it, "" where none does.
	Cgroup record.Bytes `json:"cgroup,omitempty"`
	Why    string       `json:"why"`
}

// linuxDeleted recovers what exists only as long as a process holds it.
var linuxDeleted = register(collect.Collector{
	Name: "linux_deleted",
	Doc:  "Executables, libraries and open files that were deleted or never had a name (memfd), whole, from the processes that hold them",
	Tier: collect.TierProcesses,
	Live: true,
	Run:  collectDeleted,
})
