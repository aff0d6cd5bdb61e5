package collectors

import (
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestFileCapabilitiesOfEveryRevision(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		want      *record.Capabilities
	}{
		{"1", "000000010020000000000000", &record.Capabilities{Revision: 1, Permitted: []string{"cap_net_raw"}}},
		{"2", "0100000200200000000000000000000000000000", &record.Capabilities{Revision: 2, Effective: true, Permitted: []string{"cap_net_raw"}}},
		{
			"2 of the second word", "00000002" + "80000000" + "01000000" + "80000000" + "00020000",
			&record.Capabilities{Revision: 2, Permitted: []string{"cap_setuid", "cap_bpf"}, Inheritable: []string{"cap_chown", "cap_41"}},
		},
		{"3", "010000030020000000000000000000000000000000a00100", &record.Capabilities{Revision: 3, Effective: true, Permitted: []string{"cap_net_raw"}, RootID: 0x1a000}},
		{"unknown revision", "0000000400200000000000000000000000000000", nil},
		{"cut", "01000002002000000000000000000000", nil},
		{"empty", "", nil},
	} {
		b, err := hex.DecodeString(tc.hex)
		check(t, err)
		got, ok := fileCapabilities(b)
		if ok != (tc.want != nil) || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func FuzzFileCapabilities(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := fileCapabilities(b); ok != (c != nil) || ok && (c.Revision < 1 || c.Revision > 3 || len(c.Permitted) > 64) {
			t.Fatalf("%x: %+v", b, c)
		}
	})
}
