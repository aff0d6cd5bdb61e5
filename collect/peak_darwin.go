package collect

// peakMemory: macOS counts ru_maxrss in bytes (getrusage(2)).
func peakMemory(maxrss int64) int64 { return maxrss }
