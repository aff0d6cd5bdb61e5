package authmsg

import "bytes"

// parseSshd reads OpenSSH's and dropbear's server messages.
func parseSshd(msg []byte, f *Fields) bool {
	msg = sshdBody(msg)
	if len(msg) == 0 {
		return false
	}
	switch msg[0] {
	case 'A', 'F', 'P':
		if parseAuthentication(msg, f) {
			return true
		}
	case 'C', 'D':
		if parseConnection(msg, f) {
			return true
		}
	case 'R', 'S', 'U', 'I':
		if parseServer(msg, f) {
			return true
		}
	}
	if parseRejected(msg, f) {
		return true
	}
	return parseDropbear(msg, f)
}

// sshdBody drops the level that sshd puts before a message, Solaris' message
// id, and the privilege separation phase behind it.
func sshdBody(msg []byte) []byte {
	if rest, ok := cutPrefix(msg, "[ID "); ok {
		if _, after, found := cut(rest, "] "); found {
			msg = after
		}
	}
	for _, level := range [...]string{"error: ", "fatal: ", "info: "} {
		msg, _ = cutPrefix(msg, level)
	}
	msg, _ = cutSuffix(msg, " [preauth]")
	msg, _ = cutSuffix(msg, " [postauth]")
	return msg
}

// parseAuthentication reads auth_log()'s line:
//
//	RESULT METHOD for [invalid user ]NAME from ADDRESS port N ssh2[: INFO]
func parseAuthentication(msg []byte, f *Fields) bool {
	result, rest := word(msg)
	var outcome, action string
	switch string(result) {
	case "Accepted":
		outcome, action = Success, "user-login"
	case "Failed":
		outcome, action = Failure, "user-login"
	case "Postponed", "Partial":
		action = "authentication"
	default:
		return false
	}
	if string(result) == "Accepted" && hasPrefix(rest, "key ") {
		return parseAcceptedKey(rest[len("key "):], f)
	}
	method, rest, ok := cut(rest, " for ")
	if !ok || bytes.IndexByte(method, ' ') >= 0 {
		return false
	}
	keyed := hasPrefix(method, "publickey") || hasPrefix(method, "hostbased")
	user, p, info, ok := splitPeer(rest, keyed, f)
	if !ok {
		return false
	}
	if len(info) > 0 {
		f.keyInfo(info)
	}
	f.Method = method
	f.User = plainUser(user)
	f.setPeerPort(p)
	return f.is(action, outcome, Authentication)
}

// splitPeer splits "NAME from ADDRESS port N ssh2[: INFO]". The name is the
// client's to choose, so the last " from " that is followed by the format
// counts. Only a key or host method has INFO that the server writes; there
// the INFO may hold the client's text, and is not searched.
func splitPeer(b []byte, keyed bool, f *Fields) (user []byte, p peer, info []byte, ok bool) {
	found := 0
	for end := len(b); ; {
		i := bytes.LastIndex(b[:end], []byte(" from "))
		if i < 0 {
			break
		}
		end = i
		q, rest, valid := leadingPeer(b[i+len(" from "):])
		if !valid || !protocolEnd(rest) {
			continue
		}
		if found++; found > 1 {
			// Protocol 1 wrote the client's own text behind the format, and
			// that text has no port.
			if p.port == None && hasPrefix(rest, " ssh1: ruser ") {
				user, p, found = b[:i], q, 1
			}
			break
		}
		user, p, ok = b[:i], q, true
		if _, after, has := cut(rest, ": "); has && keyed {
			info = after
		}
	}
	f.Ambiguous = found > 1
	return user, p, info, ok
}

// protocolEnd reports whether b is what may follow the port: nothing, or the
// protocol, alone or before ": INFO".
func protocolEnd(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	rest, ok := cutPrefix(b, " ssh2")
	if !ok {
		if rest, ok = cutPrefix(b, " ssh1"); !ok {
			return false
		}
	}
	return len(rest) == 0 || hasPrefix(rest, ": ")
}

