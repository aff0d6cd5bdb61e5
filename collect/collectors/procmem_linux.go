package collectors

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
)

// memoryOfProcesses is one acquisition of the memory of processes.
type memoryOfProcesses struct {
	ctx    context.Context
	h      *collect.Host
	out    collect.Taker
	proc   *processes
	freeze bool
	lines  collect.Spool
	lost   int // problems told
}

func collectProcessMemory(ctx context.Context, opt ProcessMemoryOptions, h *collect.Host, out collect.Taker) error {
	proc, err := openProcesses(h)
	if err != nil {
		return err
	}
	defer proc.close()
	m := &memoryOfProcesses{ctx: ctx, h: h, out: out, proc: proc, freeze: opt.Freeze}
	err = m.all(opt.Which)
	return errors.Join(err, m.finish())
}

func (m *memoryOfProcesses) all(which []string) error {
	found, err := m.choose(which)
	if err != nil {
		return err
	}
	for _, one := range found {
		if err := m.ctx.Err(); err != nil {
			m.lose(stopCode(m.ctx), pathOfPID(one.pid), "memory not taken: the run was stopped")
			m.record(ProcessMemoryRecord{What: "end", PID: one.pid, State: "stopped", Why: "the run was stopped before"})
			continue
		}
		if err := m.one(one); err != nil {
			return err
		}
	}
	return m.ctx.Err()
}

func pathOfPID(pid int64) string { return "/proc/" + strconv.FormatInt(pid, 10) + "/mem" }

// stopCode is the code of what a stopped run left.
func stopCode(ctx context.Context) evidence.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return evidence.TimedOut
	}
	return evidence.Skipped
}

func (m *memoryOfProcesses) record(r ProcessMemoryRecord) {
	if line, err := json.Marshal(r); err == nil { // the record has no value without a form in JSON
		_, _ = m.lines.Write(append(line, '\n')) // what finds no room is counted
	}
}

func (m *memoryOfProcesses) lose(code evidence.Code, path, detail string) {
	m.lost++
	switch {
	case m.lost <= maxUnread:
		m.out.Problem(evidence.Problem{Code: code, Path: path, Detail: detail, Ref: evidence.Ref{Offset: -1, Length: -1}})
	case m.lost == maxUnread+1:
		m.out.Problem(evidence.Problem{
			Code: evidence.IOError, Path: ProcessMemoryMap, Detail: "more memory was not read: all of it is in " + ProcessMemoryMap,
			Ref: evidence.Ref{Offset: -1, Length: -1},
		})
	}
}

// finish writes the map. It is the last item: only then is it known.
func (m *memoryOfProcesses) finish() error {
	if n := m.lines.Lost(); n > 0 {
		m.lost = 0
		m.lose(evidence.TooBig, ProcessMemoryMap, fmt.Sprintf("%d lines found no room", n))
	}
	r, size := m.lines.Take()
	if size == 0 {
		return nil
	}
	it := evidence.Item{Kind: evidence.KindStream, Source: "memory", Path: ProcessMemoryMap, Size: -1, Rule: "process memory"}
	return m.out.Stream(context.WithoutCancel(m.ctx), it, r)
}

// dump is the taking of one process.
type dump struct {
	*memoryOfProcesses
	p     *process
	a     *addressSpace
	pid   int64
	start int64
	dir   string // of its items
	exe   string // target of the link, before

	chunk   []pages // to be taken as one item
	size    uint64  // bytes of chunk
	stored  uint64  // bytes taken
	reached uint64  // where the last write ended
	unread  uint64
	more    bool // mappings beyond the bound
}

