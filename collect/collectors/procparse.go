package collectors

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// procStat is what we use of /proc/PID/stat (proc_pid_stat(5)).
type procStat struct {
	pid                    int64
	comm                   []byte
	state                  string
	ppid, pgid, sid, tty   int64
	flags                  uint64
	threads                int64
	startTicks             int64
	utimeTicks, stimeTicks int64
}

// parseProcStat reads the line. The name may hold any bytes, parentheses and
// blanks too, so that it ends at the last ")".
func parseProcStat(b []byte) (procStat, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return procStat{}, false
	}
	s := procStat{comm: bytes.Clone(b[open+1 : end])}
	pid, err := strconv.ParseInt(strings.TrimSpace(string(b[:open])), 10, 64)
	f := strings.Fields(string(b[end+1:]))
	if err != nil || len(f) < 20 {
		return procStat{}, false
	}
	s.pid, s.state = pid, f[0]
	number := func(i int) int64 { // i: field number of the manual page
		n, _ := strconv.ParseInt(f[i-3], 10, 64) // 0 where the kernel writes something else
		return n
	}
	s.ppid, s.pgid, s.sid, s.tty = number(4), number(5), number(6), number(7)
	s.flags, _ = strconv.ParseUint(f[9-3], 10, 64)
	s.utimeTicks, s.stimeTicks = number(14), number(15)
	s.threads, s.startTicks = number(20), number(22)
	return s, true
}

// kernelThread is PF_KTHREAD of linux/sched.h.
const kernelThread = 0x00200000

// procStatus is what we use of /proc/PID/status (proc_pid_status(5)).
type procStatus struct {
	tgid, tracer int64
	uid, gid     [4]int64
	capEff       string
}

// unknownIDs stand where the kernel told no ids: 0 would be root.
var unknownIDs = [4]int64{-1, -1, -1, -1}

func parseStatus(b []byte) procStatus {
	s := procStatus{tgid: -1, uid: unknownIDs, gid: unknownIDs}
	for line := range bytes.Lines(b) {
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		switch key {
		case "Tgid":
			s.tgid, _ = strconv.ParseInt(f[0], 10, 64)
		case "TracerPid":
			s.tracer, _ = strconv.ParseInt(f[0], 10, 64)
		case "Uid":
			s.uid = four(f)
		case "Gid":
			s.gid = four(f)
		case "CapEff":
			s.capEff = f[0]
		}
	}
	return s
}

func four(f []string) (ids [4]int64) {
	for i := range min(len(f), 4) {
		ids[i], _ = strconv.ParseInt(f[i], 10, 64)
	}
	return ids
}

// parseArgs splits cmdline at its zero bytes. A process that wrote over its
// arguments (setproctitle) may leave no zero byte at the end.
func parseArgs(b []byte) []record.Bytes {
	args := []record.Bytes{}
	if len(b) == 0 {
		return args
	}
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		args = append(args, record.Bytes(bytes.Clone(arg)))
	}
	return args
}

// maxMaps bounds the executable mappings of one record.
const maxMaps = 4096

// execMaps gathers the executable lines of /proc/PID/maps from its text, which
// comes in pieces because it may be endless.
type execMaps struct {
	list []record.Map
	line []byte // the beginning of a line whose end is yet to come
}

// add reports false when there are more than maxMaps.
func (m *execMaps) add(text []byte) bool {
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			m.line = append(m.line, text...)
			return true
		}
		if len(m.line) > 0 {
			line = append(m.line, line...)
		}
		if one, ok := parseMap(line); ok && len(one.Perms) >= 3 && one.Perms[2] == 'x' {
			if len(m.list) == maxMaps {
				return false
			}
			m.list = append(m.list, one)
		}
		m.line, text = m.line[:0], rest
	}
}

// parseMap reads one line of /proc/PID/maps:
//
//	7f00-7f80 r-xp 00000000 08:01 1234    /usr/lib/x.so
func parseMap(line []byte) (record.Map, bool) {
	f := bytes.SplitN(line, []byte(" "), 6)
	if len(f) < 5 {
		return record.Map{}, false
	}
	start, end, ok := strings.Cut(string(f[0]), "-")
	inode, err := strconv.ParseUint(string(f[4]), 10, 64)
	if !ok || err != nil {
		return record.Map{}, false
	}
	m := record.Map{Start: start, End: end, Perms: string(f[1]), Inode: inode}
	if len(f) == 6 {
		m.Path = record.Bytes(bytes.Clone(bytes.TrimLeft(f[5], " ")))
	}
	return m, true
}

// parseFDInfo reads the position and the flags (octal) of an open file.
func parseFDInfo(b []byte) (pos int64, flags string) {
	for line := range bytes.Lines(b) {
		key, value, ok := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok:
		case key == "pos":
			pos, _ = strconv.ParseInt(value, 10, 64)
		case key == "flags":
			return pos, value
		}
	}
	return pos, ""
}

// parseBootTime is the line btime of /proc/stat: seconds since 1970.
func parseBootTime(b []byte) int64 {
	for line := range bytes.Lines(b) {
		if value, ok := strings.CutPrefix(string(line), "btime "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}

// auxValue finds a key in an auxiliary vector of word-sized pairs.
func auxValue(b []byte, key uint64, word int) int64 {
	number := func(b []byte) uint64 {
		if word == 4 {
			return uint64(binary.NativeEndian.Uint32(b))
		}
		return binary.NativeEndian.Uint64(b)
	}
	for ; len(b) >= 2*word; b = b[2*word:] {
		if v := number(b[word:]); number(b) == key && v <= math.MaxInt64 {
			return int64(v)
		}
	}
	return 0
}

// parseCgroup is the path of the unified hierarchy (0::), else that of the
// first line with one.
func parseCgroup(b []byte) record.Bytes {
	var first []byte
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(":"), 3)
		if len(f) < 3 {
			continue
		}
		if string(f[0]) == "0" {
			return record.Bytes(bytes.Clone(f[2]))
		}
		if first == nil && string(f[2]) != "/" {
			first = bytes.Clone(f[2])
		}
	}
	return record.Bytes(first)
}

// socketInode reads "socket:[123]".
func socketInode(target string) (uint64, bool) {
	s, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	return n, err == nil
}

// startNS is the wall-clock time of a start that the kernel counts in ticks
// since boot. It is as precise as btime: a second.
func startNS(boot, ticks, perSecond int64) int64 {
	if boot == 0 || perSecond <= 0 || ticks < 0 || ticks/perSecond > math.MaxInt64/4_000_000_000 {
		return 0
	}
	return boot*1e9 + ticks/perSecond*1e9 + ticks%perSecond*1e9/perSecond
}
