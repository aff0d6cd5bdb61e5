package record

// Record sets of the kernel's tracing and security state.
const (
	Probes       = "live/probes.jsonl"        // Probe lines
	Ftrace       = "live/ftrace.jsonl"        // TracedFunction lines
	BootSecurity = "live/boot-security.jsonl" // one BootState line
)

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
