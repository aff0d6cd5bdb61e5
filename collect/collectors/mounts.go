package collectors

import "github.com/exhibit-dfir/exhibit/collect"

// linuxMounts writes live/mounts.jsonl: every mount of the collector's mount
// namespace with the size and the free space of its file system. A file
// system that does not answer within seconds is recorded without them, and a
// remote one is not asked at all. The mounts of other namespaces, block devices
// and swap have sets of their own.
var linuxMounts = register(collect.Collector{
	Name: "linux_mounts",
	Doc:  "Mounts with sizes, of every mount namespace; loop devices, device mapper, RAID, partitions and swap, decoded",
	Tier: collect.TierSessions,
	Live: true,
	Run:  collectMounts,
})

var mountFiles = []string{
	"/proc/self/mountinfo", "/proc/1/mountinfo", "/proc/mounts", "/proc/self/mountstats", "/proc/swaps",
	"/proc/partitions", "/proc/diskstats", "/proc/mdstat", "/proc/fs/nfsfs/servers", "/proc/fs/nfsfs/volumes",
	"/proc/cgroups", "/etc/fstab", "/etc/crypttab", "/etc/exports", "/etc/mtab",
}

// linuxSessions keeps what says who is logged in.
var linuxSessions = register(collect.Collector{
	Name: "linux_sessions",
	Doc:  "Login sessions: utmp, the sessions, users, seats and machines of systemd-logind, sudo time stamps, screen and runtime folders",
	Tier: collect.TierSessions,
	Live: true,
	Run:  collectSessions,
})

// sessionFiles are taken as they are; sessionDirs with what is below them.
var (
	sessionFiles = []string{"/run/utmp", "/var/run/utmp", "/run/nologin", "/run/systemd/shutdown/scheduled"}
	sessionDirs  = []string{
		"/run/systemd/sessions", "/run/systemd/users", "/run/systemd/seats", "/run/systemd/machines",
		"/run/systemd/inhibit", "/run/sudo/ts", "/var/run/sudo/ts", "/run/screen", "/run/user",
	}
)
