package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// cloudInit reads cloud-init.log: what was done to a new machine on whose
// instructions. Times are local without zone.
//
// Format: cloud-init, config/cloud.cfg.d/05_logging.cfg.
var cloudInit = register(analyze.Parser{
	Name:    "cloud_init",
	Doc:     "log of cloud-init",
	Version: 1,
	Family:  "text",
	Types:   []string{"cloudinit:log:entry"},
	Match:   cloudInitMap.matches,
	Parse:   cloudInitMap.parse,
})

var cloudInitMap = &lineMap{
	dataType: "cloudinit:log:entry", short: "LOG", source: "cloud-init log", joins: true, share: 10,
	forms: []lineForm{
		{pattern: "{time} - {module:word}[{level:=DEBUG|INFO|WARNING|ERROR|CRITICAL|DEPRECATED|TRACE}]: {message}"},
	},
	rules: [][]lineRule{{
		{pattern: "Running command {cmdline:last} with allowed return codes {_}", action: "process-started", category: "process"},
		{pattern: "Running hidden command to protect sensitive input/output logstring: {cmdline}", action: "process-started", category: "process"},
		{pattern: "Cloud-init v. {version:word} {_:=running|finished}{_}", action: "stage-started", category: "host"},
		{pattern: "Writing to {file:last} - {_}", action: "file-written", category: "file"},
		{pattern: "Reading from {file:last} (quiet={_}", action: "file-read", category: "file"},
		{pattern: "Adding user {user}", action: "account-created", category: "iam"},
		{pattern: "User {user:last} already exists, skipping.", category: "iam"},
		{pattern: "Shell script {file:word}{_}", action: "process-started", category: "process"},
		{pattern: "Loaded datasource {datasource:word}{_}", action: "datasource-loaded", category: "configuration"},
	}},
}
