package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// mysqlError reads error logs of MySQL and MariaDB, versions 5.1 and later.
// Times without a zone are local.
//
// Format: MySQL reference manual, "The Error Log"; MariaDB, "Error Log".
var mysqlError = register(analyze.Parser{
	Name:    "mysql_error",
	Doc:     "error logs of MySQL and MariaDB",
	Version: 2,
	Family:  "text",
	Types:   []string{"mysql:error_log:entry"},
	Match:   mysqlErrorMap.matches,
	Parse:   mysqlErrorMap.parse,
})

// Errors are written as others write them, too.
const (
	mysqlLevel = "[{level:=System|Warning|Note}]"
	mysqlFault = "[{level:=Error|ERROR|Info}]"
)

var mysqlErrorMap = &lineMap{
	dataType: "mysql:error_log:entry", short: "LOG", source: "MySQL error log", joins: true,
	forms: []lineForm{
		{pattern: "{time} {thread:int} " + mysqlLevel + " [MY-{event_code:int}] [{subsystem:word}] {message}"},
		{pattern: "{time} {thread:int} " + mysqlLevel + " {message}"},
		{pattern: "{time:loose} {thread:int} " + mysqlLevel + " {message}"},
		{pattern: "{time:short} " + mysqlLevel + " {message}"},
		{pattern: "{time} {thread:int} " + mysqlFault + " [MY-{event_code:int}] [{subsystem:word}] {message}"},
		{pattern: "{time} {thread:int} " + mysqlFault + " {message}", weak: true},
		{pattern: "{time:loose} {thread:int} " + mysqlFault + " {message}", weak: true},
		{pattern: "{time:short} " + mysqlFault + " {message}", weak: true},
		{pattern: "{time} {program:=mysqld_safe|mariadbd-safe} {message}", weak: true},
		{pattern: "{time:short} {program:=mysqld_safe|mariadbd-safe} {message}", weak: true},
		{pattern: "{time:short}{ }{program:=InnoDB}: {message}", weak: true},
	},
	rules: [][]lineRule{{
		{pattern: "Access denied for user '{user}'@'{src_ip:last}' (using password: {using_password:word}){_}", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "Access denied for user '{user}'@'{src_ip:last}' to database '{database}'", action: "access-denied", category: "authentication", outcome: "failure"},
		{pattern: "Aborted connection {connection:int} to db: '{database}' user: '{user}' host: '{src_ip}' ({reason}){_}", action: "connection-aborted", category: "network", once: []string{"' host: '"}},
		{pattern: "IP address '{src_ip}' could not be resolved: {reason}", action: "name-not-resolved", category: "network"},
		{pattern: "Host name '{src_host}' could not be resolved: {reason}", action: "name-not-resolved", category: "network"},
		{pattern: "{exe:word}: ready for connections. {_}", action: "service-started", category: "process"},
		{pattern: "{exe:word} (mysqld {version}) starting as process {target_pid:int}{_}", action: "service-starting", category: "process"},
		{pattern: "{exe:word}: Shutdown complete{_}", action: "service-stopped", category: "process"},
		{pattern: "{exe:word}: Normal shutdown{_}", action: "service-stopping", category: "process"},
		{pattern: "Starting {_:=mysqld|mariadbd} daemon with databases from {file}", action: "service-starting", category: "process"},
	}},
}

// mysqlGeneral reads general query logs of MySQL and MariaDB: connections and
// every statement. Where the log leaves a time out, it is that of the line
// before, and attr time_from says so. Times without a zone are local.
//
// Format: MySQL reference manual, "The General Query Log"; log.cc.
var mysqlGeneral = register(analyze.Parser{
	Name:    "mysql_general",
	Doc:     "general query logs of MySQL and MariaDB",
	Version: 2,
	Family:  "text",
	Types:   []string{"mysql:general_log:entry"},
	Match:   mysqlGeneralMap.matches,
	Parse:   mysqlGeneralMap.parse,
})

const mysqlCommand = "{command:=Connect|Query|Quit|Init DB|Field List|Prepare|Execute|Close stmt|Reset stmt|Long Data|Statistics|Ping|Change user|Shutdown|Refresh|Processlist|Kill|Binlog Dump|Binlog Dump GTID|Register Slave|Register Replica|Set option|Fetch|Reset connection|Debug|Sleep}"

