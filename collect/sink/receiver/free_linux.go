package receiver

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that can still be written, -1 where the file
// system does not say.
func freeSpace(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
