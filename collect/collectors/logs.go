package collectors

import (
	"context"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
)

const linuxLogsName = "linux_logs"

var linuxLogs = register(collect.Collector{
	Name:     linuxLogsName,
	Doc:      "Logs of the system and of services, and small files in temporary folders",
	Tier:     collect.TierLogs,
	Deadline: 2 * time.Hour,
	Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
		return takePaths(ctx, pathRun{collector: linuxLogsName, host: h, out: out}, logDefinitions())
	},
})

// Limits of the definitions that take what nobody can foresee. System logs
// have none: a log that was filled up to push others out is evidence.
const (
	maxServiceLog  = 4 << 30   // one file of a service
	maxOtherLog    = 256 << 20 // one file below /var/log that no definition knows
	maxTemporary   = 10 << 20  // one file of a temporary folder
	totalTemporary = 256 << 20 // all files of one temporary folder
	maxCoreDump    = 64 << 20  // one core dump
	totalCoreDumps = 1 << 30
)

// logDefinitions is the table of what changes by itself and is gone first.
func logDefinitions() []definition {
	return append(append(systemLogs(), serviceLogs()...), temporaryFiles()...)
}

func systemLogs() []definition {
	return []definition{
		{rule: "journal", patterns: []string{"/{run,var}/log/journal/**"}},
		{rule: "syslog family", patterns: []string{
			"/var/log/{auth,authpriv,secure,messages,syslog,kern,kernel,cron,daemon,mail,maillog,user,local?,debug,boot,dmesg,lpr,news,uucp,warn,localmessages,everything,faillog,spooler}",
			"/var/log/{auth,authpriv,secure,messages,syslog,kern,kernel,cron,daemon,mail,maillog,user,local?,debug,boot,dmesg,lpr,news,uucp,warn,localmessages,everything,spooler}[-.]*",
			"/var/log/{syslog,rsyslog,remote,hosts}/**",
			"/var/adm/{messages,syslog,sulog}*", "/var/adm/cron/**",
		}, quiet: true},
		{rule: "audit", patterns: []string{"/var/log/audit/**", "/var/log/audit.log*"}},
		{rule: "login records", patterns: []string{
			"/var/run/utmp", "/run/utmp", "/var/log/{wtmp,btmp,lastlog,faillog,tallylog}",
			"/var/log/{wtmp,btmp,lastlog}[-.]*",
			"/var/lib/lastlog/**", "/var/lib/wtmpdb/**", "/var/log/{lastlog2,wtmp}.db*",
			"/{run,var/run}/faillock/**",
		}},
		{rule: "sudo logs", patterns: []string{"/var/log/sudo*", "/var/log/sudo-io/**", "/var/{db,lib}/sudo/**", "/run/sudo/ts/*"}},
		{rule: "package manager logs", patterns: []string{
			"/var/log/{dpkg,alternatives,apt-cacher,aptitude,bootstrap}*", "/var/log/apt/**", "/var/log/unattended-upgrades/**",
			"/var/log/{yum,dnf,hawkey,up2date,tdnf}*", "/var/log/{zypper.log,zypp/history}*", "/var/log/zypp/**", "/var/log/YaST2/**",
			"/var/lib/dnf/history*", "/var/lib/yum/history/**", "/var/log/pacman.log*", "/var/log/{apk.log,emerge.log,emerge-fetch.log}*",
			"/var/log/{snapd,packagekit,PackageKit}*", "/var/log/installer/**", "/var/log/anaconda/**", "/var/log/pip.log*", "/root/.pip/pip.log",
		}, quiet: true},
		{rule: "system service logs", patterns: []string{
			"/var/log/{cloud-init,cloud-init-output,ubuntu-advantage,waagent,google,amazon}*", "/run/cloud-init/{*.log,*.json}", "/var/log/{amazon,azure,google}/**",
			"/var/log/{fail2ban,ufw,firewalld,iptables,sshguard,denyhosts}*", "/var/log/fail2ban/**",
			"/var/log/{Xorg,gdm,lightdm,sddm,cups}*", "/var/log/{gdm3,lightdm,cups}/**",
			"/var/log/{sssd,freeipa,krb5,krb5kdc,kadmin}*", "/var/log/{sssd,krb5}/**",
			"/var/log/{chrony,ntpstats,sa,sysstat,account,atop,tuned,sysdig,osquery,ossec,wazuh,falco,crowdstrike}/**", "/var/ossec/logs/**", "/var/log/pacct*", "/var/log/{rkhunter,chkrootkit,clamav,aide}*", "/var/log/{chkrootkit,clamav,aide}/**",
		}, quiet: true},
	}
}

