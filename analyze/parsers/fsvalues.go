package parsers

// parseUTC reads 2006-01-02T15:04:05.999999999Z, the manifest's usual form,
// between 1970 and 2199.
func parseUTC(b []byte) (ns int64, ok bool) {
	if len(b) < 20 || len(b) > 30 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return 0, false
	}
	var part [6]int64
	for i, at := range [...][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		if part[i], ok = parseInt(b[at[0]:at[1]]); !ok {
			return 0, false
		}
	}
	year, month, day := part[0], part[1], part[2]
	if year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(month, year) ||
		part[3] > 23 || part[4] > 59 || part[5] > 59 || part[3] < 0 || part[4] < 0 || part[5] < 0 {
		return 0, false
	}
	if frac := b[19 : len(b)-1]; len(frac) > 0 {
		if frac[0] != '.' || len(frac) == 1 {
			return 0, false
		}
		n, ok := parseInt(frac[1:])
		if !ok || n < 0 {
			return 0, false
		}
		for range 10 - len(frac) {
			n *= 10
		}
		ns = n
	}
	// Days since 1970 by the rule for years that begin in March.
	y, m := year, month
	if m <= 2 {
		y, m = y-1, m+12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + day - 1 - 719468
	return ns + ((days*24+part[3])*60+part[4])*60*1e9 + part[5]*1e9, true
}

func daysIn(month, year int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// appendMode writes a mode as ls -l does.
func appendMode(b []byte, mode uint32) []byte {
	kind := byte('?')
	switch mode & 0o170000 {
	case 0o100000:
		kind = '-'
	case 0o040000:
		kind = 'd'
	case 0o120000:
		kind = 'l'
	case 0o020000:
		kind = 'c'
	case 0o060000:
		kind = 'b'
	case 0o010000:
		kind = 'p'
	case 0o140000:
		kind = 's'
	}
	b = append(b, kind)
	for shift := 6; shift >= 0; shift -= 3 {
		bits := mode >> shift
		special := mode&(0o1000<<(shift/3)) != 0
		x := byte('-')
		switch {
		case special && shift > 0:
			x = "Ss"[bits&1]
		case special:
			x = "Tt"[bits&1]
		case bits&1 != 0:
			x = 'x'
		}
		b = append(b, "-r"[bits>>2&1], "-w"[bits>>1&1], x)
	}
	return b
}
