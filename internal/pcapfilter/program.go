package pcapfilter

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads a program as tcpdump -ddd prints it: the number of
// instructions, then code, jt, jf and k of each in decimals, a line each. It
// accepts what the kernel would: known instructions, jumps that go forward and
// stay inside the program, a return at the end. Offsets in such a program
// count from the start of the link header that tcpdump was told of, whatever
// the interface.
func Parse(text string) (Program, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	n, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || n < 1 || n > MaxInstructions {
		return nil, fmt.Errorf("capture filter program: line 1 is not a number of instructions from 1 to %d: give what tcpdump -ddd prints", MaxInstructions)
	}
	if len(lines) != n+1 {
		return nil, fmt.Errorf("capture filter program: %d instructions announced, %d lines follow: give all that tcpdump -ddd prints", n, len(lines)-1)
	}
	program := make(Program, 0, n)
	for i, line := range lines[1:] {
		fields := strings.Fields(line)
		var values [4]uint64
		ok := len(fields) == len(values)
		for f := 0; ok && f < len(values); f++ {
			values[f], err = strconv.ParseUint(fields[f], 10, []int{16, 8, 8, 32}[f])
			ok = err == nil
		}
		if !ok {
			return nil, fmt.Errorf("capture filter program: line %d is not code, jt, jf and k", i+2)
		}
		program = append(program, Instruction{uint16(values[0]), uint8(values[1]), uint8(values[2]), uint32(values[3])})
	}
	if err := program.check(); err != nil {
		return nil, fmt.Errorf("capture filter program: %w", err)
	}
	return program, nil
}

// check holds a program to the rules of the kernel's bpf_check_classic
// (net/core/filter.c), and to returning constants, of which the capture can
// cut the longest.
func (p Program) check() error {
	for i, ins := range p {
		left := uint64(len(p) - i - 1) // instructions behind this one
		if !ins.known() {
			return fmt.Errorf("instruction %d has the unknown code %#x", i, ins.Code)
		}
		op := ins.Code & 0xf0
		switch ins.Code & 7 {
		case jump:
			if op == always && uint64(ins.K) >= left || op != always && (uint64(ins.Jt) >= left || uint64(ins.Jf) >= left) {
				return fmt.Errorf("instruction %d jumps out of the program", i)
			}
		case alu:
			if ins.Code&useX == 0 && (op == div || op == mod) && ins.K == 0 {
				return fmt.Errorf("instruction %d divides by zero", i)
			}
			if ins.Code&useX == 0 && (op == lsh || op == rsh) && ins.K > 31 {
				return fmt.Errorf("instruction %d shifts by %d bits", i, ins.K)
			}
		default:
			if ins.usesCell() && ins.K >= cells {
				return fmt.Errorf("instruction %d uses memory cell %d of %d", i, ins.K, cells)
			}
			if ins.Code&0xe7 == load|absolute && ins.K >= ancillary && ((ins.K-ancillary)%4 != 0 || ins.K > ancillaryLast) {
				return fmt.Errorf("instruction %d asks the kernel for something unknown (%#x)", i, ins.K)
			}
		}
	}
	if len(p) == 0 || p[len(p)-1].Code != ret {
		return fmt.Errorf("its last instruction is no return")
	}
	return p.checkCells()
}

func (i Instruction) usesCell() bool {
	switch i.Code {
	case load | mem, loadX | mem, store, storeX:
		return true
	}
	return false
}

// known reports whether the kernel has the instruction. A return of A or X is
// left out.
func (i Instruction) known() bool {
	switch i.Code {
	case load | word | absolute, load | half | absolute, load | octet | absolute,
		load | word | indirect, load | half | indirect, load | octet | indirect,
		load | immediate, load | mem, load | length, loadX | immediate, loadX | mem, loadX | length,
		loadX | octet | headerLength, store, storeX, tax, txa, ret, jump | always, alu | neg:
		return true
	}
	op := i.Code & 0xf0
	switch i.Code &^ (0xf0 | useX) {
	case alu:
		return op <= xor && op != neg
	case jump:
		return op >= equal && op <= anyBit
	}
	return false
}

// checkCells refuses a program that may load a memory cell before it stored
// one, on any way through it.
func (p Program) checkCells() error {
	valid := make([]uint16, len(p)) // cells stored on every way to the instruction
	for i := range valid {
		valid[i] = 0xffff
	}
	now := uint16(0)
	for i, ins := range p {
		now &= valid[i]
		switch {
		case ins.Code == store || ins.Code == storeX:
			now |= 1 << ins.K
		case ins.usesCell() && now&(1<<ins.K) == 0:
			return fmt.Errorf("instruction %d loads memory cell %d, which nothing stored", i, ins.K)
		case ins.Code == jump|always:
			valid[i+1+int(ins.K)] &= now
			now = 0xffff
		case ins.Code&7 == jump:
			valid[i+1+int(ins.Jt)] &= now
			valid[i+1+int(ins.Jf)] &= now
			now = 0xffff
		}
	}
	return nil
}
