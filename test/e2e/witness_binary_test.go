package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/exhibit-dfir/exhibit/timeline"
)

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// utmpWitness knows struct utmp (utmp(5)): type, pid, line, id, user, host,
// then the time in four bytes at 340, or in eight at 344 of 400. Behind bytes
// that were inserted, records are not at multiples of their size.
func utmpWitness(r row) error {
	n := int64(len(r.rec))
	if n != 384 && n != 400 {
		return fmt.Errorf("%d bytes are no record", n)
	}
	attr := func(name string) string { v, _ := r.ev.Attr(name); return string(plain(r.ev, v)) }
	if line := attr("tty"); line != "" && cString(r.rec[8:40]) != line {
		return fmt.Errorf("its line is %q", r.rec[8:40])
	}
	if host := attr("ut_host"); host != "" && cString(r.rec[76:332]) != host {
		return fmt.Errorf("its host is %q", cString(r.rec[76:332]))
	}
	if user := string(plain(r.ev, r.ev.User)); user != "" && utmpUser(r) != user {
		return fmt.Errorf("its user is %q", utmpUser(r))
	}
	for _, order := range []binary.ByteOrder{little, big} {
		at := int64(order.Uint32(r.rec[340:]))
		if n == 400 {
			at = int64(order.Uint64(r.rec[344:]))
		}
		kind := order.Uint16(r.rec)
		if at == r.ev.TS/1e9 && fmt.Sprint(kind) == r.ev.EventCode && (r.ev.RecNo*n == r.off || r.off%n != 0) {
			return nil
		}
	}
	return errors.New("its time, type or number is another one")
}

// utmpUser is the user of a record. The end of a session states none: it is
// that of the last login on its line.
func utmpUser(r row) string {
	user := cString(r.rec[44:76])
	if user != "" || r.ev.EventCode != "8" {
		return user
	}
	n := int64(len(r.rec))
	for at := r.off - n; at >= 0; at -= n {
		earlier := r.data[at : at+n]
		if cString(earlier[8:40]) == cString(r.rec[8:40]) && earlier[0]+earlier[1] == 7 {
			return cString(earlier[44:76])
		}
	}
	return ""
}

// lastlogWitness knows struct lastlog: the time in four or eight bytes, line
// and host; the account is the record's place.
func lastlogWitness(r row) error {
	n := int64(len(r.rec))
	if n != 292 && n != 296 || r.off != r.ev.UID*n {
		return fmt.Errorf("%d bytes at %d are not those of account %d", n, r.off, r.ev.UID)
	}
	tty, _ := r.ev.Attr("tty")
	if line := cString(r.rec[n-288 : n-256]); line != tty {
		return fmt.Errorf("its line is %q", line)
	}
	for _, order := range []binary.ByteOrder{little, big} {
		if n == 292 && int64(order.Uint32(r.rec)) == r.ev.TS/1e9 || n == 296 && int64(order.Uint64(r.rec)) == r.ev.TS/1e9 {
			return nil
		}
	}
	return errors.New("its time is another one")
}

// journalWitness knows the ENTRY object of journal files: type 3, sequence
// number, time; and that it must name the DATA object of its message.
func journalWitness(r row) error {
	damaged := r.ev.Flags&timeline.CorruptRec != 0
	if len(r.rec) < 64 || r.rec[0] != 3 || little.Uint64(r.rec[8:]) != uint64(len(r.rec)) && !damaged {
		return errors.New("it is no ENTRY object")
	}
	if got := little.Uint64(r.rec[16:]); r.ev.RecNo != timeline.None && got != uint64(r.ev.RecNo) {
		return fmt.Errorf("its sequence number is %d", got)
	}
	if got := little.Uint64(r.rec[24:]); got != uint64(r.ev.TS/1e3) {
		return fmt.Errorf("its time is %d µs", got)
	}
	spans, _ := r.ev.Attr("spans")
	for i, object := range r.more {
		var at uint64
		fmt.Sscan(strings.Split(strings.Split(spans, ",")[i], "+")[0], &at)
		eight, four := little.AppendUint64(nil, at), little.AppendUint32(nil, uint32(at))
		if !bytes.Contains(r.rec[64:], eight) && !bytes.Contains(r.rec[64:], four) {
			return fmt.Errorf("it does not name the object at %d", at)
		}
		text, err := journalData(object)
		if err != nil {
			return err
		}
		message := plain(r.ev, r.ev.Message)
		if len(message) < cutMessage && !bytes.Contains(squeeze(text), squeeze(message)) {
			return fmt.Errorf("the object at %d says %.200q", at, text)
		}
	}
	return nil
}

