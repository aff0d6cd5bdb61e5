package bundle

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// Mandate is what ties the key of a run to people and to an order. The zero
// value is an unattended run without an order.
type Mandate struct {
	Grade       Grade  // "": what the other parts make it
	Statement   []byte // grade A: the examiner's SSHSIG over CollectorPub
	Certificate []byte // grades A and B: an OpenSSH certificate for the run's key
	Order       []byte // order.json
	OrderSig    []byte // the examiner's SSHSIG over it
}

// ErrUnbound says that no examiner vouches for the run's key inside the
// bundle: grade C.
var ErrUnbound = errors.New("no examiner vouches for the collector's key in this bundle")

// grade is the one that the parts amount to, unless it is stated.
func (m *Mandate) grade() Grade {
	switch {
	case m.Grade != "":
		return m.Grade
	case len(m.Statement) > 0:
		return GradeAttended
	case len(m.Certificate) > 0:
		return GradeDelegated
	}
	return GradeUnattended
}

// members returns the parts that are there, in the order of the format.
func (m *Mandate) members() []fixedMember {
	var list []fixedMember
	for _, f := range []fixedMember{
		{bindingMember, m.Statement}, {certMember, m.Certificate}, {orderMember, m.Order}, {orderSigMember, m.OrderSig},
	} {
		if len(f.data) > 0 {
			list = append(list, f)
		}
	}
	return list
}

// Mandate returns what ties the run's key to people, each part checked against
// the digest that the sealed header states for it; whether signatures hold is
// for Verify to say. The error is ErrUnbound where nothing does.
func (r *Reader) Mandate() (*Mandate, error) {
	m := &Mandate{Grade: r.header.Grade}
	wanted := map[string]*[]byte{
		bindingMember: &m.Statement, certMember: &m.Certificate, orderMember: &m.Order, orderSigMember: &m.OrderSig,
	}
	for name := range wanted {
		if _, ok := r.header.Members[name]; !ok {
			delete(wanted, name)
		}
	}
	if len(wanted) == 0 {
		return nil, ErrUnbound
	}
	head := make([]byte, min(headLimit, r.frames.size()))
	if _, err := r.frames.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read mandate: %w", err)
	}
	for b := head; len(b) > tarBlock && len(wanted) > 0; {
		e, n, err := parseHeader(b)
		if err != nil || n > len(b) || e.size > int64(len(b)-n) {
			break
		}
		if part := wanted[e.name]; part != nil {
			*part = b[n : n+int(e.size)]
			if evidence.Sum(*part).String() != r.header.Members[e.name] {
				return nil, fmt.Errorf("%w: %s is not the one the header names", ErrMismatch, e.name)
			}
			delete(wanted, e.name)
		}
		b = b[min(n+int(e.size+tarBlock-1)&^(tarBlock-1), len(b)):]
	}
	for name := range wanted {
		return nil, fmt.Errorf("%w: the header names %s, the bundle lacks it", ErrMismatch, name)
	}
	return m, nil
}

// headLimit is how much of the front is searched: the fixed members are small.
const headLimit = 512 << 10

// bond is one key that stands behind the run's, and how.
type bond struct {
	key   ssh.PublicKey
	how   string
	until time.Time // end of the certificate that it vouches by; zero: no certificate
}

// ended reports whether the certificate had ended at a time.
func (b bond) ended(at time.Time) bool { return !b.until.IsZero() && at.After(b.until) }

// bonds returns the keys that stand behind the run's key: of the examiner who
// signed it, and of the one who certified it. What does not hold is an
// alteration: the writer checked it.
func (c *conclusion) bonds() []bond {
	var list []bond
	if c.binding != nil {
		key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, CollectorPub(c.sshKey), c.binding)
		if err != nil {
			c.report.altered(bindingMember, 0, "signature over the run's key does not hold")
		} else {
			list = append(list, bond{key: key, how: "the examiner's key, which signed the run's key"})
		}
	}
	if c.certificate != nil {
		cert, err := chainofcustody.VerifyCertificate(c.certificate, c.sshKey, c.header.Exhibit, c.header.Started)
		switch {
		case err != nil:
			c.report.layer("certificate", "failed", plainText(err.Error()))
		case c.mandated != nil && cert.Nonce != c.mandated.NonceText():
			c.report.layer("certificate", "failed", "it was issued for another order")
		default:
			c.report.layer("certificate", "ok", fmt.Sprintf("%s certified the run's key for %s, from %s to %s",
				chainofcustody.Fingerprint(cert.Authority), chainofcustody.CollectorPrincipal(plainText(c.header.Exhibit)),
				cert.After.Format(time.RFC3339), cert.Before.Format(time.RFC3339)))
			list = append(list, bond{key: cert.Authority, how: "the examiner's key, which certified the run's key", until: cert.Before})
		}
	}
	return list
}

// orders checks the collection order: its signature, and whether the run kept
// to it.
func (c *conclusion) orders() {
	r := c.report
	if c.header.Order == "" && c.orderFile == nil {
		return
	}
	if c.orderFile == nil || c.orderSig == nil || evidence.Sum(c.orderFile).String() != c.header.Order {
		if !c.gaps {
			r.altered(orderMember, 0, "the order is not the one the header names, or lacks its signature")
		}
		r.layer("order", "failed", "the order is missing or another one")
		c.trouble = "The collection order that this bundle names is missing."
		return
	}
	o, key, err := chainofcustody.VerifyOrder(c.orderFile, c.orderSig)
	if err != nil {
		r.layer("order", "failed", plainText(err.Error()))
		c.trouble = "The collection order in this bundle does not hold: " + plainText(err.Error()) + "."
		return
	}
	c.mandated, r.Order = o, o.NonceText()
	use := chainofcustody.Use{
		Case: c.header.Case, Exhibit: c.header.Exhibit, At: c.header.Started, Profile: c.header.Profile,
		Recipients: c.header.Recipients, Key: chainofcustody.Fingerprint(c.sshKey),
	}
	if d, err := evidence.ParseDigest(c.header.Tool.SHA256); err == nil {
		use.Tool = d
	}
	if d, err := evidence.ParseDigest(c.header.Options[OptionSelection]); err == nil {
		use.ProfileSHA256 = d
	}
	r.Departures = o.Departures(use)
	who, ok := "", false
	if c.opt.Trusted != nil {
		who, ok = c.opt.Trusted(key, c.header.Started)
	}
	switch {
	case len(r.Departures) > 0:
		text := plainText(strings.Join(r.Departures, "; "))
		r.layer("order", "failed", "the run departs from its order: "+text)
		c.trouble = "The run departs from its collection order: " + text + "."
	case !ok:
		r.layer("order", "unknown", "the run kept to its order, but nobody you trust is known to have signed it")
	default:
		r.layer("order", "ok", "the run kept to the order that "+plainText(who)+" signed")
	}
}
