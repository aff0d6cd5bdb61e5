package collectors

import (
	"context"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestTablesOfEndpointsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, proto, family, table string
		want                       []record.WindowsSocket
	}{
		{
			"tcp", "tcp", "inet",
			"02000000" + "02000000" + "00000000" + "01bb0000" + "7f7f7f7f" + "ffff0000" + "04000000" +
				"05000000" + "c0000202" + "c0010000" + "cb007150" + "01bb0000" + "d2040000",
			[]record.WindowsSocket{
				{Proto: "tcp", Family: "inet", Local: "0.0.0.0", LocalPort: 443, State: "listen", PID: 4},
				{Proto: "tcp", Family: "inet", Local: "192.0.2.2", LocalPort: 49153, Remote: "203.0.113.80", RemotePort: 443, State: "established", PID: 1234},
			},
		},
		{
			"tcp of version 6", "tcp", "inet6",
			"01000000" + "fe800000000000000000000000000001" + "0000000c" + "01bd0000" + "20010db8000000000000000000000002" + "00000000" + "c0000000" + "08000000" + "08000000",
			[]record.WindowsSocket{{Proto: "tcp", Family: "inet6", Local: "fe80::1%12", LocalPort: 445, Remote: "2001:db8::2", RemotePort: 49152, State: "close-wait", PID: 8}},
		},
		{
			"udp", "udp", "inet", "01000000" + "7f000001" + "00350000" + "10000000",
			[]record.WindowsSocket{{Proto: "udp", Family: "inet", Local: "127.0.0.1", LocalPort: 53, PID: 16}},
		},
		{
			"udp of version 6", "udp", "inet6", "01000000" + "00000000000000000000000000000000" + "00000000" + "14e90000" + "20000000",
			[]record.WindowsSocket{{Proto: "udp", Family: "inet6", Local: "::", LocalPort: 5353, PID: 32}},
		},
		{"none", "udp", "inet", "00000000", nil},
	} {
		table, err := hex.DecodeString(c.table)
		check(t, err)
		got, err := ownerTable(table, c.proto, c.family)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
		if len(c.want) > 0 {
			if _, err := ownerTable(table[:len(table)-1], c.proto, c.family); err == nil {
				t.Errorf("%s: cut, and accepted", c.name)
			}
		}
	}
}

func TestWindowsFilesAreTakenForTheirRuleWhateverTheirCase(t *testing.T) {
	want := map[string]string{
		"/WINDOWS/System32/config/software":                                  "registry hives",
		"/WINDOWS/System32/config/SYSTEM.LOG2":                               "registry hives",
		"/WINDOWS/System32/config/RegBack/SYSTEM":                            "registry hives",
		"/WINDOWS/System32/config/TxR/x.TxR.0.regtrans-ms":                   "registry hives",
		"/WINDOWS/appcompat/programs/AMCACHE.HVE.LOG1":                       "registry hives",
		"/WINDOWS/System32/config/Sam":                                       "",
		"/WINDOWS/System32/Winevt/Logs/System.evtx":                          "event logs",
		"/WINDOWS/Prefetch/CMD.EXE-1.pf":                                     "prefetch",
		"/WINDOWS/System32/SRU/SRUDB.dat":                                    "SRUM",
		"/WINDOWS/System32/Tasks/Microsoft/x":                                "scheduled tasks",
		"/WINDOWS/System32/wbem/Repository/OBJECTS.DATA":                     "WMI repository",
		"/WINDOWS/System32/drivers/etc/hosts":                                "name resolution and network configuration",
		"/WINDOWS/System32/LogFiles/Firewall/pfirewall.log":                  "firewall logs",
		"/inetpub/logs/LogFiles/W3SVC1/u_ex.log":                             "IIS",
		"/$MFT":                                                              "NTFS metadata",
		"/$Extend/$UsnJrnl":                                                  "NTFS metadata",
		"/$RECYCLE.BIN/S-1-5/$I1.txt":                                        "recycle bin",
		"/ProgramData/Microsoft/Windows/WER/ReportArchive/a/Report.wer":      "error reports and crash dumps",
		"/ProgramData/Microsoft/Windows/Start Menu/Programs/StartUp/run.lnk": "startup folders",
		"/Users/an[n]a/NTUSER.DAT":                                           "registry hives",
		"/Users/an[n]a/ntuser.dat.LOG1":                                      "registry hives",
		"/Users/an[n]a/AppData/Local/Microsoft/Windows/UsrClass.dat":         "registry hives",
		"/Users/an[n]a/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadline/ConsoleHost_history.txt":           "PowerShell history",
		"/Users/an[n]a/AppData/Local/Google/Chrome/User Data/Default/History":                                     "browsers",
		"/Users/an[n]a/AppData/Local/Google/Chrome/User Data/Default/Login Data":                                  "",
		"/Users/an[n]a/AppData/Local/Microsoft/Terminal Server Client/Cache/Cache0000.bin":                        "remote desktop",
		"/Users/an[n]a/AppData/Roaming/Microsoft/Windows/Recent/AutomaticDestinations/1.automaticDestinations-ms": "recent files and jump lists",
		"/Users/an[n]a/AppData/Roaming/Microsoft/Protect/S-1/key":                                                 "",
		"/Users/an[n]a/Documents/letter.docx":                                                                     "",
		"/Windows.old/x":                                                                                          "",
	}
	expectRules(t, windowsFiles, want)
}

