package collectors

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

const (
	// ProcessMemoryName is the name of the collector that ProcessMemory makes.
	ProcessMemoryName = "process_memory"

	// ProcessMemoryMap is the name of the record set that says what of which
	// process was taken: ProcessMemoryRecord a line.
	ProcessMemoryMap = "memory/processes.jsonl"

	// SelectFindings chooses the processes about which the collector's own
	// cross-checks say something.
	SelectFindings = "finding"

	// processChunk is what one item holds at most of a process.
	processChunk = 16 << 20
)

// ProcessMemoryOptions say whose memory is taken.
type ProcessMemoryOptions struct {
	// Which holds process ids, names (comm, or the base name of the
	// executable, whole and exact) and SelectFindings.
	Which []string
	// Freeze stops each process while it is read.
	Freeze bool
}

// ProcessMemoryRecord is a line of ProcessMemoryMap. What is:
//
//	process   one process before it is read: why it was chosen, its
//	          executable and its auxiliary vector
//	thread    a thread of it, with what is known of its registers
//	range     a mapping: Stored says how many bytes of it there are to take,
//	          Why why nothing was taken of it
//	taken     a chunk: the item Path holds memory from Start on, before End
//	unread    memory that could not be read; it is in no chunk
//	end       how it went with the process: State and Why
//	selection a choice that fitted no process, or more than one
//
// Start and End are virtual addresses of the process, End not included.
// Together with StartTicks, PID names one process of one boot.
type ProcessMemoryRecord struct {
	What       string `json:"what"`
	Taken      int64  `json:"taken,omitempty"` // ns since 1970
	PID        int64  `json:"pid,omitempty"`
	StartTicks int64  `json:"start_ticks,omitempty"`

	// Of a process.
	Chosen  []string       `json:"chosen,omitempty"` // by which choices, and for which reasons
	Comm    record.Bytes   `json:"comm,omitempty"`
	Exe     record.Bytes   `json:"exe,omitempty"`
	Args    []record.Bytes `json:"args,omitempty"`
	PPID    int64          `json:"ppid,omitempty"`
	PGID    int64          `json:"pgid,omitempty"`
	SID     int64          `json:"sid,omitempty"`
	UID     int64          `json:"uid,omitempty"`
	GID     int64          `json:"gid,omitempty"`
	Auxv    []byte         `json:"auxv,omitempty"`    // /proc/PID/auxv, words of the process
	Class   int            `json:"class,omitempty"`   // 32 or 64, from the executable's ELF header
	Machine int            `json:"machine,omitempty"` // e_machine of it
	Frozen  bool           `json:"frozen,omitempty"`  // it stood still while it was read

	// Of a thread.
	TID       int64  `json:"tid,omitempty"`
	Registers []byte `json:"registers,omitempty"` // NT_PRSTATUS pr_reg, of a frozen one
	PC        uint64 `json:"pc,omitempty"`        // else, of one that waits in a system call
	SP        uint64 `json:"sp,omitempty"`

	// Of a range, a chunk or unread memory.
	Start     uint64       `json:"start,omitempty"`
	End       uint64       `json:"end,omitempty"`
	Perms     string       `json:"perms,omitempty"`
	Offset    uint64       `json:"offset,omitempty"` // of the backing file
	Dev       string       `json:"dev,omitempty"`    // major:minor, decimal
	Inode     uint64       `json:"inode,omitempty"`
	Backing   record.Bytes `json:"backing,omitempty"` // in the kernel's words
	Flags     string       `json:"flags,omitempty"`   // VmFlags of smaps
	Stored    uint64       `json:"stored,omitempty"`  // bytes in memory or in swap when it was looked at
	Untouched uint64       `json:"untouched,omitempty"`
	Path      string       `json:"path,omitempty"` // of the item
	Errno     int          `json:"errno,omitempty"`

	State string `json:"state,omitempty"` // complete, partial, ended, replaced, denied, none, stopped
	Why   string `json:"why,omitempty"`
}

// ProcessMemory collects the memory of chosen processes as items of at most
// 16 MiB, each a row of ranges after headers of 32 bytes as in a LiME file,
// the addresses virtual. It is not on the shelf: memory holds secrets, so
// whoever runs a collection decides about it.
func ProcessMemory(opt ProcessMemoryOptions) collect.Collector {
	return collect.Collector{
		Name: ProcessMemoryName,
		Doc:  "Memory of chosen processes",
		Tier: collect.TierProcesses,
		Live: true,
		// A slow sink must not be the reason why half of it is missing.
		Deadline: 12 * time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			return collectProcessMemory(ctx, opt, h, out)
		},
		Expect: func(ctx context.Context, h *collect.Host) (collect.Expected, error) {
			return expectProcessMemory(ctx, opt, h)
		},
	}
}

// CheckSelection refuses what can be no choice of processes.
func CheckSelection(which string) error {
	if which == "" {
		return fmt.Errorf("an empty name chooses no process")
	}
	if strings.ContainsAny(which, ",;/\x00\n") {
		return fmt.Errorf("%q: a name with , ; / or a line break cannot be written in an order; give the process id", which)
	}
	if pid, err := strconv.ParseInt(which, 10, 64); err == nil && pid < 1 {
		return fmt.Errorf("%q is no process id", which)
	}
	return nil
}

// linuxCode takes code that is in memory only, or differs from its file.
var linuxCode = register(collect.Collector{
	Name: "linux_code",
	Doc:  "Executable memory without a file behind it, and pages of executable mappings that differ from their file, whole, each content once",
	Tier: collect.TierProcesses,
	Live: true,
	Run:  collectCode,
})
