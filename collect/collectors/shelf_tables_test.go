package collectors

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
)

// tables are the definition tables of the shelf.
func tables() map[string][]definition {
	return map[string][]definition{
		linuxLogsName: logDefinitions(), linuxPersistenceName: persistenceDefinitions(), linuxUsersName: userDefinitions(),
		linuxContainersName: containerDefinitions(defaultEngines()),
		windowsFilesName:    windowsDefinitions(), darwinFilesName: darwinDefinitions(), freebsdFilesName: freebsdDefinitions(),
	}
}

func TestEveryTableCompilesWithUniqueRules(t *testing.T) {
	for name, defs := range tables() {
		if _, err := compile(defs, "/root"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		rules := map[string]bool{}
		for _, d := range defs {
			if d.rule == "" || rules[d.rule] || len(d.patterns) == 0 {
				t.Errorf("%s: rule %q is empty, without patterns or there twice", name, d.rule)
			}
			rules[d.rule] = true
		}
	}
}

func TestEveryDefinitionIsInTheLedgerOnAnEmptyHost(t *testing.T) {
	h := plant(t, "etc/")
	for _, c := range []collect.Collector{linuxLogs, linuxPersistence, linuxUsers} {
		out := newMemoryTaker(h)
		check(t, c.Run(context.Background(), h, out))
		var want []string
		for _, d := range tables()[c.Name] {
			want = append(want, d.rule)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(out.seen)); !slices.Equal(got, want) {
			t.Errorf("%s: ledger %q, want %q", c.Name, got, want)
		}
		for rule, n := range out.seen {
			if n != 0 {
				t.Errorf("%s: %q matched %d on an empty host", c.Name, rule, n)
			}
		}
	}
}

// taken runs a collector over files and returns path to rule.
func taken(t *testing.T, c collect.Collector, specs ...string) *memoryTaker {
	t.Helper()
	h := plant(t, specs...)
	out := newMemoryTaker(h)
	check(t, c.Run(context.Background(), h, out))
	for _, p := range out.problems {
		if p.Path != "/etc/passwd" {
			t.Errorf("problem %+v", p)
		}
	}
	return out
}

// expectRules checks that each path was taken for its rule; an empty rule
// says that it must not be taken.
func expectRules(t *testing.T, c collect.Collector, want map[string]string) {
	t.Helper()
	var files []string
	for path := range want {
		files = append(files, path[1:])
	}
	slices.Sort(files)
	out := taken(t, c, files...)
	paths := out.paths()
	for path, rule := range want {
		if got := slices.Contains(paths, path); got != (rule != "") {
			t.Errorf("%s: taken %v", path, got)
		} else if got && out.rules[path] != rule {
			t.Errorf("%s: taken for %q, want %q", path, out.rules[path], rule)
		}
	}
}

func TestLogsOfEveryFamilyAreTakenForTheirRule(t *testing.T) {
	expectRules(t, linuxLogs, map[string]string{
		"/run/log/journal/a1/system.journal":                "journal",
		"/var/log/journal/a1/user-1000@0005.journal~":       "journal",
		"/var/log/journal/a1/system@0f-00-1.journal.zst":    "journal",
		"/var/log/auth.log":                                 "syslog family",
		"/var/log/auth.log.2.gz":                            "syslog family",
		"/var/log/secure-20260101.xz":                       "syslog family",
		"/var/log/messages":                                 "syslog family",
		"/var/log/boot.log":                                 "syslog family",
		"/var/log/local7.log":                               "syslog family",
		"/var/log/mail.err":                                 "syslog family",
		"/var/log/audit/audit.log.4":                        "audit",
		"/var/log/wtmp":                                     "login records",
		"/var/log/btmp.1":                                   "login records",
		"/var/log/lastlog":                                  "login records",
		"/var/lib/lastlog/lastlog2.db":                      "login records",
		"/var/lib/wtmpdb/wtmp.db-wal":                       "login records",
		"/run/utmp":                                         "login records",
		"/var/log/tallylog":                                 "login records",
		"/var/log/sudo-io/00/00/01/ttyout":                  "sudo logs",
		"/var/log/dpkg.log.1":                               "package manager logs",
		"/var/log/apt/history.log":                          "package manager logs",
		"/var/lib/dnf/history.sqlite":                       "package manager logs",
		"/var/log/zypp/history":                             "package manager logs",
		"/var/log/pacman.log":                               "package manager logs",
		"/var/log/cloud-init-output.log":                    "system service logs",
		"/var/log/fail2ban.log":                             "system service logs",
		"/var/log/nginx/access.log.1":                       "web server logs",
		"/var/log/httpd/error_log":                          "web server logs",
		"/var/www/site/logs/access.log":                     "web server logs",
		"/var/log/mysql/error.log":                          "database logs",
		"/var/lib/postgresql/15/main/log/pg.log":            "database logs",
		"/var/log/exim4/mainlog":                            "mail logs",
		"/var/log/samba/log.smbd":                           "file service logs",
		"/var/log/vsftpd.log":                               "file service logs",
		"/var/log/suricata/eve.json":                        "network service logs",
		"/var/lib/docker/containers/c0ffee/c0ffee-json.log": "container logs",
		"/var/lib/docker/containers/c0ffee/config.v2.json":  "container logs",
		"/var/lib/docker/containers/c0ffee/mounts/secret":   "",
		"/var/log/pods/ns_p_1/c/0.log":                      "container logs",
		"/var/log/jenkins/jenkins.log":                      "virtual terminal and automation logs",
		"/var/log/what/ever/.it is":                         "other logs",
		"/tmp/.X11-unix/payload":                            "files in /tmp",
		"/var/tmp/x":                                        "files in /var/tmp",
		"/dev/shm/.hidden":                                  "files in /dev/shm",
		"/var/lib/systemd/coredump/core.sh.0.b.1.zst":       "core dumps and crash reports",
		"/usr/bin/true":                                     "",
		"/etc/passwd":                                       "",
	})
}

func TestPersistenceOfEveryKindIsTakenForItsRule(t *testing.T) {
	expectRules(t, linuxPersistence, map[string]string{
		"/etc/os-release":  "host identity",
		"/etc/machine-id":  "host identity",
		"/etc/timezone":    "time zone",
		"/etc/hosts":       "network configuration",
		"/etc/resolv.conf": "network configuration",
		"/etc/fstab":       "file systems",
		"/etc/passwd":      "accounts",
		"/etc/systemd/system/multi-user.target.wants/x.service": "systemd units",
		"/usr/lib/systemd/system/a.timer":                       "systemd units",
		"/usr/share/systemd/user/a.service":                     "systemd units",
		"/var/at/tabs/root":                                     "cron and at",
		"/srv/git/site.git/hooks/post-receive":                  "git hooks of servers",
		"/srv/git/site.git/hooks/post-receive.sample":           "",
		"/var/lib/AccountsService/users/x":                      "accounts",
		"/run/systemd/transient/r.service":                      "systemd units",
		"/usr/lib/systemd/system-generators/evil":               "systemd units",
		"/home/bob/.config/systemd/user/b.service":              "systemd units",
		"/etc/systemd/system/ssh.service.d/override.conf":       "systemd units",
		"/var/spool/cron/crontabs/root":                         "cron and at",
		"/etc/cron.d/job":                                       "cron and at",
		"/var/spool/at/a00001":                                  "cron and at",
		"/etc/rc.local":                                         "init scripts",
		"/etc/init.d/ssh":                                       "init scripts",
		"/boot/grub/grub.cfg":                                   "boot configuration",
		"/etc/modprobe.d/hide.conf":                             "kernel modules and parameters",
		"/etc/sysctl.d/99.conf":                                 "kernel modules and parameters",
		"/etc/ld.so.preload":                                    "dynamic loader",
		"/etc/environment":                                      "dynamic loader",
		"/etc/profile.d/x.sh":                                   "shell start files",
		"/etc/bash.bashrc":                                      "shell start files",
		"/etc/xdg/autostart/x.desktop":                          "desktop autostart",
		"/etc/udev/rules.d/10.rules":                            "udev rules",
		"/etc/dbus-1/system.d/x.conf":                           "dbus services",
		"/etc/update-motd.d/00-header":                          "messages of the day",
		"/etc/apt/apt.conf.d/99hook":                            "package manager hooks",
		"/var/lib/dpkg/status":                                  "package database",
		"/var/lib/dpkg/info/bash.md5sums":                       "package database",
		"/var/lib/dpkg/info/bash.list":                          "",
		"/var/lib/dpkg/info/evil.postinst":                      "package database",
		"/etc/logrotate.d/x":                                    "power, network and device hooks",
		"/usr/lib/python3/dist-packages/evil.pth":               "interpreter start files",
		"/etc/pam.d/sshd":                                       "PAM",
		"/usr/lib/x86_64-linux-gnu/security/pam_evil.so":        "PAM and NSS modules",
		"/etc/sudoers":                                          "sudo and polkit",
		"/etc/sudoers.d/x":                                      "sudo and polkit",
		"/etc/ssh/sshd_config":                                  "ssh server and client",
		"/etc/ssh/sshd_config.d/x.conf":                         "ssh server and client",
		"/etc/audit/rules.d/audit.rules":                        "audit and security modules",
		"/etc/rsyslog.d/50.conf":                                "logging configuration",
		"/etc/nginx/sites-enabled/default":                      "web server configuration",
		"/var/www/html/up/.htaccess":                            "web server configuration",
		"/etc/shadow":                                           "",
		"/etc/shadow-":                                          "",
		"/usr/bin/true":                                         "",
	})
}

func TestZoneFileIsTakenWithTheLinkThatNamesIt(t *testing.T) {
	out := taken(t, linuxPersistence, "etc/localtime -> /usr/share/zoneinfo/Europe/Berlin", "usr/share/zoneinfo/Europe/Berlin")
	if it, ok := out.file("/etc/localtime"); !ok || it.Link != "/usr/share/zoneinfo/Europe/Berlin" {
		t.Errorf("link: %+v", it)
	}
	if len(out.content["/usr/share/zoneinfo/Europe/Berlin"]) == 0 {
		t.Error("the zone itself was not taken")
	}
}
