package collectors

import (
	"context"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
)

const linuxPersistenceName = "linux_persistence"

var linuxPersistence = register(Persistence(LeaveSecrets))

// Persistence collects configuration and everything that starts by itself.
// The shelf holds the one that leaves secrets where they are.
func Persistence(secrets Secrets) collect.Collector {
	return collect.Collector{
		Name:     linuxPersistenceName,
		Doc:      "Configuration, and everything that starts by itself",
		Tier:     collect.TierPersistence,
		Deadline: time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			return takePaths(ctx, pathRun{collector: linuxPersistenceName, host: h, out: out, secrets: secrets}, persistenceDefinitions())
		},
	}
}

// The largest file of a configuration folder that a definition names, and of
// one that none does.
const (
	maxConfiguration      = 64 << 20
	maxOtherConfiguration = 10 << 20
)

// persistenceDefinitions is the table of configuration: what the machine is,
// what starts by itself, and what decides who may do what.
func persistenceDefinitions() []definition {
	defs := append(hostSecrets(), identityFiles()...)
	defs = append(defs, startedBySystem()...)
	defs = append(defs, startedByEvents()...)
	defs = append(defs, accessControl()...)
	defs = append(defs, serviceConfiguration()...)
	defs = append(defs, placedPrograms()...)
	for i := range defs {
		if defs[i].max == 0 {
			defs[i].max = maxConfiguration
		}
	}
	return defs
}

// hostSecrets come before what holds them: the first that matches takes.
func hostSecrets() []definition {
	return []definition{
		{rule: "password hashes", patterns: []string{"/etc/{shadow,shadow-,gshadow,gshadow-,master.passwd,spwd.db}", "/etc/security/opasswd", "/var/lib/samba/private/*"}, quiet: true, take: takeSecret},
		{rule: "keys and passwords of services", patterns: []string{
			"/etc/ssl/private/**", "/etc/pki/tls/private/**", "/etc/krb5.keytab", "/etc/wireguard/**", "/etc/ppp/*-secrets", "/etc/ipsec.secrets", "/etc/{ipsec.d,swanctl}/{private,rsa,ecdsa,pkcs8}/*",
			"/etc/{apt/auth.conf,apt/auth.conf.d/*,kubernetes/*.conf,rancher/*/*.yaml,msmtprc,fetchmailrc,ssmtp/ssmtp.conf}", "/etc/openvpn/**/*{auth,pass}*",
			"/etc/NetworkManager/system-connections/*", "/etc/wpa_supplicant/*.conf", "/etc/{postfix/sasl_passwd*,exim4/passwd.client,mysql/debian.cnf,rsyncd.secrets,ldap.secret,cifs-credentials}",
		}, quiet: true, take: takeSecret},
	}
}

func identityFiles() []definition {
	return []definition{
		{rule: "host identity", patterns: []string{
			"/etc/{os-release,hostname,machine-id,debian_version,redhat-release,lsb-release,issue,issue.net,adjtime}", "/usr/lib/os-release",
		}, quiet: true},
		// A link: its target names the zone, the target's content is the zone.
		{rule: "time zone", patterns: []string{"/etc/localtime", "/etc/timezone", "/etc/sysconfig/clock"}},
		{rule: "network configuration", patterns: []string{
			"/etc/{hosts,hosts.allow,hosts.deny,resolv.conf,nsswitch.conf,host.conf,gai.conf,networks,services,protocols,ethers}",
			"/etc/network/**", "/etc/netplan/*", "/etc/systemd/{network,resolved.conf.d}/**", "/etc/sysconfig/network*", "/etc/sysconfig/network-scripts/*",
			"/etc/{nftables.conf,iptables/*,sysconfig/ip*tables,ufw/**}", "/etc/firewalld/**", "/etc/{dhcp,dhcpcd.conf,dnsmasq.conf,dnsmasq.d/**}", "/etc/dhcp/**", "/etc/NetworkManager/{NetworkManager.conf,conf.d/*,dispatcher.d/**}",
		}, quiet: true},
		{rule: "file systems", patterns: []string{"/etc/{fstab,crypttab,mdadm.conf,mdadm/*,exports,auto.master,auto.*}", "/etc/lvm/backup/*"}, quiet: true},
		{rule: "accounts", patterns: []string{"/etc/{passwd,passwd-,group,group-,subuid,subgid,login.defs,shells,securetty}", "/etc/default/useradd", "/etc/skel/**", "/var/lib/AccountsService/users/*"}, quiet: true},
	}
}

