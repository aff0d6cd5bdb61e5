package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/footprint"
)

const (
	blockSize = 512 << 10 // holds a packet of MaxSnapLen with its headers
	retire    = 50        // milliseconds until a block that is not full is handed over

	// maxInterfaces leaves half of the kernel's 4096 instructions to the filter.
	maxInterfaces = 1000
)

// Offsets in struct tpacket_block_desc (linux/if_packet.h): version and
// offset_to_priv, then struct tpacket_hdr_v1.
const (
	blockStatus = 8
	blockCount  = 12
	blockFirst  = 16
	blockHeader = 48
)

// Offsets in struct tpacket3_hdr; a sockaddr_ll follows.
const (
	frameNext     = 0
	frameSeconds  = 4
	frameNano     = 8
	frameCaptured = 12
	frameLength   = 16
	frameStatus   = 20
	frameMAC      = 24
	frameNet      = 26
	frameTCI      = 32
	frameTPID     = 36
	frameHeader   = 48
	addressSize   = 20
)

// Ring is an open capture. Its methods are for one goroutine.
type Ring struct {
	fd     int
	memory []byte
	block  int // read next
	stats  Stats
	buf    []byte
}

// Open begins to capture. It needs CAP_NET_RAW: the error is unix.EPERM
// without. The caller closes the Ring.
func Open(opt Options) (*Ring, error) {
	if len(opt.Interfaces) > maxInterfaces {
		return nil, fmt.Errorf("capture on %d interfaces: more than %d", len(opt.Interfaces), maxInterfaces)
	}
	// Protocol 0 receives nothing until everything is set up.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	footprint.Socket("packet")
	r := &Ring{fd: fd}
	if err := r.setUp(opt); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Ring) setUp(opt Options) error {
	snap := opt.SnapLen
	if snap <= 0 || snap > MaxSnapLen {
		snap = MaxSnapLen
	}
	program, err := filter(opt.Interfaces, uint32(snap), opt.Filter)
	if err != nil {
		return err
	}
	err = unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err == unix.ENOMEM {
		return fmt.Errorf("attach packet filter of %d instructions: %w: more than net.core.optmem_max allows, leave a part out", len(program), err)
	}
	if err != nil {
		return fmt.Errorf("attach packet filter: %w", err)
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("choose ring version: %w", err)
	}
	size := opt.RingBytes
	if size <= 0 {
		size = DefaultRing
	}
	if err := r.mapRing((size + blockSize - 1) / blockSize); err != nil {
		return err
	}
	if opt.Promiscuous {
		if err := r.listenToAll(opt.Interfaces); err != nil {
			return err
		}
	}
	address := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL)}
	if len(opt.Interfaces) == 1 {
		address.Ifindex = opt.Interfaces[0]
	}
	if err := unix.Bind(r.fd, address); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	return nil
}

// mapRing asks for a ring of so many blocks, and for half as many while the
// kernel has no memory for it.
func (r *Ring) mapRing(blocks int) error {
	const frameSize = 2048 // in version 3 only the bounds of the request
	for ; ; blocks /= 2 {
		err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
			Block_size: blockSize, Block_nr: uint32(blocks),
			Frame_size: frameSize, Frame_nr: uint32(blocks * (blockSize / frameSize)),
			Retire_blk_tov: retire,
		})
		if err == unix.ENOMEM && blocks > 2 {
			continue
		}
		if err != nil {
			return fmt.Errorf("make packet ring: %w", err)
		}
		break
	}
	memory, err := unix.Mmap(r.fd, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map packet ring: %w", err)
	}
	r.memory = memory
	return nil
}

func (r *Ring) listenToAll(interfaces []int) error {
	for _, index := range interfaces {
		err := unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
		if err != nil {
			return fmt.Errorf("listen to all packets of interface %d: %w", index, err)
		}
	}
	return nil
}

// Stop ends the capture but keeps what is in the ring: what Read visits from
// now on came before. The last of it is handed over within Settle.
func (r *Ring) Stop() error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if err := unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		return fmt.Errorf("stop packet capture: %w", err)
	}
	return nil
}

