package collectors

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"golang.org/x/sys/unix"
)

// maxPID is the kernel's own bound on pid_max (PID_MAX_LIMIT).
const maxPID = 4 << 20

// hidden asks for every process number and records those that answer without
// being listed.
func (s *sweep) hidden() error {
	highest := highestPID(s.h)
	var suspects []int64
	for pid := int64(1); pid < highest; pid++ {
		if pid%4096 == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
		if answers(pid) && !s.known[pid] {
			suspects = append(suspects, pid)
		}
	}
	// Processes and threads that began since the first listing are listed now.
	again, err := s.list()
	if err != nil {
		return err
	}
	unseen := map[int64]bool{}
	if host := listedProcesses(s.h); host != nil && s.private != nil { // after the other: what began since is in it
		for _, pid := range again {
			unseen[pid] = !host[pid]
		}
	}
	for _, pid := range again {
		s.listed[pid] = true
	}
	groups := s.cgroups()
	for pid := range groups {
		if !s.known[pid] && !slices.Contains(suspects, pid) {
			suspects = append(suspects, pid)
		}
	}
	slices.Sort(suspects)
	s.unlisted(again, unseen, groups)
	found := 0
	for _, pid := range suspects {
		hidden, err := s.suspect(pid)
		if err != nil {
			return err
		}
		if hidden {
			found++
			s.disagree(pid, groups[pid], "it is there, and not listed")
		} else if group := groups[pid]; group != "" && !s.veiled && !s.known[pid] && !s.listed[pid] && s.groupLists(group, pid) {
			s.disagree(pid, group, "a cgroup lists it, and nothing else shows it")
		}
	}
	s.out.Seen("processes that answer but are not listed", found)
	return nil
}

// highestPID is the number that no process reaches (proc_sys_kernel(5)).
func highestPID(h *collect.Host) int64 {
	if text, err := h.ReadFile("/proc/sys/kernel/pid_max", 64); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			return min(n, maxPID)
		}
	}
	return maxPID
}

// answers reports whether there is a process or thread of this number: signal
// 0 is checked and not sent (kill(2)). It never waits, so that the scheduler
// need not be told: millions of numbers are asked for.
func answers(pid int64) bool {
	_, _, errno := unix.RawSyscall(unix.SYS_KILL, uintptr(pid), 0, 0)
	return errno == 0 || errno == unix.EPERM
}

// suspect looks at a number that answered. Threads answer, too, and are never
// listed: they are told by the process they belong to.
func (s *sweep) suspect(pid int64) (hidden bool, err error) {
	if s.listed[pid] {
		return false, s.one(pid, false)
	}
	p, err := s.proc.process(pid)
	if err == nil {
		text, rerr := p.read("status", maxStatus)
		p.close()
		status := parseStatus(text)
		if rerr == nil && status.tgid != pid && (s.listed[status.tgid] || s.known[status.tgid]) {
			return false, nil
		}
		if rerr == nil {
			before := s.lines.Count()
			if err := s.one(pid, true); err != nil || s.lines.Count() > before {
				return true, err
			}
		}
	}
	if !answers(pid) {
		return false, nil // it ended
	}
	why, hidden := "answers to its number, but procfs shows nothing of it", true
	if s.veiled {
		why, hidden = "answers to its number; the hidepid option of /proc keeps it, or the process it is a thread of, from this account", false
	}
	return hidden, s.lines.Write(record.Process{
		Taken: time.Now().UnixNano(), PID: pid, Hidden: hidden, Args: []record.Bytes{},
		UID: unknownIDs, GID: unknownIDs, LoginUID: 4294967295, SessionID: 4294967295, Errors: []string{why},
	})
}

// veiled reports whether procfs as the host mounted it shows an account only
// its own processes (hidepid=, proc(5)): that others are not listed means
// nothing then.
func veiled(h *collect.Host) bool {
	m, ok := h.MountOf("/proc/1")
	return ok && m.FSType == "proc" && hidesPIDs(m)
}

func hidesPIDs(m collect.MountPoint) bool {
	for option := range strings.SplitSeq(m.SuperOpts+","+m.Options, ",") {
		if value, ok := strings.CutPrefix(option, "hidepid="); ok {
			return value != "0" && value != "off"
		}
	}
	return false
}
