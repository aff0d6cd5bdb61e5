package collectors

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestTaintOfAModuleInWords(t *testing.T) {
	got := taintMeans("OE-?")
	want := []string{"O: a module built outside the kernel's tree was loaded", "E: an unsigned module was loaded", "?: not known to this program"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestBinFormats(t *testing.T) {
	f, ok := parseBinFormat("qemu-arm", []byte("enabled\ninterpreter /usr/bin/qemu arm\nflags: OCF\noffset 2\nmagic 7f454c46\nmask ffffff00\n"))
	want := record.BinFormat{Name: record.Bytes("qemu-arm"), Enabled: true, Interpreter: record.Bytes("/usr/bin/qemu arm"), Flags: "OCF", Offset: 2, Magic: "7f454c46", Mask: "ffffff00"}
	if !ok || !reflect.DeepEqual(f, want) {
		t.Errorf("%+v", f)
	}
	if f, ok = parseBinFormat("x", []byte("disabled\ninterpreter /x\nflags: \nextension .exe\n")); !ok || f.Enabled || string(f.Extension) != ".exe" {
		t.Errorf("%+v", f)
	}
	if _, ok = parseBinFormat("x", []byte("Operation not permitted")); ok {
		t.Error("what is no handler was taken for one")
	}
}

// The lines are those of the kernel's documentation and of its code: few
// machines that tests run on measure.
func TestMeasurementsOfIMA(t *testing.T) {
	const h1, h2 = "91f34b5c671d73504b274a919661cf80dab1e127", "1801e1be3e65ef1eaa5c16617bec8f1274eaf6b3"
	for line, want := range map[string]record.Measurement{
		"10 " + h1 + " ima-ng sha1:" + h2 + " boot_aggregate \n": {PCR: 10, TemplateHash: h1, Template: "ima-ng", Algorithm: "sha1", Hash: h2, Path: record.Bytes("boot_aggregate")},
		"10 " + h1 + " ima " + h2 + " /bin/sh\n":                 {PCR: 10, TemplateHash: h1, Template: "ima", Algorithm: "sha1", Hash: h2, Path: record.Bytes("/bin/sh")},
		"10 " + h1 + " ima-sig sha256:abcd /a_b 030204\n":        {PCR: 10, TemplateHash: h1, Template: "ima-sig", Algorithm: "sha256", Hash: "abcd", Path: record.Bytes("/a_b"), Signed: true},
		"10 " + h1 + " ima-sig sha256:abcd /a_b \n":              {PCR: 10, TemplateHash: h1, Template: "ima-sig", Algorithm: "sha256", Hash: "abcd", Path: record.Bytes("/a_b")},
		"10 " + h1 + " ima-ngv2 verity:sha256:abcd /a\n":         {PCR: 10, TemplateHash: h1, Template: "ima-ngv2", Algorithm: "verity:sha256", Hash: "abcd", Path: record.Bytes("/a")},
		"11 " + h1 + " own whatever\n":                           {PCR: 11, TemplateHash: h1, Template: "own", Text: record.Bytes("11 " + h1 + " own whatever")},
	} {
		if m, ok := parseMeasurement(line); !ok || !reflect.DeepEqual(m, want) {
			t.Errorf("%q\n%+v, want\n%+v", line, m, want)
		}
	}
	if _, ok := parseMeasurement("no measurement at all"); ok {
		t.Error("what is no measurement was taken for one")
	}
}

func TestKeysOfThisMachine(t *testing.T) {
	text, err := os.ReadFile("/proc/keys")
	if err != nil {
		t.Skip("skipped: this kernel has no /proc/keys")
	}
	h := openHost(t, "/")
	out := newMemoryTaker(h)
	check(t, collectKernelSets(context.Background(), h, out))
	keys := recordsOf[record.Key](t, out.streams[record.Keys])
	lines := strings.Count(string(text), "\n")
	if len(keys) == 0 && lines > 0 || len(keys) > lines+20 {
		t.Errorf("%d keys of %d lines", len(keys), lines)
	}
	for _, k := range keys {
		if !strings.Contains(string(text), k.Serial) { // those of this process come and go
			continue
		}
		again := fmt.Sprintf("%s %s %5d %s %s %5d %5d %-9s %s", k.Serial, k.Flags, k.Usage, k.Timeout, k.Perm, k.UID, k.GID, k.Type, k.Description)
		if same := strings.Contains(squeeze(string(text)), squeeze(again)); !same && k.Timeout == "perm" && k.Usage == 1 {
			t.Errorf("%+v is not in\n%s", k, text)
		}
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func FuzzKernelLists(f *testing.F) {
	f.Add("168cb94a I------     1 perm 1f030000     0     0 keyring   .dns_resolver: empty\n")
	f.Add("10 91f34b5c671d73504b274a919661cf80dab1e127 ima-ng sha1:1801e1be boot_aggregate\n")
	f.Add("enabled\ninterpreter /x\nflags: OCF\nmagic 7f\n")
	f.Fuzz(func(t *testing.T, line string) {
		if k, ok := parseKey(line); ok && (k.Serial == "" || len(k.Type) == 0) {
			t.Fatalf("%+v", k)
		}
		if m, ok := parseMeasurement(line); ok && (m.Template == "" || (m.Text == nil) == (m.Hash == "")) {
			t.Fatalf("%+v", m)
		}
		if b, ok := parseBinFormat("x", []byte(line)); ok && b.Interpreter == nil {
			t.Fatalf("%+v", b)
		}
		taintMeans(line)
	})
}
