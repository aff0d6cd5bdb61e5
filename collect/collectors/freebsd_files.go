package collectors

import (
	"context"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
)

const freebsdFilesName = "freebsd_files"

var freebsdFiles = register(FreeBSDFiles(LeaveSecrets))

// FreeBSDFiles collects what FreeBSD and its users leave in files. The shelf
// holds the one that leaves secrets where they are.
func FreeBSDFiles(secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     freebsdFilesName,
		Doc:      "FreeBSD: logs, accounting, configuration and what starts by itself, packages, jails, and what users left",
		Tier:     collect.TierLogs,
		Deadline: 2 * time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			homes := unixHomes(h, []string{"/home", "/usr/home"}, "/root")
			run := pathRun{collector: freebsdFilesName, host: h, out: out, secrets: secrets, homes: homes}
			return takePaths(ctx, run, freebsdDefinitions())
		},
	}
}

// freebsdDefinitions is the table of FreeBSD (hier(7)).
func freebsdDefinitions() []definition {
	return []definition{
		{rule: "password hashes", take: takeSecret, quiet: true, patterns: []string{"/etc/{master.passwd,spwd.db}", "/var/backups/master.passwd*"}},
		{rule: "login records", patterns: []string{"/var/run/utx.active", "/var/log/{utx.log*,utx.lastlogin,wtmp*,lastlog}", "/var/account/*"}, quiet: true},
		{rule: "audit trails", patterns: []string{"/var/audit/*", "/etc/security/*"}, quiet: true},
		{rule: "logs", patterns: []string{"/var/log/**", "/var/cron/log*", "/var/spool/clientmqueue/*", "/var/mail/*"}, max: maxServiceLog},
		{rule: "what starts by itself", quiet: true, take: takeUnlessSecret, patterns: []string{
			"/etc/{rc.conf*,rc.local,rc.shutdown,rc.d/*,rc.conf.d/**,crontab,cron.d/*,periodic/**,periodic.conf*,ttys,inetd.conf,devd.conf,devd/*,login.conf,profile,csh.*,pam.d/*,jail.conf*,jail.conf.d/*}", "/usr/local/etc/{rc.d,cron.d,periodic,pam.d,sudoers.d,devd}/**", "/usr/local/etc/{sudoers,doas.conf,inetd.conf}", "/var/cron/tabs/*", "/var/at/jobs/*", "/boot/{loader.conf*,loader.conf.d/*,loader.rc*,device.hints,modules/*}",
		}},
		{rule: "configuration", quiet: true, take: takeUnlessSecret, max: maxConfiguration, patterns: []string{
			"/etc/{passwd,group,hosts,hosts.allow,resolv.conf,fstab,exports,sysctl.conf*,syslog.conf,syslog.d/*,newsyslog.conf*,nsswitch.conf,pf.conf,ipfw.rules,ssh/*,localtime,hostid,machine-id,os-release,motd*,shells,services,mail/*}", "/bin/freebsd-version", "/usr/local/etc/**/*.{conf,cnf,cfg,ini,yaml,yml}",
		}},
		{rule: "packages", patterns: []string{"/var/db/pkg/*.sqlite*", "/var/db/freebsd-update/{tag,install.*/*}", "/usr/local/etc/pkg/**", "/etc/pkg/*"}, quiet: true, max: maxServiceLog},
		{rule: "shell histories and start files", patterns: []string{"~/.*history*", "~/.{profile,login,logout,cshrc,shrc,mkshrc,bashrc,bash_profile,zshrc,zshenv,login_conf,mailrc,forward,rhosts,k5login}", "~/.local/share/fish/fish_history*"}, quiet: true, max: maxUserFile},
		{rule: "SSH of users", patterns: []string{"~/.ssh/**"}, take: takeUnlessSecret, quiet: true},
		{rule: "core dumps and crash reports", patterns: []string{"/var/crash/*", "/*.core", "/var/tmp/*.core"}, quiet: true, max: maxCoreDump, total: totalCoreDumps},
		{rule: "files in /tmp", patterns: []string{"/tmp/**"}, max: maxTemporary, total: totalTemporary, asLinks: true},
		{rule: "files in /var/tmp", patterns: []string{"/var/tmp/**"}, max: maxTemporary, total: totalTemporary, asLinks: true},
	}
}
