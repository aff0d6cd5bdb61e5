package chainofcustody

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Errors of collection orders and job files.
var (
	ErrOrder        = errors.New("not a collection order")
	ErrJob          = errors.New("not a job file")
	ErrOrderScope   = errors.New("outside the collection order")
	ErrOrderRevoked = errors.New("the order's signer is not known for orders")
)

// MaxOrderSize bounds an order file, line end included.
const MaxOrderSize = 64 << 10

// orderVersion is the "v" of every order.
const orderVersion = 1

// maxOrderWindow bounds how long an order may be used: a stolen kit is worth
// something until then.
const maxOrderWindow = 366 * 24 * time.Hour

// Order is an examiner's signed mandate for one collection: which exhibit of
// which case, by what right, what may be looked at with which program, for
// whom the result is encrypted, and from when until when. Its nonce makes it
// good for one bundle only. The file is one line of JSON in one spelling
// (docs/format/custody.md), signed in NamespaceOrder.
type Order struct {
	Nonce         [16]byte // random; names the order
	Case          string
	Exhibit       string
	Issued        time.Time // whole seconds, UTC
	NotBefore     time.Time
	NotAfter      time.Time
	Examiner      Person // who orders and signs; ID and Key required
	Authority     string // warrant, consent or policy: its reference
	Purpose       string
	Scope         string            // what may be looked at, in words
	Profile       string            // collectors or a profile, as --collectors and --profile take them, and artifacts; "": all collectors
	ProfileSHA256 evidence.Digest   // of the selection: the collectors, and the definitions with every byte; zero: the names say all
	Tools         []evidence.Digest // executables that may be used, ascending; none: any
	Recipients    []string          // the bundle is encrypted for these; none: not encrypted
	Key           string            // delegated: fingerprint of the one-time key; "": attended or unattended

	Digest evidence.Digest // SHA-256 of the file; not part of the record
}

// NonceText is the nonce as it is written.
func (o *Order) NonceText() string { return hex.EncodeToString(o.Nonce[:]) }

// NewNonce draws a nonce.
func NewNonce() (n [16]byte, err error) {
	_, err = rand.Read(n[:])
	return n, err
}

// orderTimeLayout has whole seconds: what allowed_signers and certificates hold.
const orderTimeLayout = "2006-01-02T15:04:05Z"

// Encode returns the order's file, line end included. Errors are ErrOrder.
func (o *Order) Encode() ([]byte, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	w := object{buf: make([]byte, 0, 1024)}
	w.open()
	w.integer("v", orderVersion)
	w.required("nonce", o.NonceText())
	w.required("case", o.Case)
	w.required("exhibit", o.Exhibit)
	w.required("issued", o.Issued.UTC().Format(orderTimeLayout))
	w.required("not_before", o.NotBefore.UTC().Format(orderTimeLayout))
	w.required("not_after", o.NotAfter.UTC().Format(orderTimeLayout))
	w.person("examiner", &o.Examiner)
	w.text("authority", o.Authority)
	w.text("purpose", o.Purpose)
	w.text("scope", o.Scope)
	w.text("profile", o.Profile)
	w.digest("profile_sha256", o.ProfileSHA256)
	if len(o.Tools) > 0 {
		tools := make([]string, len(o.Tools))
		for i, d := range o.Tools {
			tools[i] = d.String()
		}
		w.list("tools", tools)
	}
	if len(o.Recipients) > 0 {
		w.list("recipients", o.Recipients)
	}
	w.text("key", o.Key)
	w.close()
	line := append(w.buf, '\n')
	if len(line) > MaxOrderSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrOrder, len(line), MaxOrderSize)
	}
	return line, nil
}

