package netflow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

var be = binary.BigEndian

// packet5 is a packet of version 5 with n flows.
func packet5(n int) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, 5), uint16(n))
	b = be.AppendUint32(b, 100_000) // ms since start
	b = be.AppendUint32(be.AppendUint32(b, 1_700_000_000), 500_000_000)
	b = be.AppendUint32(b, 7)
	b = append(b, 1, 2, 0, 0)
	for i := range n {
		r := make([]byte, record5)
		copy(r, []byte{10, 0, 0, byte(i), 10, 0, 1, 1})
		be.PutUint32(r[16:], 3)
		be.PutUint32(r[20:], 1500)
		be.PutUint32(r[24:], 90_000)
		be.PutUint32(r[28:], 95_000)
		be.PutUint16(r[32:], 40000)
		be.PutUint16(r[34:], 443)
		r[37], r[38] = 0x1b, 6
		b = append(b, r...)
	}
	return b
}

func set(id uint16, content []byte) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, id), uint16(4+len(content)))
	return append(b, content...)
}

func templateOf(id uint16, fields ...uint16) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, id), uint16(len(fields)/2))
	for _, f := range fields {
		b = be.AppendUint16(b, f)
	}
	return b
}

func packet9(domain uint32, sets ...[]byte) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, 9), uint16(len(sets))) // as some exporters count
	b = be.AppendUint32(be.AppendUint32(b, 100_000), 1_700_000_000)
	b = be.AppendUint32(be.AppendUint32(b, 8), domain)
	return append(b, bytes.Join(sets, nil)...)
}

func packet10(domain uint32, sets ...[]byte) []byte {
	content := bytes.Join(sets, nil)
	b := be.AppendUint16(be.AppendUint16(nil, 10), uint16(16+len(content)))
	b = be.AppendUint32(be.AppendUint32(b, 1_700_000_000), 9)
	return append(be.AppendUint32(b, domain), content...)
}

// v9 has a template of 17 bytes: addresses, ports, protocol, octets.
func v9() []byte {
	record := []byte{10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0, 53, 17, 0, 0, 1, 0}
	return packet9(1, set(0, templateOf(256, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 1, 4)), set(256, append(bytes.Clone(record), append(record, 0, 0)...)))
}

func ipfix() []byte {
	t := templateOf(300, 27, 16, 28, 16, 4, 1, 152, 8, 153, 8)
	be.PutUint16(t[2:], 7)
	t = be.AppendUint16(be.AppendUint16(t, 460), variable)
	t = be.AppendUint32(be.AppendUint16(be.AppendUint16(t, 0x8001), 4), reverse)
	record := make([]byte, 32)
	record[0], record[15], record[16], record[31] = 0x20, 1, 0x20, 2
	record = append(record, 6)
	record = be.AppendUint64(be.AppendUint64(record, 1_700_000_000_123), 1_700_000_001_456)
	record = append(append(record, 5), "a.com"...)
	record = be.AppendUint32(record, 99)
	return packet10(4, set(2, t), set(300, record))
}

type read struct {
	flows []Flow
	gaps  []Gap
}

func readAll(t testing.TB, b []byte) (got read) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), func(g Gap) { got.gaps = append(got.gaps, g) })
	if err != nil {
		return got
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		c := *f
		c.Others = append([]Field(nil), f.Others...)
		got.flows = append(got.flows, c)
	}
}

func TestVersion5(t *testing.T) {
	got := readAll(t, append(packet5(2), packet5(30)...))
	if len(got.flows) != 32 || len(got.gaps) != 0 {
		t.Fatalf("%d flows, gaps %+v", len(got.flows), got.gaps)
	}
	f := got.flows[1]
	if f.Src.String() != "10.0.0.1" || f.DstPort != 443 || f.Packets != 3 || f.Bytes != 1500 || f.Proto != 6 || f.TCPFlags != 0x1b || f.Domain != 0x102 ||
		f.Start != 1_700_000_000_500_000_000-10e9 || f.End != 1_700_000_000_500_000_000-5e9 || f.Offset != header5+record5 || f.Length != record5 {
		t.Errorf("%+v", f)
	}
}

