// Package logtime reads times as text logs write them, turns the wall clock
// of a zone into instants, and finds the years that a log leaves out.
//
// Written forms: RFC 3339 and ISO 8601, the "Mmm dd hh:mm:ss" of RFC 3164
// section 4.1.2, ctime(3), and the Common Log Format's day/month/year.
package logtime

// Stamp is a time as written. Parts that are not stated are zero; Year 0
// means that the log leaves the year out.
type Stamp struct {
	Year, Month, Day  int
	Hour, Minute, Sec int // Sec may be 60
	Nanos             int
	Digits            int  // of the fraction of a second
	Zoned             bool // Offset is stated
	Offset            int  // seconds east of UTC
}

// Parse reads a time at the start of b and returns how many bytes it takes, 0
// when there is none.
func Parse(b []byte, s *Stamp) int {
	if len(b) < 15 {
		return 0
	}
	*s = Stamp{}
	switch c := b[0]; {
	case c >= '0' && c <= '9':
		if b[4] == '-' || b[4] == '/' {
			return s.iso(b)
		}
		return s.dayFirst(b)
	case c >= 'A' && c <= 'Z':
		return s.monthFirst(b)
	}
	return 0
}

// two reads two digits; ok is false when they are none.
func two(b []byte) (int, bool) {
	x, y := b[0]-'0', b[1]-'0'
	return int(x)*10 + int(y), x <= 9 && y <= 9
}

// iso reads YYYY-MM-DD hh:mm:ss[.fraction][zone].
func (s *Stamp) iso(b []byte) int {
	if len(b) < 19 {
		return 0
	}
	century, ok1 := two(b)
	year, ok2 := two(b[2:])
	month, ok3 := two(b[5:])
	day, ok4 := two(b[8:])
	if !ok1 || !ok2 || !ok3 || !ok4 || b[7] != b[4] {
		return 0
	}
	s.Year, s.Month, s.Day = century*100+year, month, day
	at := 11
	switch b[10] {
	case 'T', 't', '_':
	case ' ':
		if b[11] == ' ' { // apt writes two
			at++
		}
	default:
		return 0
	}
	n := s.clock(b[at:])
	if n == 0 || !s.valid() || s.Year == 0 {
		return 0
	}
	at += n
	return at + s.zone(b[at:])
}

// clock reads hh:mm:ss[.fraction] and returns its length.
func (s *Stamp) clock(b []byte) int {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0
	}
	var ok1, ok2, ok3 bool
	s.Hour, ok1 = two(b)
	s.Minute, ok2 = two(b[3:])
	s.Sec, ok3 = two(b[6:])
	if !ok1 || !ok2 || !ok3 {
		return 0
	}
	if len(b) < 10 || (b[8] != '.' && b[8] != ',') || b[9] < '0' || b[9] > '9' {
		return 8
	}
	i, scale := 9, 100_000_000
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if scale > 0 {
			s.Nanos += int(b[i]-'0') * scale
			scale /= 10
			s.Digits++
		}
	}
	return i
}

// zone reads Z, ±hh:mm, ±hhmm or UTC and returns its length.
func (s *Stamp) zone(b []byte) int {
	skip := 0
	if len(b) > 1 && b[0] == ' ' && (b[1] == '+' || b[1] == '-' || b[1] == 'U') {
		skip, b = 1, b[1:]
	}
	switch {
	case len(b) == 0:
		return 0
	case b[0] == 'Z':
		s.Zoned = true
		return skip + 1
	case len(b) >= 3 && string(b[:3]) == "UTC":
		s.Zoned = true
		return skip + 3
	case b[0] == '+' || b[0] == '-':
		return s.offset(b, skip)
	}
	return 0
}

func (s *Stamp) offset(b []byte, skip int) int {
	if len(b) < 5 {
		return 0
	}
	hours, ok1 := two(b[1:])
	n := 3
	if b[3] == ':' {
		n++
	}
	if len(b) < n+2 {
		return 0
	}
	minutes, ok2 := two(b[n:])
	if !ok1 || !ok2 || hours > 15 || minutes > 59 {
		return 0
	}
	s.Offset = hours*3600 + minutes*60
	if b[0] == '-' {
		s.Offset = -s.Offset
	}
	s.Zoned = true
	return skip + n + 2
}

