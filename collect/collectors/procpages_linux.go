package collectors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// mapping is one mapping of a process (proc_pid_smaps(5)).
type mapping struct {
	start, end, offset uint64
	perms              string
	dev                string // major:minor, decimal
	inode              uint64
	path               record.Bytes
	resident           uint64 // Rss and Swap, bytes
	flags              string // VmFlags
	detailed           bool   // resident and flags are known
}

func (m *mapping) executable() bool { return len(m.perms) > 2 && m.perms[2] == 'x' }

// has reports whether VmFlags has a flag of two letters.
func (m *mapping) has(flag string) bool {
	for f := range strings.FieldsSeq(m.flags) {
		if f == flag {
			return true
		}
	}
	return false
}

// skipped says why nothing is read of a mapping, "" where it is read. The
// kernel's own pages are no memory of the process, and reading a device's
// (VM_IO, VM_PFNMAP) could act on the device.
func (m *mapping) skipped() string {
	switch path := string(m.path); {
	case strings.HasPrefix(path, "[vvar"), path == "[vsyscall]":
		return "a page of the kernel"
	case m.has("io"):
		return "memory of a device (VM_IO)"
	case m.has("pf"):
		return "memory of a device or of the kernel (VM_PFNMAP)"
	case !m.detailed && strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/") && !strings.HasPrefix(path, "/dev/zero"):
		return "may be memory of a device"
	}
	return ""
}

// parseMapping reads the head of a mapping:
//
//	7f00-7f80 r-xp 00000000 08:01 1234    /usr/lib/x.so
func parseMapping(line []byte) (mapping, bool) {
	f := bytes.SplitN(line, []byte(" "), 6)
	if len(f) < 5 {
		return mapping{}, false
	}
	low, high, ok := strings.Cut(string(f[0]), "-")
	start, err1 := strconv.ParseUint(low, 16, 64)
	end, err2 := strconv.ParseUint(high, 16, 64)
	offset, err3 := strconv.ParseUint(string(f[2]), 16, 64)
	inode, err4 := strconv.ParseUint(string(f[4]), 10, 64)
	major, minor, dev := strings.Cut(string(f[3]), ":")
	hi, err5 := strconv.ParseUint(major, 16, 32)
	lo, err6 := strconv.ParseUint(minor, 16, 32)
	if !ok || !dev || errors.Join(err1, err2, err3, err4, err5, err6) != nil || end <= start || len(f[1]) != 4 {
		return mapping{}, false
	}
	m := mapping{start: start, end: end, perms: string(f[1]), offset: offset, inode: inode}
	m.dev = strconv.FormatUint(hi, 10) + ":" + strconv.FormatUint(lo, 10)
	if len(f) == 6 {
		m.path = record.Bytes(bytes.Clone(bytes.TrimLeft(f[5], " ")))
	}
	return m, true
}

// mappings gathers the lines of maps or smaps, which come in pieces.
type mappings struct {
	list []mapping
	line []byte // the beginning of a line whose end is yet to come
	keep func(*mapping) bool
	full bool
	in   bool // the lines of detail belong to the last of the list
}

// maxMappings bounds the mappings of one process: the kernel's own default
// bound (vm.max_map_count) is 65530.
const maxMappings = 1 << 16

func (m *mappings) add(text []byte) {
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			m.line = append(m.line, text...)
			return
		}
		if len(m.line) > 0 {
			line = append(m.line, line...)
		}
		m.one(line)
		m.line, text = m.line[:0], rest
	}
}

func (m *mappings) one(line []byte) {
	if one, ok := parseMapping(line); ok {
		m.in = m.keep == nil || m.keep(&one)
		if m.in && len(m.list) == maxMappings {
			m.in, m.full = false, true
		}
		if m.in {
			m.list = append(m.list, one)
		}
		return
	}
	if !m.in {
		return
	}
	last := &m.list[len(m.list)-1]
	key, value, _ := strings.Cut(string(line), ":")
	switch key {
	case "Rss", "Swap", "Private_Hugetlb", "Shared_Hugetlb":
		n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 50)
		if err == nil {
			last.resident += n << 10
		}
	case "VmFlags":
		last.flags, last.detailed = strings.TrimSpace(value), true
	}
}

// mappings reads the mappings of the process that keep wants (nil: all), from
// smaps where the kernel has it. full says that there were more.
func (p *process) mappings(keep func(*mapping) bool) (list []mapping, full bool, err error) {
	for _, file := range []string{"smaps", "maps"} {
		m := mappings{keep: keep}
		cut, err := p.pieces(file, maxMapText, func(_ int64, text []byte) error {
			m.add(text)
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) && file == "smaps" {
			continue // no CONFIG_PROC_PAGE_MONITOR, or ended, which maps will say
		}
		return m.list, m.full || cut, err
	}
	return nil, false, nil
}

// Bits of an entry of /proc/PID/pagemap (proc_pid_pagemap(5)).
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61 // of a file, or shared
)