func (m *memoryOfProcesses) one(c chosen) error {
	end := ProcessMemoryRecord{What: "end", PID: c.pid, StartTicks: c.start}
	fail := func(state string, code evidence.Code, why string) {
		end.State, end.Why, end.Taken = state, why, time.Now().UnixNano()
		m.record(end)
		if code != "" {
			m.lose(code, pathOfPID(c.pid), "memory not taken: "+why)
		}
	}
	p, err := m.proc.process(c.pid)
	if err != nil {
		fail("ended", evidence.Missing, "it ended before it was looked at")
		return nil
	}
	defer p.close()
	d := &dump{memoryOfProcesses: m, p: p, pid: c.pid}
	head, st, err := d.describe(c)
	switch {
	case err != nil:
		fail("ended", evidence.Missing, "it ended before it was looked at")
		return nil
	case st.startTicks != c.start:
		fail("ended", evidence.Missing, fmt.Sprintf("it ended: its number was given to a process that started at tick %d", st.startTicks))
		return nil
	case st.flags&kernelThread != 0:
		m.record(head)
		fail("none", "", "a thread of the kernel has no memory of its own")
		return nil
	case c.pid == int64(os.Getpid()):
		m.record(head)
		fail("none", "", "this run's own process")
		return nil
	}
	var still *frozen
	if m.freeze {
		began := time.Now()
		still = freeze(p)
		defer func() {
			still.thaw()
			m.h.Effect(fmt.Sprintf("process %d (started at tick %d): %d of its threads stopped with ptrace for %v",
				c.pid, c.start, still.count(), time.Since(began).Round(time.Millisecond)))
		}()
		if head.Frozen = still.whole(); !head.Frozen {
			m.lose(evidence.Changed, pathOfPID(c.pid), "read while it ran: "+still.why())
		}
	}
	m.record(head)
	d.threads(still)
	if d.a, err = p.memory(); err != nil {
		fail("denied", codeOf(err), plainError(err))
		return nil
	}
	defer d.a.close()
	if err := d.take(); err != nil {
		return err
	}
	end.State, end.Why = d.judge()
	end.Stored, end.Taken = d.stored, time.Now().UnixNano()
	m.record(end)
	if end.State != "complete" {
		code := evidence.IOError
		switch end.State {
		case "stopped":
			code = stopCode(m.ctx)
		case "ended", "replaced":
			code = evidence.Changed
		}
		m.lose(code, pathOfPID(c.pid), "memory taken in part: "+end.Why)
	}
	return nil
}

// describe reads what is needed to make sense of the memory.
func (d *dump) describe(c chosen) (ProcessMemoryRecord, procStat, error) {
	r := ProcessMemoryRecord{What: "process", PID: d.pid, Chosen: c.why, Taken: time.Now().UnixNano()}
	text, err := d.p.read("stat", maxStatus)
	st, ok := parseProcStat(text)
	if err != nil || !ok {
		return r, st, errors.Join(err, errGone)
	}
	d.start = st.startTicks
	d.dir = fmt.Sprintf("memory/process-%d-%d/", d.pid, d.start)
	r.StartTicks, r.Comm, r.PPID, r.PGID, r.SID = st.startTicks, record.Bytes(st.comm), st.ppid, st.pgid, st.sid
	if text, err = d.p.read("status", maxStatus); err == nil {
		ids := parseStatus(text)
		r.UID, r.GID = ids.uid[0], ids.gid[0]
	}
	if text, err = d.p.read("cmdline", maxArgs); err == nil || errors.Is(err, collect.ErrTooBig) {
		r.Args = parseArgs(text)
	}
	if text, err = d.p.read("auxv", 4096); err == nil {
		r.Auxv = bytes.Clone(text)
	}
	d.exe, _ = d.p.link("exe") // none of a kernel thread, or not permitted, which mem will say
	r.Exe = record.Bytes(d.exe)
	r.Class, r.Machine = d.machine()
	return r, st, nil
}

