package parsers

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// defenderHunting reads what advanced hunting of Microsoft Defender gives, as
// CSV from the portal and as JSON from its interface: tables of the Device
// family. For a process that was created the columns are its own, and those of
// its parent the initiating process'; in every other row the process is the
// initiating one.
//
// Format: Microsoft Defender XDR, "Advanced hunting schema reference".
var defenderHunting = register(analyze.Parser{
	Name:    "defender_hunting",
	Doc:     "results of advanced hunting in Microsoft Defender, CSV and JSON",
	Version: 1,
	Family:  "import",
	Types:   []string{"defender:event"},
	Match:   defenderMap.matchesEither,
	Parse:   defenderMap.parseEither,
})

var defenderMap = jsonMap{
	dataType: "defender:event", short: "EDR", source: "advanced hunting of Defender", foreign: true,
	records: "Results", keys: []string{"Timestamp", "DeviceName", "ActionType"},
	times: []jsonTime{{path: "Timestamp"}}, desc: "Event Observed", kind: timeline.Observed,
	columns: []jsonColumn{
		{"host", []string{"DeviceName"}},
		{"url", []string{"RemoteUrl"}},
		{"sha256", []string{"SHA256"}},
		{"reg_key", []string{"RegistryKey"}},
		{"event_code", []string{"ActionType"}},
	},
	rules: []jsonRule{
		{path: "ActionType", value: "ProcessCreated", action: "process-started", category: "process"},
		{path: "ActionType", value: "FileCreated", action: "file-created", category: "file"},
		{path: "ActionType", value: "FileModified", action: "file-modified", category: "file"},
		{path: "ActionType", value: "FileRenamed", action: "file-renamed", category: "file"},
		{path: "ActionType", value: "FileDeleted", action: "file-deleted", category: "file"},
		{path: "ActionType", value: "ConnectionSuccess", action: "connection-opened", category: "network", outcome: "success"},
		{path: "ActionType", value: "ConnectionFailed", action: "connection-opened", category: "network", outcome: "failure"},
		{path: "ActionType", value: "InboundConnectionAccepted", action: "connection-accepted", category: "network", outcome: "success"},
		{path: "ActionType", value: "LogonSuccess", action: "user-login", category: "authentication", outcome: "success"},
		{path: "ActionType", value: "LogonFailed", action: "user-login", category: "authentication", outcome: "failure"},
	},
	message: []string{"ActionType", "FolderPath", "ProcessCommandLine", "RegistryKey", "RegistryValueName", "RemoteIP", "RemotePort", "RemoteUrl", "AccountName", "InitiatingProcessFolderPath", "InitiatingProcessCommandLine"},
	after:   defenderProcess,
}

var (
	defenderCreated = []jsonColumn{
		{"pid", []string{"ProcessId"}},
		{"exe", []string{"FolderPath"}},
		{"cmdline", []string{"ProcessCommandLine"}},
		{"user", []string{"AccountName"}},
		{"sid", []string{"AccountSid"}},
		{"ppid", []string{"InitiatingProcessId"}},
		{"parent_exe", []string{"InitiatingProcessFolderPath"}},
		{"parent_cmdline", []string{"InitiatingProcessCommandLine"}},
	}
	defenderOther = []jsonColumn{
		{"pid", []string{"InitiatingProcessId"}},
		{"exe", []string{"InitiatingProcessFolderPath"}},
		{"cmdline", []string{"InitiatingProcessCommandLine"}},
		{"user", []string{"AccountName", "InitiatingProcessAccountName"}},
		{"sid", []string{"AccountSid", "InitiatingProcessAccountSid"}},
		{"file", []string{"FolderPath"}},
		{"file2", []string{"PreviousFolderPath"}},
	}
	defenderOut = []jsonColumn{
		{"src_ip", []string{"LocalIP"}},
		{"src_port", []string{"LocalPort"}},
		{"dst_ip", []string{"RemoteIP"}},
		{"dst_port", []string{"RemotePort"}},
	}
	defenderIn = []jsonColumn{
		{"src_ip", []string{"RemoteIP"}},
		{"src_port", []string{"RemotePort"}},
		{"dst_ip", []string{"LocalIP"}},
		{"dst_port", []string{"LocalPort"}},
	}
)

