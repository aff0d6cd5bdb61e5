package chainofcustody

import (
	"fmt"
	"os"
	"path"
	"slices"
)

// OrdersDir is the folder of a case that keeps the orders it issued.
const OrdersDir = "orders"

// Issued is an order with what travels to the host.
type Issued struct {
	File, Sig   []byte
	Key         *RunKey // delegated: the one-time key; it is kept nowhere else
	Certificate []byte  // delegated: what the examiner says of it
}

// IssueOrder numbers an exhibit for an order, has the identity sign it, keeps
// the order and its signature in the case and records the event. Case,
// Exhibit, Examiner and Key of the order are filled in. With delegate, a
// one-time key is made and certified for the order's window.
func (c *Case) IssueOrder(o *Order, delegate bool, id *Identity, tool *ToolInfo) (*Issued, error) {
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("issue order: %w", err)
	}
	// Refuse what cannot be written before a number is spent on it.
	o.Case, o.Exhibit, o.Examiner = c.Info.ID, "EX-001", id.person()
	if _, err := o.Encode(); err != nil {
		return nil, err
	}
	var out Issued
	var err error
	if o.Exhibit, err = c.NextExhibit(); err != nil {
		return nil, err
	}
	if delegate {
		if out.Key, err = NewRunKey(); err != nil {
			return nil, fmt.Errorf("issue order: %w", err)
		}
		o.Key = Fingerprint(out.Key.PublicKey())
		terms := Terms{o.Exhibit, "collection delegated by " + id.ID, o.NonceText(), o.NotBefore, o.NotAfter}
		if out.Certificate, err = Certify(id, out.Key.PublicKey(), terms); err != nil {
			return nil, err
		}
	}
	if out.File, out.Sig, err = SignOrder(o, id); err != nil {
		return nil, err
	}
	if err := c.keepOrder(o.Exhibit, out.File, out.Sig); err != nil {
		return nil, fmt.Errorf("keep order: %w", err)
	}
	ev := Event{
		Kind: EventOrdered, Authority: o.Authority, Purpose: o.Purpose, Tool: tool, Refs: []string{o.Digest.String()},
		Note:   fmt.Sprintf("collection ordered from %s to %s; scope: %s", o.NotBefore.Format(orderTimeLayout), o.NotAfter.Format(orderTimeLayout), orNone(o.Scope)),
		Attach: []Attachment{{Name: path.Join(OrdersDir, o.Exhibit+".json"), SHA256: o.Digest}},
	}
	if _, err := c.Append(o.Exhibit, ev, id); err != nil {
		return nil, err
	}
	return &out, nil
}

func (c *Case) keepOrder(exhibit string, file, sig []byte) error {
	root, unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := root.Mkdir(OrdersDir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	name := path.Join(OrdersDir, exhibit+".json")
	if err := writeAtomic(root, name, file, 0o444); err != nil {
		return err
	}
	return writeAtomic(root, name+sigSuffix, sig, 0o444)
}

// OrderUse says of an order, named by the SHA-256 of its file, whether the
// exhibit's log says that it was issued, and whether any exhibit of the case
// came of it already.
func (c *Case) OrderUse(exhibit, order string) (used, issued bool, err error) {
	names, err := c.Exhibits()
	if err != nil {
		return false, false, err
	}
	for _, name := range names {
		rep, err := c.VerifyCustody(name, VerifyOptions{})
		if err != nil {
			return false, false, err
		}
		for _, e := range rep.Events {
			if !slices.Contains(e.Refs, order) {
				continue
			}
			if e.Kind == EventOrdered {
				issued = issued || name == exhibit
			} else if !e.Seal.IsZero() {
				used = true
			}
		}
	}
	return used, issued, nil
}
