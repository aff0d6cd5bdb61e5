package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
	"github.com/exhibit-dfir/exhibit/internal/elfcore"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

const (
	// maxPadding bounds the zeros of one gap: an address in a forged bundle
	// must not fill the disk.
	maxPadding = 64 << 30
	// maxMemoryGaps bounds the gaps that are listed.
	maxMemoryGaps = 1 << 16
)

func memoryLime(c *cli.Context) error {
	if c.NArg() == 0 {
		return command.Failf(command.Usage, "see: exhibit memory lime --help", "memory lime takes one or more bundles")
	}
	if err := given(c, "output", "web01.lime"); err != nil {
		return err
	}
	var sources []*memorySource
	defer func() {
		for _, s := range sources {
			s.file.Close()
		}
	}()
	w := &writtenMemory{RAM: &ramFacts{}}
	var chunks []memoryChunk
	for _, arg := range c.Args().Slice() {
		s, err := openMemory(c, arg)
		if err != nil {
			return err
		}
		sources = append(sources, s)
		found, err := chunksOf(s.reader, ramPrefix)
		if err != nil {
			return err
		}
		chunks = append(chunks, found...)
		if err := w.RAM.known(s.reader); err != nil {
			return err
		}
	}
	if len(chunks) == 0 {
		return command.Failf(command.Failure, "main memory is taken with --memory; exhibit memory list BUNDLE says why there is none", "no main memory in %s", strings.Join(c.Args().Slice(), " "))
	}
	// Stable: of two chunks of one address that of the bundle named first has it.
	slices.SortStableFunc(chunks, func(a, b memoryChunk) int { return cmp.Compare(a.start, b.start) })
	out, err := createOut(c.String("output"), nil)
	if err != nil {
		return err
	}
	err = w.RAM.write(c, out, chunks, c.Bool("padded"))
	if err := out.finish(err, nil); err != nil {
		return err
	}
	w.RAM.settle()
	form := "main memory as LiME file"
	if c.Bool("padded") {
		form = "main memory as raw image"
	}
	return finished(c, out, sources, form, w)
}

// settle forgets what one run left and a later one took.
func (f *ramFacts) settle() {
	f.Left = slices.DeleteFunc(f.Left, func(left memorySpan) bool {
		missing := slices.ContainsFunc(f.Gaps, func(gap memorySpan) bool { return gap.Start <= left.Start && left.Start < gap.End })
		return left.Start < f.end && !missing
	})
}

// write writes the chunks, which are in order of their addresses.
func (f *ramFacts) write(c *cli.Context, out io.Writer, chunks []memoryChunk, padded bool) error {
	for i := range chunks {
		m := &chunks[i]
		if err := m.check(); err != nil {
			return err
		}
		cut, err := m.ranges(c, func(start uint64, data []byte) error { return f.block(out, start, data, padded) })
		if err != nil {
			return err
		}
		if cut {
			f.Cut = append(f.Cut, m.item.Path)
		}
		f.Chunks++
	}
	return nil
}

func (f *ramFacts) block(out io.Writer, start uint64, data []byte, padded bool) error {
	if start < f.end { // that is written already
		again := min(f.end-start, uint64(len(data)))
		f.Overlap += again
		start, data = start+again, data[again:]
		if len(data) == 0 {
			return nil
		}
	}
	if start > f.end && (f.Bytes > 0 || padded) && len(f.Gaps) < maxMemoryGaps {
		f.Gaps = append(f.Gaps, memorySpan{Start: f.end, End: start})
	}
	if padded {
		if start-f.end > maxPadding {
			return command.Failf(command.Failure, "write it without --padded", "there are %s of nothing before address %#x", term.Size(int64(min(start-f.end, 1<<62))), start)
		}
		if err := zeros(out, start-f.end); err != nil {
			return err
		}
	} else if _, err := out.Write(kcore.AppendLimeHeader(nil, kcore.Range{Start: start, End: start + uint64(len(data))})); err != nil {
		return err
	}
	_, err := out.Write(data)
	f.end = start + uint64(len(data))
	f.Bytes += uint64(len(data))
	return err
}

func zeros(out io.Writer, n uint64) error {
	buf := make([]byte, min(n, 1<<20))
	for n > 0 {
		m, err := out.Write(buf[:min(n, uint64(len(buf)))])
		if err != nil {
			return err
		}
		n -= uint64(m)
	}
	return nil
}

func memoryCore(c *cli.Context) error {
	if c.NArg() != 2 {
		return command.Failf(command.Usage, "see: exhibit memory core --help", "memory core takes a bundle and a process id")
	}
	pid, err := strconv.ParseInt(c.Args().Get(1), 10, 64)
	if err != nil || pid < 1 {
		return command.Failf(command.Usage, "exhibit memory list BUNDLE shows the numbers", "%q is no process id", c.Args().Get(1))
	}
	if err := given(c, "output", "412.core"); err != nil {
		return err
	}
	s, err := openMemory(c, c.Args().First())
	if err != nil {
		return err
	}
	defer s.file.Close()
	k, err := readCore(c, s, pid)
	if err != nil {
		return err
	}
	out, err := createOut(c.String("output"), nil)
	if err != nil {
		return err
	}
	if err := out.finish(k.write(c, out), nil); err != nil {
		return err
	}
	return finished(c, out, []*memorySource{s}, "memory of process "+strconv.FormatInt(pid, 10)+" as ELF core", &writtenMemory{Process: k.facts})
}

