package collectors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// maxModules bounds the modules of one process.
const maxModules = 4096

func collectWindowsProcesses(ctx context.Context, h *collect.Host, out collect.Taker) error {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	defer windows.CloseHandle(snapshot)
	set, hashes := newSets(record.WindowsProcesses), &imageHashes{host: h}
	entry := windows.ProcessEntry32{}
	entry.Size = uint32(unsafe.Sizeof(entry))
	n := 0
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		if ctx.Err() != nil {
			break // what there is is kept
		}
		p := record.WindowsProcess{
			Taken: time.Now().UnixNano(), PID: entry.ProcessID, PPID: entry.ParentProcessID,
			Name: record.Bytes(windows.UTF16ToString(entry.ExeFile[:])), Threads: entry.Threads,
		}
		describeProcess(ctx, &p, hashes)
		set.put(record.WindowsProcesses, p)
		n++
	}
	if err != nil && !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return errors.Join(fmt.Errorf("list processes: %w", err), set.write(context.WithoutCancel(ctx), out, "winapi"))
	}
	out.Seen("processes", n)
	return set.write(ctx, out, "winapi")
}

// describeProcess asks everything that needs a handle.
func describeProcess(ctx context.Context, p *record.WindowsProcess, hashes *imageHashes) {
	lost := func(what string, err error) {
		if err != nil {
			p.Errors = append(p.Errors, what+": "+err.Error())
		}
	}
	var session uint32
	if err := windows.ProcessIdToSessionId(p.PID, &session); err == nil {
		p.Session = &session
	}
	if p.PID == 0 {
		return // the idle process is none
	}
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, p.PID)
	if err != nil {
		lost("open", err)
		return
	}
	defer windows.CloseHandle(handle)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(handle, &created, &exited, &kernel, &user); err != nil {
		lost("times", err)
	} else {
		if created.HighDateTime|created.LowDateTime != 0 {
			p.Start = created.Nanoseconds()
		}
		p.KernelNS, p.UserNS = duration(kernel), duration(user)
	}
	p.Exe, err = imageOf(handle)
	lost("executable", err)
	if len(p.Exe) > 0 {
		image := hashes.of(ctx, drivePath(string(p.Exe)))
		p.ExeSHA256, p.ExeSize = image.sum, image.size
		lost("hash of executable", image.err)
	}
	if p.Command, err = commandLine(handle); err != nil {
		p.Command, err = commandLineOfPEB(p.PID)
	}
	lost("command line", err)
	lost("owner", ownerOfProcess(handle, p))
	p.Modules, err = modulesOf(p.PID)
	lost("modules", err)
}

func duration(t windows.Filetime) int64 {
	return (int64(t.HighDateTime)<<32 | int64(t.LowDateTime)) * 100
}

