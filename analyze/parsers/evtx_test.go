package parsers

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx/evtxtest"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestWindowsEvtx(t *testing.T) { parsertest.Run(t, windowsEvtx, "testdata/windows_evtx") }

func FuzzWindowsEvtx(f *testing.F) { parsertest.Fuzz(f, windowsEvtx, "testdata/windows_evtx") }

func BenchmarkWindowsEvtx(b *testing.B) {
	f := evtxtest.New()
	for i := range 4000 {
		f.Add(sampleLogon(uint64(i)))
	}
	parsertest.Bench(b, windowsEvtx, parsertest.Sample{Name: "bench.evtx", Data: f.Bytes()})
}

func named(pairs ...any) (data []evtxtest.Pair) {
	for i := 0; i < len(pairs); i += 2 {
		v, ok := pairs[i+1].(evtxtest.Value)
		if !ok {
			v = evtxtest.String(pairs[i+1].(string))
		}
		data = append(data, evtxtest.Pair{Name: pairs[i].(string), Value: v})
	}
	return data
}

var sampleStart = time.Date(2024, 5, 14, 9, 30, 0, 123_456_700, time.UTC)

func sampleEvent(minute uint64, provider, channel string, code uint16, data []evtxtest.Pair) evtxtest.Event {
	return evtxtest.Event{
		Time: evtxtest.Time(sampleStart) + minute*600_000_001, Provider: provider, Code: code, Channel: channel,
		Computer: "WS01.example.test", PID: 612, TID: 7004, Level: 4, Keywords: 0x8020000000000000, User: evtxtest.Null(), Data: data,
	}
}

const security = "Microsoft-Windows-Security-Auditing"

func sampleLogon(minute uint64) evtxtest.Event {
	return sampleEvent(minute, security, "Security", 4624, named(
		"SubjectUserSid", evtxtest.SID(18), "SubjectUserName", "WS01$", "SubjectDomainName", "EXAMPLE", "SubjectLogonId", evtxtest.Hex64(0x3e7),
		"TargetUserSid", evtxtest.SID(21, 1, 2, 3, 1104), "TargetUserName", "ann", "TargetDomainName", "EXAMPLE", "TargetLogonId", evtxtest.Hex64(0x4be21a),
		"LogonType", evtxtest.Uint32(10), "ProcessId", evtxtest.Hex64(0x264), "ProcessName", `C:\Windows\System32\svchost.exe`,
		"IpAddress", "203.0.113.7", "IpPort", "50144"))
}

