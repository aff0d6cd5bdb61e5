//go:build linux

package netlink

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/sys/unix"
)

func sockets(t *testing.T) []Socket {
	t.Helper()
	var all []Socket
	if err := Sockets(false, func(s Socket) { all = append(all, s) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestListenersOfBothFamiliesAreFoundWithTheirInode(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Skipf("skipped: %v", err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		want := netip.MustParseAddrPort(l.Addr().String())
		if !slices.ContainsFunc(sockets(t), func(s Socket) bool {
			return s.Src == want && s.State == "LISTEN" && uint64(s.Inode) == st.Ino && s.Proto == "tcp" && s.UID == uint32(os.Getuid())
		}) {
			t.Errorf("no listener %s with inode %d", want, st.Ino)
		}
	}
}

func TestAConnectionHasBothEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	src, dst := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(c.RemoteAddr().String())
	if !slices.ContainsFunc(sockets(t), func(s Socket) bool { return s.Src == src && s.Dst == dst && s.State == "ESTAB" }) {
		t.Errorf("no connection %s to %s", src, dst)
	}
}

func TestUnixSocketsKeepTheirNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s\xff")
	for _, name := range []string{path, "@exhibit-\xfe-test"} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want := strings.Replace(name, "@", "\x00", 1)
		if !slices.ContainsFunc(sockets(t), func(s Socket) bool {
			return s.Family == "unix" && string(s.Path) == want && s.State == "LISTEN" && s.Proto == "stream"
		}) {
			t.Errorf("no socket %q", want)
		}
	}
}

func TestTCPListenersAreThoseOfSS(t *testing.T) {
	ss := testenv.Tool(t, "ss")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := exec.Command(ss, "-H", "-l", "-t", "-n", "-e").Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, s := range sockets(t) {
		if s.Proto == "tcp" && s.State == "LISTEN" {
			ours[strconv.Itoa(int(s.Inode))] = true
		}
	}
	found := 0
	for _, m := range regexp.MustCompile(`\bino:(\d+)`).FindAllStringSubmatch(string(out), -1) {
		found++
		if !ours[m[1]] {
			// Listeners of other programs come and go between the two looks.
			t.Logf("ss has inode %s, we do not", m[1])
			found--
		}
	}
	if found == 0 {
		t.Errorf("no listener in common with ss:\n%s", out)
	}
}

func TestLoopbackIsThere(t *testing.T) {
	links, err := Links()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(links, func(l Link) bool { return l.Name == "lo" })
	if i < 0 {
		t.Fatalf("no lo in %+v", links)
	}
	if !slices.Contains(FlagNames(links[i].Flags), "LOOPBACK") || links[i].MTU == 0 {
		t.Errorf("lo is %+v", links[i])
	}
	for _, l := range links {
		sys, err := net.InterfaceByName(l.Name)
		if err != nil || sys.Index != int(l.Index) || sys.HardwareAddr.String() != l.MAC && l.MAC != "" || sys.MTU != int(l.MTU) {
			t.Errorf("%+v, package net says %+v, %v", l, sys, err)
		}
	}
	addrs, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	want := netip.MustParsePrefix("127.0.0.1/8")
	if !slices.ContainsFunc(addrs, func(a Address) bool { return a.Prefix == want }) {
		t.Errorf("no %s in %v", want, addrs)
	}
}

func TestRoutesOfTheLocalTableAreThere(t *testing.T) {
	var routes []Route
	if err := Routes(func(r Route) { routes = append(routes, r) }); err != nil {
		t.Fatal(err)
	}
	const local = 255
	if !slices.ContainsFunc(routes, func(r Route) bool {
		return r.Table == local && r.Dst.IsValid() && r.Dst.Addr().IsLoopback()
	}) {
		t.Errorf("no loopback route in table local: %+v", routes)
	}
	if err := Neighbours(func(Neighbour) {}); err != nil {
		t.Error(err)
	}
}

