package parsers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// merged is every capture of the corpus of up to 128 KiB, one behind the
// other in one pcapng file, what is read of it here, and what Wireshark says of
// its packets.
var merged struct {
	sync.Once
	done bool
	res  parsertest.Result
	rows []map[string]string
}

// wiresharkFields are asked for in one go: tshark takes most of its time to
// begin.
var wiresharkFields = []string{
	"frame.protocols", "communityid", "ip.src", "ipv6.src", "tls.handshake.ja3", "tls.handshake.ja3s", "http.response.code",
	"ssh.protocol", "kerberos.msg_type", "kerberos.CNameString", "kerberos.realm", "kerberos.error_code",
	"smb2.cmd", "smb2.flags.response", "smb2.filename", "smb2.tree", "ntlmssp.auth.username", "ntlmssp.auth.domain",
	"dhcp.option.hostname", "dhcp.ip.your", "rdp.rt_cookie", "ftp.request.command", "ftp.request.arg", "smtp.req.command", "smtp.req.parameter",
}

func mergeCaptures(t *testing.T) (rows []map[string]string, res parsertest.Result) {
	t.Helper()
	dir, merge, shark := testenv.Corpus(t), testenv.Tool(t, "mergecap"), testenv.Tool(t, "tshark")
	merged.Do(func() {
		var files []string
		for _, set := range []string{"pcap_zeek/zeek", "pcap_suricata/suricata-verify"} {
			more, err := filepath.Glob(filepath.Join(dir, "pcap", set, "*"))
			if err != nil || len(more) < 50 {
				t.Fatalf("%d files, %v", len(more), err)
			}
			files = append(files, more...)
		}
		path := filepath.Join(t.TempDir(), "merged.pcapng")
		if out, err := exec.Command(merge, append([]string{"-a", "-w", path}, files...)...).CombinedOutput(); err != nil {
			t.Fatalf("mergecap: %v: %s", err, out)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"-n", "-r", path, "--enable-protocol", "communityid", "-T", "fields", "-E", "separator=/t"}
		for _, f := range wiresharkFields {
			args = append(args, "-e", f)
		}
		out, err := exec.Command(shark, args...).Output()
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			row := map[string]string{}
			for i, cell := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
				row[wiresharkFields[i]] = cell
			}
			merged.rows = append(merged.rows, row)
		}
		merged.res = parsertest.Parse(t, netPcap, parsertest.Sample{Name: "merged.pcapng", Data: data})
		merged.done = true
	})
	if !merged.done {
		t.Fatal("the captures could not be merged: see the test that failed first")
	}
	return merged.rows, merged.res
}

// difference lists what is on one side only.
func difference(a, b map[string]int) (onlyA, onlyB []string) {
	for k, n := range a {
		if b[k] < n {
			onlyA = append(onlyA, k)
		}
	}
	for k, n := range b {
		if a[k] < n {
			onlyB = append(onlyB, k)
		}
	}
	slices.Sort(onlyA)
	slices.Sort(onlyB)
	return onlyA, onlyB
}

// wrapped are link layers of which the packets inside are not looked for, and
// fragments, whose ports nobody sees.
var wrapped = regexp.MustCompile(`cfp|ieee8021ah|vntag|nsh|eth:llc:ip|:ip:data$`)

// inTunnel is tunnelled with those of IP directly in IP.
var inTunnel = regexp.MustCompile(tunnelled.String() + `|teredo|:ip(v6)?:ip(v6)?(:|$)`)

// TestCommunityIDsAgreeWithWireshark compares the hashes of all flows that are
// in no tunnel; flows of tunnels have those of their outer addresses here.
func TestCommunityIDsAgreeWithWireshark(t *testing.T) {
	rows, res := mergeCaptures(t)
	want, got, outer := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, row := range rows {
		protocols, id := row["frame.protocols"], row["communityid"]
		switch {
		case id == "":
		case inTunnel.MatchString(protocols):
			for _, column := range []string{"ip.src", "ipv6.src"} {
				addr, _, _ := strings.Cut(row[column], ",")
				outer[addr] = true
			}
		case !wrapped.MatchString(protocols):
			want[id] = 1
		}
	}
	for _, ev := range res.Events {
		id, ok := ev.Attr("community_id")
		switch {
		case !ok || ev.DataType != typeFlow:
		case outer[ev.SrcIP] || outer[ev.DstIP]:
			delete(want, id)
		default:
			got[id] = 1
		}
	}
	missed, extra := difference(want, got)
	t.Logf("%d flows agree, missed %v, only here %v", len(got)-len(extra), missed, extra)
	if len(got) < 600 || len(missed) > 0 || len(extra) > 1 { // one has a header of IPv6 that is not passed over
		t.Errorf("%d flows, missed %v, only here %v", len(got), missed, extra)
	}
}

