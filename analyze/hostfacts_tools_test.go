package analyze_test

import (
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// told adds an output of a collecting program.
func (f *folder) told(path, content string) *folder {
	f.add("tool/"+path, content)
	it := &f.items[len(f.items)-1]
	it.Source, it.Path, it.Started = evidence.SourceTool, path, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return f
}

// received adds a file of the host out of what was received.
func (f *folder) received(path, content string) *folder {
	f.add("import/"+path, content)
	it := &f.items[len(f.items)-1]
	it.Source, it.Path, it.Started = evidence.SourceImport, path, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return f
}

// stated adds the statement of a reception.
func (f *folder) stated(text string) *folder {
	f.received("auth.log", "x")
	f.add("exhibit/reception.json", text)
	it := &f.items[len(f.items)-1]
	it.Source, it.Path, it.Started = "exhibit", "reception.json", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return f
}

func TestHostFactsComeFromTheRecordsOfOtherTools(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	uacLog := "2026-11-25 18:00:00 +0100 INF Unix-like Artifacts Collector 3.3.0\n2026-11-25 18:00:00 +0100 INF Hostname: fromlog\n2026-11-25 18:00:00 +0100 INF Time zone: Europe/Berlin\nno line of it\n"
	for _, c := range []struct {
		name string
		ev   *folder
		want analyze.Host
		zone string
	}{
		{
			"UAC", new(folder).told("uac.log", uacLog).told("live_response/network/hostname.txt", "web01\n").told("live_response/system/uptime_-s.txt", "2026-11-20 08:00:00\n").
				told("live_response/network/hostnamectl.txt", " Static hostname: static\n      Machine ID: 0123456789abcdef0123456789abcdef\n         Boot ID: fedcba9876543210fedcba9876543210\n"),
			analyze.Host{Name: "web01", MachineID: "0123456789abcdef0123456789abcdef", BootID: "fedcba9876543210fedcba9876543210", BootTime: at("2026-11-20T07:00:00Z"), Collected: at("2026-11-25T17:00:00Z")},
			"Europe/Berlin",
		},
		{"UAC's log alone, in an archive in another one", new(folder).told("u.tar.gz/uac.log", uacLog), analyze.Host{Name: "fromlog", Collected: at("2026-11-25T17:00:00Z")}, "Europe/Berlin"},
		{"the host's files come first", new(folder).told("uac.log", uacLog).received("/etc/hostname", "real\n").received("/etc/timezone", "UTC\n"), analyze.Host{Name: "real", Collected: at("2026-11-25T17:00:00Z")}, "UTC"},
		{
			"Velociraptor", new(folder).told("client_info.json", `{"hostname":"WS7","fqdn":"WS7.lan"}`).told("collection_context.json", `{"create_time":1669082757032004800,"start_time":1669082757032004800}`),
			analyze.Host{Name: "WS7", Collected: time.Unix(0, 1669082757032004800).UTC()},
			"",
		},
		{"Velociraptor of a server", new(folder).told("collection_context.json", `{"context":{"create_time":1698103691753341}}`), analyze.Host{Collected: time.UnixMicro(1698103691753341).UTC()}, ""},
		{"rows of Generic.Client.Info", new(folder).told("results/Generic.Client.Info/BasicInformation.json", `{"Name":"velociraptor","Hostname":"DESKTOP-1","Fqdn":"DESKTOP-1.lan"}`+"\n{}\n"), analyze.Host{Name: "DESKTOP-1"}, ""},
		{"KAPE", new(folder).told("2026-11-25T18_00_00_ConsoleLog.txt", "[..] System info: Machine name: WS8, 64-bit: True\n"), analyze.Host{Name: "WS8"}, ""},
		{"the word of who took it in", new(folder).stated(`{"v":1,"host":"web09"}`), analyze.Host{Name: "web09"}, ""},
		{"which counts last", new(folder).stated(`{"v":1,"host":"web09"}`).told("uac.log", uacLog), analyze.Host{Name: "fromlog", Collected: at("2026-11-25T17:00:00Z")}, "Europe/Berlin"},
		{"a file that is called like the statement", new(folder).received("reception.json", `{"host":"forged"}`), analyze.Host{}, ""},
		{"nothing", new(folder).received("auth.log", "x"), analyze.Host{}, ""},
		{"a file that is called like our own record", new(folder).received(record.Self, `{"hostname":"forged"}`), analyze.Host{}, ""},
		{"a tool's file that is called like one of the host", new(folder).told("/etc/hostname", "forged"), analyze.Host{}, ""},
		{"no JSON", new(folder).told("client_info.json", "{").told("collection_context.json", "[]").told("uac.log", "\x00"), analyze.Host{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := analyze.HostFacts(c.ev)
			if err != nil {
				t.Fatal(err)
			}
			if h.Name != c.want.Name || h.MachineID != c.want.MachineID || h.BootID != c.want.BootID || !h.BootTime.Equal(c.want.BootTime) || !h.Collected.Equal(c.want.Collected) {
				t.Errorf("got  %+v\nwant %+v", *h, c.want)
			}
			src := timeline.ZoneAssumed
			if c.zone != "" {
				src = timeline.ZoneHostConfig
			}
			if h.ZoneSrc != src || c.zone != "" && h.Zone.String() != c.zone {
				t.Errorf("zone %s (%s), want %q", h.Zone, h.ZoneSrc, c.zone)
			}
		})
	}
}

func FuzzHostFactsOfTools(f *testing.F) {
	f.Add("uac.log", "2026-11-25 18:00:00 +0100 INF Hostname: fromlog\n")
	f.Add("collection_context.json", `{"create_time":1669082757032004800}`)
	f.Add("live_response/network/hostnamectl.txt", "Machine ID: 1\n")
	f.Add("a_ConsoleLog.txt", "Machine name: WS8, 64-bit")
	f.Fuzz(func(t *testing.T, path, content string) {
		h, err := analyze.HostFacts(new(folder).told(path, content))
		if err != nil || len(h.Name) > 255 || h.Zone == nil {
			t.Errorf("%+v, %v", h, err)
		}
	})
}
