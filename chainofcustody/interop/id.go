package interop

import (
	"crypto/sha1" // what RFC 9562 makes a UUID of version 5 with
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// namespace is the UUID of version 5 of Vocabulary in the namespace of URLs
// (RFC 9562, section 6.6).
var namespace = uuid5([16]byte{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}, Vocabulary)

// uuid5 makes a UUID of version 5 (RFC 9562, section 5.5).
func uuid5(space [16]byte, name string) (id [16]byte) {
	h := sha1.New()
	h.Write(space[:])
	h.Write([]byte(name))
	copy(id[:], h.Sum(nil))
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	return id
}

// nodeID names a node by what it is. Only a SHA-256 reaches the SHA-1 of the
// UUID, so that nobody can choose two texts that share a name.
func nodeID(kind string, parts ...string) string {
	var b strings.Builder
	for _, p := range append([]string{kind}, parts...) {
		b.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	id := uuid5(namespace, evidence.Sum([]byte(b.String())).String())
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func eventID(d evidence.Digest) string  { return nodeID("event", d.String()) }
func recordID(d evidence.Digest) string { return nodeID("record", d.String()) }

func (l Log) exhibitID(exhibit string) string { return nodeID("exhibit", l.Case.ID, exhibit) }

// personID tells people apart by all that is said of them. Who did not prove to
// be the one an event names, or is only named by another, is somebody else than
// the person who signed.
func personID(e *chainofcustody.EventCheck, p chainofcustody.Person, signer bool) string {
	how := "named"
	if signer {
		how = "signer"
	}
	parts := []string{how, p.ID, p.Name, p.Org, p.Role, p.Key}
	if !proven(e) {
		parts = append(parts, e.Digest.String())
	}
	return nodeID("person", parts...)
}

// scope keeps what an unproven event states apart from what others state.
func scope(e *chainofcustody.EventCheck) string {
	if proven(e) {
		return ""
	}
	return e.Digest.String()
}

func fileID(e *chainofcustody.EventCheck, exhibit string, d evidence.Digest, name string) string {
	return nodeID("file", e.Case, exhibit, d.String(), name, scope(e))
}

// origins remembers which events state what is written about a node.
type origins map[string][]string

func (o origins) add(id string, e *chainofcustody.EventCheck) {
	d, have := e.Digest.String(), o[id]
	if len(have) == 0 || have[len(have)-1] != d { // events come one after the other
		o[id] = append(have, d)
	}
}
