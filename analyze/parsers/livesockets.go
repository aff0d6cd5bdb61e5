package parsers

import (
	"context"
	"net"
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// liveSockets reads the sockets that were open when the collector looked. One
// event per socket at that time: source is the local end, destination the
// remote one; pid and exe are one owner. A Unix socket's path is file. netns is
// the network namespace; the message names it when it is not the collector's
// own, because addresses and ports mean something else there.
var liveSockets = register(analyze.Parser{
	Name:    "live_sockets",
	Doc:     "sockets that were open during collection",
	Version: 2,
	Family:  "live",
	Types:   []string{"linux:socket:state"},
	Match: func(it *evidence.Item, head []byte) bool {
		return len(head) > 0 && head[0] == '{' && isRecordSet(it, record.Sockets)
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return eachRecord(src, out, func(s *record.Socket, off, length int64) error {
			return socketEvent(src, out, s, off, length)
		})
	},
})

func socketEvent(src *analyze.Source, out *timeline.Appender, s *record.Socket, off, length int64) error {
	if s.Family == "" {
		return errNoSubject
	}
	ev := stateEvent(src, out, off, length, s.Taken, "linux:socket:state")
	ev.Action, ev.Category = "socket-state", "network"
	ev.UID, ev.User = s.UID, userName(src.Host, s.UID)
	if s.PID > 0 {
		ev.PID = s.PID
	}
	ev.Exe = out.Text(cutText(s.Exe))
	inet := s.Family == "inet" || s.Family == "inet6"
	if inet {
		ev.SrcIP, ev.DstIP = out.Str(s.SrcIP), out.Str(s.DstIP)
		ev.SrcPort = s.SrcPort
		if s.DstPort > 0 {
			ev.DstPort = s.DstPort
		}
	}
	ev.File = out.Text(cutText(s.Path))
	ev.Message = socketMessage(out, ev, s, inet)
	a := attrs{out}
	a.str("family", s.Family)
	a.str("proto", s.Proto)
	a.str("state", s.State)
	a.unum("inode", s.Inode)
	a.unum("peer_inode", s.Peer)
	a.str("iface", s.Iface)
	a.str("netns", s.Netns)
	a.str("from", s.From)
	return nil
}

func socketMessage(out *timeline.Appender, ev *timeline.Event, s *record.Socket, inet bool) string {
	m := out.Join(out.Str(s.Family), " ", out.Str(s.Proto))
	if s.State != "" {
		m = out.Join(m, " ", out.Str(s.State))
	}
	if inet {
		m = out.Join(m, " ", endpoint(ev.SrcIP, s.SrcPort))
		if s.DstPort > 0 {
			m = out.Join(m, " - ", endpoint(ev.DstIP, s.DstPort))
		}
	} else if ev.File != "" {
		m = out.Join(m, " ", ev.File)
	}
	if s.PID > 0 {
		m = out.Join(m, " of process ", out.Int(s.PID), " ", ev.Exe)
	}
	if s.Foreign {
		m = out.Join(m, " in network namespace ", out.Str(s.Netns))
	}
	return m
}

func endpoint(ip string, port int64) string {
	return net.JoinHostPort(ip, strconv.FormatInt(port, 10))
}
