package record

// Record sets of what starts with others.
const (
	AuthModules = "persistence/auth-modules.jsonl" // AuthModule lines
	BootFiles   = "persistence/boot-files.jsonl"   // BootFile lines
)

// AuthModule is a module of PAM or of the name service switch: one that
// configuration names, or a file that lies where modules are looked for.
type AuthModule struct {
	Kind string `json:"kind"` // pam, nss
	Name Bytes  `json:"name"` // as configuration spells it; of a file that nothing names, its own
	// State: named (and the file is there), missing (named and not there),
	// builtin (of NSS: part of libc, and no file), unnamed (there, and
	// nothing names it).
	State string    `json:"state"`
	Uses  []AuthUse `json:"uses,omitempty"`
	// Omitted is how many more uses there are than are listed.
	Omitted int `json:"omitted,omitempty"`
	OwnedFile
}

// AuthUse is one line of configuration that names a module.
type AuthUse struct {
	File    Bytes   `json:"file"`
	Line    int     `json:"line"`
	Service Bytes   `json:"service,omitempty"` // PAM: of pam.conf; NSS: the database
	Type    Bytes   `json:"type,omitempty"`    // PAM: auth, account, password, session
	Control Bytes   `json:"control,omitempty"` // PAM: required, [success=1 default=ignore]; NSS: the action after it
	Args    []Bytes `json:"args,omitempty"`
	Silent  bool    `json:"silent,omitempty"` // PAM: "-", that it is missing is not logged
}

// OwnedFile is a file and what the package manager's database says of it.
type OwnedFile struct {
	Path   Bytes  `json:"path,omitempty"`
	Target Bytes  `json:"target,omitempty"` // where Path is a link: the file it leads to
	SHA256 string `json:"sha256,omitempty"`
	Mode   uint32 `json:"mode,omitempty"`
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
	Mtime  int64  `json:"mtime,omitempty"` // ns since 1970
	Ctime  int64  `json:"ctime,omitempty"`
	Btime  int64  `json:"btime,omitempty"`

	Manager string `json:"manager,omitempty"`
	Package Bytes  `json:"package,omitempty"`
	// Check: same, changed (its digest is not the database's), listed (the
	// database has no digest of it), unowned (it belongs to no package),
	// unknown (not every database of the host was read, or the file lies
	// where they were not asked about).
	Check     string `json:"check,omitempty"`
	Algorithm string `json:"algorithm,omitempty"` // of Want
	Want      string `json:"want,omitempty"`      // where it changed: the database's digest
	Detail    string `json:"detail,omitempty"`    // what could not be done
}

// BootFile is a file that the machine starts with.
type BootFile struct {
	Kind string `json:"kind"` // by its name: kernel, initramfs, loader, other
	OwnedFile
}
