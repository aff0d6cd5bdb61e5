package parsers

import (
	"bytes"
	"context"
	"net/netip"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// textTimestamped reads text logs of which nothing is known but that their
// lines have a time near the beginning. One event per line with a time; lines
// without are joined to the line before them. An address in front of the time
// is the client's, as access logs have it.
var textTimestamped = registerGeneric(analyze.Parser{
	Name:    "text_timestamped",
	Doc:     "lines with a time of text logs in no other known form",
	Version: 1,
	Family:  "text",
	Types:   []string{"text:line"},
	Match:   matchTimestamped,
	Parse:   parseTimestamped,
})

// matchTimestamped wants a place where logs live and a third of the first
// lines with a time: a configuration file has neither.
func matchTimestamped(it *evidence.Item, head []byte) bool {
	if !isLogPath(it.Path) || bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	lines := textline.Of(head)
	total, good := 0, 0
	var s logtime.Stamp
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if nearStamp(lines.Line, &s) {
			good++
		}
	}
	return good > 0 && 3*good >= total
}

// isLogPath knows /var/log, wherever its root was mounted, and names that end
// in .log, rotated or not.
func isLogPath(path string) bool {
	if strings.Contains(path, "/var/log/") || strings.HasPrefix(path, "var/log/") {
		return true
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	i := strings.LastIndex(name, ".log")
	return i >= 0 && (i+4 == len(name) || strings.IndexByte(".-_", name[i+4]) >= 0)
}

// stampReach is how far into a line its time may begin: access logs have an
// address and user names first.
const stampReach = 160

func nearStamp(line []byte, s *logtime.Stamp) bool {
	_, n := findStamp(line, s)
	return n > 0
}

// findStamp finds a line's time: at its beginning, bare or in brackets, or
// the first that stands behind a bracket, and else a full date behind a
// space, a quote or an equals sign.
func findStamp(line []byte, s *logtime.Stamp) (at, n int) {
	if n = logtime.Parse(line, s); n > 0 {
		return 0, n
	}
	if len(line) > 0 && (line[0] == '<' || line[0] == '(') {
		if n = logtime.Parse(line[1:], s); n > 0 {
			return 1, n
		}
	}
	reach := line[:min(len(line), stampReach)]
	if i := bytes.IndexByte(reach, '['); i >= 0 {
		if n = logtime.Parse(line[i+1:], s); n > 0 {
			return i + 1, n
		}
	}
	for i := 1; i+5 < len(reach); i++ {
		if c := reach[i-1]; c != ' ' && c != '"' && c != '=' {
			continue
		}
		if reach[i] < '1' || reach[i] > '2' || reach[i+4] != '-' {
			continue
		}
		if n = logtime.Parse(line[i:], s); n > 0 {
			return i, n
		}
	}
	return 0, 0
}

// clientAddress returns the address that an access log's line begins with.
func clientAddress(line []byte) []byte {
	i := bytes.IndexByte(line[:min(len(line), 48)], ' ')
	if i < 2 || !bytes.ContainsAny(line[:i], ".:") {
		return nil
	}
	if _, err := netip.ParseAddr(string(line[:i])); err != nil {
		return nil
	}
	return line[:i]
}

func parseTimestamped(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	times := newLogTimes(src.Host)
	content, err := times.open(src, out, nearStamp)
	if err != nil {
		return err
	}
	records := newTextRecords(out)
	lines := textline.NewReader(content)
	var s logtime.Stamp
	for lines.Next() {
		records.damage(lines)
		if len(lines.Line) == 0 {
			continue
		}
		at, n := findStamp(lines.Line, &s)
		if n == 0 {
			if !records.join(lines) {
				records.ev.DataType = "text:line"
			}
			continue
		}
		ev := records.begin(lines)
		ev.DataType = "text:line"
		times.set(ev, out, &s, lines.Line[at:at+n], lines.Offset)
		ev.Message = out.Text(lines.Line[:min(len(lines.Line), joinText)])
		if at > 0 {
			ev.SrcIP = out.Intern(clientAddress(lines.Line))
		}
		if out.Err() != nil {
			return nil
		}
	}
	records.finish()
	return lines.Err()
}