// keyInfo reads "TYPE FINGERPRINT..." of the key that was used.
func (f *Fields) keyInfo(info []byte) {
	kind, rest := word(info)
	if len(rest) == 0 || !isHostName(kind) {
		return
	}
	print, _ := word(rest)
	if n := len(print); n > 0 && print[n-1] == ',' {
		print = print[:n-1]
	}
	if hasPrefix(print, "SHA256:") || hasPrefix(print, "MD5:") || bytes.IndexByte(print, ':') == 2 {
		f.KeyType, f.Fingerprint = kind, print
	}
}

// parseAcceptedKey reads "TYPE FINGERPRINT found at FILE:LINE".
func parseAcceptedKey(b []byte, f *Fields) bool {
	f.keyInfo(b)
	if _, file, ok := cut(b, " found at "); ok {
		f.File = file
	}
	return f.Fingerprint != nil
}

// plainUser drops what sshd says about a user before the name.
func plainUser(user []byte) []byte {
	if rest, ok := cutPrefix(user, "invalid user "); ok {
		return rest
	}
	if rest, ok := cutPrefix(user, "illegal user "); ok {
		return rest
	}
	if string(user) == "invalid user" || string(user) == "<invalid username>" {
		return nil // the name was empty or withheld
	}
	return user
}

// parseServer reads the listener's messages and what a session reports.
func parseServer(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "Received disconnect from "); ok {
		return parseReceivedDisconnect(rest, f)
	}
	if rest, ok := cutPrefix(msg, "Server listening on "); ok {
		rest, _ = cutSuffix(rest, ".")
		if p, _, valid := leadingPeer(rest); valid {
			f.DstIP, _ = address(p.addr)
			f.DstPort = p.port
			return f.is("socket-bound", Success, Network)
		}
	}
	if rest, ok := cutPrefix(msg, "Received signal "); ok && hasSuffix(rest, "terminating.") {
		return f.is("service-stopped", "", Process)
	}
	if rest, ok := cutPrefix(msg, "Invalid user "); ok {
		return parseInvalidUser(rest, f)
	}
	if rest, ok := cutPrefix(msg, "User child is on pid "); ok {
		f.PID = whole(rest) // the process of the session, by the one that checked the login
		return f.PID != None
	}
	if rest, ok := cutPrefix(msg, "User "); ok {
		return parseNotAllowed(rest, f)
	}
	if rest, ok := cutPrefix(msg, "Starting session: "); ok {
		kind, who, found := cut(rest, " for ")
		if !found {
			return false
		}
		f.SessionName = kind
		if what, tty, on := cut(kind, " on "); on {
			f.SessionName, f.TTY = what, tty
		}
		return f.sessionOf(who, "session-opened")
	}
	if rest, ok := cutPrefix(msg, "Unable to negotiate with "); ok {
		p, reason, valid := leadingPeer(rest)
		if !valid {
			return false
		}
		f.setPeerPort(p)
		f.Reason, _ = cutPrefix(reason, ": ")
		return f.is("connection-closed", Failure, Network)
	}
	return false
}

// parseReceivedDisconnect reads "ADDRESS[ port N]:CODE: REASON", where older
// versions put a space before the code.
func parseReceivedDisconnect(b []byte, f *Fields) bool {
	addr, rest := word(b)
	if a, ok := cutSuffix(addr, ":"); ok {
		if !f.setPeer(a) {
			return false
		}
	} else {
		p, tail, ok := leadingPeer(b)
		if !ok {
			return false
		}
		f.setPeerPort(p)
		rest, _ = cutPrefix(tail, ":")
		rest = trimSpace(rest)
	}
	if _, reason, ok := cut(rest, ": "); ok {
		f.Reason = reason
	}
	return f.is("connection-closed", "", Network)
}

func parseInvalidUser(b []byte, f *Fields) bool {
	user, tail, ok := cutLast(b, "from ")
	if !ok {
		return false
	}
	p, rest, valid := leadingPeer(tail)
	if !valid || len(rest) > 0 {
		return false
	}
	f.User = trimSpace(user)
	f.setPeerPort(p)
	return f.is("invalid-user", Failure, Authentication)
}