func TestFilesOfMacOSAreTakenForTheirRule(t *testing.T) {
	expectRules(t, darwinFiles, map[string]string{
		"/System/Library/CoreServices/SystemVersion.plist":                            "installation history",
		"/Library/LaunchDaemons/com.x.plist":                                          "launch agents and daemons",
		"/Users/anna/Library/LaunchAgents/y.plist":                                    "launch agents and daemons",
		"/private/var/db/diagnostics/Persist/1.tracev3":                               "unified logs",
		"/private/var/db/uuidtext/0A/1":                                               "unified logs",
		"/.fseventsd/0001":                                                            "FSEvents and Spotlight",
		"/Users/anna/Library/Application Support/com.apple.TCC/TCC.db":                "privacy database",
		"/Users/anna/Library/Preferences/com.apple.LaunchServices.QuarantineEventsV2": "quarantine and execution policy",
		"/Users/anna/Library/Application Support/Knowledge/knowledgeC.db":             "usage",
		"/private/var/db/com.apple.backgroundtaskmanagement/BackgroundItems-v8.btm":   "login and background items",
		"/Library/Receipts/InstallHistory.plist":                                      "installation history",
		"/Users/anna/.zsh_history":                                                    "shell histories and start files",
		"/Users/anna/Library/Safari/History.db":                                       "browsers",
		"/Users/anna/Library/Keychains/login.keychain-db":                             "",
		"/private/var/db/dslocal/nodes/Default/users/anna.plist":                      "",
		"/Users/anna/Documents/letter.pages":                                          "",
	})
}

func TestFilesOfFreeBSDAreTakenForTheirRule(t *testing.T) {
	expectRules(t, freebsdFiles, map[string]string{
		"/bin/freebsd-version":       "configuration",
		"/etc/master.passwd":         "",
		"/var/log/auth.log":          "logs",
		"/var/log/utx.log":           "login records",
		"/etc/rc.conf":               "what starts by itself",
		"/usr/local/etc/rc.d/evil":   "what starts by itself",
		"/var/db/pkg/local.sqlite":   "packages",
		"/usr/home/anna/.sh_history": "shell histories and start files",
		"/home/ben/.ssh/known_hosts": "SSH of users",
		"/usr/home/anna/letter":      "",
	})
}

func FuzzTablesOfEndpoints(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 127, 0, 0, 1, 0, 53, 0, 0, 16, 0, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, proto := range []string{"tcp", "udp"} {
			for _, family := range []string{"inet", "inet6"} {
				list, err := ownerTable(table, proto, family)
				if err != nil && len(list) > 0 || len(list) > len(table)/12 {
					t.Errorf("%d rows of %d bytes: %v", len(list), len(table), err)
				}
			}
		}
	})
}

func TestWhatAsksARunningSystemIsForThatSystem(t *testing.T) {
	for system, list := range map[string][]collect.Collector{
		"windows": {windowsProcesses, windowsSockets, windowsUsers, windowsServices}, "darwin": {darwinProcesses},
	} {
		for _, c := range list {
			if c.System() != system || !c.Live {
				t.Errorf("%s is for %q, live %t", c.Name, c.System(), c.Live)
			}
			if runtime.GOOS == system {
				continue
			}
			h := plant(t, "etc/")
			if err := c.Run(context.Background(), h, newMemoryTaker(h)); !errors.Is(err, collect.ErrUnsupported) {
				t.Errorf("%s here: %v", c.Name, err)
			}
		}
	}
}
