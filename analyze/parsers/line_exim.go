package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// eximLog reads Exim's mainlog and rejectlog; in the latter the headers of the
// refused mail are part of the record. Times without a zone are local. What a
// client calls itself may imitate the peer that Exim writes behind it: where
// it does, the address is not taken.
//
// Format: Exim specification, "Log files".
var eximLog = register(analyze.Parser{
	Name:    "exim_log",
	Doc:     "main and reject logs of Exim",
	Version: 2,
	Family:  "text",
	Types:   []string{"exim:log:entry"},
	Match:   eximMap.matches,
	Parse:   eximMap.parse,
})

var eximMap = &lineMap{
	dataType: "exim:log:entry", short: "LOG", source: "Exim log", joins: true, byRules: true, share: 20,
	forms: []lineForm{
		{pattern: "{time} [{pid:int}] {message}"},
		{pattern: "{time} {message}"},
	},
	rules: [][]lineRule{eximRules, eximDetails},
}

var eximRules = []lineRule{
	{pattern: "{queue_id:dashed} <= {sender:word} {_}", action: "mail-accepted", category: "email"},
	{pattern: "{queue_id:dashed} {_:==>|->|>>|*>} {recipient:word} {_}", action: "mail-delivered", category: "email", outcome: "success"},
	{pattern: "{queue_id:dashed} ** {recipient:word} {_}", action: "mail-delivered", category: "email", outcome: "failure"},
	{pattern: "{queue_id:dashed} == {recipient:word} {_}", action: "mail-deferred", category: "email", outcome: "failure"},
	{pattern: "{queue_id:dashed} Completed{_}", action: "mail-completed", category: "email"},
	{pattern: "{authenticator:word} authenticator failed for {client} [{src_ip}]{?:{src_port:int}}{_}: 535 {_}(set_id={user:last}){_}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{authenticator:word} authenticator failed for {client} [{src_ip}]{?:{src_port:int}}{_}: {reason}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "no host name found for IP address {src_ip:addr}", action: "name-not-resolved", category: "network"},
	{pattern: "no IP address found for host {domain:word} (during SMTP connection from [{src_ip}]{_}", action: "name-not-resolved", category: "network"},
	{pattern: "no IP address found for host {domain:word} (during SMTP connection from {client} [{src_ip}]{_}", action: "name-not-resolved", category: "network"},
	{pattern: "SMTP call from [{src_ip}]{?:{src_port:int}}{_} dropped: {reason}", action: "connection-dropped", category: "network", outcome: "failure"},
	{pattern: "SMTP call from {client} [{src_ip}]{?:{src_port:int}}{_} dropped: {reason}", action: "connection-dropped", category: "network", outcome: "failure"},
	{pattern: "no MAIL in SMTP connection from [{src_ip}]{?:{src_port:int}}{_}", action: "connection-closed", category: "network"},
	{pattern: "no MAIL in SMTP connection from {client} [{src_ip}]{?:{src_port:int}}{_}", action: "connection-closed", category: "network"},
	{pattern: "SMTP connection from [{src_ip}]{?:{src_port:int}}{_}", action: "connection-closed", category: "network"},
	{pattern: "SMTP connection from {client} [{src_ip}]{?:{src_port:int}}{_}", action: "connection-closed", category: "network"},
	{pattern: "{queue_id:dashed} SMTP connection from [{src_ip}]{?:{src_port:int}}{_}", action: "connection-closed", category: "network"},
	{pattern: "{queue_id:dashed} SMTP connection from {client} [{src_ip}]{?:{src_port:int}}{_}", action: "connection-closed", category: "network"},
	{pattern: "SMTP protocol error in {_:last} H=({helo:word}) [{src_ip}]{?:{src_port:int}}{_}", action: "protocol-violated", category: "network"},
	{pattern: "SMTP protocol error in {_:last} H={client:word} ({helo:word}) [{src_ip}]{?:{src_port:int}}{_}", action: "protocol-violated", category: "network"},
	{pattern: "SMTP protocol synchronization error {_}", action: "protocol-violated", category: "network"},
	{pattern: "H={_} rejected {command:word}{_}", action: "mail-rejected", category: "email", outcome: "failure"},
	{pattern: "H={_} sender verify fail for <{sender}>{_}", action: "mail-rejected", category: "email", outcome: "failure"},
	{pattern: "H={_} dropped by {reason}", action: "connection-dropped", category: "network", outcome: "failure"},
	{pattern: "{queue_id:dashed} {_:=F=|H=}{_} rejected {reason}", action: "mail-rejected", category: "email", outcome: "failure"},
	{pattern: "{queue_id:dashed} SA: Action: {verdict}: {_:last}(host=[{src_ip}]){_}", action: "mail-classified", category: "email"},
	{pattern: "{queue_id:dashed} SA: Action: {verdict}: {_:last}(host={client} [{src_ip}]){_}", action: "mail-classified", category: "email"},
	{pattern: "exim {version:word} daemon started: pid={target_pid:int}{_}", action: "service-started", category: "process"},
	{pattern: "Start queue run: pid={target_pid:int}{_}"},
	{pattern: "End queue run: pid={target_pid:int}{_}"},
}

// eximDetails read the peer: H=NAME (HELO) [ADDRESS]:PORT.
var eximDetails = []lineRule{
	{pattern: "SMTP protocol error {_}"}, // read before
	{pattern: "{_:word} {_:==>|->|>>|*>|**|==} {_}H={relay:word} [{dst_ip}]{?:{dst_port:int}}{_}", once: []string{"H="}},
	{pattern: "{_:word} {_:==>|->|>>|*>|**|==} {_}"},
	{pattern: "{_}H=({helo:word}) [{src_ip}]{?:{src_port:int}}{_}", once: []string{"H="}},
	{pattern: "{_}H={client:word} ({helo:word}) [{src_ip}]{?:{src_port:int}}{_}", once: []string{"H="}},
	{pattern: "{_}H={client:word} [{src_ip}]{?:{src_port:int}}{_}", once: []string{"H="}},
	{pattern: "{_}H=[{src_ip}]{?:{src_port:int}}{_}", once: []string{"H="}},
}
