package analyze

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// toolFacts are what the programs that collected received evidence wrote down
// of its host. They count where the host's own files say nothing, but for the
// boot, which only a look at the running system tells.
type toolFacts struct {
	name              string
	nameRank          int // of what said so: a better source replaces a worse one
	machineID, bootID string
	zone              string
	bootLocal         string // "2006-01-02 15:04:05", in the host's zone
	started           time.Time
}

// Where the statement of who took evidence in lies (bundle.ReceptionPath).
const (
	receptionPath   = "reception.json"
	receptionSource = "exhibit"
)

// reception takes the host that whoever took the evidence in names. It counts
// where the evidence itself says nothing.
func (f *facts) reception(b []byte) {
	var r struct {
		Host string `json:"host"`
	}
	if json.Unmarshal(b, &r) == nil {
		f.tool.named(r.Host, 1)
	}
}

// told takes what one output of a collecting program states. UAC writes what
// commands print into live_response/<group>/<command>.txt, and uac.log;
// Velociraptor client_info.json, collection_context.json and the rows of
// Generic.Client.Info; KAPE a console log.
func (f *facts) told(it *evidence.Item) {
	if !it.Kind.HasContent() {
		return
	}
	path := it.Path
	switch {
	case endsAs(path, "live_response/network/hostname.txt"), endsAs(path, "live_response/network/uname_-n.txt"):
		f.tool.named(firstLine(f.read(it)), 4)
	case endsAs(path, "live_response/network/hostnamectl.txt"), endsAs(path, "live_response/system/hostnamectl.txt"):
		f.hostnamectl(f.read(it))
	case endsAs(path, "live_response/system/timedatectl.txt"), endsAs(path, "live_response/system/timedatectl_status.txt"):
		f.timedatectl(f.read(it))
	case endsAs(path, "live_response/system/uptime_-s.txt"):
		f.tool.bootLocal = firstLine(f.read(it))
	case endsAs(path, "uac.log"):
		f.uacLog(f.read(it))
	case endsAs(path, "client_info.json"), endsAs(path, "Generic.Client.Info/BasicInformation.json"):
		f.velociraptorClient(f.read(it))
	case endsAs(path, "collection_context.json"):
		f.velociraptorContext(f.read(it))
	case strings.HasSuffix(path, "_ConsoleLog.txt"):
		f.kapeConsole(f.read(it))
	}
}

// endsAs reports whether a path is name, in whatever folder.
func endsAs(path, name string) bool {
	return path == name || strings.HasSuffix(path, "/"+name)
}

func (t *toolFacts) named(name string, rank int) {
	if name != "" && len(name) <= 255 && rank > t.nameRank {
		t.name, t.nameRank = name, rank
	}
}

// labelled yields the "label: value" lines of a text.
func labelled(b []byte, take func(label, value string)) {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		if label, value, ok := strings.Cut(string(line), ":"); ok {
			take(strings.TrimSpace(label), strings.ToValidUTF8(strings.TrimSpace(value), "\uFFFD"))
		}
	}
}

// idMax is how long an id of systemd is: 128 bits in hexadecimal digits.
const idMax = 32

// hostnamectl reads what hostnamectl(1) prints.
func (f *facts) hostnamectl(b []byte) {
	labelled(b, func(label, value string) {
		switch label {
		case "Static hostname":
			f.tool.named(value, 3)
		case "Machine ID":
			f.tool.machineID = value[:min(len(value), idMax)]
		case "Boot ID":
			f.tool.bootID = value[:min(len(value), idMax)]
		}
	})
}

// timedatectl reads what timedatectl(1) prints: "Time zone: Europe/Berlin
// (CET, +0100)".
func (f *facts) timedatectl(b []byte) {
	labelled(b, func(label, value string) {
		if label == "Time zone" || label == "Timezone" {
			f.tool.zone, _, _ = strings.Cut(value, " ")
		}
	})
}

// uacLog reads uac.log: "2026-11-25 18:51:02 +0100 INF Hostname: web01". Its
// first line says when the collection began.
func (f *facts) uacLog(b []byte) {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		const stamp = "2006-01-02 15:04:05 -0700"
		if len(line) < len(stamp) {
			continue
		}
		at, err := time.Parse(stamp, string(line[:len(stamp)]))
		if err != nil {
			continue
		}
		if f.tool.started.IsZero() {
			f.tool.started = at.UTC()
		}
		_, text, _ := strings.Cut(strings.TrimSpace(string(line[len(stamp):])), " ")
		switch label, value, _ := strings.Cut(text, ": "); label {
		case "Hostname":
			f.tool.named(value, 2)
		case "Time zone":
			f.tool.zone = cmp.Or(f.tool.zone, value)
		}
	}
}

// velociraptorClient reads an object whose members are spelt as in
// client_info.json or, in rows of Generic.Client.Info, with capitals: the
// decoder does not tell them apart.
func (f *facts) velociraptorClient(b []byte) {
	var c struct {
		Hostname string `json:"hostname"`
		FQDN     string `json:"fqdn"`
	}
	if json.NewDecoder(bytes.NewReader(b)).Decode(&c) == nil {
		f.tool.named(cmp.Or(c.Hostname, c.FQDN), 4)
	}
}

// velociraptorContext takes when the collection began: nanoseconds since 1970,
// microseconds in older versions.
func (f *facts) velociraptorContext(b []byte) {
	type times struct {
		Create json.Number `json:"create_time"`
		Start  json.Number `json:"start_time"`
	}
	var c struct {
		times
		Context times `json:"context"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&c) != nil {
		return
	}
	for _, n := range []json.Number{c.Start, c.Create, c.Context.Start, c.Context.Create} {
		v, err := n.Int64()
		switch {
		case err != nil || v <= 0:
			continue
		case v > 1e17:
			f.tool.started = time.Unix(0, v).UTC()
		case v > 1e14:
			f.tool.started = time.UnixMicro(v).UTC()
		default:
			continue
		}
		return
	}
}

// kapeConsole finds "Machine name: WS7," in a console log.
func (f *facts) kapeConsole(b []byte) {
	_, after, ok := bytes.Cut(b, []byte("Machine name: "))
	if !ok {
		return
	}
	name, _, _ := strings.Cut(firstLine(after), ",")
	name, _, _ = strings.Cut(name, " ")
	f.tool.named(name, 4)
}

// settleTool uses what the tools say where the host's files say nothing.
func (f *facts) settleTool() {
	h, t := f.host, &f.tool
	h.Name = cmp.Or(h.Name, t.name)
	h.MachineID = cmp.Or(h.MachineID, t.machineID)
	h.BootID = cmp.Or(h.BootID, t.bootID)
	f.zoneName = cmp.Or(f.zoneName, t.zone)
	if f.received {
		h.Collected = t.started
	}
}

// settleBoot dates the boot, once the zone is known that it is stated in.
func (f *facts) settleBoot() {
	if f.tool.bootLocal == "" || !f.host.BootTime.IsZero() || f.host.ZoneSrc != timeline.ZoneHostConfig {
		return
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04:05", f.tool.bootLocal, f.host.Zone); err == nil {
		f.host.BootTime = t.UTC()
	}
}
