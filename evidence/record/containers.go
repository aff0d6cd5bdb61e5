package record

// Names of the record sets about containers.
const (
	Containers       = "containers/containers.jsonl" // Container lines
	ContainerChanges = "containers/changes.jsonl"    // ContainerChange lines
	ContainerSockets = "containers/sockets.jsonl"    // ContainerSocket lines
)

// Container is one container as the files of its engine tell it, whether it
// runs or not. Text that engines keep as JSON is text here.
type Container struct {
	Engine    string `json:"engine"` // docker, containerd, podman, cri-o, containers-storage, overlay (a mount that no engine owns up to)
	Namespace string `json:"namespace,omitempty"`
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`

	Image       string `json:"image,omitempty"`
	ImageID     string `json:"image_id,omitempty"`
	ImageDigest string `json:"image_digest,omitempty"`

	Created  int64  `json:"created,omitempty"`
	Started  int64  `json:"started,omitempty"`
	Finished int64  `json:"finished,omitempty"`
	State    string `json:"state,omitempty"` // in the engine's words: running, exited, paused …
	ExitCode *int64 `json:"exit_code,omitempty"`

	// PID is as the files have it. StartTicks is there when a process of this
	// number is running and is the container's: then both are the key of a
	// Process.
	PID        int64             `json:"pid,omitempty"`
	StartTicks int64             `json:"start_ticks,omitempty"`
	Namespaces map[string]string `json:"ns,omitempty"` // of that process
	Cgroup     Bytes             `json:"cgroup,omitempty"`

	Args []string `json:"args,omitempty"`
	CWD  string   `json:"cwd,omitempty"`
	User string   `json:"user,omitempty"`
	// Env has the names of the environment, with their values only where
	// secrets were ordered.
	Env []string `json:"env,omitempty"`

	Mounts       []ContainerMount  `json:"mounts,omitempty"`
	Privileged   bool              `json:"privileged"`
	Capabilities []string          `json:"capabilities,omitempty"` // bounding set; of docker's own files: what was added (+) and dropped (-)
	HostPID      bool              `json:"host_pid,omitempty"`
	HostIPC      bool              `json:"host_ipc,omitempty"`
	HostNetwork  bool              `json:"host_network,omitempty"`
	NetworkMode  string            `json:"network_mode,omitempty"`
	Security     []string          `json:"security,omitempty"` // seccomp, AppArmor, SELinux, user namespace
	Devices      []string          `json:"devices,omitempty"`
	Ports        []string          `json:"ports,omitempty"` // 0.0.0.0:8080->80/tcp
	Addresses    []string          `json:"addresses,omitempty"`
	Restart      string            `json:"restart,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Log          string            `json:"log,omitempty"`

	Driver string  `json:"driver,omitempty"` // of the layers
	Lower  []Bytes `json:"lower,omitempty"`  // topmost first
	Upper  Bytes   `json:"upper,omitempty"`
	Work   Bytes   `json:"work,omitempty"`
	Rootfs Bytes   `json:"rootfs,omitempty"`

	Sources []Bytes  `json:"sources"`          // files this was read from
	Errors  []string `json:"errors,omitempty"` // what could not be read, or does not fit together
}

// ContainerMount is a folder or file from outside in a container.
type ContainerMount struct {
	Type   string `json:"type"` // bind, volume, tmpfs …
	Source string `json:"source,omitempty"`
	Target string `json:"target"`
	Name   string `json:"name,omitempty"` // of a volume
	Write  bool   `json:"write"`
}

// ContainerChange is a path at which the topmost layer of a container differs
// from its image. Path is as the container sees it; File.Path is where it is
// on the host. Content that was taken is an item of that path.
type ContainerChange struct {
	Engine    string `json:"engine"`
	Container string `json:"container"`
	Path      Bytes  `json:"path"`
	Change    string `json:"change"` // added, changed, deleted
	// Opaque: a folder that hides what the image has below it.
	Opaque   bool  `json:"opaque,omitempty"`
	Redirect Bytes `json:"redirect,omitempty"` // a folder that was renamed: its name in the image
	// MetaOnly: owner or mode changed, the content is the image's.
	MetaOnly bool `json:"meta_only,omitempty"`
	File     File `json:"file"` // of a deleted path: the whiteout, or nothing where an opaque folder hides it
	// Content says what became of the content: taken, hashed, or why neither.
	Content string `json:"content,omitempty"`
}

// ContainerSocket is the socket of an engine, and what it answered.
type ContainerSocket struct {
	Path     Bytes    `json:"path"`
	API      string   `json:"api"` // docker, or cri, which is not asked
	Present  bool     `json:"present"`
	NotAsked string   `json:"not_asked,omitempty"` // why, of one that is present
	Asked    int64    `json:"asked"`               // requests sent
	Items    []string `json:"items,omitempty"`     // the answers
	Version  string   `json:"version,omitempty"`   // as the engine states it
	Errors   []string `json:"errors,omitempty"`
}
