package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// postgresqlLog reads what PostgreSQL writes to stderr or a file, with the
// log_line_prefix that it has by default (%m [%p]), that of Debian, Amazon RDS
// and pgBadger, and others of these parts. Times carry the abbreviation of
// their zone: attr zone; one that has more than one meaning is taken for the
// host's zone, and the event is flagged.
//
// Format: PostgreSQL documentation, "Error Reporting and Logging".
var postgresqlLog = register(analyze.Parser{
	Name:    "postgresql_log",
	Doc:     "PostgreSQL server log, text",
	Version: 2,
	Family:  "text",
	Types:   []string{"postgresql:application_log:entry"},
	Match:   postgresqlMap.matches,
	Parse:   postgresqlMap.parse,
})

const (
	pgTime  = "{time}{? {zone:zone}}"
	pgLevel = "{level:=DEBUG1|DEBUG2|DEBUG3|DEBUG4|DEBUG5|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE}:  {message}"
)

// pgLevels stand behind the names that a client states, of which PostgreSQL
// writes all characters as they are.
var pgLevels = []string{" LOG:  ", " ERROR:  ", " FATAL:  ", " PANIC:  ", " WARNING:  ", " DETAIL:  ", " HINT:  ", " STATEMENT:  ", ":LOG:  ", ":ERROR:  ", ":FATAL:  ", ":DETAIL:  ", ":STATEMENT:  "}

var postgresqlMap = &lineMap{
	dataType: "postgresql:application_log:entry", short: "LOG", source: "PostgreSQL log", desc: "Recorded Time", joins: true, indented: true, share: 8,
	forms: []lineForm{
		{pattern: pgTime + " [{pid:int}] " + pgLevel},
		{pattern: pgTime + " [{pid:int}] {user:word}@{database:word} " + pgLevel, never: pgLevels},
		{pattern: pgTime + " [{pid:int}] {src_ip:addr} {user:word}@{database:word} " + pgLevel, never: pgLevels},
		{pattern: pgTime + " [{pid:int}-{log_line:int}] {user:word}@{database:word} " + pgLevel, never: pgLevels},
		{pattern: pgTime + " [{pid:int}-{log_line:int}] " + pgLevel},
		{pattern: "{time}:{src_ip:addr}({src_port:int}):{user}@{database}:[{pid:int}]:" + pgLevel, never: pgLevels},
		{pattern: "{time}:{src_host}:{user}@{database}:[{pid:int}]:" + pgLevel, never: pgLevels},
		{pattern: pgTime + " [{pid:int}]: [{log_line:int}-{_:int}] user={user},db={database}{?,app={application}}{?,client={src_ip}} " + pgLevel, never: pgLevels},
		{pattern: pgTime + " [{pid:int}]: [{log_line:int}-{_:int}] " + pgLevel},
		{pattern: pgTime + " [{pid:int}]: " + pgLevel},
	},
	rules: [][]lineRule{postgresqlRules},
}

// postgresqlRules read the messages of src/backend/postmaster, tcop and libpq.
// postgresqlLevel are the names that the level has in text and CSV, and in JSON.
// A statement that fails is an ERROR, a login a FATAL.
var postgresqlLevel = []string{"level", "error_severity"}

