package parsers

import (
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// What other programs made of evidence is read as what it is: their reading of
// it. Its data type is that program's, so that no row is taken for a twin of one
// that was read here; all fields stay attributes under their own names, their
// data_type among them, and columns are set only where the meaning is sure. Who
// the host was is known from a field or not at all.

// plasoJSONL reads plaso's output module json_line, an event a line. Attribute data_type is plaso's own; a timestamp of 0 is its way to say that
// there is none. ts has its microseconds; finer ones stay in date_time.
//
// Format: plaso, "Output and formatting", shared_json.
var plasoJSONL = register(analyze.Parser{
	Name:    "plaso_jsonl",
	Doc:     "timelines of plaso, output json_line",
	Version: 1,
	Family:  "import",
	Types:   []string{"plaso:event"},
	Match:   plasoMap.matches,
	Parse:   plasoMap.parse,
})

var plasoColumns = []jsonColumn{
	{"host", []string{"computer_name", "hostname", "host"}},
	{"user", []string{"username", "user"}},
	{"sid", []string{"user_sid"}},
	{"pid", []string{"pid", "process_identifier"}},
	{"src_ip", []string{"source_ip", "ip_address"}},
	{"src_port", []string{"source_port"}},
	{"dst_ip", []string{"destination_ip"}},
	{"dst_port", []string{"destination_port"}},
	{"url", []string{"url"}},
	{"reg_key", []string{"key_path"}},
	{"event_code", []string{"event_identifier"}},
}

var plasoMap = jsonMap{
	dataType: "plaso:event", short: "IMPORT", source: "timeline of plaso", foreign: true,
	keys:  []string{"__container_type__", "data_type", "timestamp", "timestamp_desc"},
	times: []jsonTime{{path: "timestamp", unit: "us"}}, desc: "Event Time", descOf: "timestamp_desc", kind: timeline.Recorded,
	columns: plasoColumns,
	message: []string{"message"},
}

// plasoCSV reads plaso's output module dynamic with the columns that it has by
// itself, and more.
//
// Format: plaso, "Output and formatting", dynamic.
var plasoCSV = register(analyze.Parser{
	Name:    "plaso_csv",
	Doc:     "timelines of plaso, output dynamic",
	Version: 1,
	Family:  "import",
	Types:   []string{"plaso:event"},
	Match:   plasoDynamicMap.matchesTable,
	Parse:   plasoDynamicMap.parseTable,
})

var plasoDynamicMap = jsonMap{
	dataType: "plaso:event", short: "IMPORT", source: "timeline of plaso", foreign: true,
	keys:  []string{"datetime", "timestamp_desc", "source", "source_long", "message", "parser"},
	times: []jsonTime{{path: "datetime"}}, desc: "Event Time", descOf: "timestamp_desc", kind: timeline.Recorded,
	columns: plasoColumns,
	message: []string{"message"},
}

// l2tCSV reads the seventeen columns of log2timeline, which plaso (l2tcsv) and
// others write. The zone is a column; its ambiguous hours are ts_lo and ts_hi.
//
// Format: plaso, "Output and formatting", l2tcsv.
var l2tCSV = register(analyze.Parser{
	Name:    "l2tcsv",
	Doc:     "timelines in the form of log2timeline, output l2tcsv",
	Version: 1,
	Family:  "import",
	Types:   []string{"l2tcsv:event"},
	Match:   l2tMap.matchesTable,
	Parse:   l2tMap.parseTable,
})

var l2tMap = jsonMap{
	dataType: "l2tcsv:event", short: "IMPORT", source: "timeline in l2tcsv", foreign: true,
	keys:  []string{"date", "time", "timezone", "MACB", "source", "sourcetype", "type", "desc", "format"},
	times: []jsonTime{{path: "date", unit: "l2t"}}, desc: "Event Time", descOf: "type", kind: timeline.Recorded,
	columns: []jsonColumn{{"host", []string{"host"}}, {"user", []string{"user"}}},
	message: []string{"desc"},
}

// timesketch reads the CSV and JSONL that Timesketch imports and exports,
// this program's own exports among them. datetime dates a row; where that is
// no time, timestamp does.
//
// Format: Timesketch, "Create timeline from JSON/JSONL/CSV file".
var timesketch = register(analyze.Parser{
	Name:    "timesketch",
	Doc:     "timelines of Timesketch, CSV and JSONL",
	Version: 1,
	Family:  "import",
	Types:   []string{"timesketch:event"},
	Match:   timesketchMap.matchesEither,
	Parse:   timesketchMap.parseEither,
})

var timesketchMap = jsonMap{
	dataType: "timesketch:event", short: "IMPORT", source: "timeline of Timesketch", foreign: true,
	keys: []string{"message", "datetime", "timestamp_desc"}, not: []string{"__container_type__"},
	times: []jsonTime{{path: "datetime"}, {path: "timestamp", unit: "us"}}, desc: "Event Time", descOf: "timestamp_desc", kind: timeline.Recorded,
	columns: append([]jsonColumn{
		{"exe", []string{"executable"}},
		{"cmdline", []string{"command_line"}},
		{"domain", []string{"domain"}},
	}, plasoColumns...),
	message: []string{"message"},
}

// hayabusa reads timelines of hayabusa, CSV, JSON and JSONL of every profile
// that states the rule: what its rules say of records of Windows event logs.
//
// Format: hayabusa, "Output profiles".
var hayabusa = register(analyze.Parser{
	Name:    "hayabusa",
	Doc:     "detections of hayabusa, CSV and JSON",
	Version: 1,
	Family:  "import",
	Types:   []string{"hayabusa:detection"},
	Match:   hayabusaMap.matchesEither,
	Parse:   hayabusaMap.parseEither,
})

var hayabusaMap = jsonMap{
	dataType: "hayabusa:detection", short: "IMPORT", source: "detection of hayabusa", foreign: true,
	keys:  []string{"Timestamp", "RuleTitle", "Level", "EventID"},
	times: []jsonTime{{path: "Timestamp"}}, desc: "Event Logged", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"host", []string{"Computer"}},
		{"channel", []string{"Channel"}},
		{"event_code", []string{"EventID"}},
		{"exe", []string{"Details.Proc"}},
		{"cmdline", []string{"Details.Cmdline"}},
		{"user", []string{"Details.User", "Details.TgtUser"}},
		{"src_ip", []string{"Details.SrcIP"}},
		{"session", []string{"Details.LID"}},
	},
	rules:   []jsonRule{{action: "alert", category: "intrusion_detection"}},
	message: []string{"Level", "RuleTitle", "Details", "Details.Proc", "Details.Cmdline", "Details.TgtUser", "Details.SrcIP"},
}