func FuzzDecoders(f *testing.F) {
	f.Add(inetRequest(afInet6, protoTCP))
	for _, seed := range []struct {
		protocol int
		kind     uint16
		body     []byte
	}{
		{unix.NETLINK_SOCK_DIAG, sockDiagRequest, inetRequest(afInet, protoTCP)},
		{unix.NETLINK_SOCK_DIAG, sockDiagRequest, unixRequest()},
		{unix.NETLINK_SOCK_DIAG, sockDiagRequest, netlinkRequest()},
		{unix.NETLINK_ROUTE, unix.RTM_GETLINK, make([]byte, ifInfoSize)},
		{unix.NETLINK_ROUTE, unix.RTM_GETROUTE, make([]byte, rtMsgSize)},
		{unix.NETLINK_ROUTE, unix.RTM_GETRULE, make([]byte, ruleHdrSize)},
		{unix.NETLINK_ROUTE, unix.RTM_GETQDISC, make([]byte, tcMsgSize)},
	} {
		n := 0
		_ = dump(seed.protocol, seed.kind, 0, seed.body, func(b []byte) { // seeds are welcome, not required
			if n++; n < 4 {
				f.Add(append([]byte(nil), b...))
			}
		})
	}
	_ = AuditRules(func(b []byte) { f.Add(append([]byte(nil), b...)) })
	f.Add(auditRule())
	f.Fuzz(func(t *testing.T, b []byte) {
		parseInet(b, "tcp")
		parseUnix(b)
		parsePacket(b)
		parseNetlink(b)
		parseLink(b)
		parseAddress(b)
		parseRoute(b)
		parseNeighbour(b)
		parseVsock(b)
		parseRule(b)
		FilterText(b)
		parseTraffic(b, "qdisc")
		parseTraffic(b, "filter")
		parseFlow(b)
		AuditRule(b)
		parseAuditStatus(b)
		parseNFTable(b)
		parseNFChain(b)
		parseNFRule(b)
		parseNFSet(b)
		parseNFStateful(b)
		parseNFFlowtable(b)
		parseNFElements(b, func(NFObject) {})
		_, _, _ = messages(b, 0, func([]byte) {})
	})
}

func TestADumpThatFailsAtItsEndIsNoGoodEnd(t *testing.T) {
	message := func(kind uint16, body ...byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(headerSize+len(body)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, make([]byte, headerSize-len(b))...)
		return append(b, body...)
	}
	code := func(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
	for _, c := range []struct {
		name string
		text []byte
		want error
		done bool
	}{
		{"done", message(unix.NLMSG_DONE), nil, true},
		{"done, with its code", message(unix.NLMSG_DONE, code(0)...), nil, true},
		{"done, with a count", message(unix.NLMSG_DONE, code(12)...), nil, true},
		{"failed at its end", message(unix.NLMSG_DONE, code(-int32(unix.ENOMEM))...), unix.ENOMEM, true},
		{"failed", message(unix.NLMSG_ERROR, code(-int32(unix.EPERM))...), unix.EPERM, true},
		{"goes on", message(unix.RTM_NEWLINK, 1, 2, 3, 4), nil, false},
	} {
		done, _, err := messages(c.text, 0, func([]byte) {})
		if done != c.done || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: done %v, %v", c.name, done, err)
		}
	}
	if _, _, err := messages(message(unix.NLMSG_OVERRUN), 0, func([]byte) {}); err == nil {
		t.Error("lost messages are not told")
	}
}

func attr(kind uint16, value ...byte) []byte { return appendAttr(nil, kind, value) }

func TestActionsOfAFilterAreNamed(t *testing.T) {
	options := slices.Concat(attr(8, 1, 0, 0, 0), attr(7, slices.Concat(
		attr(1, attr(1, []byte("mirred\x00")...)...), attr(2, attr(1, []byte("gact\x00")...)...))...))
	b := slices.Concat(make([]byte, tcMsgSize), attr(1, []byte("u32\x00")...), attr(2, options...))
	f, ok := parseTraffic(b, "filter")
	if !ok || f.Kind != "u32" || !slices.Equal(f.Actions, []string{"mirred", "gact"}) {
		t.Errorf("got %+v", f)
	}
}

