package timeline_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

type (
	and   = timeline.And
	or    = timeline.Or
	not   = timeline.Not
	match = timeline.Match
)

func word(s string) match             { return match{Op: timeline.OpWord, Value: s} }
func equal(field, value string) match { return match{Field: field, Op: timeline.OpEqual, Value: value} }

func within(field, value string) match {
	return match{Field: field, Op: timeline.OpContains, Value: value}
}

func TestQueriesMeanWhatTheySay(t *testing.T) {
	for query, want := range map[string]timeline.Expr{
		``:                                      nil,
		`   `:                                   nil,
		`*`:                                     and{},
		`failed password`:                       and{word("failed"), word("password")},
		`"failed password"`:                     word("failed password"),
		`a AND b OR c`:                          or{and{word("a"), word("b")}, word("c")},
		`a && (b || c)`:                         and{word("a"), or{word("b"), word("c")}},
		`NOT a -b !c`:                           and{not{word("a")}, not{word("b")}, not{word("c")}},
		`a - b`:                                 and{word("a"), word("-"), word("b")},
		`android ORDER NOTE`:                    and{word("android"), word("ORDER"), word("NOTE")},
		`user:root`:                             equal("user", "root"),
		`user.name:"NT AUTHORITY\SYSTEM"`:       equal("user", `NT AUTHORITY\SYSTEM`),
		`user:(root OR "www data")`:             or{equal("user", "root"), equal("user", "www data")},
		`-user:(root)`:                          not{equal("user", "root")},
		`message:failed`:                        match{Field: "message", Op: timeline.OpWord, Value: "failed"},
		`message:=failed`:                       equal("message", "failed"),
		`user:~oo`:                              match{Field: "user", Op: timeline.OpWord, Value: "oo"},
		`exe:/usr/*/sshd`:                       match{Field: "exe", Op: timeline.OpWildcard, Value: "/usr/*/sshd"},
		`exe:*bin*`:                             within("exe", "bin"),
		`*mimi*`:                                within("", "mimi"),
		`exe:/ssh.?d$/`:                         match{Field: "exe", Op: timeline.OpRegex, Value: "ssh.?d$"},
		`/a\/b c/ d`:                            and{match{Op: timeline.OpRegex, Value: "a/b c"}, word("d")},
		`/etc/passwd`:                           word("/etc/passwd"),
		`http://evil.example/x`:                 word("http://evil.example/x"),
		`C:\Windows\cmd.exe`:                    word(`C:\Windows\cmd.exe`),
		`10:30:22`:                              word("10:30:22"),
		`dst_port:[1 TO 1023}`:                  match{Field: "dst_port", Op: timeline.OpRange, Lo: "1", Hi: "1023", HiExc: true},
		`dst_port:>=1024`:                       match{Field: "dst_port", Op: timeline.OpRange, Lo: "1024"},
		`uid:<500`:                              match{Field: "uid", Op: timeline.OpRange, Hi: "500", HiExc: true},
		`ts:[2026-11-23T09:00 TO *]`:            match{Field: "ts", Op: timeline.OpRange, Lo: "2026-11-23T09:00"},
		`time:2026-11-23`:                       equal("ts", "2026-11-23"),
		`ts:["2026-11-23 09:00" TO 2027]`:       match{Field: "ts", Op: timeline.OpRange, Lo: "2026-11-23 09:00", Hi: "2027"},
		`src_ip:10.0.0.0/8`:                     match{Field: "src_ip", Op: timeline.OpCIDR, Value: "10.0.0.0/8"},
		`ip:10.0.0.1`:                           or{equal("src_ip", "10.0.0.1"), equal("dst_ip", "10.0.0.1")},
		`port:22`:                               or{equal("src_port", "22"), equal("dst_port", "22")},
		`user.id:S-1-5-18`:                      equal("sid", "S-1-5-18"),
		`hash:d41d8cd98f00b204e9800998ecf8427e`: equal("md5", "d41d8cd98f00b204e9800998ecf8427e"),
		`has:url`:                               match{Field: "url", Op: timeline.OpExists},
		`_exists_:ip`:                           or{match{Field: "src_ip", Op: timeline.OpExists}, match{Field: "dst_ip", Op: timeline.OpExists}},
		`url:*`:                                 match{Field: "url", Op: timeline.OpExists},
		`auid:1000`:                             equal("auid", "1000"),
		`attr.user:x`:                           equal("attr.user", "x"),
		`odd\ key\::v`:                          equal("odd key:", "v"),
		`exe:contains("a b")`:                   within("exe", "a b"),
		`addr:cidr("::1/128")`:                  match{Field: "addr", Op: timeline.OpCIDR, Value: "::1/128"},
		`process:sshd`: or{
			equal("exe", "sshd"),
			match{Field: "exe", Op: timeline.OpWildcard, Value: "*/sshd"},
			match{Field: "exe", Op: timeline.OpWildcard, Value: `*\\sshd`},
		},
	} {
		q, err := timeline.Parse(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		} else if !reflect.DeepEqual(q.Where, want) {
			t.Errorf("%s\n got %#v\nwant %#v", query, q.Where, want)
		}
	}
}