// drivePath is a path of Windows as one of the host.
func drivePath(path string) string { return "/" + strings.ReplaceAll(path, `\`, "/") }

func imageOf(handle windows.Handle) (record.Bytes, error) {
	buf := make([]uint16, 32<<10)
	size := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(handle, 0, &buf[0], &size); err != nil {
		return nil, err
	}
	return record.Bytes(windows.UTF16ToString(buf[:size])), nil
}

// commandLine asks ProcessCommandLineInformation (Windows 8.1 and later): a
// UNICODE_STRING, its text behind it.
func commandLine(handle windows.Handle) (record.Bytes, error) {
	buf := make([]uint64, 16<<10) // aligned; 128 KiB hold the longest
	var n uint32
	err := windows.NtQueryInformationProcess(handle, windows.ProcessCommandLineInformation, unsafe.Pointer(&buf[0]), uint32(len(buf)*8), &n)
	if err != nil {
		return nil, err
	}
	text := (*windows.NTUnicodeString)(unsafe.Pointer(&buf[0]))
	begin := uintptr(unsafe.Pointer(&buf[0]))
	at := uintptr(unsafe.Pointer(text.Buffer))
	if text.Length == 0 {
		return nil, nil
	}
	if at < begin || at-begin+uintptr(text.Length) > uintptr(len(buf)*8) {
		return nil, errTable
	}
	return record.Bytes(windows.UTF16ToString(unsafe.Slice(text.Buffer, text.Length/2))), nil
}

// commandLineOfPEB reads the command line where the process keeps it, for
// versions of Windows that do not tell it: PEB, its parameters, and the text
// they point at.
func commandLineOfPEB(pid uint32) (record.Bytes, error) {
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, pid)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(handle)
	var basic windows.PROCESS_BASIC_INFORMATION
	if err := windows.NtQueryInformationProcess(handle, windows.ProcessBasicInformation, unsafe.Pointer(&basic), uint32(unsafe.Sizeof(basic)), nil); err != nil {
		return nil, err
	}
	read := func(at uintptr, to unsafe.Pointer, size uintptr) error {
		var n uintptr
		err := windows.ReadProcessMemory(handle, at, (*byte)(to), size, &n)
		if err == nil && n != size {
			err = windows.ERROR_PARTIAL_COPY
		}
		return err
	}
	var peb windows.PEB
	if err := read(uintptr(unsafe.Pointer(basic.PebBaseAddress)), unsafe.Pointer(&peb), unsafe.Sizeof(peb)); err != nil {
		return nil, err
	}
	var parameters windows.RTL_USER_PROCESS_PARAMETERS
	if err := read(uintptr(unsafe.Pointer(peb.ProcessParameters)), unsafe.Pointer(&parameters), unsafe.Sizeof(parameters)); err != nil {
		return nil, err
	}
	text := make([]uint16, parameters.CommandLine.Length/2)
	if len(text) == 0 {
		return nil, nil
	}
	if err := read(uintptr(unsafe.Pointer(parameters.CommandLine.Buffer)), unsafe.Pointer(&text[0]), uintptr(len(text)*2)); err != nil {
		return nil, err
	}
	return record.Bytes(windows.UTF16ToString(text)), nil
}

func ownerOfProcess(handle windows.Handle, p *record.WindowsProcess) error {
	var token windows.Token
	if err := windows.OpenProcessToken(handle, windows.TOKEN_QUERY, &token); err != nil {
		return err
	}
	defer token.Close()
	user, err := token.GetTokenUser()
	if err != nil {
		return err
	}
	p.Owner = user.User.Sid.String()
	elevated := token.IsElevated()
	p.Elevated = &elevated
	return nil
}

// modulesOf lists the images of a process. A list that changes while it is made
// gives ERROR_BAD_LENGTH, and is asked for again.
func modulesOf(pid uint32) ([]record.WindowsModule, error) {
	var snapshot windows.Handle
	err := error(windows.ERROR_BAD_LENGTH)
	for tries := 0; tries < 8 && errors.Is(err, windows.ERROR_BAD_LENGTH); tries++ {
		snapshot, err = windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPMODULE|windows.TH32CS_SNAPMODULE32, pid)
	}
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(snapshot)
	var list []record.WindowsModule
	entry := windows.ModuleEntry32{}
	entry.Size = uint32(unsafe.Sizeof(entry))
	for err = windows.Module32First(snapshot, &entry); err == nil && len(list) < maxModules; err = windows.Module32Next(snapshot, &entry) {
		list = append(list, record.WindowsModule{
			Path: record.Bytes(windows.UTF16ToString(entry.ExePath[:])), Base: fmt.Sprintf("%x", entry.ModBaseAddr), Size: entry.ModBaseSize,
		})
	}
	switch {
	case errors.Is(err, windows.ERROR_NO_MORE_FILES):
		err = nil
	case err == nil:
		err = fmt.Errorf("more than %d: the rest is left out", maxModules)
	}
	return list, err
}

var (
	iphlpapi            = windows.NewLazySystemDLL("iphlpapi.dll")
	getExtendedTCPTable = iphlpapi.NewProc("GetExtendedTcpTable")
	getExtendedUDPTable = iphlpapi.NewProc("GetExtendedUdpTable")
)

// Classes of the tables (iprtrmib.h): every socket with its process.
const (
	tcpTableOwnerPIDAll = 5
	udpTableOwnerPID    = 1
)

func collectWindowsSockets(ctx context.Context, _ *collect.Host, out collect.Taker) error {
	set := newSets(record.WindowsSockets)
	var errs []error
	n := 0
	for _, ask := range []struct {
		proc          *windows.LazyProc
		class         uintptr
		proto, family string
		af            uintptr
	}{
		{getExtendedTCPTable, tcpTableOwnerPIDAll, "tcp", "inet", windows.AF_INET},
		{getExtendedTCPTable, tcpTableOwnerPIDAll, "tcp", "inet6", windows.AF_INET6},
		{getExtendedUDPTable, udpTableOwnerPID, "udp", "inet", windows.AF_INET},
		{getExtendedUDPTable, udpTableOwnerPID, "udp", "inet6", windows.AF_INET6},
	} {
		table, err := endpointTable(ask.proc, ask.af, ask.class)
		var list []record.WindowsSocket
		if err == nil {
			list, err = ownerTable(table, ask.proto, ask.family)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("table of %s %s: %w", ask.proto, ask.family, err))
		}
		now := time.Now().UnixNano()
		for _, s := range list {
			s.Taken = now
			set.put(record.WindowsSockets, s)
			n++
		}
	}
	out.Seen("sockets", n)
	return errors.Join(append(errs, set.write(ctx, out, "winapi"))...)
}

// endpointTable asks for a table until its buffer is large enough.
func endpointTable(proc *windows.LazyProc, family, class uintptr) ([]byte, error) {
	size := uint32(64 << 10)
	for range 8 {
		buf := make([]byte, size)
		r, _, _ := proc.Call(uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0, family, class, 0)
		switch {
		case r == 0:
			return buf, nil
		case syscall.Errno(r) != windows.ERROR_INSUFFICIENT_BUFFER || size > 256<<20:
			return nil, syscall.Errno(r)
		}
		size += size / 4 // it grows meanwhile
	}
	return nil, windows.ERROR_INSUFFICIENT_BUFFER
}
