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

// openSparing opens a path that leads through links. Each is found in the tree
// itself, which knows of every mount, and read in the copy when it is the same
// there. errNotSpared says that this could not be done.
func (h *Host) openSparing(path string, flags int) (int, error) {
	if h.sys.spared == 0 {
		return -1, errNotSpared
	}
	way, rest := "", pathNames(path)
	for links := 0; links <= maxLinks; links++ {
		if links > 0 {
			fd, err := openBelow(h.rootFD, way+"/"+strings.Join(rest, "/"), flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
			if err != unix.ELOOP {
				return fd, err
			}
		}
		at, target, err := h.firstLink(way, rest)
		switch {
		case err != nil:
			return -1, err
		case at == len(rest)-1 && flags&unix.O_NOFOLLOW != 0:
			return -1, unix.ELOOP // the link itself is meant, and is none that can be opened so
		case strings.HasPrefix(target, "/"):
			way = ""
		case at > 0:
			way += "/" + strings.Join(rest[:at], "/")
		}
		rest = append(pathNames(target), rest[at+1:]...)
	}
	return -1, unix.ELOOP
}

// pathNames are the names of a path. What ends in a slash means what is there,
// not a link to it.
func pathNames(path string) (names []string) {
	for name := range strings.SplitSeq(path, "/") {
		if name != "" {
			names = append(names, name)
		}
	}
	if strings.HasSuffix(path, "/") || len(names) == 0 {
		names = append(names, ".")
	}
	return names
}

// firstLink returns the place of the first link among names below a folder
// reached without links, and where it leads.
func (h *Host) firstLink(way string, names []string) (at int, target string, err error) {
	for i, name := range names {
		way += "/" + name
		fd, err := openBelow(h.rootFD, way, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			return 0, "", errNotSpared
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
			unix.Close(fd)
			continue
		}
		target, ok := h.sparedLink(way, fd)
		ok = ok && !h.leadsByMagic(way, fd)
		unix.Close(fd)
		if !ok {
			return 0, "", errNotSpared
		}
		return i, target, nil
	}
	return 0, "", errNotSpared // there was one a moment ago
}

// leadsByMagic reports whether an open link leads elsewhere than its text says,
// as those of procfs do to the root or the files of a process.
func (h *Host) leadsByMagic(path string, fd int) bool {
	var of unix.Statfs_t
	if err := unix.Fstatfs(fd, &of); err == nil && of.Type != unix.PROC_SUPER_MAGIC {
		return false
	}
	at, err := openBelow(h.sys.spared, path, unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err == nil {
		unix.Close(at)
	}
	return err != nil
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
