package parsers

import (
	"bytes"
	"context"
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
	Version: 1,
	Family:  "net",
	Types:   zeekTypes,
	Match: func(_ *evidence.Item, head []byte) bool {
		return bytes.HasPrefix(head, []byte("#separator ")) && bytes.Contains(head, []byte("\n#fields"))
	},
	Parse: parseZeekTSV,
})

// zeekJSON reads logs of Zeek as JSON. The log's name is in the member _path
// or @stream where the writer was told so, else in the file's name only.
var zeekJSON = register(analyze.Parser{
	Name:    "zeek_json",
	Doc:     "logs of Zeek as JSON",
	Version: 1,
	Family:  "net",
	Types:   zeekTypes,
	Match:   matchZeekJSON,
	Parse:   zeekMap.parse,
})

var zeekTypes = []string{"zeek:log", "zeek:conn", "zeek:dns", "zeek:http", "zeek:ssl", "zeek:ssh", "zeek:files", "zeek:notice", "zeek:x509"}

// zeekColumns are the columns of the fields that logs share.
var zeekColumns = []jsonColumn{
	{"src_ip", []string{"id.orig_h", "id_orig_h", "src", "host", "tx_hosts", "client_addr"}},
	{"src_port", []string{"id.orig_p", "id_orig_p"}},
	{"dst_ip", []string{"id.resp_h", "id_resp_h", "dst", "rx_hosts", "server_addr"}},
	{"dst_port", []string{"id.resp_p", "id_resp_p"}},
	{"domain", []string{"query", "server_name", "host", "domain"}},
	{"url", []string{"uri"}},
	{"user", []string{"username", "user", "client", "cookie"}},
	{"file", []string{"filename", "path"}},
	{"sha256", []string{"sha256"}},
	{"event_code", []string{"note", "rcode_name", "status_code", "conn_state"}},
}

// zeekRules say what the records of a log are. pathOf is the log's name.
var zeekRules = []struct {
	log, dataType, action, category string
}{
	{"conn", "zeek:conn", "flow", "network"},
	{"dns", "zeek:dns", "dns-query", "network"},
	{"http", "zeek:http", "http-request", "web"},
	{"ssl", "zeek:ssl", "tls-handshake", "network"},
	{"ssh", "zeek:ssh", "ssh-handshake", "network"},
	{"files", "zeek:files", "file-transfer", "file"},
	{"x509", "zeek:x509", "certificate", "network"},
	{"notice", "zeek:notice", "alert", "intrusion_detection"},
}

var zeekMap = jsonMap{
	dataType: "zeek:log", short: "NET", source: "Zeek log",
	times: []jsonTime{{path: "ts", unit: "s"}, {path: "ts"}}, desc: "Event Observed", kind: timeline.Observed,
	columns: zeekColumns,
	rules: func() (rules []jsonRule) {
		rules = []jsonRule{{category: "network"}}
		for _, r := range zeekRules {
			for _, path := range []string{"_path", "@stream"} {
				rules = append(rules, jsonRule{path: path, value: r.log, action: r.action, category: r.category, dataType: r.dataType})
			}
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
		z.dataType, z.act, z.class = "zeek:log", "", "network"
		for _, r := range zeekRules {
			if r.log == z.path {
				z.dataType, z.act, z.class = r.dataType, r.action, r.category
			}
		}
	case "fields":
		z.fields, z.time, z.duration, z.columns = nil, -1, -1, map[string][]int{}
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
			z.fields = append(z.fields, field)
		}
		for _, c := range zeekColumns {
			for _, path := range c.paths {
				for i, field := range z.fields {
					if field == path {
						z.columns[c.column] = append(z.columns[c.column], i)
					}
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
	for column, places := range z.columns {
		for _, i := range places {
			if stated(values[i]) {
				setColumn(ev, out, column, values[i])
				break
			}
		}
	}
}
