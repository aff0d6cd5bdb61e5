package export

import (
	"io"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

const l2tHead = "date,time,timezone,MACB,source,sourcetype,type,user,host,short,desc,version,filename,inode,notes,format,extra\n"

// l2tShort is how many characters of a message stand in the column short.
const l2tShort = 80

// L2TCSV writes the 17 columns of log2timeline's CSV (plaso documentation,
// "Output and formatting", l2tcsv): times in UTC to the second, "-" for what
// is not known, MACB of file times and of the descriptions that mean one of
// the four. What has no column is in extra as JSON, the fraction of the second
// and the way back to the evidence too. Fields are quoted where they must be;
// text is made harmless as in CSV.
func L2TCSV(w io.Writer, events Events) (Result, error) {
	taken := map[string]bool{}
	return lines(w, events, l2tHead, func(b []byte, e *timeline.Event) []byte {
		at := time.Unix(0, e.TS).UTC()
		file := e.File
		if file == "" && e.Source != nil {
			file = e.Source.Path
		}
		inode, _ := e.Attr("inode")
		short := []rune(timeline.Printable(e.Message))
		if len(short) > l2tShort {
			short = append(short[:l2tShort-1], '…')
		}
		for i, value := range [16]string{
			at.Format("01/02/2006"), at.Format("15:04:05"), "UTC", macb(e), e.SourceShort, e.SourceLong, e.TSDesc,
			e.User, e.Host, string(short), firstSet(e.Message, e.TSDesc), "2", file, inode, "", e.Parser,
		} {
			b = appendCSV(b, i, firstSet(value, "-"), i > 3 && value != "")
		}
		clear(taken)
		b = appendCSV(b, 16, string(l2tExtra(e, taken)), false)
		return append(b, '\n')
	})
}

// l2tExtra is what has no column of its own.
func l2tExtra(e *timeline.Event, taken map[string]bool) []byte {
	o := newObject(nil)
	o.inert = true // escaped as a whole it would be no JSON any more
	if e.TS%int64(time.Second) != 0 {
		o.text("fraction", strings.TrimPrefix(time.Unix(0, e.TS).UTC().Format(".000000000"), "."))
	}
	for i := range timeline.Columns {
		c := &timeline.Columns[i]
		switch c.Name {
		case "ts", "ts_desc", "message", "source_short", "source_long", "user", "host", "parser", "parser_ver", "file", "seq":
			continue
		}
		taken[c.Name] = true
		if c.Int != nil {
			o.int(c.Name, *c.Int(e))
		} else {
			o.text(c.Name, *c.Str(e))
		}
	}
	o.text("event_id", e.ID.String())
	if s := e.Source; s != nil && !s.Bundle.IsZero() {
		o.text("bundle", s.Bundle.String())
		o.text("member", s.Member)
	}
	o.attributes("", e, "attr_", func(name string) bool {
		switch name {
		case "fraction", "event_id", "bundle", "member":
			return true
		}
		return false
	}, taken)
	return o.end()
}

// macb says which of a file's four times an event is, in the form M.C.
func macb(e *timeline.Event) string {
	if s, ok := e.Attr("macb"); ok && isMACB(s) { // any record may have an attribute of that name
		return strings.ToUpper(s)
	}
	letters := []byte("....")
	for desc := range strings.SplitSeq(e.TSDesc, "; ") {
		switch desc {
		case "Content Modification Time":
			letters[0] = 'M'
		case "Last Access Time":
			letters[1] = 'A'
		case "Metadata Modification Time":
			letters[2] = 'C'
		case "Creation Time":
			letters[3] = 'B'
		}
	}
	return string(letters)
}

func isMACB(s string) bool {
	for i := range s {
		if i > 3 || s[i] != '.' && s[i]|0x20 != "macb"[i] {
			return false
		}
	}
	return len(s) == 4
}
