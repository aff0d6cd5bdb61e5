package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// stateWitnesses are those of rows about the state of a host: which member of
// the record stands in which column ("@" is an attribute), and which members
// are times.
var stateWitnesses = map[string]witness{
	"live_block_devices":    stated("", "unit=name", "file=loop.file", "@dev=dev", "@dm_name=dm.name"),
	"live_bpf":              stated("loaded", "unit=name", "@id=id", "@tag=tag", "@type=type"),
	"live_conntrack":        stated("start,taken", "src_ip=orig.src_ip", "dst_ip=orig.dst_ip", "src_port=orig.src_port", "dst_port=orig.dst_port", "@proto=proto", "@state=state"),
	"live_foreign_mounts":   stated("", "file=point", "file2=source", "pid=pid", "@mntns=mntns", "@id=id"),
	"live_ftrace":           stated("", "unit=name", "@count=count", "@callback=callback"),
	"live_iptables":         iptablesWitness,
	"live_nftables":         stated("", "@object=object", "@handle=handle", "@name=name", "@text=text", "@key=key", "@netns=netns"),
	"live_probes":           stated("", "@target=target", "@args=args", "@kind=kind", "@source=source"),
	"state_accounts":        stated("changed", "user=name", "@line=line", "@shadow_line=shadow_line", "@password=password"),
	"state_auth_modules":    stated("", "unit=name", "file=path", "sha256=sha256", "@state=state", "@check=check"),
	"state_authorized_keys": stated("", "user=user", "file=file", "@line=line", "@fingerprint=fingerprint", "@comment=comment"),
	"state_boot_files":      stated("", "file=path", "file2=target", "sha256=sha256", "@check=check"),
	"state_containers":      stated("created,started,finished", "container_id=id", "@engine=engine"),
	"state_groups":          stated("", "unit=name", "@gid=gid", "@line=line"),
	"state_package_files":   stated("", "file=path", "sha256=sha256", "@want=want", "@have=have", "@package=package"),
	"state_packages":        stated("installed,listed", "unit=name", "@manager=manager", "@version=version", "@arch=arch"),
	"state_privileged":      stated("", "file=path", "sha256=sha256", "@owner=owner"),
	"state_sudo_rules":      stated("", "file=file", "@line=line", "@kind=kind", "@runas=runas", "@text=text"),
}

// member finds a member of a record, by names with dots between them, as text;
// numbers in digits, 0 and what is not there as "".
func member(rec map[string]json.RawMessage, name string) ([]byte, error) {
	outer, inner, nested := strings.Cut(name, ".")
	raw := rec[outer]
	if nested {
		if raw == nil {
			return nil, nil
		}
		var deeper map[string]json.RawMessage
		if err := json.Unmarshal(raw, &deeper); err != nil {
			return nil, err
		}
		return member(deeper, inner)
	}
	if raw == nil || string(raw) == "0" {
		return nil, nil
	}
	if raw[0] != '"' && raw[0] != '{' {
		return raw, nil
	}
	var text record.Bytes
	err := json.Unmarshal(raw, &text)
	return text, err
}

func stated(times string, pairs ...string) witness {
	return func(r row) error {
		var rec map[string]json.RawMessage
		if err := r.decodeLine(&rec); err != nil {
			return err
		}
		if r.ev.TSKind == timeline.Recorded && !slices.ContainsFunc(strings.Split(times, ","), func(name string) bool {
			at, err := member(rec, name)
			return err == nil && string(at) == strconv.FormatInt(r.ev.TS, 10)
		}) {
			return fmt.Errorf("none of its times %s is %d", times, r.ev.TS)
		}
		// The row of a time has no more attributes than say whose it is.
		for _, pair := range pairs {
			column, name, _ := strings.Cut(pair, "=")
			want, err := member(rec, name)
			if err != nil {
				return err
			}
			got, isAttr := strings.CutPrefix(column, "@")
			if isAttr {
				var there bool
				if got, there = r.ev.Attr(got); !there && r.ev.TSKind == timeline.Recorded {
					continue
				}
				if got == "0" {
					got = ""
				}
			} else {
				got = columnOf(r.ev, column)
			}
			if err := r.is(name, got, want); err != nil {
				return err
			}
		}
		return nil
	}
}

func columnOf(ev *timeline.Event, name string) string {
	number := func(n int64) string {
		if n == timeline.None || n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	switch name {
	case "unit":
		return ev.Unit
	case "file":
		return ev.File
	case "file2":
		return ev.File2
	case "user":
		return ev.User
	case "sha256":
		return ev.SHA256
	case "src_ip":
		return ev.SrcIP
	case "dst_ip":
		return ev.DstIP
	case "src_port":
		return number(ev.SrcPort)
	case "dst_port":
		return number(ev.DstPort)
	case "pid":
		return number(ev.PID)
	case "container_id":
		return ev.ContainerID
	}
	return "no column " + name
}

// iptablesWitness asks for the rule to be a line of the table's text.
func iptablesWitness(r row) error {
	var t record.IPTable
	if err := r.decodeLine(&t); err != nil {
		return err
	}
	if r.ev.Unit != t.Family+" "+t.Table {
		return fmt.Errorf("it is table %s of %s", t.Table, t.Family)
	}
	rule, one := strings.CutPrefix(r.ev.Message, "iptables "+r.ev.Unit+": ")
	if one && !bytes.Contains(append([]byte("\n"), t.Text...), append(append([]byte("\n"), plain(r.ev, rule)...), '\n')) {
		return errors.New("it has no such rule")
	}
	return nil
}
