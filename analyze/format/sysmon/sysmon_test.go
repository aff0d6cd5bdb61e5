package sysmon_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/sysmon"
)

// document makes an event of values, escaped by the standard library.
func document(t testing.TB, values ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(`<Event><System><Provider Name="Linux-Sysmon" Guid="{ff032593-a8d3-4f13-b0d6-01fc615a0f97}"/><EventID>1</EventID><Version>5</Version><TimeCreated SystemTime="2024-05-14T07:30:00.123456000Z"/><EventRecordID>25</EventRecordID><Channel>Linux-Sysmon/Operational</Channel><Computer>web1</Computer><Security UserId="0"/></System><EventData>`)
	for _, v := range values {
		fmt.Fprintf(&b, `<Data Name="%s">`, v[0])
		if err := xml.EscapeText(&b, []byte(v[1])); err != nil {
			t.Fatal(err)
		}
		b.WriteString("</Data>")
	}
	b.WriteString("</EventData></Event>")
	return b.Bytes()
}

func TestValuesAreWhatWasEscaped(t *testing.T) {
	want := [][2]string{
		{"Image", "/usr/bin/ls"},
		{"CommandLine", `sh -c "echo '</Data><Data Name=\"Image\">/bin/true' && id > x"`},
		{"CurrentDirectory", "/tmp/&amp;lt;/\u00e9"},
		{"Empty", ""},
	}
	var e sysmon.Event
	if !e.Read(document(t, want...)) || !e.Whole {
		t.Fatal("the event is not read as a whole one")
	}
	if string(e.ID) != "1" || string(e.RecordID) != "25" || string(e.Time) != "2024-05-14T07:30:00.123456000Z" || string(e.Computer) != "web1" || string(e.UserID) != "0" {
		t.Errorf("System is %s %s %s %s %s", e.ID, e.RecordID, e.Time, e.Computer, e.UserID)
	}
	if len(e.Data) != len(want) {
		t.Fatalf("%d values, want %d", len(e.Data), len(want))
	}
	for i, v := range want {
		if string(e.Data[i].Name) != v[0] || string(e.Data[i].Text) != v[1] {
			t.Errorf("value %d is %s=%q, want %q", i, e.Data[i].Name, e.Data[i].Text, v)
		}
	}
	if string(e.Get("Image")) != "/usr/bin/ls" || e.Get("User") != nil {
		t.Error("Get finds another value than that of the name")
	}
}

func TestACutEventKeepsItsWholeValues(t *testing.T) {
	doc := document(t, [2]string{"Image", "/bin/a"}, [2]string{"CommandLine", "a & b"})
	var e sysmon.Event
	for n := range doc {
		if !e.Read(doc[:n]) {
			continue
		}
		if e.Whole {
			t.Fatalf("cut after %d bytes, it is called whole", n)
		}
		for i, want := range []string{"/bin/a", "a & b"} {
			if i < len(e.Data) && string(e.Data[i].Text) != want {
				t.Fatalf("cut after %d bytes, value %d is %q", n, i, e.Data[i].Text)
			}
		}
	}
}

func TestOtherMessagesAreRefused(t *testing.T) {
	var e sysmon.Event
	for _, msg := range []string{"", "Sysmon v1.3 started", "<Event><System><Provider Name=\"Other\"/><EventID>1</EventID></System></Event>", "<Event><System><Provider Name=\"Linux-Sysmon\"/></System></Event>"} {
		if e.Read([]byte(msg)) {
			t.Errorf("%q is read as an event", msg)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(document(f, [2]string{"Image", "/bin/<&>"}))
	f.Add([]byte(`<Event><System><Provider Name="Linux-Sysmon"/><EventID>1</EventID></System><Data Name="x">&#x41;&#0;&#xffffff;&;&amp</Data>`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var e sysmon.Event
		if !e.Read(msg) {
			return
		}
		total := 0
		for _, v := range e.Data {
			total += len(v.Name) + len(v.Text)
		}
		if total > len(msg) {
			t.Fatalf("%d bytes of values in a message of %d", total, len(msg))
		}
	})
}
