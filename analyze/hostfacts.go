package analyze

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// factMax bounds the files that host facts are read from.
const factMax = 4 << 20

// zoneRoot is where tzdata keeps its files; what follows is the zone's name.
const zoneRoot = "/usr/share/zoneinfo/"

// HostFacts reads what the evidence says of its own host: name, machine id,
// boot, zone, accounts. Statements of the running system come first, then
// its configuration files. What nothing states keeps the value of NewHost.
func HostFacts(ev Evidence) (*Host, error) {
	f := facts{host: NewHost(), ev: ev, zones: map[string]string{}}
	for it, err := range ev.Items() {
		if err != nil {
			return f.host, err
		}
		switch it.Source {
		case evidence.SourceOriginal, evidence.SourceImport, evidence.SourceTool:
			f.received = true
		}
		switch it.Source {
		case evidence.SourceOriginal:
		case evidence.SourceTool:
			f.told(&it)
		default:
			f.look(&it)
		}
	}
	f.settle()
	return f.host, nil
}

type facts struct {
	host      *Host
	ev        Evidence
	name      string            // from configuration
	machine   string            // from configuration
	zoneName  string            // zone that the host's configuration names
	localtime string            // member with the content of /etc/localtime
	zones     map[string]string // zone name to member with its data
	tool      toolFacts
	received  bool // not collected by us: when items were read says nothing of the host
}

// look takes what one item states.
func (f *facts) look(it *evidence.Item) {
	switch it.Path {
	case record.Self:
		if it.Source != evidence.SourceImport { // any file may be called so
			f.self(it)
		}
	case receptionPath:
		if it.Source == receptionSource {
			f.reception(f.read(it))
		}
	case "/etc/hostname":
		f.name = firstLine(f.read(it))
	case "/etc/machine-id":
		f.machine = firstLine(f.read(it))
	case "/etc/passwd":
		f.passwd(f.read(it))
	case "/etc/timezone":
		if f.zoneName == "" {
			f.zoneName = firstLine(f.read(it))
		}
	case "/etc/localtime":
		if it.Link != "" {
			if _, name, ok := strings.Cut(it.Link, "zoneinfo/"); ok {
				f.zoneName = name
			}
		} else if it.Kind == evidence.KindFile {
			f.localtime = it.Member
		}
	default:
		if it.Kind == evidence.KindFile && strings.HasPrefix(it.Path, zoneRoot) {
			f.zones[strings.TrimPrefix(it.Path, zoneRoot)] = it.Member
		}
	}
	if t := it.Started; !t.IsZero() && (f.host.Collected.IsZero() || t.Before(f.host.Collected)) {
		f.host.Collected = t
	}
}

func (f *facts) read(it *evidence.Item) []byte {
	if !it.Kind.HasContent() {
		return nil
	}
	return readMember(f.ev, it.Member)
}

func readMember(ev Evidence, member string) []byte {
	c, err := ev.Open(member)
	if err != nil {
		return nil
	}
	defer c.Close()
	b, err := io.ReadAll(io.LimitReader(c, factMax))
	if err != nil {
		return nil
	}
	return b
}

// self takes the collector's own statement about the running host.
func (f *facts) self(it *evidence.Item) {
	line, _, _ := bytes.Cut(f.read(it), []byte("\n"))
	var s record.SelfRecord
	if json.Unmarshal(line, &s) != nil {
		return
	}
	h := f.host
	h.Name, h.MachineID, h.BootID = s.Hostname, s.MachineID, s.BootID
	if s.BootTime > 0 {
		h.BootTime = time.Unix(0, s.BootTime).UTC()
	}
	if s.ClockTicks > 0 {
		h.Ticks = s.ClockTicks
	}
	if f.zoneName == "" {
		f.zoneName = s.Clock.Zone
	}
}

// passwd takes account names: name:password:uid:…, passwd(5).
func (f *facts) passwd(b []byte) {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		fields := bytes.SplitN(line, []byte(":"), 4)
		if len(fields) < 4 || len(fields[0]) == 0 {
			continue
		}
		uid, err := strconv.ParseUint(string(fields[2]), 10, 32)
		if err != nil {
			continue
		}
		if _, known := f.host.Users[uint32(uid)]; !known {
			f.host.Users[uint32(uid)] = strings.ToValidUTF8(string(fields[0]), "\uFFFD")
		}
	}
}

// settle decides between the statements.
func (f *facts) settle() {
	h := f.host
	if h.Name == "" {
		h.Name = f.name
	}
	if h.MachineID == "" {
		h.MachineID = f.machine
	}
	f.settleTool()
	name := f.zoneName
	var data []byte
	switch {
	case f.zones[name] != "":
		data = readMember(f.ev, f.zones[name])
	case f.localtime != "":
		data = readMember(f.ev, f.localtime)
		if name == "" {
			name = "/etc/localtime"
		}
	}
	if loc, err := time.LoadLocationFromTZData(name, data); err == nil {
		h.Zone, h.ZoneSrc = loc, timeline.ZoneHostConfig
	} else if loc, err := time.LoadLocation(name); err == nil && name != "" && name != "Local" {
		h.Zone, h.ZoneSrc = loc, timeline.ZoneHostConfig
	}
	f.settleBoot()
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.ToValidUTF8(strings.TrimSpace(string(line)), "\uFFFD")
}
