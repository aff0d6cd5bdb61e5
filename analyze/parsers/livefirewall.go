package parsers

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveConntrack reads the connections that netfilter tracked. One event per
// connection, at the time it began where the kernel notes that
// (net.netfilter.nf_conntrack_timestamp), else at the time of the look, action
// flow-state. Source and destination are those of its first packet; where
// addresses are translated the attributes reply_* differ from them.
var liveConntrack = register(analyze.Parser{
	Name: "live_conntrack", Doc: "connections that netfilter tracked during collection", Version: 1, Family: "live",
	Types: []string{"linux:conntrack:state"}, Match: ofSet(record.Conntrack), Parse: liveSet("linux:conntrack:state", flowRow),
})

func flowRow(s *stateSet, f *record.Flow) error {
	if f.Proto == "" {
		return errNoSubject
	}
	var ev *timeline.Event
	if f.Start > 0 {
		ev = s.dated(f.Start, "flow-started", "network", "Start Time")
		s.time("taken", f.Taken)
	} else {
		ev = s.at(f.Taken, "flow-state", "network")
	}
	ev.SrcIP, ev.DstIP = s.out.Str(f.Orig.SrcIP), s.out.Str(f.Orig.DstIP)
	if f.Orig.SrcPort > 0 {
		ev.SrcPort = f.Orig.SrcPort
	}
	if f.Orig.DstPort > 0 {
		ev.DstPort = f.Orig.DstPort
	}
	ev.Message = s.out.Join(s.out.Str(f.Proto), " ", endpoint(ev.SrcIP, f.Orig.SrcPort), " - ", endpoint(ev.DstIP, f.Orig.DstPort))
	if f.State != "" {
		ev.Message = s.out.Join(ev.Message, " ", s.out.Str(f.State))
	}
	s.str("family", f.Family)
	s.str("proto", f.Proto)
	s.str("state", f.State)
	s.str("netns", f.Netns)
	if translated := f.Reply.SrcIP != f.Orig.DstIP || f.Reply.DstIP != f.Orig.SrcIP || f.Reply.SrcPort != f.Orig.DstPort || f.Reply.DstPort != f.Orig.SrcPort; translated {
		s.str("reply_src_ip", f.Reply.SrcIP)
		s.num("reply_src_port", f.Reply.SrcPort)
		s.str("reply_dst_ip", f.Reply.DstIP)
		s.num("reply_dst_port", f.Reply.DstPort)
	}
	s.unum("packets", f.Orig.Packets)
	s.unum("bytes", f.Orig.Bytes)
	s.unum("reply_packets", f.Reply.Packets)
	s.unum("reply_bytes", f.Reply.Bytes)
	for _, status := range f.Status[:min(len(f.Status), listMax)] {
		s.str("status", status)
	}
	s.num("mark", f.Mark)
	s.num("zone", f.Zone)
	s.str("helper", f.Helper)
	s.num("timeout", f.Timeout)
	return nil
}

// liveNFTables reads the objects of nftables: tables, chains, rules, sets and
// their elements. One event per object at the time of the look: unit is
// family, table and chain; of a rule the message is the rule in words.
var liveNFTables = register(analyze.Parser{
	Name: "live_nftables", Doc: "tables, chains, rules and sets of nftables during collection", Version: 1, Family: "live",
	Types: []string{"linux:nftables:state"}, Match: ofSet(record.NFTables), Parse: liveSet("linux:nftables:state", nftRow),
})

func nftRow(s *stateSet, n *record.NFTable) error {
	if n.Object == "" {
		return errNoSubject
	}
	ev := s.at(0, "nftables-state", "network")
	ev.Unit = s.out.Join(s.out.Str(n.Family), " ", s.bytes(n.Table))
	if len(n.Chain) > 0 {
		ev.Unit = s.out.Join(ev.Unit, " ", s.bytes(n.Chain))
	}
	ev.Message = s.out.Join("nftables ", s.out.Str(n.Object), " in ", ev.Unit)
	for _, part := range []record.Bytes{n.Name, n.Text, record.Bytes(n.Key)} {
		if len(part) > 0 {
			ev.Message = s.out.Join(ev.Message, ": ", s.bytes(part))
		}
	}
	if n.Hook != "" {
		ev.Message = s.out.Join(ev.Message, ", hook ", s.out.Str(n.Hook), ", policy ", s.out.Str(n.Policy))
	}
	s.str("netns", n.Netns)
	s.str("object", n.Object)
	s.text("name", n.Name)
	s.unum("handle", n.Handle)
	s.str("type", n.Type)
	s.str("hook", n.Hook)
	s.num("priority", n.Priority)
	s.str("policy", n.Policy)
	s.text("dev", n.Dev)
	s.text("text", n.Text)
	s.text("comment", n.Comment)
	s.str("key", n.Key)
	s.str("key_end", n.KeyEnd)
	s.str("data", n.Data)
	s.unum("timeout_ms", n.Timeout)
	s.unum("expires_ms", n.Expires)
	return nil
}

// maxIPTableLines bounds the events of one table of iptables.
const maxIPTableLines = 100_000

// liveIPTables reads the tables of legacy iptables. One event per rule and per
// policy of a chain at the time of the look, each a line as iptables-save(8)
// writes it, in the order in which they hold; attr number is its place. unit is
// family and table. rec_off/len is the record of the whole table.
var liveIPTables = register(analyze.Parser{
	Name: "live_iptables", Doc: "rules of legacy iptables during collection", Version: 1, Family: "live",
	Types: []string{"linux:iptables:state"}, Match: ofSet(record.IPTables), Parse: liveSet("linux:iptables:state", iptablesRow),
})

func iptablesRow(s *stateSet, t *record.IPTable) error {
	if t.Table == "" {
		return errNoSubject
	}
	n := int64(0)
	for line := range bytes.Lines(t.Text) {
		line = bytes.TrimRight(line, "\n")
		if len(line) == 0 || line[0] != '-' && line[0] != ':' && line[0] != '[' {
			continue // *filter, COMMIT, comments
		}
		if n++; n > maxIPTableLines {
			s.out.Problem(evidence.TooBig, s.off, s.length, "the table has more rules than are told each by itself")
			break
		}
		ev := s.iptablesEvent(t)
		ev.Message = s.out.Join("iptables ", ev.Unit, ": ", s.bytes(line))
		s.num("number", n)
	}
	if n == 0 {
		ev := s.iptablesEvent(t)
		ev.Message = s.out.Join("iptables ", ev.Unit, " with ", s.out.Int(t.Entries), " entries")
	}
	return nil
}

func (s *stateSet) iptablesEvent(t *record.IPTable) *timeline.Event {
	ev := s.at(0, "iptables-state", "network")
	ev.Unit = s.out.Join(s.out.Str(t.Family), " ", s.out.Str(t.Table))
	s.str("netns", t.Netns)
	s.str("content", t.Content)
	return ev
}
