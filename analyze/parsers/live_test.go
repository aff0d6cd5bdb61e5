package parsers

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// live names the parsers of live record sets and their samples.
func live() map[string]analyze.Parser {
	return map[string]analyze.Parser{
		record.Processes: liveProcesses, record.Sockets: liveSockets, record.Modules: liveModules, record.Mounts: liveMounts,
		record.BPFPrograms: liveBPF, record.Probes: liveProbes, record.Ftrace: liveFtrace, record.Conntrack: liveConntrack,
		record.NFTables: liveNFTables, record.IPTables: liveIPTables, record.Containers: stateContainers, record.ForeignMounts: liveForeignMounts,
		record.BlockDevices: liveBlockDevices, record.Accounts: stateAccounts, record.Groups: stateGroups, record.AuthorizedKeys: stateAuthorizedKeys,
		record.SudoRules: stateSudoRules, record.PackageFiles: statePackageFiles, record.Packages: statePackages, record.AuthModules: stateAuthModules, record.BootFiles: stateBootFiles,
		record.Privileged: statePrivileged,
	}
}

func TestLiveProcesses(t *testing.T) { parsertest.Run(t, liveProcesses, "testdata/live_processes") }
func TestLiveSockets(t *testing.T)   { parsertest.Run(t, liveSockets, "testdata/live_sockets") }
func TestLiveModules(t *testing.T)   { parsertest.Run(t, liveModules, "testdata/live_modules") }
func TestLiveMounts(t *testing.T)    { parsertest.Run(t, liveMounts, "testdata/live_mounts") }

func FuzzLiveProcesses(f *testing.F) { parsertest.Fuzz(f, liveProcesses, "testdata/live_processes") }
func FuzzLiveSockets(f *testing.F)   { parsertest.Fuzz(f, liveSockets, "testdata/live_sockets") }
func FuzzLiveModules(f *testing.F)   { parsertest.Fuzz(f, liveModules, "testdata/live_modules") }
func FuzzLiveMounts(f *testing.F)    { parsertest.Fuzz(f, liveMounts, "testdata/live_mounts") }

const taken = int64(1_763_900_000_123_456_789)

func sampleProcesses() []any {
	text := func(s string) record.Bytes { return record.Bytes(s) }
	return []any{
		record.Process{
			Taken: taken, PID: 1, State: "S", Comm: text("systemd"), Exe: text("/usr/lib/systemd/systemd"), ExeSHA256: strings.Repeat("ab", 32),
			Args: []record.Bytes{text("/sbin/init"), text("splash")}, CWD: text("/"), Root: text("/"), LoginUID: unset, SessionID: unset,
			StartTicks: 3, Start: taken - 5000e9, Threads: 1, Cgroup: text("/init.scope"), CapEff: "000001ffffffffff",
			Namespaces: map[string]string{"net": "net:[4026531840]", "mnt": "mnt:[4026531841]"},
		},
		record.Process{
			Taken: taken, PID: 4711, PPID: 1, State: "R", Comm: text("k\xffrk"), Exe: text("/tmp/.x (deleted)"), ExeDeleted: true, Hidden: true,
			Args: []record.Bytes{text("[kworker/0:1]"), text("\xfe")}, CWD: text("/tmp"), Root: text("/srv/jail"), UID: [4]int64{1000, 0, 0, 0},
			GID: [4]int64{1000, 0, 0, 0}, LoginUID: 1000, SessionID: 5, StartTicks: 499_900, Start: taken - 100e9, Threads: 3, Tracer: 99,
			Cgroup: text("0::/system.slice/docker-" + strings.Repeat("0f", 32) + ".scope"),
			FDs:    []record.FD{{FD: 0, Target: text("/dev/null")}, {FD: 3, Target: text("socket:[12345]"), Flags: "02"}},
			Maps:   []record.Map{{Start: "1000", End: "2000", Perms: "r-xp", Path: text("/tmp/.x (deleted)")}, {Start: "3000", End: "4000", Perms: "rwxp", Path: text("/memfd:a (deleted)")}},
			Errors: []string{"environ: permission denied"},
		},
		record.Process{Taken: taken, PID: 2, Comm: text("kthreadd"), KThread: true, LoginUID: unset, SessionID: unset},
	}
}