func startedBySystem() []definition {
	return []definition{
		{rule: "systemd units", patterns: []string{
			"/{etc,run,usr/lib,lib,usr/local/lib}/systemd/{system,user}/**", "/{etc,run,usr/lib,lib,usr/local/lib}/systemd/{system,user}/*/*",
			"/{run,etc,usr/lib,lib,usr/local/lib}/systemd/{system.control,system.attached,user-environment-generators,system-environment-generators}/**",
			"/{run,etc,usr/lib,lib,usr/local/lib}/systemd/{system-generators,user-generators,system-shutdown,system-sleep,system-preset,user-preset}/**",
			"/run/systemd/{transient,generator,generator.early,generator.late}/**", "/run/user/*/systemd/{transient,generator,user}/**",
			"/usr/{share,local/share}/systemd/user/**", "/{root,home/*}/.config/systemd/user/**", "/{root,home/*}/.local/share/systemd/user/**", "/var/lib/systemd/linger/*", "/var/lib/systemd/timers/*",
			"/etc/systemd/*.conf", "/etc/systemd/*.conf.d/*",
		}},
		{rule: "temporary file and user rules of systemd", patterns: []string{"/{etc,run,usr/lib,usr/local/lib}/{tmpfiles.d,sysusers.d,binfmt.d,environment.d}/*"}},
		{rule: "cron and at", patterns: []string{
			"/etc/{crontab,anacrontab,cron.allow,cron.deny,at.allow,at.deny}", "/etc/cron.{d,hourly,daily,weekly,monthly,yearly}/**",
			"/var/spool/cron/**", "/var/at/tabs/*", "/var/spool/{at,atjobs,atspool}/**", "/var/spool/anacron/*", "/var/cron/**", "/etc/{fcron*,incron*}", "/etc/incron.d/*", "/var/spool/{fcron,incron}/**",
		}, quiet: true},
		{rule: "init scripts", patterns: []string{
			"/etc/{inittab,rc.local,rc.sysinit}", "/etc/rc.d/**", "/etc/init.d/**", "/etc/rc?.d/*", "/etc/init/**", "/etc/{default,conf.d,runlevels}/**", "/etc/local.d/*", "/etc/{rc,rc.conf,rc.shutdown}", "/etc/{sv,service,runit}/**", "/etc/s6/**", "/etc/supervisor*/**", "/etc/sysconfig/*",
		}, quiet: true},
		{rule: "boot configuration", patterns: []string{
			"/boot/grub*/{grub.cfg,custom.cfg,grubenv,user.cfg}", "/boot/efi/EFI/*/{grub.cfg,BOOT*.CSV}", "/boot/loader/{loader.conf,entries/*}", "/boot/config-*", "/boot/{cmdline.txt,config.txt,extlinux/extlinux.conf}",
			"/etc/default/grub", "/etc/default/grub.d/*", "/etc/grub.d/*", "/etc/kernel/**", "/etc/{initramfs-tools,dracut.conf.d,dracut.conf}", "/etc/initramfs-tools/**", "/etc/dracut.conf.d/*", "/usr/share/initramfs-tools/{hooks,scripts}/**", "/usr/lib/dracut/modules.d/*/module-setup.sh",
		}, quiet: true},
		{rule: "kernel modules and parameters", patterns: []string{
			"/etc/{modules,sysctl.conf}", "/{etc,run,usr/lib,usr/local/lib,lib}/{modules-load.d,modprobe.d,sysctl.d}/*", "/lib/modules/*/{updates,extra,weak-updates}/**", "/lib/modules/*/modules.{order,dep,softdep}", "/etc/{depmod.d,dkms}/*", "/{usr/lib,lib}/dracut/modules.d/*/*", "/var/lib/dkms/*/*/source/dkms.conf",
		}, quiet: true},
	}
}

