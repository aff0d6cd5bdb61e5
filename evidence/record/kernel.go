package record

// Record sets of the kernel's tracing and security state.
const (
	Probes       = "live/probes.jsonl"        // Probe lines
	Ftrace       = "live/ftrace.jsonl"        // TracedFunction lines
	BootSecurity = "live/boot-security.jsonl" // one BootState line
	BinaryFormat = "live/binfmt.jsonl"        // BinFormat lines
	Keys         = "live/keys.jsonl"          // Key lines
	IMA          = "live/ima.jsonl"           // Measurement lines
)

// BinFormat is a handler of binfmt_misc (admin-guide/binfmt-misc): what the
// kernel starts for files of some kind.
type BinFormat struct {
	Name        Bytes  `json:"name"`
	Enabled     bool   `json:"enabled"`
	Interpreter Bytes  `json:"interpreter"`
	Flags       string `json:"flags,omitempty"` // letters: P argv[0] kept, O opened by the kernel, C credentials of the file, F opened when it was registered
	Extension   Bytes  `json:"extension,omitempty"`
	Offset      int64  `json:"offset,omitempty"`
	Magic       string `json:"magic,omitempty"` // hexadecimal
	Mask        string `json:"mask,omitempty"`
}

// Key is a line of /proc/keys (proc_keys(5)): a key that the collector may see.
type Key struct {
	Serial      string `json:"serial"` // hexadecimal
	Flags       string `json:"flags"`  // letters: I instantiated, R revoked, D dead, Q quota, U under construction, N negative, i invalidated
	Usage       int64  `json:"usage"`
	Timeout     string `json:"timeout"` // perm, expd, or what is left: 3d
	Perm        string `json:"perm"`    // hexadecimal
	UID         int64  `json:"uid"`
	GID         int64  `json:"gid"` // -1: none
	Type        Bytes  `json:"type"`
	Description Bytes  `json:"description"`
}

// Measurement is an entry of the list that IMA keeps (security/IMA-templates):
// a file as it was when the kernel first met it in this state.
type Measurement struct {
	Number       int64  `json:"number"` // of the line, from 1
	PCR          int64  `json:"pcr"`
	TemplateHash string `json:"template_hash"`
	Template     string `json:"template"`
	Algorithm    string `json:"algorithm,omitempty"`
	Hash         string `json:"hash,omitempty"`
	Path         Bytes  `json:"path,omitempty"` // blanks are underscores
	Signed       bool   `json:"signed,omitempty"`
	Text         Bytes  `json:"text,omitempty"` // the line, of a template that is not known
}

// Probe is one dynamic event of tracefs (trace/kprobetrace, trace/uprobetracer):
// code of the kernel or of a program at which the kernel stops to look.
type Probe struct {
	Source string `json:"source"` // the file of tracefs that lists it
	// Kind is kprobe, kretprobe, uprobe, uretprobe, eprobe, fprobe, synthetic,
	// or "" for one that is not known.
	Kind   string `json:"kind"`
	Group  Bytes  `json:"group"`
	Event  Bytes  `json:"event"`
	Target Bytes  `json:"target"` // function, or path:offset of a program
	Args   Bytes  `json:"args,omitempty"`
	Text   Bytes  `json:"text"` // the line
}

// TracedFunction is a line of tracefs' enabled_functions (trace/ftrace): a
// function of the kernel whose entry calls something else.
type TracedFunction struct {
	Name     Bytes  `json:"name"`
	Module   Bytes  `json:"module,omitempty"`
	Count    int64  `json:"count"`              // callbacks
	Flags    string `json:"flags,omitempty"`    // letters: R registers, I changes the return, D direct, O optimised, M modified
	Callback Bytes  `json:"callback,omitempty"` // where it leads, as the kernel writes it
}

// BootState says what guards the kernel against its own administrator. A
// field that the host does not tell is absent.
type BootState struct {
	SecureBoot *bool    `json:"secure_boot,omitempty"` // EFI variable SecureBoot
	SetupMode  *bool    `json:"setup_mode,omitempty"`  // EFI variable SetupMode: keys can be enrolled without proof
	Lockdown   string   `json:"lockdown,omitempty"`    // none, integrity, confidentiality
	LSM        []string `json:"lsm,omitempty"`         // security modules in their order
}
