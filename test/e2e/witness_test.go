package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// witness says whether bytes support a row: they hold its key facts in the
// form that the format has for them. A witness is written from the format's
// definition and not with our decoders, and is strict enough to refuse the
// bytes of the record beside it.
type witness func(row) error

// witnesses has one for every parser of the shelf.
var witnesses = map[string]witness{
	"aws_cloudtrail":   jsonWitness,
	"azure_activity":   jsonWitness,
	"azure_gateway":    jsonWitness,
	"gcp_log":          jsonWitness,
	"m365_audit":       jsonWitness,
	"kubernetes_audit": jsonWitness,
	"suricata_eve":     jsonWitness,
	"docker_log":       jsonWitness,
	"falco":            jsonWitness,
	"osquery_results":  jsonWitness,
	"caddy_access":     jsonWitness,
	"apt_history":      packageWitness,
	"bash_history":     historyWitness,
	"dpkg_log":         packageWitness,
	"fs_records":       fileRecordWitness,
	"ids_fast":         alertWitness,
	"linux_audit":      auditWitness,
	"linux_journal":    journalWitness,
	"linux_lastlog":    lastlogWitness,
	"linux_syslog":     lineWitness,
	"linux_utmp":       utmpWitness,
	"live_modules":     moduleWitness,
	"live_mounts":      mountWitness,
	"live_processes":   processWitness,
	"live_sockets":     socketWitness,
	"net_netflow":      flowWitness,
	"net_pcap":         packetWitness,
	"text_timestamped": lineWitness,
	"web_access":       lineWitness,
	"windows_evtx":     evtxWitness,
	"zeek_json":        jsonWitness,
	"zeek_tsv":         tabWitness,
	"zsh_history":      zshWitness,
}

// plain undoes what the timeline does to bytes that are no UTF-8.
func plain(ev *timeline.Event, s string) []byte {
	if ev.Flags&timeline.EscapedText == 0 {
		return []byte(s)
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// holds asks for each text to stand in the record.
func (r row) holds(texts ...string) error {
	for _, s := range texts {
		if s != "" && !bytes.Contains(r.rec, plain(r.ev, s)) {
			return fmt.Errorf("%q is not there", s)
		}
	}
	return nil
}

// onLine asks for the record to begin where its line does. Bytes that a crash
// left zero part lines, too; lines behind them are not counted here.
func (r row) onLine() error {
	switch {
	case r.off > 0 && r.data[r.off-1] != '\n' && r.data[r.off-1] != 0:
		return errors.New("the record does not begin with a line")
	case r.ev.Line == timeline.None, bytes.IndexByte(r.data[:r.off], 0) >= 0:
		return nil
	}
	// A history's line is that of the command, which its time precedes.
	first := int64(bytes.Count(r.data[:r.off], []byte("\n"))) + 1
	if last := first + int64(bytes.Count(bytes.TrimSuffix(r.rec, []byte("\n")), []byte("\n"))); r.ev.Line < first || r.ev.Line > last {
		return fmt.Errorf("the record has lines %d to %d, the row says %d", first, last, r.ev.Line)
	}
	return nil
}

// cutMessage is the length from which messages may be cut.
const cutMessage = 8 << 10

// alertWitness asks the line of an alert for its time, its text and its ends.
func alertWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	if !bytes.HasPrefix(r.rec, []byte(r.ev.TSRaw)) {
		return fmt.Errorf("it does not begin with %q", r.ev.TSRaw)
	}
	source, _ := r.ev.Attr("source")
	target, _ := r.ev.Attr("destination")
	return r.holds("] "+r.ev.Message+" [**]", source+" -> "+target, ":"+r.ev.EventCode+":")
}

// lineWitness is that of text logs: the first line has the time as written and
// ends with the first line of the message, the others follow.
func lineWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimRight(r.rec, "\r\n"), []byte("\n"))
	if !bytes.Contains(lines[0], []byte(r.ev.TSRaw)) {
		return fmt.Errorf("its first line has no time %q", r.ev.TSRaw)
	}
	message := plain(r.ev, r.ev.Message)
	if len(message) < cutMessage {
		for i, want := range bytes.Split(message, []byte("\n")) {
			if i >= len(lines) || !bytes.HasSuffix(squeeze(lines[i]), squeeze(want)) {
				return fmt.Errorf("line %d does not end with %q", i+1, want)
			}
		}
	}
	texts := []string{r.ev.SrcIP}
	if r.ev.DataType != "text:line" && r.ev.PID != timeline.None {
		texts = append(texts, strconv.FormatInt(r.ev.PID, 10))
	}
	return r.holds(texts...)
}

