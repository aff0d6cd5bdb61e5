package linepattern_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/linepattern"
)

// found writes what a pattern found: the fields that are there, in order.
func found(p *linepattern.Pattern, f *linepattern.Fields) string {
	var parts []string
	if f.Time != nil {
		parts = append(parts, "time="+string(f.Time))
	}
	for i, name := range p.Names() {
		if f.Values[i] != nil {
			parts = append(parts, name+"="+string(f.Values[i]))
		}
	}
	return strings.Join(parts, " ")
}

func TestPatternsTakeLinesApart(t *testing.T) {
	for _, c := range []struct{ pattern, line, want string }{
		{"a {x} b {y}", "a 1 b 2 b 3", "x=1 y=2 b 3"},
		{"{x:last}, from {y}", "u, from h, from 9", "x=u, from h y=9"},
		{"{x:word}[{pid:int}]: {m}", "sshd[12]: hi", "x=sshd pid=12 m=hi"},
		{"{x:word}[{pid:int}]: {m}", "two words[12]: hi", "no"},
		{"{x:word}[{pid:int}]: {m}", "sshd[x]: hi", "no"},
		{"user {u}{?@{db}}{?, host {h}} end", "user a end", "u=a"},
		{"user {u}{?@{db}}{?, host {h}} end", "user a@b end", "u=a db=b"},
		{"user {u}{?@{db}}{?, host {h}} end", "user a, host c end", "u=a h=c"},
		{"user {u}{?@{db}}{?, host {h}}", "user a@b, host c", "u=a db=b h=c"},
		{"{m}{?, n {n:int}}", "text, n 5", "m=text n=5"},
		{"{m}{?, n {n:int}}", "text, n five", "no"}, // the option is not there, and the rest fits nothing
		{"{a:addr} x", "2001:db8::1 x", "a=2001:db8::1"},
		{"[{a:addrport}] {m}", "[::1:37752] m", "a=::1:37752 m=m"},
		{"[{a:addrport}] {m}", "[[::1]:37752] m", "a=[::1]:37752 m=m"},
		{"<{a:addrport}> {m}", "<[::1]:37752> m", "a=[::1]:37752 m=m"},
		{"{q:quoted} {m}", `"a \" b" c`, `q=a \" b m=c`},
		{"{q:quoted} {m}", `"a "" b" c`, `q=a "" b m=c`},
		{"{q:quoted}", `""`, "q="},
		{"{q:quoted}", `"open`, "no"},
		{"[{l:=warn|warning|error}]", "[warning]", "l=warning"},
		{"[{l:=warn|warning|error}]", "[info]", "no"},
		{"a{ }b", "a \t b", ""},
		{"a{ }b", "ab", "no"},
		{"[{time}] {m}", "[2026-11-23 06:03:21] m", "time=2026-11-23 06:03:21 m=m"},
		{"{_} at {m}", "x y at z", "m=z"},
		{"{t:int}{? {z:zone}} [{m}]", "1 CEST [x]", "t=1 z=CEST m=x"},
		{"{t:int}{? {z:zone}} [{m}]", "1 -03 [x]", "t=1 z=-03 m=x"},
		{"{t:int}{? {z:zone}} [{m}]", "1 [x]", "t=1 m=x"},
		{"v {v:word}{_}", "v 1.2 x", "v=1.2"},
		{"v {v:word}{_}", "v 1.2", "v=1.2"},
		{"{i:dashed} => {m}", "1s6m2g-0001AB-2C => x", "i=1s6m2g-0001AB-2C m=x"},
		{"{i:dashed} => {m}", "one-two => x", "no"},
		{"{n:int}", "-5", "n=-5"},
		{"{n:int}", "-", "no"},
		{"", "", ""},
		{"x", "xy", "no"},
	} {
		p := linepattern.MustCompile(c.pattern)
		var f linepattern.Fields
		got := "no"
		if p.Match([]byte(c.line), &f) {
			got = found(p, &f)
		}
		if got != c.want {
			t.Errorf("%q of %q: got %q, want %q", c.pattern, c.line, got, c.want)
		}
	}
}

