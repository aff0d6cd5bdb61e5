package audit

import "strings"

// Syscalls names system calls. Make one with NewSyscalls and keep it.
type Syscalls struct{ x8664, i386, generic []string }

// NewSyscalls splits the tables.
func NewSyscalls() *Syscalls {
	return &Syscalls{strings.Fields(namesX8664), strings.Fields(namesI386), strings.Fields(namesGeneric)}
}

// Name returns the name of a system call by the value of the arch field
// (AUDIT_ARCH_*, linux/audit.h, in hexadecimal) and its number; "" when it is
// not known. aarch64 and riscv64 use the kernel's generic numbers.
func (s *Syscalls) Name(arch []byte, number int64) string {
	var table []string
	switch string(arch) {
	case "c000003e":
		table = s.x8664
		number &^= 0x40000000 // x32
	case "40000003":
		table = s.i386
	case "c00000b7", "c00000f3":
		table = s.generic
	}
	if number < 0 || number >= int64(len(table)) || table[number] == "-" {
		return ""
	}
	return table[number]
}

// Arch returns the usual name of an arch field's value, "" when not known.
func Arch(value []byte) string {
	switch string(value) {
	case "c000003e":
		return "x86_64"
	case "40000003":
		return "i386"
	case "c00000b7":
		return "aarch64"
	case "40000028":
		return "arm"
	case "c00000f3":
		return "riscv64"
	case "c0000015":
		return "ppc64le"
	case "80000016":
		return "s390x"
	}
	return ""
}
