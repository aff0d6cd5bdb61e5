package authmsg

import "bytes"

// parseConnection reads the ends and beginnings of connections.
func parseConnection(msg []byte, f *Fields) bool {
	for _, lead := range [...]string{"Connection closed by ", "Connection reset by ", "Disconnected from "} {
		if rest, ok := cutPrefix(msg, lead); ok {
			before, p, valid := trailingPeer(rest)
			if !valid {
				return false
			}
			f.setPeerPort(p)
			f.connectionUser(before)
			return f.is("connection-closed", "", Network)
		}
	}
	if rest, ok := cutPrefix(msg, "Connection from "); ok {
		return parseConnectionFrom(rest, f)
	}
	if rest, ok := cutPrefix(msg, "Disconnecting: "); ok {
		f.Reason = rest
		return f.is("connection-closed", "", Network)
	}
	if rest, ok := cutPrefix(msg, "Disconnecting "); ok {
		return parseDisconnecting(rest, f)
	}
	if rest, ok := cutPrefix(msg, "Did not receive identification string from "); ok {
		if p, _, valid := leadingPeer(rest); valid {
			f.setPeerPort(p)
			return f.is("connection-closed", Failure, Network)
		}
	}
	if rest, ok := cutPrefix(msg, "Close session: user "); ok {
		return f.sessionOf(rest, "session-closed")
	}
	return false
}

func parseConnectionFrom(b []byte, f *Fields) bool {
	p, rest, ok := leadingPeer(b)
	if !ok {
		return false
	}
	f.setPeerPort(p)
	if on, found := cutPrefix(rest, " on "); found {
		if q, _, valid := leadingPeer(on); valid {
			if ip, isIP := address(q.addr); isIP {
				f.DstIP, f.DstPort = ip, q.port
			}
		}
	}
	return f.is("connection-opened", "", Network)
}

// connectionUser reads "[authenticating |invalid ]user NAME" in front of an
// address.
func (f *Fields) connectionUser(b []byte) {
	b, _ = cutPrefix(b, "authenticating ")
	b, _ = cutPrefix(b, "invalid ")
	if user, ok := cutPrefix(b, "user "); ok {
		f.User = trimSpace(user)
	}
}

// parseDisconnecting reads "[invalid user NAME ]ADDRESS port N: REASON".
// Both the name and the reason may hold the client's text: the last place
// that fits counts.
func parseDisconnecting(b []byte, f *Fields) bool {
	found := 0
	for end := len(b); ; {
		i := bytes.LastIndex(b[:end], []byte(": "))
		if i < 0 {
			break
		}
		end = i
		before, p, ok := trailingPeer(b[:i])
		if !ok || p.port == None {
			continue
		}
		if found++; found > 1 {
			break
		}
		f.setPeerPort(p)
		f.connectionUser(before)
		f.Reason = b[i+2:]
	}
	f.Ambiguous = found > 1
	return found > 0 && f.is("connection-closed", "", Network)
}
