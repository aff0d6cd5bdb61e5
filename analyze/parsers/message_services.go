package parsers

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// serviceMessages says what the messages mean that the programs of one service
// write to syslog and the journal. In each of the lists the first rule that
// fits applies.
type serviceMessages struct {
	dataType string
	programs []string
	lists    []*ruleSet
	special  func(*lineValues, *timeline.Event, []byte) bool // instead of lists
}

func messages(dataType string, programs []string, lists ...[]lineRule) *serviceMessages {
	m := &serviceMessages{dataType: dataType, programs: programs}
	for _, list := range lists {
		m.lists = append(m.lists, &ruleSet{list: list})
	}
	return m
}

// Data types of the messages of services.
const (
	mailMessage     = "syslog:mail"
	ftpMessage      = "syslog:ftp"
	dnsMessage      = "syslog:dns"
	webMessage      = "syslog:web"
	databaseMessage = "syslog:database"
	sambaMessage    = "syslog:samba"
	fail2banMessage = "syslog:fail2ban"
	snoopyMessage   = "syslog:snoopy"
	vpnMessage      = "syslog:vpn"
	firewallMessage = "syslog:firewall"
	kernelMessage   = "syslog:kernel" // of package authmsg, too
)

var serviceTypes = []string{
	mailMessage, ftpMessage, dnsMessage, webMessage, databaseMessage, sambaMessage, fail2banMessage, snoopyMessage, sysmonMessage,
	vpnMessage, firewallMessage,
}

// servicesByProgram has every service under the names of its programs, without
// directories.
var servicesByProgram = func() map[string]*serviceMessages {
	by := map[string]*serviceMessages{}
	for _, m := range [...]*serviceMessages{
		postfixMessages, dovecotMessages, sendmailMessages, eximMessages, cyrusMessages, courierMessages,
		proftpdMessages, pureftpdMessages, vsftpdMessages, wuftpdMessages,
		namedMessages, haproxyMessages, mysqlMessages, sambaMessages, fail2banMessages, snoopyMessages, netfilterMessages, sysmonMessages,
		openvpnMessages, filterlogMessages, webLoginMessages,
	} {
		for _, program := range m.programs {
			by[program] = m
		}
	}
	return by
}()

// serviceOf returns the service that a program belongs to, nil for others.
// Postfix and Cyrus put the instance in front of the program, with a slash.
func serviceOf(program []byte) *serviceMessages {
	if bytes.HasPrefix(program, []byte("postfix")) && bytes.IndexByte(program, '/') > 0 {
		return postfixMessages
	}
	if bytes.HasPrefix(program, []byte("ovpn-")) {
		return openvpnMessages // ovpn-INSTANCE, as Debian's service names it
	}
	if i := bytes.LastIndexByte(program, '/'); i >= 0 {
		program = program[i+1:]
	}
	return servicesByProgram[string(program)]
}

// read puts what a message states into the open event and reports whether it
// has a known form.
func (m *serviceMessages) read(ev *timeline.Event, w *lineValues, host *analyze.Host, message []byte) bool {
	known := m.special != nil && m.special(w, ev, message)
	for _, list := range m.lists {
		known = w.apply(ev, list.rules(), message) || known
	}
	if known && ev.User == "" && ev.UID != timeline.None {
		ev.User = w.out.Str(userName(host, ev.UID))
	}
	return known
}

