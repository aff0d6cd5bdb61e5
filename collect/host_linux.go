package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// OpenHost prepares to collect the machine whose file systems are mounted at
// root. live says that it is the running one. The caller closes the Host.
func OpenHost(root string, live bool) (*Host, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open host at %s: %w", root, err)
	}
	fd, err := unix.Open(abs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open host at", Path: abs, Err: err}
	}
	h := &Host{Root: abs, Live: live, rootFD: fd, realRoot: abs, errands: newErrands()}
	if real, err := os.Readlink(procFD(fd)); err == nil {
		h.realRoot = real
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	probe, err := unix.Openat2(fd, ".", &how)
	if err != nil {
		h.sys.noOpenat2 = true
	} else {
		unix.Close(probe)
		h.sys.spared = sparedTree(fd)
	}
	return h, nil
}

// Close frees the Host.
func (h *Host) Close() error {
	h.errands.close()
	if h.sys.spared > 0 {
		unix.Close(h.sys.spared)
	}
	return unix.Close(h.rootFD)
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Open opens a regular file for reading without following a link in the last
// component and without moving its access time where the system permits that
// (owner or CAP_FOWNER). ErrNotRegular for the rest: what it is is seen before
// it is opened, so that no device, FIFO or socket ever is, whatever a name is
// made to mean meanwhile.
func (h *Host) Open(path string) (*os.File, error) {
	if h.planned != nil {
		return nil, h.plan(path)
	}
	return asking(h, "open", path, closeLate, func() (*os.File, error) { return h.open(path) })
}

// open is Open without bound on its time.
func (h *Host) open(path string) (*os.File, error) {
	fail := func(err error) (*os.File, error) { return nil, &fs.PathError{Op: "open", Path: path, Err: err} }
	place, err := h.openAt(path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(place)
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil {
		return fail(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fail(ErrNotRegular)
	}
	const flags = unix.O_RDONLY | unix.O_NONBLOCK
	fd, err := h.sparingAtime(flags, func(flags int) (int, error) {
		fd, err := openRetry(unix.AT_FDCWD, procFD(place), flags)
		if err == unix.ENOENT || err == unix.ENOTDIR { // no /proc here
			return h.openAt(path, flags|unix.O_NOFOLLOW)
		}
		return fd, err
	})
	if err != nil {
		return fail(err)
	}
	return unpolled(fd, path), nil
}

// sparingAtime opens with O_NOATIME, and without where that is refused, which
// is counted.
func (h *Host) sparingAtime(flags int, open func(flags int) (int, error)) (int, error) {
	fd, err := open(flags | unix.O_NOATIME)
	if err == unix.EPERM {
		if fd, err = open(flags); err == nil {
			h.withAtime.Add(1)
		}
	}
	if err == nil {
		h.opened.Add(1)
	}
	return fd, err
}

// OpenLink opens the regular file behind one of /proc's magic links
// (/proc/PID/exe, /proc/PID/fd/N), which names an open file and not a path:
// name in the opened folder dir. ErrNotRegular for what is no regular file.
func (h *Host) OpenLink(dir int, name string) (*os.File, error) {
	return Patiently(h, lookWait, closeLate, func() (*os.File, error) {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_NO_AUTOMOUNT); err != nil {
			return nil, &fs.PathError{Op: "open behind link", Path: name, Err: err}
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			return nil, &fs.PathError{Op: "open behind link", Path: name, Err: ErrNotRegular}
		}
		fd, err := h.sparingAtime(unix.O_RDONLY|unix.O_NONBLOCK, func(flags int) (int, error) {
			return openRetry(dir, name, flags)
		})
		if err != nil {
			return nil, &fs.PathError{Op: "open behind link", Path: name, Err: err}
		}
		return unpolled(fd, name), nil
	})
}

// ReadFile reads a small regular file, one of /proc included, at most max
// bytes. Of a longer file it returns the first max bytes and ErrTooBig.
func (h *Host) ReadFile(path string, max int64) ([]byte, error) {
	if m, ok := h.MountOf(path); h.planned != nil && (!ok || m.Storage() != Pseudo) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrPlanned}
	}
	return asking(h, "read", path, nil, func() ([]byte, error) {
		f, err := h.open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		return readSmall(f, st.Size, max)
	})
}

