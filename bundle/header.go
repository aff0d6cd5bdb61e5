package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Grade says how the collector's key is bound to an examiner.
type Grade string

// The grades of the format.
const (
	GradeAttended   Grade = "A" // the examiner's key signed the run's key
	GradeDelegated  Grade = "B" // a signed order carried a one-time key
	GradeUnattended Grade = "C" // nothing but the seal code and a later counter-signature
)

// Header says what a run is: leaf 0 of its bundle.
type Header struct {
	Format    int               `json:"format"`              // 1
	Bundle    string            `json:"bundle"`              // UUID version 7
	Case      string            `json:"case"`                //
	Exhibit   string            `json:"exhibit"`             //
	Examiner  string            `json:"examiner,omitempty"`  //
	Authority string            `json:"authority,omitempty"` // warrant, consent, policy
	Profile   string            `json:"profile,omitempty"`   // what was asked for
	Grade     Grade             `json:"grade"`               //
	Host      Host              `json:"host"`                //
	Tool      Tool              `json:"tool"`                //
	Key       string            `json:"key"`                 // the run's public key, authorized_keys form
	Started   time.Time         `json:"started"`             // the host's clock
	Clock     Clock             `json:"clock"`               //
	Argv      []string          `json:"argv,omitempty"`      //
	Options   map[string]string `json:"options,omitempty"`   //
	Members   map[string]string `json:"members"`             // SHA-256 of the fixed members under exhibit/

	Order      string   `json:"order,omitempty"`      // SHA-256 of exhibit/order.json
	Recipients []string `json:"recipients,omitempty"` // age recipients of the envelope
	Continues  string   `json:"continues,omitempty"`  // seal id of the bundle this one continues
}

// OptionSelection is the key of Header.Options with the SHA-256 of what was
// selected for collection, which an order may pin.
const OptionSelection = "selection_sha256"

// Keys of Header.Options with the job file that told a collector what to do,
// its signature, and the SHA-256 of the executable without a kit appended to
// it, where one is.
const (
	OptionJob          = "job"
	OptionJobSignature = "job_signature"
	OptionProgram      = "program_sha256"
)

// Host is the machine as its kernel describes it.
type Host struct {
	Hostname  string `json:"hostname"`
	MachineID string `json:"machine_id,omitempty"`
	BootID    string `json:"boot_id,omitempty"`
	OS        string `json:"os,omitempty"`
	Kernel    string `json:"kernel,omitempty"`
	Arch      string `json:"arch,omitempty"`
}

// Tool is the program that wrote the bundle.
type Tool struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of its source
	SHA256   string `json:"sha256,omitempty"`   // of its executable
}

// Clock is one reading of the host's clocks.
type Clock struct {
	Wall     time.Time `json:"wall"`                // system clock
	Mono     int64     `json:"mono,omitempty"`      // CLOCK_BOOTTIME, nanoseconds
	Zone     string    `json:"zone,omitempty"`      // the host's time zone
	Source   string    `json:"source,omitempty"`    // system, ntp, gps, manual
	Synced   *bool     `json:"synced,omitempty"`    // the kernel's word
	OffsetNS *int64    `json:"offset_ns,omitempty"` // against a reference, where one was read
	ErrorNS  *int64    `json:"error_ns,omitempty"`  // the kernel's estimate
}

// Trailer says how a run ended: the last leaf of its bundle.
type Trailer struct {
	Reason   string           `json:"reason"`   // completed, cancelled, deadline, limit, sink
	Complete bool             `json:"complete"` // everything asked for was looked at
	Finished time.Time        `json:"finished"`
	Clock    Clock            `json:"clock"`
	Counts   map[string]int64 `json:"counts"`           // leaves by kind; filled in by the writer
	Bytes    Bytes            `json:"bytes"`            // filled in by the writer
	Ledger   []Outcome        `json:"ledger,omitempty"` // what became of each definition
	Note     string           `json:"note,omitempty"`

	// LedgerMember names the item that holds the ledger, one Outcome a line,
	// where it is too long for the trailer.
	LedgerMember string `json:"ledger_member,omitempty"`
}

// Bytes sums up a run.
type Bytes struct {
	Content int64 `json:"content"` // of all items, holes included
	Stored  int64 `json:"stored"`  // in the container, holes left out
	Unread  int64 `json:"unread"`  // lost while reading
}

// Outcome is one line of the ledger: what became of a definition or path.
type Outcome struct {
	Rule      string `json:"rule"`
	Collector string `json:"collector,omitempty"`
	State     string `json:"state"` // done, empty, denied, error, timeout, cancelled, skipped
	Matched   int64  `json:"matched"`
	Taken     int64  `json:"taken,omitempty"`
	Detail    string `json:"detail,omitempty"`
}

// CollectorPub is the content of exhibit/collector.pub: the run's public key
// in authorized_keys form with LF. An attended run's examiner signs exactly
// these bytes in namespace exhibit-custody (Mandate.Statement).
func CollectorPub(key ssh.PublicKey) []byte { return ssh.MarshalAuthorizedKey(key) }

// collectorPEM is the same key for openssl: SubjectPublicKeyInfo in PEM.
func collectorPEM(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// newUUID makes a UUID version 7 (RFC 9562) from a time and random bytes.
func newUUID(now time.Time, random io.Reader) (string, error) {
	var u [16]byte
	if _, err := io.ReadFull(random, u[6:]); err != nil {
		return "", fmt.Errorf("make bundle id: %w", err)
	}
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(u[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(u[2:], uint32(ms))
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
}

// marshal writes v as one line of JSON without HTML escapes. Bytes that are no
// UTF-8 become \xNN in text: nothing in a header is a path.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// plainText makes text from the host valid UTF-8 without losing bytes.
func plainText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var out []byte
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			out = fmt.Appendf(out, `\x%02x`, s[0])
		} else {
			out = append(out, s[:n]...)
		}
		s = s[n:]
	}
	return string(out)
}

// plain makes the text fields of a header that come from the host UTF-8.
func (h *Header) plain() {
	for _, s := range []*string{
		&h.Case, &h.Exhibit, &h.Examiner, &h.Authority, &h.Profile,
		&h.Host.Hostname, &h.Host.MachineID, &h.Host.BootID, &h.Host.OS, &h.Host.Kernel, &h.Host.Arch,
	} {
		*s = plainText(*s)
	}
	argv := make([]string, len(h.Argv))
	for i, a := range h.Argv {
		argv[i] = plainText(a)
	}
	h.Argv = argv
}

// parseHeader reads the JSON of leaf 0 strictly and checks what every reader
// relies on.
func parseHeaderRecord(r *record) (Header, ed25519.PublicKey, ssh.PublicKey, error) {
	var h Header
	if r.item.Kind != evidence.KindHeader || r.item.Index != 0 || r.body == nil {
		return h, nil, nil, fmt.Errorf("leaf 0 is no header")
	}
	if err := json.Unmarshal(r.body, &h); err != nil {
		return h, nil, nil, fmt.Errorf("read header: %w", err)
	}
	if h.Format != 1 {
		return h, nil, nil, fmt.Errorf("bundle format is %d, this program reads 1", h.Format)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(h.Key))
	if err != nil {
		return h, nil, nil, fmt.Errorf("read collector key: %w", err)
	}
	ed, err := ed25519Key(key)
	return h, ed, key, err
}
