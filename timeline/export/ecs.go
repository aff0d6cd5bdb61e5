package export

import (
	"io"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// ecsVersion is the version of the Elastic Common Schema that ECS follows.
const ecsVersion = "8.17.0"

// ecsCategories are the values that event.category may have (ECS reference,
// "ECS Field: event.category").
var ecsCategories = set("api", "authentication", "configuration", "database", "driver", "email", "file", "host", "iam",
	"intrusion_detection", "library", "malware", "network", "package", "process", "registry", "session", "threat", "vulnerability", "web")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// ECS writes events as JSON lines in the Elastic Common Schema: @timestamp and
// the times of spans with nanoseconds (map them as date_nanos), what the
// schema has a place for under its names, everything else below exhibit:
// the way back to the evidence, the quality of the time, and the attributes as
// exhibit.attr.NAME. An address that is none goes to source.address alone, as
// the schema wants it. Events without a time are left out and counted.
func ECS(w io.Writer, events Events) (Result, error) {
	return lines(w, events, "", func(b []byte, e *timeline.Event) []byte {
		return append(AppendECS(b, e), '\n')
	})
}

// AppendECS writes one dated event as ECS does, without a line's end.
func AppendECS(b []byte, e *timeline.Event) []byte {
	o := newObject(b)
	o.text("@timestamp", nanos(e.TS))
	o.text("message", firstSet(e.Message, e.TSDesc, e.DataType))
	o.text("ecs.version", ecsVersion)
	o.text("event.id", e.ID.String())
	o.text("event.kind", "event")
	if ecsCategories[e.Category] {
		o.key("event.category")
		o.b = append(quoted(append(o.b, '['), e.Category), ']')
	}
	o.text("event.action", e.Action)
	switch e.Outcome {
	case "success", "failure", "unknown":
		o.text("event.outcome", e.Outcome)
	}
	o.text("event.code", e.EventCode)
	o.text("event.dataset", e.DataType)
	o.text("event.module", e.Parser)
	o.int("event.sequence", e.Seq)
	if e.TSEnd != timeline.None {
		o.text("event.start", nanos(e.TS))
		o.text("event.end", nanos(e.TSEnd))
		if d := e.TSEnd - e.TS; d >= 0 {
			o.int("event.duration", d)
		}
	}
	if e.TZOff != timeline.None {
		o.text("event.timezone", offset(e.TZOff))
	}
	o.text("host.name", e.Host)
	o.text("host.hostname", e.Host)
	o.text("host.id", e.HostID)
	o.text("host.boot.id", e.BootID)
	o.text("user.name", e.User)
	o.text("user.id", firstSet(e.SID, decimal(e.UID)))
	ecsProcess(&o, e)
	o.text("file.path", e.File)
	o.text("file.name", baseName(e.File))
	o.text("file.target_path", e.File2)
	if len(e.SHA256) == 64 {
		o.text("file.hash.sha256", e.SHA256)
	}
	ecsEnd(&o, "source", e.SrcIP, e.SrcPort, "")
	ecsEnd(&o, "destination", e.DstIP, e.DstPort, e.Domain)
	o.text("url.original", e.URL)
	o.text("service.name", e.Unit)
	o.text("container.id", e.ContainerID)
	o.text("registry.path", e.RegKey)
	if s := e.Source; s != nil {
		o.text("log.file.path", s.Path)
	}
	o.int("log.offset", e.RecOff)
	o.text("log.logger", e.Channel)
	ecsOwn(&o, e)
	return o.end()
}

func ecsProcess(o *object, e *timeline.Event) {
	o.int("process.pid", e.PID)
	o.text("process.entity_id", e.ProcGUID)
	o.text("process.executable", e.Exe)
	o.text("process.name", baseName(e.Exe))
	o.text("process.command_line", e.Cmdline)
	o.text("process.working_directory", e.CWD)
	o.int("process.parent.pid", e.PPID)
	o.text("process.parent.executable", e.ParentExe)
	o.text("process.parent.command_line", e.ParentCmdline)
}

func ecsEnd(o *object, side, ip string, port int64, domain string) {
	o.text(side+".address", firstSet(ip, domain))
	if _, err := netip.ParseAddr(ip); err == nil && !strings.Contains(ip, "%") {
		o.text(side+".ip", ip)
	}
	if port >= 0 && port <= 65535 {
		o.int(side+".port", port)
	}
	o.text(side+".domain", domain)
}

// ecsOwn writes what the schema has no place for.
func ecsOwn(o *object, e *timeline.Event) {
	o.text("exhibit.content_id", e.ContentID.String())
	o.text("exhibit.ts_desc", e.TSDesc)
	o.text("exhibit.ts_kind", e.TSKind)
	o.text("exhibit.ts_prec", e.TSPrec)
	o.text("exhibit.ts_raw", e.TSRaw)
	o.text("exhibit.tz_src", e.TZSrc)
	o.text("exhibit.year_src", e.YearSrc)
	o.int("exhibit.ts_lo", e.TSLo)
	o.int("exhibit.ts_hi", e.TSHi)
	o.int("exhibit.skew_ns", e.Skew)
	o.text("exhibit.category", e.Category)
	o.text("exhibit.outcome", e.Outcome)
	o.text("exhibit.source_short", e.SourceShort)
	o.text("exhibit.source_long", e.SourceLong)
	o.int("exhibit.parser_ver", e.ParserVer)
	o.int("exhibit.rec_len", e.RecLen)
	o.int("exhibit.line", e.Line)
	o.int("exhibit.rec_no", e.RecNo)
	o.text("exhibit.flags", e.Flags.String())
	o.text("exhibit.session", e.Session)
	o.int("exhibit.uid", e.UID)
	o.text("exhibit.sha256", e.SHA256)
	o.int("exhibit.src_port", e.SrcPort)
	o.int("exhibit.dst_port", e.DstPort)
	if s := e.Source; s != nil {
		if !s.Bundle.IsZero() {
			o.text("exhibit.bundle", s.Bundle.String())
		}
		o.text("exhibit.member", s.Member)
		o.text("exhibit.chain", s.Chain)
		if !s.SHA256.IsZero() {
			o.text("exhibit.source_sha256", s.SHA256.String())
		}
		o.text("exhibit.collector", s.Collector)
	}
	o.attributes("exhibit.attr.", e, "attr_", func(string) bool { return false }, map[string]bool{})
}

func nanos(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
}

// offset writes minutes east of UTC as ±hh:mm.
func offset(minutes int64) string {
	sign := byte('+')
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	return time.Unix(minutes*60, 0).UTC().Format(string(sign) + "15:04")
}

func decimal(n int64) string {
	if n == timeline.None {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// baseName is the last element of a path of either kind, "" of nothing.
func baseName(p string) string {
	if p == "" {
		return ""
	}
	return path.Base(strings.ReplaceAll(p, `\`, "/"))
}
