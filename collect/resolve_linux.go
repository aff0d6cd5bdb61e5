package collect

import (
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is the kernel's own bound on symbolic links in one lookup.
const maxLinks = 40

// openAt opens an absolute path of the host inside Root: ".." and absolute
// links stay inside. Errors are unix.Errno.
func (h *Host) openAt(path string, flags int) (int, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return -1, unix.EINVAL
	}
	if h.sys.noOpenat2 {
		return h.openByComponents(path, flags)
	}
	fd, err := openBelow(h.rootFD, path, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != unix.ELOOP {
		return fd, err
	}
	// A link on the way. Following it moves its access time, unless that is
	// done elsewhere.
	if fd, err := h.openSparing(path, flags); err != errNotSpared {
		return fd, err
	}
	h.links.Add(1) // at least
	return openBelow(h.rootFD, path, flags, unix.RESOLVE_IN_ROOT)
}

// openBelow is openat2(2) of an absolute path below an open folder.
func openBelow(root int, path string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	name := strings.TrimLeft(path, "/")
	if name == "" {
		name = "."
	}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(root, name, &how)
		// EAGAIN: a rename elsewhere raced with "..", which the kernel
		// cannot prove to have stayed inside.
		if err == unix.EINTR || (err == unix.EAGAIN && tries < 32) {
			continue
		}
		return fd, err
	}
}

func openRetry(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// openByComponents does what openat2(2) with RESOLVE_IN_ROOT does, one
// component at a time, for kernels before 5.6 and filters that refuse it. It
// holds a descriptor for each folder on the way, so that ".." needs no lookup.
func (h *Host) openByComponents(path string, flags int) (int, error) {
	todo := components(path)
	stack := []int{h.rootFD}
	defer func() {
		for _, fd := range stack[1:] {
			unix.Close(fd)
		}
	}()
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			if len(stack) > 1 {
				unix.Close(stack[len(stack)-1])
				stack = stack[:len(stack)-1]
			}
			continue
		}
		here := stack[len(stack)-1]
		last := len(todo) == 0
		if last && flags&unix.O_NOFOLLOW != 0 {
			return openRetry(here, name, flags)
		}
		fd, err := openRetry(here, name, unix.O_PATH|unix.O_NOFOLLOW)
		if err != nil {
			return -1, err
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return -1, err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			if last {
				unix.Close(fd)
				return openRetry(here, name, flags|unix.O_NOFOLLOW)
			}
			stack = append(stack, fd)
			continue
		}
		target, err := readlinkAt(fd, "")
		unix.Close(fd)
		if err != nil {
			return -1, err
		}
		h.links.Add(1)
		if links++; links > maxLinks {
			return -1, unix.ELOOP
		}
		if strings.HasPrefix(target, "/") {
			for _, fd := range stack[1:] {
				unix.Close(fd)
			}
			stack = stack[:1]
		}
		todo = append(components(target), todo...)
	}
	return openRetry(stack[len(stack)-1], ".", flags)
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
