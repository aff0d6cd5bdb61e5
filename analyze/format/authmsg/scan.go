package authmsg

import "bytes"

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix {
		return b[len(prefix):], true
	}
	return b, false
}

func cutSuffix(b []byte, suffix string) ([]byte, bool) {
	if n := len(b) - len(suffix); n >= 0 && string(b[n:]) == suffix {
		return b[:n], true
	}
	return b, false
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func hasSuffix(b []byte, suffix string) bool {
	n := len(b) - len(suffix)
	return n >= 0 && string(b[n:]) == suffix
}

// index is bytes.Index with a constant needle.
func index(b []byte, sep string) int { return bytes.Index(b, []byte(sep)) }

// cut splits b at the first sep.
func cut(b []byte, sep string) (before, after []byte, ok bool) {
	if i := index(b, sep); i >= 0 {
		return b[:i], b[i+len(sep):], true
	}
	return b, nil, false
}

// cutLast splits b at the last sep.
func cutLast(b []byte, sep string) (before, after []byte, ok bool) {
	if i := bytes.LastIndex(b, []byte(sep)); i >= 0 {
		return b[:i], b[i+len(sep):], true
	}
	return b, nil, false
}

// trimSpace drops spaces and line ends around b. A tab or other control
// character inside a message is the message's own.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 {
		switch b[len(b)-1] {
		case ' ', '\t', '\r', '\n':
			b = b[:len(b)-1]
			continue
		}
		break
	}
	return b
}

// word splits b at the first space.
func word(b []byte) (first, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// number reads up to 18 decimal digits at the start of b.
func number(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && i < 18 && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}

// whole reads b as one decimal number, or returns None.
func whole(b []byte) int64 {
	n, rest, ok := number(b)
	if !ok || len(rest) > 0 {
		return None
	}
	return n
}

// quoted reads 'text' at the start of b. The closing quote is the first one:
// account names have none.
func quoted(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 2 || (b[0] != '\'' && b[0] != '"') {
		return nil, b, false
	}
	i := bytes.IndexByte(b[1:], b[0])
	if i < 0 {
		return nil, b, false
	}
	return b[1 : 1+i], b[2+i:], true
}

// name reads an account or group, in quotes or as one word.
func name(b []byte) (text, rest []byte) {
	if q, rest, ok := quoted(b); ok {
		return q, trimSpace(rest)
	}
	return word(b)
}

// baseName drops the directory of a program name.
func baseName(b []byte) []byte {
	if i := bytes.LastIndexByte(b, '/'); i >= 0 && i+1 < len(b) {
		return b[i+1:]
	}
	return b
}
