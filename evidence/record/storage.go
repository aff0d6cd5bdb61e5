package record

// Record sets of mounts and of what lies below file systems.
const (
	MountNamespaces = "live/mount-namespaces.jsonl" // MountNamespace lines
	ForeignMounts   = "live/foreign-mounts.jsonl"   // ForeignMount lines
	BlockDevices    = "live/block-devices.jsonl"    // BlockDevice lines
	Swaps           = "live/swaps.jsonl"            // Swap lines
)

// MountNamespace is one mount namespace that some process is in.
type MountNamespace struct {
	Mntns     string `json:"mntns"` // mnt:[inode]
	Foreign   bool   `json:"foreign,omitempty"`
	PID       int64  `json:"pid"` // whose mountinfo was read: the lowest that answered
	Comm      Bytes  `json:"comm,omitempty"`
	Processes int64  `json:"processes"`
	Mounts    int64  `json:"mounts"`
	Error     string `json:"error,omitempty"` // why its mounts are not known
}

// ForeignMount is a mount of another mount namespace than the collector's.
// Point is a path in it, below the root of the process PID.
type ForeignMount struct {
	Mntns string `json:"mntns"`
	PID   int64  `json:"pid"`
	Mount
}

// BlockDevice is one block device of /sys/block or a partition of one.
type BlockDevice struct {
	Name      string   `json:"name"`
	Dev       string   `json:"dev"` // major:minor, as mounts have it
	Disk      string   `json:"disk,omitempty"`
	Bytes     int64    `json:"bytes"`
	Start     int64    `json:"start,omitempty"` // of a partition, in bytes
	ReadOnly  bool     `json:"read_only,omitempty"`
	Removable bool     `json:"removable,omitempty"`
	Model     Bytes    `json:"model,omitempty"`
	Slaves    []string `json:"slaves,omitempty"`  // it is made of these
	Holders   []string `json:"holders,omitempty"` // these are made of it
	Loop      *Loop    `json:"loop,omitempty"`
	DM        *DM      `json:"dm,omitempty"`
	MD        *MD      `json:"md,omitempty"`
}

// Loop is what a loop device shows (loop(4)).
type Loop struct {
	File      Bytes `json:"file"` // in the mount namespace of who set it up
	Deleted   bool  `json:"deleted,omitempty"`
	Offset    int64 `json:"offset"`
	SizeLimit int64 `json:"size_limit,omitempty"`
	Autoclear bool  `json:"autoclear,omitempty"`
	DirectIO  bool  `json:"direct_io,omitempty"`
}

// DM is a device of the device mapper. Kind is what its UUID says made it:
// crypt, lvm, verity, integrity, mpath, partition, or the prefix itself.
type DM struct {
	Name      Bytes  `json:"name"`
	UUID      Bytes  `json:"uuid,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Suspended bool   `json:"suspended,omitempty"`
}

// MD is a software RAID.
type MD struct {
	Level    string `json:"level"`
	State    string `json:"state"`
	Disks    int64  `json:"disks"`
	Degraded int64  `json:"degraded,omitempty"`
	Version  string `json:"version,omitempty"`
	UUID     string `json:"uuid,omitempty"`
}

// Swap is a line of /proc/swaps.
type Swap struct {
	Path     Bytes  `json:"path"`
	Deleted  bool   `json:"deleted,omitempty"`
	Type     string `json:"type"` // partition, file
	Bytes    int64  `json:"bytes"`
	Used     int64  `json:"used_bytes"`
	Priority int64  `json:"priority"`
}
