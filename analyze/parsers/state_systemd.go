package parsers

import (
	"bytes"
	"context"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// systemdUnit reads unit files of systemd and their drop-ins (NAME.d/*.conf).
// One event per file, of kind state: unit is the unit's name, cmdline the
// first program that it starts, user whose it runs as, and every setting is an
// attribute SECTION.NAME under its own name, repeatedly where it is repeated.
//
// Format: systemd.syntax(7), systemd.unit(5).
var systemdUnit = register(analyze.Parser{
	Name:    "systemd_unit",
	Doc:     "unit files of systemd: services, timers, sockets and their drop-ins",
	Version: 1,
	Family:  "state",
	Types:   []string{"linux:systemd:unit"},
	Match:   matchSystemdUnit,
	Parse:   parseSystemdUnit,
})

// unitName returns the unit that a file describes, "" where it is none.
func unitName(path string) string {
	rest, ok := below(path, "/systemd/")
	if !ok {
		return ""
	}
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	if strings.HasSuffix(name, ".conf") {
		folder := strings.TrimSuffix(rest, "/"+name)
		if name = folder[strings.LastIndexByte(folder, '/')+1:]; !strings.HasSuffix(name, ".d") {
			return ""
		}
		name = strings.TrimSuffix(name, ".d")
	}
	for _, kind := range [...]string{".service", ".timer", ".socket", ".path", ".mount", ".automount", ".target", ".slice", ".scope", ".swap", ".device"} {
		if strings.HasSuffix(name, kind) {
			return name
		}
	}
	return ""
}

// matchSystemdUnit wants the name of a unit, and that what comes first, but
// for comments, is a section.
func matchSystemdUnit(it *evidence.Item, head []byte) bool {
	if unitName(it.Path) == "" || bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	lines := textline.Of(head)
	for lines.Next() {
		line := bytes.TrimSpace(lines.Line)
		if len(line) > 0 && line[0] != '#' && line[0] != ';' {
			return line[0] == '[' && line[len(line)-1] == ']'
		}
	}
	return false
}

func unitComment(line []byte) bool { return len(line) > 0 && (line[0] == '#' || line[0] == ';') }

// unitSettings bounds the settings of one unit.
const unitSettings = 500

func parseSystemdUnit(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	f := newStateFile(src, out, "linux:systemd:unit", "systemd unit", authmsg.Configuration)
	ev := f.event(0, 0, 1, "unit-state")
	ev.Unit = out.Str(unitName(src.Item.Path))
	ev.File = out.Str(src.Item.Path)
	description, settings := "", 0
	section := ""
	var first *stateLine
	err := eachStatement(src, out, true, unitComment, func(s stateLine) {
		if first == nil {
			first = &stateLine{offset: s.offset, number: s.number}
			ev.RecOff, ev.Line = s.offset, s.number
		}
		ev.RecLen = s.offset + s.length - ev.RecOff
		if s.text[0] == '[' && s.text[len(s.text)-1] == ']' {
			section = string(s.text[1 : len(s.text)-1])
			return
		}
		name, value, ok := bytes.Cut(s.text, []byte("="))
		name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
		if !ok || len(name) == 0 || len(name) > 256 {
			badState(out, s, "no setting of a unit")
			return
		}
		if settings++; settings > unitSettings {
			return
		}
		key := section + "." + string(name)
		text := out.Text(cutText(value))
		out.AttrRaw(out.Str(key), text, 's')
		switch key {
		case "Service.ExecStart", "Socket.ExecStartPre", "Mount.What":
			if ev.Cmdline == "" {
				ev.Cmdline = text
			}
		case "Service.User":
			ev.User = text
		case "Unit.Description":
			description = text
		}
	})
	if first == nil {
		out.Drop()
		return err
	}
	if settings > unitSettings {
		out.AttrStr("cut", "settings")
		out.Problem(evidence.TooBig, ev.RecOff, ev.RecLen, "the unit has more settings than are read")
	}
	ev.Message = ev.Unit
	for _, more := range []string{description, ev.Cmdline} {
		if more != "" {
			ev.Message = out.Join(ev.Message, ": ", more)
		}
	}
	return err
}