// core is the memory of a process on its way into a file.
type core struct {
	facts    *processFacts
	process  elfcore.Process
	ranges   []memorySpan // with their permissions as Why
	chunks   []memoryChunk
	segments []elfcore.Segment
}

// maxCoreParts bounds mappings, threads and segments of one core.
const maxCoreParts = 1 << 20

func readCore(c *cli.Context, s *memorySource, pid int64) (*core, error) {
	k := &core{process: elfcore.Process{PID: pid}}
	known, err := processesOf(s.reader)
	if err != nil {
		return nil, err
	}
	for _, p := range known {
		if p.PID == pid && k.facts == nil {
			k.facts = p
		}
	}
	if k.facts == nil {
		return nil, command.Failf(command.Failure, "exhibit memory list BUNDLE shows what there is; it is taken with --process-memory", "no memory of process %d in %s", pid, s.file.path)
	}
	if err := linesOf(s.reader, collectors.ProcessMemoryMap, k.line); err != nil {
		return nil, err
	}
	sort.SliceStable(k.ranges, func(i, j int) bool { return k.ranges[i].Start < k.ranges[j].Start })
	if k.chunks, err = chunksOf(s.reader, fmt.Sprintf("memory/process-%d-%d/", pid, k.facts.Start)); err != nil {
		return nil, err
	}
	if len(k.chunks) == 0 {
		return nil, command.Failf(command.Failure, "exhibit memory list BUNDLE says why", "nothing of the memory of process %d was taken: %s", pid, k.facts.Why)
	}
	for i := range k.chunks {
		if err := k.chunks[i].check(); err != nil {
			return nil, err
		}
		if _, err := k.chunks[i].ranges(c, k.segment); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// line takes in a line about the process.
func (k *core) line(m *collectors.ProcessMemoryRecord) error {
	if m.PID != k.facts.PID || m.StartTicks != k.facts.Start || len(k.ranges)+len(k.process.Threads) >= maxCoreParts {
		return nil
	}
	p := &k.process
	switch m.What {
	case "process":
		if m.Class != 64 || m.Machine != elfcore.AMD64 && m.Machine != elfcore.ARM64 {
			return command.Fail(command.Failure, "exhibit extract writes its chunks as they are",
				fmt.Errorf("process %d is of machine %d, %d bits: %w", m.PID, m.Machine, m.Class, elfcore.ErrMachine))
		}
		var args []string
		for _, a := range m.Args {
			args = append(args, string(a))
		}
		p.Machine, p.PPID, p.PGID, p.SID, p.UID, p.GID = m.Machine, m.PPID, m.PGID, m.SID, m.UID, m.GID
		p.Comm, p.Args, p.Auxv = string(m.Comm), strings.Join(args, " "), m.Auxv
	case "thread":
		t := elfcore.Thread{TID: m.TID, Registers: m.Registers, PC: m.PC, SP: m.SP}
		if m.TID == m.PID { // the first is the one that a debugger shows
			p.Threads = slices.Insert(p.Threads, 0, t)
		} else {
			p.Threads = append(p.Threads, t)
		}
	case "range":
		k.ranges = append(k.ranges, memorySpan{m.Start, m.End, m.Perms})
		if m.Inode != 0 {
			p.Files = append(p.Files, elfcore.File{Start: m.Start, End: m.End, Offset: m.Offset, Path: strings.ReplaceAll(string(m.Backing), "\x00", "")})
		}
	}
	return nil
}

// segment adds memory that is there. Neighbours of one mapping are one segment.
func (k *core) segment(start uint64, data []byte) error {
	end := start + uint64(len(data))
	for start < end {
		part, flags := end, uint32(0)
		i := sort.Search(len(k.ranges), func(i int) bool { return k.ranges[i].End > start })
		if i < len(k.ranges) {
			if r := k.ranges[i]; r.Start <= start {
				part, flags = min(end, r.End), flagsOf(r.Why)
			} else {
				part = min(end, r.Start)
			}
		}
		n := len(k.segments)
		switch {
		case n > 0 && start < k.segments[n-1].Start+k.segments[n-1].Size:
			return command.Failf(command.Integrity, "exhibit extract writes its chunks as they are", "memory at %#x is there twice", start)
		case n > 0 && start == k.segments[n-1].Start+k.segments[n-1].Size && flags == k.segments[n-1].Flags && !k.begins(start):
			k.segments[n-1].Size += part - start
		case n == maxCoreParts:
			return command.Failf(command.Failure, "exhibit extract writes its chunks as they are", "its memory is in more than %d pieces", maxCoreParts)
		default:
			k.segments = append(k.segments, elfcore.Segment{Start: start, Size: part - start, Flags: flags})
		}
		start = part
	}
	return nil
}

// begins reports whether a mapping begins at an address.
func (k *core) begins(at uint64) bool {
	i := sort.Search(len(k.ranges), func(i int) bool { return k.ranges[i].Start >= at })
	return i < len(k.ranges) && k.ranges[i].Start == at
}

func flagsOf(perms string) (flags uint32) {
	for i, flag := range []uint32{elfcore.Read, elfcore.Write, elfcore.Execute} {
		if i < len(perms) && perms[i] != '-' {
			flags |= flag
		}
	}
	return flags
}

func (k *core) write(c *cli.Context, out io.Writer) error {
	w, err := elfcore.NewWriter(out, &k.process, k.segments)
	if err != nil {
		return err
	}
	for i := range k.chunks {
		if _, err := k.chunks[i].ranges(c, func(_ uint64, data []byte) error {
			_, err := w.Write(data)
			return err
		}); err != nil {
			return err
		}
	}
	return w.Close()
}
