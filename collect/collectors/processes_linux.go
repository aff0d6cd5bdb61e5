package collectors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// sweep is one pass over all processes.
type sweep struct {
	ctx      context.Context
	h        *collect.Host
	out      collect.Taker
	proc     *processes
	lines    *collect.Records
	raw      *collect.Records
	boot     int64 // seconds since 1970
	ticks    int64
	covered  map[int64]bool // by a mount of the host
	hashes   map[exeKey]exeHash
	mntns    map[string]bool // mountinfo written
	known    map[int64]bool  // processes and threads met
	listed   map[int64]bool  // by the host's own procfs
	veiled   bool            // it does not list what belongs to others
	private  map[int64]bool  // listed by a procfs of our own
	views    []ProcessView
	disputed int // those of views, and those beyond the bound
}

func collectProcesses(ctx context.Context, h *collect.Host, out collect.Taker) error {
	proc, err := openProcesses(h)
	if err != nil {
		return err
	}
	defer proc.close()
	s := &sweep{
		ctx: ctx, h: h, out: out, proc: proc, ticks: clockTicks(h), covered: coveredProcesses(h),
		hashes: map[exeKey]exeHash{}, mntns: map[string]bool{}, known: map[int64]bool{}, listed: map[int64]bool{},
	}
	s.veiled = !proc.detached && veiled(h)
	stat, err := h.ReadFile("/proc/stat", 16<<20)
	if err != nil {
		out.Problem(problemOf(err, "/proc/stat"))
	}
	s.boot = parseBootTime(stat)
	s.lines = collect.NewRecords(ctx, out, evidence.Item{Path: record.Processes, Source: "proc"})
	s.raw = collect.NewRecords(ctx, out, evidence.Item{Path: ProcRaw, Source: "proc"})
	err = s.run()
	return errors.Join(err, s.lines.Close(), s.raw.Close())
}

func (s *sweep) run() error {
	pids, err := s.list()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.one(pid, s.covered[pid]); err != nil {
			return err
		}
	}
	s.out.Seen("listed processes", len(pids))
	if err := s.hidden(); err != nil {
		return err
	}
	return s.tellViews()
}

// list lists the host's own procfs, which is what its programs see, and adds
// what only the detached one lists.
func (s *sweep) list() ([]int64, error) {
	pids, err := s.proc.list()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	if s.proc.detached {
		s.private = make(map[int64]bool, len(pids))
		for _, pid := range pids {
			s.private[pid] = true
		}
	}
	if !s.proc.detached {
		for _, pid := range pids {
			s.listed[pid] = true
		}
		return pids, nil
	}
	entries, err := s.h.ReadDir("/proc")
	if err != nil {
		s.out.Problem(problemOf(err, "/proc"))
	}
	for _, e := range entries {
		if pid, err := strconv.ParseInt(e.Name, 10, 64); err == nil {
			s.listed[pid] = true
		}
	}
	return pids, nil
}

// coveredProcesses are those over whose folder something is mounted.
func coveredProcesses(h *collect.Host) map[int64]bool {
	mounts, err := h.Mounts()
	if err != nil {
		return nil // the mounts collector says so
	}
	return coveredBy(mounts)
}

func coveredBy(mounts []collect.MountPoint) map[int64]bool {
	covered := map[int64]bool{}
	for _, m := range mounts {
		if name, ok := strings.CutPrefix(m.Point, "/proc/"); ok {
			if pid, err := strconv.ParseInt(name, 10, 64); err == nil {
				covered[pid] = true
			}
		}
	}
	return covered
}

