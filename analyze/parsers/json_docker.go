package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// dockerLog reads what Docker's json-file driver keeps of a container's
// output. The identity of the container is in the item's path.
//
// Format: Docker, "JSON File logging driver"; moby, daemon/logger/jsonfilelog.
var dockerLog = register(analyze.Parser{
	Name:    "docker_log",
	Doc:     "output of containers, from Docker's json-file driver",
	Version: 1,
	Family:  "text",
	Types:   []string{"docker:container:log:entry"},
	Match:   dockerMap.matches,
	Parse:   dockerMap.parse,
})

var dockerMap = jsonMap{
	dataType: "docker:container:log:entry", short: "LOG", source: "Docker container log",
	keys:  []string{"log", "stream", "time"},
	times: []jsonTime{{path: "time"}}, desc: "Event Logged", kind: timeline.Recorded,
	columns: []jsonColumn{{"channel", []string{"stream"}}},
	message: []string{"log"},
}