// TestEvtxSamplesAreMade runs only with -samples.
func TestEvtxSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join("testdata", "windows_evtx", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := evtxtest.New()
	f.Add(sampleEvent(0, security, "Security", 4625, named("TargetUserName", "admin", "TargetDomainName", "-", "Status", evtxtest.Value{Type: 0x14, Data: []byte{0x6d, 0, 0, 0xc0}}, "LogonType", evtxtest.Uint32(3), "IpAddress", "::ffff:203.0.113.7", "IpPort", "0")))
	f.Add(sampleLogon(1))
	f.Add(sampleEvent(2, security, "Security", 4688, named("SubjectUserName", "ann", "SubjectLogonId", evtxtest.Hex64(0x4be21a), "NewProcessId", evtxtest.Hex64(0x1a4c), "NewProcessName", `C:\Windows\System32\cmd.exe`, "ProcessId", evtxtest.Hex64(0x264), "CommandLine", "cmd.exe /c whoami > \"C:\\t\u00e9mp\"", "ParentProcessName", `C:\Windows\explorer.exe`)))
	f.Add(sampleEvent(3, "Service Control Manager", "System", 7045, named("ServiceName", "updater", "ImagePath", `C:\Users\Public\u.exe`, "ServiceType", "user mode service", "AccountName", "LocalSystem")))
	cleared := sampleEvent(4, "Microsoft-Windows-Eventlog", "Security", 1102, named("SubjectUserSid", evtxtest.SID(21, 1, 2, 3, 1104), "SubjectUserName", "ann", "SubjectLogonId", evtxtest.Hex64(0x4be21a)))
	cleared.UserData = "LogFileCleared"
	f.Add(cleared)
	f.Add(sampleEvent(5, "Example-Provider", "Application", 7, named("", "one", "", "two", "bytes", evtxtest.Binary([]byte{0, 1, 0xfe}), "half", evtxtest.Value{Type: 0x01, Data: []byte{'a', 0, 0, 0xd8}})))
	f.Add(sampleEvent(6, "Microsoft-Windows-TerminalServices-LocalSessionManager", "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", 21, named("User", `EXAMPLE\ann`, "SessionID", evtxtest.Uint32(2), "Address", "203.0.113.7")))
	f.Add(sampleEvent(7, "OpenSSH", "OpenSSH/Operational", 4, named("process", "sshd", "payload", "Accepted password for ann from 203.0.113.7 port 50150 ssh2")))
	undated := sampleEvent(8, "Example-Provider", "Application", 8, named("late", "yes"))
	undated.Time = 1<<63 - 1
	f.Add(undated)
	write("security.evtx", f.Bytes())

	sysmon := evtxtest.New()
	const provider, channel = "Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational"
	guid := evtxtest.Value{Type: 0x0f, Data: []byte("\x01\x02\x03\x04\x05\x06\x07\x08abcdefgh")}
	sysmon.Add(sampleEvent(0, provider, channel, 1, named("UtcTime", "2024-05-14 09:30:00.120", "ProcessGuid", guid, "ProcessId", evtxtest.Uint32(6732), "Image", `C:\Users\Public\u.exe`, "CommandLine", "u.exe -k", "CurrentDirectory", `C:\Users\Public\`, "User", `EXAMPLE\ann`, "LogonId", evtxtest.Hex64(0x4be21a), "Hashes", "MD5=00,SHA256="+strings.Repeat("AB", 32)+",IMPHASH=00", "ParentProcessId", evtxtest.Uint32(6700), "ParentImage", `C:\Windows\System32\cmd.exe`, "ParentCommandLine", "cmd.exe")))
	sysmon.Add(sampleEvent(1, provider, channel, 3, named("ProcessGuid", guid, "ProcessId", evtxtest.Uint32(6732), "Image", `C:\Users\Public\u.exe`, "SourceIp", "192.0.2.10", "SourcePort", evtxtest.Uint16(49800), "DestinationIp", "198.51.100.9", "DestinationPort", evtxtest.Uint16(443), "DestinationHostname", "-")))
	sysmon.Add(sampleEvent(2, provider, channel, 22, named("ProcessGuid", guid, "ProcessId", evtxtest.Uint32(6732), "Image", `C:\Users\Public\u.exe`, "QueryName", "c2.example.test", "QueryResults", "198.51.100.9;")))
	sysmon.Add(sampleEvent(3, provider, channel, 13, named("ProcessGuid", guid, "ProcessId", evtxtest.Uint32(6732), "Image", `C:\Users\Public\u.exe`, "TargetObject", `HKU\S-1-5-21\Software\Microsoft\Windows\CurrentVersion\Run\u`, "Details", `C:\Users\Public\u.exe`)))
	forwarded := sampleEvent(4, "Example-Provider", "ForwardedEvents", 9, named("Path", `\\server\share`))
	forwarded.Literal, forwarded.Record, forwarded.Computer = true, 9000, "OTHER.example.test"
	sysmon.Add(forwarded)
	// Dirty, with two records beyond what the chunk states.
	b := evtxtest.Dirty(sysmon.Bytes())
	at := 4096 + 512
	for range 3 {
		at += int(binary.LittleEndian.Uint32(b[at+4:]))
	}
	binary.LittleEndian.PutUint32(b[4096+48:], uint32(at-4096))
	evtxtest.SealChunk(b[4096:])
	write("sysmon-dirty.evtx", b)

	b = f.Bytes()
	at = 4096 + 512
	for range 3 {
		at += int(binary.LittleEndian.Uint32(b[at+4:]))
	}
	b[at+4]++ // the size of the fourth
	write("damaged-record.evtx", b)
}

// Every event of the table is one that the table can name only once, and its
// columns exist.
func TestEvtxMeanings(t *testing.T) {
	if len(evtxKnown) < 240 {
		t.Errorf("%d events known", len(evtxKnown))
	}
	seen := map[string]bool{}
	provider := ""
	for line := range strings.Lines(evtxMeanings) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok {
			provider = name
			continue
		}
		codes, _, _ := strings.Cut(line, "|")
		for code := range strings.FieldsSeq(codes) {
			if seen[provider+code] {
				t.Errorf("%s %s is there twice", provider, code)
			}
			seen[provider+code] = true
		}
	}
	for key, m := range evtxKnown {
		if m.action == "" || m.category == "" || m.title == "" {
			t.Errorf("%v is incomplete", key)
		}
		for _, c := range m.columns {
			value := "500"
			switch c.column {
			case "src_ip", "dst_ip":
				value = "192.0.2.1"
			case "sha256":
				value = "SHA256=" + strings.Repeat("AB", 32)
			}
			f := evtxtest.New().Add(sampleEvent(0, "Test", "Test", 1, named(c.key, value)))
			res := parsertest.Parse(t, windowsEvtx, parsertest.Sample{Name: "x.evtx", Data: f.Bytes()})
			if len(res.Events) != 1 {
				t.Fatalf("%v: %d events", key, len(res.Events))
			}
			before := parsertest.Lines(res)
			restore := evtxKnown[evtxKey{"test", "1"}]
			evtxKnown[evtxKey{"test", "1"}] = &evtxMeant{title: "Test 1", columns: []evtxColumn{c}}
			after := parsertest.Lines(parsertest.Parse(t, windowsEvtx, parsertest.Sample{Name: "x.evtx", Data: f.Bytes()}))
			delete(evtxKnown, evtxKey{"test", "1"})
			if restore != nil {
				evtxKnown[evtxKey{"test", "1"}] = restore
			}
			if bytes.Equal(before, after) {
				t.Errorf("%v: column %q of %s takes nothing", key, c.column, c.key)
			}
		}
	}
}

// The figures and times of the corpus, as libevtx has them, are those of
// package evtx; here it is what the rows say of well-known attacks.
func TestWindowsEvtxOnAttacks(t *testing.T) {
	dir := filepath.Join(testenv.Corpus(t), "evtx", "evtx_attack")
	for _, c := range []struct {
		file  string
		check func(*timeline.Event) bool
		count int
	}{
		{"EVTX-ATTACK-SAMPLES/sysmon_10_11_lsass_memdump.evtx", func(e *timeline.Event) bool {
			return e.Action == "process-accessed" && strings.HasSuffix(e.File, `\lsass.exe`) && e.Exe != "" && e.PID > 0
		}, 2},
		{"EVTX-to-MITRE-Attack/ID4-OpenSSH_brutforce_with_valid_users.evtx", func(e *timeline.Event) bool {
			return e.Action == "user-login" && e.Outcome == "failure" && e.User != "" && e.SrcIP != ""
		}, 5},
		{"EVTX-to-MITRE-Attack/ID4698-4699-Fast_created___deleted_task_by_ATexec__susp._arg._.evtx", func(e *timeline.Event) bool {
			return e.Action == "task-created" && e.Unit != "" && e.User != ""
		}, 1},
	} {
		data, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, windowsEvtx, parsertest.Sample{Name: filepath.Base(c.file), Data: data})
		n := 0
		for _, e := range res.Events {
			if e.Flags&timeline.Carved == 0 && c.check(e) {
				n++
			}
		}
		if n != c.count {
			t.Errorf("%s: %d events, want %d\n%s", c.file, n, c.count, parsertest.Lines(res))
		}
	}
}