// one records a process. That it ends meanwhile is no error: what was read
// until then is kept.
func (s *sweep) one(pid int64, hidden bool) error {
	p, err := s.proc.process(pid)
	if err != nil {
		return nil // ended before it was looked at
	}
	defer p.close()
	s.known[pid] = true
	r := record.Process{
		Taken: time.Now().UnixNano(), PID: pid, Hidden: hidden, Args: []record.Bytes{}, UID: unknownIDs, GID: unknownIDs,
		LoginUID: 4294967295, SessionID: 4294967295,
	}
	fail := func(what string, err error) {
		if err != nil && !errors.Is(err, collect.ErrTooBig) {
			r.Errors = append(r.Errors, what+": "+plainError(err))
		}
	}
	stat, err := p.read("stat", maxStatus)
	if gone(err) {
		return nil
	}
	fail("stat", err)
	st, ok := parseProcStat(stat)
	if !ok && err == nil {
		r.Errors = append(r.Errors, "stat: not in the kernel's format")
	}
	s.fromStat(&r, st)
	if s.covered[pid] {
		r.Errors = append(r.Errors, "its folder in /proc is covered by a mount")
	}
	s.fromFiles(p, &r, fail)
	s.executable(p, &r, fail)
	s.files(p, &r, fail)
	if err := s.rawFiles(p, &r); err != nil {
		return err
	}
	return s.lines.Write(r)
}

