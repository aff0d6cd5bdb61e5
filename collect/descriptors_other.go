//go:build !linux

package collect

func openForWriting() []string { return nil }

const atimePolicy = "this system has no way to read a file without moving its access time that needs no right to write; " +
	"whether it is moved is for the mount's options (Windows: NtfsDisableLastAccessUpdate) to say: all files and folders are counted in opened_with_atime"