// machine reads class and machine from the ELF header of the executable.
func (d *dump) machine() (class, machine int) {
	if m, ok := d.h.MountOf(d.exe); ok && m.Storage() == collect.Remote {
		return 0, 0
	}
	f, err := d.p.open("exe")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	head, err := collect.Patiently(d.h, hashWait, nil, func() ([]byte, error) {
		head := make([]byte, 20)
		_, err := io.ReadFull(f, head)
		return head, err
	})
	if err != nil || string(head[:4]) != "\x7fELF" {
		return 0, 0
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if head[5] == 2 {
		order = binary.BigEndian
	}
	return 32 * int(head[4]), int(order.Uint16(head[18:]))
}

// threads records what is known of each thread's registers.
func (d *dump) threads(still *frozen) {
	tids, err := listNumbers(d.p.fd, "task")
	if err != nil {
		return
	}
	for _, tid := range tids {
		r := ProcessMemoryRecord{What: "thread", PID: d.pid, StartTicks: d.start, TID: tid, Registers: still.registers(tid)}
		dir := "task/" + strconv.FormatInt(tid, 10) + "/"
		if text, err := d.p.read(dir+"comm", 64); err == nil {
			r.Comm = record.Bytes(bytes.TrimSuffix(bytes.Clone(text), []byte("\n")))
		}
		// "NUMBER ARGUMENTS SP PC", "-1 SP PC", or "running" (proc_pid_syscall(5)).
		if text, err := d.p.read(dir+"syscall", 512); err == nil {
			if f := strings.Fields(string(text)); len(f) >= 3 {
				r.SP, _ = strconv.ParseUint(f[len(f)-2], 0, 64)
				r.PC, _ = strconv.ParseUint(f[len(f)-1], 0, 64)
			}
		}
		d.record(r)
	}
}

// take takes all mappings.
func (d *dump) take() error {
	list, full, err := d.p.mappings(nil)
	if err != nil && d.a.lost == nil {
		d.a.lost = err
	}
	d.more = full
	for i := range list {
		if d.ctx.Err() != nil || d.a.lost != nil {
			break
		}
		if err := d.mapping(&list[i]); err != nil {
			return err
		}
	}
	if len(d.chunk) > 0 && d.ctx.Err() == nil && d.a.lost == nil {
		return d.flush()
	}
	return nil
}

func (d *dump) mapping(m *mapping) error {
	r := ProcessMemoryRecord{
		What: "range", PID: d.pid, StartTicks: d.start, Start: m.start, End: m.end, Perms: m.perms, Offset: m.offset,
		Dev: m.dev, Inode: m.inode, Backing: m.path, Flags: m.flags, Why: m.skipped(),
	}
	if r.Why != "" {
		d.record(r)
		return nil
	}
	if d.a.pagemap < 0 && m.perms[0] != 'r' {
		r.Why = "the kernel does not say which pages of it exist, and the process itself may not read it"
		d.record(r)
		return nil
	}
	// Known before it is read: the line tells what is missing, also where the
	// reading ends in the middle.
	err := d.a.runs(m, nil, func(run pages) error {
		r.Stored += run.end - run.start
		return d.ctx.Err()
	})
	if err == nil {
		r.Untouched = m.end - m.start - r.Stored
		d.record(r)
		err = d.a.runs(m, nil, d.add)
	} else {
		r.Why = "which pages of it exist cannot be read: " + causeOf(err)
		d.record(r)
	}
	var write *sinkError
	switch {
	case errors.As(err, &write):
		return write.err
	case err != nil && d.ctx.Err() == nil && d.a.lost == nil:
		d.a.lost = err
	}
	return nil
}

// sinkError is an error that ends the run, among those of reading.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }

// add adds a run to the chunk, and takes it where it is full.
func (d *dump) add(run pages) error {
	for run.start < run.end {
		part := pages{run.start, min(run.end, run.start+processChunk-d.size)}
		d.chunk = append(d.chunk, part)
		d.size += part.end - part.start
		run.start = part.end
		if d.size == processChunk {
			if err := d.flush(); err != nil {
				return &sinkError{err}
			}
		}
		if d.a.lost != nil {
			return d.a.lost
		}
		if err := d.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// flush takes the chunk as one item.
func (d *dump) flush() error {
	first := d.chunk[0].start
	d.reached = first
	path := fmt.Sprintf("%s%016x.lime", d.dir, first)
	it := evidence.Item{
		Index: -1, Kind: evidence.KindStream, Source: "memory", Path: path, Size: -1, Rule: "process memory",
		Detail: fmt.Sprintf("memory of process %d from virtual address %#x", d.pid, first),
	}
	err := streamTo(d.ctx, d.out, it, func(to io.Writer) error {
		for _, run := range d.chunk {
			for at := run.start; at < run.end; at += memoryBlock {
				if d.ctx.Err() != nil || d.a.lost != nil {
					return nil
				}
				if err := d.block(path, pages{at, min(run.end, at+memoryBlock)}, to); err != nil {
					return err
				}
			}
		}
		return nil
	})
	d.chunk, d.size = d.chunk[:0], 0
	if err == nil {
		d.record(ProcessMemoryRecord{What: "taken", PID: d.pid, StartTicks: d.start, Path: path, Start: first, End: d.reached})
	}
	return err
}

// block writes memory as one range, or around pages that cannot be read as
// several.
func (d *dump) block(path string, run pages, to io.Writer) error {
	data, err := d.a.read(run.start, int(run.end-run.start))
	if d.a.lost != nil {
		return nil
	}
	if len(data) == int(run.end-run.start) {
		return d.write(run.start, data, to)
	}
	// What could be read before the bad page is taken, then the rest after it.
	good := uint64(len(data)) &^ (d.a.page - 1)
	if good > 0 {
		if err := d.write(run.start, data[:good], to); err != nil {
			return err
		}
	}
	bad := pages{run.start + good, run.start + good}
	for bad.end < run.end {
		bad.end += d.a.page
		if bad.end >= run.end {
			break
		}
		if one, _ := d.a.read(bad.end, int(d.a.page)); len(one) == int(d.a.page) || d.a.lost != nil {
			break
		}
	}
	d.bad(path, bad, err)
	if bad.end < run.end && d.a.lost == nil && d.ctx.Err() == nil {
		return d.block(path, pages{bad.end, run.end}, to)
	}
	return nil
}

func (d *dump) bad(path string, bad pages, err error) {
	d.unread += bad.end - bad.start
	r := ProcessMemoryRecord{What: "unread", PID: d.pid, StartTicks: d.start, Start: bad.start, End: bad.end, Path: path, Why: causeOf(err)}
	var errno unix.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	d.record(r)
	d.lose(evidence.IOError, path, fmt.Sprintf("memory %#x-%#x of process %d not read: %s", bad.start, bad.end-1, d.pid, r.Why))
}

func (d *dump) write(start uint64, data []byte, to io.Writer) error {
	head := kcore.AppendLimeHeader(nil, kcore.Range{Start: start, End: start + uint64(len(data))})
	if _, err := to.Write(head); err != nil {
		return err
	}
	_, err := to.Write(data)
	d.stored += uint64(len(data))
	d.reached = start + uint64(len(data))
	return err
}

// judge says how it went: whether it was the same process, running the same
// program, from the first byte to the last.
func (d *dump) judge() (state, why string) {
	text, err := d.p.read("stat", maxStatus)
	st, ok := parseProcStat(text)
	exe, _ := d.p.link("exe")
	switch {
	case err != nil || !ok || st.state == "Z" || st.state == "X":
		why = "it ended while it was read"
		if again, err := d.proc.process(d.pid); err == nil {
			defer again.close()
			text, err := again.read("stat", maxStatus)
			if now, ok := parseProcStat(text); err == nil && ok && now.startTicks != d.start {
				why += fmt.Sprintf("; its number is now of a process that started at tick %d, of which nothing was taken", now.startTicks)
			}
		}
		return "ended", why
	case exe != d.exe || errors.Is(d.a.lost, errGone):
		return "replaced", "it started another program while it was read, of which nothing was taken"
	case d.ctx.Err() != nil:
		return "stopped", "the run was stopped"
	case d.a.lost != nil:
		return "partial", causeOf(d.a.lost)
	case d.unread > 0:
		return "partial", fmt.Sprintf("%d bytes could not be read", d.unread)
	case d.more:
		return "partial", fmt.Sprintf("only its first %d mappings were taken", maxMappings)
	}
	return "complete", ""
}
