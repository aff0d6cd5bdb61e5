package collect

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openForWriting lists the files that this process has open for writing, by
// /proc/self/fdinfo (proc_pid_fdinfo(5), the line flags in octal): path, pipe
// or socket, in the words of the kernel. Devices of a terminal are among them.
func openForWriting() (files []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		f, err := os.Open("/proc/self/fdinfo/" + e.Name())
		if err != nil { // the descriptor of the listing itself
			continue
		}
		writes := false
		for s := bufio.NewScanner(f); s.Scan(); {
			if text, ok := strings.CutPrefix(s.Text(), "flags:"); ok {
				flags, err := strconv.ParseUint(strings.TrimSpace(text), 8, 64)
				writes = err == nil && flags&unix.O_PATH == 0 && flags&unix.O_ACCMODE != unix.O_RDONLY
			}
		}
		f.Close()
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); writes && err == nil && !strings.HasPrefix(name, "anon_inode:") {
			files = append(files, name)
		}
	}
	return files
}

const atimePolicy = "files are opened with O_NOATIME; where the system refuses that (files of others, " +
	"without CAP_FOWNER) they are opened without and counted in opened_with_atime; symbolic links are read in a copy of the mounts " +
	"without access times; where the system refuses that (before Linux 5.12, without CAP_SYS_ADMIN) their access times move as the " +
	"mount's options have it: links_read counts them"
