package agentless

import (
	"strings"
	"testing"
)

func TestTargetsAreReadAndNothingElseIs(t *testing.T) {
	for text, want := range map[string]Target{
		"ssh://root@web01:2222":      {"root", "web01", 2222},
		"web01":                      {"", "web01", 0},
		"bob@10.0.0.5":               {"bob", "10.0.0.5", 0},
		"ssh://root@[fe80::1]:22":    {"root", "fe80::1", 22},
		"ssh://web01.example.org/":   {"", "web01.example.org", 0},
		"ssh://DOMAIN+bob@web_01":    {"DOMAIN+bob", "web_01", 0},
		"ssh://root@web01-a.b:65535": {"root", "web01-a.b", 65535},
	} {
		got, err := ParseTarget(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := ParseTarget(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q, which reads as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "ssh://", "http://web01", "-oProxyCommand=id", "ssh://-oProxyCommand=id", "ssh://-l@web01", "root:secret@web01", "web01:0", "web01:70000", "web01:x",
		"web 01", "web01/etc", "web01?x", "a;b", "$(id)", "web\n01", "web01#x/y", "ssh://root@", "wéb",
	} {
		if got, err := ParseTarget(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestAListOfHostsHasEachOnce(t *testing.T) {
	list, err := ParseHosts(strings.NewReader("# servers\nroot@a\n\n  b:2222  # the database\nssh://c\r\n"))
	if err != nil || len(list) != 3 || list[1] != (Target{"", "b", 2222}) || list[2].Host != "c" {
		t.Fatalf("%+v, %v", list, err)
	}
	for text, want := range map[string]string{
		"a\nb\na\n":                    "line 3: ssh://a stands in line 1 already",
		"a\n-x\n":                      "line 2:",
		"# nobody\n":                   "names no host",
		strings.Repeat("a", maxList+1): "over",
	} {
		if _, err := ParseHosts(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"ssh://root@web01:2222", "a", "ssh://[::1]", "-o", "u@h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTarget(text)
		if err != nil {
			return
		}
		if got.Host == "" || got.Host[0] == '-' || got.User != "" && got.User[0] == '-' || strings.ContainsAny(got.Host+got.User, " \n'\"`$;|&") {
			t.Fatalf("%q: %+v", text, got)
		}
		if again, err := ParseTarget(got.String()); err != nil || again != got {
			t.Fatalf("%q: %+v is written %q: %+v, %v", text, got, got, again, err)
		}
	})
}