func (o *Order) validate() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOrder}, args...)...)
	}
	switch {
	case o.Nonce == [16]byte{}:
		return fail("no nonce")
	case !validCaseID(o.Case):
		return fail("case id %q", o.Case)
	case !IsExhibit(o.Exhibit):
		return fail("exhibit number %q", o.Exhibit)
	case o.Examiner.ID == "" || o.Examiner.Key == "":
		return fail("examiner has no id or no key")
	case !o.NotBefore.Before(o.NotAfter):
		return fail("its window ends before it begins")
	case o.NotAfter.Sub(o.NotBefore) > maxOrderWindow:
		return fail("its window is longer than %d days", int(maxOrderWindow.Hours()/24))
	}
	for _, t := range []time.Time{o.Issued, o.NotBefore, o.NotAfter} {
		if y := t.UTC().Year(); t.IsZero() || y < 1970 || y > 9999 || t.Nanosecond() != 0 {
			return fail("time %v is not a whole second from 1970 on", t)
		}
	}
	for i, d := range o.Tools {
		if d.IsZero() || i > 0 && o.Tools[i-1].String() >= d.String() {
			return fail("tools are not in ascending order")
		}
	}
	texts := []string{o.Authority, o.Purpose, o.Scope, o.Profile, o.Key, o.Examiner.ID, o.Examiner.Name, o.Examiner.Org, o.Examiner.Role, o.Examiner.Key}
	for _, r := range o.Recipients {
		if r == "" {
			return fail("a recipient is empty")
		}
		texts = append(texts, r)
	}
	for _, s := range texts {
		if err := checkText(s); err != nil {
			return fail("%w", err)
		}
	}
	return nil
}

type orderRecord struct {
	V             int64     `json:"v"`
	Nonce         string    `json:"nonce"`
	Case          string    `json:"case"`
	Exhibit       string    `json:"exhibit"`
	Issued        string    `json:"issued"`
	NotBefore     string    `json:"not_before"`
	NotAfter      string    `json:"not_after"`
	Examiner      personRec `json:"examiner"`
	Authority     string    `json:"authority"`
	Purpose       string    `json:"purpose"`
	Scope         string    `json:"scope"`
	Profile       string    `json:"profile"`
	ProfileSHA256 string    `json:"profile_sha256"`
	Tools         []string  `json:"tools"`
	Recipients    []string  `json:"recipients"`
	Key           string    `json:"key"`
}

// ParseOrder reads an order file. Only the one spelling that Encode writes is
// accepted; a higher version is ErrNewerSchema, anything else ErrOrder.
func ParseOrder(data []byte) (*Order, error) {
	if len(data) > MaxOrderSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrOrder, len(data), MaxOrderSize)
	}
	var version struct {
		V int64 `json:"v"`
	}
	if err := json.Unmarshal(data, &version); err == nil && version.V > orderVersion {
		return nil, fmt.Errorf("collection order of version %d: %w", version.V, ErrNewerSchema)
	}
	var r orderRecord
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	o, err := r.order()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	canonical, err := o.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canonical, data) {
		return nil, fmt.Errorf("%w: byte %d departs from the one spelling", ErrOrder, firstDifference(canonical, data))
	}
	o.Digest = evidence.Sum(data)
	return o, nil
}

func (r *orderRecord) order() (*Order, error) {
	o := &Order{
		Case: r.Case, Exhibit: r.Exhibit, Examiner: Person(r.Examiner), Authority: r.Authority, Purpose: r.Purpose,
		Scope: r.Scope, Profile: r.Profile, Recipients: r.Recipients, Key: r.Key,
	}
	nonce, err := hex.DecodeString(r.Nonce)
	if err != nil || len(nonce) != len(o.Nonce) {
		return nil, fmt.Errorf("nonce %.40q is not 32 hexadecimal digits", r.Nonce)
	}
	copy(o.Nonce[:], nonce)
	for _, t := range []struct {
		text string
		at   *time.Time
	}{{r.Issued, &o.Issued}, {r.NotBefore, &o.NotBefore}, {r.NotAfter, &o.NotAfter}} {
		if *t.at, err = time.Parse(orderTimeLayout, t.text); err != nil {
			return nil, fmt.Errorf("time %.40q", t.text)
		}
	}
	var digests digestReader
	o.ProfileSHA256 = digests.read(r.ProfileSHA256)
	for _, s := range r.Tools {
		o.Tools = append(o.Tools, digests.read(s))
	}
	return o, digests.err
}

