package kcore_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/kcore"
	"github.com/exhibit-dfir/exhibit/internal/kcore/kcoretest"
)

const (
	direct    = 0xffff888000000000
	noAddress = math.MaxUint64
)

func TestOpenReadsWhatTheKernelWrites(t *testing.T) {
	want := []kcore.Segment{
		{Offset: 0x7fff81003000, Virtual: 0xffffffff81000000, Physical: 0x1000000, Size: 0x2000000},
		{Offset: 0x3000, Virtual: direct, Physical: 0, Size: 0x9f000},
	}
	for machine, name := range map[uint16]string{kcoretest.AMD64: "amd64", kcoretest.ARM64: "arm64"} {
		c, err := kcore.Open(bytes.NewReader(kcoretest.Synthetic(machine, want, []byte("OSRELEASE=6.1.0\n"))))
		if err != nil {
			t.Fatal(err)
		}
		if c.Machine != name || !reflect.DeepEqual(c.Segments, want) || string(c.Notes) != "OSRELEASE=6.1.0\n" {
			t.Errorf("got %+v", c)
		}
	}
}

func TestOpenRefusesWhatIsNoCore(t *testing.T) {
	good := kcoretest.Synthetic(kcoretest.AMD64, []kcore.Segment{{Offset: 4096, Virtual: direct, Size: 4096}}, nil)
	for name, change := range map[string]func(b []byte) []byte{
		"empty":             func(b []byte) []byte { return nil },
		"cut header":        func(b []byte) []byte { return b[:63] },
		"32 bit":            func(b []byte) []byte { b[4] = 1; return b },
		"big endian":        func(b []byte) []byte { b[5] = 2; return b },
		"an executable":     func(b []byte) []byte { b[16] = 2; return b },
		"another machine":   func(b []byte) []byte { b[18] = 3; return b },
		"odd header size":   func(b []byte) []byte { b[54] = 1; return b },
		"headers elsewhere": func(b []byte) []byte { b[56], b[57] = 0xff, 0xff; return b },
		"headers past end":  func(b []byte) []byte { b[39] = 0x7f; return b },
		"cut headers":       func(b []byte) []byte { return b[:len(b)-1] },
	} {
		if c, err := kcore.Open(bytes.NewReader(change(bytes.Clone(good)))); err == nil {
			t.Errorf("%s: opened as %+v", name, c)
		}
	}
}

func TestOpenLeavesOutSegmentsNobodyCanRead(t *testing.T) {
	c, err := kcore.Open(bytes.NewReader(kcoretest.Synthetic(kcoretest.AMD64, []kcore.Segment{
		{Offset: -1, Virtual: direct, Size: 4096},
		{Offset: 4096, Virtual: direct, Size: math.MaxInt64},
		{Offset: 4096, Virtual: math.MaxUint64 - 4, Size: 4096},
		{Offset: 4096, Virtual: direct, Size: 0},
	}, nil)))
	if err != nil || len(c.Segments) != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestLocate(t *testing.T) {
	ram := []kcore.Range{{0x1000, 0x9f000}, {0x100000, 0x40000000}}
	text := kcore.Segment{Offset: 0x700000, Virtual: 0xffffffff81000000, Physical: 0x1000000, Size: 0x200000}
	vmalloc := kcore.Segment{Offset: 0x900000, Virtual: 0xffffc90000000000, Physical: noAddress, Size: 1 << 45}
	for _, c := range []struct {
		name     string
		segments []kcore.Segment
		want     []kcore.Piece
	}{
		{"amd64, physical addresses stated", []kcore.Segment{
			vmalloc, text,
			{Offset: 0x4000, Virtual: direct + 0x1000, Physical: 0x1000, Size: 0x9e000},
			{Offset: 0x103000, Virtual: direct + 0x100000, Physical: 0x100000, Size: 0x3ff00000},
		}, []kcore.Piece{{ram[0], 0x4000}, {ram[1], 0x103000}}},
		{"amd64, before 4.13", []kcore.Segment{
			{Offset: 0x900000, Virtual: 0xffffc90000000000, Size: 1 << 30},
			{Offset: 0x700000, Virtual: 0xffffffff81000000, Size: 0x200000},
			{Offset: 0x4000, Virtual: direct + 0x1000, Size: 0x9e000},
			{Offset: 0x103000, Virtual: direct + 0x100000, Size: 0x3ff00000},
		}, []kcore.Piece{{ram[0], 0x4000}, {ram[1], 0x103000}}},
		{"a hole in the core", []kcore.Segment{
			{Offset: 0x4000, Virtual: direct + 0x1000, Physical: 0x1000, Size: 0x1000},
			{Offset: 0x103000, Virtual: direct + 0x200000, Physical: 0x200000, Size: 0x3fd00000},
		}, []kcore.Piece{
			{kcore.Range{0x1000, 0x2000}, 0x4000},
			{kcore.Range{0x2000, 0x9f000}, -1},
			{kcore.Range{0x100000, 0x200000}, -1},
			{kcore.Range{0x200000, 0x3ff00000}, 0x103000},
			{kcore.Range{0x3ff00000, 0x40000000}, -1},
		}},
		{"segments that overlap", []kcore.Segment{
			{Offset: 0x1000, Virtual: direct, Physical: 0, Size: 0x50000},
			{Offset: 0x100000, Virtual: direct + 0x40000, Physical: 0x40000, Size: 0x40000000},
		}, []kcore.Piece{
			{kcore.Range{0x1000, 0x50000}, 0x2000},
			{kcore.Range{0x50000, 0x9f000}, 0x110000},
			{ram[1], 0x1c0000},
		}},
	} {
		got, err := (&kcore.Core{Segments: c.segments}).Locate(ram)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\n got %x\nwant %x", c.name, err, got, c.want)
		}
	}
}

