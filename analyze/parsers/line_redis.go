package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// redisLog reads the log of Redis and Valkey. Times are local without zone.
//
// Format: Redis, server.c, serverLogRaw: pid, role (X sentinel, C child, S
// replica, M master), time, level (. debug, - verbose, * notice, # warning).
var redisLog = register(analyze.Parser{
	Name:    "redis_log",
	Doc:     "logs of Redis and Valkey",
	Version: 1,
	Family:  "text",
	Types:   []string{"redis:log:entry"},
	Match:   redisMap.matches,
	Parse:   redisMap.parse,
})

var redisMap = &lineMap{
	dataType: "redis:log:entry", short: "LOG", source: "Redis log", joins: true, share: 20,
	forms: []lineForm{
		{pattern: "{pid:int}:{role:=X|C|S|M} {time:day} {level:=.|-|*|#} {message}"},
		{pattern: "[{pid:int}] {time:day} {level:=.|-|*|#} {message}"},
	},
	rules: [][]lineRule{{
		{pattern: "Accepted {src_ip:addrport}", action: "connection-opened", category: "network"},
		{pattern: "{_:=REPLICAOF|SLAVEOF|SLAVE OF} {dst_ip:addrport} enabled (user request from '{?id={client_id:int}} addr={src_ip:addrport} {_}", action: "replication-set", category: "configuration"},
		{pattern: "{_:=REPLICAOF|SLAVEOF|SLAVE OF} {dst_ip:addrport} enabled ({_}", action: "replication-set", category: "configuration"},
		{pattern: "Connecting to MASTER {dst_ip:addrport}", action: "connection-opened", category: "network"},
		{pattern: "Possible SECURITY ATTACK detected. {_}Connection from {src_ip:addrport} aborted.", action: "attack-detected", category: "intrusion_detection"},
		{pattern: "Possible SECURITY ATTACK detected. {_}", action: "attack-detected", category: "intrusion_detection"},
		{pattern: "Module '{module}' loaded from {file}", action: "module-loaded", category: "configuration", outcome: "success"},
		{pattern: "Module {file:word} failed to load: {reason}", action: "module-loaded", category: "configuration", outcome: "failure"},
		{pattern: "Server started, Redis version {version}", action: "service-started", category: "process"},
		{pattern: "Server initialized", action: "service-started", category: "process"},
		{pattern: "Ready to accept connections{_}", action: "service-started", category: "process"},
		{pattern: "User requested shutdown{_}", action: "service-stopping", category: "process"},
		{pattern: "{product:=Redis|Valkey} is now ready to exit, bye bye{_}", action: "service-stopped", category: "process"},
		{pattern: "Background saving started by pid {target_pid:int}", action: "database-saved", category: "database"},
		{pattern: "DB saved on disk", action: "database-saved", category: "database"},
		{pattern: "{product:word} version={version},{_} pid={target_pid:int}, just started", action: "service-starting", category: "process"},
		{pattern: "Failed opening the {_} file {file} (in server root dir {cwd}) for saving: {reason}", action: "file-written", category: "file", outcome: "failure"},
		{pattern: "Failed opening the {_} file {file} for saving: {reason}", action: "file-written", category: "file", outcome: "failure"},
	}},
}