// Lines with which the server begins these logs.
// mysqlLogins are the commands whose argument says who logs in; that of others
// is what a client sent.
var mysqlLogins = []string{"Connect", "Change user"}

var mysqlBanner = []lineForm{
	{pattern: "{exe:word}, Version: {version} {message}", weak: true},
	{pattern: "Tcp port: {dst_port:int}{ }Unix socket: {file}", weak: true},
	{pattern: "Tcp port: {dst_port:int}{ }Named Pipe: {file}", weak: true},
	{pattern: "Time{ }Id{ }Command{ }Argument", weak: true},
}

var mysqlGeneralMap = &lineMap{
	dataType: "mysql:general_log:entry", short: "LOG", source: "MySQL general query log", joins: true, share: 8,
	forms: append([]lineForm{
		{pattern: "{time}{ }{connection:int} " + mysqlCommand + "{?\t{message}}"},
		{pattern: "{time:short}{ }{connection:int} " + mysqlCommand + "{?\t{message}}"},
		{pattern: "\t\t{?{ }}{connection:int} " + mysqlCommand + "{?\t{message}}", again: true},
	}, mysqlBanner...),
	rules: [][]lineRule{{
		{in: "command", pattern: "Connect", action: "user-login", category: "authentication"},
		{in: "command", pattern: "Quit", action: "session-ended", category: "session"},
		{in: "command", pattern: "{_:=Query|Execute|Prepare}", action: "database-query", category: "database"},
		{in: "command", pattern: "Shutdown", action: "service-stopping", category: "process"},
	}, {
		{pattern: "Access denied for user '{user}'@'{src_ip:last}' (using password: {using_password:word})", action: "user-login", category: "authentication", outcome: "failure", where: []string{"command"}, is: mysqlLogins},
		{pattern: "{user:word}@{src_ip:word} on {database:word} using {transport:=TCP/IP|Socket|SSL/TLS|Named Pipe|Shared Memory}", where: []string{"command"}, is: mysqlLogins},
		{pattern: "{user:word}@{src_ip:word} on  using {transport:=TCP/IP|Socket|SSL/TLS|Named Pipe|Shared Memory}", where: []string{"command"}, is: mysqlLogins},
		{pattern: "{user:word}@{src_ip:word} as {_} on {database:word}", action: "user-login", category: "authentication", where: []string{"command"}, is: mysqlLogins},
		{pattern: "{user:word}@{src_ip:word} as {_} on", action: "user-login", category: "authentication", where: []string{"command"}, is: mysqlLogins},
		{pattern: "{user:word}@{src_ip:word} as {_} on ", action: "user-login", category: "authentication", where: []string{"command"}, is: mysqlLogins},
		{pattern: "{user:word}@{src_ip:word} on {database:word}", where: []string{"command"}, is: mysqlLogins},
	}},
}

// mysqlSlow reads slow query logs of MySQL and MariaDB: one event a query, at
// the time when it ended. Times without a zone are local.
//
// Format: MySQL reference manual, "The Slow Query Log"; log.cc.
var mysqlSlow = register(analyze.Parser{
	Name:    "mysql_slow",
	Doc:     "slow query logs of MySQL and MariaDB",
	Version: 1,
	Family:  "text",
	Types:   []string{"mysql:slow_log:entry"},
	Match:   mysqlSlowMap.matches,
	Parse:   mysqlSlowMap.parse,
})

var mysqlSlowMap = &lineMap{
	dataType: "mysql:slow_log:entry", short: "LOG", source: "MySQL slow query log", joins: true, share: 20,
	forms: append([]lineForm{
		{pattern: "# Time: {time}", action: "database-query", category: "database"},
		{pattern: "# Time: {time:short}", action: "database-query", category: "database"},
		{pattern: "# User@Host: {_}", action: "database-query", category: "database", after: "# User@Host: ", again: true},
	}, mysqlBanner...),
	rules: [][]lineRule{{
		{pattern: "{_}# User@Host: {user}[{_}] @ {client_name:word} [{src_ip}]{_}"},
		{pattern: "{_}# User@Host: {user}[{_}] @  [{src_ip}]{_}"},
	}, {
		{pattern: "{_}# Query_time: {query_time:word} {_}"},
	}},
}