func TestLocateOnARM64WithoutPhysicalAddresses(t *testing.T) {
	// Memory begins at 1 GiB; the linear map at 0xffff000000000000.
	c := &kcore.Core{Segments: []kcore.Segment{{Offset: 0x10000, Virtual: 0xffff000000000000, Size: 1 << 30}}}
	got, err := c.Locate([]kcore.Range{{0x40000000, 0x80000000}})
	want := []kcore.Piece{{kcore.Range{0x40000000, 0x80000000}, 0x10000}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, %v", got, err)
	}
}

func TestLocateDoesNotGuess(t *testing.T) {
	c := &kcore.Core{Segments: []kcore.Segment{{Offset: 0x10000, Virtual: 0xffff000000000000, Size: 4096}}}
	if got, err := c.Locate([]kcore.Range{{0x1000, 0x10000}}); !errors.Is(err, kcore.ErrUnmapped) {
		t.Errorf("got %x, %v", got, err)
	}
}

func TestSystemRAM(t *testing.T) {
	text := "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n" +
		"00100000-bffdffff : System RAM\n  01000000-01e02ff1 : Kernel code\n" +
		"100000000-13fffffff : System RAM\n140000000-17fffffff : System RAM (kmem)\n"
	got, err := kcore.SystemRAM([]byte(text))
	want := []kcore.Range{{0x1000, 0x9f000}, {0x100000, 0xbffe0000}, {0x100000000, 0x180000000}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, %v", got, err)
	}
	if _, err := kcore.SystemRAM([]byte("00000000-00000000 : System RAM\n")); !errors.Is(err, kcore.ErrHidden) {
		t.Errorf("addresses hidden from the user gave %v", err)
	}
	for _, bad := range []string{"", "1-2 : PCI Bus", "2000-1000 : System RAM", "x-y : System RAM", "0-ffffffffffffffff : System RAM", "1000 : System RAM"} {
		if got, err := kcore.SystemRAM([]byte(bad)); err == nil {
			t.Errorf("%q: %x", bad, got)
		}
	}
}

func TestLimeHeader(t *testing.T) {
	got := kcore.AppendLimeHeader(nil, kcore.Range{0x1000, 0x9f000})
	want := []byte("EMiL\x01\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\xff\xef\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	if !bytes.Equal(got, want) || len(got) != kcore.LimeHeaderSize {
		t.Errorf("got % x", got)
	}
}

func FuzzCore(f *testing.F) {
	iomem := []byte("00001000-0009fbff : System RAM\n00100000-bffdffff : System RAM\n")
	f.Add(kcoretest.Synthetic(kcoretest.AMD64, []kcore.Segment{{Offset: 0x4000, Virtual: direct, Physical: 0, Size: 1 << 32}}, []byte("note")), iomem)
	f.Add(kcoretest.Synthetic(kcoretest.ARM64, []kcore.Segment{{Offset: 0x4000, Virtual: direct, Physical: noAddress, Size: 1 << 32}}, nil), iomem)
	f.Fuzz(func(t *testing.T, file, iomem []byte) {
		c, err := kcore.Open(bytes.NewReader(file))
		if err != nil {
			return
		}
		ram, err := kcore.SystemRAM(iomem)
		if err != nil {
			return
		}
		pieces, err := c.Locate(ram)
		if err != nil {
			return
		}
		var told, asked, last uint64
		for _, p := range pieces {
			if p.Start < last || p.End <= p.Start || p.Offset < -1 {
				t.Fatalf("piece %x after %x", p, last)
			}
			last, told = p.End, told+p.End-p.Start
		}
		for _, r := range ram {
			asked += r.End - r.Start
		}
		if told != asked {
			t.Fatalf("%d bytes of %d have an answer", told, asked)
		}
	})
}
