// Package kerberos reads the clear fields of Kerberos messages as captured:
// who asks for a ticket to what, and what the answer was.
//
// Format: RFC 4120, section 5 (ASN.1, DER). Fields are found by their tags;
// what is encrypted is passed over.
package kerberos

import "strconv"

// Application tags, RFC 4120 section 5.10.
const (
	ASReq  = 10
	ASRep  = 11
	TGSReq = 12
	TGSRep = 13
	Error  = 30
)

// Message is what one message says. Numbers are -1 where it does not say.
type Message struct {
	Kind        int
	Realm       string // of the client, else of the server
	Client      string // components joined by '/'
	Service     string
	Encryptions []int64 // that the client takes
	Encryption  int64   // of the part for the client
	TicketEnc   int64   // of the ticket
	Code        int64   // of an error
	Text        string
	PreAuth     bool // the client proved that it knows its key
}

// Looks reports whether b may be a message.
func Looks(b []byte) bool {
	if len(b) < 10 {
		return false
	}
	switch b[0] {
	case 0x60 | ASReq, 0x60 | ASRep, 0x60 | TGSReq, 0x60 | TGSRep, 0x60 | Error:
		_, inner, _, ok := element(b)
		return ok && len(inner) > 0 && inner[0] == 0x30
	}
	return false
}

// Parse reads one message; false where it does not hold together.
func Parse(b []byte) (*Message, bool) {
	tag, inner, _, ok := element(b)
	if !ok || tag&0xe0 != 0x60 {
		return nil, false
	}
	m := &Message{Kind: int(tag & 0x1f), Encryption: -1, TicketEnc: -1, Code: -1}
	f, ok := fields(inner)
	if !ok {
		return nil, false
	}
	switch m.Kind {
	case ASReq, TGSReq:
		m.padata(f[3])
		f, ok = fields(f[4])
		m.Client, m.Realm, m.Service = name(f[1]), text(f[2]), name(f[3])
		_, list, _, _ := element(f[8])
		for n := 0; len(list) > 0 && n < 32; n++ {
			var v []byte
			var whole bool
			if _, v, list, whole = element(list); !whole {
				break
			}
			m.Encryptions = append(m.Encryptions, integer(v))
		}
	case ASRep, TGSRep:
		m.Realm, m.Client = text(f[3]), name(f[4])
		if _, ticket, _, ok := element(f[5]); ok {
			if t, ok := fields(ticket); ok {
				m.Service = name(t[2])
				m.TicketEnc = encrypted(t[3])
			}
		}
		m.Encryption = encrypted(f[6])
	case Error:
		m.Code = inside(f[6])
		m.Realm, m.Client, m.Service = text(f[7]), name(f[8]), name(f[10])
		if m.Realm == "" {
			m.Realm = text(f[9])
		}
		m.Text = text(f[11])
	default:
		return nil, false
	}
	return m, ok
}

// padata looks for PA-ENC-TIMESTAMP (2).
func (m *Message) padata(b []byte) {
	_, list, _, _ := element(b)
	for n := 0; len(list) > 0 && n < 32; n++ {
		_, one, rest, ok := element(list)
		if !ok {
			return
		}
		if f, ok := context(one); ok && inside(f[1]) == 2 {
			m.PreAuth = true
		}
		list = rest
	}
}

func encrypted(b []byte) int64 {
	f, ok := fields(b)
	if !ok {
		return -1
	}
	return inside(f[0])
}

// fields returns the members of a SEQUENCE by their context tags.
func fields(b []byte) (f [16][]byte, ok bool) {
	tag, inner, _, ok := element(b)
	if !ok || tag != 0x30 {
		return f, false
	}
	return context(inner)
}

func context(b []byte) (f [16][]byte, ok bool) {
	for len(b) > 0 {
		tag, v, rest, ok := element(b)
		if !ok {
			return f, false
		}
		if tag&0xe0 == 0xa0 && tag&0x1f < 16 {
			f[tag&0x1f] = v
		}
		b = rest
	}
	return f, true
}

// name joins the components of a PrincipalName.
func name(b []byte) (joined string) {
	f, ok := fields(b)
	if !ok {
		return ""
	}
	_, list, _, _ := element(f[1])
	for n := 0; len(list) > 0 && n < 16; n++ {
		_, v, rest, ok := element(list)
		if !ok {
			break
		}
		if n > 0 {
			joined += "/"
		}
		joined += string(v)
		list = rest
	}
	return joined
}

func text(b []byte) string {
	_, v, _, ok := element(b)
	if !ok {
		return ""
	}
	return string(v)
}

func inside(b []byte) int64 {
	_, v, _, ok := element(b)
	if !ok {
		return -1
	}
	return integer(v)
}

func integer(b []byte) int64 {
	if len(b) == 0 || len(b) > 8 {
		return -1
	}
	n := int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n
}

// element splits one element off: tag(1) length value. Tags above 30 do not
// occur here.
func element(b []byte) (tag byte, v, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag = b[0]
	n, at := int(b[1]), 2
	if n >= 0x80 {
		width := n & 0x7f
		if width == 0 || width > 4 || len(b) < 2+width {
			return 0, nil, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+width] {
			n = n<<8 | int(c)
		}
		at += width
	}
	if n > len(b)-at {
		return 0, nil, nil, false
	}
	return tag, b[at : at+n], b[at+n:], true
}

// EncryptionName returns the name of an encryption type: IANA, "Kerberos
// Encryption Type Numbers".
func EncryptionName(n int64) string {
	switch n {
	case 1:
		return "des-cbc-crc"
	case 3:
		return "des-cbc-md5"
	case 16:
		return "des3-cbc-sha1"
	case 17:
		return "aes128-cts-hmac-sha1-96"
	case 18:
		return "aes256-cts-hmac-sha1-96"
	case 19:
		return "aes128-cts-hmac-sha256-128"
	case 20:
		return "aes256-cts-hmac-sha384-192"
	case 23:
		return "rc4-hmac"
	case 24:
		return "rc4-hmac-exp"
	}
	return strconv.FormatInt(n, 10)
}

// ErrorName returns the name of an error code, RFC 4120 section 7.5.9, where
// it is one that attacks show.
func ErrorName(code int64) string {
	switch code {
	case 6:
		return "KDC_ERR_C_PRINCIPAL_UNKNOWN"
	case 7:
		return "KDC_ERR_S_PRINCIPAL_UNKNOWN"
	case 12:
		return "KDC_ERR_POLICY"
	case 14:
		return "KDC_ERR_ETYPE_NOSUPP"
	case 18:
		return "KDC_ERR_CLIENT_REVOKED"
	case 23:
		return "KDC_ERR_KEY_EXPIRED"
	case 24:
		return "KDC_ERR_PREAUTH_FAILED"
	case 25:
		return "KDC_ERR_PREAUTH_REQUIRED"
	case 31:
		return "KRB_AP_ERR_BAD_INTEGRITY"
	case 32:
		return "KRB_AP_ERR_TKT_EXPIRED"
	case 37:
		return "KRB_AP_ERR_SKEW"
	case 41:
		return "KRB_AP_ERR_MODIFIED"
	case 52:
		return "KRB_ERR_RESPONSE_TOO_BIG"
	case 60:
		return "KRB_ERR_GENERIC"
	case 68:
		return "KDC_ERR_WRONG_REALM"
	}
	return "error " + strconv.FormatInt(code, 10)
}