func sampleSockets() []any {
	return []any{
		record.Socket{Taken: taken, Netns: "net:[4026531840]", Family: "inet", Proto: "tcp", State: "ESTAB", SrcIP: "10.0.0.5", SrcPort: 22, DstIP: "203.0.113.7", DstPort: 40022, Inode: 12345, PID: 812, Exe: record.Bytes("/usr/sbin/sshd"), From: "sock_diag"},
		record.Socket{Taken: taken, Netns: "net:[4026531840]", Family: "inet6", Proto: "udp", SrcIP: "::", SrcPort: 5353, Inode: 3, UID: 1000, Iface: "eth0", From: "sock_diag"},
		record.Socket{Taken: taken, Netns: "net:[4026531840]", Family: "unix", Proto: "stream", State: "LISTEN", Inode: 9, Peer: 10, Path: record.Bytes("@\xff/run"), From: "sock_diag"},
		record.Socket{Taken: taken, Netns: "net:[4026532290]", Foreign: true, Family: "inet", Proto: "tcp", State: "LISTEN", SrcIP: "0.0.0.0", SrcPort: 8080, Inode: 78, PID: 6, Exe: record.Bytes("/usr/bin/nginx"), From: "sock_diag"},
		record.Socket{Taken: taken, Netns: "net:[4026531840]", Family: "packet", Proto: "raw", Inode: 77, PID: 5, Exe: record.Bytes("/usr/bin/tcpdump"), From: "/proc/net/packet"},
	}
}

func sampleModules() []any {
	return []any{
		record.Module{Name: "ext4", Size: 1032192, RefCount: 1, UsedBy: []string{"a", "b"}, State: "Live", Address: "0xffffffffc0", Version: "ABCDEF", InProc: true, InSysfs: true, InKsyms: true},
		record.Module{Name: "diamorphine", Taint: "OE", TaintMeans: []string{"O: a module built outside the kernel's tree was loaded"}, InSysfs: false, InKsyms: true},
	}
}

func sampleMounts() []any {
	return []any{
		record.Mount{ID: 25, Parent: 1, Dev: "8:1", Root: record.Bytes("/"), Point: record.Bytes("/"), Options: "rw,relatime", FSType: "ext4", Source: record.Bytes("/dev/sda1"), SuperOpts: record.Bytes("rw"), TotalBytes: 1e10, FreeBytes: 4e9},
		record.Mount{ID: 99, Parent: 25, Dev: "0:44", Root: record.Bytes("/dir"), Point: record.Bytes("/mnt/\xff"), Options: "rw,noexec", FSType: "tmpfs", Source: record.Bytes("tmpfs"), SuperOpts: record.Bytes("rw,size=1k")},
	}
}

func recordLines(t testing.TB, records []any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, r := range records {
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestLiveSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	samples := stateSamples()
	samples[record.Processes], samples[record.Sockets], samples[record.Modules], samples[record.Mounts] = sampleProcesses(), sampleSockets(), sampleModules(), sampleMounts()
	for name, records := range samples {
		dir := filepath.Join("testdata", live()[name].Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		whole := recordLines(t, records)
		for file, data := range map[string][]byte{
			"records.jsonl": whole, "damaged.jsonl": append(append([]byte("{}\n[1]\n"), whole...), whole[:60]...),
		} {
			facts := `{"path":"` + name + `","kind":"stream","boot_id":"0f3d2c1b-a596-4788-b7a6-958473625140","collected":"2025-11-23T12:13:20Z","users":{"0":"root","1000":"alice"}}`
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file+".item"), []byte(facts+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestLiveRecordsOfTheHostItselfAreNotTaken(t *testing.T) {
	for name, p := range live() {
		if p.Match(&evidence.Item{Kind: evidence.KindFile, Path: name}, []byte("{}")) {
			t.Errorf("%s takes a host's file of that name", p.Name)
		}
		if p.Match(&evidence.Item{Kind: evidence.KindStream, Path: "live/other.jsonl"}, []byte("{}")) {
			t.Errorf("%s takes another record set", p.Name)
		}
	}
}

func BenchmarkLiveProcesses(b *testing.B) {
	data := bytes.Repeat(recordLines(b, sampleProcesses()), 500)
	parsertest.Bench(b, liveProcesses, parsertest.Sample{Name: "p", Data: data})
}

func BenchmarkLiveSockets(b *testing.B) {
	data := bytes.Repeat(recordLines(b, sampleSockets()), 500)
	parsertest.Bench(b, liveSockets, parsertest.Sample{Name: "s", Data: data})
}
