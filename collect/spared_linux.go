package collect

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// A symbolic link has no O_NOATIME: reading it and following it move its access
// time as the options of its mount say. So both are done in a copy of the mounts
// that has options of its own.

// sparedTree returns a copy of the mounts at and below an open folder that is
// attached nowhere, read-only and without access times (open_tree(2),
// mount_setattr(2): Linux 5.12, CAP_SYS_ADMIN); 0 where there is none. Nobody
// sees it, and it ends with its descriptor. What is mounted afterwards may be
// missing in it.
func sparedTree(root int) int {
	fd, err := unix.OpenTree(root, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
	if err != nil {
		return 0
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_NOATIME | unix.MOUNT_ATTR_RDONLY, Attr_clr: unix.MOUNT_ATTR__ATIME,
	})
	if err != nil || fd == 0 {
		unix.Close(fd)
		return 0
	}
	return fd
}

// errNotSpared says that a link cannot be followed without moving its access
// time.
var errNotSpared = errors.New("no tree without access times")

// openSparing opens a path that leads through links: where it leads is asked of
// the copy, and that is opened in the tree itself, which knows of every mount.
// errNotSpared says that this could not be done.
func (h *Host) openSparing(path string, flags int) (int, error) {
	if h.sys.spared == 0 {
		return -1, errNotSpared
	}
	way, name := path, ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 && flags&unix.O_NOFOLLOW != 0 {
		if last := path[i+1:]; last != "" && last != "." && last != ".." {
			way, name = path[:i], path[i:]
		}
	}
	at, err := openBelow(h.sys.spared, way, unix.O_PATH, unix.RESOLVE_IN_ROOT)
	for err == unix.ENOENT && way != "" { // as far as it leads; the rest is for the tree to say
		i := max(strings.LastIndexByte(way, '/'), 0)
		way, name = way[:i], way[i:]+name
		at, err = openBelow(h.sys.spared, way, unix.O_PATH, unix.RESOLVE_IN_ROOT)
	}
	if err != nil {
		return -1, errNotSpared
	}
	real, err := readlinkAt(unix.AT_FDCWD, procFD(at))
	unix.Close(at)
	if err != nil || !strings.HasPrefix(real, "/") {
		return -1, errNotSpared
	}
	fd, err := openBelow(h.rootFD, real+name, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err == unix.ELOOP { // the copy has not all of it
		return -1, errNotSpared
	}
	return fd, err
}

// sparedLink reads a link that is open as fd in the copy, when it is the same
// there.
func (h *Host) sparedLink(path string, fd int) (target string, ok bool) {
	if h.sys.spared == 0 {
		return "", false
	}
	twin, err := openBelow(h.sys.spared, path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT)
	if err != nil {
		return "", false
	}
	defer unix.Close(twin)
	var a, b unix.Stat_t
	if unix.Fstat(fd, &a) != nil || unix.Fstat(twin, &b) != nil || a.Dev != b.Dev || a.Ino != b.Ino {
		return "", false
	}
	target, err = readlinkAt(twin, "")
	return target, err == nil
}