func TestATableThatChangesIsReadAgain(t *testing.T) {
	// Each round says what the kernel answers, and whether the table changed.
	type round struct {
		answers []string
		err     error
	}
	large := strings.Repeat("x", maxHeld/2)
	for _, c := range []struct {
		name   string
		rounds []round
		want   []string
		err    error
	}{
		{"steady", []round{{[]string{"a", "b"}, nil}}, []string{"a", "b"}, nil},
		{"changed once", []round{{[]string{"a", "b"}, ErrInterrupted}, {[]string{"a", "c"}, nil}}, []string{"a", "c"}, nil},
		{"failed", []round{{[]string{"a"}, unix.ENOBUFS}, {[]string{"b"}, nil}}, []string{"a"}, unix.ENOBUFS},
		{
			"never at rest",
			[]round{{[]string{"a"}, ErrInterrupted}, {[]string{"b"}, ErrInterrupted}, {[]string{"c"}, ErrInterrupted}, {[]string{"d"}, ErrInterrupted}},
			[]string{"d"},
			ErrInterrupted,
		},
		{"too large to be held", []round{{[]string{large, large, "b"}, ErrInterrupted}, {[]string{"c"}, nil}}, []string{large, large, "b"}, ErrInterrupted},
	} {
		asked := 0
		var got []string
		err := steady(func(yield func([]byte)) error {
			r := c.rounds[asked]
			asked++
			buf := make([]byte, len(large)) // which the kernel's next answer overwrites
			for _, a := range r.answers {
				yield(buf[:copy(buf, a)])
			}
			return r.err
		}, func(b []byte) { got = append(got, string(b)) })
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %d answers, %v", c.name, len(got), err)
		}
	}
}

func TestAnswersThatCannotBeReadAreCounted(t *testing.T) {
	unread := 0
	var got []Rule
	read := reader(parseRule, func(r Rule) { got = append(got, r) }, &unread)
	read(make([]byte, ruleHdrSize-1))
	read(make([]byte, ruleHdrSize))
	if unread != 1 || len(got) != 1 || unreadable(unread) == nil || unreadable(0) != nil {
		t.Errorf("%d unread, %+v", unread, got)
	}
}

func TestAFlowTableIsRead(t *testing.T) {
	device := func(name string) []byte { return attr(1, append([]byte(name), 0)...) }
	b := slices.Concat([]byte{1, 0, 0, 0}, attr(1, []byte("guard\x00")...), attr(2, []byte("fast\x00")...),
		attr(3, slices.Concat(attr(1, 0, 0, 0, 0), attr(2, 0xff, 0xff, 0xff, 0xfd), attr(3, slices.Concat(device("eth0"), device("eth1"))...))...),
		attr(4, 0, 0, 0, 2), attr(5, 0, 0, 0, 0, 0, 0, 0, 9), attr(7, 0, 0, 0, 1))
	o, ok := parseNFFlowtable(b)
	if !ok || o.Family != "inet" || o.Table != "guard" || o.Name != "fast" || o.Hook != "ingress" || o.Priority != -3 ||
		!slices.Equal(o.Dev, []string{"eth0", "eth1"}) || o.Use != 2 || o.Handle != 9 || o.Flags != 1 || string(o.Raw) != string(b) {
		t.Errorf("got %+v", o)
	}
}

