package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// asteriskLog reads the logs of Asterisk: messages, full and security. Times
// are local without zone, by default without a year too.
//
// Format: Asterisk, main/logger.c, logger.conf dateformat;
// main/security_events.c. What a caller names itself stands before the address.
var asteriskLog = register(analyze.Parser{
	Name:    "asterisk_log",
	Doc:     "logs of Asterisk",
	Version: 2,
	Family:  "text",
	Types:   []string{"asterisk:log:entry"},
	Match:   asteriskMap.matches,
	Parse:   asteriskMap.parse,
})

var asteriskMap = &lineMap{
	dataType: "asterisk:log:entry", short: "LOG", source: "Asterisk log", joins: true, share: 10,
	forms: []lineForm{
		{pattern: "[{time}] {level:=NOTICE|WARNING|ERROR|VERBOSE|DEBUG|SECURITY|DTMF}[{thread:int}]{?[{call:word}]}{?:} {source:word} {function:word}: {message}"},
		{pattern: "[{time}] {level:=NOTICE|WARNING|ERROR|VERBOSE|DEBUG|SECURITY|DTMF}[{thread:int}]{?[{call:word}]}{?:} {source:word} {message}"},
	},
	rules: [][]lineRule{{
		{pattern: "Registration from '{caller:last}' failed for '{src_ip}' - {reason}", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "Request from '{caller:last}' failed for '{src_ip}' (callid: {call_id:last}) - {reason}", action: "user-login", category: "authentication", outcome: "failure", once: []string{"' failed for '"}},
		{pattern: "Request '{method:word}' from '{caller:last}' failed for '{src_ip}' (callid: {call_id:last}) - {reason}", action: "user-login", category: "authentication", outcome: "failure", once: []string{"' failed for '"}},
		{pattern: "{?\"}Rejecting unknown SIP connection from {src_ip:addr}{_}", action: "connection-blocked", category: "network", outcome: "failure"},
		{pattern: "{_:word}: \"Rejecting unknown SIP connection from {src_ip:addr}\"", action: "connection-blocked", category: "network", outcome: "failure"},
		{pattern: "{_:word} in {_}\"Rejecting unknown SIP connection from {src_ip:addr}\"", action: "connection-blocked", category: "network", outcome: "failure"},
		{pattern: "{src_ip:addr} failed to authenticate as '{user:last}'", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "{src_ip:addr} tried to authenticate with nonexistent user '{user:last}'", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "hacking attempt detected '{src_ip}'", action: "attack-detected", category: "intrusion_detection"},
		{pattern: "Call from '{caller:last}' ({_:=TCP|UDP|TLS}:{src_ip:addrport}) to extension '{extension:last}' rejected because {reason}", action: "call-rejected", category: "network", outcome: "failure", once: []string{") to extension '"}},
		{pattern: "Host {src_ip:addr} failed to authenticate as '{user:last}'", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "Host {src_ip:addr} failed MD5 authentication for '{user:last}' ({_}", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "No registration for peer '{user:last}' (from {src_ip})", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "Call from '{caller:last}' ({src_ip}) to extension '{extension:last}' rejected because {reason}", action: "call-rejected", category: "network", outcome: "failure", once: []string{") to extension '"}},
		{pattern: "{_}SecurityEvent=\"{security_event:=SuccessfulAuth}\"{_}AccountID=\"{user}\"{_}RemoteAddress=\"{_}/{_}/{src_ip}/{src_port:int}\"{_}", action: "user-login", category: "authentication", outcome: "success", once: []string{"RemoteAddress="}},
		{pattern: "{_}SecurityEvent=\"{security_event:=ChallengeResponseFailed|InvalidPassword|InvalidAccountID|FailedACL|InvalidTransport}\"{_}AccountID=\"{user}\"{_}RemoteAddress=\"{_}/{_}/{src_ip}/{src_port:int}\"{_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{"RemoteAddress="}},
		{pattern: "{_}SecurityEvent=\"{security_event}\"{_}RemoteAddress=\"{_}/{_}/{src_ip}/{src_port:int}\"{_}", action: "security-event", category: "authentication", once: []string{"RemoteAddress="}},
	}},
}
