package timeline

import (
	"cmp"
	"slices"
	"strings"
)

// aliases are other names of fields: short ones, and those of the Elastic
// Common Schema where one of our columns means the same. Several targets are
// joined by OR.
var aliases = map[string][]string{
	"any": {""}, "text": {""},
	"ip": {"src_ip", "dst_ip"}, "port": {"src_port", "dst_port"},
	"time": {"ts"}, "@timestamp": {"ts"}, "timestamp": {"ts"}, "datetime": {"ts"},
	"msg": {"message"}, "type": {"data_type"}, "id": {"event_id"},
	"hostname": {"host"}, "username": {"user"}, "command": {"cmdline"}, "path": {"file", "file2"},
	"source": {"source_short"}, "log": {"source_path"}, "service": {"unit"}, "desc": {"ts_desc"}, "timestamp_desc": {"ts_desc"},

	"event.action": {"action"}, "event.outcome": {"outcome"}, "event.category": {"category"}, "event.code": {"event_code"},
	"event.id": {"event_id"}, "event.end": {"ts_end"}, "event.sequence": {"seq"}, "event.provider": {"channel"},
	"host.name": {"host"}, "host.hostname": {"host"}, "host.id": {"host_id"}, "host.boot.id": {"boot_id"},
	"user.name": {"user"}, "user.id": {"uid", "sid"},
	"process.pid": {"pid"}, "process.parent.pid": {"ppid"}, "process.entity_id": {"proc_guid"},
	"process.executable": {"exe"}, "process.command_line": {"cmdline"}, "process.working_directory": {"cwd"},
	"process.parent.executable": {"parent_exe"}, "process.parent.command_line": {"parent_cmdline"},
	"file.path": {"file"}, "file.target_path": {"file2"}, "file.hash.sha256": {"sha256"}, "hash.sha256": {"sha256"},
	"source.ip": {"src_ip"}, "source.port": {"src_port"}, "destination.ip": {"dst_ip"}, "destination.port": {"dst_port"},
	"client.ip": {"src_ip"}, "server.ip": {"dst_ip"}, "dns.question.name": {"domain"}, "url.full": {"url"}, "url.original": {"url"},
	"service.name": {"unit"}, "container.id": {"container_id"}, "registry.path": {"reg_key"}, "winlog.channel": {"channel"},
	"winlog.event_id": {"event_code"}, "log.file.path": {"source_path"}, "log.offset": {"rec_off"},
}

// programAliases name a program by its file name, with or without folders.
var programAliases = map[string]string{
	"process": "exe", "process.name": "exe", "program": "exe", "parent": "parent_exe", "process.parent.name": "parent_exe",
}

const hashAlias = "hash"

// isAlias reports whether name means something other than an attribute of
// that name or a column.
func isAlias(name string) bool {
	return aliases[name] != nil || programAliases[name] != "" || name == hashAlias || slices.Contains(existsWords, name)
}

var existsWords = []string{"has", "_exists_"}

// wordFields are columns that hold running text: words are looked for in
// them, while a value of any other field must be equal as a whole.
var wordFields = map[string]bool{"": true, "message": true, "cmdline": true, "parent_cmdline": true, "url": true}

// addressFields are columns in which a bare network is taken as one.
var addressFields = map[string]bool{"src_ip": true, "dst_ip": true}

// targets returns the fields a name in a query stands for, given the value.
func targets(name, value string) []string {
	if name == hashAlias {
		switch len(value) {
		case 64:
			return []string{"sha256"}
		case 40:
			return []string{"sha1"}
		case 32:
			return []string{"md5"}
		}
		return []string{"sha256", "sha1", "md5"}
	}
	if t := programAliases[name]; t != "" {
		return []string{t}
	}
	if t := aliases[name]; t != nil {
		return t
	}
	return []string{name}
}

// NearFields returns the names of fields and aliases that look like name,
// nearest first, at most three. It is empty where name is one itself.
func NearFields(name string) []string {
	name = strings.ToLower(name)
	type near struct {
		name string
		far  int
	}
	var found []near
	consider := func(known string) {
		limit := 1 + len(known)/5
		if d := editDistance(name, known, limit); d <= limit {
			found = append(found, near{known, d})
		}
	}
	names, _ := FieldNames()
	for _, known := range names {
		consider(known)
	}
	for known := range aliases {
		consider(known)
	}
	for known := range programAliases {
		consider(known)
	}
	consider(hashAlias)
	slices.SortFunc(found, func(a, b near) int { return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name)) })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		if f.far == 0 {
			return nil
		}
		out = append(out, f.name)
	}
	return out
}

// editDistance counts insertions, deletions, changes and swaps of neighbours
// between two names, or returns more than limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
