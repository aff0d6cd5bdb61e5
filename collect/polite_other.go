//go:build !linux && !windows && !darwin && !freebsd

package collect

func standBehind() error { return ErrUnsupported }

func processCPU() int64 { return 0 }

func residentMemory() int64 { return 0 }

// lowered says what standBehind does, for the log.
const lowered = ""