func TestWhatARegisterHoldsIsToldWithIt(t *testing.T) {
	reg := func(n byte) []byte { return []byte{0, 0, 0, n} }
	value := func(b ...byte) []byte { return attr(1, b...) }
	payload := func(dst, base, at, size byte) []byte {
		return slices.Concat(attr(1, reg(dst)...), attr(2, reg(base)...), attr(3, reg(at)...), attr(4, reg(size)...))
	}
	type expr struct {
		name string
		data []byte
	}
	for _, c := range []struct {
		family string
		exprs  []expr
		want   []string
	}{
		// The same bytes are another field in another protocol's header.
		{"ip", []expr{{"payload", payload(1, 1, 12, 4)}, {"cmp", slices.Concat(attr(1, reg(1)...), attr(2, reg(0)...), attr(3, value(192, 0, 2, 1)...))}}, []string{"", "ip saddr 192.0.2.1"}},
		{"ip6", []expr{{"payload", payload(1, 1, 12, 4)}, {"cmp", slices.Concat(attr(1, reg(1)...), attr(2, reg(0)...), attr(3, value(192, 0, 2, 1)...))}}, []string{"", "@nh,96,32 0xc0000201"}},
		{"inet", []expr{{"payload", payload(1, 1, 12, 4)}, {"cmp", slices.Concat(attr(1, reg(1)...), attr(2, reg(1)...), attr(3, value(192, 0, 2, 1)...))}}, []string{"", "@nh,96,32 != 0xc0000201"}},
		// NFT_REG_1 has the words of NFT_REG32_00 to 03.
		{"ip", []expr{{"payload", payload(1, 1, 12, 4)}, {"payload", payload(9, 2, 2, 2)}, {"lookup", slices.Concat(attr(1, []byte("s\x00")...), attr(2, reg(8)...))}}, []string{"", "", "ip saddr . th dport @s"}},
		// What was told before is no part of a key.
		{"ip", []expr{
			{"payload", payload(9, 2, 2, 2)},
			{"cmp", slices.Concat(attr(1, reg(9)...), attr(2, reg(4)...), attr(3, value(0, 22)...))},
			{"payload", payload(1, 1, 16, 4)},
			{"lookup", slices.Concat(attr(1, []byte("s\x00")...), attr(2, reg(1)...), attr(5, reg(1)...))},
		}, []string{"", "th dport > 22", "", "ip daddr != @s"}},
		{"ip", []expr{{"frobnicate", attr(1, reg(1)...)}}, []string{"frobnicate"}},
	} {
		m := newMachine(c.family)
		for i, e := range c.exprs {
			if got := m.run(e.name, e.data); got != c.want[i] {
				t.Errorf("%s %s: got %q, want %q", c.family, e.name, got, c.want[i])
			}
		}
	}
}

func TestVsockSocketsAreRead(t *testing.T) {
	b := make([]byte, vsockMsgSize)
	b[0], b[1], b[2] = afVsock, 1, 10
	for at, v := range map[int]uint32{4: 3, 8: 1024, 12: 2, 16: 9999, 20: 77} {
		binary.NativeEndian.PutUint32(b[at:], v)
	}
	s, ok := parseVsock(b)
	if !ok || s.State != "LISTEN" || s.Proto != "stream" || s.SrcCID != 3 || s.SrcPort != 1024 || s.DstCID != 2 || s.DstPort != 9999 || s.Inode != 77 {
		t.Errorf("got %+v", s)
	}
}

// auditRule is a watch on /etc/shadow as auditctl -w /etc/shadow -p wa -k a -k b
// makes it.
func auditRule() []byte {
	b := make([]byte, auditRuleSize)
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(b[4*at:], v) }
	put(0, 4)
	put(1, 2)
	put(2, 3)
	for i := range auditWords {
		put(3+i, 0xffffffff)
	}
	for i, f := range []struct{ field, value uint32 }{{105, 11}, {106, 2 | 8}, {210, 3}} {
		put(3+auditWords+i, f.field)
		put(3+2*auditWords+i, f.value)
		put(3+3*auditWords+i, 0x40000000)
	}
	put(3+4*auditWords, 14)
	return append(b, "/etc/shadowa\x01b"...)
}

func TestAnAuditRuleIsToldAsItWasGiven(t *testing.T) {
	const want = "-a always,exit -S all -F path=/etc/shadow -F perm=wa -F key=a -F key=b"
	if text, ok := AuditRule(auditRule()); !ok || text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}