func TestWrittenTimesAreRead(t *testing.T) {
	for _, c := range []struct{ form, text, want string }{
		{"loose", "2015-10-07  8:25:38 1", "2015-10-07T08:25:38Z 19"},
		{"short", "130324  0:04:00 [", "2013-03-24T00:04:00Z 15"},
		{"day", "Thu, 14 Oct 2021 15:24:12.023984 UTC]", "2021-10-14T15:24:12.023984Z 36"},
		{"day", "7 Dec 2018 14:12:01.123 *", "2018-12-07T14:12:01.123Z 23"},
		{"day", "14 Oct 2021 15:24:12 +0200]", "2021-10-14T13:24:12Z 26"},
		{"noon", "May 14, 2024 12:30:00 AM org", "2024-05-14T00:30:00Z 24"},
		{"noon", "May 14, 2024 1:30:00 PM org", "2024-05-14T13:30:00Z 23"},
		{"epoch", "1286536309.450 x", "2010-10-08T11:11:49.45Z 14"},
		{"epoch", "1709210096 x", "2024-02-29T12:34:56Z 10"},
		{"epoch", "12345 x", "no"},
		{"milli", "1400681361906 x", "2014-05-21T14:09:21.906Z 13"},
		{"milli", "14006813619060", "no"},
		{"iso", "2022-07-12 01:08:59,489 INFO", "2022-07-12T01:08:59.489Z 23"},
		{"iso", "12-Jul-2022 01:08:59 INFO", "no"},
		{"ctime", "Mon Jun  6 18:43:28 2016 [", "2016-06-06T18:43:28Z 24"},
		{"ctime", "Jun  6 18:43:28 x", "no"},
		{"loose", "2015-02-29  8:25:38", "no"},
		{"short", "139924  0:04:00", "no"},
		{"day", "31 Feb 2021 15:24:12", "no"},
		{"day", "14 Foo 2021 15:24:12", "no"},
		{"noon", "May 14, 2024 13:30:00 PM", "no"},
	} {
		p := linepattern.MustCompile("{time:" + c.form + "}{rest}")
		var f linepattern.Fields
		got := "no"
		if p.Match([]byte(c.text), &f) {
			s := &f.Stamp
			at := time.Date(s.Year, time.Month(s.Month), s.Day, s.Hour, s.Minute, s.Sec, s.Nanos, time.FixedZone("", s.Offset))
			got = fmt.Sprintf("%s %d", at.UTC().Format(time.RFC3339Nano), len(f.Time))
		}
		if got != c.want {
			t.Errorf("%s of %q: got %s, want %s", c.form, c.text, got, c.want)
		}
	}
}

func TestWrongPatternsAreRefused(t *testing.T) {
	for _, pattern := range []string{"{a}{b}", "{a", "a}", "{a:nonsense}", "{a} {a}", "{?{a}}", "{?x", "{time:never}"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", pattern)
				}
			}()
			linepattern.MustCompile(pattern)
		}()
	}
}

// The dates of epoch seconds are those of the standard library.
func TestEpochDatesAgreeWithTheCalendar(t *testing.T) {
	p := linepattern.MustCompile("{time:epoch}")
	var f linepattern.Fields
	for sec := int64(100_000_000); sec < 9_000_000_000; sec += 86400*13 + 12345 {
		if !p.Match(fmt.Append(nil, sec), &f) {
			t.Fatalf("%d is not read", sec)
		}
		wall, _ := f.Stamp.Wall(f.Stamp.Year)
		if want := time.Unix(sec, 0).UTC(); wall != sec || f.Stamp.Day != want.Day() || f.Stamp.Month != int(want.Month()) {
			t.Fatalf("%d is read as %+v", sec, f.Stamp)
		}
	}
}

// A line made against the pattern: the rate must not fall with its length.
func BenchmarkHostileLine(b *testing.B) {
	p := linepattern.MustCompile("{a}, b {b}{?, c {c}}{?, d {d}}{?, e {e}} end")
	for _, n := range []int{1 << 10, 1 << 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			line := []byte(strings.Repeat("x, b , c , d , e ", n))
			b.SetBytes(int64(len(line)))
			var f linepattern.Fields
			for b.Loop() {
				p.Match(line, &f)
			}
		})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("[{time}] {m}", []byte("[2026-11-23 06:03:21] m"))
	f.Add("{a:word} {q:quoted}{?, {n:int}}", []byte(`x "y", 5`))
	f.Add("{a:addrport}{ }{l:=a|b}{x:last}:{y}", []byte("1.1.1.1:5 a:b:c"))
	f.Fuzz(func(t *testing.T, pattern string, line []byte) {
		if len(pattern) > 200 || len(line) > 2000 {
			return
		}
		p := compiled(pattern)
		if p == nil {
			return
		}
		var got linepattern.Fields
		if !p.Match(line, &got) {
			return
		}
		for i, v := range got.Values {
			if len(v) > len(line) {
				t.Fatalf("field %s is longer than its line", p.Names()[i])
			}
		}
	})
}

func compiled(pattern string) (p *linepattern.Pattern) {
	defer func() {
		if recover() != nil {
			p = nil
		}
	}()
	return linepattern.MustCompile(pattern)
}
