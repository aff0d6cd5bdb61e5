package collectors

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// linuxBPF writes the eBPF objects of the kernel (record.BPFPrograms and the
// others), which bpf(2) lists whether they are pinned, held by a process or by
// the kernel alone, and the instructions of each program. What the three
// other views show - descriptors of processes, pins in bpf file systems, the
// symbols of compiled programs - and the list does not is a problem: somebody
// hides it. What is in the maps is not taken.
var linuxBPF = register(collect.Collector{
	Name: "linux_bpf",
	Doc:  "eBPF programs with their instructions, maps, links and types, with who holds and where they are pinned",
	Tier: collect.TierKernel,
	Live: true,
	Run:  collectBPF,
})

// bpfInfo reads the ids of the object a descriptor stands for from its fdinfo
// (proc_pid_fdinfo(5)): "prog_id:\t7". A link names its program as well.
func bpfInfo(text []byte) map[string]int64 {
	ids := map[string]int64{}
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		switch key {
		case "prog_id", "map_id", "link_id", "btf_id":
			if id, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
				ids[key] = id
			}
		}
	}
	return ids
}

// programSymbol returns the tag of the program of one line of /proc/kallsyms:
//
//	ffffffffc0a01000 t bpf_prog_6deef7357e7b4530_name	[bpf]
func programSymbol(line []byte) (tag string, ok bool) {
	_, rest, ok := bytes.Cut(line, []byte(" bpf_prog_"))
	if !ok || len(rest) < 16 || !bytes.Contains(rest, []byte("[bpf]")) {
		return "", false
	}
	for _, c := range rest[:16] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return string(rest[:16]), true
}
