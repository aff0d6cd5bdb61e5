//go:build darwin || freebsd

package collect

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// hostSystem has nothing: the root folder is all there is.
type hostSystem struct{}

// XattrFlags is the name under which st_flags of stat(2) stand in
// evidence.Stat.Xattrs: 4 bytes, big endian.
const XattrFlags = "bsd.st_flags"

const (
	openFlags   = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY
	folderFlags = openFlags | unix.O_DIRECTORY
	maxLinks    = 32 // MAXSYMLINKS of sys/param.h
)

func (h *Host) openRoot() (err error) {
	h.rootFD, err = unix.Open(h.Root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err
}

func (h *Host) closeRoot() error { return unix.Close(h.rootFD) }

func openRetry(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// parent opens the folder of the last component of a path, links on the way
// resolved inside Root, one component at a time. The caller closes it. name is
// "." for the root itself.
func (h *Host) parent(path string) (dir int, name string, err error) {
	if strings.IndexByte(path, 0) >= 0 {
		return -1, "", unix.EINVAL
	}
	root, err := openRetry(h.rootFD, ".", folderFlags)
	if err != nil {
		return -1, "", err
	}
	stack := []int{root}
	keep := -1
	defer func() {
		for _, fd := range stack {
			if fd != keep {
				unix.Close(fd)
			}
		}
	}()
	todo := components(path)
	for links := 0; len(todo) > 1; {
		next := todo[0]
		todo = todo[1:]
		here := stack[len(stack)-1]
		if next == ".." {
			if len(stack) > 1 {
				unix.Close(here)
				stack = stack[:len(stack)-1]
			}
			continue
		}
		fd, err := openRetry(here, next, folderFlags)
		if err == nil {
			stack = append(stack, fd)
			continue
		}
		// A link: ELOOP, on FreeBSD EMLINK, with O_DIRECTORY perhaps ENOTDIR.
		target, linkErr := readlinkAt(here, next)
		if linkErr != nil {
			return -1, "", err
		}
		if links++; links > maxLinks {
			return -1, "", unix.ELOOP
		}
		if strings.HasPrefix(target, "/") {
			for _, fd := range stack[1:] {
				unix.Close(fd)
			}
			stack = stack[:1]
		}
		todo = append(components(target), todo...)
	}
	keep, name = stack[len(stack)-1], "."
	if len(todo) == 1 {
		name = todo[0]
	}
	if name == ".." { // of a path that ends so: the folder above, but never above the root
		if name = "."; len(stack) > 1 {
			keep = stack[len(stack)-2]
		}
	}
	return keep, name, nil
}

func components(path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
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

func (h *Host) openRegular(path string) (*os.File, error) {
	dir, name, err := h.parent(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	if uint32(st.Mode)&modeType != modeRegular {
		return nil, ErrNotRegular
	}
	fd, err := openRetry(dir, name, openFlags)
	if err != nil {
		return nil, err
	}
	return unpolled(fd, path), nil
}

func (h *Host) readlink(path string) (string, error) {
	dir, name, err := h.parent(path)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	return readlinkAt(dir, name)
}

func (h *Host) lstat(path string) (*evidence.Stat, error) {
	dir, name, err := h.parent(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	return statOf(&st), nil
}

func (h *Host) fstat(fd uintptr) (*evidence.Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return nil, err
	}
	return statOf(&st), nil
}

// statOf translates. The bits of st_mode are the same on all Unix systems.
func statOf(st *unix.Stat_t) *evidence.Stat {
	at := func(t unix.Timespec) time.Time {
		if t.Sec == 0 && t.Nsec == 0 || t.Sec == -1 { // a file system without this time
			return time.Time{}
		}
		return time.Unix(int64(t.Sec), int64(t.Nsec)).UTC()
	}
	dev := func(d uint64) string {
		return strconv.FormatUint(uint64(unix.Major(d)), 10) + ":" + strconv.FormatUint(uint64(unix.Minor(d)), 10)
	}
	out := &evidence.Stat{
		Mode: uint32(st.Mode), UID: st.Uid, GID: st.Gid, Inode: st.Ino, Dev: dev(uint64(st.Dev)),
		Nlink: uint32(st.Nlink), Size: st.Size, Blocks: st.Blocks,
		Accessed: at(st.Atim), Modified: at(st.Mtim), Changed: at(st.Ctim), Born: at(st.Btim),
	}
	if kind := out.Mode & modeType; kind == unix.S_IFBLK || kind == unix.S_IFCHR {
		out.Rdev = dev(uint64(st.Rdev))
	}
	return out
}

func (h *Host) xattrs(path string) (map[string][]byte, error) {
	dir, name, err := h.parent(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	kind := uint32(st.Mode) & modeType
	if kind != modeRegular && kind != modeDir {
		return withFlags(nil, &st), nil // opening a device could act on it
	}
	fd, err := openRetry(dir, name, openFlags)
	if err != nil {
		return withFlags(nil, &st), err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return h.fileXattrs(f, path)
}

func withFlags(attrs map[string][]byte, st *unix.Stat_t) map[string][]byte {
	if st.Flags == 0 {
		return attrs
	}
	if attrs == nil {
		attrs = map[string][]byte{}
	}
	attrs[XattrFlags] = binary.BigEndian.AppendUint32(nil, st.Flags)
	return attrs
}

// fileXattrs are the extended attributes and flags of an open file.
func (h *Host) fileXattrs(f *os.File, _ string) (map[string][]byte, error) {
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	list := make([]byte, maxXattrList)
	n, err := unix.Flistxattr(fd, list)
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
			err = nil // FreeBSD: the system's namespace is for root
		}
		return withFlags(nil, &st), err
	}
	attrs, total := map[string][]byte{}, 0
	value := make([]byte, maxXattrTotal)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		size, err := unix.Fgetxattr(fd, name, value)
		if err == unix.ENOATTR { // removed since it was listed
			continue
		}
		if err != nil {
			return withFlags(attrs, &st), err
		}
		if total += len(name) + size; total > maxXattrTotal {
			return withFlags(attrs, &st), ErrTooBig
		}
		attrs[name] = append([]byte{}, value[:size]...)
	}
	return withFlags(attrs, &st), nil
}

// list reads a folder. What each name is is looked at when it is needed.
func (h *Host) list(path string, most int) ([]DirEntry, error) {
	dir, name, err := h.parent(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	fd, err := openRetry(dir, name, folderFlags)
	if err != nil {
		return nil, err
	}
	h.opened.Add(1)
	h.withAtime.Add(1)
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	names, err := f.Readdirnames(most)
	if err == io.EOF { // an empty folder
		return nil, nil
	}
	entries := make([]DirEntry, 0, len(names))
	for _, n := range names {
		entries = append(entries, DirEntry{Name: n})
	}
	if err == nil && len(names) == most {
		err = ErrTooBig
	}
	return entries, err
}

// mountTable asks getfsstat(2) without waiting for servers.
func (h *Host) mountTable() ([]MountPoint, error) {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return nil, err
	}
	table := make([]unix.Statfs_t, n+16)
	if n, err = unix.Getfsstat(table, unix.MNT_NOWAIT); err != nil {
		return nil, err
	}
	mounts := make([]MountPoint, 0, n)
	for i := range table[:n] {
		st := &table[i]
		m := MountPoint{
			ID: int64(i) + 1, Root: "/", FSType: unix.ByteSliceToString(st.Fstypename[:]),
			Dev:   strconv.FormatUint(uint64(uint32(st.Fsid.Val[0])), 10) + ":" + strconv.FormatUint(uint64(uint32(st.Fsid.Val[1])), 10),
			Point: unix.ByteSliceToString(st.Mntonname[:]), Source: unix.ByteSliceToString(st.Mntfromname[:]),
			Options: "flags=0x" + strconv.FormatUint(uint64(st.Flags), 16),
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// StatFS returns the size and the free space in bytes of the file system a
// path is on.
func (h *Host) StatFS(path string) (total, free int64, err error) {
	sizes, err := asking(h, "statfs", path, nil, func() ([2]int64, error) {
		dir, _, err := h.parent(path)
		if err != nil {
			return [2]int64{}, err
		}
		defer unix.Close(dir)
		var st unix.Statfs_t
		if err := unix.Fstatfs(dir, &st); err != nil {
			return [2]int64{}, err
		}
		return [2]int64{int64(st.Blocks) * int64(st.Bsize), int64(st.Bfree) * int64(st.Bsize)}, nil
	})
	return sizes[0], sizes[1], err
}

// streamNames: there are no named streams; resource forks are attributes.
func (h *Host) streamNames(string) ([]string, error) { return nil, nil }

// openLocked has no use: no file is locked against reading.
func (h *Host) openLocked(string) (lockedFile, error) { return nil, ErrUnsupported }
