package linepattern

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
)

// timeForm reads a time at the start of b and returns its length, 0 when there
// is none.
type timeForm func(b []byte, s *logtime.Stamp) int

// timeForms are the written forms of {time:FORM}. All but the first are not
// told apart from other text by themselves, so a pattern names them.
var timeForms = map[string]timeForm{
	"":      logtime.Parse,
	"ctime": ctime,     // Mon Jun  6 18:43:28[.123456] 2016
	"loose": looseTime, // 2015-10-07  8:25:38: the hour may have one digit (MariaDB)
	"short": shortTime, // 130324  0:04:00: yymmdd (MySQL before 5.7)
	"day":   dayTime,   // [Thu, ]14 Oct 2021 15:24:12.023984[ UTC| +0200] (Redis, RFC 5322)
	"noon":  noonTime,  // May 14, 2024 9:30:00 AM (java.util.logging)
	"month": monthTime, // 1231 23:59:59.000001: mmdd, no year (glog)
	"iso":   isoTime,   // 2022-07-12 01:08:59,489: what of logtime's forms has the year first
	"milli": milliTime, // 1400681361906: milliseconds since 1970 UTC
	"epoch": epochTime, // 1286536309.450: seconds since 1970 UTC, with a fraction or not
}

func ctime(b []byte, t *logtime.Stamp) int {
	if len(b) < 4 || b[0] < 'A' || b[3] != ' ' {
		return 0
	}
	if n := logtime.Parse(b, t); t.Year != 0 {
		return n
	}
	return 0
}

func isoTime(b []byte, t *logtime.Stamp) int {
	if len(b) < 5 || b[4] != '-' {
		return 0
	}
	return logtime.Parse(b, t)
}

// milliTime takes 13 digits: from 2001 to 2286.
func milliTime(b []byte, t *logtime.Stamp) int {
	s := scanner{b: b, ok: true}
	s.digits(13, 14)
	if !s.ok || s.at != 13 || epochTime(b[:10], t) != 10 {
		return 0
	}
	s.at = 10
	s.b = b[:13]
	s.fraction(t)
	return 13
}

// scanner reads the parts of a time.
type scanner struct {
	b  []byte
	at int
	ok bool
}

func (s *scanner) digits(least, most int) int {
	n, from := 0, s.at
	for s.at < len(s.b) && s.at-from < most && s.b[s.at] >= '0' && s.b[s.at] <= '9' {
		n = n*10 + int(s.b[s.at]-'0')
		s.at++
	}
	s.ok = s.ok && s.at-from >= least
	return n
}

func (s *scanner) byte(c byte) {
	if s.ok = s.ok && s.at < len(s.b) && s.b[s.at] == c; s.ok {
		s.at++
	}
}

func (s *scanner) blanks() {
	from := s.at
	for s.at < len(s.b) && s.b[s.at] == ' ' {
		s.at++
	}
	s.ok = s.ok && s.at > from
}

var months = []byte("JanFebMarAprMayJunJulAugSepOctNovDec")

func (s *scanner) month() int {
	if s.at+3 > len(s.b) {
		s.ok = false
		return 0
	}
	i := bytes.Index(months, s.b[s.at:s.at+3])
	s.at += 3
	if i < 0 || i%3 != 0 {
		s.ok = false
	}
	return i/3 + 1
}

// clock reads h:mm:ss[.fraction].
func (s *scanner) clock(t *logtime.Stamp) {
	t.Hour = s.digits(1, 2)
	s.byte(':')
	t.Minute = s.digits(2, 2)
	s.byte(':')
	t.Sec = s.digits(2, 2)
	if s.at+1 < len(s.b) && (s.b[s.at] == '.' || s.b[s.at] == ',') && s.b[s.at+1] >= '0' && s.b[s.at+1] <= '9' {
		s.at++
		s.fraction(t)
	}
}

func (s *scanner) fraction(t *logtime.Stamp) {
	scale := 100_000_000
	for ; s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9'; s.at++ {
		if scale > 0 {
			t.Nanos += int(s.b[s.at]-'0') * scale
			scale /= 10
			t.Digits++
		}
	}
}

