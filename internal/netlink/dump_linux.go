package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/footprint"
)

const (
	headerSize      = 16
	sockDiagRequest = 20 // SOCK_DIAG_BY_FAMILY
	dumpInterrupted = 0x10
	maxMessages     = 4 << 20 // of one dump
	receiveBuffer   = 1 << 18
)

// ErrInterrupted says that the kernel's table changed during the dump, so
// that entries may be missing or told twice.
var ErrInterrupted = errors.New("the table changed while it was read")

// dump sends one NLM_F_DUMP request and hands on each answer of wanted type
// (0: any).
func dump(protocol int, kind uint16, wanted uint16, body []byte, yield func([]byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	footprint.Socket("netlink")
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return fmt.Errorf("bound netlink wait: %w", err)
	}
	msg := make([]byte, headerSize, headerSize+len(body))
	binary.NativeEndian.PutUint32(msg, uint32(headerSize+len(body)))
	binary.NativeEndian.PutUint16(msg[4:], kind)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(msg[8:], 1)
	msg = append(msg, body...)
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask kernel: %w", err)
	}
	return receive(fd, wanted, yield)
}

func receive(fd int, wanted uint16, yield func([]byte)) error {
	buf := make([]byte, receiveBuffer)
	interrupted := false
	for count := 0; count < maxMessages; {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_TRUNC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read kernel's answer: %w", os.NewSyscallError("recvfrom", err))
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 { // not from the kernel
			continue
		}
		if n > len(buf) { // with MSG_TRUNC the length is that of the whole
			return fmt.Errorf("read kernel's answer: %d bytes at once do not fit", n)
		}
		done, cut, err := messages(buf[:n], wanted, func(b []byte) { count++; yield(b) })
		interrupted = interrupted || cut
		if err != nil {
			return err
		}
		if done {
			if interrupted {
				return ErrInterrupted
			}
			return nil
		}
	}
	return fmt.Errorf("read kernel's answer: more than %d messages", maxMessages)
}

// messages splits one datagram: struct nlmsghdr and body, padded to 4.
func messages(b []byte, wanted uint16, yield func([]byte)) (done, interrupted bool, err error) {
	for len(b) >= headerSize {
		size := int(u32(b))
		if size < headerSize || size > len(b) {
			return false, interrupted, fmt.Errorf("read kernel's answer: message of %d bytes in %d", size, len(b))
		}
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		interrupted = interrupted || flags&dumpInterrupted != 0
		body := b[headerSize:size]
		switch {
		case kind == unix.NLMSG_OVERRUN:
			return true, interrupted, errors.New("read kernel's answer: it has lost messages")
		case kind == unix.NLMSG_ERROR || kind == unix.NLMSG_DONE && len(body) >= 4: // a dump can fail at its end
			if code := -int32(u32(body)); code > 0 || kind == unix.NLMSG_ERROR && code != 0 {
				return true, interrupted, fmt.Errorf("ask kernel: %w", unix.Errno(code))
			}
			return true, interrupted, nil
		case kind == unix.NLMSG_DONE:
			return true, interrupted, nil
		case kind >= unix.NLMSG_MIN_TYPE && (wanted == 0 || kind == wanted):
			yield(body)
		}
		b = b[min(align4(size), len(b)):]
	}
	return false, interrupted, nil
}

// inetProtocols are asked for in both families. The kernel may load its own
// diagnostics module to answer (tcp_diag, udp_diag, raw_diag …).
var inetProtocols = []struct {
	number int
	name   string
}{{protoTCP, "tcp"}, {protoUDP, "udp"}, {protoUDPLite, "udplite"}, {protoRaw, "raw"}, {protoSCTP, "sctp"}}

// Sockets lists the sockets of the caller's network namespace: TCP, UDP,
// UDP-Lite, raw and SCTP of both families, UNIX, packet and netlink. What the
// kernel does not know (ENOENT) is left out without an error; other errors
// are joined, and what was read is handed on all the same.
func Sockets(yield func(Socket)) error {
	var errs []error
	ask := func(what string, body []byte, one func([]byte)) {
		err := dump(unix.NETLINK_SOCK_DIAG, sockDiagRequest, 0, body, one)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("%s sockets: %w", what, err))
		}
	}
	for _, proto := range inetProtocols {
		for _, family := range []byte{afInet, afInet6} {
			ask(proto.name, inetRequest(family, proto.number), func(b []byte) {
				if s, ok := parseInet(b, proto.name); ok {
					yield(s)
				}
			})
		}
	}
	one := func(parse func([]byte) (Socket, bool)) func([]byte) {
		return func(b []byte) {
			if s, ok := parse(b); ok {
				yield(s)
			}
		}
	}
	ask("unix", unixRequest(), one(parseUnix))
	ask("packet", packetRequest(), one(parsePacket))
	ask("netlink", netlinkRequest(), one(parseNetlink))
	return errors.Join(errs...)
}

// rtDump asks rtnetlink with the generic 1-byte family header padded to the
// size of the request's struct.
func rtDump[T any](get, wanted uint16, size int, parse func([]byte) (T, bool)) ([]T, error) {
	return whole(get, wanted, make([]byte, size), parse)
}

// maxTries bounds how often a table that changes while it is read is read
// again. What came the last time is returned with ErrInterrupted.
const maxTries = 4

func whole[T any](get, wanted uint16, body []byte, parse func([]byte) (T, bool)) (list []T, err error) {
	for range maxTries {
		list = nil
		err = dump(unix.NETLINK_ROUTE, get, wanted, body, func(b []byte) {
			if v, ok := parse(b); ok {
				list = append(list, v)
			}
		})
		if !errors.Is(err, ErrInterrupted) {
			break
		}
	}
	return list, err
}

// Links lists the interfaces.
func Links() ([]Link, error) {
	return rtDump(unix.RTM_GETLINK, unix.RTM_NEWLINK, ifInfoSize, parseLink)
}

// Addresses lists the addresses of all interfaces.
func Addresses() ([]Address, error) {
	return rtDump(unix.RTM_GETADDR, unix.RTM_NEWADDR, ifAddrSize, parseAddress)
}

// Routes lists the routes of all tables and both families.
func Routes() ([]Route, error) {
	var all []Route
	var errs []error
	for _, family := range []byte{afInet, afInet6} {
		body := make([]byte, rtMsgSize)
		body[0] = family
		list, err := whole(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, body, parseRoute)
		all = append(all, list...)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s routes: %w", familyName(family), err))
		}
	}
	return all, errors.Join(errs...)
}

// Neighbours lists the ARP and NDP tables.
func Neighbours() ([]Neighbour, error) {
	return rtDump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, ndMsgSize, parseNeighbour)
}