// netfilterMessages are the packets that rules of iptables, nftables, ufw and
// firewalld have the kernel log. The text in front is chosen by who made the
// rule and tells by custom what became of the packet.
//
// Format: Linux, net/ipv4/netfilter/nf_log_ipv4.c, nf_log_syslog.c.
var netfilterMessages = messages(kernelMessage, []string{"kernel"}, []lineRule{
	{pattern: "{log_prefix}IN={in_interface} OUT={out_interface} {_}SRC={src_ip:addr} DST={dst_ip:addr} {_}PROTO={protocol:word} SPT={src_port:int} DPT={dst_port:int}{_}", action: "packet-logged", category: "network"},
	{pattern: "{log_prefix}IN={in_interface} OUT={out_interface} {_}SRC={src_ip:addr} DST={dst_ip:addr} {_}PROTO={protocol} {_}", action: "packet-logged", category: "network"},
}, []lineRule{
	{in: "log_prefix", pattern: "{_}BLOCK{_}", action: "connection-blocked", outcome: "failure"},
	{in: "log_prefix", pattern: "{_}DROP{_}", action: "connection-blocked", outcome: "failure"},
	{in: "log_prefix", pattern: "{_}REJECT{_}", action: "connection-blocked", outcome: "failure"},
	{in: "log_prefix", pattern: "{_}DENY{_}", action: "connection-blocked", outcome: "failure"},
	{in: "log_prefix", pattern: "{_}ALLOW{_}", action: "connection-allowed", outcome: "success"},
	{in: "log_prefix", pattern: "{_}ACCEPT{_}", action: "connection-allowed", outcome: "success"},
})

// snoopyMessages are the commands that Snoopy logs. A directory or a command
// may imitate the parts around it: then nothing is taken from the message.
//
// Format: Snoopy, etc/snoopy.ini, message_format, versions 2.4 and 2.5.
var snoopyMessages = messages(snoopyMessage, []string{"snoopy"}, []lineRule{
	{pattern: "[uid:{uid:int} sid:{terminal_session:int} tty:{tty} cwd:{cwd} filename:{exe}]: {cmdline}", action: "process-started", category: "process", once: []string{" filename:"}},
	{pattern: "[login:{login} ssh:({ssh}) sid:{terminal_session:int} tty:{tty} ({tty_owner}) uid:{user}({uid:int})/{effective_user}({effective_uid:int}) cwd:{cwd}]: {cmdline}", action: "process-started", category: "process", once: []string{" cwd:"}},
})

// namedMessages are those of BIND.
//
// Format: BIND 9 administrator reference manual, "logging"; lib/ns/client.c.
var namedMessages = messages(dnsMessage, []string{"named"}, namedPeers, namedRules)

var namedPeers = []lineRule{
	{pattern: "{?{ }}client {?@{_:word} }{src_ip:addr}#{src_port:int}{_}"},
	{pattern: "{_:=security|queries|query-errors|xfer-in|xfer-out|update-security|general}: {?{severity:=info|warning|error|notice}: }client {?@{_:word} }{src_ip:addr}#{src_port:int}{_}"},
	{pattern: "{?error: }client {?@{_:word} }{src_ip:addr}#{src_port:int}{_}"},
	{pattern: "{?info: }client {?@{_:word} }{src_ip:addr}#{src_port:int}{_}"},
}

var namedRules = []lineRule{
	{pattern: "{_}: query: {domain:word} {class:word} {record_type:word} {_}", action: "dns-query", category: "network"},
	{pattern: "{_}: query '{domain}/{record_type}/{_:word}' denied{_}", action: "dns-query", category: "network", outcome: "failure"},
	{pattern: "{_}: query (cache) '{domain}/{record_type}/{_:word}' denied{_}", action: "dns-query", category: "network", outcome: "failure"},
	{pattern: "{_}: zone transfer '{domain}/{record_type}/{_:word}' denied{_}", action: "zone-transfer", category: "network", outcome: "failure"},
	{pattern: "{_}: bad zone transfer request: '{domain}/{_:word}': {reason}", action: "zone-transfer", category: "network", outcome: "failure"},
	{pattern: "{_}: transfer of '{domain}/{_:word}': {reason}", action: "zone-transfer", category: "network"},
	{pattern: "{_}: update '{domain}/{_:word}' denied", action: "zone-update", category: "network", outcome: "failure"},
}

