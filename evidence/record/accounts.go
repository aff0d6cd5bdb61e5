package record

// Record sets of accounts, decoded from the files that define them. No line
// holds a password hash or a key that lets its holder act as somebody.
const (
	Accounts       = "accounts/users.jsonl"           // Account lines
	Groups         = "accounts/groups.jsonl"          // Group lines
	AuthorizedKeys = "accounts/authorized-keys.jsonl" // AuthorizedKey lines
	SudoRules      = "accounts/sudoers.jsonl"         // SudoRule lines
)

// Account is a line of passwd(5) with what shadow(5) says of the same name, or
// a line of shadow whose name is not in passwd.
type Account struct {
	Name  Bytes  `json:"name"`
	Line  int    `json:"line,omitempty"` // of /etc/passwd; 0: not in it
	UID   *int64 `json:"uid,omitempty"`
	GID   *int64 `json:"gid,omitempty"`
	Gecos Bytes  `json:"gecos,omitempty"`
	Home  Bytes  `json:"home,omitempty"`
	Shell Bytes  `json:"shell,omitempty"`

	// Password: set (a hash is there), empty (no password is asked for), none
	// (no hash that a password can have: *, !), unknown (shadow has no such
	// line, or could not be read).
	Password string `json:"password"`
	In       string `json:"in,omitempty"` // where: passwd, shadow
	Locked   bool   `json:"locked,omitempty"`
	// Algorithm of a hash that is set: yescrypt, sha512-crypt, md5-crypt,
	// des-crypt, …; "?" for one that is not known.
	Algorithm string `json:"algorithm,omitempty"`
	// Fingerprint is the SHA-256 of the hash with its salt: two hosts with the
	// same line have the same. It is there only where the salt is too long for
	// guesses to be tried against it.
	Fingerprint string `json:"fingerprint,omitempty"`
	ShadowLine  int    `json:"shadow_line,omitempty"`
	Changed     int64  `json:"changed,omitempty"` // of the password, to the day: ns since 1970
	Expires     int64  `json:"expires,omitempty"` // of the account, to the day
	MustChange  bool   `json:"must_change,omitempty"`
	MinDays     *int64 `json:"min_days,omitempty"`
	MaxDays     *int64 `json:"max_days,omitempty"`
	WarnDays    *int64 `json:"warn_days,omitempty"`
	Inactive    *int64 `json:"inactive_days,omitempty"`
}

// Group is a line of group(5), with the administrators of gshadow(5).
type Group struct {
	Name     Bytes   `json:"name"`
	Line     int     `json:"line"`
	GID      int64   `json:"gid"`
	Members  []Bytes `json:"members"`
	Admins   []Bytes `json:"admins,omitempty"`
	Password string  `json:"password"` // as of an account
}

// AuthorizedKey is a line of a file that lets keys log in (sshd(8),
// AUTHORIZED_KEYS FILE FORMAT), or one that should be and is none: Error says
// why.
type AuthorizedKey struct {
	User Bytes `json:"user,omitempty"` // whose file it is; none: everybody's
	File Bytes `json:"file"`
	Line int   `json:"line"`
	// Configured: sshd's configuration names the file. The others have the
	// usual names, and count where the configuration is another again.
	Configured  bool    `json:"configured"`
	Options     []Bytes `json:"options,omitempty"`
	Type        string  `json:"type,omitempty"`
	Fingerprint string  `json:"fingerprint,omitempty"` // SHA256:…, as ssh-keygen -l shows it
	Comment     Bytes   `json:"comment,omitempty"`
	Error       string  `json:"error,omitempty"`
	// Of the file.
	Mode  uint32 `json:"mode,omitempty"`
	UID   uint32 `json:"uid"`
	Mtime int64  `json:"mtime,omitempty"`
	Ctime int64  `json:"ctime,omitempty"`
}

// SudoRule is an entry of sudoers(5) and the files it includes.
type SudoRule struct {
	File Bytes `json:"file"`
	Line int   `json:"line"`
	// Kind: rule, defaults, alias (Who[0] is its name, Commands what it stands
	// for), or unread (Text is the entry, which this program does not
	// understand, or Detail says why a file was not read).
	Kind     string   `json:"kind"`
	Who      []Bytes  `json:"who,omitempty"`   // users, %groups, aliases; of defaults what they are for
	Hosts    []Bytes  `json:"hosts,omitempty"` // of a rule
	RunAs    Bytes    `json:"runas,omitempty"` // what was in brackets; none: root
	Tags     []string `json:"tags,omitempty"`  // NOPASSWD, SETENV …, of these commands
	Commands []Bytes  `json:"commands,omitempty"`
	Text     Bytes    `json:"text,omitempty"` // of defaults, alias kinds and what was not understood
	Detail   string   `json:"detail,omitempty"`
}
