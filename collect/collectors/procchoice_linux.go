package collectors

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// chosen is a process whose memory is taken.
type chosen struct {
	pid, start int64
	why        []string
}

// choose finds the processes. A choice that fits none is a record and a
// problem: no memory must not be taken for nothing to be had.
func (m *memoryOfProcesses) choose(which []string) ([]chosen, error) {
	pids, err := m.proc.list()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	f := newFinder(m.h, m.proc)
	found := map[string][]int64{}
	threads := map[string]int64{}
	var all []chosen
	look := func(pid int64) {
		p, err := m.proc.process(pid)
		if err != nil {
			return // ended
		}
		defer p.close()
		text, err := p.read("stat", maxStatus)
		st, ok := parseProcStat(text)
		if err != nil || !ok {
			return
		}
		c := chosen{pid: pid, start: st.startTicks}
		for _, w := range which {
			reasons := m.fits(w, p, st, f)
			if len(reasons) > 0 {
				found[w] = append(found[w], pid)
				c.why = append(c.why, reasons...)
			}
		}
		if len(c.why) > 0 {
			all = append(all, c)
		}
	}
	for _, pid := range pids {
		if err := m.ctx.Err(); err != nil {
			return nil, err
		}
		look(pid)
	}
	// What is not listed can be asked for by its number, and a finding of the
	// sweep is one that is not listed anywhere.
	for _, w := range which {
		if pid, err := strconv.ParseInt(w, 10, 64); err == nil && !slices.Contains(pids, pid) {
			if tgid := m.threadOf(pid); tgid > 0 && tgid != pid {
				threads[w] = tgid
				continue
			}
			look(pid)
		}
	}
	if slices.Contains(which, SelectFindings) {
		unlisted, err := f.unlisted(m.ctx, pids)
		if err != nil {
			return nil, err
		}
		for _, pid := range unlisted {
			if !slices.Contains(which, strconv.FormatInt(pid, 10)) {
				look(pid)
			}
		}
	}
	for _, w := range which {
		m.tell(w, found[w], threads[w])
	}
	return all, nil
}

// tell records how a choice went.
func (m *memoryOfProcesses) tell(w string, pids []int64, thread int64) {
	m.out.Seen("process memory: "+w, len(pids))
	r := ProcessMemoryRecord{What: "selection", Chosen: []string{w}}
	switch {
	case thread > 0:
		r.Why = fmt.Sprintf("%s is a thread of process %d: ask for that", w, thread)
	case len(pids) == 0 && w == SelectFindings:
		r.Why = "no process has a finding"
		m.record(r)
		return // which is good news, and no loss
	case len(pids) == 0:
		r.Why = "no such process"
	default:
		var list []string
		for _, pid := range pids {
			list = append(list, strconv.FormatInt(pid, 10))
		}
		r.Why = fmt.Sprintf("%d fit, all taken: %s", len(pids), strings.Join(list, " "))
		m.record(r)
		return
	}
	m.record(r)
	m.lose(evidence.Missing, ProcessMemoryName, fmt.Sprintf("--process-memory %s: %s", w, r.Why))
}

// threadOf returns the process of a thread, 0 where there is none.
func (m *memoryOfProcesses) threadOf(tid int64) int64 {
	p, err := m.proc.process(tid)
	if err != nil {
		return 0
	}
	defer p.close()
	text, err := p.read("status", maxStatus)
	if err != nil {
		return 0
	}
	return parseStatus(text).tgid
}

// fits says why a choice fits a process: nothing where it does not.
func (m *memoryOfProcesses) fits(w string, p *process, st procStat, f *finder) []string {
	if w == SelectFindings {
		return f.of(p, st)
	}
	if pid, err := strconv.ParseInt(w, 10, 64); err == nil {
		if pid == p.pid {
			return []string{"process id " + w}
		}
		return nil
	}
	if string(st.comm) == w {
		return []string{"name " + w}
	}
	exe, err := p.link("exe")
	if err == nil && path.Base(strings.TrimSuffix(exe, deletedSuffix)) == w {
		return []string{"executable " + w}
	}
	return nil
}

// expectProcessMemory counts what is resident of the chosen processes.
// Findings need more than names and metadata, so they are not counted.
func expectProcessMemory(ctx context.Context, opt ProcessMemoryOptions, h *collect.Host) (collect.Expected, error) {
	proc, err := openProcesses(h)
	if err != nil {
		return collect.Expected{}, err
	}
	defer proc.close()
	pids, err := proc.list()
	if err != nil {
		return collect.Expected{}, err
	}
	m := &memoryOfProcesses{ctx: ctx, h: h, proc: proc}
	e := collect.Expected{Items: 1}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return e, err
		}
		p, err := proc.process(pid)
		if err != nil {
			continue
		}
		e.Names++
		text, err := p.read("stat", maxStatus)
		if st, ok := parseProcStat(text); err == nil && ok && slices.ContainsFunc(opt.Which, func(w string) bool {
			return w != SelectFindings && len(m.fits(w, p, st, nil)) > 0
		}) {
			n := p.resident()
			e.Bytes += n
			e.Items += n/processChunk + 1
		}
		p.close()
	}
	return e, nil
}

// resident is what of a process is in memory or in swap, in bytes.
func (p *process) resident() (bytes int64) {
	text, err := p.read("status", maxStatus)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if key == "VmRSS" || key == "VmSwap" {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 50)
			bytes += kb << 10
		}
	}
	return bytes
}
