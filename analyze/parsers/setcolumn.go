package parsers

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

var columnNamed = func() map[string]*timeline.Column {
	named := map[string]*timeline.Column{}
	for i := range timeline.Columns {
		named[timeline.Columns[i].Name] = &timeline.Columns[i]
	}
	return named
}()

// setColumn gives a column of ev, by its name, the value v of a source that
// names its values: numbers may be hexadecimal, addresses may have a port, an
// account a domain in front and a digest its name.
func setColumn(ev *timeline.Event, out *timeline.Appender, column string, v []byte) {
	c := columnNamed[column]
	switch column {
	case "user":
		// The domain stays in the attribute.
		if i := strings.LastIndexByte(string(v), '\\'); i >= 0 && i+1 < len(v) {
			v = v[i+1:]
		}
	case "sha256":
		if v = digestOf(v); v == nil {
			return
		}
	case "src_ip":
		setAddress(out, &ev.SrcIP, &ev.SrcPort, v)
		return
	case "dst_ip":
		setAddress(out, &ev.DstIP, &ev.DstPort, v)
		return
	}
	if c.Int != nil {
		if n, err := strconv.ParseInt(string(v), 0, 64); err == nil && n >= 0 {
			*c.Int(ev) = n
		}
		return
	}
	*c.Str(ev) = out.Intern(cutText(v))
}

// clearColumn takes the value of a column back.
func clearColumn(ev *timeline.Event, column string) {
	if c := columnNamed[column]; c.Int != nil {
		*c.Int(ev) = timeline.None
	} else {
		*c.Str(ev) = ""
	}
}

// setAddress reads an address, with or without a port.
func setAddress(out *timeline.Appender, ip *string, port *int64, v []byte) {
	s := strings.TrimPrefix(string(v), `\\`)
	if a := canonicalAddress([]byte(s)); a != "" {
		*ip = out.Str(a)
	} else if ap, err := netip.ParseAddrPort(s); err == nil {
		*ip = out.Str(ap.Addr().Unmap().WithZone("").String())
		*port = int64(ap.Port())
	}
}

// canonicalAddress returns an address in the form in which columns have it,
// "" where v is none.
func canonicalAddress(v []byte) string {
	a, err := netip.ParseAddr(string(v))
	if err != nil {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// digestOf returns a SHA-256 in lower case: alone, or after its name in
// "SHA1=…,SHA256=…".
func digestOf(v []byte) []byte {
	s := string(v)
	if _, rest, ok := strings.Cut(s, "SHA256="); ok {
		s, _, _ = strings.Cut(rest, ",")
	}
	if len(s) != 64 || strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return nil
	}
	return []byte(strings.ToLower(s))
}
