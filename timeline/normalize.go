package timeline

import (
	"strings"
	"unicode/utf8"
)

// Normal reports whether Normalize would leave e as it is.
func (e *Event) Normal() bool {
	if (e.TSState == TimeOK) != (e.TS != None) || int(e.TSState) >= len(stateNames) {
		return false
	}
	if e.SHA256 != "" && !isDigest(e.SHA256) {
		return false
	}
	for i := range Columns {
		if c := &Columns[i]; c.Str != nil {
			if s := *c.Str(e); s != "" && !validText(s) {
				return false
			}
		}
	}
	for i := range e.Attrs {
		a := &e.Attrs[i]
		if !utf8.ValidString(a.Key) || !utf8.ValidString(a.Value) || strings.IndexByte(attrTypes, a.Type) < 0 {
			return false
		}
	}
	return true
}

const attrTypes = "siftb"

// Normalize brings e into the form in which every store keeps it: text is
// UTF-8 (other bytes become \xNN), TS is set exactly when TSState is TimeOK,
// SHA256 is 64 lower-case hexadecimal digits (anything else moves to an
// attribute of that name), attribute types are known ones (else text).
func (e *Event) Normalize() {
	if e.Normal() {
		return
	}
	switch {
	case int(e.TSState) >= len(stateNames), e.TSState == TimeOK && e.TS == None:
		e.TS, e.TSState = None, TimeNone
	case e.TSState != TimeOK:
		e.TS = None
	}
	attrs := make([]Attr, 0, len(e.Attrs)+1)
	for _, a := range e.Attrs {
		if strings.IndexByte(attrTypes, a.Type) < 0 {
			a.Type = 's'
		}
		attrs = append(attrs, Attr{e.text(a.Key), e.text(a.Value), a.Type})
	}
	if e.SHA256 != "" && !isDigest(e.SHA256) {
		if lower := strings.ToLower(e.SHA256); isDigest(lower) {
			e.SHA256 = lower
		} else {
			attrs = append(attrs, Attr{"sha256", e.text(e.SHA256), 's'})
			e.SHA256 = ""
		}
	}
	e.Attrs = attrs
	for i := range Columns {
		if c := &Columns[i]; c.Str != nil {
			p := c.Str(e)
			*p = e.text(*p)
		}
	}
}

func (e *Event) text(s string) string {
	if validText(s) {
		return s
	}
	e.Flags |= EscapedText
	return string(escapeInvalid([]byte(s)))
}

func isDigest(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
