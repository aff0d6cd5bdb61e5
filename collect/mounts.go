package collect

import (
	"strconv"
	"strings"
)

// MountPoint is one line of /proc/PID/mountinfo (proc_pid_mountinfo(5)):
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// Root, Point and Source are raw bytes, the octal escapes undone.
type MountPoint struct {
	ID, Parent int64
	Dev        string // "major:minor"
	Root       string // folder of the file system that is mounted
	Point      string // where, in the mount namespace read
	Options    string
	FSType     string
	Source     string
	SuperOpts  string
}

// ParseMountInfo reads mountinfo. Lines that break the format are left out;
// bad counts them.
func ParseMountInfo(text []byte) (mounts []MountPoint, bad int) {
	for line := range strings.Lines(string(text)) {
		m, ok := parseMountLine(strings.TrimSuffix(line, "\n"))
		if !ok {
			bad++
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts, bad
}

func parseMountLine(line string) (MountPoint, bool) {
	before, after, ok := strings.Cut(line, " - ")
	f := strings.Split(before, " ")
	g := strings.Split(after, " ")
	if !ok || len(f) < 6 || len(g) < 2 {
		return MountPoint{}, false
	}
	id, err1 := strconv.ParseInt(f[0], 10, 64)
	parent, err2 := strconv.ParseInt(f[1], 10, 64)
	if err1 != nil || err2 != nil {
		return MountPoint{}, false
	}
	m := MountPoint{
		ID: id, Parent: parent, Dev: f[2],
		Root: UnescapeOctal(f[3]), Point: UnescapeOctal(f[4]), Options: f[5],
		FSType: UnescapeOctal(g[0]), Source: UnescapeOctal(g[1]),
	}
	if len(g) > 2 {
		m.SuperOpts = UnescapeOctal(strings.Join(g[2:], " "))
	}
	return m, true
}

// UnescapeOctal undoes the kernel's \ooo for blanks, line ends and the
// backslash (mangle_path in fs/seq_file.c).
func UnescapeOctal(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out = append(out, byte(v))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// Storage says where the files of a file system come from.
type Storage int

// The three storages. Remote ones can hang for ever when their server is
// gone; FUSE counts as remote because its server is a process.
const (
	Local Storage = iota
	Remote
	Pseudo
)

// Storage classifies the mounted file system by its type. A type that is not
// known counts as local when a device backs it, else as remote.
func (m MountPoint) Storage() Storage {
	switch m.FSType {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "zfs", "bcachefs",
		"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "iso9660", "udf", "squashfs", "erofs",
		"hfs", "hfsplus", "apfs", "ufs", "refs", "fat", "fat32", "cdfs", "minix", "nilfs2", "ubifs", "jffs2", "ocfs2", "gfs2",
		"overlay", "aufs", "tmpfs", "ramfs", "devtmpfs", "rootfs":
		return Local
	case "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "selinuxfs",
		"bpf", "pstore", "devpts", "mqueue", "hugetlbfs", "configfs", "fusectl", "autofs",
		"binfmt_misc", "rpc_pipefs", "nsfs", "nfsd", "efivarfs", "cpuset", "resctrl", "smackfs",
		"devfs", "fdescfs", "fdesc", "procfs", "linprocfs", "linsysfs", "lifs", "sockfs", "pipefs", "anon_inodefs", "bdev", "dax", "functionfs", "xenfs", "zonefs":
		return Pseudo
	}
	if strings.HasPrefix(m.FSType, "fuse") || !strings.HasPrefix(m.Source, "/dev/") {
		return Remote
	}
	return Local
}

// below reports whether path is dir or inside it.
func below(path, dir string) bool {
	if dir == "/" || path == dir {
		return true
	}
	return strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// mountOf returns the mount that holds a path: of those whose point is on the
// way to it the longest, of equals the last, which covers the others.
func mountOf(mounts []MountPoint, path string) (MountPoint, bool) {
	best := -1
	for i, m := range mounts {
		if below(path, m.Point) && (best < 0 || len(m.Point) >= len(mounts[best].Point)) {
			best = i
		}
	}
	if best < 0 {
		return MountPoint{}, false
	}
	return mounts[best], true
}
