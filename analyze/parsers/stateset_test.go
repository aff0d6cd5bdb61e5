package parsers

import (
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestLiveBPF(t *testing.T)       { parsertest.Run(t, liveBPF, "testdata/live_bpf") }
func TestLiveProbes(t *testing.T)    { parsertest.Run(t, liveProbes, "testdata/live_probes") }
func TestLiveFtrace(t *testing.T)    { parsertest.Run(t, liveFtrace, "testdata/live_ftrace") }
func TestLiveConntrack(t *testing.T) { parsertest.Run(t, liveConntrack, "testdata/live_conntrack") }

func TestLiveNFTables(t *testing.T) { parsertest.Run(t, liveNFTables, "testdata/live_nftables") }

func TestLiveIPTables(t *testing.T) { parsertest.Run(t, liveIPTables, "testdata/live_iptables") }

func TestLiveForeignMounts(t *testing.T) {
	parsertest.Run(t, liveForeignMounts, "testdata/live_foreign_mounts")
}

func TestLiveBlockDevices(t *testing.T) {
	parsertest.Run(t, liveBlockDevices, "testdata/live_block_devices")
}

func TestStateContainers(t *testing.T) {
	parsertest.Run(t, stateContainers, "testdata/state_containers")
}

func TestStateAccounts(t *testing.T) { parsertest.Run(t, stateAccounts, "testdata/state_accounts") }
func TestStateGroups(t *testing.T)   { parsertest.Run(t, stateGroups, "testdata/state_groups") }
func TestStateAuthorizedKeys(t *testing.T) {
	parsertest.Run(t, stateAuthorizedKeys, "testdata/state_authorized_keys")
}

func TestStateSudoRules(t *testing.T) { parsertest.Run(t, stateSudoRules, "testdata/state_sudo_rules") }

func TestStatePackages(t *testing.T) { parsertest.Run(t, statePackages, "testdata/state_packages") }
func FuzzStatePackages(f *testing.F) { parsertest.Fuzz(f, statePackages, "testdata/state_packages") }

func TestStatePackageFiles(t *testing.T) {
	parsertest.Run(t, statePackageFiles, "testdata/state_package_files")
}

func TestStateAuthModules(t *testing.T) {
	parsertest.Run(t, stateAuthModules, "testdata/state_auth_modules")
}

func TestStateBootFiles(t *testing.T) { parsertest.Run(t, stateBootFiles, "testdata/state_boot_files") }

func TestStatePrivileged(t *testing.T) {
	parsertest.Run(t, statePrivileged, "testdata/state_privileged")
}

func FuzzLiveBPF(f *testing.F)       { parsertest.Fuzz(f, liveBPF, "testdata/live_bpf") }
func FuzzLiveProbes(f *testing.F)    { parsertest.Fuzz(f, liveProbes, "testdata/live_probes") }
func FuzzLiveFtrace(f *testing.F)    { parsertest.Fuzz(f, liveFtrace, "testdata/live_ftrace") }
func FuzzLiveConntrack(f *testing.F) { parsertest.Fuzz(f, liveConntrack, "testdata/live_conntrack") }
func FuzzLiveNFTables(f *testing.F)  { parsertest.Fuzz(f, liveNFTables, "testdata/live_nftables") }
func FuzzLiveIPTables(f *testing.F)  { parsertest.Fuzz(f, liveIPTables, "testdata/live_iptables") }
func FuzzLiveForeignMounts(f *testing.F) {
	parsertest.Fuzz(f, liveForeignMounts, "testdata/live_foreign_mounts")
}

func FuzzLiveBlockDevices(f *testing.F) {
	parsertest.Fuzz(f, liveBlockDevices, "testdata/live_block_devices")
}

func FuzzStateContainers(f *testing.F) {
	parsertest.Fuzz(f, stateContainers, "testdata/state_containers")
}

func FuzzStateAccounts(f *testing.F) { parsertest.Fuzz(f, stateAccounts, "testdata/state_accounts") }
func FuzzStateGroups(f *testing.F)   { parsertest.Fuzz(f, stateGroups, "testdata/state_groups") }
func FuzzStateAuthorizedKeys(f *testing.F) {
	parsertest.Fuzz(f, stateAuthorizedKeys, "testdata/state_authorized_keys")
}

func FuzzStateSudoRules(f *testing.F) {
	parsertest.Fuzz(f, stateSudoRules, "testdata/state_sudo_rules")
}

func FuzzStatePackageFiles(f *testing.F) {
	parsertest.Fuzz(f, statePackageFiles, "testdata/state_package_files")
}

func FuzzStateAuthModules(f *testing.F) {
	parsertest.Fuzz(f, stateAuthModules, "testdata/state_auth_modules")
}

func FuzzStateBootFiles(f *testing.F) {
	parsertest.Fuzz(f, stateBootFiles, "testdata/state_boot_files")
}

func FuzzStatePrivileged(f *testing.F) {
	parsertest.Fuzz(f, statePrivileged, "testdata/state_privileged")
}

// stateSamples are records of every set of state, by its name.
func stateSamples() map[string][]any {
	text := func(s string) record.Bytes { return record.Bytes(s) }
	list := func(all ...string) (out []record.Bytes) {
		for _, s := range all {
			out = append(out, record.Bytes(s))
		}
		return out
	}
	num := func(n int64) *int64 { return &n }
	sum := strings.Repeat("cd", 32)
	return map[string][]any{
		record.BPFPrograms: {
			record.BPFProgram{ID: 7, Type: "kprobe", Name: text("hide_\xffpid"), Tag: "aabbccdd00112233", LoadedNS: 5e9, Loaded: taken - 100e9, UID: 1000, Maps: []int64{3, 4}, GPL: true, Xlated: 96, Content: "live/bpf/prog-7.xlated", Owners: []record.BPFHolder{{PID: 4711, FD: 5}, {PID: 1, FD: 9}}, Pins: list("/sys/fs/bpf/x"), Links: []int64{2}, Runs: 12},
			record.BPFProgram{ID: 8, Type: "cgroup_device", Tag: "0011223344556677"},
		},
		record.Probes: {
			record.Probe{Source: "kprobe_events", Kind: "kprobe", Group: text("kprobes"), Event: text("opened"), Target: text("do_sys_openat2"), Args: text("file=+0($arg2):string"), Text: text("p:kprobes/opened do_sys_openat2 file=+0($arg2):string")},
			record.Probe{Source: "uprobe_events", Kind: "uprobe", Group: text("uprobes"), Event: text("readline"), Target: text("/bin/b\xffsh:0x00000000000d5ba0"), Text: text("p:uprobes/readline /bin/b\xffsh:0x00000000000d5ba0")},
			record.Probe{Source: "dynamic_events", Event: text("odd"), Text: text("x:odd")},
		},
		record.Ftrace: {
			record.TracedFunction{Name: text("__x64_sys_kill"), Count: 1, Flags: "RI", Callback: text("tramp: 0xffffffffc0a01000 (hook+0x0/0x90 [rk])")},
			record.TracedFunction{Name: text("ext4_open"), Module: text("ext4"), Count: 2},
		},
		record.Conntrack: {
			record.Flow{Taken: taken, Netns: "net:[4026531840]", Family: "inet", Proto: "tcp", State: "ESTABLISHED", Orig: record.Direction{SrcIP: "10.0.0.5", DstIP: "203.0.113.7", SrcPort: 40022, DstPort: 443, Packets: 10, Bytes: 1234}, Reply: record.Direction{SrcIP: "203.0.113.7", DstIP: "192.0.2.1", SrcPort: 443, DstPort: 40022, Packets: 9, Bytes: 99999}, Status: []string{"assured", "seen_reply"}, Timeout: 431999, Mark: 1, Zone: 2, ID: 5, Start: taken - 60e9},
			record.Flow{Taken: taken, Netns: "net:[4026531840]", Family: "inet6", Proto: "icmpv6", Orig: record.Direction{SrcIP: "fe80::1", DstIP: "fe80::2", ICMPID: 7}, Reply: record.Direction{SrcIP: "fe80::2", DstIP: "fe80::1"}, Status: []string{}, ID: 6},
		},
		record.NFTables: {
			record.NFTable{Netns: "net:[4026531840]", Object: "table", Family: "inet", Table: text("filter"), Name: text("filter"), Handle: 1, Raw: "00"},
			record.NFTable{Netns: "net:[4026531840]", Object: "chain", Family: "inet", Table: text("filter"), Name: text("input"), Handle: 2, Type: "filter", Hook: "input", Policy: "drop", Priority: -10, Raw: "00"},
			record.NFTable{Netns: "net:[4026531840]", Object: "rule", Family: "inet", Table: text("filter"), Chain: text("input"), Handle: 3, Text: text("tcp dport 22 accept"), Comment: text("s\xffsh"), Raw: "00"},
			record.NFTable{Netns: "net:[4026531840]", Object: "element", Family: "ip", Table: text("t"), Name: text("blocked"), Key: "c0000201", Timeout: 60000, Raw: "00"},
		},
		record.IPTables: {
			record.IPTable{Netns: "net:[4026531840]", Family: "ip", Table: "filter", Entries: 4, Content: "live/iptables/ip-filter", Text: text("*filter\n:INPUT ACCEPT [10:200]\n-A INPUT -s 192.0.2.0/24 -j DROP\n-A INPUT -m comment --comment \"a \xff\" -j ACCEPT\nCOMMIT\n")},
			record.IPTable{Netns: "net:[4026531840]", Family: "ip6", Table: "raw", Entries: 2, Content: "live/iptables/ip6-raw"},
		},
		record.Containers: {
			record.Container{Engine: "docker", ID: strings.Repeat("0f", 32), Name: "web", Image: "nginx:1", ImageID: "sha256:" + sum, Created: taken - 9000e9, Started: taken - 8000e9, Finished: taken - 7000e9, State: "exited", ExitCode: num(137), PID: 0, Args: []string{"nginx", "-g", "daemon off;"}, CWD: "/", User: "0", Privileged: true, HostPID: true, Mounts: []record.ContainerMount{{Type: "bind", Source: "/", Target: "/host", Write: true}, {Type: "volume", Source: "/v", Target: "/data"}}, Capabilities: []string{"+cap_sys_admin"}, Security: []string{"seccomp=unconfined"}, Ports: []string{"0.0.0.0:8080->80/tcp"}, Upper: text("/var/lib/docker/overlay2/a/diff"), Sources: list("/var/lib/docker/containers/x/config.v2.json")},
			record.Container{Engine: "overlay", Upper: text("/tmp/\xff"), PID: 12, Sources: list("/proc/self/mountinfo"), Errors: []string{"no engine"}},
		},
		record.ForeignMounts: {
			record.ForeignMount{Mntns: "mnt:[4026532300]", PID: 4711, Mount: record.Mount{ID: 300, Parent: 299, Dev: "0:55", Root: text("/sub"), Point: text("/mnt/\xff"), Options: "rw", FSType: "tmpfs", Source: text("hidden"), SuperOpts: text("rw")}},
		},
		record.BlockDevices: {
			record.BlockDevice{Name: "sda", Dev: "8:0", Bytes: 1 << 30, Removable: true, Model: text("Disk"), Holders: []string{"dm-0"}},
			record.BlockDevice{Name: "sda1", Disk: "sda", Dev: "8:1", Bytes: 1 << 20, Start: 1 << 20},
			record.BlockDevice{Name: "loop0", Dev: "7:0", Bytes: 4096, Loop: &record.Loop{File: text("/tmp/\xff.img"), Deleted: true, Offset: 512}},
			record.BlockDevice{Name: "dm-0", Dev: "253:0", Bytes: 4096, Slaves: []string{"sda"}, DM: &record.DM{Name: text("secret"), UUID: text("CRYPT-LUKS2-0a-secret"), Kind: "crypt"}},
			record.BlockDevice{Name: "md0", Dev: "9:0", Bytes: 4096, MD: &record.MD{Level: "raid1", State: "clean", Disks: 2, Degraded: 1}},
		},
		record.Accounts: {
			record.Account{Name: text("root"), Line: 1, UID: num(0), GID: num(0), Gecos: text("root"), Home: text("/root"), Shell: text("/bin/bash"), Password: "set", In: "shadow", Algorithm: "yescrypt", Fingerprint: sum, ShadowLine: 1, Changed: 20_000 * dayNS, MinDays: num(0), MaxDays: num(99999), WarnDays: num(7)},
			record.Account{Name: text("b\xffck"), Line: 2, UID: num(0), GID: num(100), Home: text("/"), Shell: text("/bin/sh"), Password: "empty", In: "passwd"},
			record.Account{Name: text("ghost"), Password: "none", In: "shadow", Locked: true, ShadowLine: 9, Expires: 20_100 * dayNS, MustChange: true},
		},
		record.Groups: {
			record.Group{Name: text("sudo"), Line: 5, GID: 27, Members: list("alice", "b\xffck"), Admins: list("carol"), Password: "none"},
			record.Group{Name: text("root"), Line: 1, Members: list(), Password: "unknown"},
		},
		record.AuthorizedKeys: {
			record.AuthorizedKey{User: text("root"), File: text("/root/.ssh/authorized_keys"), Line: 3, Configured: true, Options: list("from=\"192.0.2.1\"", "no-pty"), Type: "ssh-ed25519", Fingerprint: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", Comment: text("me@\xff"), Mode: 0o100600, Mtime: taken - 1e9, Ctime: taken - 2e9},
			record.AuthorizedKey{File: text("/etc/ssh/keys"), Line: 1, Error: "no key that can be read", UID: 1000},
		},
		record.SudoRules: {
			record.SudoRule{File: text("/etc/sudoers"), Line: 4, Kind: "rule", Who: list("%sudo"), Hosts: list("ALL"), RunAs: text("ALL:ALL"), Tags: []string{"NOPASSWD"}, Commands: list("/bin/sh", "!/bin/\xff")},
			record.SudoRule{File: text("/etc/sudoers"), Line: 1, Kind: "defaults", Text: text("env_reset")},
			record.SudoRule{File: text("/etc/sudoers.d/x"), Line: 2, Kind: "unread", Text: text("what is this")},
		},
		record.Packages: {
			record.Package{Manager: "rpm", Name: text("bash"), Version: text("5.2-1"), Arch: text("x86_64"), Installed: taken/1e9*1e9 - 5000e9},
			record.Package{Manager: "dpkg", Name: text("d\xffsh"), Version: text("1:0.5"), Arch: text("amd64"), State: text("install ok installed"), Listed: taken - 4000e9},
			record.Package{Manager: "apk", Name: text("busybox"), Version: text("1")},
		},
		record.PackageFiles: {
			record.PackageFile{Path: text("/usr/sbin/sshd"), What: "changed", Manager: "dpkg", Package: text("openssh-server"), Algorithm: "md5", Want: strings.Repeat("ab", 16), Have: strings.Repeat("ac", 16), SHA256: sum, Mode: 0o100755, Size: 9, Inode: 5, Mtime: taken - 1e9, Ctime: taken - 1e9},
			record.PackageFile{Path: text("/usr/bin/\xff"), What: "unowned", SHA256: sum, Mode: 0o104755, UID: 0, Size: 7, Inode: 6, Mtime: taken - 5e9, Ctime: taken - 4e9, Btime: taken - 4e9},
			record.PackageFile{Path: text("/etc/x.conf"), What: "missing", Manager: "rpm", Package: text("x"), Config: true},
		},
		record.AuthModules: {
			record.AuthModule{Kind: "pam", Name: text("pam_unix.so"), State: "named", Uses: []record.AuthUse{{File: text("/etc/pam.d/common-auth"), Line: 17, Type: text("auth"), Control: text("[success=1 default=ignore]"), Args: list("nullok", "\xff")}}, OwnedFile: record.OwnedFile{Path: text("/usr/lib/security/pam_unix.so"), SHA256: sum, Mode: 0o100644, Size: 5, Inode: 9, Mtime: taken - 1e9, Ctime: taken - 1e9, Manager: "dpkg", Package: text("libpam-modules"), Check: "changed", Algorithm: "md5", Want: strings.Repeat("ab", 16)}},
			record.AuthModule{Kind: "nss", Name: text("evil"), State: "missing", Uses: []record.AuthUse{{File: text("/etc/nsswitch.conf"), Line: 3, Service: text("passwd")}}},
		},
		record.BootFiles: {
			record.BootFile{Kind: "kernel", OwnedFile: record.OwnedFile{Path: text("/boot/vmlinuz"), Target: text("/boot/vmlinuz-1"), SHA256: sum, Mode: 0o100644, Size: 5, Inode: 9, Mtime: taken - 1e9, Ctime: taken - 1e9, Check: "same", Manager: "rpm", Package: text("kernel-core")}},
			record.BootFile{Kind: "initramfs", OwnedFile: record.OwnedFile{Path: text("/boot/initrd.img\xff"), SHA256: sum, Mode: 0o100600, Size: 6, Inode: 10, Mtime: taken, Ctime: taken, Check: "unowned"}},
		},
		record.Privileged: {
			record.File{Path: text("/usr/bin/sudo"), Mode: 0o104755, Owner: "root", Size: 9, Inode: 7, Dev: "8:1", Mtime: taken - 1e9, Ctime: taken - 1e9, SHA256: sum},
			record.File{Path: text("/tmp/.\xff"), Mode: 0o100755, UID: 1000, Attributes: 0x10, Inode: 8, Dev: "8:1", Mtime: taken, Ctime: taken, Capabilities: &record.Capabilities{Revision: 2, Effective: true, Permitted: []string{"cap_setuid", "cap_net_raw"}, Inheritable: []string{"cap_chown"}}},
		},
	}
}

// Every set has samples, and every sample a parser.
func TestEverySetOfStateHasSamples(t *testing.T) {
	samples, parsers := stateSamples(), live()
	for name := range samples {
		if parsers[name].Name == "" {
			t.Errorf("nothing parses %s", name)
		}
	}
	if len(samples)+4 != len(parsers) {
		t.Errorf("%d sets of samples, %d parsers", len(samples), len(parsers))
	}
}
