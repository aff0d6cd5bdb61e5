package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// statWait is how long a file system may take to answer statfs(2).
const statWait = 3 * time.Second

// maxMountInfo bounds the mount table; container hosts reach some megabytes.
const maxMountInfo = 32 << 20

// Mounts returns the mounts below Root by the collector's own mount
// namespace, Point rewritten to a path of the host. It touches no file
// system but /proc, so that a dead server cannot hold it up.
func (h *Host) Mounts() ([]MountPoint, error) {
	h.mountMu.Lock()
	defer h.mountMu.Unlock()
	if h.mounts != nil {
		return h.mounts, nil
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	defer f.Close()
	text, err := readSmall(f, 0, maxMountInfo)
	if err != nil && !errors.Is(err, ErrTooBig) {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	all, _ := ParseMountInfo(text)
	holder, _ := mountOf(all, h.realRoot)
	mounts := []MountPoint{}
	for _, m := range all {
		switch {
		case m.ID == holder.ID:
			m.Point = "/"
		case !below(m.Point, h.realRoot):
			continue
		case h.realRoot != "/":
			m.Point = "/" + m.Point[min(len(h.realRoot)+1, len(m.Point)):]
		}
		mounts = append(mounts, m)
	}
	h.mounts = mounts
	return mounts, nil
}

// MountOf returns the mount that holds a path of the host, by name only.
func (h *Host) MountOf(name string) (MountPoint, bool) {
	mounts, err := h.Mounts()
	if err != nil {
		return MountPoint{}, false
	}
	return mountOf(mounts, path.Clean("/"+name))
}

// IsNetworkOrPseudo reports whether a path is on a file system that has no
// files of its own (proc, sysfs …) or has them elsewhere (NFS, SMB, FUSE …),
// and its type. It decides by the mount table, which never hangs; only where
// that is missing does it ask the file system, in a goroutine that is left
// behind when no answer comes: then the error is ErrTimeout and the path
// must not be touched.
func (h *Host) IsNetworkOrPseudo(name string) (is bool, fstype string, err error) {
	if m, ok := h.MountOf(name); ok {
		return m.Storage() != Local, m.FSType, nil
	}
	type answer struct {
		st  unix.Statfs_t
		err error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		fd, err := h.openAt(name, unix.O_PATH|unix.O_NOFOLLOW)
		if err == nil {
			err = unix.Fstatfs(fd, &a.st)
			unix.Close(fd)
		}
		a.err = err
		done <- a
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return false, "", &fs.PathError{Op: "statfs", Path: name, Err: a.err}
		}
		is, fstype = magicOf(int64(a.st.Type))
		return is, fstype, nil
	case <-time.After(statWait):
		return true, "", &fs.PathError{Op: "statfs", Path: name, Err: ErrTimeout}
	}
}

// magicOf names the file systems that are not local by their f_type
// (linux/magic.h).
func magicOf(magic int64) (bool, string) {
	switch uint32(magic) {
	case unix.NFS_SUPER_MAGIC:
		return true, "nfs"
	case unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return true, "cifs"
	case unix.FUSE_SUPER_MAGIC:
		return true, "fuse"
	case unix.CEPH_SUPER_MAGIC:
		return true, "ceph"
	case unix.AFS_SUPER_MAGIC:
		return true, "afs"
	case unix.V9FS_MAGIC:
		return true, "9p"
	case unix.PROC_SUPER_MAGIC:
		return true, "proc"
	case unix.SYSFS_MAGIC:
		return true, "sysfs"
	case unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return true, "cgroup"
	case unix.DEBUGFS_MAGIC:
		return true, "debugfs"
	case unix.TRACEFS_MAGIC:
		return true, "tracefs"
	case unix.BPF_FS_MAGIC:
		return true, "bpf"
	case unix.AUTOFS_SUPER_MAGIC:
		return true, "autofs"
	}
	return false, ""
}

// StatFS returns the size and the free space in bytes of the file system a
// path is on; ErrTimeout when it does not answer.
func (h *Host) StatFS(name string) (total, free int64, err error) {
	type answer struct {
		total, free int64
		err         error
	}
	done := make(chan answer, 1)
	go func() {
		var st unix.Statfs_t
		fd, err := h.openAt(name, unix.O_PATH|unix.O_NOFOLLOW)
		if err == nil {
			err = unix.Fstatfs(fd, &st)
			unix.Close(fd)
		}
		done <- answer{int64(st.Blocks) * int64(st.Bsize), int64(st.Bfree) * int64(st.Bsize), err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: a.err}
		}
		return a.total, a.free, nil
	case <-time.After(statWait):
		return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: ErrTimeout}
	}
}