var postgresqlRules = []lineRule{
	{pattern: "statement: {statement}", action: "database-query", category: "database"},
	{pattern: "duration: {duration_ms} ms  {_:=statement|execute}{_}: {statement}", action: "database-query", category: "database"},
	{pattern: "duration: {duration_ms} ms"},
	{pattern: "execute {statement_name:word}: {statement}", action: "database-query", category: "database"},
	{pattern: "AUDIT: {audit_type:word},{audit_statement:int},{audit_substatement:int},{audit_class:word},{audit_command},{statement}", action: "database-query", category: "database"},
	{pattern: "connection received: host={src_ip:word}{? port={src_port:int}}", action: "connection-opened", category: "network"},
	{pattern: "connection authenticated: {_}", action: "user-authenticated", category: "authentication", outcome: "success"},
	{pattern: "connection authorized: user={user}{? database={database}}{? application_name={application}}{? SSL enabled {_}}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "replication connection authorized: user={user}{? application_name={application}}{? SSL enabled {_}}", action: "user-login", category: "authentication", outcome: "success"},
	{pattern: "disconnection: session time: {duration} user={user} database={database} host={src_ip:word}{? port={src_port:int}}", action: "session-ended", category: "session"},
	{pattern: "password authentication failed for user \"{user:last}\"", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "{method:word} authentication failed for user \"{user:last}\"", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "no pg_hba.conf entry for {_:=host|replication connection from host} \"{src_ip}\", user \"{user}\"{?, database \"{database}\"}{?, {_}}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "pg_hba.conf rejects {_}host \"{src_ip}\", user \"{user}\"{?, database \"{database}\"}{?, {_}}", action: "user-login", category: "authentication", outcome: "failure"},
	{pattern: "role \"{user:last}\" does not exist", action: "user-login", category: "authentication", outcome: "failure", where: postgresqlLevel, is: []string{"FATAL"}},
	{pattern: "database \"{database:last}\" does not exist", action: "user-login", category: "authentication", outcome: "failure", where: postgresqlLevel, is: []string{"FATAL"}},
	{pattern: "permission denied for {object}", action: "access-denied", category: "database", outcome: "failure"},
	{pattern: "starting PostgreSQL {version}", action: "service-starting", category: "process"},
	{pattern: "database system is ready to accept connections", action: "service-started", category: "process"},
	{pattern: "database system is shut down", action: "service-stopped", category: "process"},
	{pattern: "received {_:=smart|fast|immediate} shutdown request", action: "service-stopping", category: "process"},
	{pattern: "listening on {_:=IPv4|IPv6} address \"{dst_ip}\", port {dst_port:int}", action: "socket-listening", category: "network"},
	{pattern: "server process (PID {target_pid:int}) was terminated by signal {signal}", action: "process-crashed", category: "process", outcome: "failure"},
}

// postgresqlCSV reads PostgreSQL's log_destination csvlog. A value in quotes
// may have lines of its own; they are part of the record.
//
// Format: PostgreSQL documentation, "Using CSV-Format Log Output", versions 9.0
// to 17.
var postgresqlCSV = register(analyze.Parser{
	Name:    "postgresql_csv",
	Doc:     "PostgreSQL server log, CSV",
	Version: 2,
	Family:  "text",
	Types:   []string{"postgresql:application_log:entry"},
	Match:   postgresqlCSVMap.matches,
	Parse:   postgresqlCSVMap.parse,
})

var postgresqlCSVMap = &fieldMap{
	dataType: "postgresql:application_log:entry", short: "LOG", source: "PostgreSQL log", desc: "Recorded Time",
	split: splitCSV, multiline: true, zoned: true,
	forms: []fieldForm{
		{least: 23, names: "time user database pid src_ip session session_line command_tag session_start virtual_transaction transaction level event_code message " +
			"detail hint internal_query internal_query_pos context statement statement_pos location application backend_type leader_pid query_id"},
	},
	messageRules: postgresqlRules,
}

// postgresqlJSON reads PostgreSQL's log_destination jsonlog.
//
// Format: PostgreSQL documentation, "Using JSON-Format Log Output".
var postgresqlJSON = register(analyze.Parser{
	Name:    "postgresql_json",
	Doc:     "PostgreSQL server log, JSON",
	Version: 2,
	Family:  "text",
	Types:   []string{"postgresql:application_log:entry"},
	Match:   postgresqlJSONMap.matches,
	Parse:   postgresqlJSONMap.parse,
})

var postgresqlJSONMap = jsonMap{
	dataType: "postgresql:application_log:entry", short: "LOG", source: "PostgreSQL log",
	keys: []string{"timestamp", "pid", "session_id", "error_severity", "backend_type"}, local: true,
	times: []jsonTime{{path: "timestamp"}}, desc: "Recorded Time", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"user", []string{"user"}},
		{"pid", []string{"pid"}},
		{"session", []string{"session_id"}},
		{"src_ip", []string{"remote_host"}},
		{"src_port", []string{"remote_port"}},
		{"event_code", []string{"state_code"}},
	},
	meaning: &ruleSet{list: postgresqlRules},
	message: []string{"message"},
}