// squeeze writes runs of blanks as one: messages are trimmed.
func squeeze(b []byte) []byte { return bytes.Join(bytes.Fields(b), []byte(" ")) }

// packageWitness is that of dpkg's and apt's logs.
func packageWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	message := r.ev.Message
	if r.ev.Parser == "apt_history" && r.ev.Cmdline == "" {
		message = "" // the block states no command: the message is the parser's
	}
	return r.holds(r.ev.TSRaw, message, r.ev.Unit, r.ev.Cmdline)
}

// historyWitness is that of histories of one command a line: the record is
// the command, or the time and the command.
func historyWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	command := bytes.TrimRight(r.rec, "\n")
	if r.ev.TSState == timeline.TimeOK {
		stamp, rest, _ := bytes.Cut(command, []byte("\n"))
		if want := "#" + seconds(r.ev.TS); string(bytes.TrimSpace(stamp)) != want {
			return fmt.Errorf("its first line is %q, want %q", stamp, want)
		}
		command = rest
	}
	if !bytes.Equal(bytes.TrimSpace(command), bytes.TrimSpace(plain(r.ev, r.ev.Cmdline))) {
		return fmt.Errorf("the command is %q", command)
	}
	return nil
}

// zshWitness knows ": START:ELAPSED;COMMAND", escaped line ends and zsh's own
// bytes: 0x83 and the byte with bit 5 flipped.
func zshWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	var text []byte
	for i := 0; i < len(r.rec); i++ {
		if r.rec[i] == 0x83 && i+1 < len(r.rec) {
			i++
			text = append(text, r.rec[i]^0x20)
			continue
		}
		text = append(text, r.rec[i])
	}
	text = bytes.ReplaceAll(bytes.TrimRight(text, "\n"), []byte("\\\n"), []byte("\n"))
	if r.ev.TSState == timeline.TimeOK {
		head, command, ok := bytes.Cut(text, []byte(";"))
		if !ok || !bytes.HasPrefix(head, []byte(": "+seconds(r.ev.TS)+":")) {
			return fmt.Errorf("it begins with %q", head)
		}
		text = command
	}
	if !bytes.Equal(bytes.TrimSpace(text), bytes.TrimSpace(plain(r.ev, r.ev.Cmdline))) {
		return fmt.Errorf("the command is %q", text)
	}
	return nil
}

func seconds(ns int64) string { return strconv.FormatInt(ns/1e9, 10) }

// auditWitness asks for the event's time and serial in its first line, and for
// program and path as auditd writes them: quoted, or in hexadecimal digits.
func auditWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	first, _, _ := bytes.Cut(r.rec, []byte("\n"))
	stamp := fmt.Sprintf("audit(%s.%03d:%d)", seconds(r.ev.TS), r.ev.TS/1e6%1000, r.ev.RecNo)
	if !bytes.Contains(first, []byte(stamp)) {
		return fmt.Errorf("its first line has no %q", stamp)
	}
	for _, value := range []string{r.ev.Exe} {
		raw := plain(r.ev, value)
		if value != "" && !bytes.Contains(r.rec, raw) && !bytes.Contains(bytes.ToUpper(r.rec), fmt.Appendf(nil, "%X", raw)) {
			return fmt.Errorf("%q is not there", value)
		}
	}
	if r.ev.PID != timeline.None {
		return r.holds("pid=" + strconv.FormatInt(r.ev.PID, 10))
	}
	return nil
}

// sameTime reports whether ns is one of the times.
func sameTime(ns int64, times ...int64) bool {
	for _, t := range times {
		if t == ns {
			return true
		}
	}
	return false
}

func rfc3339(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return timeline.None
	}
	return t.UnixNano()
}