// end checks the ranges and returns the length.
func (s *scanner) end(t *logtime.Stamp) int {
	if !s.ok || t.Month < 1 || t.Month > 12 || t.Day < 1 || t.Day > 31 || t.Hour > 23 || t.Minute > 59 || t.Sec > 60 {
		return 0
	}
	if most := [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[t.Month]; t.Day > most {
		return 0
	}
	if _, exists := t.Wall(t.Year); t.Year != 0 && !exists {
		return 0
	}
	return s.at
}

func looseTime(b []byte, t *logtime.Stamp) int {
	*t = logtime.Stamp{}
	s := scanner{b: b, ok: true}
	t.Year = s.digits(4, 4)
	s.byte('-')
	t.Month = s.digits(2, 2)
	s.byte('-')
	t.Day = s.digits(2, 2)
	s.blanks()
	s.clock(t)
	return s.end(t)
}

func shortTime(b []byte, t *logtime.Stamp) int {
	*t = logtime.Stamp{}
	s := scanner{b: b, ok: true}
	t.Year = 2000 + s.digits(2, 2)
	t.Month = s.digits(2, 2)
	t.Day = s.digits(2, 2)
	s.blanks()
	s.clock(t)
	return s.end(t)
}

func dayTime(b []byte, t *logtime.Stamp) int {
	*t = logtime.Stamp{}
	s := scanner{b: b, ok: true}
	if len(b) > 5 && b[3] == ',' {
		s.at = 4
		s.blanks()
	}
	t.Day = s.digits(1, 2)
	s.blanks()
	t.Month = s.month()
	s.blanks()
	t.Year = s.digits(4, 4)
	s.blanks()
	s.clock(t)
	n := s.end(t)
	if n == 0 {
		return 0
	}
	return n + zone(b[n:], t)
}

// zone reads " UTC", " GMT" or " +hhmm".
func zone(b []byte, t *logtime.Stamp) int {
	if hasPrefix(b, " UTC") || hasPrefix(b, " GMT") {
		t.Zoned = true
		return 4
	}
	if len(b) < 6 || b[0] != ' ' || b[1] != '+' && b[1] != '-' {
		return 0
	}
	s := scanner{b: b, at: 2, ok: true}
	hours, minutes := s.digits(2, 2), s.digits(2, 2)
	if !s.ok || hours > 15 || minutes > 59 {
		return 0
	}
	t.Zoned, t.Offset = true, hours*3600+minutes*60
	if b[1] == '-' {
		t.Offset = -t.Offset
	}
	return 6
}

func noonTime(b []byte, t *logtime.Stamp) int {
	*t = logtime.Stamp{}
	s := scanner{b: b, ok: true}
	t.Month = s.month()
	s.blanks()
	t.Day = s.digits(1, 2)
	s.byte(',')
	s.blanks()
	t.Year = s.digits(4, 4)
	s.blanks()
	s.clock(t)
	if t.Hour < 1 || t.Hour > 12 {
		return 0
	}
	t.Hour %= 12
	n := s.end(t)
	switch {
	case n > 0 && hasPrefix(b[n:], " AM"):
	case n > 0 && hasPrefix(b[n:], " PM"):
		t.Hour += 12
	default:
		return 0
	}
	return n + 3
}

func monthTime(b []byte, t *logtime.Stamp) int {
	*t = logtime.Stamp{}
	s := scanner{b: b, ok: true}
	t.Month = s.digits(2, 2)
	t.Day = s.digits(2, 2)
	s.blanks()
	s.clock(t)
	return s.end(t)
}

// epochTime takes 9 to 11 digits: from 1973 to 5138, so that other numbers
// are no times.
func epochTime(b []byte, t *logtime.Stamp) int {
	*t = logtime.Stamp{}
	i := 0
	var sec int64
	for i < len(b) && i < 12 && b[i] >= '0' && b[i] <= '9' {
		sec = sec*10 + int64(b[i]-'0')
		i++
	}
	if i < 9 || i > 11 {
		return 0
	}
	days := sec / 86400
	t.Year, t.Month, t.Day = civil(days)
	left := int(sec % 86400)
	t.Hour, t.Minute, t.Sec = left/3600, left/60%60, left%60
	t.Zoned = true
	s := scanner{b: b, at: i, ok: true}
	if i+1 < len(b) && b[i] == '.' && b[i+1] >= '0' && b[i+1] <= '9' {
		s.at++
		s.fraction(t)
	}
	return s.at
}

// civil returns the date that is so many days after 1970-01-01.
func civil(days int64) (year, month, day int) {
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if month > 12 {
		month -= 12
	}
	year = int(yoe + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}
