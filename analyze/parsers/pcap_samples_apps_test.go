package parsers

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

var little = binary.LittleEndian

func wideText(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = little.AppendUint16(b, u)
	}
	return b
}

// smbMessage is one SMB 2 message in its frame: body has the fixed part, field
// is what its offset and length at the place at refer to.
func smbMessage(command uint16, id uint64, status uint32, answer bool, tree uint32, body []byte, at int, field []byte) string {
	b := make([]byte, 64, 64+len(body)+len(field))
	copy(b, "\xfeSMB")
	little.PutUint16(b[4:], 64)
	little.PutUint32(b[8:], status)
	little.PutUint16(b[12:], command)
	if answer {
		b[16] = 1
	}
	little.PutUint64(b[24:], id)
	little.PutUint32(b[36:], tree)
	little.PutUint64(b[40:], 0x1122)
	b = append(b, body...)
	if at > 0 {
		little.PutUint16(b[64+at:], uint16(len(b)))
		little.PutUint16(b[64+at+2:], uint16(len(field)))
	}
	b = append(b, field...)
	return string(append([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}, b...))
}

func ntlmAuthenticate(domain, user, host string) []byte {
	b := make([]byte, 64)
	copy(b, "NTLMSSP\x00\x03")
	b[60] = 1
	for _, f := range []struct {
		at    int
		value string
	}{{28, domain}, {36, user}, {44, host}} {
		w := wideText(f.value)
		little.PutUint16(b[f.at:], uint16(len(w)))
		little.PutUint32(b[f.at+4:], uint32(len(b)))
		b = append(b, w...)
	}
	return b
}

func (k *talk) smbSamples() {
	a, b := &side{addr: "10.66.0.1", port: 50020}, &side{addr: "10.66.0.9", port: 445}
	k.connect(a, b)
	dialect := make([]byte, 65)
	little.PutUint16(dialect[4:], 0x0311)
	k.say(a, b, 1000, smbMessage(0, 0, 0, false, 0, make([]byte, 36), 0, nil))
	k.say(b, a, 1000, smbMessage(0, 0, 0, true, 0, dialect, 0, nil))
	first := append([]byte("NTLMSSP\x00\x01"), make([]byte, 24)...)
	challenge := make([]byte, 56)
	copy(challenge, "NTLMSSP\x00\x02")
	pairs := append(append([]byte{1, 0, 8, 0}, wideText("FILE")...), 0, 0, 0, 0)
	little.PutUint16(challenge[40:], uint16(len(pairs)))
	little.PutUint32(challenge[44:], 56)
	for i, round := range []struct {
		user   string
		status uint32
	}{{"mallory", 0xc000006d}, {"alice", 0}} {
		id := uint64(1 + 2*i)
		k.say(a, b, 1000, smbMessage(1, id, 0, false, 0, make([]byte, 24), 12, first))
		k.say(b, a, 1000, smbMessage(1, id, 0xc0000016, true, 0, make([]byte, 8), 4, append(challenge, pairs...)))
		k.say(a, b, 100, smbMessage(1, id+1, 0, false, 0, make([]byte, 24), 12, ntlmAuthenticate("EXAMPLE", round.user, "PC1")))
		k.say(b, a, 1000, smbMessage(1, id+1, round.status, true, 0, make([]byte, 8), 0, nil))
	}
	share := make([]byte, 16)
	share[2] = 1
	k.say(a, b, 1000, smbMessage(3, 5, 0, false, 0, make([]byte, 8), 4, wideText(`\\10.66.0.9\C$`)))
	k.say(b, a, 1000, smbMessage(3, 5, 0, true, 4, share, 0, nil))
	open := make([]byte, 56)
	little.PutUint32(open[36:], 5)
	k.say(a, b, 1000, smbMessage(5, 6, 0, false, 4, open, 44, wideText(`Windows\Temp\tool.exe`)))
	k.say(b, a, 1000, smbMessage(5, 6, 0x103, true, 4, make([]byte, 9), 0, nil))
	k.say(b, a, 1000, smbMessage(5, 6, 0, true, 4, make([]byte, 88), 0, nil))
	// Content, most of it not captured.
	write := smbMessage(9, 7, 0, false, 4, make([]byte, 48), 0, make([]byte, 3000))
	k.say(a, b, 1400, write[:1400])
	a.seq += uint32(len(write) - 1400)
	k.say(a, b, 1000, smbMessage(5, 8, 0, false, 4, open, 44, wideText(`secret.txt`)))
	k.say(b, a, 1000, smbMessage(5, 8, 0xc0000022, true, 4, make([]byte, 9), 0, nil))
	k.say(a, b, 1000, smbMessage(5, 9, 0, false, 4, open, 44, wideText(`unanswered.txt`)))
	k.bye(a, b)
}

