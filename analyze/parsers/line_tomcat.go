package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// tomcatLog reads what Apache Tomcat and its applications log through JULI:
// catalina, localhost and manager logs, in one line or in the two of
// java.util.logging's SimpleFormatter. Stack traces are part of the record.
// Times are local without zone.
//
// Format: Tomcat, "Logging in Tomcat", OneLineFormatter; java.util.logging,
// SimpleFormatter.
var tomcatLog = register(analyze.Parser{
	Name:    "tomcat_log",
	Doc:     "logs of Apache Tomcat and others that log through java.util.logging",
	Version: 1,
	Family:  "text",
	Types:   []string{"tomcat:log:entry"},
	Match:   tomcatMap.matches,
	Parse:   tomcatMap.parse,
})

var tomcatMap = &lineMap{
	dataType: "tomcat:log:entry", short: "LOG", source: "Tomcat log", joins: true, share: 40,
	forms: []lineForm{
		{pattern: "{time} {level:=SEVERE|WARNING|INFO|CONFIG|FINE|FINER|FINEST} [{thread}] {logger:word} {message}"},
		{pattern: "{time:noon} {logger:word} {message}"},
	},
	rules: [][]lineRule{
		{
			{pattern: "Deploying web application archive [{file}]{_}", action: "application-deployed", category: "configuration"},
			{pattern: "Deploying web application directory [{file}]{_}", action: "application-deployed", category: "configuration"},
			{pattern: "Deploying deployment descriptor [{file}]{_}", action: "application-deployed", category: "configuration"},
			{pattern: "Deployment of {_} [{file}] has finished in {_}", action: "application-deployed", category: "configuration", outcome: "success"},
			{pattern: "Undeploying context [{url}]{_}", action: "application-undeployed", category: "configuration"},
			{pattern: "Manager: deploy: Deploying web application '{url}'{_}", action: "application-deployed", category: "configuration"},
			{pattern: "HTMLManager: deploy: Deploying web application '{url}'{_}", action: "application-deployed", category: "configuration"},
			{pattern: "An attempt was made to authenticate the locked user [{user}]{_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{_:=Server startup in|start\nINFO: Server startup in} {_}", action: "service-started", category: "process"},
			{pattern: "Server version name:{ }{version}", action: "service-starting", category: "process"},
			{pattern: "Command line argument:{ }{argument}"},
			{pattern: "Stopping service [{unit}]", action: "service-stopped", category: "process"},
		},
	},
}
