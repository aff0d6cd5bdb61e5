package collectors

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// darwinProcesses writes record.DarwinProcesses. Environments are not taken.
var darwinProcesses = register(collect.Collector{
	Name: "darwin_processes",
	Doc:  "macOS: processes with arguments and hashes of their executables",
	Tier: collect.TierProcesses,
	Live: true,
	Run:  collectDarwinProcesses,
})

var errProcArgs = errors.New("the arguments break their format")

// maxArguments bounds the arguments of one process: ARG_MAX of macOS is 1 MiB.
const maxArguments = 1 << 20

// procArgs reads what sysctl kern.procargs2 gives (bsd/kern/kern_sysctl.c of
// xnu, sysctl_procargsx): the number of arguments in 4 bytes, the path of the
// executable, zero bytes up to the next word, and the arguments, each with a
// zero byte behind it. The environment follows, and is left alone. An empty first
// argument looks like the zero bytes before it: of such a process, the last that
// is read may be its first variable.
func procArgs(b []byte) (exe record.Bytes, args []record.Bytes, err error) {
	if len(b) < 4 {
		return nil, nil, errProcArgs
	}
	count := binary.LittleEndian.Uint32(b) // both kinds of Mac are little endian
	b = b[4:]
	end := bytes.IndexByte(b, 0)
	if end < 0 || count > maxArguments {
		return nil, nil, errProcArgs
	}
	exe = record.Bytes(b[:end])
	b = bytes.TrimLeft(b[end:], "\x00")
	for range count {
		end := bytes.IndexByte(b, 0)
		if end < 0 {
			return exe, args, errProcArgs
		}
		args = append(args, record.Bytes(b[:end]))
		b = b[end+1:]
	}
	return exe, args, nil
}