// Close ends the capture; what was not read is lost.
func (r *Ring) Close() error {
	var err error
	if r.memory != nil {
		err = unix.Munmap(r.memory)
		r.memory = nil
	}
	return errors.Join(err, unix.Close(r.fd))
}

// Settle is how long after a packet arrived Read may still have to wait for
// it.
const Settle = 2 * retire * time.Millisecond

// Read visits the packets of the next block and returns how many there were:
// 0 when none was handed over within wait. It returns the error of visit,
// which then sees no more packets of the block.
func (r *Ring) Read(wait time.Duration, visit func(*Packet) error) (int, error) {
	block := r.memory[r.block*blockSize:][:blockSize]
	status := (*uint32)(unsafe.Pointer(&block[blockStatus]))
	if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
		if err := Wait(wait, r); err != nil {
			return 0, err
		}
		if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
			return 0, nil
		}
	}
	n, err := r.visit(block, visit)
	atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
	r.block = (r.block + 1) % (len(r.memory) / blockSize)
	return n, err
}

// Wait returns when one of the rings may have packets, at the latest after
// wait.
func Wait(wait time.Duration, rings ...*Ring) error {
	fds := make([]unix.PollFd, len(rings))
	for i, r := range rings {
		fds[i] = unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN}
	}
	milliseconds := int(min(max(wait, 0), time.Hour) / time.Millisecond)
	n, err := unix.Poll(fds, milliseconds)
	if err == unix.EINTR {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for packets: %w", err)
	}
	if n == 0 {
		return nil
	}
	for i := range fds {
		if fds[i].Revents&unix.POLLERR == 0 {
			continue
		}
		// ENETDOWN: an interface went down; the others go on.
		code, err := unix.GetsockoptInt(rings[i].fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 && unix.Errno(code) != unix.ENETDOWN {
			err = unix.Errno(code)
		}
		if err != nil {
			return fmt.Errorf("wait for packets: %w", err)
		}
	}
	return nil
}

func (r *Ring) visit(block []byte, visit func(*Packet) error) (int, error) {
	u16, u32 := binary.NativeEndian.Uint16, binary.NativeEndian.Uint32
	count, at := int(u32(block[blockCount:])), int(u32(block[blockFirst:]))
	n := 0
	for range count {
		if at < blockHeader || at > blockSize-frameHeader-addressSize {
			return n, fmt.Errorf("packet ring: frame at offset %d of a block", at)
		}
		b := block[at:]
		status := u32(b[frameStatus:])
		f := frame{
			mac: int(u16(b[frameMAC:])), net: int(u16(b[frameNet:])),
			captured: int(u32(b[frameCaptured:])), length: int(u32(b[frameLength:])),
			address: b[frameHeader : frameHeader+addressSize], bytes: b,
			tagged: status&unix.TP_STATUS_VLAN_VALID != 0,
			tci:    uint16(u32(b[frameTCI:])), tpid: unix.ETH_P_8021Q,
		}
		if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			f.tpid = u16(b[frameTPID:])
		}
		p := Packet{
			Seconds: u32(b[frameSeconds:]), Nanoseconds: u32(b[frameNano:]),
			Interface: int(int32(u32(f.address[4:]))), Hardware: u16(f.address[8:]), Direction: f.address[10],
		}
		var ok bool
		if r.buf, ok = f.decode(&p, r.buf); !ok {
			return n, fmt.Errorf("packet ring: packet of %d bytes leads out of its block", f.captured)
		}
		n++
		if err := visit(&p); err != nil {
			return n, err
		}
		at += int(u32(b[frameNext:]))
	}
	return n, nil
}

// Stats returns the counts so far.
func (r *Ring) Stats() (Stats, error) {
	// The kernel starts from 0 again each time it is asked.
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return r.stats, fmt.Errorf("read packet statistics: %w", err)
	}
	r.stats.Received += uint64(s.Packets)
	r.stats.Dropped += uint64(s.Drops)
	r.stats.Frozen += uint64(s.Freeze_q_cnt)
	return r.stats, nil
}

// bigEndian returns v with its bytes in network order.
func bigEndian(v uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v))
}
