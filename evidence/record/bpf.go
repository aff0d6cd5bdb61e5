package record

// Names of the record sets of eBPF objects. The instructions of each program,
// as the kernel has rewritten them (struct bpf_insn, 8 bytes each), are an item
// of their own: live/bpf/prog-ID.xlated.
const (
	BPFPrograms = "live/bpf-programs.jsonl" // BPFProgram lines
	BPFMaps     = "live/bpf-maps.jsonl"     // BPFMap lines
	BPFLinks    = "live/bpf-links.jsonl"    // BPFLink lines
	BPFTypes    = "live/bpf-btf.jsonl"      // BTF lines
)

// BPFProgram is one eBPF program in the kernel.
type BPFProgram struct {
	ID       int64       `json:"id"`
	Type     string      `json:"type"` // as bpftool(8) spells it
	Name     Bytes       `json:"name"`
	Tag      string      `json:"tag"`        // hexadecimal, hash of the instructions
	LoadedNS int64       `json:"loaded_ns"`  // CLOCK_BOOTTIME of the load
	Loaded   int64       `json:"loaded"`     // the same as time, by the clock of the look
	UID      int64       `json:"uid"`        // who loaded it
	Maps     []int64     `json:"maps"`       // BPFMap.ID
	GPL      bool        `json:"gpl"`        // declared a GPL compatible licence
	Xlated   int64       `json:"xlated_len"` // bytes of instructions; 0: the kernel does not tell
	Content  string      `json:"content,omitempty"`
	Jited    int64       `json:"jited_len"`
	BTF      int64       `json:"btf_id,omitempty"`
	Ifindex  int64       `json:"ifindex,omitempty"` // offloaded to this device
	Runs     uint64      `json:"run_cnt,omitempty"` // with kernel.bpf_stats_enabled
	RunNS    uint64      `json:"run_time_ns,omitempty"`
	Owners   []BPFHolder `json:"owners,omitempty"`
	Pins     []Bytes     `json:"pins,omitempty"`  // paths in a bpf file system
	Links    []int64     `json:"links,omitempty"` // BPFLink.ID
}

// BPFHolder is a process with a descriptor of an eBPF object.
type BPFHolder struct {
	PID int64 `json:"pid"`
	FD  int64 `json:"fd"`
}

// BPFMap is one eBPF map; what is in it is not taken.
type BPFMap struct {
	ID         int64       `json:"id"`
	Type       string      `json:"type"`
	Name       Bytes       `json:"name"`
	KeySize    int64       `json:"key_size"`
	ValueSize  int64       `json:"value_size"`
	MaxEntries int64       `json:"max_entries"`
	Flags      int64       `json:"flags"`
	BTF        int64       `json:"btf_id,omitempty"`
	Owners     []BPFHolder `json:"owners,omitempty"`
	Pins       []Bytes     `json:"pins,omitempty"`
}

// BPFLink is what ties a program to where it runs. Target says where, in
// words; Info is all the kernel says (struct bpf_link_info), hexadecimal.
type BPFLink struct {
	ID     int64       `json:"id"`
	Type   string      `json:"type"`
	Prog   int64       `json:"prog_id"`
	Target Bytes       `json:"target,omitempty"`
	Info   string      `json:"info"`
	Owners []BPFHolder `json:"owners,omitempty"`
	Pins   []Bytes     `json:"pins,omitempty"`
}

// BTF is a description of types in the kernel.
type BTF struct {
	ID     int64       `json:"id"`
	Name   Bytes       `json:"name"`
	Size   int64       `json:"size"`
	Kernel bool        `json:"kernel"` // of the kernel or one of its modules
	Owners []BPFHolder `json:"owners,omitempty"`
}