// Readlink returns the target of a symbolic link as it is stored.
func (h *Host) Readlink(path string) (string, error) {
	return asking(h, "readlink", path, nil, func() (string, error) { return h.readlink(path) })
}

func (h *Host) readlink(path string) (string, error) {
	fd, err := h.openAt(path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if target, ok := h.sparedLink(path, fd); ok {
		return target, nil
	}
	target, err := readlinkAt(fd, "")
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	h.links.Add(1)
	return target, nil
}

func readlinkAt(dir int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if n < size || size > 1<<16 {
			return string(buf[:n]), nil
		}
	}
}

// Stat returns what statx(2) says of a path, of a link itself when it is one.
// Xattrs are read separately.
func (h *Host) Stat(path string) (*evidence.Stat, error) {
	h.knowNames()
	return asking(h, "stat", path, nil, func() (*evidence.Stat, error) { return h.stat(path) })
}

func (h *Host) stat(path string) (*evidence.Stat, error) {
	fd, err := h.openAt(path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	defer unix.Close(fd)
	st, err := h.statAt(fd, "")
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st, nil
}

// StatNames is Stat for some names of a folder that is no link, at a fraction
// of the cost: the folder is opened once. An entry is nil where Stat would fail.
func (h *Host) StatNames(dir string, names []string) ([]*evidence.Stat, error) {
	h.knowNames()
	return asking(h, "stat", dir+"/", nil, func() ([]*evidence.Stat, error) {
		fd, err := h.openAt(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err != nil {
			return nil, &fs.PathError{Op: "stat", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		all := make([]*evidence.Stat, len(names))
		for i, name := range names {
			all[i], _ = h.statAt(fd, name) //nolint:errcheck // Stat of this name says why
		}
		return all, nil
	})
}

// StatFile returns what statx(2) says of an open file.
func (h *Host) StatFile(f interface{ Fd() uintptr }) (*evidence.Stat, error) {
	h.knowNames()
	fd := int(f.Fd())
	st, err := Patiently(h, lookWait, nil, func() (*evidence.Stat, error) { return h.statAt(fd, "") })
	if err != nil {
		return nil, fmt.Errorf("stat open file: %w", err)
	}
	return st, nil
}

const statFlags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_SYNC_AS_STAT

func (h *Host) statAt(dir int, name string) (*evidence.Stat, error) {
	h.looks.Add(1)
	var sx unix.Statx_t
	flags := statFlags
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, &sx)
	if err != nil {
		return nil, err
	}
	st := &evidence.Stat{
		Mode: uint32(sx.Mode), UID: sx.Uid, GID: sx.Gid,
		Inode: sx.Ino, Dev: device(sx.Dev_major, sx.Dev_minor), MountID: sx.Mnt_id,
		Nlink: sx.Nlink, Size: int64(sx.Size), Blocks: int64(sx.Blocks),
		Attributes: sx.Attributes & sx.Attributes_mask,
		Accessed:   at(sx.Atime), Modified: at(sx.Mtime), Changed: at(sx.Ctime),
	}
	if sx.Mask&unix.STATX_BTIME != 0 {
		st.Born = at(sx.Btime)
	}
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFBLK || kind == unix.S_IFCHR {
		st.Rdev = device(sx.Rdev_major, sx.Rdev_minor)
	}
	st.Owner, st.Group = h.users[st.UID], h.groups[st.GID]
	return st, nil
}

func at(t unix.StatxTimestamp) time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

func device(major, minor uint32) string {
	return strconv.FormatUint(uint64(major), 10) + ":" + strconv.FormatUint(uint64(minor), 10)
}

// knowNames reads the names of accounts once, before the first look that
// needs them: never in an errand, which may be given up.
func (h *Host) knowNames() { h.names.Do(h.readNames) }

// readNames reads the host's own passwd and group files, whose third field is
// the number; accounts of other name services stay numbers.
func (h *Host) readNames() {
	parse := func(path string) map[uint32]string {
		names := map[uint32]string{}
		text, err := h.ReadFile(path, 4<<20)
		if err != nil && !errors.Is(err, ErrTooBig) {
			return names
		}
		for line := range strings.Lines(string(text)) {
			f := strings.SplitN(line, ":", 4)
			if len(f) < 4 || f[0] == "" {
				continue
			}
			id, err := strconv.ParseUint(f[2], 10, 32)
			if _, known := names[uint32(id)]; err == nil && !known {
				names[uint32(id)] = f[0]
			}
		}
		return names
	}
	h.users, h.groups = parse("/etc/passwd"), parse("/etc/group")
}

// Xattrs returns the extended attributes of a path, of a link itself when it
// is one; nil when it has none or its file system knows none.
func (h *Host) Xattrs(path string) (map[string][]byte, error) {
	return asking(h, "read xattrs", path, nil, func() (map[string][]byte, error) { return h.xattrs(path) })
}

func (h *Host) xattrs(path string) (map[string][]byte, error) {
	fd, err := h.openAt(path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, &fs.PathError{Op: "read xattrs", Path: path, Err: err}
	}
	defer unix.Close(fd)
	attrs, err := xattrs(procFD(fd))
	attrs = h.withNTFS(attrs, procFD(fd), path)
	if err != nil {
		return attrs, &fs.PathError{Op: "read xattrs", Path: path, Err: err}
	}
	return attrs, nil
}

// xattrs reads through /proc/self/fd: an O_PATH descriptor refuses
// fgetxattr(2), and opening the file for it could act on a device.
func xattrs(link string) (map[string][]byte, error) {
	return readXattrs(link, unix.Listxattr, unix.Getxattr, maxXattrTotal)
}

// namedXattrs reads those of a name in an open folder, of a link itself when
// it is one, and opens neither.
func (h *Host) namedXattrs(dir int, name string, most int) (map[string][]byte, error) {
	if h.hasNoXattrs(dir, name) {
		return nil, nil
	}
	return readXattrs(procFD(dir)+"/"+name, unix.Llistxattr, unix.Lgetxattr, most)
}

// hasNoXattrs asks listxattrat(2), which Linux has since 6.13 under the same
// number everywhere: it needs no path through /proc, which costs twice as much.
// Most files have none.
func (h *Host) hasNoXattrs(dir int, name string) bool {
	const listxattrat = 465
	if h.noXattrAt.Load() {
		return false
	}
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return false
	}
	n, _, errno := unix.Syscall6(listxattrat, uintptr(dir), uintptr(unsafe.Pointer(path)), unix.AT_SYMLINK_NOFOLLOW, 0, 0, 0)
	switch errno {
	case 0:
		return n == 0
	case unix.ENOTSUP:
		return true
	case unix.ENOSYS, unix.EPERM, unix.EINVAL: // an older kernel, or a filter
		h.noXattrAt.Store(true)
	}
	return false
}

func readXattrs(link string, listAll func(string, []byte) (int, error), get func(string, string, []byte) (int, error), most int) (map[string][]byte, error) {
	var few [256]byte // most files have none, or one
	list := few[:]
	n, err := listAll(link, list)
	if err == unix.ERANGE {
		list = make([]byte, maxXattrList)
		n, err = listAll(link, list)
	}
	if err == unix.ENOTSUP || (err == nil && n == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	attrs := map[string][]byte{}
	var short [1024]byte // a label, an ACL, a signature
	value := short[:]
	total := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		size, err := get(link, name, value)
		if err == unix.ERANGE {
			value = make([]byte, maxXattrList)
			size, err = get(link, name, value)
		}
		if err == unix.ENODATA { // removed since it was listed
			continue
		}
		if err != nil {
			return attrs, fmt.Errorf("%q: %w", name, err)
		}
		if total += len(name) + size; total > most {
			return attrs, ErrTooBig
		}
		attrs[name] = append([]byte{}, value[:size]...)
	}
	return attrs, nil
}