func startedByEvents() []definition {
	return []definition{
		{rule: "dynamic loader", patterns: []string{"/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*", "/etc/ld.so.cache", "/etc/environment"}},
		{rule: "shell start files", patterns: []string{
			"/etc/{profile,bash.bashrc,bashrc,bash_completion,csh.cshrc,csh.login,csh.logout,zprofile,zshrc,zshenv,zlogin,inputrc,suid_profile,bash.bash_logout}",
			"/etc/profile.d/**", "/etc/{zsh,fish,bash_completion.d,csh}/**",
		}, quiet: true},
		{rule: "desktop autostart", patterns: []string{
			"/etc/xdg/{autostart,autostart-scripts,plasma-workspace}/**", "/usr/share/autostart/*", "/usr/share/upstart/sessions/*", "/etc/X11/{xinit,Xsession.d,Xsession,xorg.conf.d}/**", "/etc/X11/{Xsession,xinit/*}", "/usr/share/{xsessions,wayland-sessions}/*", "/etc/{lightdm,gdm3,sddm}/**", "/usr/share/gdm/greeter/autostart/*", "/etc/{xprofile,lxdm/**}",
		}, quiet: true},
		{rule: "udev rules", patterns: []string{"/{etc,run,usr/lib,lib}/udev/rules.d/*", "/etc/udev/*", "/etc/udev/hwdb.d/*"}},
		{rule: "dbus services", patterns: []string{"/etc/dbus-1/**", "/usr/share/dbus-1/{services,system-services,system.d,session.d}/*", "/usr/local/share/dbus-1/**"}},
		{rule: "messages of the day", patterns: []string{"/etc/update-motd.d/*", "/etc/motd", "/etc/motd.d/*", "/run/motd*", "/usr/lib/update-notifier/*"}, quiet: true},
		{rule: "package manager hooks", patterns: []string{
			"/etc/apt/{apt.conf,apt.conf.d/*,sources.list,sources.list.d/*,preferences,preferences.d/*,trusted.gpg,trusted.gpg.d/*,keyrings/*,auth.conf.d/*}",
			"/etc/dpkg/**", "/etc/{yum.conf,yum.repos.d/*,dnf/**}", "/etc/yum/**", "/usr/lib/{yum-plugins,python3*/site-packages/dnf-plugins}/*", "/etc/zypp/**", "/etc/pacman.conf", "/{etc/pacman.d,usr/share/libalpm}/hooks/*", "/etc/apk/**", "/etc/{needrestart,unattended-upgrades}/**",
		}, quiet: true},
		{rule: "package database", patterns: []string{
			"/var/lib/dpkg/{status,status-old,available,diversions,statoverride}", "/var/lib/dpkg/info/*.{md5sums,preinst,postinst,prerm,postrm,config,triggers}", "/var/lib/dpkg/status.d/*",
			"/var/lib/apt/extended_states", "/{var/lib,usr/lib/sysimage,usr/share}/rpm/{Packages,Packages.db,rpmdb.sqlite*}", "/lib/apk/db/installed", "/var/lib/pacman/local/*/desc", "/var/lib/snapd/state.json", "/var/lib/flatpak/{repo/config,.changed}",
		}, max: 512 << 20, quiet: true},
		{rule: "power, network and device hooks", patterns: []string{
			"/etc/{acpi,pm,apm,ppp,openvpn/scripts,if-up.d,wpa_supplicant/functions.sh}/**", "/{etc,usr/lib}/networkd-dispatcher/**", "/etc/{logrotate.conf,logrotate.d/*}", "/var/lib/logrotate/*status*", "/var/lib/logrotate.status", "/etc/usb_modeswitch.d/*", "/etc/{inetd.conf,xinetd.conf,inetd.d/*,xinetd.d/*}",
		}, quiet: true},
		{rule: "git hooks of servers", patterns: []string{
			"/{srv,opt,var,var/lib}/{git,*.git,*/*.git,git/*/*.git}/hooks/{*[!e],*update,*-receive}", "/var/opt/gitlab/git-data/repositories/**/custom_hooks/**",
		}, max: 1 << 20, quiet: true},
		{rule: "alternatives", patterns: []string{"/etc/alternatives/*"}, asLinks: true},
		{rule: "interpreter start files", patterns: []string{
			"/usr/{lib,local/lib}/python*/{site-packages,dist-packages}/{*.pth,sitecustomize.py,usercustomize.py}", "/usr/lib/python*/{sitecustomize,usercustomize}.py", "/etc/python*/*", "/etc/perl/**", "/etc/{vim,nanorc,emacs}/**", "/etc/vim/*", "/etc/php/**/*.ini", "/etc/php.ini", "/etc/php.d/*", "/etc/gitconfig", "/usr/share/git-core/templates/hooks/*",
		}, quiet: true},
	}
}

func accessControl() []definition {
	return []definition{
		{rule: "PAM", patterns: []string{"/etc/pam.conf", "/etc/pam.d/*", "/usr/lib/pam.d/*", "/etc/security/**", "/etc/authselect/**", "/usr/share/pam-configs/*"}, quiet: true, take: takeUnlessSecret},
		{rule: "PAM and NSS modules", patterns: []string{
			"/{lib,usr/lib,lib64,usr/lib64}/{security,*/security}/pam_*.so", "/{lib,usr/lib,lib64,usr/lib64}/libnss_*.so*", "/usr/lib/*/libnss_*.so*",
		}},
		{rule: "sudo and polkit", patterns: []string{"/etc/sudoers", "/etc/{sudoers.d,doas.d}/*", "/etc/{sudo.conf,sudo_logsrvd.conf,doas.conf}", "/etc/polkit-1/**", "/usr/share/polkit-1/{rules.d,actions}/*", "/usr/lib/polkit-1/**", "/var/lib/polkit-1/**", "/usr/local/share/polkit-1/**"}, quiet: true},
		{rule: "ssh server and client", patterns: []string{"/etc/ssh/**", "/usr/{share,lib,etc}/ssh/**", "/etc/default/ssh", "/etc/dropbear/*", "/usr/local/etc/ssh*/**"}, quiet: true, take: takeUnlessSecret},
		{rule: "audit and security modules", patterns: []string{
			"/etc/audit/**", "/etc/audisp/**", "/etc/apparmor/**", "/etc/apparmor.d/**", "/etc/selinux/{config,semanage.conf}", "/etc/selinux/*/{seusers,setrans.conf,contexts/users/*}", "/etc/fapolicyd/**", "/etc/{fail2ban,crowdsec,ossec,aide,rkhunter.conf*,tripwire}/**", "/etc/rkhunter.conf*", "/etc/{ima,evm}/*", "/etc/usbguard/*",
		}, quiet: true},
		{rule: "trusted certificates", patterns: []string{"/usr/local/share/ca-certificates/**", "/etc/pki/ca-trust/source/**", "/etc/ca-certificates.conf", "/etc/ssl/openssl.cnf"}, quiet: true},
		{rule: "directory services", patterns: []string{"/etc/{krb5.conf,krb5.conf.d/*,ldap.conf,ldap/ldap.conf,nslcd.conf,sssd/**}", "/etc/samba/{smb.conf,lmhosts}"}, quiet: true, take: takeUnlessSecret},
	}
}

