package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// classic writes a little-endian microsecond file of n packets of growing size.
func classic(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, 65535)
	b = binary.LittleEndian.AppendUint32(b, 1)
	for i := range n {
		size := uint32(40 + i%100)
		b = binary.LittleEndian.AppendUint32(b, uint32(1_700_000_000+i))
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
		b = binary.LittleEndian.AppendUint32(b, size)
		b = binary.LittleEndian.AppendUint32(b, size)
		b = append(b, bytes.Repeat([]byte{byte(i) | 0x80}, int(size))...)
	}
	return b
}

// block frames a pcapng body.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	body = append(body, make([]byte, (4-len(body)%4)%4)...)
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, uint32(12+len(body)))
	return order.AppendUint32(append(b, body...), uint32(12+len(body)))
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(order.AppendUint16(b, 1), 0)
	return block(order, blockSection, order.AppendUint64(b, 1<<64-1))
}

func ifaceBlock(order binary.AppendByteOrder, link uint16, options []byte) []byte {
	b := order.AppendUint16(order.AppendUint16(nil, link), 0)
	return block(order, blockInterface, append(order.AppendUint32(b, 0), options...))
}

func enhanced(order binary.AppendByteOrder, id uint32, units uint64, data []byte) []byte {
	b := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, id), uint32(units>>32)), uint32(units))
	b = order.AppendUint32(order.AppendUint32(b, uint32(len(data))), uint32(len(data)))
	return block(order, blockEnhanced, append(b, data...))
}

type outcome struct {
	packets []Packet
	data    [][]byte
	gaps    []Gap
	drops   []Drops
	err     error
}

func readAll(b []byte) outcome {
	var o outcome
	r, err := NewReader(bytes.NewReader(b), func(g Gap) { o.gaps = append(o.gaps, g) }, func(d Drops) { o.drops = append(o.drops, d) })
	if err != nil {
		o.err = err
		return o
	}
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return o
		}
		if err != nil {
			o.err = err
			return o
		}
		o.data = append(o.data, bytes.Clone(p.Data))
		o.packets = append(o.packets, *p)
	}
}

func TestClassicFileIsReadWhole(t *testing.T) {
	o := readAll(classic(500))
	if o.err != nil || len(o.packets) != 500 || len(o.gaps) != 0 {
		t.Fatalf("%d packets, gaps %v, error %v", len(o.packets), o.gaps, o.err)
	}
	p := o.packets[7]
	if p.Time != 1_700_000_007_000_007_000 || p.Number != 8 || len(o.data[7]) != 47 || o.data[7][0] != 0x87 || p.LinkType != 1 {
		t.Errorf("packet 8: %+v", p)
	}
}

func TestDamagedRecordCostsOnlyItself(t *testing.T) {
	b := classic(200)
	whole := readAll(b)
	at := whole.packets[50].Offset
	binary.LittleEndian.PutUint32(b[at+8:], 0xfffffff0)
	o := readAll(b)
	if len(o.packets) != 199 || len(o.gaps) != 1 || o.gaps[0].Offset != at || o.gaps[0].Length != whole.packets[50].Length {
		t.Fatalf("%d packets, gaps %+v; want 199 and one gap at %d of %d", len(o.packets), o.gaps, at, whole.packets[50].Length)
	}
	if o.packets[50].Time != whole.packets[51].Time {
		t.Error("reading did not go on with the next packet")
	}
}

func TestCutFileKeepsWholeRecordsAndSaysSo(t *testing.T) {
	b := classic(20)
	whole := readAll(b)
	for n := 25; n < len(b); n++ {
		o := readAll(b[:n])
		want := 0
		for _, p := range whole.packets {
			if p.Offset+p.Length <= int64(n) {
				want++
			}
		}
		last := whole.packets[max(want-1, 0)]
		clean := want > 0 && last.Offset+last.Length == int64(n)
		if len(o.packets) != want || clean != (len(o.gaps) == 0) {
			t.Fatalf("cut at %d: %d packets (want %d), gaps %v", n, len(o.packets), want, o.gaps)
		}
	}
}

func TestPcapngInBothByteOrdersAndUnits(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		b := section(order)
		b = append(b, ifaceBlock(order, 1, nil)...)
		nano := order.AppendUint16(order.AppendUint16(nil, optTSResol), 1)
		b = append(b, ifaceBlock(order, 101, append(nano, 9, 0, 0, 0, 0, 0, 0, 0))...)
		b = append(b, enhanced(order, 0, 1_700_000_000_123_456, []byte("abcdef"))...)
		b = append(b, block(order, 0x0bad, []byte("unknown blocks are passed over"))...)
		b = append(b, enhanced(order, 1, 1_700_000_000_123_456_789, []byte("xyz"))...)
		stats := order.AppendUint32(order.AppendUint64(nil, 0)[:0], 1)
		stats = order.AppendUint64(stats, 0)
		stats = order.AppendUint64(order.AppendUint16(order.AppendUint16(stats, optISBDrop), 8), 42)
		b = append(b, block(order, blockStatistics, stats)...)
		filtered := order.AppendUint64(order.AppendUint32(nil, 0), 0) // of a filtered capture
		filtered = order.AppendUint64(order.AppendUint16(order.AppendUint16(filtered, optISBAccept), 8), 9)
		filtered = order.AppendUint64(order.AppendUint16(order.AppendUint16(filtered, optISBOS), 8), 5)
		b = append(b, block(order, blockStatistics, filtered)...)
		o := readAll(b)
		if o.err != nil || len(o.packets) != 2 || len(o.gaps) != 0 {
			t.Fatalf("%s: %d packets, gaps %v, error %v", name, len(o.packets), o.gaps, o.err)
		}
		if o.packets[0].Time != 1_700_000_000_123_456_000 || o.packets[1].Time != 1_700_000_000_123_456_789 || o.packets[1].LinkType != 101 {
			t.Errorf("%s: packets %+v", name, o.packets)
		}
		if string(o.data[0]) != "abcdef" || len(o.drops) != 2 || o.drops[0].Dropped != 42 || o.drops[0].Interface != 1 || o.drops[1].Received != 9 || o.drops[1].Dropped != 5 {
			t.Errorf("%s: data %q, drops %+v", name, o.data, o.drops)
		}
	}
}