// counted compares how often two sides see something.
func counted(t *testing.T, want, got map[string]int, atLeast, mayMiss, mayAdd int) {
	t.Helper()
	agreed := 0
	for k, n := range want {
		agreed += min(n, got[k])
	}
	missed, extra := difference(want, got)
	t.Logf("%d agree; only Wireshark: %q; only here: %q", agreed, missed, extra)
	if agreed < atLeast || len(missed) > mayMiss || len(extra) > mayAdd {
		t.Errorf("%d agree, at least %d should; %d and %d are on one side only", agreed, atLeast, len(missed), len(extra))
	}
}

// attrCounts counts the values of attributes of rows of a type.
func attrCounts(res parsertest.Result, dataType string, attrs ...string) map[string]int {
	m := map[string]int{}
	for _, ev := range res.Events {
		if ev.DataType != dataType {
			continue
		}
		for _, key := range attrs {
			if v, ok := ev.Attr(key); ok {
				m[key+" "+v]++
			}
		}
	}
	return m
}

// wiresharkSees counts the values of fields outside tunnels under the names
// they have here.
func wiresharkSees(rows []map[string]string, names map[string]string) map[string]int {
	m := map[string]int{}
	for _, row := range rows {
		if p := row["frame.protocols"]; inTunnel.MatchString(p) || wrapped.MatchString(p) || strings.Contains(p, "dtls") || strings.Contains(p, "ssdp") {
			continue
		}
		for field, name := range names {
			for v := range strings.SplitSeq(row[field], ",") {
				if v != "" {
					m[name+" "+v]++
				}
			}
		}
	}
	return m
}

// TestFingerprintsAgreeWithWireshark compares JA3 and JA3S. Wireshark alone
// sees a hello within a flow that had one; it does not look for TLS on ports
// 853 over QUIC and 6667, and takes a connection that is in two captures for
// one.
func TestFingerprintsAgreeWithWireshark(t *testing.T) {
	rows, res := mergeCaptures(t)
	want := wiresharkSees(rows, map[string]string{"tls.handshake.ja3": "ja3", "tls.handshake.ja3s": "ja3s"})
	counted(t, want, attrCounts(res, typeTLS, "ja3", "ja3s"), 88, 1, 7)
}

// TestResponsesAgreeWithWireshark compares the codes of HTTP responses; one
// is on port 22, where Wireshark looks for SSH.
func TestResponsesAgreeWithWireshark(t *testing.T) {
	rows, res := mergeCaptures(t)
	want := wiresharkSees(rows, map[string]string{"http.response.code": "status"})
	delete(want, "status 100") // interim
	counted(t, want, attrCounts(res, typeHTTP, "status"), 63, 0, 1)
}

// sender is an address in the parameter of MAIL.
var sender = regexp.MustCompile(`[^<> :]+@[^<> ]+`)

// columnCounts counts the values, with commas between, of rows that fit.
func columnCounts(res parsertest.Result, fits func(ev *timeline.Event) bool, value func(ev *timeline.Event) string) map[string]int {
	m := map[string]int{}
	for _, ev := range res.Events {
		if fits(ev) {
			for v := range strings.SplitSeq(value(ev), ",") {
				if v != "" {
					m[v]++
				}
			}
		}
	}
	return m
}

