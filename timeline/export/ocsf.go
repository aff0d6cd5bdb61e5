package export

import (
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// ocsfVersion is the version of the schema that OCSF follows.
const ocsfVersion = "1.3.0"

// ocsfClass is a class of the Open Cybersecurity Schema Framework with the
// activity that an event is.
type ocsfClass struct {
	category, class, activity int64
}

// base is the Base Event: what no other class is for, or what lacks something
// that its class demands.
var ocsfBase = ocsfClass{0, 0, 0}

// OCSF writes events as JSON lines in the Open Cybersecurity Schema Framework
// (schema.ocsf.io, 1.3.0): Authentication, Process, File System and Network
// Activity where the event has all that the class demands, else Base Event.
// time has milliseconds, as the schema wants; unmapped.ts has nanoseconds, and
// unmapped what else the schema has no place for. Events without a time are
// left out and counted.
func OCSF(w io.Writer, events Events) (Result, error) {
	return lines(w, events, "", func(b []byte, e *timeline.Event) []byte {
		return append(appendOCSF(b, e), '\n')
	})
}

// ocsfClassOf chooses the class. It demands: Authentication a user, Process
// Activity a process, File System Activity a file, each but Authentication an
// actor; Network Activity a destination.
func ocsfClassOf(e *timeline.Event) ocsfClass {
	actor := e.User != "" || e.UID != timeline.None || e.SID != "" || e.PID != timeline.None || e.Exe != ""
	switch {
	case e.Category == "authentication" && e.User != "":
		return ocsfClass{3, 3002, ocsfLogon(e.Action)}
	case e.Category == "process" && actor && (e.PID != timeline.None || e.Exe != "" || e.Cmdline != ""):
		return ocsfClass{1, 1007, ocsfProcess(e.Action)}
	case e.Category == "file" && actor && e.File != "" && e.TSKind != timeline.State && !strings.HasPrefix(e.DataType, "fs:"):
		return ocsfClass{1, 1001, 99}
	case e.Category == "network" && e.DstIP != "":
		return ocsfClass{4, 4001, 99}
	}
	return ocsfBase
}

func ocsfLogon(action string) int64 {
	switch {
	case strings.Contains(action, "log-on"), strings.Contains(action, "logon"), strings.Contains(action, "login"), strings.Contains(action, "session-start"):
		return 1
	case strings.Contains(action, "logoff"), strings.Contains(action, "logout"), strings.Contains(action, "session-end"):
		return 2
	}
	return 99
}

func ocsfProcess(action string) int64 {
	switch {
	case strings.Contains(action, "exec"), strings.Contains(action, "start"), strings.Contains(action, "creat"):
		return 1
	case strings.Contains(action, "exit"), strings.Contains(action, "end"), strings.Contains(action, "terminat"), strings.Contains(action, "stop"):
		return 2
	}
	return 99
}

func appendOCSF(b []byte, e *timeline.Event) []byte {
	c := ocsfClassOf(e)
	o := newObject(b)
	o.int("category_uid", c.category)
	o.int("class_uid", c.class)
	o.int("activity_id", c.activity)
	if c.activity == 99 {
		o.text("activity_name", firstSet(e.Action, "Other"))
	}
	o.int("type_uid", c.class*100+c.activity)
	o.int("severity_id", 0)
	o.int("time", time.Unix(0, e.TS).UnixMilli())
	if e.TSEnd != timeline.None {
		o.int("start_time", time.Unix(0, e.TS).UnixMilli())
		o.int("end_time", time.Unix(0, e.TSEnd).UnixMilli())
	}
	o.int("timezone_offset", e.TZOff)
	o.text("message", firstSet(e.Message, e.TSDesc, e.DataType))
	switch e.Outcome {
	case "success":
		o.int("status_id", 1)
	case "failure":
		o.int("status_id", 2)
	}
	o.text("metadata.version", ocsfVersion)
	o.text("metadata.product.name", "Exhibit")
	o.text("metadata.product.vendor_name", "Exhibit")
	o.text("metadata.uid", e.ID.String())
	o.text("metadata.event_code", e.EventCode)
	o.text("metadata.log_name", e.Channel)
	o.text("metadata.log_provider", e.DataType)
	o.text("metadata.original_time", e.TSRaw)
	o.int("metadata.sequence", e.Seq)
	o.text("device.hostname", e.Host)
	o.text("device.uid", e.HostID)
	o.int("device.type_id", 0)
	ocsfSubjects(&o, e, c)
	ocsfUnmapped(&o, e)
	return o.end()
}

// ocsfSubjects writes who and what was involved, each where its class has it.
func ocsfSubjects(o *object, e *timeline.Event, c ocsfClass) {
	user, process := "actor.user", "actor.process"
	switch c.class {
	case 3002:
		user = "user"
	case 1007:
		process = "process"
	}
	if e.User != "" || e.UID != timeline.None || e.SID != "" {
		o.text(user+".name", e.User)
		o.text(user+".uid", firstSet(e.SID, decimal(e.UID)))
	}
	if e.PID != timeline.None || e.Exe != "" || e.Cmdline != "" {
		o.int(process+".pid", e.PID)
		o.text(process+".uid", e.ProcGUID)
		o.text(process+".cmd_line", e.Cmdline)
		if e.Exe != "" {
			o.text(process+".file.name", baseName(e.Exe))
			o.text(process+".file.path", e.Exe)
			o.int(process+".file.type_id", 1)
		}
		if e.PPID != timeline.None || e.ParentExe != "" || e.ParentCmdline != "" {
			o.int(process+".parent_process.pid", e.PPID)
			o.text(process+".parent_process.cmd_line", e.ParentCmdline)
			if e.ParentExe != "" {
				o.text(process+".parent_process.file.name", baseName(e.ParentExe))
				o.text(process+".parent_process.file.path", e.ParentExe)
				o.int(process+".parent_process.file.type_id", 1)
			}
		}
	}
	if c.class == 1007 && user == "actor.user" && e.User == "" && e.UID == timeline.None && e.SID == "" {
		// The actor is demanded and the record names nobody: the parent, as far as it is known.
		o.int("actor.process.pid", e.PPID)
		o.text("actor.process.cmd_line", firstSet(e.ParentCmdline, e.ParentExe, "(not recorded)"))
	}
	if c.class == 1001 {
		o.text("file.name", firstSet(baseName(e.File), e.File))
		o.text("file.path", e.File)
		o.int("file.type_id", 0)
	}
	ocsfEndpoint(o, "src_endpoint", e.SrcIP, e.SrcPort, "")
	ocsfEndpoint(o, "dst_endpoint", e.DstIP, e.DstPort, e.Domain)
}

func ocsfEndpoint(o *object, side, ip string, port int64, domain string) {
	if _, err := netip.ParseAddr(ip); err == nil {
		o.text(side+".ip", ip)
	} else {
		domain = firstSet(domain, ip)
	}
	if port >= 0 && port <= 65535 {
		o.int(side+".port", port)
	}
	o.text(side+".hostname", domain)
}

// ocsfUnmapped writes what the schema has no place for.
func ocsfUnmapped(o *object, e *timeline.Event) {
	o.int("unmapped.ts", e.TS)
	taken := map[string]bool{}
	for i := range timeline.Columns {
		c := &timeline.Columns[i]
		taken[c.Name] = true
		if ocsfMapped[c.Name] {
			continue
		}
		if c.Int != nil {
			o.int("unmapped."+c.Name, *c.Int(e))
		} else {
			o.text("unmapped."+c.Name, *c.Str(e))
		}
	}
	own := set("ts", "flags", "content_id", "bundle", "member", "chain", "source_path", "source_sha256", "collector")
	o.text("unmapped.flags", e.Flags.String())
	o.text("unmapped.content_id", e.ContentID.String())
	if s := e.Source; s != nil {
		if !s.Bundle.IsZero() {
			o.text("unmapped.bundle", s.Bundle.String())
		}
		o.text("unmapped.member", s.Member)
		o.text("unmapped.chain", s.Chain)
		o.text("unmapped.source_path", s.Path)
		if !s.SHA256.IsZero() {
			o.text("unmapped.source_sha256", s.SHA256.String())
		}
		o.text("unmapped.collector", s.Collector)
	}
	o.attributes("unmapped.", e, "attr_", func(name string) bool { return own[name] }, taken)
}

// ocsfMapped are the columns that appendOCSF always has a place for.
var ocsfMapped = set("ts", "ts_end", "tz_off_min", "message", "event_code", "channel", "data_type", "ts_raw", "seq", "host", "host_id")
