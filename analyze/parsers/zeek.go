package parsers

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/jsonl"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// zeekTSV reads logs of Zeek as its ASCII writer makes them: fields with tabs
// between, named and typed by lines in front. Several logs one behind the
// other, each with such lines, are read too. A connection is a span. Values
// stay as they are written, \xHH for bytes that are no text included; fields
// without a value give nothing.
//
// Format: Zeek, "Log Formats and Inspection".
var zeekTSV = register(analyze.Parser{
	Name:    "zeek_tsv",
	Doc:     "logs of Zeek with tabs between the fields",
	Version: 2,
	Family:  "net",
	Types:   zeekTypes,
	Match: func(_ *evidence.Item, head []byte) bool {
		return bytes.HasPrefix(head, []byte("#separator ")) && bytes.Contains(head, []byte("\n#fields"))
	},
	Parse: parseZeekTSV,
})

// zeekJSON reads logs of Zeek as JSON. The log's name is in the member _path
// or @stream where the writer was told so, else it is that of the file.
var zeekJSON = register(analyze.Parser{
	Name:    "zeek_json",
	Doc:     "logs of Zeek as JSON",
	Version: 2,
	Family:  "net",
	Types:   zeekTypes,
	Match:   matchZeekJSON,
	Parse:   parseZeekJSON,
})

// parseZeekJSON takes the file's name for the log's where records have none.
func parseZeekJSON(ctx context.Context, src *analyze.Source, out *timeline.Appender) error {
	m := zeekMap
	for i := range zeekRules {
		if r := &zeekRules[i]; r.log == zeekLogOf(src.Item.Path) {
			named := jsonRule{action: r.action, category: r.category, dataType: r.dataType(), columns: r.columns}
			m.rules = slices.Concat(zeekMap.rules[:1], []jsonRule{named}, zeekMap.rules[1:])
		}
	}
	return m.parse(ctx, src, out)
}

// zeekLogOf takes the log's name out of that of a file: Zeek writes NAME.log
// and moves it to NAME.TIMES.log.
func zeekLogOf(path string) string {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	name, _, _ = strings.Cut(name, ".")
	return name
}

var zeekTypes = func() []string {
	types := []string{"zeek:log"}
	for i := range zeekRules {
		types = append(types, zeekRules[i].dataType())
	}
	return types
}()

// zeekColumns are the columns of the fields that logs share.
var zeekColumns = []jsonColumn{
	{"src_ip", []string{"id.orig_h", "id_orig_h", "src", "host", "tx_hosts", "client_addr"}},
	{"src_port", []string{"id.orig_p", "id_orig_p"}},
	{"dst_ip", []string{"id.resp_h", "id_resp_h", "dst", "rx_hosts", "server_addr"}},
	{"dst_port", []string{"id.resp_p", "id_resp_p"}},
	{"domain", []string{"query", "server_name", "host", "domain"}},
	{"url", []string{"uri"}},
	{"user", []string{"username", "user"}},
	{"file", []string{"filename"}},
	{"sha256", []string{"sha256"}},
	{"event_code", []string{"note", "rcode_name", "status_code", "conn_state"}},
}

// zeekRule says what the records of a log are. Its columns replace those that
// logs share: a field may have its name and mean something else.
type zeekRule struct {
	log, action, category string
	columns               []jsonColumn
}

func (r *zeekRule) dataType() string { return "zeek:" + r.log }

// zeekHost are the columns of logs about one machine.
var zeekHost = []jsonColumn{{"src_ip", []string{"host"}}, {"src_port", []string{"port_num", "host_p"}}, {"domain", nil}}