// TestApplicationsAgreeWithWireshark compares who logged on, what was opened,
// and who said what. Connections that are in two captures count once with
// Wireshark, which does not look for SSH on port 443 nor for RDP on 502; it
// lists a mail that was refused, and the banner of a server of SSH that was
// asked for a page.
func TestApplicationsAgreeWithWireshark(t *testing.T) {
	rows, res := mergeCaptures(t)
	sees := func(value func(row map[string]string) string) map[string]int {
		m := map[string]int{}
		for _, row := range rows {
			if p := row["frame.protocols"]; inTunnel.MatchString(p) || wrapped.MatchString(p) {
				continue
			}
			for v := range strings.SplitSeq(value(row), ",") {
				if v != "" {
					m[v]++
				}
			}
		}
		return m
	}
	request := func(row map[string]string, command string) bool {
		first, _, _ := strings.Cut(row["smb2.cmd"], ",")
		return first == command && strings.HasPrefix(row["smb2.flags.response"], "0")
	}
	is := func(dataType, action string) func(*timeline.Event) bool {
		return func(ev *timeline.Event) bool {
			return ev.DataType == dataType && (action == "" || strings.HasPrefix(ev.Action, action))
		}
	}
	attr := func(key string) func(*timeline.Event) string {
		return func(ev *timeline.Event) string { v, _ := ev.Attr(key); return v }
	}
	field := func(name string) func(map[string]string) string {
		return func(row map[string]string) string { return row[name] }
	}
	for _, c := range []struct {
		name string
		want map[string]int
		got  map[string]int
		agree,
		miss, add int
	}{
		{
			"SMB files", sees(func(row map[string]string) string {
				if request(row, "5") {
					return row["smb2.filename"]
				}
				return ""
			}),
			columnCounts(res, is(typeSMB, "smb-create"), func(ev *timeline.Event) string {
				share, _ := ev.Attr("share")
				return strings.TrimPrefix(strings.TrimPrefix(ev.File, share), `\`)
			}), 40, 0, 6,
		},
		{"SMB shares", sees(func(row map[string]string) string {
			if request(row, "3") {
				return row["smb2.tree"]
			}
			return ""
		}), columnCounts(res, is(typeSMB, "smb-tree"), func(ev *timeline.Event) string { return ev.File }), 13, 0, 2},
		{"NTLM users", sees(func(row map[string]string) string {
			if row["smb2.cmd"] == "" || row["ntlmssp.auth.username"] == "NULL" {
				return ""
			}
			return row["ntlmssp.auth.username"]
		}), columnCounts(res, is(typeSMB, "login"), func(ev *timeline.Event) string { return ev.User }), 5, 0, 0},
		{"SSH banners", sees(func(row map[string]string) string {
			return strings.TrimRight(row["ssh.protocol"], " ")
		}), columnCounts(res, is(typeSSH, ""), func(ev *timeline.Event) string {
			return strings.TrimRight(attr("client")(ev), " ") + "," + strings.TrimRight(attr("server")(ev), " ")
		}), 8, 1, 2},
		{"Kerberos messages", sees(func(row map[string]string) string {
			if !strings.HasSuffix(row["frame.protocols"], "kerberos") {
				return "" // inside others
			}
			kind, _, _ := strings.Cut(row["kerberos.msg_type"], ",")
			return map[string]string{"10": "AS-REQ", "11": "AS-REP", "12": "TGS-REQ", "13": "TGS-REP", "30": "KRB-ERROR"}[kind]
		}), columnCounts(res, is(typeKerberos, ""), attr("type")), 23, 0, 2},
		{"Kerberos clients", sees(func(row map[string]string) string {
			return row["kerberos.CNameString"]
		}), columnCounts(res, is(typeKerberos, ""), attr("client")), 14, 0, 0},
		{"DHCP names", sees(field("dhcp.option.hostname")), columnCounts(res, is(typeDHCP, ""), attr("hostname")), 9, 0, 0},
		{"DHCP addresses", sees(func(row map[string]string) string {
			return strings.ReplaceAll(row["dhcp.ip.your"], "0.0.0.0", "")
		}), columnCounts(res, is(typeDHCP, ""), attr("assigned")), 3, 0, 0},
		{"RDP cookies", sees(field("rdp.rt_cookie")), columnCounts(res, is(typeRDP, ""), func(ev *timeline.Event) string { return "Cookie: mstshash=" + ev.User }), 2, 0, 1},
		{"FTP files", sees(func(row map[string]string) string {
			if slices.Contains([]string{"RETR", "STOR", "APPE", "DELE", "MKD", "RMD"}, row["ftp.request.command"]) {
				return fmt.Sprintf("%.40s", row["ftp.request.command"]+" "+row["ftp.request.arg"])
			}
			return ""
		}), columnCounts(res, is(typeFTP, "ftp-"), func(ev *timeline.Event) string {
			return fmt.Sprintf("%.40s", attr("command")(ev)+" "+attr("argument")(ev))
		}), 19, 0, 5},
		{"SMTP senders", sees(func(row map[string]string) string {
			if row["smtp.req.command"] == "MAIL" {
				return sender.FindString(row["smtp.req.parameter"])
			}
			return ""
		}), columnCounts(res, is(typeSMTP, "mail"), attr("mail_from")), 10, 1, 5},
	} {
		t.Run(c.name, func(t *testing.T) { counted(t, c.want, c.got, c.agree, c.miss, c.add) })
	}
}
