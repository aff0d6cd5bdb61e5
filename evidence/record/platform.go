package record

// Record sets of systems other than Linux. Times are ns since 1970, 0 where
// they are not known.
const (
	WindowsProcesses = "live/windows-processes.jsonl" // WindowsProcess lines
	WindowsSockets   = "live/windows-sockets.jsonl"   // WindowsSocket lines
	WindowsProfiles  = "live/windows-profiles.jsonl"  // WindowsProfile lines
	WindowsSessions  = "live/windows-sessions.jsonl"  // WindowsSession lines
	WindowsServices  = "live/windows-services.jsonl"  // WindowsService lines
	DarwinProcesses  = "live/darwin-processes.jsonl"  // DarwinProcess lines
)

// WindowsProcess is one process of a running Windows host. PID and Start
// together name it.
type WindowsProcess struct {
	Taken     int64           `json:"taken"`
	PID       uint32          `json:"pid"`
	PPID      uint32          `json:"ppid"` // may be the number of a later process: compare Start
	Start     int64           `json:"start,omitempty"`
	Session   *uint32         `json:"session,omitempty"`
	Name      Bytes           `json:"name"`
	Exe       Bytes           `json:"exe,omitempty"` // path of Windows: C:\…
	ExeSHA256 string          `json:"exe_sha256,omitempty"`
	ExeSize   int64           `json:"exe_size,omitempty"`
	Command   Bytes           `json:"command,omitempty"` // one line, as the process got it
	Owner     string          `json:"owner,omitempty"`   // security identifier of its token
	Elevated  *bool           `json:"elevated,omitempty"`
	Threads   uint32          `json:"threads"`
	UserNS    int64           `json:"user_ns,omitempty"`
	KernelNS  int64           `json:"kernel_ns,omitempty"`
	Modules   []WindowsModule `json:"modules,omitempty"`
	Errors    []string        `json:"errors,omitempty"` // what could not be read
}

// WindowsModule is an image in a process.
type WindowsModule struct {
	Path Bytes  `json:"path"`
	Base string `json:"base"` // hexadecimal
	Size uint32 `json:"size"`
}

// WindowsSocket is one row of the tables of TCP and UDP endpoints.
type WindowsSocket struct {
	Taken      int64  `json:"taken"`
	Proto      string `json:"proto"`  // tcp, udp
	Family     string `json:"family"` // inet, inet6
	Local      string `json:"local"`
	LocalPort  uint16 `json:"local_port"`
	Remote     string `json:"remote,omitempty"`
	RemotePort uint16 `json:"remote_port,omitempty"`
	State      string `json:"state,omitempty"` // of TCP
	PID        uint32 `json:"pid"`
	Created    int64  `json:"created,omitempty"`
}

// WindowsProfile is an account that has or had a profile on the host.
type WindowsProfile struct {
	SID     string `json:"sid"`
	Path    Bytes  `json:"path,omitempty"`
	Account string `json:"account,omitempty"` // as the host resolves the SID
	Domain  string `json:"domain,omitempty"`
	Flags   uint64 `json:"flags,omitempty"`
	State   uint64 `json:"state,omitempty"`
	Error   string `json:"error,omitempty"`
}

// WindowsSession is one session of the terminal services, the console included.
type WindowsSession struct {
	Taken   int64  `json:"taken"`
	ID      uint32 `json:"id"`
	Station Bytes  `json:"station"`
	State   string `json:"state"`
	User    Bytes  `json:"user,omitempty"`
	Domain  Bytes  `json:"domain,omitempty"`
	Client  Bytes  `json:"client,omitempty"`
	Error   string `json:"error,omitempty"`
}

// WindowsService is one key below CurrentControlSet\Services.
type WindowsService struct {
	Name       Bytes  `json:"name"`
	Written    int64  `json:"written,omitempty"` // last write of the key
	Display    Bytes  `json:"display,omitempty"`
	Image      Bytes  `json:"image,omitempty"`
	ServiceDLL Bytes  `json:"service_dll,omitempty"`
	Account    Bytes  `json:"account,omitempty"`
	Type       uint64 `json:"type"`
	Start      uint64 `json:"start"`
	Error      string `json:"error,omitempty"`
}

// DarwinProcess is one process of a running macOS host.
type DarwinProcess struct {
	Taken     int64    `json:"taken"`
	PID       int32    `json:"pid"`
	PPID      int32    `json:"ppid"`
	PGID      int32    `json:"pgid"`
	Start     int64    `json:"start"`
	UID       uint32   `json:"uid"`
	RUID      uint32   `json:"ruid"`
	GID       uint32   `json:"gid"`
	TTY       int64    `json:"tty"`
	State     string   `json:"state"`
	Flags     uint64   `json:"flags"`
	Name      Bytes    `json:"name"`
	Exe       Bytes    `json:"exe,omitempty"`
	ExeSHA256 string   `json:"exe_sha256,omitempty"`
	ExeSize   int64    `json:"exe_size,omitempty"`
	Args      []Bytes  `json:"args,omitempty"`
	Errors    []string `json:"errors,omitempty"`
}
