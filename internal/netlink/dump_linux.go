package netlink

import (
	"bytes"
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
	return ask(protocol, kind, wanted, unix.NLM_F_DUMP, body, maxMessages, yield)
}

// ask sends one request and hands on the answers until the kernel says that
// there are no more, or there are as many as it gives.
func ask(protocol int, kind, wanted, flags uint16, body []byte, answers int, yield func([]byte)) error {
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
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|flags)
	binary.NativeEndian.PutUint32(msg[8:], 1)
	msg = append(msg, body...)
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask kernel: %w", err)
	}
	return receive(fd, wanted, answers, yield)
}

func receive(fd int, wanted uint16, answers int, yield func([]byte)) error {
	buf := make([]byte, receiveBuffer)
	interrupted := false
	count := 0
	for range maxMessages { // what is not from the kernel counts, too
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
		if count == answers && answers < maxMessages {
			return nil
		}
		if count >= maxMessages {
			break
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
// UDP-Lite, raw and SCTP of both families, UNIX, packet, netlink and, when
// vsock says so, those to virtual machines (vsock(7)), which the kernel would
// load a module for. What the kernel does not know (ENOENT) is left out
// without an error; other errors are joined, and what was read is handed on
// all the same.
func Sockets(vsock bool, yield func(Socket)) error {
	var errs []error
	ask := func(what string, body []byte, parse func([]byte) (Socket, bool)) {
		unread := 0
		err := dump(unix.NETLINK_SOCK_DIAG, sockDiagRequest, 0, body, reader(parse, yield, &unread))
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
			err = nil
		}
		if err = errors.Join(err, unreadable(unread)); err != nil {
			errs = append(errs, fmt.Errorf("%s sockets: %w", what, err))
		}
	}
	for _, proto := range inetProtocols {
		for _, family := range []byte{afInet, afInet6} {
			ask(proto.name, inetRequest(family, proto.number), func(b []byte) (Socket, bool) { return parseInet(b, proto.name) })
		}
	}
	ask("unix", unixRequest(), parseUnix)
	ask("packet", packetRequest(), parsePacket)
	ask("netlink", netlinkRequest(), parseNetlink)
	if vsock {
		ask("vsock", vsockRequest(), parseVsock)
	}
	return errors.Join(errs...)
}

const (
	maxTries = 4       // how often a table that changes while it is read is read again
	maxHeld  = 4 << 20 // bytes of its answers that are held until it is known that it did not change
)

// steady hands on the answers of one dump, asked for again while the table
// changed during it. What takes more than maxHeld is handed on as it comes, and
// cannot be taken back: when the table changed then, or at the last try, the
// error is ErrInterrupted.
func steady(dump func(yield func([]byte)) error, yield func([]byte)) error {
	for try := 1; ; try++ {
		var held [][]byte
		size, through := 0, false
		release := func() {
			for _, b := range held {
				yield(b)
			}
			held = nil
		}
		err := dump(func(b []byte) {
			if size += len(b) + 24; size <= maxHeld {
				held = append(held, bytes.Clone(b))
				return
			}
			release()
			through = true
			yield(b)
		})
		if errors.Is(err, ErrInterrupted) && !through && try < maxTries {
			continue
		}
		release()
		return err
	}
}

// whole hands on the answers to one question that parse reads.
func whole[T any](protocol int, get, wanted uint16, body []byte, parse func([]byte) (T, bool), yield func(T)) error {
	unread := 0
	err := steady(func(yield func([]byte)) error { return dump(protocol, get, wanted, body, yield) }, reader(parse, yield, &unread))
	return errors.Join(err, unreadable(unread))
}

// reader hands on what parse reads, and counts what it does not.
func reader[T any](parse func([]byte) (T, bool), yield func(T), unread *int) func([]byte) {
	return func(b []byte) {
		if v, ok := parse(b); ok {
			yield(v)
		} else {
			*unread++
		}
	}
}

func unreadable(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of the kernel's answers do not have the form they should", n)
}

// ofFamily is a request of rtnetlink: a struct that begins with the family.
func ofFamily(family byte, size int) []byte {
	b := make([]byte, size)
	b[0] = family
	return b
}

// Links lists the interfaces.
func Links() (list []Link, err error) {
	err = whole(unix.NETLINK_ROUTE, unix.RTM_GETLINK, unix.RTM_NEWLINK, ofFamily(0, ifInfoSize), parseLink, func(l Link) { list = append(list, l) })
	return list, err
}

// Addresses lists the addresses of all interfaces.
func Addresses() (list []Address, err error) {
	err = whole(unix.NETLINK_ROUTE, unix.RTM_GETADDR, unix.RTM_NEWADDR, ofFamily(0, ifAddrSize), parseAddress, func(a Address) { list = append(list, a) })
	return list, err
}

// Routes hands on the routes of all tables and both families.
func Routes(yield func(Route)) error {
	var errs []error
	for _, family := range []byte{afInet, afInet6} {
		err := whole(unix.NETLINK_ROUTE, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, ofFamily(family, rtMsgSize), parseRoute, yield)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s routes: %w", familyName(family), err))
		}
	}
	return errors.Join(errs...)
}

// Rules hands on the rules by which both families choose a table (ip-rule(8)).
func Rules(yield func(Rule)) error {
	var errs []error
	for _, family := range []byte{afInet, afInet6} {
		err := whole(unix.NETLINK_ROUTE, unix.RTM_GETRULE, unix.RTM_NEWRULE, ofFamily(family, ruleHdrSize), parseRule, yield)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) { // built without
			errs = append(errs, fmt.Errorf("%s rules: %w", familyName(family), err))
		}
	}
	return errors.Join(errs...)
}

// Neighbours hands on the ARP and NDP tables.
func Neighbours(yield func(Neighbour)) error {
	return whole(unix.NETLINK_ROUTE, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, ofFamily(0, ndMsgSize), parseNeighbour, yield)
}