func TestSyntaxErrorsPointAtTheCharacter(t *testing.T) {
	for query, want := range map[string]struct {
		offset int
		reason string
	}{
		`a (b`:                         {2, "not closed"},
		`a)`:                           {1, "no parenthesis"},
		`()`:                           {1, "missing"},
		`a AND`:                        {5, "missing"},
		`OR a`:                         {3, "missing"},
		`user:`:                        {5, "value is missing"},
		`user: x`:                      {5, "value is missing"},
		`ä "x`:                         {3, "quotation mark"},
		`pid:abc`:                      {4, "whole number"},
		`ts:yesterday`:                 {3, "time such as"},
		`pid:[1 2]`:                    {7, "TO is missing"},
		`pid:[1 TO 2`:                  {4, "not closed"},
		`/a(/`:                         {0, "missing closing"},
		`src_ip:cidr("x")`:             {7, "no network"},
		`exe:contains("x" y)`:          {16, "closing parenthesis"},
		strings.Repeat("(", 200) + "a": {101, "nested deeper"},
	} {
		_, err := timeline.Parse(query)
		var at *timeline.SyntaxError
		if !errors.As(err, &at) {
			t.Errorf("%s: error %v, want a SyntaxError", query, err)
			continue
		}
		if at.Offset != want.offset || !strings.Contains(at.Reason, want.reason) {
			t.Errorf("%s: offset %d, %q; want %d, %q", query, at.Offset, at.Reason, want.offset, want.reason)
		}
	}
}

func TestPointerStandsUnderTheCharacter(t *testing.T) {
	_, err := timeline.Parse("ä pid:x")
	var at *timeline.SyntaxError
	if !errors.As(err, &at) || at.Pointer() != "ä pid:x\n      ^" {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "character 7") {
		t.Errorf("%v: want character 7", err)
	}
}

func TestHintsNameFieldsThatLookAlike(t *testing.T) {
	hints := timeline.Hints(`usr:root AND src_prot:22 has:mesage auid_x:1 user:x ip:1.2.3.4 attr.usr:y`)
	var got []string
	for _, h := range hints {
		got = append(got, h.Field+">"+h.Near[0])
	}
	if want := []string{"usr>user", "src_prot>src_port", "mesage>message"}; !reflect.DeepEqual(got, want) {
		t.Errorf("hints %v, want %v", got, want)
	}
}

func TestFormattedConditionsKeepTheirMeaning(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	events, _, _ := storetest.Collect(t, storetest.Jobs(3, 4, 60))
	for _, e := range events {
		e.Normalize()
	}
	told := 0
	for range 3000 {
		x := storetest.RandomExpr(r, 3)
		text := timeline.Format(x)
		q, err := timeline.Parse(text)
		if err != nil {
			t.Fatalf("%#v\n%s: %v", x, text, err)
		}
		if again := timeline.Format(q.Where); again != text {
			t.Fatalf("%#v\nfirst  %s\nsecond %s", x, text, again)
		}
		a, errA := timeline.NewMatcher(x)
		b, errB := timeline.NewMatcher(q.Where)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for i := 0; i < len(events); i += 1 + r.IntN(20) {
			if a.Match(events[i]) != b.Match(events[i]) {
				t.Fatalf("%s: event %d is judged differently", text, i)
			}
			if a.Match(events[i]) {
				told++
			}
		}
	}
	if told == 0 {
		t.Fatal("no condition held for any event")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`failed password AND -user:root`, `ip:10.0.0.0/8 OR port:[1 TO 1023}`, `/a\/b/ "x\"y" exe:*\\cmd.exe`,
		`user:(a OR b) has:url ts:>=2026-11`, `a\ b\::c\*d?`, `process:ss* x:wildcard("a*")`, `:`, `-`, `((`, "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := timeline.Parse(s)
		if err != nil {
			var at *timeline.SyntaxError
			if !errors.As(err, &at) || at.Offset < 0 || at.Offset > len(s) {
				t.Fatalf("error %#v", err)
			}
			_ = at.Error() + at.Pointer()
			return
		}
		text := timeline.Format(q.Where)
		again, err := timeline.Parse(text)
		if err != nil && len(text) <= 64<<10 {
			t.Fatalf("%q is written as %q: %v", s, text, err)
		}
		if err == nil && timeline.Format(again.Where) != text {
			t.Fatalf("%q is written as %q, then as %q", s, text, timeline.Format(again.Where))
		}
		timeline.Hints(s)
	})
}