func TestDamagedBlockIsPassedOver(t *testing.T) {
	order := binary.LittleEndian
	b := append(section(order), ifaceBlock(order, 1, nil)...)
	var offsets []int
	for i := range 10 {
		offsets = append(offsets, len(b))
		b = append(b, enhanced(order, 0, uint64(1_700_000_000_000_000+i), bytes.Repeat([]byte{byte(i + 100)}, 30))...)
	}
	order.PutUint32(b[offsets[4]+4:], 0x00ffff01)
	o := readAll(b)
	if len(o.packets) != 9 || len(o.gaps) != 1 || o.gaps[0].Offset != int64(offsets[4]) || o.gaps[0].Length != int64(offsets[5]-offsets[4]) {
		t.Errorf("%d packets, gaps %+v", len(o.packets), o.gaps)
	}
}

func TestTimeUnitsNeverOverflow(t *testing.T) {
	for _, c := range []struct {
		f     iface
		units uint64
		ns    int64
		ok    bool
	}{
		{iface{resol: 6}, 1_000_001, 1_000_001_000, true},
		{iface{resol: 0}, 5, 5e9, true},
		{iface{resol: 0x80 | 10}, 1024 + 512, 1_500_000_000, true},
		{iface{resol: 0x80 | 32}, 3<<32 | 1<<31, 3_500_000_000, true},
		{iface{resol: 9, offset: 100}, 1, 100_000_000_001, true},
		{iface{resol: 0}, 1 << 63, 0, false},
		{iface{resol: 0xff}, 1, 0, false},
		{iface{resol: 40}, 1, 0, false},
		{iface{resol: 6, offset: -1 << 63}, 1, 0, false},
	} {
		if ns, ok := c.f.time(c.units); ns != c.ns || ok != c.ok {
			t.Errorf("%+v of %d: %d %v, want %d %v", c.f, c.units, ns, ok, c.ns, c.ok)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(classic(5))
	order := binary.BigEndian
	f.Add(append(append(section(order), ifaceBlock(order, 1, nil)...), enhanced(order, 0, 7, []byte("abc"))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := readAll(b)
		end := int64(0)
		for _, p := range o.packets {
			if p.Offset < end || p.Offset+p.Length > int64(len(b)) || int64(len(p.Data)) > p.Length {
				t.Fatalf("packet %d at %d of %d lies outside its place", p.Number, p.Offset, p.Length)
			}
			end = p.Offset + p.Length
		}
		for _, g := range o.gaps {
			if g.Offset < 0 || g.Offset+g.Length > int64(len(b)) {
				t.Fatalf("gap %+v lies outside %d bytes", g, len(b))
			}
		}
	})
}

// TestCorpusAgreesWithWireshark compares number, time and size of every packet
// of the corpus' captures with what Wireshark says.
func TestCorpusAgreesWithWireshark(t *testing.T) {
	dir := testenv.Corpus(t)
	files := 0
	for _, set := range []string{"pcap_zeek", "pcap_suricata", "pcap_gopacket", "pcap_large", "pcapng_gopacket"} {
		for _, e := range testenv.Expected(t, filepath.Join(dir, "expected", "pcap."+set+".wireshark.jsonl.gz")) {
			b, err := os.ReadFile(filepath.Join(dir, e.Path))
			if err != nil {
				t.Fatal(err)
			}
			o := readAll(b)
			if o.err != nil {
				t.Errorf("%s: %v", e.Path, o.err)
				continue
			}
			files++
			compare(t, e, o)
		}
	}
	if files < 200 {
		t.Errorf("only %d captures compared", files)
	}
}

func compare(t *testing.T, e testenv.ExpectedRows, o outcome) {
	var rows []int
	for i := range e.Rows {
		// Wireshark shows other pcapng blocks as frames without time; capinfos does not.
		if e.Get(i, "time_epoch") == "" && e.Get(i, "protocols") == "data" {
			continue
		}
		rows = append(rows, i)
	}
	if len(o.packets) != len(rows) {
		t.Errorf("%s: %d packets, Wireshark has %d", e.Path, len(o.packets), len(rows))
		return
	}
	for i, p := range o.packets {
		if got, want := testenv.Epoch(p.Time), e.Get(rows[i], "time_epoch"); p.HasTime && got != want {
			t.Errorf("%s: packet %d at %s, Wireshark says %s", e.Path, i+1, got, want)
			return
		}
		if got, want := int64(len(o.data[i])), e.Int(rows[i], "cap_len"); got != want {
			t.Errorf("%s: packet %d has %d bytes, Wireshark says %d", e.Path, i+1, got, want)
			return
		}
	}
}

func BenchmarkReader(b *testing.B) {
	data := classic(100_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(data), nil, nil)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}
