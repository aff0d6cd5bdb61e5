package audit

// Arguments collects the arguments of the EXECVE records of one event. Long
// ones come in pieces, a1_len=9000 a1[0]=... a1[1]=..., over several records.
type Arguments struct {
	bytes []byte // of all arguments, one after the other
	ends  []int
	count int // argc
	open  int // argument that the last bytes belong to; -1: none
}

// maxArguments bounds what one event can make Arguments hold: the kernel
// allows 2 MiB of arguments.
const maxArguments = 2 << 20

// Reset makes a empty again.
func (a *Arguments) Reset() { *a = Arguments{bytes: a.bytes[:0], ends: a.ends[:0], open: -1} }

// Add takes the body of an EXECVE record.
func (a *Arguments) Add(body []byte) {
	fields := NewFields(body)
	var f Field
	for fields.Next(&f) {
		if string(f.Key) == "argc" {
			if n, rest, ok := number(f.Value); ok && len(rest) == 0 && n < 1<<20 {
				a.count = int(n)
			}
			continue
		}
		index, ok := argument(f.Key)
		if !ok || len(a.bytes)+len(f.Value) > maxArguments {
			continue
		}
		if index != a.open {
			a.close()
			a.open = index
		}
		a.bytes = Decode(a.bytes, f.Value, f.Quoted)
	}
}

// argument reads aN or aN[K] and returns N. aN_len says nothing new.
func argument(key []byte) (int, bool) {
	if len(key) < 2 || key[0] != 'a' {
		return 0, false
	}
	n, rest, ok := number(key[1:])
	if !ok || n > 1<<20 {
		return 0, false
	}
	return int(n), len(rest) == 0 || rest[0] == '['
}

func (a *Arguments) close() {
	if a.open >= 0 {
		a.ends = append(a.ends, len(a.bytes))
	}
	a.open = -1
}

// SetTitle takes a PROCTITLE value instead: arguments that end in NUL bytes.
func (a *Arguments) SetTitle(title []byte) {
	a.Reset()
	for i, c := range title {
		if c == 0 {
			a.ends = append(a.ends, len(a.bytes))
			continue
		}
		a.bytes = append(a.bytes, c)
		if i == len(title)-1 {
			a.ends = append(a.ends, len(a.bytes))
		}
	}
	a.open = -1
}

// Len returns how many arguments there are, Want how many the kernel counted
// (0 when it did not say).
func (a *Arguments) Len() int { a.close(); return len(a.ends) }

// Want returns argc.
func (a *Arguments) Want() int { return a.count }

// At returns argument i, good until the next Reset.
func (a *Arguments) At(i int) []byte {
	start := 0
	if i > 0 {
		start = a.ends[i-1]
	}
	return a.bytes[start:a.ends[i]]
}

// Shell appends the arguments as one command line that a POSIX shell would
// split into them again, at most limit bytes of it.
func (a *Arguments) Shell(dst []byte, limit int) []byte {
	for i := range a.Len() {
		if len(dst) >= limit {
			return dst[:limit]
		}
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = quote(dst, a.At(i))
	}
	return dst[:min(len(dst), max(limit, 0))]
}

// quote appends one word in single quotes where it needs them.
func quote(dst, word []byte) []byte {
	plain := len(word) > 0
	for _, c := range word {
		if !plainByte(c) {
			plain = false
			break
		}
	}
	if plain {
		return append(dst, word...)
	}
	dst = append(dst, '\'')
	for _, c := range word {
		if c == '\'' {
			dst = append(dst, `'\''`...)
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '\'')
}

func plainByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '_', '@', '%', '+', '=', ':', ',', '.', '/', '-':
		return true
	}
	return false
}