// chainsaw reads what chainsaw's hunt writes, CSV and JSON: what rules say of
// records of Windows event logs. A detection of several records is one event.
//
// Format: chainsaw, "hunt", --csv and --json.
var chainsaw = register(analyze.Parser{
	Name:    "chainsaw",
	Doc:     "detections of chainsaw, CSV and JSON",
	Version: 1,
	Family:  "import",
	Types:   []string{"chainsaw:detection"},
	Match: func(it *evidence.Item, head []byte) bool {
		return chainsawMap.matches(it, head) || chainsawTable.matchesTable(it, head)
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return parseWith(&chainsawMap, &chainsawTable, src, out)
	},
})

var chainsawMap = jsonMap{
	dataType: "chainsaw:detection", short: "IMPORT", source: "detection of chainsaw", foreign: true,
	keys:  []string{"group", "kind", "name", "timestamp"},
	times: []jsonTime{{path: "timestamp"}}, desc: "Event Logged", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"host", []string{"document.data.Event.System.Computer", "documents.data.Event.System.Computer"}},
		{"channel", []string{"document.data.Event.System.Channel"}},
		{"event_code", []string{"document.data.Event.System.EventID", "document.data.Event.System.EventID.#text"}},
	},
	rules:   []jsonRule{{action: "alert", category: "intrusion_detection"}},
	message: []string{"level", "name", "document.path"},
}

var chainsawTable = jsonMap{
	dataType: "chainsaw:detection", short: "IMPORT", source: "detection of chainsaw", foreign: true,
	keys:  []string{"timestamp", "detections", "path"},
	times: []jsonTime{{path: "timestamp"}}, desc: "Event Logged", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"host", []string{"Computer"}},
		{"channel", []string{"Channel"}},
		{"event_code", []string{"Event ID"}},
	},
	rules:   []jsonRule{{action: "alert", category: "intrusion_detection"}},
	message: []string{"detections", "Event Data"},
}

// volatility reads results of Volatility 3, -r json and csv: processes,
// sockets, modules and other rows of memory images. Every time of a row is one
// event, those of timeliner too. Rows below others (pstree) stay attributes of
// the row above.
//
// Format: Volatility 3, text_renderer.py (JsonRenderer, CSVRenderer).
var volatility = register(analyze.Parser{
	Name:    "volatility",
	Doc:     "results of Volatility 3, JSON and CSV",
	Version: 1,
	Family:  "import",
	Types:   []string{"volatility:row"},
	Match: func(it *evidence.Item, head []byte) bool {
		return volatilityMap.matches(it, head) || volatilityTable.matchesTable(it, head)
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return parseWith(&volatilityMap, &volatilityTable, src, out)
	},
})

var volatilityMap, volatilityTable = volatilityBy("__children"), volatilityBy("TreeDepth")

// volatilityBy is the map of one form: the renderer adds a field to every row.
func volatilityBy(key string) jsonMap {
	return jsonMap{
		dataType: "volatility:row", short: "IMPORT", source: "result of Volatility", foreign: true,
		keys: []string{key}, each: true, desc: "Not Dated", kind: timeline.State,
		times: []jsonTime{
			{path: "CreateTime", desc: "Process Start"},
			{path: "CREATION TIME", desc: "Process Start"},
			{path: "ExitTime", desc: "Process End"},
			{path: "Created", desc: "Created"},
			{path: "Created Date", desc: "Creation Time"},
			{path: "Modified Date", desc: "Content Modification Time"},
			{path: "Accessed Date", desc: "Last Access Time"},
			{path: "Changed Date", desc: "Metadata Modification Time"},
			{path: "Last Write Time", desc: "Content Modification Time"},
			{path: "LoadTime", desc: "Module Loaded"},
		},
		columns: []jsonColumn{
			{"pid", []string{"PID", "Pid"}},
			{"ppid", []string{"PPID"}},
			{"uid", []string{"UID"}},
			{"session", []string{"SessionId"}},
			{"cmdline", []string{"Args"}},
			{"src_ip", []string{"LocalAddr", "Source Addr"}},
			{"src_port", []string{"LocalPort", "Source Port"}},
			{"dst_ip", []string{"ForeignAddr", "Destination Addr"}},
			{"dst_port", []string{"ForeignPort", "Destination Port"}},
			{"reg_key", []string{"Key"}},
		},
		message: []string{"Plugin", "Description", "ImageFileName", "COMM", "Process", "Owner", "Name", "Args", "Path", "Proto", "LocalAddr", "LocalPort", "ForeignAddr", "ForeignPort", "State", "Key"},
	}
}
