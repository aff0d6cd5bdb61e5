package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// podmanEvents reads the events that Podman keeps in a file (events_logger =
// "file"): what was done with containers, pods, images and volumes. With its
// other logger they are in the journal.
//
// Format: Podman, podman-events(1) and libpod/events.
var podmanEvents = register(analyze.Parser{
	Name:    "podman_events",
	Doc:     "events.log of Podman: containers, pods, images, volumes",
	Version: 1,
	Family:  "text",
	Types:   []string{"podman:event"},
	Match:   podmanMap.matches,
	Parse:   podmanMap.parse,
})

var podmanMap = jsonMap{
	dataType: "podman:event", short: "LOG", source: "Podman event",
	keys:  []string{"Status", "Time", "Type", "Attributes"},
	times: []jsonTime{{path: "Time"}}, desc: "Event Logged", kind: timeline.Recorded,
	columns: []jsonColumn{{"event_code", []string{"Status"}}}, // ID may be a container's, a pod's or an image's
	rules: []jsonRule{
		{path: "Type", value: "container", category: "container"},
		{path: "Status", value: "start", action: "container-started"},
		{path: "Status", value: "died", action: "container-stopped"},
		{path: "Status", value: "exited", action: "container-stopped"},
		{path: "Status", value: "exec", action: "container-exec"},
		{path: "Status", value: "pull", action: "image-pulled"},
	},
	message: []string{"Type", "Status", "Name", "Image"},
}
