package collect

import (
	"os"

	"golang.org/x/sys/unix"
)

// hostSystem is what only Linux has.
type hostSystem struct {
	noOpenat2 bool // the kernel has no openat2(2), or a filter refuses it
	spared    int  // see sparedTree; 0: there is none
}

// fileXattrs are the extended attributes of an open file.
func (h *Host) fileXattrs(f *os.File, path string) (map[string][]byte, error) {
	link := procFD(int(f.Fd()))
	attrs, err := xattrs(link)
	return h.withNTFS(attrs, link, path), err
}

// fromNTFS reports whether a path may be one of a mounted NTFS.
func (h *Host) fromNTFS(path string) bool {
	m, ok := h.MountOf(path)
	return ok && (m.FSType == "fuseblk" || m.FSType == "ntfs3")
}

// withNTFS adds what a driver for NTFS tells when asked for it by name only.
func (h *Host) withNTFS(attrs map[string][]byte, link, path string) map[string][]byte {
	if !h.fromNTFS(path) {
		return attrs
	}
	value := make([]byte, maxXattrList)
	for _, name := range []string{XattrNTFSAttributes, XattrNTFSTimes, XattrNTFSSecurity, XattrNTFSReparse, xattrNTFS3Security} {
		n, err := unix.Getxattr(link, name, value)
		if err != nil || n == 0 || attrs[name] != nil {
			continue // each driver knows some of them
		}
		if attrs == nil {
			attrs = map[string][]byte{}
		}
		attrs[name] = append([]byte{}, value[:n]...)
	}
	return attrs
}

// streamNames are the named streams of a file of NTFS, which open as path,
// colon and name. Only ntfs-3g shows them.
func (h *Host) streamNames(path string) ([]string, error) {
	if m, ok := h.MountOf(path); !ok || m.FSType != "fuseblk" {
		return nil, nil
	}
	return asking(h, "list streams", path, nil, func() ([]string, error) {
		fd, err := h.openAt(path, unix.O_PATH|unix.O_NOFOLLOW)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		list := make([]byte, maxXattrList)
		n, err := unix.Getxattr(procFD(fd), xattrNTFSStreams, list)
		if err == unix.ENODATA || err == unix.ENOTSUP {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return streamList(list[:n]), nil
	})
}

// openLocked has no use on Linux, where no file is locked against reading.
func (h *Host) openLocked(string) (lockedFile, error) { return nil, ErrUnsupported }
