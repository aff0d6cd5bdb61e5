// Package elfcore writes the memory of a process as an ELF core file that
// debuggers load: a PT_NOTE with what they need to know, and a PT_LOAD for
// each stretch of memory. Sources: elf(5), core(5), and the kernel's
// fs/binfmt_elf.c and include/uapi/linux/elfcore.h. It writes 64-bit
// little-endian cores of amd64 and arm64.
package elfcore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Values of e_machine.
const (
	AMD64 = 62
	ARM64 = 183
)

// ErrMachine says that there is no form for the cores of a machine.
var ErrMachine = errors.New("cores are written of 64-bit amd64 and arm64 processes only")

// Process is what the notes say of it.
type Process struct {
	Machine              int
	PID, PPID, PGID, SID int64
	UID, GID             int64
	Comm                 string // at most 15 bytes are written
	Args                 string // at most 79 bytes
	Auxv                 []byte // as /proc/PID/auxv has it
	Threads              []Thread
	Files                []File
}

// Thread is one thread. A debugger takes the first for the current one.
type Thread struct {
	TID       int64
	Registers []byte // elf_gregset_t; nil: zeros but for PC and SP
	PC, SP    uint64
}

// File is a mapping of a file.
type File struct {
	Start, End, Offset uint64 // Offset in bytes, a multiple of the page size
	Path               string
}

// Segment is memory that is there: Size bytes at Start.
type Segment struct {
	Start, Size uint64
	Flags       uint32 // Read, Write, Execute
}

// Flags of a segment (p_flags).
const (
	Execute = 1
	Write   = 2
	Read    = 4
)

const (
	headerSize  = 64
	programSize = 56
	sectionSize = 64
	page        = 4096
	extended    = 0xffff // PN_XNUM: the count is in the first section header

	notePRStatus = 1
	notePRPSInfo = 3
	noteAuxv     = 6
	noteFile     = 0x46494c45
)

// registers describes elf_gregset_t of a machine.
type registers struct{ size, pc, sp int }

func registersOf(machine int) (registers, bool) {
	switch machine {
	case AMD64: // struct user_regs_struct: rip is the 17th word, rsp the 20th
		return registers{27 * 8, 16 * 8, 19 * 8}, true
	case ARM64: // struct user_pt_regs: x0-x30, sp, pc, pstate
		return registers{34 * 8, 32 * 8, 31 * 8}, true
	}
	return registers{}, false
}

// Writer writes one core. Segments are written by Write, all bytes of all of
// them in their order, after NewWriter has written what comes before.
type Writer struct {
	w    io.Writer
	left uint64
}