var zeekRules = []zeekRule{
	{log: "conn", action: "flow", category: "network"},
	{log: "dns", action: "dns-query", category: "network"},
	{log: "http", action: "http-request", category: "web"},
	{log: "ssl", action: "tls-handshake", category: "network"},
	{log: "ssh", action: "ssh-handshake", category: "network"},
	{log: "files", action: "file-transfer", category: "file"},
	{log: "x509", action: "certificate", category: "network"},
	{log: "notice", action: "alert", category: "intrusion_detection"},
	{log: "smb_files", action: "smb-file", category: "file", columns: []jsonColumn{{"file", []string{"name"}}, {"file2", []string{"prev_name"}}, {"event_code", []string{"action"}}}},
	{log: "smb_mapping", action: "smb-tree-connect", category: "network", columns: []jsonColumn{{"file", []string{"path"}}}},
	{log: "smb_cmd", action: "smb-command", category: "network", columns: []jsonColumn{
		{"user", []string{"username"}}, {"event_code", []string{"status"}}, {"file", []string{"referenced_file.name", "tree"}},
	}},
	{log: "kerberos", action: "kerberos-ticket", category: "authentication", columns: []jsonColumn{{"user", []string{"client"}}, {"event_code", []string{"error_msg", "request_type"}}}},
	{log: "ntlm", action: "login", category: "authentication"},
	{log: "radius", action: "login", category: "authentication", columns: []jsonColumn{{"user", []string{"username"}}, {"event_code", []string{"result"}}}},
	{log: "rdp", action: "rdp-connect", category: "network", columns: []jsonColumn{{"user", []string{"cookie"}}, {"event_code", []string{"result"}}}},
	{log: "dce_rpc", action: "rpc-call", category: "network", columns: []jsonColumn{{"event_code", []string{"operation"}}}},
	{log: "weird", action: "protocol-anomaly", category: "network", columns: []jsonColumn{{"event_code", []string{"name"}}}},
	{log: "pe", action: "executable-seen", category: "file"},
	{log: "software", action: "software-seen", category: "host", columns: zeekHost},
	{log: "known_hosts", action: "host-seen", category: "host", columns: zeekHost},
	{log: "known_services", action: "service-seen", category: "host", columns: zeekHost},
	{log: "known_certs", action: "certificate-seen", category: "host", columns: zeekHost},
	{log: "dhcp", action: "dhcp", category: "network", columns: []jsonColumn{{"src_ip", []string{"client_addr", "assigned_addr", "assigned_ip", "id.orig_h", "id_orig_h"}}, {"domain", []string{"domain"}}}},
	{log: "ftp", action: "ftp-command", category: "network", columns: []jsonColumn{{"file", []string{"arg"}}, {"event_code", []string{"reply_code"}}}},
	{log: "smtp", action: "mail", category: "email"},
}

// zeekOutcomes are the fields that say how it went.
var zeekOutcomes = []string{"success", "auth_success"}

var zeekMap = jsonMap{
	dataType: "zeek:log", short: "NET", source: "Zeek log",
	times: []jsonTime{{path: "ts", unit: "s"}, {path: "ts"}}, desc: "Event Observed", kind: timeline.Observed,
	columns: zeekColumns,
	rules: func() (rules []jsonRule) {
		rules = []jsonRule{{category: "network"}}
		for i := range zeekRules {
			r := &zeekRules[i]
			for _, path := range []string{"_path", "@stream"} {
				rules = append(rules, jsonRule{path: path, value: r.log, action: r.action, category: r.category, dataType: r.dataType(), columns: r.columns})
			}
		}
		for _, path := range zeekOutcomes {
			rules = append(rules, jsonRule{path: path, value: "true", outcome: "success"}, jsonRule{path: path, value: "false", outcome: "failure"})
		}
		return rules
	}(),
	message: []string{"_path", "@stream", "id.orig_h", "id_orig_h", "id.orig_p", "id_orig_p", "id.resp_h", "id_resp_h", "id.resp_p", "id_resp_p", "proto", "service", "query", "method", "host", "uri", "server_name", "note", "msg", "name", "filename", "client"},
}

// matchZeekJSON wants a time and one of the members by which Zeek's logs refer
// to each other.
func matchZeekJSON(_ *evidence.Item, head []byte) bool {
	if !beginsLikeJSON(head) {
		return false
	}
	rec, _, err := jsonl.NewRecords(bytes.NewReader(head), "", len(head)+1).Next()
	if err != nil {
		return false
	}
	var s jsonl.Scanner
	s.Reset(rec)
	if !s.Object() {
		return false
	}
	dated, zeek := false, false
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "ts":
			dated = true
		case "uid", "fuid", "id.orig_h", "id_orig_h", "_path", "@stream":
			zeek = true
		}
		s.Skip()
	}
	return dated && zeek && s.Err() == nil
}

// zeekFieldsMax bounds the fields of a log.
const zeekFieldsMax = 512

// zeekLog is what the lines in front of the records say.
type zeekLog struct {
	separator            []byte
	unset, empty         string
	path                 string
	fields               []string
	time, duration       int
	columns              map[string][]int // places of the fields of each column, in its order
	outcome              int              // place of the field that says how it went, -1: none
	rule                 *zeekRule        // nil: of a log that has none
	dataType, act, class string
}

