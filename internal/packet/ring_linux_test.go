package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
)

func index(t testing.TB, name string) int {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return i.Index
}

func open(t testing.TB, opt Options) *Ring {
	t.Helper()
	r, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// drain reads until nothing has come for as long as a packet may take.
func drain(t testing.TB, r *Ring, visit func(*Packet)) (n int) {
	t.Helper()
	for {
		got, err := r.Read(Settle, func(p *Packet) error { visit(p); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if n += got; got == 0 {
			return n
		}
	}
}

// sender is a raw socket that sends frames on an interface.
type sender struct {
	fd int
	to *unix.SockaddrLinklayer
}

func newSender(t testing.TB, name string) sender {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return sender{fd, &unix.SockaddrLinklayer{Ifindex: index(t, name), Protocol: bigEndian(unix.ETH_P_IP)}}
}

// send reports whether the frame was taken: a full queue refuses it.
func (s sender) send(t testing.TB, frame []byte) bool {
	err := unix.Sendto(s.fd, frame, 0, s.to)
	if err != nil && err != unix.ENOBUFS {
		t.Fatal(err)
	}
	return err == nil
}

// numbered is an Ethernet frame for everybody that carries a number.
func numbered(n uint32, size int) []byte {
	b := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 1, 0x88, 0xb5)
	b = binary.BigEndian.AppendUint32(b, n)
	return append(b, make([]byte, size-len(b))...)
}

func pair(t testing.TB) {
	packettest.IP(t, "link add v0 type veth peer name v1")
	packettest.IP(t, "link set v0 up")
	packettest.IP(t, "link set v1 up")
}

func TestEveryPacketComesOnceInOrderWithItsTime(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	r := open(t, Options{Interfaces: []int{index(t, "v1")}})
	before := time.Now()
	s := newSender(t, "v0")
	const count = 5000
	for n := range uint32(count) {
		for !s.send(t, numbered(n, 60+int(n%1400))) {
			time.Sleep(time.Millisecond)
		}
	}
	next := uint32(0)
	drain(t, r, func(p *Packet) {
		if !bytes.Equal(p.Data[12:14], []byte{0x88, 0xb5}) {
			return // the kernel's own multicast
		}
		if got := binary.BigEndian.Uint32(p.Data[14:]); got != next {
			t.Fatalf("packet %d came where %d was due", got, next)
		}
		if want := 60 + int(next%1400); len(p.Data) != want || p.Length != want || p.Interface != index(t, "v1") {
			t.Fatalf("packet %d: %d of %d bytes on interface %d", next, len(p.Data), p.Length, p.Interface)
		}
		if at := p.Time(); at.Before(before.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
			t.Fatalf("packet %d at %v", next, at)
		}
		next++
	})
	if next != count {
		t.Errorf("%d packets, want %d", next, count)
	}
}

func TestSnapLengthCutsThePacketAndKeepsItsLength(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	r := open(t, Options{Interfaces: []int{index(t, "v1"), index(t, "lo")}, SnapLen: 40})
	newSender(t, "v0").send(t, numbered(1, 500))
	seen := 0
	drain(t, r, func(p *Packet) {
		if bytes.Equal(p.Data[12:14], []byte{0x88, 0xb5}) {
			seen++
			if len(p.Data) != 40 || p.Length != 500 {
				t.Errorf("%d of %d bytes", len(p.Data), p.Length)
			}
		}
	})
	if seen != 1 {
		t.Errorf("%d packets", seen)
	}
}

func TestOnlyTheInterfacesAskedForAreHeardAndLoopbackOnce(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all := open(t, Options{RingBytes: 1 << 20})
	one := open(t, Options{Interfaces: []int{index(t, "v1")}, RingBytes: 1 << 20})
	if _, err := conn.WriteTo([]byte("to myself"), conn.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	newSender(t, "v0").send(t, numbered(7, 60))
	count := func(r *Ring) map[string]int {
		seen := map[string]int{}
		drain(t, r, func(p *Packet) {
			i, err := net.InterfaceByIndex(p.Interface)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(p.Data, []byte("to myself")) || bytes.Equal(p.Data[12:14], []byte{0x88, 0xb5}) {
				seen[i.Name]++
			}
		})
		return seen
	}
	if seen := count(all); seen["lo"] != 1 || seen["v0"] != 1 || seen["v1"] != 1 {
		t.Errorf("on all interfaces: %v", seen)
	}
	if seen := count(one); len(seen) != 1 || seen["v1"] != 1 {
		t.Errorf("on v1: %v", seen)
	}
}

func TestFullRingIsReportedAsDrops(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	r := open(t, Options{Interfaces: []int{index(t, "v1")}, RingBytes: 1 << 20})
	s := newSender(t, "v0")
	sent := 0
	for n := range uint32(5000) {
		if s.send(t, numbered(n, 1500)) {
			sent++
		}
	}
	// The kernel sends packets of its own on a new link, also after a look at
	// the ring: what it counts and what is read must agree once it is quiet.
	captured, stats := 0, Stats{}
	for end := time.Now().Add(20 * time.Second); ; {
		captured += drain(t, r, func(*Packet) {})
		var err error
		if stats, err = r.Stats(); err != nil {
			t.Fatal(err)
		}
		if stats.Received == uint64(captured)+stats.Dropped || time.Now().After(end) {
			break
		}
	}
	if stats.Dropped == 0 {
		t.Error("no drops although nobody read")
	}
	if stats.Received != uint64(captured)+stats.Dropped || stats.Received < uint64(sent) {
		t.Errorf("sent %d, captured %d, counts %+v", sent, captured, stats)
	}
}

func TestQuietLinkDoesNotBlock(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	r := open(t, Options{Interfaces: []int{index(t, "lo")}, RingBytes: 1 << 20})
	begun := time.Now()
	n, err := r.Read(50*time.Millisecond, func(*Packet) error { return nil })
	if n != 0 || err != nil {
		t.Errorf("%d packets, %v", n, err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Read took %v", took)
	}
}

func TestInterfaceThatGoesDownDoesNotEndTheCapture(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	r := open(t, Options{Interfaces: []int{index(t, "v1")}, RingBytes: 1 << 20})
	packettest.IP(t, "link set v1 down")
	drain(t, r, func(*Packet) {})
	packettest.IP(t, "link set v1 up")
	sender := newSender(t, "v0")
	seen := 0
	// The kernel brings the pair up again in its own time; what is sent until
	// then is lost on the way.
	for end := time.Now().Add(20 * time.Second); seen == 0 && time.Now().Before(end); {
		sender.send(t, numbered(9, 60))
		drain(t, r, func(p *Packet) {
			if bytes.Equal(p.Data[12:14], []byte{0x88, 0xb5}) {
				seen++
			}
		})
	}
	if seen == 0 {
		t.Error("no packet after the interface came back")
	}
}

func TestVisitErrorEndsTheBlock(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	r := open(t, Options{Interfaces: []int{index(t, "v1")}, RingBytes: 1 << 20})
	s := newSender(t, "v0")
	s.send(t, numbered(1, 60))
	s.send(t, numbered(2, 60))
	stop := errors.New("stop")
	if _, err := r.Read(time.Second, func(*Packet) error { return stop }); err != stop {
		t.Errorf("error %v", err)
	}
}

func TestOpenWithoutPermissionSaysSo(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{}); !errors.Is(err, unix.EPERM) {
		t.Errorf("error %v", err)
	}
}
