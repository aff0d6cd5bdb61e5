package pcapfilter

// protocolNames are the protocols that stand alone or qualify a value.
var protocolNames = []string{
	"ether", "link", "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6",
	"igmp", "igrp", "pim", "vrrp", "carp", "ah", "esp",
}

// refused are the words of pcap-filter(7) that are left out, with the reason.
var refused = map[string]string{
	"gateway":    "a gateway's name has to be looked up, and names are not",
	"protochain": "following header chains is not supported",
	"fddi":       "only Ethernet frames are understood",
	"tr":         "only Ethernet frames are understood",
	"wlan":       "only Ethernet frames are understood",
	"ppp":        "only Ethernet frames are understood",
	"slip":       "only Ethernet frames are understood",
	"atalk":      "frames of IEEE 802.2 are not understood",
	"aarp":       "frames of IEEE 802.2 are not understood",
	"decnet":     "DECnet is not understood",
	"lat":        "write ether proto and its number",
	"sca":        "write ether proto and its number",
	"moprc":      "write ether proto and its number",
	"mopdl":      "write ether proto and its number",
	"iso":        "frames of IEEE 802.2 are not understood",
	"esis":       "frames of IEEE 802.2 are not understood",
	"isis":       "frames of IEEE 802.2 are not understood",
	"clnp":       "frames of IEEE 802.2 are not understood",
	"stp":        "frames of IEEE 802.2 are not understood",
	"ipx":        "frames of IEEE 802.2 are not understood",
	"netbeui":    "frames of IEEE 802.2 are not understood",
	"llc":        "frames of IEEE 802.2 are not understood",
	"mpls":       "headers behind MPLS labels are not understood",
	"pppoed":     "write ether proto 0x8863",
	"pppoes":     "headers behind PPPoE are not understood",
	"geneve":     "headers inside a tunnel are not understood",
	"vxlan":      "headers inside a tunnel are not understood",
	"lane":       "ATM is not understood", "metac": "ATM is not understood", "bcc": "ATM is not understood",
	"oam": "ATM is not understood", "oamf4": "ATM is not understood", "vpi": "ATM is not understood", "vci": "ATM is not understood",
	"ifname": "write ifindex and its number, or --interface", "on": "write ifindex and its number, or --interface",
	"byte": "write ether[N] and a comparison",
}

// keywords are never values.
var keywords = keywordSet()

func keywordSet() map[string]bool {
	set := map[string]bool{}
	for _, list := range [][]string{protocolNames, {
		"src", "dst", "host", "net", "port", "portrange", "proto", "and", "or", "not", "mask", "len",
		"less", "greater", "broadcast", "multicast", "inbound", "outbound", "ifindex", "vlan",
	}} {
		for _, w := range list {
			set[w] = true
		}
	}
	for w := range refused {
		set[w] = true
	}
	return set
}

// Protocol numbers (iana.org/assignments/protocol-numbers).
var protocolNumbers = map[string]uint32{
	"icmp": 1, "igmp": 2, "tcp": 6, "igrp": 9, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
	"icmp6": 58, "ipv6-icmp": 58, "ospf": 89, "pim": 103, "vrrp": 112, "carp": 112, "sctp": 132,
}

// EtherTypes (iana.org/assignments/ieee-802-numbers).
var etherTypes = map[string]uint32{
	"ip": 0x0800, "arp": 0x0806, "rarp": 0x8035, "ip6": 0x86dd, "loopback": 0x9000,
}

// portNames stand for the numbers of iana.org/assignments/service-names-port-numbers,
// with whatever transport the filter says.
var portNames = map[string]uint32{
	"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "bootps": 67, "bootpc": 68,
	"tftp": 69, "http": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "epmap": 135, "netbios-ns": 137,
	"netbios-dgm": 138, "netbios-ssn": 139, "imap": 143, "imap2": 143, "snmp": 161, "snmptrap": 162, "bgp": 179,
	"irc": 194, "ldap": 389, "https": 443, "microsoft-ds": 445, "isakmp": 500, "syslog": 514, "submission": 587,
	"ipp": 631, "ldaps": 636, "domain-s": 853, "rsync": 873, "imaps": 993, "pop3s": 995, "socks": 1080,
	"openvpn": 1194, "ms-sql-s": 1433, "mysql": 3306, "ms-wbt-server": 3389, "postgresql": 5432, "mdns": 5353, "http-alt": 8080,
}

// constants are the names for offsets and values of pcap-filter(7).
var constants = map[string]uint32{
	"icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1, "tcpflags": 13,

	"tcp-fin": 0x01, "tcp-syn": 0x02, "tcp-rst": 0x04, "tcp-push": 0x08, "tcp-ack": 0x10, "tcp-urg": 0x20,
	"tcp-ece": 0x40, "tcp-cwr": 0x80,

	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
	"icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12,
	"icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16,
	"icmp-maskreq": 17, "icmp-maskreply": 18,

	"icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
	"icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
	"icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132,
	"icmp6-routersolicit": 133, "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135,
	"icmp6-neighboradvert": 136, "icmp6-redirect": 137, "icmp6-routerrenum": 138,
	"icmp6-nodeinformationquery": 139, "icmp6-nodeinformationresponse": 140,
	"icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
	"icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144,
	"icmp6-homeagentdiscoveryreply": 145, "icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147,
	"icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149, "icmp6-multicastrouteradvert": 151,
	"icmp6-multicastroutersolicit": 152, "icmp6-multicastroutertermination": 153,
}
