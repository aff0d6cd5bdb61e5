package collect

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

var (
	kernel32               = windows.NewLazySystemDLL("kernel32.dll")
	getTickCount64         = kernel32.NewProc("GetTickCount64")
	k32GetProcessMemoryInf = kernel32.NewProc("K32GetProcessMemoryInfo")
)

// ReadClock reads the wall clock and the time since boot, in ms. Whether the
// clock is synchronised is not asked, which the error says.
func ReadClock() (record.Clock, error) {
	c := record.Clock{Realtime: time.Now().UnixNano()}
	if high, low, err := getTickCount64.Call(); err == nil || high != 0 {
		ms := int64(high)
		if unsafe.Sizeof(high) == 4 { // the answer is in two registers
			ms |= int64(low) << 32
		}
		c.Boottime = ms * int64(time.Millisecond)
		c.Monotonic = c.Boottime
	}
	c.Zone, _ = time.Now().Zone()
	return c, fmt.Errorf("whether the clock is synchronised: %w", ErrUnsupported)
}

// memoryCounters is PROCESS_MEMORY_COUNTERS of psapi.h.
type memoryCounters struct {
	size, pageFaults                    uint32
	peakWorkingSet, workingSet          uintptr
	peakPaged, paged, peakNonPaged, non uintptr
	pagefile, peakPagefile              uintptr
}

func ownMemory() (m memoryCounters) {
	m.size = uint32(unsafe.Sizeof(m))
	if r, _, _ := k32GetProcessMemoryInf.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&m)), uintptr(m.size)); r == 0 {
		return memoryCounters{}
	}
	return m
}

func ownTimes() (user, system int64) {
	var created, exited, kernel, inUser windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &inUser) != nil {
		return 0, 0
	}
	ns := func(t windows.Filetime) int64 { return (int64(t.HighDateTime)<<32 | int64(t.LowDateTime)) * 100 }
	return ns(inUser), ns(kernel)
}

func (f *Footprint) usage() {
	f.PeakRSS = int64(ownMemory().peakWorkingSet)
	f.UserNS, f.SystemNS = ownTimes()
}

// liveFacts are those that the running system tells. MachineID is MachineGuid
// of the registry.
func liveFacts(f *bundle.Host, _ func(string) string) {
	if name, err := os.Hostname(); err == nil {
		f.Hostname = name
	}
	v := windows.RtlGetVersion()
	f.Kernel = fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	f.OS = "Windows " + f.Kernel
	read := func(path, name string) string {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE|registry.WOW64_64KEY)
		if err != nil {
			return ""
		}
		defer key.Close()
		text, _, _ := key.GetStringValue(name)
		return text
	}
	f.MachineID = read(`SOFTWARE\Microsoft\Cryptography`, "MachineGuid")
	if name := read(`SOFTWARE\Microsoft\Windows NT\CurrentVersion`, "ProductName"); name != "" {
		f.OS = name + " " + f.Kernel
	}
}

// standBehind lowers the priority of the process for processor time
// (SetPriorityClass). That of its reads stays.
func standBehind() error {
	return windows.SetPriorityClass(windows.CurrentProcess(), windows.BELOW_NORMAL_PRIORITY_CLASS)
}

func processCPU() int64 {
	user, system := ownTimes()
	return user + system
}

func residentMemory() int64 { return int64(ownMemory().workingSet) }

// lowered says what standBehind does, for the log.
const lowered = "below-normal priority class"

// readZone reads nothing here.
func (h *Host) readZone() {}
