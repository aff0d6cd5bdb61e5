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

// cronTable reads the tables of cron: /etc/crontab and /etc/cron.d, which name
// an account in each line, those of accounts, and anacrontab. One event per
// job, of kind state: cmdline is the command, user whose it is, attr schedule
// when it runs. Lines NAME=VALUE set the environment of the jobs behind them;
// they are events, too.
//
// Format: crontab(5), anacrontab(5).
var cronTable = register(analyze.Parser{
	Name:    "cron_table",
	Doc:     "crontabs of the system and of accounts, anacrontab: jobs and when they run",
	Version: 1,
	Family:  "state",
	Types:   []string{"linux:cron:job"},
	Match:   matchCronTable,
	Parse:   parseCronTable,
})

// Kinds of tables.
const (
	cronNone = iota
	cronSystem
	cronAccount
	cronAnacron
)

// cronKind says by its place what kind of table a file is, and whose.
func cronKind(path string) (kind int, account string) {
	if path == "/etc/crontab" || strings.HasSuffix(path, "/etc/crontab") {
		return cronSystem, ""
	}
	if strings.HasSuffix(path, "/etc/anacrontab") {
		return cronAnacron, ""
	}
	if rest, ok := below(path, "/etc/cron.d/"); ok && !strings.Contains(rest, "/") {
		return cronSystem, ""
	}
	if rest, ok := below(path, "/cron/crontabs/", "/cron/tabs/", "/etc/crontabs/", "/var/spool/cron/"); ok && !strings.Contains(rest, "/") {
		return cronAccount, rest
	}
	return cronNone, ""
}

// matchCronTable wants a place for tables and a job or a setting.
func matchCronTable(it *evidence.Item, head []byte) bool {
	kind, _ := cronKind(it.Path)
	if kind == cronNone || bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	lines := textline.Of(head)
	for lines.Next() {
		line := bytes.TrimSpace(lines.Line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if _, ok := cronSetting(line); ok {
			return true
		}
		if _, _, _, ok := cronJob(kind, line); ok {
			return true
		}
	}
	return false
}

// cronSetting reads NAME = VALUE.
func cronSetting(line []byte) (name []byte, ok bool) {
	name, _, ok = bytes.Cut(line, []byte("="))
	name = bytes.Trim(bytes.TrimSpace(name), `"'`)
	if !ok || len(name) == 0 || name[0] >= '0' && name[0] <= '9' {
		return nil, false
	}
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return nil, false
		}
	}
	return name, true
}

// cronJob splits a job into schedule, account and command.
func cronJob(kind int, line []byte) (schedule, account, command []byte, ok bool) {
	fields := 5
	switch {
	case kind == cronAnacron:
		fields = 2 // period in days, delay in minutes; the job's name follows
	case line[0] == '@':
		fields = 1
	}
	rest := line
	for i := range fields {
		var word []byte
		if word, rest = cutWord(rest); !cronField(word, i == 0) {
			return nil, nil, nil, false
		}
	}
	schedule = bytes.TrimRight(line[:len(line)-len(rest)], " \t")
	if kind != cronAccount {
		account, rest = cutWord(rest)
	}
	return schedule, account, rest, len(rest) > 0
}

// cronNames are the names that a field may have, in upper and lower case.
const cronNames = " jan feb mar apr may jun jul aug sep oct nov dec sun mon tue wed thu fri sat "

// cronField reports whether a word can be a field of a schedule: numbers,
// names of months and days, and what stands between them. The first may be a
// name for all of them, as @daily is.
func cronField(word []byte, first bool) bool {
	if first && len(word) > 1 && word[0] == '@' {
		return len(bytes.Trim(bytes.ToLower(word[1:]), "abcdefghijklmnopqrstuvwxyz_0123456789")) == 0
	}
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c >= '0' && c <= '9', c == '*', c == '/', c == ',', c == '-', c == '~':
		case i+3 <= len(word) && strings.Contains(cronNames, " "+strings.ToLower(string(word[i:i+3]))+" "):
			i += 2
		default:
			return false
		}
	}
	return len(word) > 0
}

func parseCronTable(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	kind, owner := cronKind(src.Item.Path)
	f := newStateFile(src, out, "linux:cron:job", "crontab", authmsg.Process)
	return eachStatement(src, out, false, hashComment, func(s stateLine) {
		if name, ok := cronSetting(s.text); ok {
			ev := f.event(s.offset, s.length, s.number, "schedule-environment-state")
			ev.User, ev.Message = out.Str(owner), out.Text(cutText(s.text))
			out.Attr("variable", name)
			return
		}
		schedule, account, command, ok := cronJob(kind, s.text)
		if !ok {
			badState(out, s, "no job of cron")
			return
		}
		ev := f.event(s.offset, s.length, s.number, "scheduled-job-state")
		ev.User = out.Str(owner)
		switch kind {
		case cronSystem:
			ev.User = out.Intern(account)
		case cronAnacron:
			textAttr(out, "job", account)
			ev.User = "root" // anacron runs as nobody else
		}
		ev.Cmdline, ev.Message = out.Text(cutText(command)), out.Text(cutText(s.text))
		textAttr(out, "schedule", schedule)
	})
}
