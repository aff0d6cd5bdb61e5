package collect

// peakMemory: FreeBSD counts ru_maxrss in kilobytes (getrusage(2)).
func peakMemory(maxrss int64) int64 { return maxrss << 10 }
