package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"net/netip"
	"slices"
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
	"aws_cloudtrail":        jsonWitness,
	"azure_activity":        jsonWitness,
	"azure_gateway":         jsonWitness,
	"gcp_log":               jsonWitness,
	"m365_audit":            jsonWitness,
	"kubernetes_audit":      jsonWitness,
	"sqlite_wal":            logWitness,
	"suricata_eve":          jsonWitness,
	"docker_config":         jsonWitness,
	"docker_log":            jsonWitness,
	"falco":                 jsonWitness,
	"osquery_results":       jsonWitness,
	"caddy_access":          jsonWitness,
	"apt_history":           packageWitness,
	"at_job":                stateWitness,
	"bash_history":          historyWitness,
	"cri_log":               criWitness,
	"cron_table":            stateWitness,
	"dnf_history":           dnfWitness,
	"dnf_log":               lineWitness,
	"dpkg_log":              packageWitness,
	"fish_history":          fishWitness,
	"fs_records":            fileRecordWitness,
	"less_history":          promptWitness,
	"linux_audit":           auditWitness,
	"linux_journal":         journalWitness,
	"linux_lastlog":         lastlogWitness,
	"linux_lastlog2":        cellWitness(1e9),
	"linux_startup":         stateWitness,
	"linux_syslog":          lineWitness,
	"linux_utmp":            utmpWitness,
	"linux_wtmpdb":          cellWitness(1e3),
	"live_modules":          moduleWitness,
	"live_mounts":           mountWitness,
	"live_processes":        processWitness,
	"live_sockets":          socketWitness,
	"net_pcap":              packetWitness,
	"pacman_log":            lineWitness,
	"podman_events":         jsonWitness,
	"program_history":       promptWitness,
	"snap_state":            snapWitness,
	"systemd_unit":          stateWitness,
	"text_timestamped":      lineWitness,
	"viminfo":               promptWitness,
	"web_access":            lineWitness,
	"windows_evtx":          evtxWitness,
	"yum_history":           dnfWitness,
	"yum_log":               lineWitness,
	"zeek_json":             jsonWitness,
	"zeek_tsv":              tabWitness,
	"zsh_history":           zshWitness,
	"zypper_history":        lineWitness,
	"aws_elb":               lineWitness,
	"aws_s3_access":         lineWitness,
	"aws_vpc_flow":          lineWitness,
	"squid_access":          lineWitness,
	"w3c_log":               lineWitness,
	"apache_error":          lineWitness,
	"nginx_error":           lineWitness,
	"tomcat_log":            lineWitness,
	"postgresql_log":        lineWitness,
	"postgresql_csv":        valueWitness,
	"postgresql_json":       jsonWitness,
	"mysql_error":           lineWitness,
	"mysql_general":         lineWitness,
	"mysql_slow":            lineWitness,
	"redis_log":             lineWitness,
	"mongodb_log":           jsonWitness,
	"vsftpd_log":            lineWitness,
	"xferlog":               lineWitness,
	"exim_log":              lineWitness,
	"fail2ban_log":          lineWitness,
	"cloud_init":            lineWitness,
	"samba_log":             lineWitness,
	"named_log":             lineWitness,
	"java_log":              lineWitness,
	"bitbucket_access":      lineWitness,
	"bitbucket_audit":       lineWitness,
	"confluence_access":     lineWitness,
	"openvpn_log":           lineWitness,
	"nextcloud_log":         jsonWitness,
	"bodyfile":              bodyWitness,
	"windows_mft":           mftWitness,
	"windows_usnjrnl":       usnWitness,
	"plaso_csv":             tableWitness,
	"l2tcsv":                tableWitness,
	"plaso_jsonl":           jsonWitness,
	"crowdstrike_fdr":       jsonWitness,
	"elastic_ecs":           jsonWitness,
	"timesketch":            recordOrRowWitness,
	"hayabusa":              recordOrRowWitness,
	"chainsaw":              recordOrRowWitness,
	"volatility":            recordOrRowWitness,
	"defender_hunting":      recordOrRowWitness,
	"live_block_devices":    stateWitnesses["live_block_devices"],
	"live_bpf":              stateWitnesses["live_bpf"],
	"live_conntrack":        stateWitnesses["live_conntrack"],
	"live_foreign_mounts":   stateWitnesses["live_foreign_mounts"],
	"live_ftrace":           stateWitnesses["live_ftrace"],
	"live_iptables":         stateWitnesses["live_iptables"],
	"live_nftables":         stateWitnesses["live_nftables"],
	"live_probes":           stateWitnesses["live_probes"],
	"state_accounts":        stateWitnesses["state_accounts"],
	"state_auth_modules":    stateWitnesses["state_auth_modules"],
	"state_authorized_keys": stateWitnesses["state_authorized_keys"],
	"state_boot_files":      stateWitnesses["state_boot_files"],
	"state_containers":      stateWitnesses["state_containers"],
	"state_groups":          stateWitnesses["state_groups"],
	"state_package_files":   stateWitnesses["state_package_files"],
	"state_packages":        stateWitnesses["state_packages"],
	"state_privileged":      stateWitnesses["state_privileged"],
	"state_sudo_rules":      stateWitnesses["state_sudo_rules"],
	"log4j_log":             lineWitness,
	"asterisk_log":          lineWitness,
	"ids_fast":              alertWitness,
	"net_netflow":           flowWitness,
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
	if r.ev.DataType == "syslog:sysmon" && r.ev.EventCode != "" {
		return r.sysmon(lines[0])
	}
	message := plain(r.ev, r.ev.Message)
	if len(message) < cutMessage {
		for i, want := range bytes.Split(message, []byte("\n")) {
			if i >= len(lines) || !bytes.HasSuffix(squeeze(lines[i]), squeeze(want)) {
				return fmt.Errorf("line %d does not end with %q", i+1, want)
			}
		}
	}
	var texts []string
	if !r.hasAddress(r.ev.SrcIP) {
		return fmt.Errorf("the address %q is not there", r.ev.SrcIP)
	}
	if r.ev.DataType != "text:line" && r.ev.PID != timeline.None {
		texts = append(texts, strconv.FormatInt(r.ev.PID, 10))
	}
	return r.holds(texts...)
}

