package collectors

import (
	"encoding/binary"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestStatNamesMayHoldAnything(t *testing.T) {
	rest := " S 1 20 30 34816 -1 2097216 5 6 7 8 90 91 0 0 20 0 3 0 4242 1 2 3\n"
	for _, name := range []string{"sh", "a) R 1 (", "", "\xff\n ", "(x) S 9"} {
		s, ok := parseProcStat([]byte("77 (" + name + ")" + rest))
		if !ok || s.pid != 77 || string(s.comm) != name || s.state != "S" || s.ppid != 1 || s.pgid != 20 || s.sid != 30 ||
			s.tty != 34816 || s.flags&kernelThread == 0 || s.threads != 3 || s.startTicks != 4242 || s.utimeTicks != 90 {
			t.Errorf("%q: %+v, %v", name, s, ok)
		}
	}
	for _, bad := range []string{"", "77", "77 (sh", "77 sh) S 1", "x (sh)" + rest, "77 (sh) S 1 2"} {
		if s, ok := parseProcStat([]byte(bad)); ok {
			t.Errorf("%q was read as %+v", bad, s)
		}
	}
}

func TestArgumentsKeepEmptyOnes(t *testing.T) {
	for text, want := range map[string][]string{
		"":                             {},
		"a\x00":                        {"a"},
		"a\x00\x00b\x00":               {"a", "", "b"},
		"\x00":                         {""},
		"title without zero":           {"title without zero"},
		"bash\x00-c\x00id\xff\x00\x00": {"bash", "-c", "id\xff", ""},
	} {
		got := []string{}
		for _, a := range parseArgs([]byte(text)) {
			got = append(got, string(a))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestExecutableMappingsAreReadWithTheirNames(t *testing.T) {
	text := "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b (deleted)\n" +
		"00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/a\n" +
		"7ffc-7ffd rwxp 00000000 00:00 0 \nbroken\n7f00-7f01 r-xs 0 00:01 9 /memfd:\xff (deleted)\n"
	want := []record.Map{
		{Start: "00400000", End: "00452000", Perms: "r-xp", Inode: 173521, Path: record.Bytes("/usr/bin/a b (deleted)")},
		{Start: "7ffc", End: "7ffd", Perms: "rwxp"},
		{Start: "7f00", End: "7f01", Perms: "r-xs", Inode: 9, Path: record.Bytes("/memfd:\xff (deleted)")},
	}
	for cut := range len(text) { // the text comes in pieces, which end anywhere
		var got execMaps
		if !got.add([]byte(text[:cut])) || !got.add([]byte(text[cut:])) || !reflect.DeepEqual(got.list, want) {
			t.Errorf("cut at %d: got %+v", cut, got.list)
		}
	}
	var many execMaps
	if many.add([]byte(strings.Repeat("1-2 r-xp 0 0:0 0\n", maxMaps+1))) || len(many.list) != maxMaps {
		t.Errorf("%d mappings", len(many.list))
	}
}

func TestStartIsCountedFromBoot(t *testing.T) {
	for _, c := range []struct{ boot, ticks, perSecond, want int64 }{
		{1000, 250, 100, 1002_500_000_000},
		{0, 250, 100, 0},
		{1000, -1, 100, 0},
		{1000, 1 << 62, 100, 0},
		{1000, 5, 0, 0},
	} {
		if got := startNS(c.boot, c.ticks, c.perSecond); got != c.want {
			t.Errorf("startNS(%d, %d, %d) = %d, want %d", c.boot, c.ticks, c.perSecond, got, c.want)
		}
	}
}

func TestIDsThatAreNotToldAreNotRoot(t *testing.T) {
	if s := parseStatus(nil); s.uid[0] != -1 || s.gid[3] != -1 {
		t.Errorf("status of nothing: %+v", s)
	}
}

func TestSmallFilesOfProcfsAreRead(t *testing.T) {
	s := parseStatus([]byte("Name:\tx\nTgid:\t5\nTracerPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nCapEff:\t00ff\nbroken\n"))
	if s.tgid != 5 || s.tracer != 9 || s.uid != [4]int64{1, 2, 3, 4} || s.gid != [4]int64{5, 6, 7, 8} || s.capEff != "00ff" {
		t.Errorf("status %+v", s)
	}
	if pos, flags := parseFDInfo([]byte("pos:\t42\nflags:\t02100001\nmnt_id:\t1\n")); pos != 42 || flags != "02100001" {
		t.Errorf("fdinfo %d %s", pos, flags)
	}
	if b := parseBootTime([]byte("cpu 1\nbtime 1700000000\n")); b != 1700000000 {
		t.Errorf("btime %d", b)
	}
	for text, want := range map[string]string{"0::/a\n": "/a", "4:cpu:/\n3:mem:/b\n": "/b", "9:x:/c\n0::/d\n": "/d", "": "", "junk\n": ""} {
		if got := string(parseCgroup([]byte(text))); got != want {
			t.Errorf("cgroup %q: %q, want %q", text, got, want)
		}
	}
	if n, ok := socketInode("socket:[123]"); !ok || n != 123 {
		t.Errorf("socket inode %d %v", n, ok)
	}
	if _, ok := socketInode("pipe:[123]"); ok {
		t.Error("a pipe is no socket")
	}
	aux := make([]byte, 32)
	binary.NativeEndian.PutUint64(aux, 17)
	binary.NativeEndian.PutUint64(aux[8:], 100)
	if v := auxValue(aux, 17, 8); v != 100 {
		t.Errorf("auxiliary value %d", v)
	}
}

func TestModulesOfThreeViewsAreJoined(t *testing.T) {
	proc := parseModules([]byte("ext4 954368 1 - Live 0xffffffffc0a00000\njbd2 16384 2 ext4,x, Live 0x0 (OE)\nbroken\n"))
	if len(proc) != 2 || proc[1].Taint != "OE" || !reflect.DeepEqual(proc[1].UsedBy, []string{"ext4", "x"}) || proc[0].Size != 954368 {
		t.Fatalf("got %+v", proc)
	}
	if m := symbolModule([]byte("ffffffffc0a01000 t ext4_open\t[ext4]")); m != "ext4" {
		t.Errorf("module %q", m)
	}
	for _, line := range []string{"ffffffff81000000 T _text", "ffffffffc0000000 t bpf_prog_6deef7357e7b4530\t[bpf]", "0 t x\t[__builtin__ftrace]", "]["} {
		if m := symbolModule([]byte(line)); m != "" {
			t.Errorf("%q: module %q", line, m)
		}
	}
	all := mergeModules(proc, map[string]bool{"ext4": true, "hides": true}, map[string]bool{"ext4": true, "ghost": true})
	want := []string{"ext4 true true true", "ghost false false true", "hides false true false", "jbd2 true false false"}
	for i, m := range all {
		if got := m.Name + " " + strconv.FormatBool(m.InProc) + " " + strconv.FormatBool(m.InSysfs) + " " + strconv.FormatBool(m.InKsyms); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
}

func TestTaintIsToldInWords(t *testing.T) {
	r := decodeTaint(1<<0 | 1<<12 | 1<<13 | 1<<60)
	letters := ""
	for _, f := range r.Flags {
		letters += f.Letter
	}
	if letters != "POE?" || r.Flags[1].Means != "a module built outside the kernel's tree was loaded" {
		t.Errorf("got %+v", r)
	}
}

func FuzzProcfs(f *testing.F) {
	for _, name := range []string{"stat", "status", "cmdline", "maps", "cgroup", "auxv", "mountinfo", "fdinfo/0"} {
		if b, err := os.ReadFile("/proc/self/" + name); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte("ext4 1 1 a,b, Live 0x0 (OE)\n"))
	f.Add([]byte("ffffffffc0a01000 t ext4_open\t[ext4]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseProcStat(b)
		parseStatus(b)
		if n := len(parseArgs(b)); n > len(b)+1 {
			t.Errorf("%d arguments in %d bytes", n, len(b))
		}
		new(execMaps).add(b)
		parseFDInfo(b)
		parseBootTime(b)
		parseCgroup(b)
		auxValue(b, 17, 8)
		auxValue(b, 17, 4)
		mergeModules(parseModules(b), nil, nil)
		symbolModule(b)
	})
}
