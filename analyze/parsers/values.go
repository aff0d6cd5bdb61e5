package parsers

import (
	"math"

	"github.com/exhibit-dfir/exhibit/analyze"
)

// parseInt reads a decimal number of at most 18 digits.
func parseInt(b []byte) (n int64, ok bool) {
	neg := len(b) > 1 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

// setInt sets a column from decimal text; false where it is none.
func setInt(column *int64, b []byte) bool {
	n, ok := parseInt(b)
	if ok {
		*column = n
	}
	return ok
}

// userName returns the name that the host's own account table gives to a
// number, "" where it gives none.
func userName(host *analyze.Host, uid int64) string {
	if uid < 0 || uid > math.MaxUint32 {
		return ""
	}
	return host.Users[uint32(uid)]
}

// cutString is cutText for a string.
func cutString(s string) string {
	if len(s) <= valueMax {
		return s
	}
	return string(cutText([]byte(s)))
}
