// Package record defines the lines of the record sets that collectors write
// and parsers read: one JSON object a line, UTF-8, LF. A record set is an item
// of kind stream whose Path is one of the names below.
//
// Text that need not be UTF-8 (paths, arguments, names) is a Bytes: JSON
// text when it is valid UTF-8, else an object {"b64":"…"}. Times are integer
// nanoseconds since 1970-01-01T00:00:00Z, 0 where unknown.
package record

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Names of the record sets (evidence.Item.Path).
const (
	Self       = "live/self.jsonl"             // one Self line: the run and its clocks
	Processes  = "live/processes.jsonl"        // Process lines
	Sockets    = "live/sockets.jsonl"          // Socket lines
	Interfaces = "live/interfaces.jsonl"       // Interface lines
	Routes     = "live/routes.jsonl"           // Route lines
	Neighbours = "live/neighbours.jsonl"       // Neighbour lines
	RouteRules = "live/rules.jsonl"            // RouteRule lines
	Namespaces = "live/netns.jsonl"            // Netns lines
	NetnsFiles = "live/netns-files.jsonl"      // NetnsFile lines
	Modules    = "live/modules.jsonl"          // Module lines
	Mounts     = "live/mounts.jsonl"           // Mount lines
	Files      = "filesystem/walk.jsonl"       // File lines
	Privileged = "filesystem/privileged.jsonl" // File lines: setuid, setgid, capabilities, immutable, append only
	Capture    = "network/capture.pcapng"

	DefinitionSet = "definitions/set.tar"         // the definitions that were run, as one tar file
	Knowledge     = "definitions/knowledge.jsonl" // KnownUser lines, the first of which names the system only
	Matches       = "definitions/matches.jsonl"   // Match lines; many go on in matches-2.jsonl and so on
)

// Bytes is text from the host that need not be UTF-8.
type Bytes []byte

// MarshalJSON writes text, or base64 in an object for bytes that are no UTF-8.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return json.Marshal(string(b))
	}
	return json.Marshal(map[string]string{"b64": base64.StdEncoding.EncodeToString(b)})
}

// UnmarshalJSON reads both forms.
func (b *Bytes) UnmarshalJSON(in []byte) error {
	if len(in) > 0 && in[0] == '"' {
		var s string
		if err := json.Unmarshal(in, &s); err != nil {
			return err
		}
		*b = Bytes(s)
		return nil
	}
	var o struct {
		B64 *[]byte `json:"b64"`
	}
	if err := json.Unmarshal(in, &o); err != nil {
		return err
	}
	if o.B64 == nil {
		return fmt.Errorf("text record without b64")
	}
	*b = *o.B64
	return nil
}

// Clock is one reading of the host's clocks.
type Clock struct {
	Realtime  int64  `json:"realtime"`  // CLOCK_REALTIME, ns
	Monotonic int64  `json:"monotonic"` // CLOCK_MONOTONIC, ns
	Boottime  int64  `json:"boottime"`  // CLOCK_BOOTTIME, ns
	Synced    bool   `json:"synced"`    // adjtimex(2) says the clock is synchronised
	OffsetNS  int64  `json:"offset_ns"` // adjtimex offset
	MaxErrNS  int64  `json:"maxerr_ns"` // adjtimex maxerror
	Zone      string `json:"zone,omitempty"`
}

// SelfRecord describes the run and the host it runs on.
type SelfRecord struct {
	Clock        Clock             `json:"clock"`
	BootID       string            `json:"boot_id"`
	MachineID    string            `json:"machine_id"`
	Hostname     string            `json:"hostname"`
	Kernel       string            `json:"kernel"`
	Arch         string            `json:"arch"`
	BootTime     int64             `json:"boot_time"` // from /proc/stat btime, ns
	ClockTicks   int64             `json:"clock_ticks"`
	PID          int64             `json:"pid"`
	UID          int64             `json:"uid"`
	Capabilities string            `json:"cap_eff"`
	Args         []Bytes           `json:"args"`
	ExeSHA256    string            `json:"exe_sha256"`
	Cgroup       Bytes             `json:"cgroup"`
	Namespaces   map[string]string `json:"ns"`
}