// sshKexInit is a KEXINIT in its packet.
func sshKexInit(lists ...string) string {
	payload := append([]byte{20}, make([]byte, 16)...)
	for i := range 10 {
		name := ""
		if i < len(lists) {
			name = lists[i]
		}
		payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(name))), name...)
	}
	payload = append(payload, 0, 0, 0, 0, 0)
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+4))
	return string(append(append(append(b, 4), payload...), 0, 0, 0, 0))
}

func (k *talk) sshSamples() {
	a, b := &side{addr: "203.0.113.45", port: 50030}, &side{addr: "10.66.0.1", port: 22}
	k.connect(a, b)
	k.say(b, a, 1000, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"+sshKexInit("curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none"))
	k.say(a, b, 60, "SSH-2.0-libssh_\x1b[1m\r\n"+sshKexInit("curve25519-sha256", "ssh-rsa", "aes256-ctr,aes128-ctr", "aes256-ctr", "hmac-sha1", "hmac-sha1", "none", "none"))
	k.bye(a, b)
}

func (k *talk) rdpSamples() {
	a, b := &side{addr: "203.0.113.45", port: 50040}, &side{addr: "10.66.0.9", port: 3389}
	request := "\xe0\x00\x00\x00\x00\x00Cookie: mstshash=adminis\r\n\x01\x00\x08\x00\x03\x00\x00\x00"
	request = "\x03\x00\x00" + string(rune(5+len(request))) + string(rune(len(request))) + request
	for i, answer := range []string{"\x02\x00\x08\x00\x02\x00\x00\x00", "\x03\x00\x08\x00\x05\x00\x00\x00"} {
		a.port = uint16(50040 + i)
		k.connect(a, b)
		k.say(a, b, 20, request)
		k.say(b, a, 1000, "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00"+answer)
		k.say(a, b, 1000, clientHelloRecord("rdp.example.net"))
		k.bye(a, b)
	}
}

func element(tag byte, parts ...[]byte) []byte {
	v := slices.Concat(parts...)
	return append([]byte{tag, byte(len(v))}, v...)
}

func principal(parts ...string) []byte {
	var names []byte
	for _, p := range parts {
		names = append(names, element(0x1b, []byte(p))...)
	}
	return element(0x30, element(0xa0, element(2, []byte{1})), element(0xa1, element(0x30, names)))
}

func (k *talk) kerberosSamples() {
	request := element(0x6a, element(0x30, element(0xa1, element(2, []byte{5})), element(0xa2, element(2, []byte{10})),
		element(0xa4, element(0x30, element(0xa1, principal("alice")), element(0xa2, element(0x1b, []byte("EX.NET"))),
			element(0xa3, principal("krbtgt", "EX.NET")), element(0xa8, element(0x30, element(2, []byte{18}), element(2, []byte{23})))))))
	refused := element(0x7e, element(0x30, element(0xa6, element(2, []byte{25})), element(0xa9, element(0x1b, []byte("EX.NET"))), element(0xaa, principal("krbtgt", "EX.NET"))))
	ticket := element(0x6d, element(0x30, element(0xa3, element(0x1b, []byte("EX.NET"))), element(0xa4, principal("alice")),
		element(0xa5, element(0x61, element(0x30, element(0xa2, principal("cifs", "f1")), element(0xa3, element(0x30, element(0xa0, element(2, []byte{23}))))))),
		element(0xa6, element(0x30, element(0xa0, element(2, []byte{18}))))))
	k.udp("10.66.0.1", 50050, "10.66.0.9", 88, request)
	k.udp("10.66.0.9", 88, "10.66.0.1", 50050, refused)
	a, b := &side{addr: "10.66.0.1", port: 50051}, &side{addr: "10.66.0.9", port: 88}
	k.connect(a, b)
	k.say(b, a, 50, string(binary.BigEndian.AppendUint32(nil, uint32(len(ticket))))+string(ticket))
	k.bye(a, b)
}

func (k *talk) dhcpSamples() {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[28:], []byte{2, 0, 0, 0, 0, 1})
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	request := append(slices.Clone(b), 53, 1, 3, 12, 4, 'w', 'e', 'b', '1', 50, 4, 10, 66, 0, 1, 255)
	b[0] = 2
	copy(b[16:], []byte{10, 66, 0, 1})
	ack := append(slices.Clone(b), 53, 1, 5, 51, 4, 0, 0, 0x0e, 0x10, 54, 4, 10, 66, 0, 254, 255)
	k.udp("0.0.0.0", 68, "255.255.255.255", 67, request)
	k.udp("10.66.0.254", 67, "10.66.0.1", 68, ack)
}