// addressSpace reads the memory of one process through /proc/PID/mem. It is
// bound to the memory that the process had when it was opened: after the
// process started another program or ended, nothing more is read of it.
type addressSpace struct {
	p       *process
	mem     int
	pagemap int // -1: the kernel has none
	page    uint64
	buf     []byte
	words   []byte
	lost    error // why nothing more is read: it kept us waiting, or is gone
	held    bool  // by a read that does not come back
}

// errGone says that a process has no memory any more.
var errGone = errors.New("the process ended, or started another program")

func (p *process) memory() (*addressSpace, error) {
	dir := p.fd
	open := func(name string) (int, error) {
		return collect.Patiently(p.all.h, procWait, func(fd int) { unix.Close(fd) }, func() (int, error) { return openIn(dir, name) })
	}
	mem, err := open("mem")
	if err != nil {
		return nil, err
	}
	pagemap, err := open("pagemap")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		unix.Close(mem)
		return nil, err
	}
	if err != nil {
		pagemap = -1
	}
	return &addressSpace{p: p, mem: mem, pagemap: pagemap, page: uint64(os.Getpagesize())}, nil
}

// close gives the descriptors back, but not to a number that a hanging read
// may still use.
func (a *addressSpace) close() {
	if a.held {
		return
	}
	unix.Close(a.mem)
	if a.pagemap >= 0 {
		unix.Close(a.pagemap)
	}
}

// pread reads into a buffer that is lost with a read that never returns.
func (a *addressSpace) pread(fd int, buf []byte, at int64) (int, error) {
	if a.lost != nil {
		return 0, a.lost
	}
	n, err := collect.Patiently(a.p.all.h, procWait, nil, func() (n int, err error) {
		for n < len(buf) {
			m, err := unix.Pread(fd, buf[n:], at+int64(n))
			switch {
			case err == unix.EINTR:
			case err != nil:
				return n, err
			case m == 0:
				return n, nil
			default:
				n += m
			}
		}
		return n, nil
	})
	if errors.Is(err, collect.ErrTimeout) {
		a.lost, a.held, a.buf, a.words = err, true, nil, nil
	}
	return n, err
}

// read reads memory. The bytes are valid until the next read. Fewer than
// asked come with the error that ended it.
func (a *addressSpace) read(start uint64, size int) ([]byte, error) {
	if len(a.buf) < size {
		a.buf = make([]byte, max(size, memoryBlock))
	}
	buf := a.buf
	if start > 1<<63-1-uint64(size) {
		return nil, unix.EIO // beyond what a file offset can say
	}
	n, err := a.pread(a.mem, buf[:size], int64(start))
	if a.lost == nil && err == nil && n == 0 || errors.Is(err, unix.ESRCH) {
		a.lost = errGone // 0 bytes without error: its memory has been freed
	}
	if a.lost != nil {
		return nil, a.lost
	}
	if n < size && err == nil {
		err = unix.EIO
	}
	return buf[:n], err
}

// pages is a run of pages of a mapping.
type pages struct{ start, end uint64 }

// runs calls one for each run of pages of a mapping that are in memory or in
// swap and of which wanted is true. Without a pagemap the whole mapping is one.
func (a *addressSpace) runs(m *mapping, wanted func(entry uint64) bool, one func(pages) error) error {
	if m.detailed && m.resident == 0 {
		return nil
	}
	if a.pagemap < 0 {
		return one(pages{m.start, m.end})
	}
	const at = 64 << 10 // bytes of entries: 32 MiB of memory with small pages
	var run pages
	for page := m.start / a.page; page < m.end/a.page; {
		if a.words == nil {
			a.words = make([]byte, at)
		}
		words := a.words[:min(at, 8*(m.end/a.page-page))]
		n, err := a.pread(a.pagemap, words, int64(page*8))
		if err != nil {
			return err
		}
		if n < 8 {
			return errGone
		}
		for i := 0; i+8 <= n; i += 8 {
			entry := binary.NativeEndian.Uint64(words[i:])
			here := page * a.page
			page++
			if entry&(pagePresent|pageSwapped) == 0 || wanted != nil && !wanted(entry) {
				continue
			}
			if run.end != here {
				if run.end > run.start {
					if err := one(run); err != nil {
						return err
					}
				}
				run.start = here
			}
			run.end = here + a.page
		}
	}
	if run.end > run.start {
		return one(run)
	}
	return nil
}

// modified reports whether a page of a private mapping of a file is no longer
// the file's: it became anonymous when it was written to.
func modified(entry uint64) bool { return entry&pageOfFile == 0 }
