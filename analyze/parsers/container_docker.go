package parsers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// dockerConfig reads what Docker keeps of a container, config.v2.json and,
// before Docker 1.11, config.json: up to three events, when it was created,
// last started and last finished. Each points at the whole object. cmdline is
// what it runs, user whom as; attributes: name, image, image_id, exit_code,
// log_path, mount (the host's side).
//
// Format: moby, container/container.go and container/state.go.
var dockerConfig = register(analyze.Parser{
	Name:    "docker_config",
	Doc:     "config.v2.json of Docker's containers: created, started, finished",
	Version: 1,
	Family:  "state",
	Types:   []string{"docker:container:configuration"},
	Match: func(_ *evidence.Item, head []byte) bool {
		if !beginsLikeJSON(head) || bytes.TrimLeft(head, " \t\r\n")[0] != '{' {
			return false
		}
		for _, member := range [...]string{`"State":`, `"StartedAt":`, `"FinishedAt":`, `"Created":`, `"Config":`} {
			if !bytes.Contains(head, []byte(member)) {
				return false
			}
		}
		return true
	},
	Parse: parseDockerConfig,
})

// dockerContainer is what is read of it.
type dockerContainer struct {
	State struct {
		PID        int64 `json:"Pid"`
		ExitCode   int64
		StartedAt  string
		FinishedAt string
	}
	ID      string
	Created string
	Path    string
	Args    []string
	Config  struct {
		User  string
		Image string
	}
	Image       string
	Name        string
	LogPath     string
	MountPoints map[string]struct{ Source, Destination string }
}

// dockerConfigMax bounds the file, dockerMounts the mounts of one container.
const (
	dockerConfigMax = 16 << 20
	dockerMounts    = 200
)

func parseDockerConfig(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	b, err := io.ReadAll(io.LimitReader(src, dockerConfigMax+1))
	if err != nil && len(b) == 0 {
		return err
	}
	if len(b) > dockerConfigMax {
		out.Problem(evidence.TooBig, dockerConfigMax, -1, "the configuration is longer than is read")
		return nil
	}
	begin := int64(len(b) - len(bytes.TrimLeft(b, " \t\r\n")))
	var c dockerContainer
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&c); err != nil {
		out.Problem(evidence.Corrupt, begin, int64(len(b))-begin, "no configuration: "+err.Error())
		return nil
	}
	length := d.InputOffset() - begin
	dated := 0
	for _, at := range [...]struct{ text, desc, action, word string }{
		{c.Created, "Creation Time", "container-created", "created"},
		{c.State.StartedAt, "Start Time", "container-started", "started"},
		{c.State.FinishedAt, "End Time", "container-stopped", "finished"},
	} {
		ns, s, ok := zonedTime(at.text)
		if !ok {
			continue // never: 0001-01-01
		}
		dated++
		ev := out.Event(begin, length)
		ev.TSDesc, ev.TSKind, ev.Action = at.desc, timeline.Recorded, at.action
		ev.SetNanos(ns)
		ev.TSRaw, ev.TSPrec = out.Str(at.text), precisionOf(s.Digits)
		ev.TZSrc, ev.TZOff = timeline.ZoneInRecord, int64(s.Offset/60)
		c.event(ev, out, at.word)
	}
	if dated == 0 {
		out.Problem(evidence.Undated, begin, length, "a container without a readable time")
	}
	return nil
}

func (c *dockerContainer) event(ev *timeline.Event, out *timeline.Appender, word string) {
	ev.DataType, ev.SourceShort, ev.SourceLong = "docker:container:configuration", "STATE", "Docker container"
	ev.Category = "container"
	ev.ContainerID, ev.User = out.Str(cutString(c.ID)), out.Str(cutString(c.Config.User))
	ev.Cmdline = out.Str(cutString(strings.Join(append([]string{c.Path}, c.Args...), " ")))
	ev.Message = out.Join("container ", strings.TrimPrefix(cutString(c.Name), "/"), " of ", cutString(c.Config.Image), " ", word, ": ", ev.Cmdline)
	for _, a := range [...]struct{ key, value string }{
		{"name", c.Name}, {"image", c.Config.Image}, {"image_id", c.Image}, {"log_path", c.LogPath},
	} {
		if a.value != "" {
			out.AttrStr(a.key, cutString(a.value))
		}
	}
	if ev.Action == "container-stopped" {
		out.AttrInt("exit_code", c.State.ExitCode)
	}
	if ev.Action == "container-started" && c.State.PID > 0 {
		ev.PID = c.State.PID
	}
	for i, destination := range slices.Sorted(maps.Keys(c.MountPoints)) {
		if i == dockerMounts {
			out.AttrStr("cut", "mount")
			break
		}
		if source := c.MountPoints[destination].Source; source != "" {
			out.AttrStr("mount", cutString(source))
		}
	}
}
