package collectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/sys/unix"
)

// elsewhere runs do on a thread that has a network namespace of its own, in
// which lo is up, keeps that thread until the test ends, and returns the
// namespace's name. The test is skipped where the system does not let us.
func elsewhere(t *testing.T, do func() error) string {
	t.Helper()
	name, failed, stop := make(chan string, 1), make(chan error, 1), make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		failed <- onThread(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return errNoNamespace
			}
			if err := loopbackUp(); err != nil {
				return err
			}
			if err := do(); err != nil {
				return err
			}
			ns, err := os.Readlink("/proc/thread-self/ns/net")
			name <- ns
			<-stop
			return err
		})
	}()
	select {
	case err := <-failed:
		if errors.Is(err, errNoNamespace) {
			t.Skip("skipped: no network namespace for us (needs CAP_SYS_ADMIN)")
		}
		t.Fatal(err)
		return ""
	case ns := <-name:
		return ns
	}
}

var errNoNamespace = errors.New("no network namespace")

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// listen opens a listener on the calling thread: package net may use others.
func listen(t *testing.T, port *int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	*port = at.(*unix.SockaddrInet4).Port
	return nil
}

func TestAListenerInTheNamespaceOfAThreadIsFound(t *testing.T) {
	var port int
	ns := elsewhere(t, func() error { return listen(t, &port) })
	got := live(t, linuxNetwork)
	if !slices.ContainsFunc(collecttest.Lines[record.Socket](t, got, record.Sockets), func(s record.Socket) bool {
		return s.Netns == ns && s.SrcIP == "127.0.0.1" && s.SrcPort == int64(port) && s.State == "LISTEN" && s.PID == int64(os.Getpid())
	}) {
		t.Errorf("no listener on port %d in %s", port, ns)
	}
	own, _ := os.Readlink("/proc/self/ns/net")
	for _, n := range collecttest.Lines[record.Netns](t, got, record.Namespaces) {
		switch n.Netns {
		case ns:
			if !n.Entered || n.Own || n.Processes != 0 || len(n.TIDs) != 1 {
				t.Errorf("namespace of the thread: %+v", n)
			}
		case own:
			if !n.Entered || !n.Own || !slices.Contains(n.PIDs, int64(os.Getpid())) && n.Processes <= maxNetnsOwners {
				t.Errorf("own namespace: %+v", n)
			}
		}
	}
	hex := strings.ToUpper(strconv.FormatInt(int64(port), 16))
	if !slices.ContainsFunc(collecttest.Lines[record.NetnsFile](t, got, record.NetnsFiles), func(f record.NetnsFile) bool {
		return f.Netns == ns && f.Path == "/proc/net/tcp" && strings.Contains(string(f.Data), "0100007F:"+strings.Repeat("0", 4-len(hex))+hex)
	}) {
		t.Errorf("no /proc/net/tcp of %s with port %s", ns, hex)
	}
	for _, i := range collecttest.Lines[record.Interface](t, got, record.Interfaces) {
		if i.Netns == ns && (i.Name != "lo" || !slices.Contains(i.Addresses, "127.0.0.1/8")) {
			t.Errorf("interface %+v", i)
		}
	}
}

