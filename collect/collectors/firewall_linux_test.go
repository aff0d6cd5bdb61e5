package collectors

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/netlink"
)

func TestProgramsInThePathOfPacketsAreFound(t *testing.T) {
	const schedCls, xdp = 3, 6
	pins := bpfFileSystem(t)
	filter, link := filepath.Join(pins, "filter"), filepath.Join(pins, "link")
	pin(t, loadProgram(t, schedCls, "exhibit_tc", 0), filter)
	pin(t, loadProgram(t, xdp, "exhibit_xdp", 2), link)
	name, ns := namedNetns(t)
	must := func(program string, args ...string) []byte {
		t.Helper()
		out, err := inside(t, name, program, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := inside(t, name, "tc", "qdisc", "add", "dev", "lo", "clsact"); err != nil {
		t.Skipf("skipped: the kernel has no clsact: %v", err)
	}
	must("tc", "filter", "add", "dev", "lo", "egress", "prio", "7", "bpf", "da", "pinned", filter)
	must("tc", "filter", "add", "dev", "lo", "ingress", "protocol", "ip", "u32", "match", "ip", "dst", "192.0.2.1", "flowid", "1:1")
	must("ip", "link", "set", "dev", "lo", "xdpgeneric", "pinned", link)
	shared := sharedBlock(t, name)
	got := live(t, linuxNetwork, linuxTraffic, linuxBPF)
	programs := collecttest.Lines[record.BPFProgram](t, got, record.BPFPrograms)
	tc, _ := programNamed(programs, "exhibit_tc")
	x, _ := programNamed(programs, "exhibit_xdp")
	for _, i := range collecttest.Lines[record.Interface](t, got, record.Interfaces) {
		if i.Netns == ns && i.Name == "lo" && !slices.Equal(i.XDP, []record.XDP{{Mode: "generic", Prog: x.ID}}) {
			t.Errorf("interface %+v, want program %d", i, x.ID)
		}
	}
	var ours []record.TrafficControl
	for _, r := range collecttest.Lines[record.TrafficControl](t, got, record.Traffic) {
		if r.Netns == ns {
			ours = append(ours, r)
		}
	}
	find := func(match func(record.TrafficControl) bool) record.TrafficControl {
		t.Helper()
		i := slices.IndexFunc(ours, match)
		if i < 0 {
			t.Fatalf("missing in %+v", ours)
		}
		return ours[i]
	}
	bpf := find(func(r record.TrafficControl) bool { return r.Kind == "bpf" && r.Handle != "" })
	if bpf.Prog != tc.ID || bpf.Tag != tc.Tag || !bpf.Direct || bpf.Priority != 7 || bpf.Parent != "ffff:fff3" || bpf.Iface != "lo" {
		t.Errorf("got %+v, want program %+v", bpf, tc)
	}
	u32 := find(func(r record.TrafficControl) bool { return r.Kind == "u32" && strings.Contains(r.Options, "c0000201") })
	if u32.Parent != "ffff:fff2" || u32.Protocol != 0x0800 {
		t.Errorf("got %+v", u32)
	}
	if q := find(func(r record.TrafficControl) bool { return r.Kind == "clsact" }); q.Object != "qdisc" || q.Handle != "ffff:" || q.Parent != "ffff:fff1" {
		t.Errorf("got %+v", q)
	}
	if shared {
		var told []record.TrafficControl
		for _, r := range ours {
			if strings.Contains(r.Options, "c0000202") {
				told = append(told, r)
			}
		}
		if len(told) != 1 || told[0].Block != 7 || told[0].Iface != "" {
			t.Errorf("a filter that two interfaces share: %+v", told)
		}
	}
	// As many as tc has, of each kind and at each place.
	for _, place := range []string{"ingress", "egress"} {
		var theirs []struct {
			Kind string
			Pref int64
		}
		if err := json.Unmarshal(must("tc", "-j", "filter", "show", "dev", "lo", place), &theirs); err != nil {
			t.Fatal(err)
		}
		parent, n := map[string]string{"ingress": "ffff:fff2", "egress": "ffff:fff3"}[place], 0
		for _, r := range ours {
			if r.Object == "filter" && r.Parent == parent {
				n++
				if !slices.ContainsFunc(theirs, func(w struct {
					Kind string
					Pref int64
				},
				) bool {
					return w.Kind == r.Kind && w.Pref == r.Priority
				}) {
					t.Errorf("tc has no %+v", r)
				}
			}
		}
		if n != len(theirs) || n == 0 {
			t.Errorf("%d filters at %s, tc has %d", n, place, len(theirs))
		}
	}
}

// sharedBlock has two interfaces share one filter; false where the kernel does
// not have the kinds.
func sharedBlock(t *testing.T, name string) bool {
	t.Helper()
	for _, args := range []string{
		"ip link add s0 type veth peer name s1", "tc qdisc add dev s0 ingress_block 7 clsact",
		"tc qdisc add dev s1 ingress_block 7 clsact", "tc filter add block 7 protocol ip u32 match ip dst 192.0.2.2 flowid 1:1",
	} {
		f := strings.Fields(args)
		if _, err := inside(t, name, f[0], f[1:]...); err != nil {
			t.Logf("no filter is shared: %v", err)
			return false
		}
	}
	return true
}

func TestTrackedConnectionsAreThoseOfConntrack(t *testing.T) {
	name, ns := namedNetns(t)
	for _, args := range []string{
		"-I -p tcp --src 192.0.2.1 --dst 198.51.100.2 --sport 1234 --dport 443 --state ESTABLISHED --timeout 600 --mark 7 -u ASSURED,SEEN_REPLY",
		"-I -p udp --src 2001:db8::1 --dst 2001:db8::2 --sport 53 --dport 4053 --timeout 600",
		"-I -p udp --src 192.0.2.9 --dst 192.0.2.10 --sport 5 --dport 6 --timeout 600 --src-nat 203.0.113.5",
	} {
		if _, err := inside(t, name, "conntrack", strings.Fields(args)...); err != nil {
			t.Skipf("skipped: the kernel tracks no connections: %v", err)
		}
	}
	flows := map[string]record.Flow{}
	for _, f := range collecttest.Lines[record.Flow](t, live(t, linuxConntrack), record.Conntrack) {
		if f.Netns == ns {
			flows[f.Orig.SrcIP] = f
		}
	}
	if len(flows) != 3 {
		t.Fatalf("got %+v", flows)
	}
	f := flows["192.0.2.1"]
	if f.Family != "inet" || f.Proto != "tcp" || f.State != "ESTABLISHED" || f.Timeout < 500 || f.Timeout > 600 ||
		f.Orig.DstIP != "198.51.100.2" || f.Orig.SrcPort != 1234 || f.Orig.DstPort != 443 || f.Reply.SrcIP != "198.51.100.2" ||
		f.Reply.DstPort != 1234 || !slices.Contains(f.Status, "ASSURED") || f.ID == 0 || f.Taken == 0 {
		t.Errorf("got %+v", f)
	}
	// The tool masks the mark it is given by rules of its own: what it lists counts.
	list, err := inside(t, name, "conntrack", "-L", "-o", "id")
	if err != nil {
		t.Fatal(err)
	}
	if f.Mark == 0 || !strings.Contains(string(list), fmt.Sprintf("mark=%d", f.Mark)) || !strings.Contains(string(list), fmt.Sprintf("id=%d", f.ID)) {
		t.Errorf("conntrack lists %s, we have %+v", list, f)
	}
	if f := flows["2001:db8::1"]; f.Family != "inet6" || f.Proto != "udp" || f.Orig.DstPort != 4053 || f.Reply.SrcPort != 4053 {
		t.Errorf("got %+v", f)
	}
	if f := flows["192.0.2.9"]; f.Reply.DstIP != "203.0.113.5" || !slices.Contains(f.Status, "SRC_NAT") {
		t.Errorf("got %+v", f)
	}
}

func TestWhatWouldHaveToBeLoadedIsNotAskedFor(t *testing.T) {
	loaded := map[string]bool{"nfnetlink": true}
	builtin := []byte("kernel/net/netfilter/nf-conntrack.ko\nkernel/x.ko.zst\n\n/\n")
	for want, modules := range map[string][]string{
		"":          {"nfnetlink", "nf_conntrack", "x"},
		"nf_tables": {"nfnetlink", "nf_tables", "y"},
	} {
		if got := missingOf(loaded, builtin, modules); got != want {
			t.Errorf("%v: %q, want %q", modules, got, want)
		}
	}
}

func TestLegacyTablesOfANamespaceAreTaken(t *testing.T) {
	name, ns := namedNetns(t)
	if _, err := inside(t, name, "iptables-legacy", "-A", "INPUT", "-s", "192.0.2.7/32", "-j", "DROP"); err != nil {
		t.Skipf("skipped: the kernel has no legacy iptables: %v", err)
	}
	got := live(t, linuxIPTables)
	var tables []string
	for _, r := range collecttest.Lines[record.IPTable](t, got, record.IPTables) {
		if r.Netns != ns {
			continue
		}
		tables = append(tables, r.Family+" "+r.Table)
		if !strings.Contains(string(r.Text), "-A INPUT -s 192.0.2.7/32 -j DROP\n") || len(got.Content(t, r.Content)) < 112 {
			t.Errorf("got %+v", r)
		}
	}
	if !slices.Equal(tables, []string{"ip filter"}) {
		t.Errorf("tables %q", tables)
	}
	// The look made none: what was not in use is not now.
	if names, err := inside(t, name, "cat", "/proc/thread-self/net/ip_tables_names"); err != nil || string(names) != "filter\n" {
		t.Errorf("tables in use %q, %v", names, err)
	}
}

func TestWhatTheKernelDoesNotHaveIsSaid(t *testing.T) {
	got := live(t, collect.Collector{Name: "x", Doc: "x", Tier: collect.TierNetwork, Live: true, Run: func(ctx context.Context, _ *collect.Host, out collect.Taker) error {
		s := newSets(record.NFTables, record.Conntrack, record.Traffic)
		ns := &netns{name: "net:[1]"}
		s.lostIn(out, ns, record.NFTables, netlink.ErrNotThere)
		s.lostIn(out, ns, record.Conntrack, netlink.ErrNotThere)
		s.put(record.Conntrack, record.Flow{Netns: ns.name}) // all the same
		s.lostIn(out, ns, record.Traffic, netlink.ErrInterrupted)
		return s.write(ctx, out, "netlink")
	}})
	if it := got.Find(record.NFTables); it.Kind != evidence.KindAbsent || it.Detail == "" {
		t.Errorf("got %+v", it)
	}
	if n := len(collecttest.Lines[record.Flow](t, got, record.Conntrack)); n != 1 {
		t.Errorf("%d flows", n)
	}
	if n := len(got.Content(t, record.Traffic)); n != 0 || got.Result.ProblemCount != 1 {
		t.Errorf("%d bytes, %d problems", n, got.Result.ProblemCount)
	}
}
