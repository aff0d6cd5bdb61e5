package parsers

import (
	"bytes"

	"github.com/gopacket/gopacket/layers"

	"github.com/exhibit-dfir/exhibit/analyze/format/dhcp"
	"github.com/exhibit-dfir/exhibit/analyze/format/kerberos"
	"github.com/exhibit-dfir/exhibit/analyze/format/quic"
	"github.com/exhibit-dfir/exhibit/analyze/format/smb"
	"github.com/exhibit-dfir/exhibit/analyze/format/tlswire"
)

// application looks for protocols that are read in a packet.
func (p *capture) application(f *flow, dir int, s *segment) {
	switch {
	case s.fragment:
	case s.tcp:
		if s.length > 0 || s.syn {
			p.segment(f, dir, s)
		}
	case s.proto == layers.IPProtocolUDP && len(s.payload) > 0:
		p.datagram(f, dir, s)
	}
}

// datagram looks at the content of a UDP packet.
func (p *capture) datagram(f *flow, dir int, s *segment) {
	switch {
	case portDNS(s.srcPort) || portDNS(s.dstPort) || s.srcPort == 5353:
		from := [1]mark{markOf(s)}
		p.dnsMessage(f, dir, from[:], s.payload)
	case s.srcPort == 88 || s.dstPort == 88:
		if kerberos.Looks(s.payload) {
			from := [1]mark{markOf(s)}
			p.kerberosMessage(f, dir, from[:], s.payload)
		}
	case s.srcPort == 67 || s.dstPort == 67:
		if dhcp.Looks(s.payload) {
			from := [1]mark{markOf(s)}
			p.dhcpMessage(f, dir, from[:], s.payload)
		}
	case s.payload[0]&0xc0 == 0xc0 && !f.opaque && quic.IsInitial(s.payload):
		p.quicDatagram(f, dir, s)
	}
}

// identify returns who reads a stream whose first bytes one side sends, nil
// where they are of no protocol that is read, or not enough to tell.
func identify(f *flow, dir int, b []byte) dissector {
	switch {
	case f.port[0] == 53 || f.port[1] == 53:
		return dnsTalk{}
	case looksTLS(b) && b[5] == tlswire.TypeServerHello:
		return newTLS(1 - dir)
	case looksTLS(b):
		return newTLS(dir)
	case looksHTTP(b):
		return &httpTalk{client: dir}
	case looksHTTPResponse(b):
		return &httpTalk{client: 1 - dir}
	case looksSSH(b):
		return &sshTalk{client: sshClient(f)}
	case smb.Looks(b):
		return newSMB()
	case looksRDP(b):
		return &rdpTalk{client: dir}
	case (f.port[0] == 88 || f.port[1] == 88) && looksKerberosStream(b):
		return kerberosTalk{}
	}
	return identifyLines(f, dir, b)
}

// opens reports whether a segment within something unknown begins a protocol:
// the capture may have begun later than the flow, and TLS may begin on a word.
func opens(b []byte) bool {
	if len(b) < 6 {
		return false
	}
	switch b[0] {
	case tlswire.RecordHandshake:
		return looksTLS(b)
	case 0:
		return smb.Looks(b)
	case 'H':
		return looksHTTP(b) || looksHTTPResponse(b)
	case 'G', 'P', 'D', 'O', 'C', 'T', 'M':
		return looksHTTP(b)
	}
	return false
}

// looksTLS reports a handshake record that begins with a hello of either
// side, whose length and version make sense: RFC 8446, section 5.1.
func looksTLS(b []byte) bool {
	return len(b) >= 6 && b[0] == tlswire.RecordHandshake && b[1] == 3 && b[2] <= 4 &&
		(b[5] == tlswire.TypeClientHello || b[5] == tlswire.TypeServerHello) &&
		(len(b) < 7 || b[6] == 0) && (len(b) < 11 || b[9] == 3 && b[10] <= 4 || b[9] == 0x7f)
}

var httpMethods = [][]byte{
	[]byte("GET "), []byte("POST "), []byte("PUT "), []byte("HEAD "), []byte("DELETE "), []byte("OPTIONS "),
	[]byte("PATCH "), []byte("CONNECT "), []byte("TRACE "), []byte("PROPFIND "), []byte("MKCOL "), []byte("MOVE "),
}

func looksHTTP(b []byte) bool {
	for _, m := range httpMethods {
		if bytes.HasPrefix(b, m) {
			return true
		}
	}
	return false
}

func looksHTTPResponse(b []byte) bool { return bytes.HasPrefix(b, []byte("HTTP/1.")) }
