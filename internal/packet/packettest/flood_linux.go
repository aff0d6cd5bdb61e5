package packettest

import (
	"encoding/binary"
	"net"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FloodType is the EtherType of the frames of Flood, one for local experiments
// (IEEE 802).
const FloodType = 0x88b5

// Flooded says what Flood did.
type Flooded struct {
	Sent    int
	Seconds float64 // from the first frame to the last
	CPU     float64 // processor seconds of the sender, what the kernel does with each frame on its way included
}

// Flood sends broadcast frames of a size, numbered from 0 behind their
// EtherType (32 bits, big-endian), from an interface: at most so many a second,
// as many as go for 0.
func Flood(t testing.TB, name string, count, size, perSecond int) Flooded {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
		t.Fatal(err)
	}

	// struct mmsghdr of sendmmsg(2).
	type message struct {
		header unix.Msghdr
		length uint32
	}
	const batch = 64
	var (
		messages [batch]message
		vectors  [batch]unix.Iovec
		frames   [batch][]byte
		pinned   runtime.Pinner
	)
	defer pinned.Unpin()
	for n := range frames {
		frames[n] = append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5"), make([]byte, size-14)...)
		pinned.Pin(&frames[n][0])
		vectors[n].Base = &frames[n][0]
		vectors[n].SetLen(size)
	}
	pinned.Pin(&vectors[0])
	for n := range messages {
		messages[n].header.Iov = &vectors[n]
		messages[n].header.SetIovlen(1)
	}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadCPU(t)
	begun := time.Now()
	sent := 0
	for sent < count {
		if perSecond > 0 {
			due := begun.Add(time.Duration(float64(sent) / float64(perSecond) * 1e9))
			if ahead := time.Until(due); ahead > time.Millisecond {
				time.Sleep(ahead)
			}
		}
		n := min(batch, count-sent)
		for k := range n {
			binary.BigEndian.PutUint32(frames[k][14:], uint32(sent+k))
		}
		took, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(n), 0, 0, 0)
		switch errno {
		case 0:
			sent += int(took)
		case unix.ENOBUFS, unix.EAGAIN, unix.EINTR:
		default:
			t.Fatalf("send frames: %v", errno)
		}
	}
	return Flooded{sent, time.Since(begun).Seconds(), threadCPU(t) - before}
}

func threadCPU(t testing.TB) float64 {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