// header reads a line that begins with '#'.
func (z *zeekLog) header(line []byte) {
	name, value, _ := bytes.Cut(line[1:], []byte(" "))
	if string(name) == "separator" {
		*z = zeekLog{separator: unescapeZeek(value), unset: "-", empty: "(empty)"}
		return
	}
	if len(z.separator) == 0 {
		return
	}
	name, value, _ = bytes.Cut(line[1:], z.separator)
	switch string(name) {
	case "unset_field":
		z.unset = string(value)
	case "empty_field":
		z.empty = string(value)
	case "path":
		z.path = string(value)
		z.dataType, z.act, z.class, z.rule = "zeek:log", "", "network", nil
		for i := range zeekRules {
			if r := &zeekRules[i]; r.log == z.path {
				z.dataType, z.act, z.class, z.rule = r.dataType(), r.action, r.category, r
			}
		}
	case "fields":
		z.fields, z.time, z.duration, z.outcome = nil, -1, -1, -1
		for field := range strings.SplitSeq(string(value), string(z.separator)) {
			if len(z.fields) == zeekFieldsMax {
				break
			}
			switch field {
			case "ts":
				z.time = len(z.fields)
			case "duration":
				z.duration = len(z.fields)
			}
			if slices.Contains(zeekOutcomes, field) {
				z.outcome = len(z.fields)
			}
			z.fields = append(z.fields, field)
		}
		z.place()
	}
}

// place finds the fields of each column; those of the log's rule count alone.
func (z *zeekLog) place() {
	z.columns = map[string][]int{}
	columns := zeekColumns
	if z.rule != nil {
		columns = slices.Concat(columns, z.rule.columns)
	}
	for _, c := range columns {
		z.columns[c.column] = nil
		for _, path := range c.paths {
			for i, field := range z.fields {
				if field == path {
					z.columns[c.column] = append(z.columns[c.column], i)
				}
			}
		}
	}
}

// unescapeZeek reads "\x09".
func unescapeZeek(b []byte) []byte {
	if len(b) == 4 && b[0] == '\\' && b[1] == 'x' {
		hi, lo := strings.IndexByte("0123456789abcdef", b[2]|0x20), strings.IndexByte("0123456789abcdef", b[3]|0x20)
		if hi >= 0 && lo >= 0 {
			return []byte{byte(hi<<4 | lo)}
		}
	}
	return b
}

func parseZeekTSV(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	records := newTextRecords(out)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no record of this log"}
	lines := textline.NewReader(src)
	var z zeekLog
	var values [][]byte
	for lines.Next() {
		records.damage(lines)
		switch {
		case len(lines.Line) == 0:
			continue
		case lines.Line[0] == '#':
			z.header(lines.Line)
			continue
		}
		if len(z.separator) > 0 {
			values = bytes.Split(lines.Line, z.separator)
		}
		if len(z.fields) == 0 || len(values) != len(z.fields) {
			bad.add(lines)
			continue
		}
		z.event(records.begin(lines), out, values)
		if out.Err() != nil {
			return nil
		}
	}
	bad.end()
	return lines.Err()
}

// event fills the event of one record.
func (z *zeekLog) event(ev *timeline.Event, out *timeline.Appender, values [][]byte) {
	ev.DataType, ev.SourceShort, ev.SourceLong = z.dataType, "NET", "Zeek log"
	ev.Action, ev.Category = z.act, z.class
	ev.TSDesc, ev.TSKind = "Event Observed", timeline.Observed
	stated := func(v []byte) bool { return len(v) > 0 && string(v) != z.unset && string(v) != z.empty }
	if z.time >= 0 && stated(values[z.time]) {
		ev.TSRaw, ev.TZSrc = out.Text(values[z.time]), timeline.ZoneFormat
		if ns, prec, ok := epochTime(values[z.time], "s"); ok {
			ev.SetNanos(ns)
			ev.TSPrec = prec
			if z.duration >= 0 && stated(values[z.duration]) {
				if d, _, ok := epochTime(values[z.duration], "s"); ok && d >= 0 && ns+d >= ns {
					ev.TSEnd = ns + d
				}
			}
		}
	}
	message := []string{"zeek", z.path}
	for i, v := range values {
		if !stated(v) {
			continue
		}
		text := out.Text(cutText(v))
		out.AttrRaw(out.Intern([]byte(z.fields[i])), text, 's')
		if i != z.time && len(message) < 40 {
			message = append(message, text)
		}
	}
	ev.Message = out.Str(strings.Join(message, " "))
	if z.outcome >= 0 {
		switch string(values[z.outcome]) {
		case "T":
			ev.Outcome = "success"
		case "F":
			ev.Outcome = "failure"
		}
	}
	for column, places := range z.columns {
		for _, i := range places {
			if stated(values[i]) {
				setColumn(ev, out, column, values[i])
				break
			}
		}
	}
}