// NewWriter writes headers and notes. The segments must be in ascending order.
func NewWriter(w io.Writer, p *Process, segments []Segment) (*Writer, error) {
	regs, ok := registersOf(p.Machine)
	if !ok {
		return nil, fmt.Errorf("machine %d: %w", p.Machine, ErrMachine)
	}
	notes := p.notes(regs)
	count := len(segments) + 1
	le := binary.LittleEndian
	head := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	head = le.AppendUint16(head, 4) // ET_CORE
	head = le.AppendUint16(head, uint16(p.Machine))
	head = le.AppendUint32(head, 1)
	head = le.AppendUint64(head, 0)
	head = le.AppendUint64(head, headerSize) // program headers
	sections, programs := uint64(0), uint64(count)*programSize
	if count >= extended {
		sections = headerSize + programs
	}
	head = le.AppendUint64(head, sections)
	head = le.AppendUint32(head, 0)
	head = le.AppendUint16(head, headerSize)
	head = le.AppendUint16(head, programSize)
	head = le.AppendUint16(head, uint16(min(count, extended)))
	head = le.AppendUint16(head, sectionSize)
	head = le.AppendUint16(head, uint16(min(sections, 1)))
	head = le.AppendUint16(head, 0)
	at := headerSize + programs
	if sections > 0 {
		at += sectionSize
	}
	program := func(kind, flags uint32, offset, address, size, align uint64) {
		head = le.AppendUint32(head, kind)
		head = le.AppendUint32(head, flags)
		memory := size
		if kind == 4 { // PT_NOTE takes no memory
			memory = 0
		}
		for _, v := range []uint64{offset, address, 0, size, memory, align} {
			head = le.AppendUint64(head, v)
		}
	}
	program(4, 0, at, 0, uint64(len(notes)), 4)
	at += uint64(len(notes))
	padding := (page - at%page) % page
	at += padding
	out := &Writer{w: w}
	for _, s := range segments {
		if s.Size > math.MaxInt64-at {
			return nil, errors.New("more memory than a file can hold")
		}
		program(1, s.Flags, at, s.Start, s.Size, page)
		at += s.Size
		out.left += s.Size
	}
	if sections > 0 { // SHT_NULL whose sh_info is the count
		section := make([]byte, sectionSize)
		le.PutUint32(section[44:], uint32(count))
		head = append(head, section...)
	}
	for _, part := range [][]byte{head, notes, make([]byte, padding)} {
		if _, err := w.Write(part); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Write writes the next bytes of the segments.
func (w *Writer) Write(b []byte) (int, error) {
	if uint64(len(b)) > w.left {
		return 0, errors.New("more memory than the segments have")
	}
	n, err := w.w.Write(b)
	w.left -= uint64(n)
	return n, err
}

// Close checks that all segments were written.
func (w *Writer) Close() error {
	if w.left > 0 {
		return fmt.Errorf("%d bytes of the segments are missing", w.left)
	}
	return nil
}

// notes are NT_PRSTATUS of each thread, NT_PRPSINFO after the first, NT_AUXV
// and NT_FILE, as the kernel writes them.
func (p *Process) notes(regs registers) []byte {
	var out []byte
	threads := p.Threads
	if len(threads) == 0 {
		threads = []Thread{{TID: p.PID}}
	}
	for i, t := range threads {
		out = appendNote(out, notePRStatus, p.status(t, regs))
		if i == 0 {
			out = appendNote(out, notePRPSInfo, p.info())
			out = appendNote(out, noteAuxv, p.Auxv)
			out = appendNote(out, noteFile, p.files())
		}
	}
	return out
}

func appendNote(to []byte, kind uint32, body []byte) []byte {
	le := binary.LittleEndian
	to = le.AppendUint32(to, 5)
	to = le.AppendUint32(to, uint32(len(body)))
	to = le.AppendUint32(to, kind)
	to = append(to, "CORE\x00\x00\x00\x00"...)
	to = append(to, body...)
	return append(to, make([]byte, (4-len(body)%4)%4)...)
}

// status is struct elf_prstatus: 112 bytes, the registers, pr_fpvalid.
func (p *Process) status(t Thread, regs registers) []byte {
	le := binary.LittleEndian
	b := make([]byte, 112+regs.size+8)
	le.PutUint32(b[32:], uint32(t.TID))
	le.PutUint32(b[36:], uint32(p.PPID))
	le.PutUint32(b[40:], uint32(p.PGID))
	le.PutUint32(b[44:], uint32(p.SID))
	if len(t.Registers) >= regs.size {
		copy(b[112:], t.Registers[:regs.size])
	} else {
		le.PutUint64(b[112+regs.pc:], t.PC)
		le.PutUint64(b[112+regs.sp:], t.SP)
	}
	return b
}

// info is struct elf_prpsinfo: 136 bytes.
func (p *Process) info() []byte {
	le := binary.LittleEndian
	b := make([]byte, 136)
	le.PutUint32(b[16:], uint32(p.UID))
	le.PutUint32(b[20:], uint32(p.GID))
	le.PutUint32(b[24:], uint32(p.PID))
	le.PutUint32(b[28:], uint32(p.PPID))
	le.PutUint32(b[32:], uint32(p.PGID))
	le.PutUint32(b[36:], uint32(p.SID))
	copy(b[40:55], p.Comm)
	copy(b[56:135], p.Args)
	return b
}

// files is the body of NT_FILE: count, page size, three words for each
// mapping, then the names, each with a zero byte.
func (p *Process) files() []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, uint64(len(p.Files)))
	b = le.AppendUint64(b, page)
	for _, f := range p.Files {
		b = le.AppendUint64(b, f.Start)
		b = le.AppendUint64(b, f.End)
		b = le.AppendUint64(b, f.Offset/page)
	}
	for _, f := range p.Files {
		b = append(append(b, f.Path...), 0)
	}
	return b
}