// Process is one process at the time of the look.
type Process struct {
	Taken      int64             `json:"taken"`
	PID        int64             `json:"pid"`
	PPID       int64             `json:"ppid"`
	PGID       int64             `json:"pgid"`
	SID        int64             `json:"sid"`
	TTY        int64             `json:"tty"`
	State      string            `json:"state"`
	Comm       Bytes             `json:"comm"`
	Exe        Bytes             `json:"exe,omitempty"`
	ExeDeleted bool              `json:"exe_deleted,omitempty"`
	ExeSHA256  string            `json:"exe_sha256,omitempty"`
	ExeSize    int64             `json:"exe_size,omitempty"`
	ExeInode   uint64            `json:"exe_inode,omitempty"`
	ExeDev     string            `json:"exe_dev,omitempty"`
	Args       []Bytes           `json:"args"`
	CWD        Bytes             `json:"cwd,omitempty"`
	Root       Bytes             `json:"root,omitempty"`
	UID        [4]int64          `json:"uid"` // real, effective, saved, file system
	GID        [4]int64          `json:"gid"`
	LoginUID   int64             `json:"loginuid"` // 4294967295: unset
	SessionID  int64             `json:"sessionid"`
	StartTicks int64             `json:"start_ticks"` // field 22 of /proc/PID/stat
	Start      int64             `json:"start"`       // ns, from start_ticks and boot time
	Threads    int64             `json:"threads"`
	KThread    bool              `json:"kthread,omitempty"`
	Cgroup     Bytes             `json:"cgroup,omitempty"`
	Namespaces map[string]string `json:"ns,omitempty"`
	CapEff     string            `json:"cap_eff,omitempty"`
	Tracer     int64             `json:"tracer,omitempty"`
	Hidden     bool              `json:"hidden,omitempty"` // answers to its number but is not listed
	FDs        []FD              `json:"fds,omitempty"`
	Maps       []Map             `json:"maps,omitempty"` // executable mappings
	Label      Bytes             `json:"label,omitempty"`
	Errors     []string          `json:"errors,omitempty"` // what could not be read
}

// FD is one open file of a process.
type FD struct {
	FD     int64  `json:"fd"`
	Target Bytes  `json:"target"`
	Flags  string `json:"flags,omitempty"` // octal, from fdinfo
	Pos    int64  `json:"pos,omitempty"`
}

// Map is one executable mapping of a process.
type Map struct {
	Start string `json:"start"` // hexadecimal
	End   string `json:"end"`
	Perms string `json:"perms"`
	Inode uint64 `json:"inode,omitempty"`
	Path  Bytes  `json:"path,omitempty"`
}

// Socket is one socket at the time of the look.
type Socket struct {
	Taken   int64  `json:"taken"`
	Netns   string `json:"netns"`
	Foreign bool   `json:"foreign,omitempty"` // of another network namespace than the collector's
	Family  string `json:"family"`            // inet, inet6, unix, packet, netlink, vsock
	Proto   string `json:"proto"`             // tcp, udp, raw, stream, dgram, seqpacket
	State   string `json:"state,omitempty"`
	SrcIP   string `json:"src_ip,omitempty"`
	SrcPort int64  `json:"src_port,omitempty"`
	DstIP   string `json:"dst_ip,omitempty"`
	DstPort int64  `json:"dst_port,omitempty"`
	Inode   uint64 `json:"inode"`
	UID     int64  `json:"uid"`
	Iface   string `json:"iface,omitempty"`
	Path    Bytes  `json:"path,omitempty"`    // unix
	Peer    uint64 `json:"peer,omitempty"`    // unix: inode of the other end
	PID     int64  `json:"pid,omitempty"`     // one owner; 0 unknown
	Exe     Bytes  `json:"exe,omitempty"`     // of that owner
	From    string `json:"from"`              // sock_diag or the /proc/net file
	Filter  string `json:"filter,omitempty"`  // packet: attached classic BPF, as tcpdump -ddd spells it
	SrcCID  int64  `json:"src_cid,omitempty"` // vsock: context ids; the ports are src_port and dst_port
	DstCID  int64  `json:"dst_cid,omitempty"`
}

