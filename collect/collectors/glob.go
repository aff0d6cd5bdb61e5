package collectors

import (
	"errors"
	"fmt"
	"strings"
)

// A glob matches one component of a path, as raw bytes: a file name on Linux
// is any run of bytes but '/' and NUL. `*` is any run of bytes, also none and
// also a leading dot; `?` one byte; `[a-z]` one byte of a class, `[!a-z]` one
// outside it; a backslash takes the next byte as it is.
type glob []globStep

type globStep struct {
	kind globKind
	b    byte      // kind globByte
	set  [256]bool // kind globSet
}

type globKind uint8

const (
	globByte globKind = iota
	globOne
	globSet
	globRun
)

var errGlob = errors.New("bad pattern")

// parseGlob reads one component. literal is its text when it names exactly
// one file, with ok true.
func parseGlob(s string) (g glob, literal string, ok bool, err error) {
	var text strings.Builder
	ok = true
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '*':
			ok = false
			if len(g) == 0 || g[len(g)-1].kind != globRun {
				g = append(g, globStep{kind: globRun})
			}
		case '?':
			ok = false
			g = append(g, globStep{kind: globOne})
		case '[':
			ok = false
			step, n, err := parseClass(s[i:])
			if err != nil {
				return nil, "", false, err
			}
			g = append(g, step)
			i += n - 1
		case '\\':
			i++
			if i == len(s) {
				return nil, "", false, fmt.Errorf("%w: ends in a backslash: %q", errGlob, s)
			}
			fallthrough
		default:
			g = append(g, globStep{kind: globByte, b: s[i]})
			text.WriteByte(s[i])
		}
	}
	return g, text.String(), ok, nil
}

// parseClass reads "[...]" at the start of s and says how long it was.
func parseClass(s string) (globStep, int, error) {
	step := globStep{kind: globSet}
	i, negate := 1, false
	if i < len(s) && s[i] == '!' {
		negate = true
		i++
	}
	for first := true; ; first = false {
		if i >= len(s) {
			return step, 0, fmt.Errorf("%w: class without end: %q", errGlob, s)
		}
		if s[i] == ']' && !first {
			break
		}
		low, high := s[i], s[i]
		if i+2 < len(s) && s[i+1] == '-' && s[i+2] != ']' {
			high = s[i+2]
			i += 2
		}
		if low > high {
			return step, 0, fmt.Errorf("%w: class range runs backwards: %q", errGlob, s)
		}
		for b := int(low); b <= int(high); b++ {
			step.set[b] = true
		}
		i++
	}
	if negate {
		for b := range step.set {
			step.set[b] = !step.set[b]
		}
	}
	return step, i + 1, nil
}

// match reports whether the glob covers the whole name. It remembers only the
// last run, so that its time is bounded by len(g)·len(name).
func (g glob) match(name string) bool {
	i, j := 0, 0
	runAt, runName := -1, 0
	for j < len(name) {
		switch {
		case i < len(g) && g[i].kind == globRun:
			runAt, runName = i, j
			i++
		case i < len(g) && g[i].one(name[j]):
			i++
			j++
		case runAt >= 0:
			runName++
			i, j = runAt+1, runName
		default:
			return false
		}
	}
	for i < len(g) && g[i].kind == globRun {
		i++
	}
	return i == len(g)
}

func (s *globStep) one(b byte) bool {
	switch s.kind {
	case globByte:
		return s.b == b
	case globOne:
		return true
	case globSet:
		return s.set[b]
	}
	return false
}

// quoteGlob escapes a name from evidence so that a pattern takes it literally.
func quoteGlob(name string) string {
	var out strings.Builder
	for i := range len(name) {
		if strings.IndexByte(`*?[\{`, name[i]) >= 0 {
			out.WriteByte('\\')
		}
		out.WriteByte(name[i])
	}
	return out.String()
}

// expandBraces turns each {a,b} of a pattern into its alternatives. Braces do
// not nest.
func expandBraces(pattern string) ([]string, error) {
	open := -1
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' {
			i++
			continue
		}
		if pattern[i] == '{' {
			open = i
			break
		}
	}
	if open < 0 {
		return []string{pattern}, nil
	}
	length := strings.IndexByte(pattern[open:], '}')
	if length < 0 {
		return nil, fmt.Errorf("%w: brace without end: %q", errGlob, pattern)
	}
	tails, err := expandBraces(pattern[open+length+1:])
	if err != nil {
		return nil, err
	}
	var out []string
	for alternative := range strings.SplitSeq(pattern[open+1:open+length], ",") {
		for _, tail := range tails {
			out = append(out, pattern[:open]+alternative+tail)
		}
	}
	return out, nil
}
