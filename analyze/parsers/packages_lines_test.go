package parsers

import (
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
)

func TestYumLog(t *testing.T) { parsertest.Run(t, yumLog, "testdata/yum_log") }

func TestDnfLog(t *testing.T) { parsertest.Run(t, dnfLog, "testdata/dnf_log") }

func TestZypperHistory(t *testing.T) { parsertest.Run(t, zypperHistory, "testdata/zypper_history") }

func TestPacmanLog(t *testing.T) { parsertest.Run(t, pacmanLog, "testdata/pacman_log") }

func FuzzYumLog(f *testing.F) { parsertest.Fuzz(f, yumLog, "testdata/yum_log") }

func FuzzDnfLog(f *testing.F) { parsertest.Fuzz(f, dnfLog, "testdata/dnf_log") }

func FuzzZypperHistory(f *testing.F) { parsertest.Fuzz(f, zypperHistory, "testdata/zypper_history") }

func FuzzPacmanLog(f *testing.F) { parsertest.Fuzz(f, pacmanLog, "testdata/pacman_log") }

func TestPackageNamesOfRPMAreSplit(t *testing.T) {
	for pkg, want := range map[string]string{
		"nginx-1:1.20.1-14.el9.x86_64":         "nginx 1:1.20.1-14.el9 x86_64 -",
		"32:bind-libs-9.11.4-26.P2.el7.x86_64": "bind-libs 9.11.4-26.P2.el7 x86_64 32",
		"gpg-pubkey-8483c65d-5ccc5b19":         "gpg-pubkey 8483c65d-5ccc5b19 - -",
		"audit":                                "audit - - -",
		"-1-2.x":                               "-1-2.x - - -",
	} {
		log := "Jan 05 11:02:33 Installed: " + pkg + "\n"
		res := parsertest.Parse(t, yumLog, parsertest.Sample{Name: "yum.log", Data: []byte(log), Facts: parsertest.Facts{Year: 2026}})
		if len(res.Events) != 1 {
			t.Fatalf("%s: %d events", pkg, len(res.Events))
		}
		got := []string{res.Events[0].Unit}
		for _, key := range []string{"version", "arch", "epoch"} {
			v, _ := res.Events[0].Attr(key)
			if v == "" {
				v = "-"
			}
			got = append(got, v)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", pkg, got, want)
		}
	}
}

func BenchmarkDnfLog(b *testing.B) {
	text := strings.Repeat("2026-11-23T10:00:07+0100 SUBDEBUG Installed: nginx-1:1.20.1-14.el9.x86_64\n2026-11-23T10:00:08+0100 DDEBUG timer: config: 3 ms\n", 20_000)
	parsertest.Bench(b, dnfLog, parsertest.Sample{Name: "dnf.rpm.log", Data: []byte(text)})
}