func serviceConfiguration() []definition {
	return []definition{
		{rule: "logging configuration", patterns: []string{"/etc/{rsyslog.conf,syslog.conf,syslog-ng/**,rsyslog.d/*}", "/etc/systemd/journald.conf"}, quiet: true},
		{rule: "web server configuration", patterns: []string{
			"/etc/{nginx,apache2,httpd,caddy,lighttpd,haproxy,tomcat*,squid,varnish}/**", "/usr/local/{nginx,apache2}/conf/**", "/var/www/**/.htaccess", "/var/www/**/.user.ini",
		}, quiet: true, take: takeUnlessSecret},
		{rule: "database and mail configuration", patterns: []string{"/etc/{my.cnf,mysql/**,postgresql/**,redis/*,mongod.conf}", "/etc/{postfix,exim4,dovecot}/**", "/etc/{aliases,mailname}"}, quiet: true, take: takeUnlessSecret},
		{rule: "container configuration", patterns: []string{"/etc/{docker,containerd,containers,crio,cni,kubernetes/manifests}/**", "/var/lib/docker/{image/*/repositories.json,network/files/*}", "/var/lib/kubelet/config.yaml", "/etc/{lxc,lxd}/**"}, quiet: true, take: takeUnlessSecret},
		{rule: "cloud instance data", patterns: []string{"/etc/cloud/**", "/var/lib/cloud/{instance,data}/*", "/var/lib/cloud/instances/*/{user-data.txt,scripts/*,vendor-data.txt,datasource}"}, quiet: true, take: takeUnlessSecret},
		{rule: "other configuration", patterns: []string{"/etc/**", "/usr/local/etc/**"}, rest: true, max: maxOtherConfiguration, take: takeUnlessSecret},
		{rule: "file transfer and remote access", patterns: []string{"/etc/{vsftpd*,proftpd/**,rsyncd.conf,exports.d/*}", "/etc/vsftpd/*", "/etc/{xrdp,x11vnc,tigervnc,cockpit}/**", "/etc/{anydesk,teamviewer,rustdesk}/*.conf"}, quiet: true, take: takeUnlessSecret},
	}
}

// placedPrograms are where programs and scripts lie that no package brought.
// The walk hashes all that can run; these are worth having whole.
func placedPrograms() []definition {
	const most, all = 20 << 20, 256 << 20
	return []definition{
		// RPM systems keep thousands of links below /usr/lib/.build-id.
		{rule: "hidden files among programs", patterns: []string{
			"/{usr,boot}/**/{.[!b]*,.b,.b[!u]*}", "/{usr,boot}/**/{.[!b]*,.b,.b[!u]*}/**", "/dev/**/.*", "/dev/.*/**",
		}, max: most, total: all, asLinks: true},
		{rule: "locally installed programs", patterns: []string{"/usr/local/{bin,sbin,lib,libexec}/*", "/opt/*", "/opt/*/{bin,sbin}/*"}, max: most, total: all, asLinks: true},
		{rule: "web root scripts", patterns: []string{
			"/{var/www,srv/www,srv/http,usr/share/nginx,usr/local/apache2/htdocs}/**/*.{php,php?,phtml,phar,inc,jsp,jspx,war,asp,aspx,ashx,cgi,pl,py,rb,sh}",
			"/home/*/public_html/**/*.{php,php?,phtml,phar,cgi,pl,py,sh}", "/{opt,var/lib,usr/share}/tomcat*/webapps/**/*.{jsp,jspx,war}",
		}, max: 2 << 20, total: all, quiet: true, asLinks: true},
	}
}