// SignOrder fills Examiner and Digest, and returns the order's file and its
// signature.
func SignOrder(o *Order, id *Identity) (file, sig []byte, err error) {
	if err := id.check(); err != nil {
		return nil, nil, fmt.Errorf("sign order: %w", err)
	}
	o.Examiner = id.person()
	if file, err = o.Encode(); err != nil {
		return nil, nil, err
	}
	o.Digest = evidence.Sum(file)
	if sig, err = id.Key.Sign(NamespaceOrder, file); err != nil {
		return nil, nil, fmt.Errorf("sign order: %w", err)
	}
	return file, sig, nil
}

// VerifyOrder reads an order and checks that its examiner's key signed it.
// Whether that key is trusted is another question: it is returned for that.
func VerifyOrder(file, sig []byte) (*Order, ssh.PublicKey, error) {
	o, err := ParseOrder(file)
	if err != nil {
		return nil, nil, err
	}
	key, err := Verify(NamespaceOrder, file, sig)
	if err != nil {
		return nil, nil, fmt.Errorf("signature of the order: %w", err)
	}
	if Fingerprint(key) != o.Examiner.Key {
		return nil, nil, fmt.Errorf("%w: the order names the key %s, and %s signed it", ErrBadSignature, o.Examiner.Key, Fingerprint(key))
	}
	return o, key, nil
}

// Use is what a run did, for comparison with its order.
type Use struct {
	Case, Exhibit string
	At            time.Time
	Tool          evidence.Digest // of the executable; zero: not known
	Profile       string
	ProfileSHA256 evidence.Digest // zero: not known
	Recipients    []string
	Key           string // fingerprint of the run's key
}

// Departures says in plain words how a use departs from the order; none: it
// keeps to it.
func (o *Order) Departures(u Use) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if u.Case != o.Case || u.Exhibit != o.Exhibit {
		say("it is for exhibit %s of case %s, the run was for %s of %s", o.Exhibit, o.Case, orNone(u.Exhibit), orNone(u.Case))
	}
	if u.At.Before(o.NotBefore) {
		say("it holds from %s on, the run began at %s", o.NotBefore.Format(orderTimeLayout), u.At.UTC().Format(orderTimeLayout))
	}
	if u.At.After(o.NotAfter) {
		say("it ended at %s, the run began at %s", o.NotAfter.Format(orderTimeLayout), u.At.UTC().Format(orderTimeLayout))
	}
	if len(o.Tools) > 0 && !slices.Contains(o.Tools, u.Tool) {
		say("it names other programs than the one that ran")
	}
	if u.Profile != o.Profile && (o.Profile != "" || u.Profile != "all") {
		say("it asks for the collectors %q, the run was for %q", orAll(o.Profile), orAll(u.Profile))
	}
	if !o.ProfileSHA256.IsZero() && u.ProfileSHA256 != o.ProfileSHA256 {
		say("it pins collectors and definitions by the SHA-256 %s, those of the run have %s", o.ProfileSHA256, orUnknown(u.ProfileSHA256))
	}
	if len(o.Recipients) > 0 && !sameSet(o.Recipients, u.Recipients) {
		say("it asks for encryption for %d recipients, the bundle was encrypted for others or not at all", len(o.Recipients))
	}
	if o.Key != "" && u.Key != o.Key {
		say("its one-time key did not seal the bundle")
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func orUnknown(d evidence.Digest) string {
	if d.IsZero() {
		return "none stated"
	}
	return d.String()
}

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return s
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
