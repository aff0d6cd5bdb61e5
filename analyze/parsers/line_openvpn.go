package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// openvpnLog reads logs that OpenVPN writes to a file. Times are local without
// zone.
//
// Format: OpenVPN, src/openvpn/error.c, ssl.c, ssl_verify.c, multi.c.
var openvpnLog = register(analyze.Parser{
	Name:    "openvpn_log",
	Doc:     "logs of OpenVPN",
	Version: 1,
	Family:  "text",
	Types:   []string{"openvpn:log:entry"},
	Match:   openvpnMap.matches,
	Parse:   openvpnMap.parse,
})

var openvpnMap = &lineMap{
	dataType: "openvpn:log:entry", short: "LOG", source: "OpenVPN log", byRules: true, share: 4,
	forms: []lineForm{
		{pattern: "{time} {message}"},
	},
	rules: [][]lineRule{openvpnRules, openvpnSessions},
}

const openvpnPeer = "{?us={_:int} }{src_ip:addrport} "

var openvpnRules = []lineRule{
	{pattern: "OpenVPN {version:word} {platform:word} {_}", action: "service-starting", category: "process"},
	{pattern: "Initialization Sequence Completed", action: "service-started", category: "process"},
	{pattern: "TCP connection established with [{_:=AF_INET|AF_INET6}]{src_ip:addrport}", action: "connection-opened", category: "network"},
	{pattern: openvpnPeer + "TCP connection established with {_}", action: "connection-opened", category: "network"},
	{pattern: openvpnPeer + "TLS: Initial packet from {_}", action: "connection-opened", category: "network"},
	{pattern: openvpnPeer + "[UNDEF] Peer Connection Initiated with {_}", action: "connection-opened", category: "network"},
	{pattern: openvpnPeer + "[{user}] Peer Connection Initiated with {_}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: openvpnPeer + "TLS: Username/Password authentication succeeded for username '{user:last}'{_}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: openvpnPeer + "TLS Auth Error: {reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: openvpnPeer + "TLS Error: {reason}", action: "handshake-failed", category: "network", outcome: "failure"},
	{pattern: openvpnPeer + "VERIFY ERROR: {reason}", action: "certificate-refused", category: "authentication", outcome: "failure"},
	{pattern: openvpnPeer + "VERIFY OK: {certificate}", action: "certificate-accepted", category: "authentication", outcome: "success"},
	{pattern: openvpnPeer + "WARNING: Bad encapsulated packet length {_}", action: "protocol-violated", category: "network"},
	{pattern: openvpnPeer + "Connection reset, restarting {_}", action: "connection-closed", category: "network"},
	{pattern: openvpnPeer + "SIGUSR1[{reason}] received, {_}", action: "connection-closed", category: "network"},
	{pattern: "TLS Error: {reason:last} from [{_:=AF_INET|AF_INET6}]{src_ip:addrport}", action: "handshake-failed", category: "network", outcome: "failure"},
	{pattern: "{user:word}/{src_ip:addrport} MULTI: primary virtual IP for {_}: {assigned_ip:addr}", action: "address-assigned", category: "network"},
	{pattern: "{user:word}/{src_ip:addrport} SIGTERM[{reason}] received, {_}", action: "session-ended", category: "session"},
	{pattern: "{user:word}/{src_ip:addrport} SIGUSR1[{reason}] received, {_}", action: "session-ended", category: "session"},
}

// openvpnSessions read whose session a message is about that means nothing
// else. Alone they say too little to recognise a log.
var openvpnSessions = []lineRule{
	{pattern: "{user:word}/{src_ip:addrport} {_}"},
}