// monthFirst reads "Mmm dd hh:mm:ss", "Mmm dd yyyy hh:mm:ss" and
// "Www Mmm dd hh:mm:ss yyyy".
func (s *Stamp) monthFirst(b []byte) int {
	at := 0
	if weekday(b) {
		at = 4
		if len(b) < 24 {
			return 0
		}
	}
	if s.Month = month(b[at:]); s.Month == 0 || b[at+3] != ' ' {
		return 0
	}
	n := s.day(b[at+4:])
	if n == 0 {
		return 0
	}
	at2 := at + 4 + n
	if y, ok := fourDigits(b[at2:]); ok && at == 0 && len(b) > at2+5 && b[at2+4] == ' ' {
		s.Year = y
		at2 += 5
	}
	n = s.clock(b[at2:])
	if n == 0 {
		return 0
	}
	at2 += n
	if at > 0 {
		if len(b) < at2+5 || b[at2] != ' ' {
			return 0
		}
		y, ok := fourDigits(b[at2+1:])
		if !ok {
			return 0
		}
		s.Year = y
		at2 += 5
	}
	if !s.valid() {
		return 0
	}
	return at2
}

// day reads "dd ", " d " or "d " and returns its length.
func (s *Stamp) day(b []byte) int {
	i := 0
	for i < len(b) && i < 2 && b[i] == ' ' {
		i++
	}
	n := 0
	for i < len(b) && n < 2 && b[i] >= '0' && b[i] <= '9' {
		s.Day = s.Day*10 + int(b[i]-'0')
		i++
		n++
	}
	if n == 0 || i >= len(b) || b[i] != ' ' {
		return 0
	}
	return i + 1
}

// dayFirst reads dd/Mmm/yyyy:hh:mm:ss and dd-Mmm-yyyy hh:mm:ss.
func (s *Stamp) dayFirst(b []byte) int {
	if len(b) < 20 || b[2] != b[6] || (b[2] != '/' && b[2] != '-') || (b[11] != ':' && b[11] != ' ') {
		return 0
	}
	var ok bool
	if s.Day, ok = two(b); !ok {
		return 0
	}
	if s.Month = month(b[3:]); s.Month == 0 {
		return 0
	}
	if s.Year, ok = fourDigits(b[7:]); !ok {
		return 0
	}
	n := s.clock(b[12:])
	if n == 0 || !s.valid() {
		return 0
	}
	return 12 + n + s.zone(b[12+n:])
}

func fourDigits(b []byte) (int, bool) {
	if len(b) < 4 {
		return 0, false
	}
	x, ok1 := two(b)
	y, ok2 := two(b[2:])
	return x*100 + y, ok1 && ok2 && x > 0
}

// month returns 1 to 12, or 0.
func month(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	switch string(b[:3]) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

func weekday(b []byte) bool {
	switch string(b[:4]) {
	case "Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun ":
		return true
	}
	return false
}

var daysIn = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// valid checks the ranges; a day that only a leap year has needs one when the
// year is stated.
func (s *Stamp) valid() bool {
	if s.Month < 1 || s.Month > 12 || s.Day < 1 || s.Day > daysIn[s.Month] {
		return false
	}
	if s.Year != 0 && s.Month == 2 && s.Day == 29 && !leap(s.Year) {
		return false
	}
	return s.Hour < 24 && s.Minute < 60 && s.Sec <= 60
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// Wall returns the seconds from 1970-01-01 00:00:00 to the stamp on the same
// clock, as if that clock were UTC. ok is false when the stamp does not exist
// in that year (29 February).
func (s *Stamp) Wall(year int) (sec int64, ok bool) {
	if s.Month == 2 && s.Day == 29 && !leap(year) {
		return 0, false
	}
	return days(year, s.Month, s.Day)*86400 + int64(s.Hour*3600+s.Minute*60+s.Sec), true
}

// days counts the days from 1970-01-01 in the proleptic Gregorian calendar.
func days(year, month, day int) int64 {
	y := int64(year)
	if month <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	m := int64(month)
	if m > 2 {
		m -= 3
	} else {
		m += 9
	}
	doy := (153*m+2)/5 + int64(day) - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// key orders stamps within a year: seconds since its start, in a leap year.
func (s *Stamp) key() int64 {
	return (days(2000, s.Month, s.Day)-days2000)*86400 + int64(s.Hour*3600+s.Minute*60+s.Sec)
}

const days2000 = 10957 // 2000-01-01