func serviceLogs() []definition {
	return []definition{
		{rule: "web server logs", patterns: []string{
			"/var/log/{nginx,apache,apache2,httpd,caddy,lighttpd,haproxy,tomcat*,jetty*,squid,varnish,traefik,envoy,openresty,php*}/**", "/var/log/{haproxy,php*,caddy,nginx,lighttpd}*",
			"/{usr/local,opt,srv}/{nginx,apache,apache2,httpd,openresty}/logs/**", "/{opt,usr/local,usr/share}/tomcat*/logs/**", "/var/lib/tomcat*/logs/**", "/etc/httpd/logs/*",
			"/opt/lampp/logs/*", "/usr/local/lsws/logs/**", "/usr/local/apache/domlogs/**", "/usr/local/www/logs/**",
			"/var/www/{*,*/*}/{logs,log}/*", "/srv/www/{*,*/*}/{logs,log}/*", "/home/*/{logs,access-logs}/*",
		}, max: maxServiceLog, quiet: true},
		{rule: "database logs", patterns: []string{
			"/var/log/{mysql,mariadb,postgresql,mongodb,redis,cassandra,couchdb,elasticsearch,opensearch,clickhouse-server,influxdb,neo4j}/**",
			"/var/log/{mysql,mysqld,mariadb,postgresql,redis,mongod}*", "/var/lib/{pgsql,postgresql}/{data,*/data,*/main}/{log,pg_log}/*", "/var/lib/mysql/*.{err,log}",
		}, max: maxServiceLog, quiet: true},
		{rule: "mail logs", patterns: []string{
			"/var/log/{exim,exim4,postfix,dovecot,rspamd,amavis,opendkim,mailman,mailman3,roundcube,sendmail}/**", "/var/log/{exim,exim4,postfix,dovecot,rspamd,zimbra,procmail}*", "/opt/zimbra/log/*",
		}, max: maxServiceLog, quiet: true},
		{rule: "file service logs", patterns: []string{
			"/var/log/{samba,nfs,vsftpd,proftpd,pure-ftpd,rsync,rsyncd,minio,glusterfs}/**", "/var/log/{vsftpd,proftpd,pure-ftpd,xferlog,rsync,rsyncd,tftp}*",
		}, max: maxServiceLog, quiet: true},
		{rule: "network service logs", patterns: []string{
			"/var/log/{openvpn,wireguard,strongswan,charon,bind,named,unbound,dnsmasq,pihole,suricata,zeek,snort}/**", "/var/log/{openvpn,charon,named,dnsmasq,pihole,ipsec,pptpd,xl2tpd,freeradius}*", "/var/log/{radius,freeradius}/**", "/opt/zeek/logs/current/*", "/var/lib/{dhcp,dhclient,dhcpcd,NetworkManager}/*leas*",
		}, max: maxServiceLog, quiet: true},
		{rule: "container logs", patterns: []string{
			"/var/lib/docker/containers/*/*.log*", "/var/lib/docker/containers/*/local-logs/*", "/var/lib/docker/containers/*/{config.v2,hostconfig}.json",
			"/var/log/{pods,containers,crio,kubernetes,kube-apiserver,k3s,rancher}/**", "/var/log/{docker,containerd,kubelet,kube-*,crio,podman,lxc*,lxd*}*", "/var/log/{lxc,lxd,libvirt}/**", "/var/snap/lxd/common/lxd/logs/**",
			"/var/lib/containers/storage/overlay-containers/*/userdata/{ctr.log,config.json}*", "/var/lib/rancher/k3s/agent/containerd/containerd.log*",
		}, max: maxServiceLog, quiet: true},
		{rule: "virtual terminal and automation logs", patterns: []string{
			"/var/log/{ansible,puppet,puppetlabs,chef,salt,jenkins,gitlab,gitea,grafana,prometheus,zabbix,nagios,telegraf}/**", "/var/log/{ansible,puppet,salt,jenkins}*", "/var/log/{asciinema,tlog,script,rootsh,snoopy}*",
		}, max: maxServiceLog, quiet: true},
		{rule: "other logs", patterns: []string{"/var/log/**"}, rest: true, max: maxOtherLog},
	}
}

func temporaryFiles() []definition {
	return []definition{
		{rule: "files in /tmp", patterns: []string{"/tmp/**"}, max: maxTemporary, total: totalTemporary, asLinks: true},
		{rule: "files in /var/tmp", patterns: []string{"/var/tmp/**"}, max: maxTemporary, total: totalTemporary, asLinks: true},
		{rule: "files in /dev/shm", patterns: []string{"/dev/shm/**"}, max: maxTemporary, total: totalTemporary, asLinks: true},
		{rule: "core dumps and crash reports", patterns: []string{
			"/var/lib/systemd/coredump/*", "/var/crash/**", "/var/spool/abrt/**", "/var/lib/apport/coredump/*", "/core", "/core.*",
		}, max: maxCoreDump, total: totalCoreDumps, quiet: true},
	}
}
