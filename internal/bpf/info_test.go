package bpf

import (
	"encoding/binary"
	"testing"
)

func TestWhereALinkRunsIsSaidInWords(t *testing.T) {
	link := func(kind uint32, rest ...uint32) []byte {
		b := make([]byte, linkInfoSize)
		binary.NativeEndian.PutUint32(b, kind)
		binary.NativeEndian.PutUint32(b[4:], 7)
		binary.NativeEndian.PutUint32(b[8:], 9)
		for i, v := range rest {
			binary.NativeEndian.PutUint32(b[16+4*i:], v)
		}
		return b
	}
	for _, c := range []struct {
		info         []byte
		text         string
		kind, target string
	}{
		{link(1), "sys_enter", "raw_tracepoint", "sys_enter"},
		{link(3, 5, 0, 8), "", "cgroup", "cgroup 5, attach type 8"},
		{link(6, 2), "", "xdp", "interface 2"},
		{link(7, 3), "tcp_v4_connect", "perf_event", "kprobe tcp_v4_connect"},
		{link(10, 2, 1, 0xffffffff), "", "netfilter", "family 2, hook 1, priority -1"},
		{link(11, 2, 46), "", "tcx", "interface 2, attach type 46"},
		{link(99), "", "99", ""},
	} {
		if l := parseLink(c.info, c.text); l.Type != c.kind || l.Target != c.target || l.ID != 7 || l.Prog != 9 {
			t.Errorf("%s: got %+v", c.kind, l)
		}
	}
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 7, 0, 0, 0}, "x")
	f.Add(make([]byte, programInfoSize), "")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		parseProgram(b)
		parseMap(b)
		parseBTF(b)
		parseLink(b, text)
		if at := textAt(b); at != 0 && at != 16 && at != 24 {
			t.Errorf("text at %d", at)
		}
	})
}