func defenderProcess(e *jsonEvents, ev *timeline.Event) {
	columns := defenderOther
	if ev.Action == "process-started" {
		columns = defenderCreated
	}
	e.setColumns(ev, columns)
	// Who logs in and whose connection is accepted comes from the remote side.
	if columns = defenderOut; ev.Action == "user-login" || ev.Action == "connection-accepted" {
		columns = defenderIn
	}
	e.setColumns(ev, columns)
	// FolderPath ends in the file's name, but not in all tables.
	for _, column := range []*string{&ev.Exe, &ev.File} {
		name := string(e.get("FileName"))
		if *column == "" || name == "" || column == &ev.Exe && ev.Action != "process-started" || strings.EqualFold(lastPart(*column), name) {
			continue
		}
		separator := `\`
		if strings.Contains(*column, "/") {
			separator = "/"
		}
		*column = e.out.Join(strings.TrimRight(*column, `\/`), separator, e.out.Str(name))
	}
}

func lastPart(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

// crowdstrikeFDR reads the events of Falcon Data Replicator, a JSON object each.
//
// Format: CrowdStrike, "Falcon Data Replicator", events data dictionary.
var crowdstrikeFDR = register(analyze.Parser{
	Name:    "crowdstrike_fdr",
	Doc:     "events of CrowdStrike's Falcon Data Replicator",
	Version: 2,
	Family:  "import",
	Types:   []string{"crowdstrike:event"},
	Match:   crowdstrikeMap.matches,
	Parse:   crowdstrikeMap.parse,
})

// crowdstrikeIn are the columns of what the remote side begins.
var crowdstrikeIn = []jsonColumn{
	{"src_ip", []string{"RemoteAddressIP4", "RemoteAddressIP6"}},
	{"src_port", []string{"RemotePort", "RemotePort_decimal"}},
	{"dst_ip", []string{"LocalAddressIP4", "LocalAddressIP6"}},
	{"dst_port", []string{"LocalPort", "LocalPort_decimal"}},
}

var crowdstrikeMap = jsonMap{
	dataType: "crowdstrike:event", short: "EDR", source: "event of CrowdStrike Falcon", foreign: true,
	keys: []string{"event_simpleName", "aid", "timestamp"},
	times: []jsonTime{
		{path: "ContextTimeStamp", unit: "s"}, {path: "ContextTimeStamp_decimal", unit: "s"}, {path: "timestamp", unit: "ms"},
	},
	desc: "Event Observed", kind: timeline.Observed,
	columns: []jsonColumn{
		{"host", []string{"ComputerName"}},
		{"user", []string{"UserName"}},
		{"sid", []string{"UserSid", "UserSid_readable"}},
		{"pid", []string{"RawProcessId", "RawProcessId_decimal"}},
		{"proc_guid", []string{"TargetProcessId", "TargetProcessId_decimal", "ContextProcessId", "ContextProcessId_decimal"}},
		{"exe", []string{"ImageFileName"}},
		{"cmdline", []string{"CommandLine"}},
		{"parent_exe", []string{"ParentImageFileName"}},
		{"file", []string{"TargetFileName"}},
		{"sha256", []string{"SHA256HashData"}},
		{"src_ip", []string{"LocalAddressIP4", "LocalAddressIP6"}},
		{"src_port", []string{"LocalPort", "LocalPort_decimal"}},
		{"dst_ip", []string{"RemoteAddressIP4", "RemoteAddressIP6"}},
		{"dst_port", []string{"RemotePort", "RemotePort_decimal"}},
		{"domain", []string{"DomainName"}},
		{"reg_key", []string{"RegObjectName"}},
		{"event_code", []string{"event_simpleName"}},
	},
	rules: []jsonRule{
		{path: "event_simpleName", value: "ProcessRollup2", action: "process-started", category: "process"},
		{path: "event_simpleName", value: "SyntheticProcessRollup2", category: "process"},
		{path: "event_simpleName", value: "NetworkConnectIP4", action: "connection-opened", category: "network"},
		{path: "event_simpleName", value: "NetworkConnectIP6", action: "connection-opened", category: "network"},
		{path: "event_simpleName", value: "NetworkReceiveAcceptIP4", action: "connection-accepted", category: "network", columns: crowdstrikeIn},
		{path: "event_simpleName", value: "NetworkReceiveAcceptIP6", action: "connection-accepted", category: "network", columns: crowdstrikeIn},
		{path: "event_simpleName", value: "DnsRequest", action: "dns-query", category: "network"},
		{path: "event_simpleName", value: "UserLogon", action: "user-login", category: "authentication", outcome: "success", columns: crowdstrikeIn},
		{path: "event_simpleName", value: "UserLogonFailed2", action: "user-login", category: "authentication", outcome: "failure", columns: crowdstrikeIn},
	},
	message: []string{"event_simpleName", "ImageFileName", "CommandLine", "TargetFileName", "DomainName", "RemoteAddressIP4", "RemotePort", "RegObjectName", "UserName"},
}

// elasticECS reads events in the Elastic Common Schema, one JSON object each, as
// Beats, Elastic Agent and Endpoint write them.
//
// Format: Elastic Common Schema 8, field reference.
var elasticECS = register(analyze.Parser{
	Name:    "elastic_ecs",
	Doc:     "events in the Elastic Common Schema: Beats, Elastic Agent, Elastic Endpoint",
	Version: 1,
	Family:  "import",
	Types:   []string{"ecs:event"},
	Match:   ecsMap.matches,
	Parse:   ecsMap.parse,
})

var ecsMap = jsonMap{
	dataType: "ecs:event", short: "EDR", source: "event in ECS", foreign: true,
	keys:  []string{"@timestamp", "ecs"},
	times: []jsonTime{{path: "@timestamp"}}, desc: "Event Logged", kind: timeline.Observed,
	columns: []jsonColumn{
		{"host", []string{"host.hostname", "host.name", "winlog.computer_name", "agent.hostname"}},
		{"host_id", []string{"host.id"}},
		{"user", []string{"user.name"}},
		{"sid", []string{"user.id", "winlog.user.identifier"}},
		{"pid", []string{"process.pid"}},
		{"ppid", []string{"process.parent.pid"}},
		{"proc_guid", []string{"process.entity_id"}},
		{"exe", []string{"process.executable"}},
		{"cmdline", []string{"process.command_line"}},
		{"parent_exe", []string{"process.parent.executable"}},
		{"parent_cmdline", []string{"process.parent.command_line"}},
		{"cwd", []string{"process.working_directory"}},
		{"file", []string{"file.path"}},
		{"sha256", []string{"file.hash.sha256", "process.hash.sha256"}},
		{"src_ip", []string{"source.ip"}},
		{"src_port", []string{"source.port"}},
		{"dst_ip", []string{"destination.ip"}},
		{"dst_port", []string{"destination.port"}},
		{"domain", []string{"dns.question.name", "destination.domain"}},
		{"url", []string{"url.full", "url.original"}},
		{"unit", []string{"service.name"}},
		{"container_id", []string{"container.id"}},
		{"reg_key", []string{"registry.path"}},
		{"event_code", []string{"event.code", "winlog.event_id"}},
		{"channel", []string{"winlog.channel", "event.dataset"}},
	},
	rules: []jsonRule{
		{path: "event.outcome", value: "success", outcome: "success"},
		{path: "event.outcome", value: "failure", outcome: "failure"},
	},
	message: []string{"message", "event.action", "process.command_line", "file.path", "destination.ip", "dns.question.name"},
	after:   ecsMeaning,
}

// ecsMeanings are what category and type of an event say together.
var ecsMeanings = map[[2]string]string{
	{"process", "start"}:        "process-started",
	{"file", "creation"}:        "file-created",
	{"file", "deletion"}:        "file-deleted",
	{"authentication", "start"}: "user-login",
}

// ecsMeaning reads event.category and event.type, which may be several. Which
// side opened a connection only event.action of Elastic's own programs says.
func ecsMeaning(e *jsonEvents, ev *timeline.Event) {
	var categories, types []string
	for i := range e.values {
		switch v := &e.values[i]; string(v.path) {
		case "event.category":
			categories = append(categories, string(v.text))
		case "event.type":
			types = append(types, string(v.text))
		}
	}
	if len(categories) > 0 {
		ev.Category = e.out.Str(categories[0])
	}
	switch string(e.get("event.action")) {
	case "connection_attempted":
		ev.Action = "connection-opened"
	case "connection_accepted":
		ev.Action = "connection-accepted"
	}
	for _, c := range categories {
		for _, t := range types {
			if action := ecsMeanings[[2]string{c, t}]; action != "" && ev.Action == "" {
				ev.Action = action
			}
		}
	}
}
