package parsers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// A program is what stands behind the key, not in a later value of the rule.
func TestOtherValuesOfARuleAreNoProgram(t *testing.T) {
	rule := `ACTION=="add", RUN later, ENV{A}="b", RUN{program}+="/bin/c %k", PROGRAM == "/bin/d", RUN-"/bin/e"` + "\n"
	var got []string
	for _, ev := range parsertest.Parse(t, linuxStartup, parsertest.Sample{Name: "x.rules", Data: []byte(rule), Facts: parsertest.Facts{Path: "/etc/udev/rules.d/x.rules"}}).Events {
		got = append(got, ev.Cmdline)
	}
	if strings.Join(got, ";") != "/bin/c %k;/bin/d" {
		t.Errorf("%q", got)
	}
}

// A name that one packet states is in the rows of all files that are opened
// then, and it counts once, however often it is stated.
func TestNamesThatAreRememberedAreBounded(t *testing.T) {
	s, c := newSMB(), &conversation{}
	for range 1000 {
		keep(s, c, s.shares, 7, strings.Repeat("ü", 30_000))
	}
	if n := len(s.shares[7]); n > maxSMBName+3 || c.extra > 2*maxSMBName || s.kept != c.extra {
		t.Errorf("a name of %d bytes counts %d", n, c.extra)
	}
	for i := range uint32(2 * maxSMBNames) {
		keep(s, c, s.shares, i, "x")
	}
	if len(s.shares) != maxSMBNames {
		t.Errorf("%d names", len(s.shares))
	}
}

// Behind a gap there is the middle of a message, mostly.
func TestTheMiddleOfAMessageIsNoDNS(t *testing.T) {
	query := "\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x04test\x00\x00\x01\x00\x01"
	if !(dnsTalk{}).begins([]byte(query)) {
		t.Error("a query is none")
	}
	for _, b := range []string{query[2:], query[9:], strings.Repeat("v=spf1 ", 10), "\x00\x10", ""} {
		if (dnsTalk{}).begins([]byte(b)) {
			t.Errorf("%q begins a message", b)
		}
	}
}

// A package's name is in every row about it.
func TestNamesOfPackagesAreBounded(t *testing.T) {
	long := strings.Repeat("n", 1<<20)
	for _, c := range []struct {
		name   string
		schema []string
		more   string
	}{
		{"dnf", dnfSchema, "UPDATE rpm SET name='" + long + "' WHERE item_id=1;"},
		{"yum", yumSchema, "UPDATE pkgtups SET name='" + long + "' WHERE pkgtupid=1;"},
	} {
		path := filepath.Join(t.TempDir(), "t.db")
		sqlite3(t, path, append(c.schema, c.more)...)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parser := dnfHistory
		if c.name == "yum" {
			parser = yumHistory
		}
		cut := false
		for _, ev := range parsertest.Parse(t, parser, parsertest.Sample{Name: "t.db", Data: data}).Events {
			cut = cut || strings.HasPrefix(ev.Unit, "nnn")
			if len(ev.Message) > 4096 || len(ev.Unit) > 4096 {
				t.Errorf("%s: a message of %d bytes, a unit of %d", c.name, len(ev.Message), len(ev.Unit))
			}
		}
		if !cut {
			t.Errorf("%s: no event of the package", c.name)
		}
	}
}

// Of a mail to more recipients than are kept a row says so.
func TestAMailToMany(t *testing.T) {
	k := &talk{t: t}
	a, b := &side{addr: "10.0.0.1", port: 40000}, &side{addr: "10.0.0.2", port: 25}
	k.connect(a, b)
	k.say(b, a, 1400, "220 x ESMTP\r\n")
	k.say(a, b, 1400, "MAIL FROM:<a@example.test>\r\n")
	k.say(b, a, 1400, "250 OK\r\n")
	for range maxRecipients + 1 {
		k.say(a, b, 1400, "RCPT TO:<b@example.test>\r\n")
		k.say(b, a, 1400, "250 OK\r\n")
	}
	k.say(a, b, 1400, "DATA\r\n")
	k.say(b, a, 1400, "354 go\r\n")
	k.say(a, b, 1400, "x\r\n.\r\n")
	k.say(b, a, 1400, "250 OK\r\n")
	var mail *timeline.Event
	for _, ev := range parsertest.Parse(t, netPcap, parsertest.Sample{Name: "x.pcap", Data: k.classic()}).Events {
		if ev.Action == "mail" {
			mail = ev
		}
	}
	if mail == nil {
		t.Fatal("no mail")
	}
	if cut, _ := mail.Attr("cut"); cut != "rcpt_to" {
		t.Error("nothing says that recipients are missing")
	}
}
