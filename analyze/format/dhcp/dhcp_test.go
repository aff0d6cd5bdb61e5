package dhcp

import (
	"bytes"
	"testing"
)

// message has the fields of an answer and the options given.
func message(options ...byte) []byte {
	b := make([]byte, header)
	b[0], b[1], b[2], b[7] = 2, 1, 6, 9
	copy(b[16:], []byte{10, 0, 0, 7})
	copy(b[28:], []byte{2, 0, 0, 0, 0, 1})
	copy(b[236:], magic)
	return append(b, options...)
}

func TestParse(t *testing.T) {
	b := message(53, 1, 5, 0, 12, 4, 'n', 'a', 's', 0, 50, 4, 10, 0, 0, 8, 51, 4, 0, 0, 0, 60, 54, 4, 10, 0, 0, 1,
		81, 10, 4, 0, 0, 2, 'p', 'c', 3, 'l', 'a', 'n', 60, 3, 'x', 'y', 'z', 255)
	m, whole := Parse(b)
	if !Looks(b) || !whole || TypeName(m.Type) != "ack" || m.ID != 9 || m.Assigned.String() != "10.0.0.7" || m.Requested.String() != "10.0.0.8" ||
		m.Server.String() != "10.0.0.1" || m.Client.IsValid() || m.Lease != 60 || string(m.Hostname) != "nas" || string(m.FQDN) != "pc.lan" ||
		string(m.Vendor) != "xyz" || !bytes.Equal(m.MAC, []byte{2, 0, 0, 0, 0, 1}) {
		t.Errorf("%+v, whole %v", m, whole)
	}
	for n := header; n < len(b); n++ {
		if _, whole := Parse(b[:n]); whole {
			t.Fatalf("%d of %d bytes are whole", n, len(b))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(53, 1, 1, 255))
	f.Add(message(81, 5, 4, 0, 0, 9, 'a'))
	f.Fuzz(func(t *testing.T, b []byte) {
		if Looks(b) {
			if m, _ := Parse(b); len(m.MAC) > 16 {
				t.Fatalf("%d bytes of address", len(m.MAC))
			}
		}
	})
}
