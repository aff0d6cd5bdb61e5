package collectors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/sys/unix"
)

// loadFilter loads a socket filter that returns result, and returns its
// descriptor. It is held by nothing else and pinned nowhere. The test is
// skipped where the system does not let us.
func loadFilter(t *testing.T, name string, result int32) int {
	t.Helper()
	const socketFilter = 1
	return loadProgram(t, socketFilter, name, result)
}

// loadProgram does so for a program of any type (enum bpf_prog_type).
func loadProgram(t *testing.T, kind uint32, name string, result int32) int {
	t.Helper()
	const movImm, exit, progLoad = 0xb7, 0x95, 5
	insns := make([]byte, 16)
	insns[0], insns[8] = movImm, exit
	binary.NativeEndian.PutUint32(insns[4:], uint32(result))
	licence := []byte("GPL\x00")
	attr := make([]byte, 72) // union bpf_attr up to prog_ifindex
	binary.NativeEndian.PutUint32(attr, kind)
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(insns)/8))
	var pins runtime.Pinner
	defer pins.Unpin()
	putAddress(&pins, attr[8:], insns)
	putAddress(&pins, attr[16:], licence)
	copy(attr[48:63], name)
	fd, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	if errno != 0 {
		t.Skipf("skipped: load an eBPF program: %v (needs CAP_BPF)", errno)
	}
	t.Cleanup(func() { unix.Close(int(fd)) })
	return int(fd)
}

// putAddress writes where memory is, which stays there until it is unpinned.
func putAddress(pins *runtime.Pinner, attr, memory []byte) {
	pins.Pin(&memory[0])
	binary.NativeEndian.PutUint64(attr, uint64(uintptr(unsafe.Pointer(&memory[0]))))
}

func programNamed(list []record.BPFProgram, name string) (record.BPFProgram, bool) {
	i := slices.IndexFunc(list, func(p record.BPFProgram) bool { return string(p.Name) == name })
	if i < 0 {
		return record.BPFProgram{}, false
	}
	return list[i], true
}

func TestAnUnpinnedProgramIsFoundWithItsInstructions(t *testing.T) {
	began := time.Now()
	fd := loadFilter(t, "exhibit_test_1", 4711)
	got := live(t, linuxBPF)
	p, ok := programNamed(collecttest.Lines[record.BPFProgram](t, got, record.BPFPrograms), "exhibit_test_1")
	if !ok {
		t.Fatal("the program is missing")
	}
	if p.Type != "socket_filter" || !p.GPL || p.UID != int64(os.Getuid()) || len(p.Tag) != 16 || p.Xlated < 16 || len(p.Pins) > 0 {
		t.Errorf("got %+v", p)
	}
	if at := time.Unix(0, p.Loaded); at.Before(began.Add(-5*time.Second)) || at.After(time.Now().Add(5*time.Second)) {
		t.Errorf("loaded at %v, began %v", at, began)
	}
	if !slices.Contains(p.Owners, record.BPFHolder{PID: int64(os.Getpid()), FD: int64(fd)}) {
		t.Errorf("owners %+v, want descriptor %d of %d", p.Owners, fd, os.Getpid())
	}
	text := got.Content(t, p.Content)
	move := []byte{0xb7, 0, 0, 0, 0x67, 0x12, 0, 0} // r0 = 4711
	if int64(len(text)) != p.Xlated || !bytes.Contains(text, move) {
		t.Errorf("instructions % x", text)
	}
	for _, p := range got.Result.Problems {
		if strings.Contains(p.Detail, "bpf(2) does not list it") {
			t.Errorf("called hidden: %+v", p)
		}
	}
}

func TestPinsAreToldWithTheirProgram(t *testing.T) {
	fd := loadFilter(t, "exhibit_test_2", 1)
	dir := bpfFileSystem(t)
	sub := filepath.Join(dir, "a")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	pin(t, fd, filepath.Join(sub, "x y\xff"))
	p, ok := programNamed(collecttest.Lines[record.BPFProgram](t, live(t, linuxBPF), record.BPFPrograms), "exhibit_test_2")
	if !ok || len(p.Pins) != 1 || string(p.Pins[0]) != filepath.Join(sub, "x y\xff") {
		t.Errorf("got %+v", p)
	}
}

func bpfFileSystem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Skipf("skipped: mount a bpf file system: %v (needs CAP_SYS_ADMIN)", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func pin(t *testing.T, fd int, path string) {
	t.Helper()
	const objPin = 6
	text := append([]byte(path), 0)
	attr := make([]byte, 16)
	var pins runtime.Pinner
	defer pins.Unpin()
	putAddress(&pins, attr, text)
	binary.NativeEndian.PutUint32(attr[8:], uint32(fd))
	if _, _, errno := unix.Syscall(unix.SYS_BPF, objPin, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr))); errno != 0 {
		t.Fatal(errno)
	}
}

func TestProgramsAndMapsAreThoseOfBpftool(t *testing.T) {
	tool := testenv.Tool(t, "bpftool")
	loadFilter(t, "exhibit_test_3", 2)
	got := live(t, linuxBPF)
	ours := map[int64]record.BPFProgram{}
	for _, p := range collecttest.Lines[record.BPFProgram](t, got, record.BPFPrograms) {
		ours[p.ID] = p
	}
	var theirs []struct {
		ID              int64
		Type, Name, Tag string
		GPL             bool    `json:"gpl_compatible"`
		UID             int64   `json:"uid"`
		Xlated          int64   `json:"bytes_xlated"`
		Jited           int64   `json:"bytes_jited"`
		Maps            []int64 `json:"map_ids"`
	}
	out, err := exec.Command(tool, "-j", "prog", "show").Output()
	if err != nil {
		t.Skipf("skipped: bpftool prog show: %v", err)
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same := 0
	for _, w := range theirs {
		p, ok := ours[w.ID]
		if !ok {
			continue // loaded between the two looks
		}
		same++
		if p.Type != w.Type || string(p.Name) != w.Name || p.Tag != w.Tag || p.GPL != w.GPL || p.UID != w.UID ||
			p.Xlated != w.Xlated || p.Jited != w.Jited || !slices.Equal(p.Maps, append([]int64{}, w.Maps...)) {
			t.Errorf("bpftool says %+v, we %+v", w, p)
		}
	}
	if same == 0 {
		t.Errorf("nothing in common: %s, %v", out, ours)
	}
}

func TestLinesOfTheKernelAboutPrograms(t *testing.T) {
	for line, want := range map[string]string{
		"ffffffffc0a01000 t bpf_prog_6deef7357e7b4530_name\t[bpf]\n": "6deef7357e7b4530",
		"ffffffffc0a01000 t bpf_prog_6deef7357e7b4530\t[bpf]\n":      "6deef7357e7b4530",
		"ffffffffc0a01000 t bpf_prog_free\n":                         "",
		"ffffffffc0a01000 t bpf_prog_array_free_sleepable\t[x]\n":    "",
		"bpf_prog_": "", "": "",
	} {
		if tag, _ := programSymbol([]byte(line)); tag != want {
			t.Errorf("%q: %q", line, tag)
		}
	}
	ids := bpfInfo([]byte("pos:\t0\nlink_type:\tcgroup\nlink_id:\t3\nprog_tag:\tx\nprog_id:\t9\nmap_id:\tx\n"))
	if len(ids) != 2 || ids["link_id"] != 3 || ids["prog_id"] != 9 {
		t.Errorf("got %v", ids)
	}
}
