package authmsg

import "bytes"

// setPeer stores a remote address or host name, and reports whether addr is
// either.
func (f *Fields) setPeer(addr []byte) bool {
	if ip, ok := address(addr); ok {
		f.SrcIP = ip
		return true
	}
	if isHostName(addr) {
		f.SrcHost = addr
		return true
	}
	return false
}

// address validates an IPv4 or IPv6 address (RFC 4291 text form, with zone)
// and drops the prefix of a mapped IPv4 address.
func address(b []byte) ([]byte, bool) {
	if isIPv4(b) {
		return b, true
	}
	if v4, ok := cutPrefix(b, "::ffff:"); ok && isIPv4(v4) {
		return v4, true
	}
	return b, isIPv6(b)
}

func isIPv4(b []byte) bool {
	if len(b) < 7 || len(b) > 15 {
		return false
	}
	parts, digits, value := 1, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			if digits > 0 && value == 0 {
				return false // leading zero: octal to some readers
			}
			value = value*10 + int(c-'0')
			if digits++; value > 255 {
				return false
			}
		case c == '.':
			if digits == 0 {
				return false
			}
			parts++
			digits, value = 0, 0
		default:
			return false
		}
	}
	return parts == 4 && digits > 0
}

func isIPv6(b []byte) bool {
	if i := bytes.IndexByte(b, '%'); i >= 0 {
		if i+1 == len(b) || !isHostName(b[i+1:]) {
			return false
		}
		b = b[:i]
	}
	if len(b) < 2 || len(b) > 45 {
		return false
	}
	groups, digits, short := 0, 0, false
	start := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			if digits++; digits > 4 {
				return false
			}
		case c == ':':
			if digits > 0 {
				groups++
			}
			if i+1 < len(b) && b[i+1] == ':' {
				if short {
					return false
				}
				short = true
				i++
			} else if digits == 0 || i+1 == len(b) {
				return false
			}
			digits, start = 0, i+1
		case c == '.':
			if !isIPv4(b[start:]) {
				return false
			}
			return groups == 6 && !short || groups < 6 && short
		default:
			return false
		}
	}
	if digits > 0 {
		groups++
	}
	return groups == 8 && !short || groups < 8 && short
}

// isHostName accepts what sshd and PAM write for a peer that has a name:
// letters, digits, dot, hyphen and underscore.
func isHostName(b []byte) bool {
	if len(b) == 0 || len(b) > 255 {
		return false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// peer is "ADDRESS port N".
type peer struct {
	addr []byte
	port int64 // None when not stated
}

// leadingPeer reads "ADDRESS[ port N]" at the start of b.
func leadingPeer(b []byte) (p peer, rest []byte, ok bool) {
	end := 0
	for end < len(b) && b[end] != ' ' {
		end++
	}
	p = peer{b[:end], None}
	rest = b[end:]
	if after, found := cutPrefix(rest, " port "); found {
		if n, tail, isNumber := number(after); isNumber && n <= 65535 {
			p.port, rest = n, tail
		}
	}
	return p, rest, isPeerAddress(p.addr)
}

// trailingPeer reads "ADDRESS[ port N]" at the end of b and returns what is
// before it, without the space between.
func trailingPeer(b []byte) (before []byte, p peer, ok bool) {
	p.port = None
	if head, tail, found := cutLast(b, " port "); found {
		if n := whole(tail); n >= 0 && n <= 65535 {
			p.port, b = n, head
		}
	}
	i := bytes.LastIndexByte(b, ' ')
	p.addr = b[i+1:]
	if i < 0 {
		i = 0
	}
	return b[:i], p, isPeerAddress(p.addr)
}

func isPeerAddress(b []byte) bool {
	if _, ok := address(b); ok {
		return true
	}
	return isHostName(b)
}

func (f *Fields) setPeerPort(p peer) {
	f.setPeer(p.addr)
	f.SrcPort = p.port
}
