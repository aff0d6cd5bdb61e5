package collectors

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// processStates are p_stat of sys/proc.h, from 1.
var processStates = []string{"", "idle", "running", "sleeping", "stopped", "zombie"}

func collectDarwinProcesses(ctx context.Context, h *collect.Host, out collect.Taker) error {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	set, hashes, n := newSets(record.DarwinProcesses), &imageHashes{host: h}, 0
	for i := range list {
		if ctx.Err() != nil {
			break // what there is is kept
		}
		k := &list[i]
		p := record.DarwinProcess{
			Taken: time.Now().UnixNano(), PID: k.Proc.P_pid, PPID: k.Eproc.Ppid, PGID: k.Eproc.Pgid,
			Start: k.Proc.P_starttime.Nano(), UID: k.Eproc.Ucred.Uid, RUID: k.Eproc.Pcred.P_ruid, GID: k.Eproc.Pcred.P_rgid,
			TTY: int64(k.Eproc.Tdev), State: "unknown", Flags: uint64(uint32(k.Proc.P_flag)),
			Name: record.Bytes(unix.ByteSliceToString(k.Proc.P_comm[:])),
		}
		if s := int(k.Proc.P_stat); s > 0 && s < len(processStates) {
			p.State = processStates[s]
		}
		describeDarwin(ctx, &p, hashes)
		set.put(record.DarwinProcesses, p)
		n++
	}
	out.Seen("processes", n)
	return set.write(ctx, out, "sysctl")
}

// describeDarwin asks for arguments and executable. Those of the kernel, and of
// others for who is not root, are refused.
func describeDarwin(ctx context.Context, p *record.DarwinProcess, hashes *imageHashes) {
	if p.PID == 0 {
		return
	}
	text, err := unix.SysctlRaw("kern.procargs2", int(p.PID))
	if err == nil {
		p.Exe, p.Args, err = procArgs(text)
	}
	if err != nil {
		p.Errors = append(p.Errors, "arguments: "+err.Error())
	}
	if len(p.Exe) > 0 && p.Exe[0] == '/' {
		image := hashes.of(ctx, string(p.Exe))
		if p.ExeSHA256, p.ExeSize = image.sum, image.size; image.err != nil {
			p.Errors = append(p.Errors, "hash of executable: "+image.err.Error())
		}
	}
}