// plainError leaves the name out that the record has already.
func plainError(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (s *sweep) fromStat(r *record.Process, st procStat) {
	r.PPID, r.PGID, r.SID, r.TTY = st.ppid, st.pgid, st.sid, st.tty
	r.State, r.Comm, r.Threads = st.state, record.Bytes(st.comm), st.threads
	r.StartTicks, r.Start = st.startTicks, startNS(s.boot, st.startTicks, s.ticks)
	r.KThread = st.flags&kernelThread != 0
}

func (s *sweep) fromFiles(p *process, r *record.Process, fail func(string, error)) {
	text, err := p.read("status", maxStatus)
	fail("status", err)
	status := parseStatus(text)
	r.UID, r.GID, r.CapEff, r.Tracer = status.uid, status.gid, status.capEff, status.tracer
	text, err = p.read("cmdline", maxArgs)
	fail("cmdline", err)
	if errors.Is(err, collect.ErrTooBig) {
		r.Errors = append(r.Errors, fmt.Sprintf("cmdline: only the first %d bytes here, more in %s", maxArgs, ProcRaw))
	}
	r.Args = parseArgs(text)
	r.Cgroup = p.cgroup()
	r.Namespaces = p.namespaces()
	r.LoginUID, r.SessionID = s.number(p, "loginuid"), s.number(p, "sessionid")
	if text, err := p.read("attr/current", 4096); err == nil {
		r.Label = record.Bytes(strings.TrimRight(string(text), "\x00\n"))
	}
	if r.KThread {
		return // it has no file system view and no mappings of its own
	}
	for _, l := range []struct {
		name string
		to   *record.Bytes
	}{{"cwd", &r.CWD}, {"root", &r.Root}} {
		target, err := p.link(l.name)
		if !gone(err) {
			fail(l.name, err)
		}
		*l.to = record.Bytes(target)
	}
	maps, more, err := p.execMaps()
	if !gone(err) {
		fail("maps", err)
	}
	if more {
		r.Errors = append(r.Errors, fmt.Sprintf("maps: only the first %d executable mappings", maxMaps))
	}
	r.Maps = maps
}

// number reads a file that holds one decimal number; unset where the kernel
// has no auditing.
func (s *sweep) number(p *process, name string) int64 {
	const unset = 4294967295
	text, err := p.read(name, 64)
	if err != nil {
		return unset
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return unset
	}
	return n
}

const (
	// maxFDs bounds the open files of one record; the others' targets go into
	// the raw record set.
	maxFDs = 4096
	// maxArgs bounds the arguments of one record.
	maxArgs = 256 << 10
)

func (s *sweep) files(p *process, r *record.Process, fail func(string, error)) {
	fds, err := listNumbers(p.fd, "fd")
	if err != nil {
		if !gone(err) {
			fail("fd", err)
		}
		return
	}
	var rest []byte
	for i, fd := range fds {
		name := strconv.FormatInt(fd, 10)
		target, err := p.link("fd/" + name)
		if err != nil {
			continue // closed meanwhile
		}
		if i >= maxFDs {
			rest = append(append(append(append(rest, name...), ' '), target...), 0)
			if len(rest) >= pieceOfRest {
				_ = s.raw.Write(RawFile{PID: p.pid, Start: r.StartTicks, File: "fd", Data: rest})
				rest = rest[:0]
			}
			continue
		}
		entry := record.FD{FD: fd, Target: record.Bytes(target)}
		if info, err := p.read("fdinfo/"+name, maxStatus); err == nil {
			entry.Pos, entry.Flags = parseFDInfo(info)
			if strings.HasPrefix(target, "anon_inode:") { // epoll, timers, eBPF programs: the rest is here
				_ = s.raw.Write(RawFile{PID: p.pid, Start: r.StartTicks, File: "fdinfo/" + name, Data: info})
			}
		}
		r.FDs = append(r.FDs, entry)
	}
	if len(rest) > 0 {
		_ = s.raw.Write(RawFile{PID: p.pid, Start: r.StartTicks, File: "fd", Data: rest})
	}
	if len(fds) > maxFDs {
		r.Errors = append(r.Errors, fmt.Sprintf("fd: only the first %d of %d here, the others in %s", maxFDs, len(fds), ProcRaw))
	}
}

// pieceOfRest is how much of the list of further open files goes into a line.
const pieceOfRest = 64 << 10

func (s *sweep) rawFiles(p *process, r *record.Process) error {
	for _, name := range rawFiles {
		if err := s.rawFile(p, r, 0, name, name); err != nil {
			return err
		}
	}
	if ns := r.Namespaces["mnt"]; !s.mntns[ns] || ns == "" {
		s.mntns[ns] = true
		if err := s.rawFile(p, r, 0, "mountinfo", "mountinfo"); err != nil {
			return err
		}
	}
	tids, err := listNumbers(p.fd, "task")
	if err != nil {
		return nil // ended
	}
	for _, tid := range tids {
		s.known[tid] = true
		dir := "task/" + strconv.FormatInt(tid, 10) + "/"
		if tid == p.pid {
			if err := s.rawFile(p, r, 0, "children", dir+"children"); err != nil {
				return err
			}
			continue
		}
		if err := s.thread(p, r, tid, dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *sweep) thread(p *process, r *record.Process, tid int64, dir string) error {
	for _, name := range threadFiles {
		if err := s.rawFile(p, r, tid, name, dir+name); err != nil {
			return err
		}
	}
	for _, ns := range threadNamespaces {
		target, err := p.link(dir + "ns/" + ns)
		if err != nil || target == r.Namespaces[ns] {
			continue
		}
		line := RawFile{PID: p.pid, Start: r.StartTicks, TID: tid, File: "ns/" + ns, Data: record.Bytes(target)}
		if err := s.raw.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// maxRaw bounds one raw file of a process. Arguments and environment end at 6
// MiB by the kernel's own bound.
const maxRaw = 16 << 20

func (s *sweep) rawFile(p *process, r *record.Process, tid int64, name, path string) error {
	line := RawFile{PID: p.pid, Start: r.StartTicks, TID: tid, File: name}
	var werr error
	cut, err := p.pieces(path, maxRaw, func(at int64, text []byte) error {
		line.Offset, line.Data = at, text
		werr = s.raw.Write(line)
		return werr
	})
	switch {
	case werr != nil:
		return werr
	case cut:
		line.Offset, line.Data, line.Cut = maxRaw, nil, true
	case err == nil:
		return nil
	case codeOf(err) != evidence.Denied && codeOf(err) != evidence.TimedOut:
		return nil // not there, of an ended process or not of this kind of process
	default:
		line.Data, line.Error = nil, plainError(err)
	}
	return s.raw.Write(line)
}