// criWitness is that of containers' output: the parts of the message, each
// behind "TIME STREAM TAG ", are put together; the first has the row's time.
func criWitness(r row) error {
	if err := r.onLine(); err != nil {
		return err
	}
	parts := r.more
	if len(parts) == 0 {
		parts = bytes.SplitAfter(bytes.TrimSuffix(r.rec, []byte("\n")), []byte("\n"))
	}
	var text []byte
	for i, part := range parts {
		f := bytes.SplitN(bytes.TrimSuffix(part, []byte("\n")), []byte(" "), 4)
		if len(f) < 3 || string(f[1]) != r.ev.Channel || i == 0 && string(f[0]) != r.ev.TSRaw || i < len(parts)-1 && f[2][0] != 'P' {
			return fmt.Errorf("part %d is %q", i, part)
		}
		if len(f) == 4 {
			text = append(text, f[3]...)
		}
	}
	if len(text) > 0 && len(text) < cutMessage && !bytes.Equal(text, plain(r.ev, r.ev.Message)) {
		return fmt.Errorf("the text is %q", text)
	}
	return nil
}

// hasAddress reports whether an address stands in the record, in the form of
// the row or in a longer one.
func (r row) hasAddress(want string) bool {
	if want == "" || bytes.Contains(r.rec, []byte(want)) {
		return true
	}
	return slices.ContainsFunc(strings.FieldsFunc(string(r.rec), func(c rune) bool { return strings.ContainsRune(" |,[]()\"'\n", c) }), func(word string) bool {
		a, err := netip.ParseAddr(word)
		return err == nil && a.Unmap().String() == want
	})
}

// sysmon asks for the number and the values of an event of Sysmon, whose
// message is made of them, in the XML of its line.
func (r row) sysmon(line []byte) error {
	text := []byte(html.UnescapeString(string(line)))
	record, _ := r.ev.Attr("event_record_id")
	want := []string{"<EventID>" + r.ev.EventCode + "</EventID>", "<EventRecordID>" + record + "</EventRecordID>", r.ev.Exe, r.ev.Cmdline, r.ev.File, r.ev.DstIP}
	for _, s := range want {
		if !bytes.Contains(text, plain(r.ev, s)) {
			return fmt.Errorf("%q is not there", s)
		}
	}
	return nil
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