// journalData returns the payload of a DATA object: at 64, or 72 in compact
// files, perhaps compressed.
func journalData(object []byte) ([]byte, error) {
	if len(object) < 72 || object[0] != 1 {
		return nil, errors.New("no DATA object")
	}
	for _, at := range []int{64, 72} {
		p := object[at:]
		switch {
		case object[1]&1 != 0:
			if x, err := xz.NewReader(bytes.NewReader(p)); err == nil {
				return io.ReadAll(x)
			}
		case object[1]&2 != 0 && len(p) > 8: // the size, then one block
			out := make([]byte, min(little.Uint64(p), 64<<20))
			if n, err := lz4.UncompressBlock(p[8:], out); err == nil {
				return out[:n], nil
			}
		case object[1]&4 != 0:
			z, err := zstd.NewReader(bytes.NewReader(p))
			if err != nil {
				return nil, err
			}
			out, err := io.ReadAll(z)
			z.Close()
			if err == nil {
				return out, nil
			}
		default:
			if text, ok := bytes.CutPrefix(p, []byte("MESSAGE=")); ok {
				return text, nil
			}
		}
	}
	return nil, errors.New("a DATA object without a message")
}

// packetWitness asks the packet at the row's place for its time, both
// addresses, the ports and the name that it is about.
func packetWitness(r row) error {
	at, data, err := packetAt(r.rec)
	if err != nil {
		return err
	}
	if !sameTime(r.ev.TS, at...) {
		return fmt.Errorf("its time is none of %v", at)
	}
	src, err1 := netip.ParseAddr(r.ev.SrcIP)
	dst, err2 := netip.ParseAddr(r.ev.DstIP)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !bytes.Contains(data, src.AsSlice()) || !bytes.Contains(data, dst.AsSlice()) {
		return errors.New("its addresses are others")
	}
	if r.ev.SrcPort > 0 && r.ev.DstPort > 0 && r.ev.Channel != "icmp" {
		ports := big.AppendUint16(big.AppendUint16(nil, uint16(r.ev.SrcPort)), uint16(r.ev.DstPort))
		back := big.AppendUint16(big.AppendUint16(nil, uint16(r.ev.DstPort)), uint16(r.ev.SrcPort))
		if !bytes.Contains(data, ports) && !bytes.Contains(data, back) {
			return errors.New("its ports are others")
		}
	}
	data = payloadOf(data)
	for i, rec := range r.more {
		_, more, err := packetAt(rec)
		if err != nil {
			return err
		}
		if more = payloadOf(more); i == 0 && !bytes.Equal(more, data) {
			return errors.New("its first span is another packet")
		} else if i > 0 {
			data = append(data, more...)
		}
	}
	switch r.ev.DataType {
	case "net:dns":
		for label := range strings.SplitSeq(r.ev.Domain, ".") {
			if !bytes.Contains(bytes.ToLower(data), []byte(strings.ToLower(label))) {
				return fmt.Errorf("no label %q", label)
			}
		}
	case "net:tls":
		if how, _ := r.ev.Attr("transport"); how == "quic" {
			if !bytes.Contains(data, []byte{0, 0, 0, 1}) {
				return errors.New("no version 1 of QUIC")
			}
			return nil // the name is encrypted
		}
		if !bytes.Contains(bytes.ToLower(data), []byte(strings.ToLower(r.ev.Domain))) {
			return fmt.Errorf("no name %q", r.ev.Domain)
		}
	case "net:ssh", "net:ftp", "net:rdp", "net:kerberos", "net:dhcp":
		for _, key := range []string{"client", "server", "argument", "cookie", "hostname"} {
			if v, ok := r.ev.Attr(key); ok && (key != "server" || r.ev.DataType == "net:ssh") && !bytes.Contains(data, plain(r.ev, v)) {
				return fmt.Errorf("no %s %q", key, v)
			}
		}
		if r.ev.Action == "login" && !bytes.Contains(data, []byte(r.ev.User)) {
			return fmt.Errorf("no user %q", r.ev.User)
		}
	case "net:smtp":
		if v, _ := r.ev.Attr("mail_from"); r.ev.Action == "mail" && !bytes.Contains(data, []byte("MAIL FROM:<"+v+">")) {
			return fmt.Errorf("no sender %q", v)
		}
	case "net:smb":
		name := r.ev.File[strings.LastIndex(r.ev.File, `\`)+1:]
		if r.ev.Action == "login" {
			name = r.ev.User
		}
		var wide []byte
		for _, u := range utf16.Encode([]rune(name)) {
			wide = little.AppendUint16(wide, u)
		}
		if !bytes.Contains(data, wide) || !bytes.Contains(data, []byte("\xfeSMB")) {
			return fmt.Errorf("no name %q", name)
		}
	case "net:certificate":
		if !bytes.Contains(data, []byte{0x06, 0x03, 0x55, 0x04, 0x03}) { // the attribute commonName
			return errors.New("no certificate")
		}
	case "net:http":
		if r.ev.Action == "http-response" {
			if !bytes.Contains(data, []byte("HTTP/1.1 "+r.ev.EventCode)) {
				return fmt.Errorf("no response %s", r.ev.EventCode)
			}
			return nil
		}
		if r.ev.Action == "http-request" && strings.HasPrefix(r.ev.Message, "CONNECT ") {
			if !bytes.Contains(data, []byte("CONNECT "+r.ev.URL)) {
				return errors.New("no CONNECT")
			}
			return nil
		}
		_, path, _ := strings.Cut(strings.TrimPrefix(r.ev.URL, "http://"), "/")
		if !bytes.Contains(data, []byte("/"+path)) || !bytes.Contains(data, []byte(" HTTP/1.")) {
			return fmt.Errorf("no request of %q", r.ev.URL)
		}
	}
	return nil
}

// flowWitness asks a flow record for its addresses, ports and counts.
func flowWitness(r row) error {
	for _, text := range []string{r.ev.SrcIP, r.ev.DstIP} {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		if !bytes.Contains(r.rec, a.AsSlice()) {
			return fmt.Errorf("no address %s", text)
		}
	}
	for _, port := range []int64{r.ev.SrcPort, r.ev.DstPort} {
		if port > 0 && !bytes.Contains(r.rec, big.AppendUint16(nil, uint16(port))) {
			return fmt.Errorf("no port %d", port)
		}
	}
	for _, key := range []string{"packets_out", "bytes_out", "packets_in", "bytes_in"} {
		text, ok := r.ev.Attr(key)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return err
		}
		if !bytes.Contains(r.rec, big.AppendUint32(nil, uint32(n))) {
			return fmt.Errorf("%s is not %d", key, n)
		}
	}
	return nil
}

// payloadOf takes Ethernet, IPv4 and TCP off a packet, so that what is cut
// into several can be joined. Others stay as they are.
func payloadOf(b []byte) []byte {
	if len(b) < 54 || b[12] != 8 || b[13] != 0 || b[23] != 6 {
		return bytes.Clone(b)
	}
	total, tcp := 14+int(big.Uint16(b[16:])), 14+int(b[14]&15)*4
	if tcp+13 > len(b) {
		return bytes.Clone(b)
	}
	from := tcp + int(b[tcp+12]>>4)*4
	return bytes.Clone(b[min(from, len(b)):max(min(total, len(b)), min(from, len(b)))])
}

// packetAt reads a record of a pcap file or a packet block of a pcapng file.
// The unit of time is said elsewhere in the file: both usual ones are tried.
func packetAt(rec []byte) (at []int64, data []byte, err error) {
	if len(rec) >= 32 && little.Uint32(rec) == 6 && int(little.Uint32(rec[4:])) == len(rec) {
		units := int64(uint64(little.Uint32(rec[12:]))<<32 | uint64(little.Uint32(rec[16:])))
		n := int(little.Uint32(rec[20:]))
		if 28+n > len(rec) {
			return nil, nil, errors.New("the packet is longer than its block")
		}
		return []int64{units, units * 1000}, rec[28 : 28+n], nil
	}
	for _, order := range []binary.ByteOrder{little, big} {
		if len(rec) >= 16 && int(order.Uint32(rec[8:])) == len(rec)-16 {
			sec, frac := int64(order.Uint32(rec)), int64(order.Uint32(rec[4:]))
			return []int64{sec*1e9 + frac, sec*1e9 + frac*1000}, rec[16:], nil
		}
	}
	return nil, nil, errors.New("no packet")
}

// evtxWitness knows the record of Windows event logs: its magic number, its
// size in front and behind, its number and the time it was written; and that
// values which are text stand there as UTF-16. Values of System that a
// template holds are elsewhere in the chunk.
func evtxWitness(r row) error {
	n := len(r.rec)
	if n < 28 || little.Uint32(r.rec) != 0x2a2a || int(little.Uint32(r.rec[4:])) != n || int(little.Uint32(r.rec[n-4:])) != n {
		return errors.New("it is no record")
	}
	number := strconv.FormatInt(r.ev.RecNo, 10)
	if own, ok := r.ev.Attr("record_id"); ok {
		number = own
	}
	if got := strconv.FormatUint(little.Uint64(r.rec[8:]), 10); got != number {
		return fmt.Errorf("its number is %s", got)
	}
	written := r.ev.TS
	if text, ok := r.ev.Attr("written"); ok {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return err
		}
		written = t.UnixNano()
	}
	if got := int64(little.Uint64(r.rec[16:])) - 116444736000000000; r.ev.TSState == timeline.TimeOK && got != written/100 {
		return fmt.Errorf("its time is %d ticks", got)
	}
	for _, text := range []string{r.ev.User, r.ev.Exe, r.ev.Cmdline, r.ev.ParentExe, r.ev.Unit, r.ev.RegKey} {
		var units []byte
		for _, u := range utf16.Encode([]rune(text)) {
			units = little.AppendUint16(units, u)
		}
		// sshd's messages hold the account within a text: it is there, too.
		if len(text) < cutMessage && !bytes.Contains(r.rec, units) {
			return fmt.Errorf("%q is not there", text)
		}
	}
	return nil
}
