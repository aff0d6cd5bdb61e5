package record

// Record sets of the package managers' databases.
const (
	Packages     = "packages/installed.jsonl" // Package lines
	PackageFiles = "packages/mismatch.jsonl"  // PackageFile lines
)

// Package is one installed package, as the database of its manager has it.
type Package struct {
	Manager string `json:"manager"` // dpkg, rpm, apk, pacman
	Name    Bytes  `json:"name"`
	Version Bytes  `json:"version,omitempty"`
	Arch    Bytes  `json:"arch,omitempty"`
	State   Bytes  `json:"state,omitempty"` // dpkg: want, flag and status
	// Installed is when, in ns since 1970, where the database says so (rpm,
	// pacman). Listed is when the list of its files was written last (dpkg).
	Installed int64 `json:"installed,omitempty"`
	Listed    int64 `json:"listed,omitempty"`
}

// PackageFile is a file that is not as a package manager left it.
type PackageFile struct {
	Path Bytes `json:"path"`
	// What: changed (its digest is another), missing, unowned (it can run,
	// lies among the programs and belongs to no package), type (it is no
	// regular file any more), or unread (Detail says why).
	What    string `json:"what"`
	Manager string `json:"manager,omitempty"`
	Package Bytes  `json:"package,omitempty"`
	Config  bool   `json:"config,omitempty"` // meant to be edited
	// Algorithm (md5, sha1, sha256) is the database's, Want and Have are
	// digests by it in hexadecimal.
	Algorithm string `json:"algorithm,omitempty"`
	Want      string `json:"want,omitempty"`
	Have      string `json:"have,omitempty"`
	SHA256    string `json:"sha256,omitempty"` // of what is there
	Detail    string `json:"detail,omitempty"`
	// Of what is there; times in nanoseconds since 1970.
	Mode  uint32 `json:"mode,omitempty"`
	UID   uint32 `json:"uid,omitempty"`
	GID   uint32 `json:"gid,omitempty"`
	Size  int64  `json:"size,omitempty"`
	Inode uint64 `json:"inode,omitempty"`
	Mtime int64  `json:"mtime,omitempty"`
	Ctime int64  `json:"ctime,omitempty"`
	Btime int64  `json:"btime,omitempty"`
}