func TestUptimeThatBeganAnew(t *testing.T) {
	b := packet5(1)
	be.PutUint32(b[4:], 1000)          // the clock began anew a second ago
	be.PutUint32(b[24+24:], 1<<32-500) // the flow half a second before
	f := readAll(t, b).flows[0]
	if f.Start != 1_700_000_000_500_000_000-1500e6 {
		t.Errorf("%d", f.Start-1_700_000_000_500_000_000)
	}
}

func TestVersion9(t *testing.T) {
	got := readAll(t, append(v9(), v9()...))
	if len(got.flows) != 4 || len(got.gaps) != 0 {
		t.Fatalf("%d flows, gaps %+v", len(got.flows), got.gaps)
	}
	f := got.flows[1]
	if f.Src.String() != "10.0.0.1" || f.SrcPort != 40000 || f.DstPort != 53 || f.Proto != 17 || f.Bytes != 256 || f.HasStart || f.Domain != 1 || f.Length != 17 {
		t.Errorf("%+v", f)
	}
}

func TestIPFIX(t *testing.T) {
	got := readAll(t, append(ipfix(), packet5(1)...))
	if len(got.flows) != 2 || len(got.gaps) != 0 {
		t.Fatalf("%d flows, gaps %+v", len(got.flows), got.gaps)
	}
	f := got.flows[0]
	if f.Src.String() != "2000::1" || f.Start != 1_700_000_000_123e6 || f.End != 1_700_000_001_456e6 || f.BackBytes != 99 || !f.HasBack ||
		len(f.Others) != 1 || f.Others[0].Element != 460 || string(f.Others[0].Value) != "a.com" {
		t.Errorf("%+v", f)
	}
}

func TestTemplatesAreOfTheirDomain(t *testing.T) {
	data := set(256, make([]byte, 17))
	got := readAll(t, bytes.Join([][]byte{packet9(2, data), v9(), packet9(2, data), packet9(1, data), packet10(1, data)}, nil))
	if len(got.flows) != 3 || len(got.gaps) != 2 || !got.gaps[0].NoTemplate || got.gaps[0].Offset != 20 {
		t.Errorf("%d flows, gaps %+v", len(got.flows), got.gaps)
	}
	withdrawn := packet10(4, set(2, []byte{1, 44, 0, 0}))
	got = readAll(t, bytes.Join([][]byte{ipfix(), withdrawn, packet10(4, set(300, make([]byte, 60)))}, nil))
	if len(got.flows) != 1 || len(got.gaps) != 1 {
		t.Errorf("withdrawn: %d flows, gaps %+v", len(got.flows), got.gaps)
	}
}

func TestDamageIsPassedOver(t *testing.T) {
	junk := []byte("\x01junk between \x00\x00 packets")
	got := readAll(t, bytes.Join([][]byte{packet5(2), junk, v9(), junk, ipfix(), packet5(3)[:60]}, nil))
	if len(got.flows) != 5 {
		t.Errorf("%d flows, gaps %+v", len(got.flows), got.gaps)
	}
	if len(got.gaps) != 3 || got.gaps[0].Offset != 24+2*48 || got.gaps[0].Length != int64(len(junk)) || !got.gaps[2].Truncated {
		t.Errorf("gaps %+v", got.gaps)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(packet5(2))
	f.Add(v9())
	f.Add(ipfix())
	f.Add(bytes.Join([][]byte{v9(), []byte("junk"), ipfix(), packet5(1)}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := readAll(t, b)
		for _, flow := range got.flows {
			if flow.Offset < 0 || flow.Length <= 0 || flow.Offset+flow.Length > int64(len(b)) {
				t.Fatalf("a flow at %d+%d of %d", flow.Offset, flow.Length, len(b))
			}
		}
		for _, g := range got.gaps {
			if g.Offset < 0 || g.Offset > int64(len(b)) || g.Length < 0 {
				t.Fatalf("a gap at %d+%d of %d", g.Offset, g.Length, len(b))
			}
		}
	})
}
