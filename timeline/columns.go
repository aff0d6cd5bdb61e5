package timeline

// Column describes one column of the event record: the name used in queries,
// Parquet files and exports, and how to reach it in an Event. Exactly one of
// Str and Int is set, except for the identity columns, which have neither.
type Column struct {
	Name string
	Doc  string
	Time bool                 // Int holds ns since the Unix epoch
	Dict bool                 // few distinct values: worth a dictionary
	Str  func(*Event) *string // text column
	Int  func(*Event) *int64  // integer column; None is null
}

func str(name, doc string, f func(*Event) *string) Column {
	return Column{Name: name, Doc: doc, Str: f}
}

func dict(name, doc string, f func(*Event) *string) Column {
	return Column{Name: name, Doc: doc, Str: f, Dict: true}
}

func num(name, doc string, f func(*Event) *int64) Column {
	return Column{Name: name, Doc: doc, Int: f}
}

func when(name, doc string, f func(*Event) *int64) Column {
	return Column{Name: name, Doc: doc, Int: f, Time: true}
}

// Columns lists every typed column of Event in the order of the schema.
// Columns that are not a plain field (event_id, content_id, ts_state, flags,
// the columns of Source, attrs) are written by the stores beside these.
var Columns = []Column{
	num("seq", "order within the source, from 0", func(e *Event) *int64 { return &e.Seq }),
	when("ts", "time, ns since 1970 UTC", func(e *Event) *int64 { return &e.TS }),
	when("ts_end", "end of a span", func(e *Event) *int64 { return &e.TSEnd }),
	when("ts_lo", "earliest possible time, where uncertain", func(e *Event) *int64 { return &e.TSLo }),
	when("ts_hi", "latest possible time, where uncertain", func(e *Event) *int64 { return &e.TSHi }),
	dict("ts_desc", "what the time means", func(e *Event) *string { return &e.TSDesc }),
	dict("ts_kind", "observed, recorded, state, collected or derived", func(e *Event) *string { return &e.TSKind }),
	dict("ts_prec", "precision of the source", func(e *Event) *string { return &e.TSPrec }),
	str("ts_raw", "time as found", func(e *Event) *string { return &e.TSRaw }),
	num("tz_off_min", "minutes east of UTC that were applied", func(e *Event) *int64 { return &e.TZOff }),
	dict("tz_src", "where the zone came from", func(e *Event) *string { return &e.TZSrc }),
	dict("year_src", "where the year came from", func(e *Event) *string { return &e.YearSrc }),
	num("skew_ns", "suggested clock correction", func(e *Event) *int64 { return &e.Skew }),
	str("message", "the event in words", func(e *Event) *string { return &e.Message }),
	dict("data_type", "kind of record, plaso's name where one exists", func(e *Event) *string { return &e.DataType }),
	dict("action", "what was done (ECS event.action)", func(e *Event) *string { return &e.Action }),
	dict("outcome", "success, failure or unknown", func(e *Event) *string { return &e.Outcome }),
	dict("category", "ECS event.category", func(e *Event) *string { return &e.Category }),
	dict("source_short", "family of the source", func(e *Event) *string { return &e.SourceShort }),
	dict("source_long", "name of the source", func(e *Event) *string { return &e.SourceLong }),
	dict("parser", "parser that read it", func(e *Event) *string { return &e.Parser }),
	num("parser_ver", "version of that parser", func(e *Event) *int64 { return &e.ParserVer }),
	num("rec_off", "first byte of the record in the decoded item", func(e *Event) *int64 { return &e.RecOff }),
	num("rec_len", "length of the record in bytes", func(e *Event) *int64 { return &e.RecLen }),
	num("line", "line number, from 1", func(e *Event) *int64 { return &e.Line }),
	num("rec_no", "the format's own record number", func(e *Event) *int64 { return &e.RecNo }),
	dict("host", "host name", func(e *Event) *string { return &e.Host }),
	dict("host_id", "machine-id", func(e *Event) *string { return &e.HostID }),
	dict("boot_id", "boot the event belongs to", func(e *Event) *string { return &e.BootID }),
	dict("user", "account name", func(e *Event) *string { return &e.User }),
	num("uid", "numeric account", func(e *Event) *int64 { return &e.UID }),
	dict("sid", "Windows account", func(e *Event) *string { return &e.SID }),
	dict("session", "login session (auditd ses, logind id, LogonId)", func(e *Event) *string { return &e.Session }),
	num("pid", "process", func(e *Event) *int64 { return &e.PID }),
	num("ppid", "parent process", func(e *Event) *int64 { return &e.PPID }),
	str("proc_guid", "process instance", func(e *Event) *string { return &e.ProcGUID }),
	dict("exe", "program file", func(e *Event) *string { return &e.Exe }),
	str("cmdline", "command line", func(e *Event) *string { return &e.Cmdline }),
	dict("parent_exe", "program file of the parent", func(e *Event) *string { return &e.ParentExe }),
	str("parent_cmdline", "command line of the parent", func(e *Event) *string { return &e.ParentCmdline }),
	dict("cwd", "working directory", func(e *Event) *string { return &e.CWD }),
	str("file", "file acted on", func(e *Event) *string { return &e.File }),
	str("file2", "second file: rename target, link target", func(e *Event) *string { return &e.File2 }),
	str("sha256", "SHA-256 of the file", func(e *Event) *string { return &e.SHA256 }),
	dict("src_ip", "source address", func(e *Event) *string { return &e.SrcIP }),
	num("src_port", "source port", func(e *Event) *int64 { return &e.SrcPort }),
	dict("dst_ip", "destination address", func(e *Event) *string { return &e.DstIP }),
	num("dst_port", "destination port", func(e *Event) *int64 { return &e.DstPort }),
	dict("domain", "domain name", func(e *Event) *string { return &e.Domain }),
	str("url", "URL", func(e *Event) *string { return &e.URL }),
	dict("unit", "service, unit or package", func(e *Event) *string { return &e.Unit }),
	dict("container_id", "container", func(e *Event) *string { return &e.ContainerID }),
	str("reg_key", "registry key", func(e *Event) *string { return &e.RegKey }),
	dict("event_code", "code the source gives: event id, syscall, status", func(e *Event) *string { return &e.EventCode }),
	dict("channel", "channel or facility", func(e *Event) *string { return &e.Channel }),
}