// parseNotAllowed reads "NAME[ from HOST] not allowed because REASON".
func parseNotAllowed(b []byte, f *Fields) bool {
	who, reason, ok := cutLast(b, " not allowed because ")
	if !ok {
		return false
	}
	f.Reason = reason
	f.User = who
	if user, host, found := cutLast(who, " from "); found && f.setPeer(host) {
		f.User = user
	}
	return f.is("user-login", Failure, Authentication)
}

// sessionOf reads "NAME from ADDRESS port N id M".
func (f *Fields) sessionOf(b []byte, action string) bool {
	user, tail, ok := cutLast(b, " from ")
	if !ok {
		return false
	}
	p, _, valid := leadingPeer(tail)
	if !valid {
		return false
	}
	f.User = user
	f.setPeerPort(p)
	return f.is(action, "", Session)
}

// parseRejected reads the messages about peers that did not get as far as a
// login.
func parseRejected(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "maximum authentication attempts exceeded for "); ok {
		user, p, _, found := splitPeer(rest, false, f)
		if !found {
			return false
		}
		f.User = plainUser(user)
		f.setPeerPort(p)
		f.Reason = msg[:len("maximum authentication attempts exceeded")]
		return f.is("user-login", Failure, Authentication)
	}
	if rest, ok := cutPrefix(msg, "input_userauth_request: invalid user "); ok {
		f.User = rest
		return f.is("invalid-user", Failure, Authentication)
	}
	if rest, ok := cutPrefix(msg, "PAM: "); ok {
		return parsePAMError(rest, f)
	}
	if rest, ok := cutPrefix(msg, "ROOT LOGIN REFUSED FROM "); ok {
		p, _, _ := leadingPeer(rest)
		f.setPeerPort(p)
		f.UID = 0 // the message says ROOT, not the account's name
		return f.is("user-login", Failure, Authentication)
	}
	if rest, ok := cutPrefix(msg, "Timeout before authentication for "); ok {
		rest, _ = cutPrefix(rest, "connection from ")
		p, _, _ := leadingPeer(rest)
		f.setPeerPort(p)
		return f.is("connection-closed", Failure, Network)
	}
	return parseBroken(msg, f)
}

// parsePAMError reads "REASON for NAME from HOST[ via ADDRESS]".
func parsePAMError(b []byte, f *Fields) bool {
	reason, rest, ok := cut(b, " for ")
	if !ok {
		return false
	}
	user, tail, ok := cutLast(rest, " from ")
	if !ok {
		return false
	}
	host, _ := word(tail)
	if !f.setPeer(host) {
		return false
	}
	f.User, f.Reason = plainUser(user), reason
	return f.is("authentication", Failure, Authentication)
}

// parseBroken reads messages about clients that break the protocol.
func parseBroken(msg []byte, f *Fields) bool {
	if rest, ok := cutPrefix(msg, "Bad protocol version identification "); ok {
		_, tail, found := cutLast(rest, " from ")
		if !found {
			return false
		}
		p, _, _ := leadingPeer(tail)
		f.setPeerPort(p)
		return f.is("connection-closed", Failure, Network)
	}
	for _, lead := range [...]string{"banner exchange: Connection from ", "ssh_dispatch_run_fatal: Connection from "} {
		if rest, ok := cutPrefix(msg, lead); ok {
			p, reason, _ := leadingPeer(rest)
			f.setPeerPort(p)
			f.Reason, _ = cutPrefix(reason, ": ")
			return f.is("connection-closed", Failure, Network)
		}
	}
	if rest, ok := cutPrefix(msg, "refused connect from "); ok {
		_, addr, _ := cutLast(rest, "(")
		addr, _ = cutSuffix(addr, ")")
		f.setPeer(addr)
		return f.is("connection-opened", Failure, Network)
	}
	if rest, ok := cutPrefix(msg, "Address "); ok {
		addr, _ := word(rest)
		return f.setPeer(addr)
	}
	if rest, ok := cutPrefix(msg, "reverse mapping checking getaddrinfo for "); ok {
		_, addr, _ := cut(rest, "[")
		addr, _, _ = cut(addr, "]")
		return f.setPeer(addr)
	}
	return false
}
