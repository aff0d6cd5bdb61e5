package collectors

import (
	"bytes"
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

const (
	// maxViews bounds the disagreements that are told.
	maxViews = 1 << 14
	// maxGroups bounds the control groups that are looked at.
	maxGroups = 1 << 16
)

// disagree notes a process that not all ways of looking show.
func (s *sweep) disagree(pid int64, group, why string) {
	if s.disputed++; len(s.views) == maxViews {
		return // the count in the ledger says that there are more
	}
	v := ProcessView{
		PID: pid, Listed: s.listed[pid], Private: s.private[pid], Answers: answers(pid), Covered: s.covered[pid],
		Cgroup: record.Bytes(group), Why: why,
	}
	if p, err := s.proc.process(pid); err == nil {
		p.close()
		v.Opens = true
	}
	s.views = append(s.views, v)
}

// unlisted tells the processes that a procfs of our own lists and the host's
// does not, and those whose folder is covered by a mount.
func (s *sweep) unlisted(pids []int64, unseen map[int64]bool, groups map[int64]string) {
	for _, pid := range pids {
		switch {
		case s.covered[pid]:
			s.disagree(pid, groups[pid], "its folder in /proc is covered by a mount")
		case unseen[pid] && answers(pid):
			s.listed[pid] = false
			s.disagree(pid, groups[pid], "the host's /proc does not list it, a procfs of our own does")
		}
	}
}

// tellViews writes the disagreements, where there are any.
func (s *sweep) tellViews() error {
	s.out.Seen("processes about which the views disagree", s.disputed)
	if len(s.views) == 0 {
		return nil
	}
	var text bytes.Buffer
	for _, v := range s.views {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	it := evidence.Item{Kind: evidence.KindStream, Source: "proc", Path: ProcessViews, Size: int64(text.Len())}
	return s.out.Stream(s.ctx, it, &text)
}

// cgroups returns the control group of each process that one lists: of the
// unified hierarchy, else of every other one. A group lists processes by the
// numbers that this process sees, 0 for those that it does not.
func (s *sweep) cgroups() map[int64]string {
	found := map[int64]string{}
	mounts, err := s.h.Mounts()
	if err != nil {
		return found // the mounts collector says so
	}
	for _, kind := range []string{"cgroup2", "cgroup"} {
		left := maxGroups
		for _, m := range mounts {
			if m.FSType == kind {
				s.groupsBelow(m.Point, found, &left)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

func (s *sweep) groupsBelow(dir string, found map[int64]string, left *int) {
	if *left--; *left < 0 || s.ctx.Err() != nil {
		return
	}
	text, err := s.h.ReadFile(path.Join(dir, "cgroup.procs"), 8<<20)
	if err == nil || len(text) > 0 {
		for line := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.ParseInt(line, 10, 64); err == nil && pid > 0 && len(found) < maxPID {
				found[pid] = dir
			}
		}
	}
	entries, err := s.h.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type == unix.S_IFDIR {
			s.groupsBelow(path.Join(dir, e.Name), found, left)
		}
	}
}

// groupLists asks once more whether a group lists a process: it may have
// ended, or begun, since.
func (s *sweep) groupLists(group string, pid int64) bool {
	text, err := s.h.ReadFile(path.Join(group, "cgroup.procs"), 8<<20)
	if err != nil && len(text) == 0 {
		return false
	}
	listed := listedProcesses(s.h)
	for line := range strings.FieldsSeq(string(text)) {
		if line == strconv.FormatInt(pid, 10) {
			return listed != nil && !listed[pid]
		}
	}
	return false
}