func TestNoThreadStaysInAForeignNamespace(t *testing.T) {
	var port int
	elsewhere(t, func() error { return listen(t, &port) })
	h, err := collect.OpenHost("/", true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	before, _ := os.Readlink("/proc/self/ns/net")
	var inside []int
	err = eachNetns(t.Context(), h, newMemoryTaker(h), "x", func(n *netns) error {
		if !n.own {
			inside = append(inside, unix.Gettid())
		}
		return nil
	})
	if err != nil || len(inside) == 0 {
		t.Fatalf("%d namespaces entered, %v", len(inside), err)
	}
	if slices.Contains(inside, unix.Getpid()) {
		t.Error("the first thread of the process was in a foreign namespace")
	}
	// What runs now runs at home.
	for range 200 {
		at := make(chan string)
		go func() { ns, _ := os.Readlink("/proc/thread-self/ns/net"); at <- ns }()
		if ns := <-at; ns != before {
			t.Fatalf("a goroutine runs in %s, not in %s", ns, before)
		}
	}
}

func TestAPanicInAForeignNamespaceReachesTheCaller(t *testing.T) {
	fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := inNetns(fd, func() error { return nil }); err != nil {
		t.Skipf("skipped: %v (needs CAP_SYS_ADMIN)", err)
	}
	defer func() {
		if r := recover(); r != "x" {
			t.Errorf("recovered %v", r)
		}
	}()
	_ = inNetns(fd, func() error { panic("x") })
	t.Error("no panic")
}

func TestANamespaceThatOnlyAMountKeepsIsEntered(t *testing.T) {
	name, _ := namedNetns(t)
	packettest.IP(t, "-n "+name+" route add blackhole 198.51.100.0/24 table 77")
	packettest.IP(t, "-n "+name+" rule add from 192.0.2.0/24 lookup 77 priority 500")
	got := live(t, linuxNetwork)
	all := collecttest.Lines[record.Netns](t, got, record.Namespaces)
	i := slices.IndexFunc(all, func(n record.Netns) bool {
		return slices.ContainsFunc(n.Pins, func(b record.Bytes) bool {
			return string(b) == "/run/netns/"+name || string(b) == "/var/run/netns/"+name
		})
	})
	if i < 0 || !all[i].Entered || all[i].Processes != 0 {
		t.Fatalf("namespace %s: %+v", name, all)
	}
	ns := all[i].Netns
	if !slices.ContainsFunc(collecttest.Lines[record.Route](t, got, record.Routes), func(r record.Route) bool {
		return r.Netns == ns && r.Table == 77 && r.Dst == "198.51.100.0/24"
	}) {
		t.Error("its route is missing")
	}
	rulesAreThoseOfIP(t, name, ns, collecttest.Lines[record.RouteRule](t, got, record.RouteRules))
	routesAreThoseOfIP(t, name, ns, collecttest.Lines[record.Route](t, got, record.Routes))
}

// namedNetns makes a namespace that a mount in /run/netns keeps, with lo up.
// The test is skipped where the system does not let us.
func namedNetns(t *testing.T) (name, ns string) {
	t.Helper()
	ip := testenv.Tool(t, "ip")
	name = fmt.Sprintf("exhibit-test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	if out, err := exec.Command(ip, "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("skipped: ip netns add: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command(ip, "netns", "del", name).Run() })
	packettest.IP(t, "-n "+name+" link set lo up")
	var st unix.Stat_t
	if err := unix.Stat("/run/netns/"+name, &st); err != nil {
		t.Fatal(err)
	}
	return name, fmt.Sprintf("net:[%d]", st.Ino)
}

// inside runs a program in a named namespace.
func inside(t *testing.T, name, program string, args ...string) ([]byte, error) {
	t.Helper()
	// Not by ip netns exec, which would run it in a mount namespace of its own.
	cmd := exec.Command(testenv.Tool(t, "nsenter"), append([]string{"--net=/run/netns/" + name, testenv.Tool(t, program)}, args...)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %q: %w: %s", program, args, err, complaint.Bytes())
	}
	return out, err
}

func ipJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	out, err := exec.Command(testenv.Tool(t, "ip"), append([]string{"-j", "-N"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func rulesAreThoseOfIP(t *testing.T, name, ns string, ours []record.RouteRule) {
	t.Helper()
	n := 0
	for _, family := range []string{"inet", "inet6"} {
		var want []struct {
			Priority   int64
			Src, Table string
			Srclen     int
		}
		ipJSON(t, &want, "-n", name, "-f", family, "rule")
		for _, w := range want {
			src := w.Src
			if w.Srclen > 0 {
				src += "/" + strconv.Itoa(w.Srclen)
			}
			n++
			if !slices.ContainsFunc(ours, func(r record.RouteRule) bool {
				return r.Netns == ns && r.Family == family && r.Priority == w.Priority && r.Src == src &&
					strconv.FormatInt(r.Table, 10) == w.Table && r.Action == "lookup"
			}) {
				t.Errorf("no %s rule %+v in %+v", family, w, ours)
			}
		}
	}
	for _, r := range ours {
		if r.Netns == ns {
			n--
		}
	}
	if n != 0 {
		t.Errorf("ip has %d more rules than we", n)
	}
}

func routesAreThoseOfIP(t *testing.T, name, ns string, ours []record.Route) {
	t.Helper()
	var want, want6 []struct {
		Dst, Table, Dev string
	}
	ipJSON(t, &want, "-n", name, "-4", "route", "show", "table", "all")
	ipJSON(t, &want6, "-n", name, "-6", "route", "show", "table", "all")
	want = append(want, want6...)
	n := 0
	for _, r := range ours {
		if r.Netns != ns {
			continue
		}
		n++
		if !slices.ContainsFunc(want, func(w struct{ Dst, Table, Dev string }) bool {
			p := w.Dst
			if a, err := netip.ParseAddr(p); err == nil {
				p = netip.PrefixFrom(a, a.BitLen()).String()
			}
			return p == r.Dst && (w.Table == strconv.FormatInt(r.Table, 10) || w.Table == "" && r.Table == 254)
		}) {
			t.Errorf("ip has no route %+v: %+v", r, want)
		}
	}
	if n != len(want) || n == 0 {
		t.Errorf("%d routes, ip has %d", n, len(want))
	}
}

func TestTheFilterOfAPacketSocketIsKept(t *testing.T) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("skipped: packet socket: %v (needs CAP_NET_RAW)", err)
	}
	defer unix.Close(fd)
	// What BPFDoor-like implants leave: a filter that lets few packets through.
	program := []unix.SockFilter{{Code: 0x28, K: 12}, {Code: 0x15, Jt: 0, Jf: 1, K: 0x0800}, {Code: 0x6, K: 0x40000}, {Code: 0x6}}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	for _, s := range collecttest.Lines[record.Socket](t, live(t, linuxNetwork), record.Sockets) {
		if s.Inode == st.Ino {
			if want := "4,40 0 0 12,21 0 1 2048,6 0 0 262144,6 0 0 0"; s.Filter != want || s.Family != "packet" {
				t.Errorf("socket %+v, want filter %q", s, want)
			}
			return
		}
	}
	t.Errorf("packet socket %d is missing", st.Ino)
}

func TestANamespaceThatOnlyADescriptorKeepsIsEntered(t *testing.T) {
	var port, kept int
	name := make(chan string, 1)
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return errNoNamespace
		}
		if err := errors.Join(loopbackUp(), listen(t, &port)); err != nil {
			return err
		}
		ns, err := os.Readlink("/proc/thread-self/ns/net")
		name <- ns
		if err == nil {
			kept, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		return err
	}) // and the thread is gone
	if errors.Is(err, errNoNamespace) {
		t.Skip("skipped: no network namespace for us (needs CAP_SYS_ADMIN)")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	ns, got := <-name, live(t, linuxNetwork)
	for _, n := range collecttest.Lines[record.Netns](t, got, record.Namespaces) {
		if n.Netns == ns && (!n.Entered || n.Processes+int64(len(n.TIDs)+len(n.Pins)) != 0 || !slices.Contains(n.FDs, record.NetnsFD{PID: int64(os.Getpid()), FD: int64(kept)})) {
			t.Errorf("got %+v", n)
		}
	}
	if !slices.ContainsFunc(collecttest.Lines[record.Socket](t, got, record.Sockets), func(s record.Socket) bool {
		return s.Netns == ns && s.Foreign && s.SrcPort == int64(port) && s.State == "LISTEN"
	}) {
		t.Errorf("no listener on port %d in %s", port, ns)
	}
}

func TestNamespacesNamedByTheHostAreNotTrusted(t *testing.T) {
	for _, name := range []string{"", "net:[", "net:[]", "net:[x]", "net:[0]", "mnt:[1]", "net:[18446744073709551616]"} {
		if n, ok := netnsInode(name); ok {
			t.Errorf("%q is namespace %d", name, n)
		}
	}
	if _, err := openNetns("/dev/null", 4026531840); err != unix.ESTALE {
		t.Errorf("a device was opened: %v", err)
	}
	if _, err := openNetns("/proc/self/ns/net", 1); err != unix.ESTALE {
		t.Errorf("another namespace was opened: %v", err)
	}
}