// Interface is one network interface.
type Interface struct {
	Netns     string   `json:"netns"`
	Index     int64    `json:"index"`
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	MTU       int64    `json:"mtu"`
	Flags     []string `json:"flags"`
	Promisc   bool     `json:"promisc,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Addresses []string `json:"addresses"`
	XDP       []XDP    `json:"xdp,omitempty"`
}

// XDP is an eBPF program that sees an interface's packets before the kernel.
type XDP struct {
	Mode string `json:"mode"` // driver, generic, hardware
	Prog int64  `json:"prog"` // BPFProgram.ID
}

// Netns is one network namespace of the host.
type Netns struct {
	Netns     string    `json:"netns"` // net:[inode]
	Inode     uint64    `json:"inode"`
	Own       bool      `json:"own,omitempty"`  // the collector's
	Processes int64     `json:"processes"`      // that live in it
	PIDs      []int64   `json:"pids"`           // the first 16 of them
	TIDs      []int64   `json:"tids,omitempty"` // threads in it whose process is elsewhere
	FDs       []NetnsFD `json:"fds,omitempty"`  // the first descriptors that stand for it
	Pins      []Bytes   `json:"pins,omitempty"` // mounts that keep it
	Entered   bool      `json:"entered"`
}

// NetnsFD is a descriptor of a process that stands for a network namespace.
type NetnsFD struct {
	PID int64 `json:"pid"`
	FD  int64 `json:"fd"`
}

// NetnsFile is one file of /proc as another network namespace than the
// collector's sees it.
type NetnsFile struct {
	Netns string `json:"netns"`
	Path  string `json:"path"`
	Data  Bytes  `json:"data"`
	Cut   bool   `json:"cut,omitempty"` // longer than 1 MiB
	Error string `json:"error,omitempty"`
}

// RouteRule is one rule that chooses a routing table (ip-rule(8)).
type RouteRule struct {
	Netns    string `json:"netns"`
	Family   string `json:"family"`
	Priority int64  `json:"priority"`
	Src      string `json:"src"` // CIDR, "all"
	Dst      string `json:"dst,omitempty"`
	In       string `json:"iif,omitempty"`
	Out      string `json:"oif,omitempty"`
	Action   string `json:"action"` // lookup, goto, blackhole …
	Table    int64  `json:"table,omitempty"`
	Goto     int64  `json:"goto,omitempty"`
	Mark     int64  `json:"fwmark,omitempty"`
	Mask     int64  `json:"fwmask,omitempty"`
	UIDs     string `json:"uids,omitempty"`
	Protocol int64  `json:"protocol,omitempty"`
	Invert   bool   `json:"not,omitempty"`
}

// Route is one route of one table.
type Route struct {
	Netns    string `json:"netns"`
	Family   string `json:"family"`
	Table    int64  `json:"table"`
	Dst      string `json:"dst"` // CIDR, "default"
	Gateway  string `json:"gateway,omitempty"`
	Iface    string `json:"iface,omitempty"`
	Source   string `json:"source,omitempty"`
	Priority int64  `json:"priority,omitempty"`
	Protocol int64  `json:"protocol,omitempty"`
}

// Neighbour is one entry of the ARP or NDP table.
type Neighbour struct {
	Netns string `json:"netns"`
	IP    string `json:"ip"`
	MAC   string `json:"mac,omitempty"`
	Iface string `json:"iface"`
	State string `json:"state"`
}

// Module is one kernel module by any of the views compared.
type Module struct {
	Name       string   `json:"name"`
	Size       int64    `json:"size,omitempty"`
	RefCount   int64    `json:"refcount,omitempty"`
	UsedBy     []string `json:"used_by,omitempty"`
	State      string   `json:"state,omitempty"`
	Address    string   `json:"address,omitempty"`
	Taint      string   `json:"taint,omitempty"`       // letters, of /proc/modules or /sys/module/NAME/taint
	TaintMeans []string `json:"taint_means,omitempty"` // each letter in words
	Version    string   `json:"srcversion,omitempty"`
	InProc     bool     `json:"in_proc"`
	InSysfs    bool     `json:"in_sysfs"`
	InKsyms    bool     `json:"in_kallsyms"`
}

// Mount is one line of /proc/self/mountinfo with its size.
type Mount struct {
	ID         int64  `json:"id"`
	Parent     int64  `json:"parent"`
	Dev        string `json:"dev"`
	Root       Bytes  `json:"root"`
	Point      Bytes  `json:"point"`
	Options    string `json:"options"`
	FSType     string `json:"fstype"`
	Source     Bytes  `json:"source"`
	SuperOpts  Bytes  `json:"super_options"`
	TotalBytes int64  `json:"total_bytes,omitempty"`
	FreeBytes  int64  `json:"free_bytes,omitempty"`
}

// File is one name met by the file system walk.
type File struct {
	Path       Bytes  `json:"path"`
	Mode       uint32 `json:"mode"`
	UID        uint32 `json:"uid"`
	GID        uint32 `json:"gid"`
	Owner      string `json:"owner,omitempty"`
	Size       int64  `json:"size"`
	Inode      uint64 `json:"inode"`
	Dev        string `json:"dev"`
	Nlink      uint32 `json:"nlink"`
	Atime      int64  `json:"atime"`
	Mtime      int64  `json:"mtime"`
	Ctime      int64  `json:"ctime"`
	Btime      int64  `json:"btime,omitempty"`
	Attributes uint64 `json:"attr,omitempty"`   // STATX_ATTR_*: 0x10 immutable, 0x20 append only
	MountID    uint64 `json:"mnt_id,omitempty"` // ID of live/mounts.jsonl
	Link       Bytes  `json:"link,omitempty"`
	SHA256     string `json:"sha256,omitempty"`
	HashNote   string `json:"hash_note,omitempty"` // why there is none

	Xattrs       []Xattr       `json:"xattrs,omitempty"`       // by name
	Capabilities *Capabilities `json:"capabilities,omitempty"` // security.capability decoded
}

// Xattr is one extended attribute.
type Xattr struct {
	Name  Bytes  `json:"name"`
	Value []byte `json:"value"` // base64
}

// Capabilities is what a file gives whoever runs it (capabilities(7)).
type Capabilities struct {
	Revision    int      `json:"revision"`
	Effective   bool     `json:"effective"` // raised at once
	Permitted   []string `json:"permitted"` // names as in capabilities(7): cap_net_raw
	Inheritable []string `json:"inheritable,omitempty"`
	RootID      uint32   `json:"rootid,omitempty"` // revision 3: root of the user namespace it counts in
}

// KnownUser is what definitions were expanded with: the system (first line),
// or an account or a home directory without one.
type KnownUser struct {
	System string `json:"system,omitempty"` // linux, windows, darwin
	Name   Bytes  `json:"name,omitempty"`   // none: a home directory that no account owns
	ID     string `json:"id,omitempty"`
	SID    string `json:"sid,omitempty"`
	Home   Bytes  `json:"home,omitempty"`
	Shell  Bytes  `json:"shell,omitempty"`
	Login  bool   `json:"login,omitempty"` // can log in, by its shell
}

// Match is a path of which definitions ask for metadata, or for a hash.
type Match struct {
	Definitions []string `json:"definitions"`
	File
}