// haproxyMessages are HAProxy's log lines in its HTTP format, and of
// connections.
//
// Format: HAProxy configuration manual, 8.2 "Log formats".
var haproxyMessages = messages(webMessage, []string{"haproxy"}, []lineRule{
	{pattern: "{src_ip:addrport} [{accepted}] {frontend:word} {server:word} {timers:word} {event_code:int} {size:int} {_}\"{method:word} {url:last} {protocol:word}\"", action: "http-request", category: "web"},
	{pattern: "{src_ip:addrport} [{accepted}] {frontend:word} {server:word} {timers:word} {event_code:int} {size:int} {_}\"{request}\"", action: "http-request", category: "web"},
	{pattern: "{src_ip:addrport} [{accepted}] {frontend:word} {server:word} {timers:word} {size:int} {_}", action: "connection-closed", category: "network"},
	{pattern: "Connect from {src_ip:addrport} to {dst_ip:addrport} ({_}", action: "connection-opened", category: "network"},
}, []lineRule{
	{in: "event_code", pattern: "{_:=1|2|3}{_}", outcome: "success"},
	{in: "event_code", pattern: "{_:=4|5}{_}", outcome: "failure"},
})

// mysqlMessages are those that MySQL writes to its error log, in syslog with
// their own time in front.
var mysqlMessages = messages(databaseMessage, []string{"mysqld", "mariadbd"}, []lineRule{
	{pattern: "{_}Access denied for user '{user}'@'{src_ip:last}' (using password: {using_password:word}){_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{_}: ready for connections{_}", action: "service-started", category: "process"},
	{pattern: "{_}: Shutdown complete{_}", action: "service-stopped", category: "process"},
})

// fail2banMessages are those of Fail2ban.
//
// Format: fail2ban, server/actions.py and filter.py.
var fail2banMessages = messages(fail2banMessage, []string{"fail2ban.actions", "fail2ban.filter", "fail2ban.server", "fail2ban-server", "fail2ban.jail"}, fail2banRules)

// fail2banRules also read the message of its own log. They take the level that
// may stand in front for granted.
var fail2banRules = []lineRule{
	{pattern: "{?NOTICE{ }}{?WARNING{ }}[{jail}] {?Restore }{_:=Ban|already banned,} {src_ip:addr}", action: "address-banned", category: "intrusion_detection"},
	{pattern: "{?NOTICE{ }}{?WARNING{ }}[{jail}] Unban {src_ip:addr}", action: "address-unbanned", category: "intrusion_detection"},
	{pattern: "{?NOTICE{ }}{?WARNING{ }}[{jail}] {src_ip:addr} already banned", action: "address-banned", category: "intrusion_detection"},
	{pattern: "{?INFO{ }}[{jail}] Found {src_ip:addr} - {found_time}", action: "failure-found", category: "intrusion_detection"},
	{pattern: "{?INFO{ }}[{jail}] Found {src_ip:addr}", action: "failure-found", category: "intrusion_detection"},
	{pattern: "{?INFO{ }}Jail '{jail}' started", action: "jail-started", category: "configuration"},
	{pattern: "{?INFO{ }}Jail '{jail}' stopped", action: "jail-stopped", category: "configuration"},
	{pattern: "{?INFO{ }}Jail {jail:word} is not a {_}"},
	{pattern: "{?INFO{ }}Starting Fail2ban v{version:word}{_}", action: "service-started", category: "process"},
	{pattern: "{?INFO{ }}Exiting Fail2ban", action: "service-stopped", category: "process"},
}