func (k *talk) lineSamples() {
	a, b := &side{addr: "203.0.113.45", port: 50060}, &side{addr: "10.66.0.1", port: 21}
	turn := func(command, reply string) {
		k.say(a, b, 1000, command)
		k.say(b, a, 1000, reply)
	}
	k.connect(a, b)
	k.say(b, a, 1000, "220-ProFTPD\r\n220 ready\r\n")
	turn("USER bob\r\n", "331 Password required\r\n")
	turn("PASS wrong\r\n", "530 Login incorrect.\r\n")
	turn("USER alice\r\nPASS right\r\n", "331 Password required\r\n230-Hello\r\n 550 is no reply\r\n230 logged in\r\n")
	turn("CWD /srv\r\n", "250 ok\r\n")
	turn("STOR shell.php\r\n", "150 Opening\r\n226 done\r\n")
	turn("DELE access.log\r\n", "550 no\r\n")
	k.say(a, b, 1000, "RETR never-answered\r\n")
	k.bye(a, b)

	a.port, b.port = 50061, 25
	code := base64.StdEncoding.EncodeToString
	k.connect(a, b)
	k.say(b, a, 1000, "220 mail.example.net ESMTP\r\n")
	turn("EHLO pc1\r\n", "250-mail\r\n250 AUTH PLAIN LOGIN\r\n")
	turn("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n")
	turn(code([]byte("carol"))+"\r\n", "334 UGFzc3dvcmQ6\r\n")
	turn(code([]byte("secret"))+"\r\n", "535 no\r\n")
	turn("AUTH PLAIN "+code([]byte("\x00dave\x00secret"))+"\r\n", "235 ok\r\n")
	turn("MAIL FROM:<dave@example.net> SIZE=9\r\n", "250 ok\r\n")
	turn("RCPT TO:<x@example.org>\r\n", "250 ok\r\n")
	turn("RCPT TO:<y@example.org>\r\n", "550 no\r\n")
	turn("DATA\r\n", "354 go on\r\n")
	turn("Subject: MAIL FROM:<not@command>\r\n\r\nQUIT\r\n..\r\n.\r\n", "250 queued as 1\r\n")
	turn("QUIT\r\n", "221 bye\r\n")
	k.bye(a, b)
}