// sambaMessages are those of Samba's audit module, whose fields are divided by
// bars: user and address, or with client and share as the manual's examples
// have them.
//
// Format: vfs_full_audit(8).
var sambaMessages = messages(sambaMessage, []string{"smbd_audit", "smbd"}, []lineRule{
	{pattern: "{user}|{src_ip:addr}|{client}|{share}|{operation:word}|{result:=ok|fail}{_}|{file}", action: "file-access", category: "file"},
	{pattern: "{user}|{src_ip:addr}|{operation:word}|{result:=ok|fail}{_}|{file}", action: "file-access", category: "file"},
	{pattern: "{user}|{src_ip:addr}|{operation:word}|{result:=ok|fail}{_}", action: "file-access", category: "file"},
}, []lineRule{
	{in: "result", pattern: "ok", outcome: "success"},
	{in: "result", pattern: "fail", outcome: "failure"},
}, []lineRule{
	{in: "operation", pattern: "{_:=unlink|unlinkat|rmdir}", action: "file-deleted"},
	{in: "operation", pattern: "{_:=rename|renameat}", action: "file-renamed"},
	{in: "operation", pattern: "{_:=mkdir|mkdirat}", action: "directory-created"},
	{in: "operation", pattern: "{_:=pwrite|pwrite_send|pwrite_recv|write}", action: "file-written"},
	{in: "operation", pattern: "{_:=connect}", action: "share-connected", category: "network"},
	{in: "operation", pattern: "{_:=disconnect}", action: "share-disconnected", category: "network"},
})

// openvpnMessages are those of OpenVPN in syslog.
var openvpnMessages = messages(vpnMessage, []string{"openvpn"}, openvpnRules, openvpnSessions)

// filterlogMessages are the packets that pfSense and OPNsense log.
//
// Format: Netgate documentation, "Raw Filter Log Format".
var filterlogMessages = messages(firewallMessage, []string{"filterlog"}, []lineRule{
	{pattern: filterlogHead + ",4,{_},{_},{_},{_},{_},{_},{_},{protocol:=tcp|udp},{_},{src_ip},{dst_ip},{src_port:int},{dst_port:int},{_}"},
	{pattern: filterlogHead + ",4,{_},{_},{_},{_},{_},{_},{_},{protocol},{_},{src_ip},{dst_ip},{_}"},
	{pattern: filterlogHead + ",6,{_},{_},{_},{protocol:=tcp|udp|TCP|UDP},{_},{_},{src_ip},{dst_ip},{src_port:int},{dst_port:int},{_}"},
	{pattern: filterlogHead + ",6,{_},{_},{_},{protocol},{_},{_},{src_ip},{dst_ip},{_}"},
}, []lineRule{
	{in: "verdict", pattern: "{_:=block|reject}", action: "connection-blocked", category: "network", outcome: "failure"},
	{in: "verdict", pattern: "pass", action: "connection-allowed", category: "network", outcome: "success"},
	{in: "verdict", pattern: "{_}", action: "packet-logged", category: "network"},
})

const filterlogHead = "{rule},{_},{_},{tracker},{in_interface},{reason},{verdict},{direction:=in|out}"

// webLoginMessages are the logins to web applications for administration and
// mail: Proxmox, Webmin, Roundcube.
//
// Format: Proxmox VE, PVE/API2/AccessControl.pm; Webmin, miniserv.pl;
// Roundcube, rcube_imap.php, which writes the client's word for the account in
// front of the address: where " from " stands twice, the address is not taken.
var webLoginMessages = messages(webMessage, []string{"pvedaemon", "pveproxy", "webmin", "roundcube"}, []lineRule{
	{pattern: "authentication failure; rhost={src_ip} user={user} msg={reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "<{_}> successful auth for user '{user:last}'", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "Invalid login as {user:last} from {src_ip:addr}{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "Non-existent login as {user:last} from {src_ip:addr}{_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "Successful login as {user:last} from {src_ip:addr}{_}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "IMAP Error: Login failed for {user} from {src_ip}. {reason}", action: "user-login", category: "authentication", outcome: "failure", once: []string{" from "}},
	{pattern: "IMAP Error: Login failed for {user} from {src_ip:addr}", action: "user-login", category: "authentication", outcome: "failure", once: []string{" from "}},
})
